package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// stranded is an engine with a run "order-42" that is stuck: the reservation can not
// be released, at first.
func stranded(ctx context.Context) (*durable.Engine, *durable.Run[Order]) {
	reserve := calls("reserve", "release")
	tries := 0
	reserve.Undo = func(context.Context, *Order) error {
		if tries++; tries == 1 {
			return saga.Reject(errors.New("warehouse closed"))
		}
		fmt.Println("release")
		return nil
	}
	def := saga.MustNew("checkout", []saga.Step[Order]{reserve, calls("charge", "refund", saga.Reject(errors.New("card declined")))})
	engine := opened(durable.Config{}, def)
	run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 70})
	if err != nil {
		log.Fatal(err)
	}
	_, err = run.Wait(ctx)
	fmt.Println(err)
	return engine, run
}

// The warehouse is open again: a run that is stuck goes on.
func ExampleEngine_Resume() {
	ctx := context.Background()
	engine, run := stranded(ctx)
	defer func() { _ = engine.Close(ctx) }()
	if err := engine.Resume(ctx, "order-42", durable.Note{By: "ann", Why: "the warehouse is open"}); err != nil {
		log.Fatal(err)
	}
	_, err := run.Wait(ctx)
	fmt.Println(err)
	// Output:
	// reserve
	// charge
	// saga: checkout/order-42: charge: card declined (stuck, undo failed); undo reserve: warehouse closed
	// release
	// saga: checkout/order-42: charge: card declined (compensated)
}

// Somebody has gone to the warehouse: the step counts as undone.
func ExampleEngine_Skip() {
	ctx := context.Background()
	engine, run := stranded(ctx)
	defer func() { _ = engine.Close(ctx) }()
	if err := engine.Skip(ctx, "order-42", "reserve", durable.Note{By: "ann", Why: "carried back by hand"}); err != nil {
		log.Fatal(err)
	}
	_, err := run.Wait(ctx)
	fmt.Println(err)
	// Output:
	// reserve
	// charge
	// saga: checkout/order-42: charge: card declined (stuck, undo failed); undo reserve: warehouse closed
	// saga: checkout/order-42: charge: card declined (compensated)
}

// Nobody cares for the goods any more.
func ExampleEngine_Abandon() {
	ctx := context.Background()
	engine, run := stranded(ctx)
	defer func() { _ = engine.Close(ctx) }()
	if err := engine.Abandon(ctx, "order-42", durable.Note{By: "ann", Why: "written off"}); err != nil {
		log.Fatal(err)
	}
	_, head, err := run.State(ctx)
	fmt.Println(head.Status, err)
	fmt.Println(engine.Abandon(ctx, "order-42", durable.Note{By: "ann", Why: "to be sure"}))
	// Output:
	// reserve
	// charge
	// saga: checkout/order-42: charge: card declined (stuck, undo failed); undo reserve: warehouse closed
	// abandoned <nil>
	// durable: abandon "order-42", which is abandoned: conflict
}

// The customer has changed his mind while the order waits.
func ExampleEngine_Abort() {
	ctx := context.Background()
	waits := make(chan struct{})
	def := saga.MustNew("checkout", []saga.Step[Order]{
		calls("reserve", "release"),
		{Name: "pack", Do: func(ctx context.Context, _ *Order) error {
			close(waits)
			<-ctx.Done()
			return saga.Reject(ctx.Err())
		}},
	})
	engine := opened(durable.Config{}, def)
	defer func() { _ = engine.Close(ctx) }()
	run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 70})
	if err != nil {
		log.Fatal(err)
	}
	<-waits
	if err := engine.Abort(ctx, "order-42", durable.Note{By: "bob", Why: "not wanted any more"}); err != nil {
		log.Fatal(err)
	}
	_, err = run.Wait(ctx)
	fmt.Println(err)
	// Output:
	// reserve
	// release
	// saga: checkout/order-42: aborted by bob: not wanted any more (compensated)
}

// Who decides something has to say so, and why.
func ExampleNote() {
	ctx := context.Background()
	engine, _ := stranded(ctx)
	defer func() { _ = engine.Close(ctx) }()
	fmt.Println(engine.Resume(ctx, "order-42", durable.Note{By: "ann"}))
	// Output:
	// reserve
	// charge
	// saga: checkout/order-42: charge: card declined (stuck, undo failed); undo reserve: warehouse closed
	// durable: resume: Note is {By: "ann", Why: ""}, want both
}

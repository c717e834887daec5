package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// The ID stands for one run: the same call returns it, another one is told so.
func ExampleStart() {
	ctx := context.Background()
	def := checkout()
	engine := opened(durable.Config{}, def)
	defer func() { _ = engine.Close(ctx) }()
	for _, total := range []int{70, 70, 80} {
		run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: total})
		if err != nil {
			fmt.Println(err, errors.Is(err, durable.ErrConflict))
			continue
		}
		end, err := run.Wait(ctx)
		fmt.Println(end.Total, err)
	}
	// Output:
	// reserve
	// charge
	// 70 <nil>
	// 70 <nil>
	// durable: there is another run "order-42": conflict true
}

// A run that begins later, with labels to find it by.
func ExampleStartWith() {
	ctx := context.Background()
	mock := clock.NewMock() // a program leaves Clock nil
	def := checkout()
	engine := opened(durable.Config{Clock: mock}, def)
	defer func() { _ = engine.Close(ctx) }()
	cfg := durable.StartConfig{ID: "order-42", Delay: time.Hour, Labels: map[string]string{"customer": "7"}}
	run, err := durable.StartWith(ctx, engine, def, cfg, Order{Total: 70})
	if err != nil {
		log.Fatal(err)
	}
	_, head, err := run.State(ctx)
	fmt.Println(head.Status, head.Labels["customer"], head.WakeAt.Sub(head.CreatedAt), err)
	// Output: running 7 1h0m0s <nil>
}

// A handle to a run that was started elsewhere, or long ago.
func ExampleFind() {
	ctx := context.Background()
	def := checkout()
	engine := opened(durable.Config{}, def)
	defer func() { _ = engine.Close(ctx) }()
	_, err := durable.Find(ctx, engine, def, "order-42")
	fmt.Println(err)

	if _, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 70}); err != nil {
		log.Fatal(err)
	}
	run, err := durable.Find(ctx, engine, def, "order-42")
	if err != nil {
		log.Fatal(err)
	}
	end, err := run.Wait(ctx)
	fmt.Println(end.Total, err)
	// Output:
	// durable: run "order-42": not found
	// reserve
	// charge
	// 70 <nil>
}

func ExampleRun_ID() {
	ctx := context.Background()
	def := checkout()
	engine := opened(durable.Config{}, def)
	defer func() { _ = engine.Close(ctx) }()
	run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 700})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(run.ID())
	// Unordered output:
	// order-42
	// reserve
}

// State is how far a run has come, without waiting for it.
func ExampleRun_State() {
	ctx := context.Background()
	def := saga.MustNew("checkout", []saga.Step[Order]{{Name: "discount", Do: func(_ context.Context, o *Order) error {
		o.Total -= 5
		return nil
	}}})
	engine := opened(durable.Config{}, def)
	defer func() { _ = engine.Close(ctx) }()
	run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 70})
	if err != nil {
		log.Fatal(err)
	}
	_, _ = run.Wait(ctx)
	state, head, err := run.State(ctx)
	fmt.Println(state.Total, head.Status, err)
	// Output: 65 completed <nil>
}

// The error of Wait says how a run has ended that is not completed.
func ExampleRun_Wait() {
	ctx := context.Background()
	def := saga.MustNew("checkout", []saga.Step[Order]{
		calls("reserve", "release"),
		calls("charge", "refund", saga.Reject(errors.New("card declined"))),
	})
	engine := opened(durable.Config{}, def)
	defer func() { _ = engine.Close(ctx) }()
	run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 70})
	if err != nil {
		log.Fatal(err)
	}
	_, err = run.Wait(ctx)
	fmt.Println(err)
	var failed *saga.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Step, failed.Status, failed.Outcome)
	}
	// Output:
	// reserve
	// charge
	// release
	// saga: checkout/order-42: charge: card declined (compensated)
	// charge compensated rejected
}

package durable_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// What has happened to a run.
func ExampleEngine_Get() {
	ctx := context.Background()
	engine, _ := stranded(ctx)
	defer func() { _ = engine.Close(ctx) }()
	rec, err := engine.Get(ctx, "order-42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rec.Head.Status, rec.Head.Reason)
	entry := func(e durable.Event) {
		fmt.Println(e.N, strings.TrimRight(fmt.Sprint(e.Kind, " ", e.Step, " ", e.Err), " "))
	}
	for _, e := range rec.Events {
		entry(e)
	}
	// Output:
	// reserve
	// charge
	// saga: checkout/order-42: charge: card declined (stuck, undo failed); undo reserve: warehouse closed
	// stuck undo failed
	// 1 created
	// 2 started reserve
	// 3 done reserve
	// 4 started charge
	// 5 failed charge card declined
	// 6 aborting charge card declined
	// 7 undo-started reserve
	// 8 undo-failed reserve warehouse closed
	// 9 stuck charge card declined
}

// Runs that need somebody.
func ExampleEngine_List() {
	ctx := context.Background()
	engine, _ := stranded(ctx)
	defer func() { _ = engine.Close(ctx) }()
	q := durable.Query{Saga: "checkout", Status: []saga.Status{saga.Stuck}}
	for head, err := range engine.List(ctx, q) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(head.ID, head.Reason)
	}
	// Output:
	// reserve
	// charge
	// saga: checkout/order-42: charge: card declined (stuck, undo failed); undo reserve: warehouse closed
	// order-42 undo failed
}

// An engine sweeps once an hour by itself; after Retain the ID is free again.
func ExampleEngine_Sweep() {
	ctx := context.Background()
	mock := clock.NewMock() // a program leaves Clock nil
	def := checkout()
	engine := opened(durable.Config{Clock: mock, Retain: 20 * time.Minute}, def)
	defer func() { _ = engine.Close(ctx) }()
	run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 70})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := run.Wait(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(engine.Sweep(ctx))
	mock.Add(21 * time.Minute)
	if _, err := engine.Sweep(ctx); err != nil { // so does the engine by itself, every hour
		log.Fatal(err)
	}
	_, _, err = run.State(ctx)
	fmt.Println(err)
	// Output:
	// reserve
	// charge
	// 0 <nil>
	// durable: run "order-42": not found
}

// A drawing of a run, for instance for a runbook.
func ExampleRecord_Mermaid() {
	ctx := context.Background()
	engine, _ := stranded(ctx)
	defer func() { _ = engine.Close(ctx) }()
	rec, err := engine.Get(ctx, "order-42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(rec.Mermaid())
	// Output:
	// reserve
	// charge
	// saga: checkout/order-42: charge: card declined (stuck, undo failed); undo reserve: warehouse closed
	// flowchart TD
	//   n0["reserve (undo)"]:::failed
	//   n1["charge (undo)"]:::failed
	//   n0 --> n1
	//   classDef applied fill:#cfc
	//   classDef undone fill:#eee,stroke-dasharray:4
	//   classDef failed fill:#fcc
	//   classDef open fill:#ffc
}

// Where the saga is not registered the events are drawn.
func ExampleRecord_DOT() {
	rec := &durable.Record{Events: []durable.Event{{N: 1, Kind: "created"}, {N: 2, Kind: "started", Step: "reserve"}}}
	fmt.Println(rec.DOT())
	// Output:
	// digraph run {
	//   e0 [label="created "];
	//   e1 [label="started reserve"];
	//   e0 -> e1;
	// }
}

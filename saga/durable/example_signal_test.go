package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// A run waits for a signal as long as it takes. It may come before its step is
// reached.
func ExampleSignal() {
	ctx := context.Background()
	def := checkout()
	engine := opened(durable.Config{}, def)
	defer func() { _ = engine.Close(ctx) }()
	run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 700})
	if err != nil {
		log.Fatal(err)
	}
	if err := durable.Signal(ctx, engine, "order-42", "approve", "ann"); err != nil {
		log.Fatal(err)
	}
	end, err := run.Wait(ctx)
	fmt.Println(end.Approved, err)
	fmt.Println(durable.Signal(ctx, engine, "order-42", "approve", "bob"))
	fmt.Println(durable.Signal(ctx, engine, "order-43", "approve", "bob"))
	// Output:
	// reserve
	// approved by ann
	// charge
	// ann <nil>
	// durable: step "approve" of run "order-42" has its signal: conflict
	// durable: run "order-43": not found
}

// A message that is delivered twice: with its ID the second one is no surprise.
func ExampleSignalWith() {
	ctx := context.Background()
	def := checkout()
	engine := opened(durable.Config{}, def)
	defer func() { _ = engine.Close(ctx) }()
	run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 700})
	if err != nil {
		log.Fatal(err)
	}
	for _, message := range []string{"m1", "m1", "m2"} {
		cfg := durable.SignalConfig{Run: "order-42", Step: "approve", DedupID: message}
		err := durable.SignalWith(ctx, engine, cfg, "ann")
		if err != nil {
			defer fmt.Println(message, errors.Is(err, durable.ErrConflict))
		}
	}
	_, err = run.Wait(ctx)
	fmt.Println(err)
	// Output:
	// reserve
	// approved by ann
	// charge
	// <nil>
	// m2 true
}

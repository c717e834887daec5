package saga_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-go/mainstay/saga"
)

// Hooks are for logs and metrics: they see every attempt and every change of the
// status. Steps of a group may tell at the same time.
func ExampleHooks() {
	hooks := saga.Hooks{
		Status: func(_ context.Context, e saga.StatusEvent) {
			fmt.Println("run", e.Run, "is", e.To, e.Cause)
		},
		StepStart: func(_ context.Context, i saga.StepInfo) {
			fmt.Println("attempt", i.Attempt, "of", i.Step)
		},
		StepDone: func(_ context.Context, e saga.StepEvent) {
			verb := "do"
			if e.Info.Undoing {
				verb = "undo"
			}
			fmt.Println(verb, e.Info.Step, e.Result, e.Err)
		},
	}
	quiet := func(context.Context, *Order) error { return nil }
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: quiet, Undo: quiet},
		{Name: "charge", Do: func(context.Context, *Order) error { return saga.Reject(errors.New("card declined")) }},
	})
	_ = def.RunWith(context.Background(), saga.RunConfig{ID: "42", Hooks: hooks}, &Order{})
	// Output:
	// run 42 is running <nil>
	// attempt 1 of reserve
	// do reserve applied <nil>
	// attempt 1 of charge
	// do charge rejected card declined
	// run 42 is compensating card declined
	// attempt 1 of reserve
	// undo reserve applied <nil>
	// run 42 is compensated card declined
}

// A hook that panics changes nothing about the run. Fault is told.
func ExampleFaultEvent() {
	hooks := saga.Hooks{
		StepDone: func(context.Context, saga.StepEvent) { panic("no such metric") },
		Fault:    func(_ context.Context, e saga.FaultEvent) { fmt.Println(e.Op, "of", e.Run, e.Err) },
	}
	def := saga.MustNew("checkout", []saga.Step[Order]{{Name: "reserve", Do: reserve, Undo: release}})
	fmt.Println(def.RunWith(context.Background(), saga.RunConfig{ID: "42", Hooks: hooks}, &Order{Item: "lamp"}))
	// Output:
	// reserve lamp
	// step done of 42 saga: panic: no such metric
	// <nil>
}

// Info has the idempotency key: the other side takes all attempts with one key for
// one request. An Undo knows the key of what it undoes.
func ExampleInfo() {
	post := func(ctx context.Context, _ *Order) error {
		info := saga.Info(ctx)
		fmt.Println("Idempotency-Key:", info.Key)
		if info.Undoing {
			fmt.Println("undoes", info.DoKey, "which was", info.Outcome)
		}
		return nil
	}
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "charge", Do: post, Undo: post},
		{Name: "ship", Do: func(context.Context, *Order) error { return saga.Reject(errors.New("no such street")) }},
	})
	_ = def.RunWith(context.Background(), saga.RunConfig{ID: "order 42"}, &Order{})
	fmt.Println(saga.Info(context.Background()).Key == "") // outside of a step
	// Output:
	// Idempotency-Key: checkout/order%2042/charge/do
	// Idempotency-Key: checkout/order%2042/charge/undo
	// undoes checkout/order%2042/charge/do which was applied
	// true
}

// Around is for tracing and limits: it wraps every attempt, and what it returns is
// the result.
func ExampleRunConfig_around() {
	around := func(ctx context.Context, info saga.StepInfo, next func(context.Context) error) error {
		fmt.Println("begin", info.Step)
		err := next(ctx) // with the context of a span
		fmt.Println("end", info.Step, err)
		return err
	}
	def := saga.MustNew("checkout", []saga.Step[Order]{{Name: "reserve", Do: reserve}, {Name: "charge", Do: charge}})
	_ = def.RunWith(context.Background(), saga.RunConfig{Around: around}, &Order{Item: "lamp", Cents: 4900})
	// Output:
	// begin reserve
	// reserve lamp
	// end reserve <nil>
	// begin charge
	// charge 4900
	// end charge <nil>
}

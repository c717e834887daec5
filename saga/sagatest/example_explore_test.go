package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// An account is a fake that books what it is told, however often.
type account struct{ balance int }

// transfer is a saga that is wrong twice: it takes again what it has taken if nobody
// has heard of that, and it gives back what it never took.
func transfer(a *account) *saga.Saga[int] {
	return saga.MustNew("transfer", []saga.Step[int]{
		{
			Name: "take",
			Do:   func(_ context.Context, n *int) error { a.balance -= *n; return nil },
			Undo: func(_ context.Context, n *int) error { a.balance += *n; return nil },
		},
	})
}

// Explore finds out in ten lines: an answer may be lost, and the process may die before
// the money is taken.
func ExampleExplore() {
	test := func(t *testing.T) {
		var a *account // a fake, which the steps of the saga book on
		sagatest.Explore(t, sagatest.Explorer[int]{
			Setup: func() (*saga.Saga[int], int) {
				a = &account{balance: 100}
				return transfer(a), 30
			},
			Check: func(end saga.Status, _ int) error {
				if want := map[saga.Status]int{saga.Completed: 70, saga.Compensated: 100}[end]; a.balance != want {
					return fmt.Errorf("the balance is %d, want %d", a.balance, want)
				}
				return nil
			},
		})
	}
	fmt.Println(passes("TestTransfer", test))
	// Output: false
}

// A Recorder tells what a run did.
func ExampleRecorder() {
	var r sagatest.Recorder
	a, n := &account{balance: 100}, 30
	fmt.Println(transfer(a).RunWith(context.Background(), saga.RunConfig{Hooks: r.Hooks()}, &n))
	fmt.Println(r.Trace())
	// Output:
	// <nil>
	// [do take applied]
}

// Hooks are set in the config of a run, or of an engine.
func ExampleRecorder_Hooks() {
	var r sagatest.Recorder
	engine, err := durable.Open(&durable.MemoryStore{}, durable.Config{Hooks: r.Hooks()})
	fmt.Println(err)
	fmt.Println(engine.Close(context.Background()))
	// Output:
	// <nil>
	// <nil>
}

// Trace grows with every attempt.
func ExampleRecorder_Trace() {
	var r sagatest.Recorder
	def := saga.MustNew("checkout", []saga.Step[int]{
		{Name: "reserve", Do: func(context.Context, *int) error { return nil }, Undo: func(context.Context, *int) error { return nil }},
		{Name: "charge", Do: func(context.Context, *int) error { return saga.Reject(errors.New("declined")) }},
	})
	_ = def.RunWith(context.Background(), saga.RunConfig{Hooks: r.Hooks()}, new(int))
	for _, line := range r.Trace() {
		fmt.Println(line)
	}
	// Output:
	// do reserve applied
	// do charge rejected
	// undo reserve applied
}

// CheckLaw looks at the journal of a run.
func ExampleCheckLaw() {
	ctx := context.Background()
	engine, err := durable.Open(&durable.MemoryStore{}, durable.Config{})
	if err != nil {
		panic(err)
	}
	def := transfer(&account{balance: 100})
	if err := durable.Register(engine, def); err != nil {
		panic(err)
	}
	run, err := durable.Start(ctx, engine, def, "t1", 30)
	if err != nil {
		panic(err)
	}
	_, err = run.Wait(ctx)
	fmt.Println(err)
	record, err := engine.Get(ctx, "t1")
	fmt.Println(err, sagatest.CheckLaw(def.Plan(), record), engine.Close(ctx))
	// Output:
	// <nil>
	// <nil> <nil> <nil>
}

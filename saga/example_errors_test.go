package saga_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-go/mainstay/saga"
)

// errors.Is tells why a saga failed. What could not be undone is listed beside it,
// and ErrStuck says that there is something.
func ExampleError() {
	errFunds, errDown := errors.New("insufficient funds"), errors.New("warehouse is down")
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{
			Name: "reserve", Do: reserve,
			Undo:      func(context.Context, *Order) error { return errDown },
			UndoRetry: saga.Retry{Attempts: 1},
		},
		{Name: "charge", Do: func(context.Context, *Order) error { return saga.Reject(errFunds) }},
	})
	err := def.Run(context.Background(), &Order{Item: "lamp"})
	fmt.Println(errors.Is(err, errFunds), errors.Is(err, errDown), errors.Is(err, saga.ErrStuck))

	var failed *saga.Error
	if errors.As(err, &failed) {
		byHand := func(u saga.UndoFailure) {
			fmt.Println("by hand:", u.Step, "was", u.Outcome, "and Undo says", u.Err)
		}
		for _, u := range failed.Undo {
			byHand(u)
		}
	}
	// Output:
	// reserve lamp
	// true false true
	// by hand: reserve was applied and Undo says warehouse is down
}

// A panic in a step is a failure like any other: what is done is undone. Then Run
// panics, as the caller's own code would have, with all there is to say.
func ExamplePanicError() {
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: reserve, Undo: release},
		{Name: "charge", Do: func(context.Context, *Order) error {
			panic("no rate for EUR")
		}},
	})
	defer func() {
		err, _ := recover().(error)
		var p *saga.PanicError
		if errors.As(err, &p) {
			fmt.Println("a bug:", p.Value) // p.Stack is where
		}
	}()
	_ = def.Run(context.Background(), &Order{Item: "lamp"})
	// Output:
	// reserve lamp
	// release lamp
	// a bug: no rate for EUR
}

// Runs that have ended need nobody any more. One that is stuck does.
func ExampleStatus_Ended() {
	for _, s := range []saga.Status{saga.Running, saga.Stuck, saga.Completed, saga.Compensated} {
		fmt.Println(s, s.Ended())
	}
	// Output:
	// running false
	// stuck false
	// completed true
	// compensated true
}

// A step that only reads is ReadOnly: there is nothing to undo, whatever became of
// it. Lint asks about those that are not, and have no Undo.
func ExampleStep_readOnly() {
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "price", ReadOnly: true, Do: func(_ context.Context, o *Order) error { o.Cents = 4900; return nil }},
		{Name: "charge", Do: charge, Undo: refund, When: func(o *Order) bool { return o.Cents > 0 }},
	})
	fmt.Println(def.Run(context.Background(), &Order{}), def.Lint())
	// Output:
	// charge 4900
	// <nil> []
}

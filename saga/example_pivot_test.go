package saga_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-go/mainstay/saga"
)

// The pivot is the point of no return. What comes after it is tried until it
// succeeds, as long as RunConfig.Grace lasts, and nothing is undone any more.
func ExampleStep_pivot() {
	attempt := 0
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: reserve, Undo: release},
		{Name: "ship", Do: ship, Pivot: true},
		{Name: "mail", Do: func(_ context.Context, o *Order) error {
			attempt++
			if attempt < 4 {
				return errors.New("mail server is down")
			}
			fmt.Println("mail at attempt", attempt)
			return nil
		}, Retry: saga.Retry{Wait: -1}},
	})
	fmt.Println(def.Run(context.Background(), &Order{Item: "lamp"}))
	// Output:
	// reserve lamp
	// ship lamp
	// mail at attempt 4
	// <nil>
}

// A pivot of which nobody knows whether it took effect is neither left nor gone back
// from. Probe asks the other side.
func ExampleOutcome() {
	for _, found := range []saga.Outcome{saga.Applied, saga.Rejected, saga.Unknown} {
		def := saga.MustNew("checkout", []saga.Step[Order]{
			{Name: "reserve", Do: reserve, Undo: release},
			{
				Name:  "ship",
				Do:    func(context.Context, *Order) error { return errors.New("connection reset") },
				Probe: func(context.Context, *Order) (saga.Outcome, error) { return found, nil },
				Retry: saga.Retry{Attempts: 1},
				Pivot: true,
			},
			{Name: "mail", Do: mail},
		})
		fmt.Println("the carrier says", found)
		fmt.Println(def.RunWith(context.Background(), saga.RunConfig{ID: "42"}, &Order{ID: "42", Item: "lamp"}))
	}
	// Output:
	// the carrier says applied
	// reserve lamp
	// mail about 42
	// <nil>
	// the carrier says rejected
	// reserve lamp
	// release lamp
	// saga: checkout/42: ship: connection reset (compensated)
	// the carrier says unknown
	// reserve lamp
	// saga: checkout/42: ship: connection reset (stuck, pivot unknown)
}

// A run that can neither go on nor back is stuck. The reason tells what there is to
// decide.
func ExampleReason() {
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "ship", Do: ship, Pivot: true},
		{Name: "mail", Do: func(context.Context, *Order) error {
			return saga.Reject(errors.New("no such address"))
		}},
	})
	err := def.Run(context.Background(), &Order{Item: "lamp"})
	var failed *saga.Error
	if errors.As(err, &failed) && failed.Status == saga.Stuck {
		switch failed.Reason {
		case saga.ReasonPivotUnknown:
			fmt.Println("find out whether", failed.Step, "took effect")
		case saga.ReasonForwardFailed:
			fmt.Println("do by hand:", failed.Step, "because", failed.Err)
		case saga.ReasonUndoFailed:
			fmt.Println("undo by hand:", failed.Undo)
		default:
			fmt.Println(failed) // the engine knows some more
		}
	}
	// Output:
	// ship lamp
	// do by hand: mail because no such address
}

package saga_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// An Order is the state that goes through the steps.
type Order struct {
	ID      string
	Item    string
	Cents   int
	Payment string // what charge has got, so that refund knows it
}

func reserve(_ context.Context, o *Order) error { fmt.Println("reserve", o.Item); return nil }
func release(_ context.Context, o *Order) error { fmt.Println("release", o.Item); return nil }

func charge(_ context.Context, o *Order) error {
	fmt.Println("charge", o.Cents)
	o.Payment = "pay-1"
	return nil
}

func refund(_ context.Context, o *Order) error { fmt.Println("refund", o.Payment); return nil }
func ship(_ context.Context, o *Order) error   { fmt.Println("ship", o.Item); return nil }
func mail(_ context.Context, o *Order) error   { fmt.Println("mail about", o.ID); return nil }

// shipped asks the carrier whether there is a parcel.
func shipped(context.Context, *Order) (saga.Outcome, error) { return saga.Unknown, nil }

// declined is a charge that the bank refuses: certainly no money has moved.
func declined(context.Context, *Order) error {
	fmt.Println("charge: declined")
	return saga.Reject(errors.New("card declined"))
}

var checkout = saga.MustNew("checkout", []saga.Step[Order]{
	{Name: "reserve", Do: reserve, Undo: release, Timeout: 2 * time.Second},
	{Name: "charge", Do: charge, Undo: refund, Retry: saga.Retry{Attempts: 4}},
	{Name: "ship", Do: ship, Probe: shipped, Pivot: true},
	{Name: "mail", Do: mail}, // after the pivot: tried again, never undone
})

// The quick start: a saga is a package-level variable, and each run of it has a
// state of its own.
func Example() {
	ctx := context.Background()
	order := Order{ID: "order-42", Item: "lamp", Cents: 4900}
	err := checkout.Run(ctx, &order) // nil: all is done
	fmt.Println(order.Payment, err)
	// Output:
	// reserve lamp
	// charge 4900
	// ship lamp
	// mail about order-42
	// pay-1 <nil>
}

// When a step fails for good, what is done is undone, latest first. The error tells
// which step it was and why, and that nothing is left of the run.
func ExampleSaga_Run() {
	refused := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: reserve, Undo: release},
		{Name: "charge", Do: declined, Undo: refund},
		{Name: "ship", Do: ship, Pivot: true},
	})
	err := refused.Run(context.Background(), &Order{Item: "lamp"})

	var failed *saga.Error
	if errors.As(err, &failed) {
		fmt.Println(failed.Step, failed.Outcome, failed.Status)
	}
	fmt.Println(errors.Is(err, saga.ErrStuck)) // nobody has to look after it
	// Output:
	// reserve lamp
	// charge: declined
	// release lamp
	// charge rejected compensated
	// false
}

// A lost answer is no errDeclined: the money may have moved, so it is paid back.
func ExampleSaga_Run_unknown() {
	unclear := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: reserve, Undo: release},
		{Name: "charge", Do: func(context.Context, *Order) error {
			fmt.Println("charge: no answer")
			return errors.New("connection reset")
		}, Undo: func(ctx context.Context, _ *Order) error {
			fmt.Println("refund, if there was a charge:", saga.Info(ctx).Outcome)
			return nil
		}},
	})
	err := unclear.RunWith(context.Background(), saga.RunConfig{ID: "order-42"}, &Order{Item: "lamp"})
	fmt.Println(err)
	// Output:
	// reserve lamp
	// charge: no answer
	// refund, if there was a charge: unknown
	// release lamp
	// saga: checkout/order-42: charge: connection reset (compensated)
}

// A run that goes back does so though its caller has left: an Undo has the values
// of the caller's context and not its end.
func ExampleSaga_Run_canceled() {
	ctx, cancel := context.WithCancel(context.Background())
	hasty := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: reserve, Undo: func(ctx context.Context, o *Order) error {
			fmt.Println("release", o.Item, ctx.Err())
			return nil
		}},
		{Name: "charge", Do: func(ctx context.Context, _ *Order) error {
			cancel() // the customer closes the window
			return saga.Reject(ctx.Err())
		}},
	})
	err := hasty.Run(ctx, &Order{Item: "lamp"})
	fmt.Println(errors.Is(err, context.Canceled))
	// Output:
	// reserve lamp
	// release lamp <nil>
	// true
}

// A config is about one run: here its name, which is part of the keys, and a policy
// for steps that have none.
func ExampleSaga_RunWith() {
	attempt := 0
	flaky := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "charge", Do: func(ctx context.Context, _ *Order) error {
			attempt++
			fmt.Println("attempt", attempt, "with", saga.Info(ctx).Key)
			if attempt < 3 {
				return errors.New("bank is down")
			}
			return nil
		}},
	})
	err := flaky.RunWith(context.Background(), saga.RunConfig{
		ID:    "order-42",
		Retry: saga.Retry{Attempts: 5, Wait: -1}, // at once
	}, &Order{})
	fmt.Println(err)
	// Output:
	// attempt 1 with checkout/order-42/charge/do
	// attempt 2 with checkout/order-42/charge/do
	// attempt 3 with checkout/order-42/charge/do
	// <nil>
}

func ExampleSaga_Name() {
	fmt.Println(checkout.Name())
	// Output: checkout
}

// The error names everything that is wrong with a definition.
func ExampleNew() {
	_, err := saga.New("checkout", []saga.Step[Order]{
		{Name: "ship", Do: ship, Undo: refund, Pivot: true},
		{Name: "ship", Do: mail},
		{Name: "rest"},
	})
	fmt.Println(err)
	// Output:
	// saga: New("checkout"): Steps[0] "ship".Undo is set, want none on the pivot, from which a run only goes forward
	// Steps[1] "ship".Name is "ship", want a name used once among siblings, Was and Retired
	// Steps[2] "rest" is of no kind, want Do, Parallel, Await, Sleep, SleepUntil, Sub or ForEach
}

// MustNew is for package-level variables: a mistake shows when the program starts.
func ExampleMustNew() {
	defer func() { fmt.Println(recover()) }()
	saga.MustNew("check/out", []saga.Step[Order]{{Name: "reserve", Do: reserve}})
	// Output: saga: New("check/out"): Name is "check/out", want 1 to 128 bytes of printable UTF-8 without "/"
}

// A Spec has what is about the saga as a whole, such as the time that the way to
// the pivot may take.
func ExampleNewWith() {
	slow, err := saga.NewWith(saga.Spec[Order]{
		Name:    "checkout",
		Timeout: time.Millisecond,
		Steps: []saga.Step[Order]{
			{Name: "reserve", Do: reserve, Undo: release},
			{Name: "charge", ReadOnly: true, Do: func(ctx context.Context, _ *Order) error {
				<-ctx.Done() // the bank takes its time
				return ctx.Err()
			}},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = slow.Run(context.Background(), &Order{Item: "lamp"})
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output:
	// reserve lamp
	// release lamp
	// true
}

// A Classify for all steps turns the errors of a client into what a saga has to
// know.
func ExampleMustNewWith() {
	errExists, errFunds := errors.New("already exists"), errors.New("insufficient funds")
	def := saga.MustNewWith(saga.Spec[Order]{
		Name: "checkout",
		Classify: func(err error) error {
			switch {
			case errors.Is(err, errExists):
				return nil // an earlier attempt has done it
			case errors.Is(err, errFunds):
				return saga.Reject(err)
			}
			return err // nobody knows
		},
		Steps: []saga.Step[Order]{
			{Name: "reserve", Do: func(context.Context, *Order) error { return errExists }, Undo: release},
			{Name: "charge", Do: func(context.Context, *Order) error { return errFunds }, Undo: refund},
		},
	})
	err := def.RunWith(context.Background(), saga.RunConfig{ID: "order-42"}, &Order{Item: "lamp"})
	fmt.Println(err)
	// Output:
	// release lamp
	// saga: checkout/order-42: charge: insufficient funds (compensated)
}

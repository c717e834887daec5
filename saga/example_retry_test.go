package saga_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga"
)

// A hastyClock does not wait: it goes forward to whatever is to happen next. It
// serves one timer at a time.
type hastyClock struct{ *clock.Mock }

func newHastyClock() hastyClock { return hastyClock{clock.NewMock()} }

func (c hastyClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	t := c.Mock.AfterFunc(d, f)
	c.Add(d)
	return t
}

// sinceStart is the time on a Mock that began at zero.
func (c hastyClock) sinceStart() time.Duration { return c.Since(time.Unix(0, 0)) }

// A step is tried again when nobody knows what became of it. The wait grows, up to
// MaxWait, and each attempt has the same idempotency key.
func ExampleRetry() {
	hasty := newHastyClock() // nil in a program: system time
	attempt := 0
	def := saga.MustNew("checkout", []saga.Step[Order]{{
		Name: "charge",
		Do: func(ctx context.Context, o *Order) error {
			attempt++
			fmt.Println("attempt", attempt, "after", hasty.sinceStart())
			if attempt < 5 {
				return errors.New("connection refused")
			}
			return nil
		},
		Retry: saga.Retry{Attempts: 5, Wait: time.Second, MaxWait: 3 * time.Second, NoJitter: true},
	}})
	fmt.Println(def.RunWith(context.Background(), saga.RunConfig{Clock: hasty}, &Order{}))
	// Output:
	// attempt 1 after 0s
	// attempt 2 after 1s
	// attempt 3 after 3s
	// attempt 4 after 6s
	// attempt 5 after 9s
	// <nil>
}

// UndoRetry is how often a compensation is tried; after the last attempt the run is
// stuck, and somebody has to look after it. What was before is undone all the same.
func ExampleRetry_undo() {
	attempt := 0
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: reserve, Undo: release},
		{Name: "charge", Do: charge, Undo: func(context.Context, *Order) error {
			attempt++
			fmt.Println("refund, attempt", attempt)
			return errors.New("bank is down")
		}, UndoRetry: saga.Retry{Attempts: 2, Wait: -1}},
		{Name: "ship", Do: func(context.Context, *Order) error { return saga.Reject(errors.New("no such street")) }},
	})
	err := def.RunWith(context.Background(), saga.RunConfig{ID: "order-42"}, &Order{Item: "lamp", Cents: 4900})
	fmt.Println(errors.Is(err, saga.ErrStuck))
	fmt.Println(err)
	// Output:
	// reserve lamp
	// charge 4900
	// refund, attempt 1
	// refund, attempt 2
	// release lamp
	// true
	// saga: checkout/order-42: ship: no such street (stuck, undo failed); undo charge: bank is down
}

// Reject says that there was certainly no effect: there is no other attempt, and the
// step itself is not undone. Other errors leave that open.
func ExampleReject() {
	answer := func(status int) error {
		err := fmt.Errorf("bank: %s", http.StatusText(status))
		switch {
		case status < 300:
			return nil
		case status >= 400 && status < 500:
			return saga.Reject(err) // it understood, and would not
		}
		return err // it may have done it before it failed
	}
	for _, status := range []int{http.StatusPaymentRequired, http.StatusBadGateway} {
		def := saga.MustNew("checkout", []saga.Step[Order]{{
			Name: "charge",
			Do:   func(context.Context, *Order) error { return answer(status) },
			Undo: refund,
		}})
		fmt.Println(def.RunWith(context.Background(), saga.RunConfig{ID: "42"}, &Order{Payment: "pay-1"}))
	}
	// Output:
	// saga: checkout/42: charge: bank: Payment Required (compensated)
	// refund pay-1
	// saga: checkout/42: charge: bank: Bad Gateway (compensated)
}

// The other side may say when to come again. With Reject inside it says as well that
// it has done nothing, so that nothing is to be undone if it stays that way.
func ExampleRetryAfter() {
	hasty := newHastyClock() // nil in a program: system time
	busy := errors.New("too many requests")
	def := saga.MustNew("checkout", []saga.Step[Order]{{
		Name: "charge",
		Do: func(context.Context, *Order) error {
			fmt.Println("charge after", hasty.sinceStart())
			return saga.RetryAfter(saga.Reject(busy), 90*time.Second)
		},
		Undo:  refund, // not called
		Retry: saga.Retry{Attempts: 3},
	}})
	err := def.RunWith(context.Background(), saga.RunConfig{ID: "42", Clock: hasty}, &Order{})
	fmt.Println(err)
	fmt.Println(errors.Is(err, busy))
	// Output:
	// charge after 0s
	// charge after 1m30s
	// charge after 3m0s
	// saga: checkout/42: charge: too many requests (compensated)
	// true
}

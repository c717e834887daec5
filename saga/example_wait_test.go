package saga_test

import (
	"context"
	"fmt"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga"
)

// Sleep waits in the middle of a run. When the context ends, or the time of the run
// is over, the wait does, too.
func ExampleSleep() {
	hasty := newHastyClock() // nil in a program: system time
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: reserve, Undo: release},
		saga.Sleep(saga.Step[Order]{Name: "think it over"}, time.Hour),
		{Name: "charge", Do: charge, Undo: refund},
	})
	err := def.RunWith(context.Background(), saga.RunConfig{Clock: hasty}, &Order{Item: "lamp", Cents: 4900})
	fmt.Println(hasty.sinceStart(), err)
	// Output:
	// reserve lamp
	// charge 4900
	// 1h0m0s <nil>
}

// SleepUntil asks once for the instant. One that is past is no wait, and When leaves
// the whole step out.
func ExampleSleepUntil() {
	type Renewal struct{ Due time.Time }
	hasty := newHastyClock() // nil in a program: system time
	def := saga.MustNew("renew", []saga.Step[Renewal]{
		saga.SleepUntil(saga.Step[Renewal]{
			Name: "until it is due",
			When: func(r *Renewal) bool { return !r.Due.IsZero() },
		}, func(r *Renewal) time.Time { return r.Due }),
		{Name: "charge", Do: func(context.Context, *Renewal) error { fmt.Println("charge after", hasty.sinceStart()); return nil }},
	})
	for _, due := range []time.Time{{}, time.Unix(0, 0).Add(24 * time.Hour), time.Unix(0, 0)} {
		fmt.Println(def.RunWith(context.Background(), saga.RunConfig{Clock: hasty}, &Renewal{due}))
	}
	// Output:
	// charge after 0s
	// <nil>
	// charge after 24h0m0s
	// <nil>
	// charge after 24h0m0s
	// <nil>
}

// Await waits for a signal, which only the engine of package durable has: there a
// run waits for days, and through restarts. In memory such a saga is refused before
// anything is done.
func ExampleAwait() {
	type Approval struct{ By string }
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "reserve", Do: reserve, Undo: release},
		saga.Await(saga.Step[Order]{Name: "approve", Timeout: 24 * time.Hour},
			func(_ context.Context, o *Order, a Approval) error {
				if a.By == "" {
					return saga.Reject(fmt.Errorf("order %s is not approved", o.ID))
				}
				return nil
			}),
		{Name: "ship", Do: ship, Pivot: true},
	})
	fmt.Println(def.Run(context.Background(), &Order{}))
	// Output: saga: "checkout" has an Await, for which there is no signal in memory: start it in an engine
}

// In tests time is a clock.Mock that the test moves. Here the hour passes before the
// step has an answer.
func ExampleClock() {
	mock := clock.NewMock()
	var now saga.Clock = mock
	def := saga.MustNew("checkout", []saga.Step[Order]{
		{Name: "charge", Timeout: time.Hour, Undo: refund, Do: func(ctx context.Context, _ *Order) error {
			mock.Add(time.Hour)
			<-ctx.Done()
			return context.Cause(ctx)
		}},
	})
	err := def.RunWith(context.Background(), saga.RunConfig{ID: "42", Clock: now}, &Order{Payment: "pay-1"})
	fmt.Println(err)
	// Output:
	// refund pay-1
	// saga: checkout/42: charge: context deadline exceeded (compensated)
}

package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// A Config is a value: one for all dependencies, copied and changed for those
// that differ.
func ExampleConfig() {
	usual := breaker.Config{
		Trip: breaker.Any(
			breaker.ConsecutiveFailures(5),
			breaker.SlowRate(2*time.Second, 0.5, 20, breaker.Within(30*time.Second)),
		),
		OpenFor: 10 * time.Second,
		Clock:   &handClock{}, // nil in a program: system time
	}
	reports := usual
	reports.OpenFor = 5 * time.Minute // takes long to come back

	for name, cfg := range map[string]breaker.Config{"stock": usual, "reports": reports} {
		b := breaker.MustNew(name, cfg)
		b.Trip(0, errDown)
		fmt.Println(b.Name(), b.Snapshot().RetryAfter)
	}
	// Unordered output:
	// stock 10s
	// reports 5m0s
}

// With Backoff a dependency that stays down is probed less and less often.
func ExampleConfig_backoff() {
	clock := &handClock{}
	b := breaker.MustNew("stock", breaker.Config{
		Trip:       breaker.ConsecutiveFailures(1),
		OpenFor:    10 * time.Second,
		Backoff:    2,
		MaxOpenFor: time.Minute,
		Clock:      clock,
	})
	for range 5 {
		_ = b.Run(context.Background(), func(context.Context) error { return errDown })
		wait := b.Snapshot().RetryAfter
		fmt.Print(wait, " ")
		clock.forward(wait)
	}
	// Output: 10s 20s 40s 1m0s 1m0s
}

// Keys need not be strings; Name says what they are called in errors and hooks.
func ExampleGroupConfig() {
	type route struct{ method, path string }
	routes := breaker.MustNewGroup(breaker.GroupConfig[route]{
		Config: breaker.Config{Trip: breaker.ConsecutiveFailures(3)},
		Name:   func(r route) string { return r.method + " " + r.path },
		Max:    100,
	})
	orders := routes.Get(route{"POST", "/orders"})
	orders.ForceOpen(errors.New("stocktaking"))
	fmt.Println(orders.Run(context.Background(), func(context.Context) error { return nil }))
	// Output: breaker: "POST /orders" is forced-open: stocktaking
}

// A clock of one's own replays a log: when would this rule have opened?
func ExampleClock() {
	clock := &handClock{} // has Now and Since, and is moved by the log
	b := breaker.MustNew("stock", breaker.Config{
		Trip:  breaker.FailureCount(3, breaker.Within(time.Minute)),
		Clock: clock,
		Hooks: breaker.Hooks{Transition: func(_ context.Context, t breaker.Transition) {
			fmt.Println(t.To, "at", t.At.Format(time.TimeOnly))
		}},
	})
	for _, at := range []string{"09:00:00", "09:00:50", "09:01:30", "09:01:40"} { // its failures
		clock.now, _ = time.Parse(time.TimeOnly, at)
		_ = b.Run(context.Background(), func(context.Context) error { return errDown })
	}
	// Output: open at 09:01:40
}

// A line for a page that shows how the dependencies are.
func ExampleSnapshot() {
	line := func(s breaker.Snapshot) string {
		return fmt.Sprintf("%s: %v by %v (%v), %v to wait, %d rejected", s.Name, s.State, s.Reason, s.Cause, s.RetryAfter, s.Rejected)
	}
	b := breaker.MustNew("stock", breaker.Config{Clock: &handClock{}})
	for range 7 {
		_ = b.Run(context.Background(), func(context.Context) error { return errDown })
	}
	fmt.Println(line(b.Snapshot()))
	// Output: stock: open by failures (connection refused), 30s to wait, 2 rejected
}

// The name tells breakers apart where many meet, such as in a flag that lists
// those to be forced open.
func ExampleBreaker_Name() {
	off := map[string]bool{"mailer": true}
	for _, b := range []*breaker.Breaker{
		breaker.MustNew("mailer", breaker.Config{}),
		breaker.MustNew("stock", breaker.Config{}),
	} {
		if off[b.Name()] {
			b.ForceOpen(errors.New("switched off"))
		}
		fmt.Println(b.Name(), b.State())
	}
	// Output:
	// mailer forced-open
	// stock closed
}

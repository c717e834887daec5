package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

func ExampleConsecutiveFailures() {
	fmt.Println(breaker.ConsecutiveFailures(5))
	// Output: 5 consecutive failures
}

func ExampleFailureCount() {
	fmt.Println(breaker.FailureCount(5, breaker.Within(time.Minute)))
	// Output: 5 failures within 1m0s
}

func ExampleFailureRate() {
	fmt.Println(breaker.FailureRate(0.5, 0, breaker.LastN(100)))
	// Output: failure rate >= 0.5 of the last 100, at least 20 calls
}

// A hung dependency does not fail, it takes long.
func ExampleSlowRate() {
	fmt.Println(breaker.SlowRate(2*time.Second, 0.8, 10, breaker.Within(30*time.Second)))
	// Output: slow-call rate (2s or more) >= 0.8 within 30s, at least 10 calls
}

func ExampleAny() {
	fmt.Println(breaker.Any(
		breaker.ConsecutiveFailures(5),
		breaker.SlowRate(time.Second, 0.5, 20, breaker.LastN(50)),
	))
	// Output: 5 consecutive failures or slow-call rate (1s or more) >= 0.5 of the last 50, at least 20 calls
}

func ExampleWindow() {
	fine := breaker.Window{Within: 10 * time.Second, Buckets: 100}
	fmt.Println(breaker.FailureRate(0.1, 50, fine))
	// Output: failure rate >= 0.1 within 10s, at least 50 calls
}

func ExampleLastN() {
	fmt.Println(breaker.FailureCount(3, breaker.LastN(10)))
	// Output: 3 failures of the last 10
}

func ExampleWithin() {
	fmt.Println(breaker.FailureCount(3, breaker.Within(time.Second)))
	// Output: 3 failures within 1s
}

// An own classifier decides about its own errors and leaves the rest, such as
// cancelled callers, to the default.
func ExampleDefaultClassify() {
	errNotFound := errors.New("not found")
	b := breaker.MustNew("users", breaker.Config{
		Classify: func(ctx context.Context, err error) breaker.Outcome {
			if errors.Is(err, errNotFound) {
				return breaker.Success // the dependency works
			}
			return breaker.DefaultClassify(ctx, err)
		},
	})
	_ = b.Run(context.Background(), func(context.Context) error { return errNotFound })
	fmt.Println(b.Snapshot().Failures)
	// Output: 0
}

// Transitions as log lines.
func ExampleHooks() {
	clock := &handClock{}
	b := breaker.MustNew("stock", breaker.Config{
		Trip:       breaker.ConsecutiveFailures(1),
		CloseAfter: 1,
		Clock:      clock,
		Hooks: breaker.Hooks{
			Transition: func(_ context.Context, t breaker.Transition) {
				fmt.Println(t.From, "->", t.To, "by", t.Reason, t.Cause)
			},
			Rejected: func(_ context.Context, r *breaker.RejectedError) {
				fmt.Println("rejected for", r.RetryAfter())
			},
		},
	})
	_ = b.Run(context.Background(), func(context.Context) error { return errDown })
	_ = b.Run(context.Background(), func(context.Context) error { return nil })
	clock.forward(30 * time.Second)
	_ = b.Run(context.Background(), func(context.Context) error { return nil })
	// Output:
	// closed -> open by failures connection refused
	// rejected for 30s
	// open -> half-open by open time over <nil>
	// half-open -> closed by probes passed <nil>
}

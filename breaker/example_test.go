package breaker_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// errDown stands for whatever a dependency that is down returns.
var errDown = errors.New("connection refused")

// A clock that only moves when it is told to keeps the examples' output the
// same; see Example_mockClock for the one of github.com/benbjohnson/clock.
type handClock struct{ now time.Time }

func (c *handClock) Now() time.Time                  { return c.now }
func (c *handClock) Since(t time.Time) time.Duration { return c.now.Sub(t) }
func (c *handClock) forward(d time.Duration)         { c.now = c.now.Add(d) }

// The quick start: wrap a call, and learn at once when it is pointless.
func Example() {
	payments := breaker.MustNew("payments", breaker.Config{
		Trip:  breaker.FailureRate(0.5, 4, breaker.Within(10*time.Second)),
		Clock: &handClock{},
	})
	charge := func(ctx context.Context) (string, error) { return "", errDown }

	for range 5 {
		_, err := breaker.Do(context.Background(), payments, charge)
		if rejected := (*breaker.RejectedError)(nil); errors.As(err, &rejected) {
			fmt.Println("not called; try again in", rejected.RetryAfter())
			continue
		}
		fmt.Println("called:", err)
	}
	// Output:
	// called: connection refused
	// called: connection refused
	// called: connection refused
	// called: connection refused
	// not called; try again in 30s
}

func ExampleNew() {
	_, err := breaker.New("payments", breaker.Config{Probes: 100, Jitter: 2})
	fmt.Println(err)

	b, err := breaker.New("payments", breaker.Config{}) // the zero Config is good
	fmt.Println(b.Name(), b.State(), err)
	// Output:
	// breaker: Jitter is 2, want at most 0.5
	// breaker: Probes is 100, want 1 to 64, or 0 for 1
	// payments closed <nil>
}

// A breaker for a whole program is a package-level variable.
func ExampleMustNew() {
	mailer := breaker.MustNew("mailer", breaker.Config{OpenFor: time.Minute})
	fmt.Println(mailer.State())
	// Output: closed
}

func ExampleDo() {
	b := breaker.MustNew("stock", breaker.Config{})
	n, err := breaker.Do(context.Background(), b, func(ctx context.Context) (int, error) {
		return 42, nil
	})
	fmt.Println(n, err)
	// Output: 42 <nil>
}

// A fallback is an if: nothing to configure.
func ExampleDo_fallback() {
	b := breaker.MustNew("prices", breaker.Config{})
	b.ForceOpen(errors.New("maintenance"))

	price, err := breaker.Do(context.Background(), b, func(ctx context.Context) (int, error) {
		return 100, nil
	})
	if errors.Is(err, breaker.ErrRejected) {
		price, err = 90, nil // yesterday's
	}
	fmt.Println(price, err)
	// Output: 90 <nil>
}

// DoResult judges the result too: here an answer that says it is not one.
func ExampleDoResult() {
	b := breaker.MustNew("search", breaker.Config{Trip: breaker.ConsecutiveFailures(1)})
	status, err := breaker.DoResult(context.Background(), b,
		func(ctx context.Context) (int, error) { return 503, nil },
		func(status int, err error) breaker.Outcome {
			if status >= 500 {
				return breaker.Failure
			}
			return breaker.DefaultClassify(context.Background(), err)
		})
	fmt.Println(status, err, b.State())
	fmt.Println(b.Snapshot().Cause)
	// Output:
	// 503 <nil> open
	// breaker: the call returned no error but was judged a failure
}

func ExampleBreaker_Run() {
	b := breaker.MustNew("mailer", breaker.Config{})
	err := b.Run(context.Background(), func(ctx context.Context) error { return errDown })
	fmt.Println(err, b.Snapshot().Failures)
	// Output: connection refused 1
}

// Allow is for calls that do not fit a function, such as a stream.
func ExampleBreaker_Allow() {
	b := breaker.MustNew("events", breaker.Config{})
	stream := func(work func() error) error {
		permit, err := b.Allow(context.Background())
		if err != nil {
			return err
		}
		defer permit.Record(breaker.Failure, errors.New("panicked")) // nothing if there was a report
		err = work()
		permit.Done(err)
		return err
	}
	fmt.Println(stream(func() error { return errDown }), b.Snapshot().Failures)
	fmt.Println(stream(func() error { return nil }), b.Snapshot().Failures)
	// Output:
	// connection refused 1
	// <nil> 0
}

func ExamplePermit_Done() {
	b := breaker.MustNew("events", breaker.Config{})
	permit, _ := b.Allow(context.Background())
	permit.Done(errDown)
	fmt.Println(b.Snapshot().Failures)
	// Output: 1
}

// Record is for callers who know better than the classifier.
func ExamplePermit_Record() {
	b := breaker.MustNew("cache", breaker.Config{})
	permit, _ := b.Allow(context.Background())
	permit.Record(breaker.Ignored, errors.New("not found"))
	s := b.Snapshot()
	fmt.Println(s.Failures, s.Ignored)
	// Output: 0 1
}

// Trip reports that the dependency itself asked for a pause.
func ExamplePermit_Trip() {
	b := breaker.MustNew("api", breaker.Config{Clock: &handClock{}})
	permit, _ := b.Allow(context.Background())
	permit.Trip(7*time.Second, errors.New("429 Too Many Requests"))
	fmt.Println(b.State(), b.Snapshot().RetryAfter)
	// Output: open 7s
}

// Progress keeps a long probe from losing its lease.
func ExamplePermit_Progress() {
	clock := &handClock{}
	b := breaker.MustNew("feed", breaker.Config{OpenFor: 10 * time.Second, CloseAfter: 1, Clock: clock})
	b.Trip(0, errDown)
	clock.forward(10 * time.Second)

	probe, _ := b.Allow(context.Background()) // a stream without an end
	probe.Progress()
	fmt.Println("data after 0s:", b.State())
	clock.forward(5 * time.Second) // half of the lease
	probe.Progress()
	fmt.Println("data after 5s:", b.State())
	// Output:
	// data after 0s: half-open
	// data after 5s: closed
}

func ExampleBreaker_State() {
	clock := &handClock{}
	b := breaker.MustNew("stock", breaker.Config{Clock: clock})
	b.Trip(0, nil)
	fmt.Println(b.State())
	clock.forward(30 * time.Second)
	fmt.Println(b.State())
	// Output:
	// open
	// half-open
}

func ExampleBreaker_Snapshot() {
	clock := &handClock{}
	b := breaker.MustNew("stock", breaker.Config{Trip: breaker.FailureRate(0.5, 20, breaker.LastN(100)), Clock: clock})
	for i := range 10 {
		_ = b.Run(context.Background(), func(context.Context) error {
			if i%5 == 0 {
				return errDown
			}
			return nil
		})
	}
	s := b.Snapshot()
	fmt.Printf("%s is %v: %d of %d calls failed (%.0f %%)\n", s.Name, s.State, s.Failures, s.Calls, 100*s.FailureRate)
	// Output: stock is closed: 2 of 10 calls failed (20 %)
}

func ExampleBreaker_Trip() {
	b := breaker.MustNew("stock", breaker.Config{Clock: &handClock{}})
	b.Trip(90*time.Second, errors.New("deploying"))
	err := b.Run(context.Background(), func(context.Context) error { return nil })
	fmt.Println(err)
	// Output: breaker: "stock" is open, opened by trip: deploying
}

func ExampleBreaker_ForceOpen() {
	b := breaker.MustNew("stock", breaker.Config{})
	b.ForceOpen(errors.New("on-call said so"))
	fmt.Println(b.Run(context.Background(), func(context.Context) error { return nil }))
	b.Auto()
	fmt.Println(b.State())
	// Output:
	// breaker: "stock" is forced-open: on-call said so
	// closed
}

// A dry run: everything is admitted, and the hook tells what would have been.
func ExampleBreaker_ForceClosed() {
	b := breaker.MustNew("stock", breaker.Config{
		Initial: breaker.ForcedClosed,
		Hooks: breaker.Hooks{Transition: func(_ context.Context, t breaker.Transition) {
			fmt.Println("would open:", t.WouldOpen, "because of", t.Cause)
		}},
	})
	for range 6 {
		_ = b.Run(context.Background(), func(context.Context) error { return errDown })
	}
	fmt.Println(b.State())
	// Output:
	// would open: true because of connection refused
	// forced-closed
}

func ExampleBreaker_Auto() {
	b := breaker.MustNew("stock", breaker.Config{})
	b.Trip(-1, errDown)
	b.ForceClosed()
	fmt.Println(b.State())
	b.Auto() // where it was before
	fmt.Println(b.State())
	// Output:
	// forced-closed
	// open
}

func ExampleBreaker_Reset() {
	b := breaker.MustNew("stock", breaker.Config{})
	b.Trip(-1, errDown)
	b.Reset()
	fmt.Println(b.State(), b.Snapshot().Cause)
	// Output: closed <nil>
}

func ExampleBreaker_Reconfigure() {
	b := breaker.MustNew("stock", breaker.Config{Trip: breaker.ConsecutiveFailures(10)})
	down := func(context.Context) error { return errDown }
	for range 4 {
		_ = b.Run(context.Background(), down)
	}
	fmt.Println(b.Reconfigure(breaker.Config{Trip: breaker.ConsecutiveFailures(3)}))
	fmt.Println(b.State(), b.Snapshot().Failures) // counts survive, and nothing opens by itself
	_ = b.Run(context.Background(), down)
	fmt.Println(b.State())
	// Output:
	// <nil>
	// closed 4
	// open
}

func ExampleRejectedError() {
	b := breaker.MustNew("stock", breaker.Config{Clock: &handClock{}})
	b.Trip(5*time.Second, errDown)

	err := b.Run(context.Background(), func(context.Context) error { return nil })
	var rejected *breaker.RejectedError
	if errors.As(err, &rejected) {
		fmt.Println(rejected.Name, rejected.State, rejected.Cause, rejected.RetryAfter())
	}
	fmt.Println(errors.Is(err, breaker.ErrOpen), errors.Is(err, errDown))
	// Output:
	// stock open connection refused 5s
	// true false
}

// RetryAfter counts down: the error may be kept, and asked again later.
func ExampleRejectedError_RetryAfter() {
	clock := &handClock{}
	b := breaker.MustNew("stock", breaker.Config{Clock: clock})
	b.Trip(5*time.Second, errDown)

	err := b.Run(context.Background(), func(context.Context) error { return nil })
	var rejected *breaker.RejectedError
	if errors.As(err, &rejected) {
		fmt.Println(rejected.RetryAfter())
		clock.forward(2 * time.Second)
		fmt.Println(rejected.RetryAfter())
	}
	// Output:
	// 5s
	// 3s
}

// Transitions as a metric: how often each breaker went where. Record labels that
// are few, such as the states and reasons, not the text of a Cause.
func ExampleTransition() {
	var transitions expvar.Map // in a program: expvar.NewMap("breaker_transitions")
	b := breaker.MustNew("stock", breaker.Config{Hooks: breaker.Hooks{
		Transition: func(_ context.Context, t breaker.Transition) {
			if !t.WouldOpen {
				transitions.Add(fmt.Sprintf("%s to %v by %v", t.Name, t.To, t.Reason), 1)
			}
		},
	}})
	for range 5 {
		_ = b.Run(context.Background(), func(context.Context) error { return errDown })
	}
	b.Reset()
	fmt.Println(transitions.String())
	// Output: {"stock to closed by reset": 1, "stock to open by failures": 1}
}

// Hooks.Done is told every call: here the outcomes are counted, and what took
// how long is printed.
func ExampleCompletion() {
	clock := &handClock{}
	var outcomes expvar.Map
	b := breaker.MustNew("stock", breaker.Config{
		Clock: clock,
		Hooks: breaker.Hooks{Done: func(_ context.Context, c breaker.Completion) {
			outcomes.Add(c.Outcome.String(), 1)
			fmt.Println(c.Name, c.Outcome, c.Err, c.Took)
		}},
	})
	for _, err := range []error{nil, errDown, nil} {
		_ = b.Run(context.Background(), func(context.Context) error {
			clock.forward(20 * time.Millisecond)
			return err
		})
	}
	fmt.Println(outcomes.String())
	// Output:
	// stock success <nil> 20ms
	// stock failure connection refused 20ms
	// stock success <nil> 20ms
	// {"failure": 1, "success": 2}
}

// Reasons, and outcomes too, are words in JSON.
func ExampleReason_MarshalText() {
	b := breaker.MustNew("stock", breaker.Config{})
	b.Trip(-1, errDown)
	s := b.Snapshot()
	text, _ := json.Marshal(map[string]any{"state": s.State, "reason": s.Reason, "cause": s.Cause.Error()})
	fmt.Println(string(text))
	// Output: {"cause":"connection refused","reason":"trip","state":"open"}
}

func ExampleOutcome_MarshalText() {
	s, _ := json.Marshal(map[breaker.Outcome]int{breaker.Success: 7, breaker.Ignored: 1})
	fmt.Println(string(s))
	// Output: {"ignored":1,"success":7}
}

func ExampleState_MarshalText() {
	s, _ := json.Marshal(map[string]breaker.State{"stock": breaker.HalfOpen})
	fmt.Println(string(s))
	// Output: {"stock":"half-open"}
}

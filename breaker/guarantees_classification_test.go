package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// contexts are how a context may be when a call has ended.
var contexts = map[string]func(context.Context) (context.Context, context.CancelFunc){
	"alive": context.WithCancel,
	"cancelled": func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		return ctx, cancel
	},
	"cancelled, cause": func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(errOther)
		return ctx, func() { cancel(nil) }
	},
	"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, -1)
	},
	"deadline, cause": func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(ctx, -1, errOther)
	},
	// As a context is made on a fake clock.
	"deadline, only in cause": func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(context.DeadlineExceeded)
		return ctx, func() { cancel(nil) }
	},
}

// G12, G13: what DefaultClassify makes of an error under a context.
func TestG12_defaultClassify(t *testing.T) {
	const s, f, i = breaker.Success, breaker.Failure, breaker.Ignored
	wrap := func(err error) error { return fmt.Errorf("wrapped: %w", err) }
	rejection := &breaker.RejectedError{State: breaker.Open}
	order := []string{"alive", "cancelled", "cancelled, cause", "deadline", "deadline, cause", "deadline, only in cause"}
	cases := []struct {
		name string
		err  error
		want [6]breaker.Outcome // in the order of the names
	}{
		{"nil", nil, [6]breaker.Outcome{s, s, s, s, s, s}},
		{"any", errBoom, [6]breaker.Outcome{f, f, f, f, f, f}},
		{"canceled", context.Canceled, [6]breaker.Outcome{f, i, i, f, f, f}},
		{"canceled, wrapped", wrap(context.Canceled), [6]breaker.Outcome{f, i, i, f, f, f}},
		{"the cause", errOther, [6]breaker.Outcome{f, f, i, f, f, f}},
		{"the cause, wrapped", wrap(errOther), [6]breaker.Outcome{f, f, i, f, f, f}},
		{"the cause, joined", errors.Join(errBoom, errOther), [6]breaker.Outcome{f, f, i, f, f, f}},
		{"deadline", context.DeadlineExceeded, [6]breaker.Outcome{f, f, f, f, f, f}},
		{"rejection", rejection, [6]breaker.Outcome{i, i, i, i, i, i}},
		{"rejection, wrapped", wrap(rejection), [6]breaker.Outcome{i, i, i, i, i, i}},
		{"rejection, joined", errors.Join(errBoom, rejection), [6]breaker.Outcome{i, i, i, i, i, i}},
		{"sentinel", breaker.ErrRejected, [6]breaker.Outcome{i, i, i, i, i, i}},
		{"sentinel, wrapped", wrap(breaker.ErrRejected), [6]breaker.Outcome{i, i, i, i, i, i}},
		{"by its Is", posing{}, [6]breaker.Outcome{i, i, i, i, i, i}},
	}
	for _, c := range cases {
		for n, name := range order {
			ctx, cancel := contexts[name](t.Context())
			assert.Equal(t, c.want[n], breaker.DefaultClassify(ctx, c.err), "%s, ctx %s", c.name, name)
			cancel()
		}
	}
	assert.Equal(t, f, breaker.DefaultClassify(context.Background(), context.Canceled))
}

// posing says of itself that it is a rejection.
type posing struct{}

func (posing) Error() string        { return "posing" }
func (posing) Is(target error) bool { return target == breaker.ErrRejected }

// G12: a breaker without a classifier judges as DefaultClassify does, in every
// form of call.
func TestG12_breakerUsesDefaultClassify(t *testing.T) {
	for form, call := range forms {
		for _, err := range []error{nil, errBoom, context.Canceled, breaker.ErrRejected} {
			b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(1, 9, breaker.LastN(9))})
			ctx, cancel := context.WithCancel(t.Context())
			got := call(ctx, b, func(context.Context) error {
				cancel()
				return err
			})
			assert.Equal(t, err, got)
			want := map[breaker.Outcome]tallies{
				breaker.Success: {Calls: 1},
				breaker.Failure: {Calls: 1, Failures: 1},
				breaker.Ignored: {Ignored: 1},
			}[breaker.DefaultClassify(ctx, err)]
			assert.Equal(t, want, tally(b), "%s %v", form, err)
		}
	}
}

// G12: nil is a success without the classifier being asked; any other error is
// shown to it, with the context of the call.
func TestG12_classifierAsked(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	var asked []error
	b := breaker.MustNew("b", breaker.Config{
		Trip: breaker.FailureRate(1, 9, breaker.LastN(9)),
		Classify: func(ctx context.Context, err error) breaker.Outcome {
			assert.Equal(t, "mine", ctx.Value(key{}))
			asked = append(asked, err)
			return breaker.Success
		},
	})
	for form, call := range forms {
		if form == "DoResult" {
			continue
		}
		require.NoError(t, call(ctx, b, returning(nil)))
		assert.Empty(t, asked)
		require.Equal(t, errBoom, call(ctx, b, returning(errBoom)))
		assert.Equal(t, []error{errBoom}, asked)
		asked = nil
	}
	assert.Equal(t, tallies{Calls: 6}, tally(b))
}

// G12, G38: unknown outcomes count as failures.
func TestG12_unknownOutcome(t *testing.T) {
	const unknown = breaker.Outcome(77)
	b := breaker.MustNew("b", breaker.Config{
		Trip:     breaker.ConsecutiveFailures(3),
		Classify: func(context.Context, error) breaker.Outcome { return unknown },
	})
	failing(t, b, 1)
	issued(t, b).Record(unknown, nil)
	assert.Equal(t, tallies{Calls: 2, Failures: 2}, tally(b))
	_, err := breaker.DoResult(t.Context(), b, func(context.Context) (int, error) { return 0, nil },
		func(int, error) breaker.Outcome { return unknown })
	require.NoError(t, err)
	assertState(t, breaker.Open, b)
}

// G13: a hung dependency trips.
func TestG13_deadlinesTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{})
		for range 5 {
			assertState(t, breaker.Closed, b)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			assert.Equal(t, context.DeadlineExceeded, b.Run(ctx, hang))
			cancel()
		}
		assertState(t, breaker.Open, b)
	})
}

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// G13: what MinBudget forgives, whoever judged, and what it does not.
func TestG13_minBudget(t *testing.T) {
	const budget = time.Second
	failure := func(context.Context, error) breaker.Outcome { return breaker.Failure }
	cases := map[string]struct {
		left     time.Duration // until the deadline of the caller; 0: none
		classify func(context.Context, error) breaker.Outcome
		fn       func(context.Context) error
		ignored  bool
	}{
		"too little":                   {budget - 1, nil, hang, true},
		"just enough":                  {budget, nil, hang, false},
		"own classifier":               {budget - 1, failure, hang, true},
		"no deadline":                  {0, nil, returning(context.DeadlineExceeded), false},
		"failed before the deadline":   {budget - 1, nil, lasting(time.Millisecond, context.DeadlineExceeded), false},
		"another error":                {budget - 1, nil, lasting(budget, errBoom), false},
		"wrapped":                      {budget - 1, nil, lasting(budget, fmt.Errorf("x: %w", context.DeadlineExceeded)), true},
		"succeeded after the deadline": {budget - 1, nil, lasting(budget, nil), false},
	}
	for form, call := range forms {
		inBubbles(t, cases, func(t *testing.T, c struct {
			left     time.Duration
			classify func(context.Context, error) breaker.Outcome
			fn       func(context.Context) error
			ignored  bool
		},
		) {
			b := breaker.MustNew("b", breaker.Config{
				Trip: breaker.FailureRate(1, 9, breaker.LastN(9)), MinBudget: budget, Classify: c.classify,
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.left > 0 {
				ctx, cancel = context.WithTimeout(ctx, c.left)
				defer cancel()
			}
			_ = call(ctx, b, c.fn)
			if got := tally(b); c.ignored {
				assert.Equal(t, tallies{Ignored: 1}, got, form)
			} else {
				assert.EqualValues(t, 1, got.Calls, form)
				assert.Zero(t, got.Ignored, form)
			}
		})
	}
}

// G13: budgets hold in half-open too, and over Record.
func TestG13_minBudgetOfProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{MinBudget: time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second-1)
		defer cancel()
		p, err := b.Allow(ctx)
		require.NoError(t, err)
		<-ctx.Done()
		p.Record(breaker.Failure, context.DeadlineExceeded)
		assert.Equal(t, tallies{Ignored: 1}, tally(b))
		assertState(t, breaker.HalfOpen, b)
	})
}

// G13: budgets are measured in system time, as the deadlines of contexts are.
func TestG13_budgetIgnoresTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeClock() // decades behind
		b := breaker.MustNew("b", breaker.Config{MinBudget: time.Minute, Clock: c})
		for _, left := range []time.Duration{time.Second, time.Hour} {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			_ = b.Run(ctx, hang)
			cancel()
		}
		assert.Equal(t, tallies{Calls: 1, Failures: 1, Ignored: 1}, tally(b))
	})
}

// G14: slow at exactly the threshold, failed or not, in windows of both kinds.
func TestG14_slowCalls(t *testing.T) {
	const threshold = time.Second
	windows := map[string]breaker.Window{"last": breaker.LastN(100), "within": breaker.Within(time.Hour)}
	inBubbles(t, windows, func(t *testing.T, w breaker.Window) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{
			Trip:  breaker.Any(breaker.FailureRate(1, 100, w), breaker.SlowRate(threshold, 1, 100, w)),
			Hooks: breaker.Hooks{Done: r.hooks().Done},
		})
		calls := []struct {
			took time.Duration
			err  error
			slow bool
		}{
			{0, nil, false},
			{threshold - 1, nil, false},
			{threshold - 1, errBoom, false},
			{threshold, nil, true},
			{threshold, errBoom, true},
			{time.Minute, nil, true},
		}
		for _, c := range calls {
			_ = b.Run(t.Context(), lasting(c.took, c.err))
			assert.Equal(t, c.slow, r.completed(t).Slow)
			assert.Equal(t, c.took, r.completed(t).Took)
		}
		s := b.Snapshot()
		assert.EqualValues(t, 6, s.SlowOf)
		assert.EqualValues(t, 3, s.Slow)
		assert.InDelta(t, 0.5, s.SlowRate, 0)
		assert.EqualValues(t, 6, s.Calls)
		assert.EqualValues(t, 2, s.Failures)
		assert.InDelta(t, 2.0/6, s.FailureRate, 1e-9)
	})
}

// G14: of two thresholds each rule goes by its own; Completion by the lower.
func TestG14_twoThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.Any(
				breaker.SlowRate(3*time.Second, 1, 2, breaker.LastN(2)),
				breaker.SlowRate(time.Second, 1, 5, breaker.LastN(5)),
			),
			Hooks: r.hooks(),
		})
		for range 4 {
			require.NoError(t, b.Run(t.Context(), lasting(2*time.Second, nil)))
			assert.True(t, r.completed(t).Slow)
			assertState(t, breaker.Closed, b)
			assert.Zero(t, b.Snapshot().Slow, "the first rule's threshold is 3s")
		}
		require.NoError(t, b.Run(t.Context(), lasting(2*time.Second, nil)))
		assertState(t, breaker.Open, b)
	})
}

// G14: a call given up after the threshold is slow, and in no other window.
func TestG14_givenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.Any(
			breaker.SlowRate(time.Second, 1, 9, breaker.LastN(9)),
			breaker.FailureRate(1, 9, breaker.LastN(9)),
		)})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		assert.Equal(t, context.Canceled, b.Run(ctx, hang))
		s := b.Snapshot()
		assert.EqualValues(t, 1, s.SlowOf)
		assert.EqualValues(t, 1, s.Slow)
		assert.Equal(t, tallies{Ignored: 1}, tally(b))
	})
}

// G14: a slow probe is a failed one, cancelled or not.
func TestG14_slowProbe(t *testing.T) {
	probes := map[string]func(context.Context, context.CancelFunc) error{
		"succeeds": func(context.Context, context.CancelFunc) error { time.Sleep(time.Second); return nil },
		"cancelled": func(ctx context.Context, cancel context.CancelFunc) error {
			time.AfterFunc(time.Second, cancel)
			return hang(ctx)
		},
	}
	inBubbles(t, probes, func(t *testing.T, probe func(context.Context, context.CancelFunc) error) {
		b := halfOpened(t, breaker.Config{Trip: breaker.SlowRate(time.Second, 1, 9, breaker.LastN(9)), CloseAfter: 1})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_ = b.Run(ctx, func(ctx context.Context) error { return probe(ctx, cancel) })
		assertState(t, breaker.Open, b)
		assert.Equal(t, breaker.ReasonProbeFailed, b.Snapshot().Reason)
		assert.Error(t, b.Snapshot().Cause)
	})
}

// G15: DoResult's classifier judges every return, and Config's is not asked.
func TestG15_doResult(t *testing.T) {
	newBreaker := func() *breaker.Breaker {
		return breaker.MustNew("b", breaker.Config{
			Trip: breaker.FailureRate(1, 2, breaker.LastN(2)),
			Classify: func(context.Context, error) breaker.Outcome {
				assert.Fail(t, "asked")
				return breaker.Failure
			},
		})
	}
	judge := func(o breaker.Outcome) func(int, error) breaker.Outcome {
		return func(n int, _ error) breaker.Outcome {
			assert.Equal(t, 42, n)
			return o
		}
	}
	for _, err := range []error{nil, errBoom} {
		for o, want := range map[breaker.Outcome]tallies{
			breaker.Success: {Calls: 1},
			breaker.Failure: {Calls: 1, Failures: 1},
			breaker.Ignored: {Ignored: 1},
		} {
			b := newBreaker()
			n, got := breaker.DoResult(t.Context(), b, func(context.Context) (int, error) { return 42, err }, judge(o))
			assert.Equal(t, 42, n)
			assert.Equal(t, err, got)
			assert.Equal(t, want, tally(b))
		}
	}
	b := newBreaker()
	for range 2 {
		_, err := breaker.DoResult(t.Context(), b, func(context.Context) (int, error) { return 42, nil }, judge(breaker.Failure))
		require.NoError(t, err)
	}
	assertState(t, breaker.Open, b)
	require.Error(t, b.Snapshot().Cause)
	assert.Contains(t, b.Snapshot().Cause.Error(), "judged a failure")
}

// G15: without a classifier DoResult is Do.
func TestG15_nilClassifier(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{
		Trip:     breaker.FailureRate(1, 9, breaker.LastN(9)),
		Classify: func(context.Context, error) breaker.Outcome { return breaker.Success },
	})
	n, err := breaker.DoResult(t.Context(), b, func(context.Context) (int, error) { return 42, errBoom }, nil)
	assert.Equal(t, 42, n)
	assert.Equal(t, errBoom, err)
	assert.Equal(t, tallies{Calls: 1}, tally(b))
}

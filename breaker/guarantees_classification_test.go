package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
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
		"of a connection":              {budget - 1, nil, lasting(budget, fmt.Errorf("x: %w", os.ErrDeadlineExceeded)), true},
		"of a connection, before":      {budget - 1, nil, lasting(time.Millisecond, os.ErrDeadlineExceeded), false},
		"no timeout after all":         {budget - 1, nil, lasting(budget, deniedError{}), false},
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

// deniedError has the method Timeout, and denies.
type deniedError struct{}

func (deniedError) Error() string { return "refused" }
func (deniedError) Timeout() bool { return false }

// G13: but not over Permit.Trip, which is more than an outcome.
func TestG13_minBudgetAndTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{MinBudget: time.Second, Hooks: r.hooks()})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		p, err := b.Allow(ctx)
		require.NoError(t, err)
		<-ctx.Done()
		p.Trip(time.Minute, context.DeadlineExceeded)
		assert.Equal(t, breaker.Failure, r.completed(t).Outcome)
		assertState(t, breaker.Open, b)
		assert.Zero(t, b.Snapshot().Ignored)
	})
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

// G13: the deadline has passed when the system's clock says so; the context may
// be a moment late.
func TestG13_contextIsLate(t *testing.T) {
	cases := map[string]struct {
		took time.Duration
		want tallies
	}{
		"at the deadline": {time.Second, tallies{Ignored: 1}},
		"just before":     {time.Second - 1, tallies{Calls: 1, Failures: 1}},
	}
	inBubbles(t, cases, func(t *testing.T, c struct {
		took time.Duration
		want tallies
	},
	) {
		b := breaker.MustNew("b", breaker.Config{MinBudget: time.Minute})
		ctx := lateContext{t.Context(), time.Now().Add(time.Second)}
		_ = b.Run(ctx, lasting(c.took, context.DeadlineExceeded))
		assert.Equal(t, c.want, tally(b))
	})
}

// lateContext has a deadline, and has not noticed it.
type lateContext struct {
	context.Context //nolint:containedctx // it is a context
	deadline        time.Time
}

func (c lateContext) Deadline() (time.Time, bool) { return c.deadline, true }

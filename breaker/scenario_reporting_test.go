package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G8: the failure of a call whose stay is over changes nothing but Late.
func TestScenario13_lateFailure(t *testing.T) {
	later := map[string]func(*testing.T, *breaker.Breaker){
		"open": func(t *testing.T, b *breaker.Breaker) {
			failing(t, b, 3)
		},
		"half-open": func(t *testing.T, b *breaker.Breaker) {
			failing(t, b, 3)
			time.Sleep(openFor)
			passing(t, b, 1)
		},
		"open again": func(t *testing.T, b *breaker.Breaker) {
			failing(t, b, 3)
			time.Sleep(openFor)
			failing(t, b, 1)
		},
		"closed again": func(t *testing.T, b *breaker.Breaker) {
			failing(t, b, 3)
			time.Sleep(openFor)
			passing(t, b, 3)
			failing(t, b, 2) // one more would open
		},
		"half-open with a probe": func(t *testing.T, b *breaker.Breaker) {
			failing(t, b, 3)
			time.Sleep(openFor)
			issued(t, b)
		},
	}
	inBubbles(t, later, func(t *testing.T, move func(*testing.T, *breaker.Breaker)) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(3), Hooks: r.transition()})
		p := issued(t, b)
		move(t, b)
		before, events := b.Snapshot(), r.steps()
		p.Done(errBoom)
		before.Late++
		assert.Equal(t, before, b.Snapshot())
		assert.Equal(t, events, r.steps())
	})
}

// G8: a late success does not help to close, nor to break a row.
func TestScenario13_lateSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(3), CloseAfter: 1})
		early := []*breaker.Permit{issued(t, b), issued(t, b)}
		failing(t, b, 3)
		time.Sleep(openFor)
		probe := issued(t, b)
		early[0].Done(nil)
		assertState(t, breaker.HalfOpen, b)
		assert.Equal(t, tallies{Late: 1}, tally(b))

		probe.Done(nil)
		failing(t, b, 2)
		early[1].Done(nil)
		assert.Equal(t, tallies{Calls: 2, Failures: 2, Late: 2}, tally(b))
		failing(t, b, 1)
		assertState(t, breaker.Open, b)
	})
}

// G8: calls longer than the window count when they end.
func TestScenario13_longCalls(t *testing.T) {
	const w = 10 * time.Second
	rules := map[string]breaker.Rule{
		"rate":  breaker.FailureRate(0.5, 5, breaker.Within(w)),
		"count": breaker.FailureCount(5, breaker.Within(w)),
	}
	inBubbles(t, rules, func(t *testing.T, rule breaker.Rule) {
		b := breaker.MustNew("b", breaker.Config{Trip: rule})
		var calls sync.WaitGroup
		for range 5 {
			calls.Go(func() { _ = b.Run(t.Context(), lasting(3*w, errBoom)) })
		}
		time.Sleep(3*w - 1)
		assertState(t, breaker.Closed, b)
		assert.Zero(t, b.Snapshot().Calls)
		calls.Wait()
		assertState(t, breaker.Open, b)
		assert.Zero(t, b.Snapshot().Late)
	})
}

// G7: one outcome counts, however often it is reported.
func TestScenario14_reportedOnce(t *testing.T) {
	newBreaker := func() *breaker.Breaker {
		return breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(1, 100, breaker.LastN(100))})
	}
	t.Run("twice", func(t *testing.T) {
		b := newBreaker()
		p := issued(t, b)
		p.Done(errBoom)
		p.Done(errBoom)
		p.Done(nil)
		assert.Equal(t, tallies{Calls: 1, Failures: 1}, tally(b))
	})
	t.Run("by eight goroutines", func(t *testing.T) {
		for range 200 {
			b := newBreaker()
			p := issued(t, b)
			var reporters sync.WaitGroup
			for range 8 {
				reporters.Go(func() { p.Done(errBoom) })
			}
			reporters.Wait()
			require.Equal(t, tallies{Calls: 1, Failures: 1}, tally(b))
		}
	})
	t.Run("zero permit", func(t *testing.T) {
		var p breaker.Permit
		assert.NotPanics(t, func() {
			p.Progress()
			p.Done(errBoom)
			p.Record(breaker.Failure, nil)
			p.Trip(time.Hour, nil)
			p.Done(nil)
		})
	})
}

// G12: the caller's cancel is ignored, the same error with ctx alive is not.
func TestScenario22_callerCancels(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(5)})
	for range 6 {
		ctx, cancel := context.WithCancel(t.Context())
		assert.Equal(t, context.Canceled, b.Run(ctx, func(context.Context) error {
			cancel()
			return context.Canceled
		}))
	}
	assertState(t, breaker.Closed, b)
	assert.Equal(t, tallies{Ignored: 6}, tally(b))

	for range 5 {
		assertState(t, breaker.Closed, b)
		assert.Equal(t, context.Canceled, b.Run(t.Context(), returning(context.Canceled)))
	}
	assertState(t, breaker.Open, b)
	assert.Equal(t, tallies{Ignored: 6}, tally(b))
}

// G13: a deadline fails under whatever name, unless the call had too little
// time from the start.
func TestScenario23_deadlineWithCause(t *testing.T) {
	const d = time.Second
	cases := map[string]struct {
		budget time.Duration
		want   tallies
	}{
		"no budget":    {0, tallies{Calls: 1, Failures: 1}},
		"above budget": {d, tallies{Calls: 1, Failures: 1}},
		"below budget": {d + 1, tallies{Ignored: 1}},
	}
	inBubbles(t, cases, func(t *testing.T, c struct {
		budget time.Duration
		want   tallies
	},
	) {
		b := breaker.MustNew("b", breaker.Config{MinBudget: c.budget})
		ctx, cancel := context.WithTimeoutCause(t.Context(), d, errOther)
		defer cancel()
		err := b.Run(ctx, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		})
		assert.Equal(t, errOther, err)
		assert.Equal(t, c.want, tally(b))
	})
}

// G14: impatient callers reveal a hung dependency.
func TestScenario24_impatientCallers(t *testing.T) {
	cases := map[string]struct {
		patience time.Duration
		want     breaker.State
	}{
		"after 2s":        {2 * time.Second, breaker.Open},
		"at exactly 1s":   {time.Second, breaker.Open},
		"just before 1s":  {time.Second - 1, breaker.Closed},
		"after half of 1": {time.Second / 2, breaker.Closed},
	}
	inBubbles(t, cases, func(t *testing.T, c struct {
		patience time.Duration
		want     breaker.State
	},
	) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.SlowRate(time.Second, 0.5, 4, breaker.LastN(10))})
		for range 4 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(c.patience, cancel)
			_ = b.Run(ctx, func(ctx context.Context) error {
				<-ctx.Done()
				return ctx.Err()
			})
		}
		assertState(t, c.want, b)
		assert.EqualValues(t, 4, b.Snapshot().Ignored)
		if c.want == breaker.Closed {
			assert.Zero(t, b.Snapshot().SlowOf)
		} else {
			assert.Equal(t, breaker.ReasonSlowCalls, b.Snapshot().Reason)
		}
	})
}

// G12, G39: a rejection by a nested breaker is no failure of the outer one.
func TestScenario25_nested(t *testing.T) {
	inner := breaker.MustNew("inner", breaker.Config{Trip: breaker.ConsecutiveFailures(1)})
	outer := breaker.MustNew("outer", breaker.Config{Trip: breaker.ConsecutiveFailures(3)})
	require.Equal(t, io.EOF, inner.Run(t.Context(), returning(io.EOF)))
	for range 100 {
		err := outer.Run(t.Context(), func(ctx context.Context) error {
			if err := inner.Run(ctx, returning(nil)); err != nil {
				return fmt.Errorf("wrapped: %w", err)
			}
			return nil
		})
		require.ErrorIs(t, err, breaker.ErrRejected)
		require.NotErrorIs(t, err, io.EOF)
	}
	assertState(t, breaker.Closed, outer)
	assert.Equal(t, tallies{Ignored: 100}, tally(outer))
	assert.EqualValues(t, 100, inner.Snapshot().Rejected)

	rejection := refusal(t, inner)
	assert.Equal(t, io.EOF, rejection.Cause)
	assert.False(t, errors.Is(rejection, io.EOF))
}

package breaker_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G27, G28: forced open rejects for ever, and the automatic state waits.
func TestScenario16_forceOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(3), OpenFor: openFor})
		failing(t, b, 2)
		b.ForceOpen(errOther)
		for range 3 {
			rejection := refusal(t, b)
			assert.ErrorIs(t, rejection, breaker.ErrOpen)
			assert.Equal(t, breaker.ForcedOpen, rejection.State)
			assert.Equal(t, breaker.ReasonForced, rejection.Reason)
			assert.Equal(t, errOther, rejection.Cause)
			assert.Zero(t, rejection.RetryAfter())
			assertState(t, breaker.ForcedOpen, b)
			time.Sleep(openFor)
		}
		b.Auto()
		assertState(t, breaker.Closed, b)
		assert.Equal(t, tallies{Calls: 2, Failures: 2}, tally(b))
		failing(t, b, 1)
		assertState(t, breaker.Open, b)

		time.Sleep(10 * time.Second)
		b.ForceOpen(nil)
		time.Sleep(10 * time.Second)
		refused(t, b)
		b.Auto()
		assertState(t, breaker.Open, b)
		assert.Equal(t, openFor-20*time.Second, refusal(t, b).RetryAfter())
		time.Sleep(openFor - 20*time.Second)
		passing(t, b, 3)
		assertState(t, breaker.Closed, b)
	})
}

// G28: an open time that ends under a forced state has ended.
func TestScenario16_openTimeOverMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1)})
		failing(t, b, 1)
		b.ForceOpen(nil)
		time.Sleep(openFor)
		assertState(t, breaker.ForcedOpen, b)
		refused(t, b)
		b.Auto()
		assertState(t, breaker.HalfOpen, b)
		passing(t, b, 3)
		assertState(t, breaker.Closed, b)
	})
}

// G1, G27: forced closed admits everything and says once per open time what it
// would have done.
func TestScenario17_forceClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(3), Hooks: r.transition()})
		b.ForceClosed()
		failing(t, b, 2)
		assert.Equal(t, tallies{Calls: 2, Failures: 2}, tally(b))
		failing(t, b, 20)
		would := "forced-closed > forced-closed: failures, would open"
		assert.Equal(t, []string{"closed > forced-closed: forced", would}, r.steps())
		assert.Equal(t, errBoom, r.last(t).Cause)
		assertState(t, breaker.ForcedClosed, b)

		time.Sleep(openFor - 1)
		failing(t, b, 20)
		assert.Len(t, r.all(), 2, "told again before the open time was over")

		time.Sleep(time.Nanosecond)
		failing(t, b, 2)
		assert.Len(t, r.all(), 2, "did not count anew")
		failing(t, b, 20)
		assert.Equal(t, []string{"closed > forced-closed: forced", would, would}, r.steps())
	})
}

// G31: hooks may call every method.
func TestScenario18_reentrantHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *breaker.Breaker
		var r recorder
		var seen []string
		reset := false
		record := r.hooks().Transition
		cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1)}
		cfg.Hooks.Transition = func(ctx context.Context, tr breaker.Transition) {
			record(ctx, tr)
			_, err := breaker.Do(ctx, b, func(context.Context) (int, error) { return 0, nil })
			seen = append(seen, fmt.Sprint(b.State(), " ", b.Snapshot().State, " ", err == nil))
			if tr.To == breaker.Open && !reset {
				reset = true
				b.Reset()
			}
		}
		b = breaker.MustNew("b", cfg)
		failing(t, b, 1)
		assertState(t, breaker.Closed, b)
		assert.Equal(t, []string{"closed > open: failures", "open > closed: reset"}, r.steps())
		assert.Equal(t, []string{"open open false", "closed closed true"}, seen)
		chained(t, r.all())
	})
}

// G30, G31: a hook that panics or exits at its first event is told the later
// ones, in order.
func TestScenario18_brokenHook(t *testing.T) {
	ends := map[string]struct {
		end     func()
		returns bool
	}{
		"panic":  {func() { panic(errBoom) }, true},
		"goexit": {runtime.Goexit, false},
	}
	inBubbles(t, ends, func(t *testing.T, c struct {
		end     func()
		returns bool
	},
	) {
		var r recorder
		record := r.hooks().Transition
		cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1)}
		cfg.Hooks.Transition = func(ctx context.Context, tr breaker.Transition) {
			record(ctx, tr)
			if len(r.all()) == 1 {
				c.end()
			}
		}
		b := breaker.MustNew("b", cfg)
		panicked, returned := exiting(func() { _ = b.Run(context.Background(), returning(errBoom)) })
		assert.Nil(t, panicked)
		assert.Equal(t, c.returns, returned)
		assert.EqualValues(t, 1, b.Snapshot().HookPanics)

		time.Sleep(openFor)
		passing(t, b, 3)
		failing(t, b, 1)
		assert.Equal(t, []string{
			"closed > open: failures",
			"open > half-open: open time over",
			"half-open > closed: probes passed",
			"closed > open: failures",
		}, r.steps())
	})
}

// G31: a hook that exits at the half-open event takes the probe with it, but
// not its slot.
func TestScenario18_exitAtHalfOpen(t *testing.T) {
	calls := map[string]func(*breaker.Breaker, func(context.Context) error){
		"Run": func(b *breaker.Breaker, fn func(context.Context) error) {
			_ = b.Run(context.Background(), fn)
		},
		"Allow": func(b *breaker.Breaker, fn func(context.Context) error) {
			p, err := b.Allow(context.Background())
			if err == nil {
				p.Done(fn(context.Background()))
			}
		},
	}
	inBubbles(t, calls, func(t *testing.T, call func(*breaker.Breaker, func(context.Context) error)) {
		cfg := breaker.Config{CloseAfter: 1}
		cfg.Hooks.Transition = func(_ context.Context, tr breaker.Transition) {
			if tr.To == breaker.HalfOpen {
				runtime.Goexit()
			}
		}
		b := halfOpened(t, cfg)
		ran := false
		_, returned := exiting(func() {
			call(b, func(context.Context) error {
				ran = true
				return nil
			})
		})
		assert.False(t, returned)
		assert.False(t, ran)
		assertState(t, breaker.HalfOpen, b)
		assert.Zero(t, b.Snapshot().Probes)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// G27: of several open times the later end wins; a negative one lasts until
// Reset.
func TestScenario26_trip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{Hooks: r.transition()})
		b.Trip(90*time.Second, errBoom)
		rejection := refusal(t, b)
		assert.Equal(t, 90*time.Second, rejection.RetryAfter())
		assert.Equal(t, errBoom, rejection.Cause)
		assert.Equal(t, breaker.ReasonTrip, rejection.Reason)

		b.Trip(10*time.Second, errOther)
		assert.Equal(t, 90*time.Second, refusal(t, b).RetryAfter())
		assert.Equal(t, errBoom, refusal(t, b).Cause)

		b.Trip(-1, errOther)
		assert.Zero(t, refusal(t, b).RetryAfter())
		assert.Equal(t, errOther, refusal(t, b).Cause)
		assert.Len(t, r.all(), 1)

		time.Sleep(100 * 365 * 24 * time.Hour)
		assertState(t, breaker.Open, b)
		refused(t, b)
		b.Trip(time.Hour, errBoom)
		assert.Zero(t, refusal(t, b).RetryAfter())

		b.Reset()
		assertState(t, breaker.Closed, b)
		passing(t, b, 1)
	})
}

// G8, G28: Reset ends the stay that a probe belongs to.
func TestScenario27_resetHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{Trip: breaker.ConsecutiveFailures(1)})
		probe := issued(t, b)
		b.Reset()
		s := b.Snapshot()
		require.Equal(t, breaker.Closed, s.State)
		assert.Zero(t, s.Probes)
		assert.NoError(t, s.Cause)
		probe.Done(errBoom)
		s.Late++
		assert.Equal(t, s, b.Snapshot())
	})
}

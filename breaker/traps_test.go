package breaker_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// Defects, seen in the libraries named, of who gets in and what gets stuck.

// sony/gobreaker: only panics are noticed, so a Goexit in a half-open call
// rejects for ever. afex/hystrix-go: it blocks the caller and keeps the slot.
func TestTrap_goexitInProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1})
		for range 10 {
			_, returned := exiting(func() {
				_ = b.Run(context.Background(), func(context.Context) error { runtime.Goexit(); return nil })
			})
			require.False(t, returned)
			require.Equal(t, breaker.Open, b.State())
			time.Sleep(openFor)
		}
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// sony/gobreaker: a done that is never called in half-open rejects for ever.
func TestTrap_lostDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1})
		for range 10 {
			_, err := b.Allow(t.Context())
			require.NoError(t, err)
			time.Sleep(openFor) // the lease
			refused(t, b)
			time.Sleep(openFor)
		}
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// sony/gobreaker: counts in a callback deadlock. App-vNext/Polly: the callback
// for the open time runs under the lock.
func TestTrap_callbacksUnderTheLock(t *testing.T) {
	var b *breaker.Breaker
	var cfg breaker.Config
	called := 0
	inside := func() {
		called++
		b.Snapshot()
		assert.NoError(t, b.Reconfigure(cfg))
		b.Auto()
	}
	cfg = breaker.Config{
		Trip:     breaker.ConsecutiveFailures(1),
		Classify: func(context.Context, error) breaker.Outcome { inside(); return breaker.Failure },
		Hooks: breaker.Hooks{
			Transition: func(context.Context, breaker.Transition) { inside() },
			Rejected:   func(context.Context, *breaker.RejectedError) { inside() },
			Done:       func(context.Context, breaker.Completion) { inside() },
		},
	}
	b = breaker.MustNew("b", cfg)
	failing(t, b, 1)
	refused(t, b)
	assert.Equal(t, 4, called)
}

// sony/gobreaker: one field is both the limit of probes and what closes.
func TestTrap_probeLimitIsNotCloseThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{Probes: 10, CloseAfter: 1})
		for range 10 {
			issued(t, b)
		}
		b = halfOpened(t, breaker.Config{Probes: 1, CloseAfter: 10})
		passing(t, b, 9)
		assertState(t, breaker.HalfOpen, b)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// sony/gobreaker, distributed: the shared lock is held during the user's call.
func TestTrap_lockHeldDuringCall(t *testing.T) {
	for _, state := range []string{"closed", "open time over", "ramp over", "forced closed"} {
		synctest.Test(t, func(t *testing.T) {
			b := inState[state](t, breaker.Config{})
			assert.Equal(t, errOther, b.Run(t.Context(), func(context.Context) error {
				b.Reset()
				b.Trip(time.Hour, nil)
				assertState(t, breaker.Open, b)
				refused(t, b)
				return errOther
			}), state)
		})
	}
}

// failsafe-go/failsafe-go: a panic in a probe leaks its permit.
func TestTrap_panicInProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1, CloseOf: 11, ProbeLease: -1})
		for range 10 {
			assert.PanicsWithValue(t, errBoom, func() { _ = b.Run(t.Context(), explode) })
		}
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// failsafe-go: a callback that panics unlocks what is not locked, which is fatal.
func TestTrap_panickingHook(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{
		Trip:  breaker.ConsecutiveFailures(1),
		Hooks: breaker.Hooks{Transition: func(context.Context, breaker.Transition) { panic(errOther) }},
	})
	failing(t, b, 1)
	refused(t, b)
	b.Reset()
	passing(t, b, 1)
	assert.EqualValues(t, 2, b.Snapshot().HookPanics)
}

// mercari/go-circuitbreaker, eapache: half-open admits everyone.
func TestTrap_halfOpenAdmitsEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{Probes: 3})
		admitted := 0
		for range 1000 {
			if _, err := b.Allow(t.Context()); err == nil {
				admitted++
			}
		}
		assert.Equal(t, 3, admitted)
	})
}

// mercari: Reset with a backoff that has stopped panics.
func TestTrap_resetOfExhaustedBackoff(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{OpenFor: -1, Backoff: 2, MaxOpenFor: 1})
	for range 3 {
		b.Trip(0, nil)
		b.Reset()
		passing(t, b, 1)
	}
}

// mercari: a timer that fires already overrules Reset. resilience4j: so does
// that of a state which has lost a race.
func TestTrap_timerAfterReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{Hooks: r.transition()})
		b.Trip(time.Second, nil)
		time.Sleep(time.Second - 1)
		b.Reset()
		b.Trip(time.Hour, nil)
		time.Sleep(time.Minute)
		assertState(t, breaker.Open, b)
		refused(t, b)
		b.Reset()
		time.Sleep(2 * time.Hour)
		passing(t, b, 1)
		assert.Len(t, r.all(), 4)
	})
}

// mercari: one goroutine leaks for every breaker.
func TestTrap_goroutinePerBreaker(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		b := breaker.MustNew("b", breaker.Config{})
		b.Trip(time.Hour, nil)
		refused(t, b)
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before)
}

// cep21: a circuit that is forced open lets probes through.
func TestTrap_forceOpenProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{})
		b.ForceOpen(nil)
		for range 100 {
			refused(t, b)
			time.Sleep(openFor)
		}
	})
}

// afex/hystrix-go: fn runs on a goroutine of the library, so that its panic
// kills the process.
func TestTrap_foreignGoroutine(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{})
	assert.PanicsWithValue(t, errBoom, func() { _ = b.Run(t.Context(), explode) })
	caller := goroutine()
	require.NoError(t, b.Run(t.Context(), func(context.Context) error {
		assert.Equal(t, caller, goroutine())
		return nil
	}))
}

// go-zero: named breakers are never evicted.
func TestTrap_neverEvicted(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{Max: 10})
	for key := range 10_000 {
		g.Get(key)
	}
	assert.Less(t, g.Len(), 50)
}

// bytedance/gopkg: eviction drops a breaker that was just made.
func TestTrap_evictsTheNewcomer(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{Max: 1})
	for key := range 1000 {
		b := g.Get(key)
		require.Same(t, b, g.Get(key))
	}
}

// resilience4j: a probe that is ignored, or cancelled, leaves half-open stuck.
func TestTrap_ignoredProbeSticks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1, ProbeLease: -1})
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			_ = b.Run(ctx, hang)
			issued(t, b).Record(breaker.Ignored, nil)
		}
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// App-vNext/Polly: a token that is cancelled before the probe closes the
// circuit.
func TestTrap_cancelledBeforeProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for form, call := range forms {
			assert.Equal(t, context.Canceled, call(ctx, b, returning(nil)), form)
			assertState(t, breaker.HalfOpen, b)
		}
		assert.Equal(t, tallies{}, tally(b))
	})
}

// The article this package grew from: closing needs one more call.
func TestTrap_oneMoreCallToClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 2})
		passing(t, b, 1)
		p := issued(t, b)
		p.Done(nil)
		assertState(t, breaker.Closed, b)
	})
}

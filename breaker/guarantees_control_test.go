package breaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G27: Trip opens from every automatic state, for exactly its duration.
func TestG27_tripFromEveryState(t *testing.T) {
	for _, state := range []string{"closed", "open", "open time over", "half-open, full", "recovering", "ramp over"} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				b := inState[state](t, breaker.Config{Hooks: r.transition()})
				trips := b.Snapshot().Trips
				b.Trip(90*time.Second, errOther)
				s := b.Snapshot()
				assert.Equal(t, breaker.Open, s.State)
				assert.Equal(t, 90*time.Second, s.RetryAfter)
				assert.Equal(t, errOther, s.Cause)
				assert.Zero(t, s.Probes)
				chained(t, r.all())
				if state != "open" { // else the stay goes on
					assert.Equal(t, trips+1, s.Trips)
					assert.Equal(t, breaker.ReasonTrip, r.last(t).Reason)
					assert.Equal(t, 90*time.Second, r.last(t).OpenFor)
					assert.Equal(t, errOther, r.last(t).Cause)
				}
				rejection := refusal(t, b)
				assert.Equal(t, errOther, rejection.Cause)
				assert.Equal(t, breaker.ReasonTrip, rejection.Reason)
				time.Sleep(90*time.Second - 1)
				refused(t, b)
				time.Sleep(time.Nanosecond)
				passing(t, b, 3)
			})
		})
	}
}

// G27: zero is a regular open time, negative is without end.
func TestG27_tripZeroAndNegative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{OpenFor: time.Minute, Hooks: r.transition()})
		b.Trip(0, nil)
		assert.Equal(t, time.Minute, refusal(t, b).RetryAfter())
		assert.Equal(t, time.Minute, r.last(t).OpenFor)
		b.Reset()
		b.Trip(-time.Hour, nil)
		assert.Negative(t, r.last(t).OpenFor)
		assert.Zero(t, refusal(t, b).RetryAfter())
		assert.Zero(t, b.Snapshot().RetryAfter)
	})
}

// G27: on an open breaker the later end wins, with its cause, without an event
// and at the same level.
func TestG27_laterEndWins(t *testing.T) {
	cases := map[string]struct {
		trip, want time.Duration
		cause      error
	}{
		"earlier":          {19 * time.Second, 20 * time.Second, errBoom},
		"later":            {21 * time.Second, 21 * time.Second, errOther},
		"regular is later": {0, openFor, errOther},
	}
	inBubbles(t, cases, func(t *testing.T, c struct {
		trip, want time.Duration
		cause      error
	},
	) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Backoff: 2, Hooks: r.transition()})
		failing(t, b, 1)
		early := refusal(t, b)
		since := b.Snapshot().Since
		time.Sleep(10 * time.Second)
		b.Trip(c.trip, errOther)
		s := b.Snapshot()
		assert.Equal(t, c.want, s.RetryAfter)
		assert.Equal(t, since, s.Since)
		assert.Equal(t, c.cause, s.Cause)
		assert.EqualValues(t, 1, s.Trips)
		assert.Equal(t, c.want, early.RetryAfter(), "a rejection of before tells the time left as it is now")
		assert.Len(t, r.all(), 1)

		time.Sleep(c.want)
		failing(t, b, 1)
		assert.Equal(t, 2*openFor, refusal(t, b).RetryAfter())
	})
}

// G27: ForceOpen from every state; RetryAfter is 0 and the last cause counts.
func TestG27_forceOpenFromEveryState(t *testing.T) {
	for state, newBreaker := range inState {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.Config{})
				for _, cause := range []error{errOther, nil, errBoom} {
					b.ForceOpen(cause)
					rejection := refusal(t, b)
					assert.Equal(t, cause, rejection.Cause)
					assert.Equal(t, breaker.ForcedOpen, rejection.State)
					assert.Zero(t, rejection.RetryAfter())
					assert.Zero(t, b.Snapshot().RetryAfter)
					time.Sleep(time.Hour)
					assertState(t, breaker.ForcedOpen, b)
				}
			})
		})
	}
}

// G27: what a forced-closed breaker would have opened for.
func TestG27_wouldOpen(t *testing.T) {
	fails := map[string]struct {
		rule   breaker.Rule
		end    func(context.Context, *breaker.Breaker)
		reason breaker.Reason
	}{
		"failures": {breaker.FailureRate(0.5, 1, breaker.LastN(4)), func(ctx context.Context, b *breaker.Breaker) {
			_ = b.Run(ctx, returning(errBoom))
		}, breaker.ReasonFailures},
		"slow": {breaker.SlowRate(time.Second, 0.5, 1, breaker.LastN(4)), func(ctx context.Context, b *breaker.Breaker) {
			_ = b.Run(ctx, lasting(time.Second, errBoom))
		}, breaker.ReasonSlowCalls},
		"Permit.Trip": {breaker.Rule{}, func(ctx context.Context, b *breaker.Breaker) {
			p, _ := b.Allow(ctx)
			p.Trip(time.Hour, errBoom)
		}, breaker.ReasonTrip},
	}
	inBubbles(t, fails, func(t *testing.T, c struct {
		rule   breaker.Rule
		end    func(context.Context, *breaker.Breaker)
		reason breaker.Reason
	},
	) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{Trip: c.rule, Initial: breaker.ForcedClosed, Hooks: r.transition()})
		c.end(t.Context(), b)
		require.Len(t, r.all(), 1)
		last := r.last(t)
		assert.True(t, last.WouldOpen)
		assert.Equal(t, breaker.ForcedClosed, last.From)
		assert.Equal(t, breaker.ForcedClosed, last.To)
		assert.Equal(t, c.reason, last.Reason)
		assert.Equal(t, errBoom, last.Cause)
		assert.Zero(t, b.Snapshot().Trips)
		c.end(t.Context(), b)
		assert.Len(t, r.all(), 1)
		time.Sleep(openFor)
		c.end(t.Context(), b)
		assert.Len(t, r.all(), 2)
	})
}

// G27: silence lasts for the open time of a first opening, whatever the backoff
// would make of the next; without an end it lasts until Auto or Reset.
func TestG27_silence(t *testing.T) {
	var r recorder
	c := newFakeClock()
	cfg := breaker.Config{
		Trip: breaker.ConsecutiveFailures(1), Backoff: 2, StableAfter: 1000 * time.Hour, CloseAfter: 1,
		Clock: c, Hooks: r.transition(),
	}
	b := breaker.MustNew("b", cfg)
	for range 3 { // the fourth in a row would last 8 times as long
		failing(t, b, 1)
		c.advance(8 * openFor)
		passing(t, b, 1)
	}
	b.ForceClosed()
	told := len(r.all())
	failing(t, b, 1)
	c.advance(openFor - 1)
	failing(t, b, 1)
	assert.Len(t, r.all(), told+1)
	c.advance(1)
	failing(t, b, 1)
	assert.Len(t, r.all(), told+2)

	cfg.OpenFor = -1
	require.NoError(t, b.Reconfigure(cfg))
	c.advance(openFor)
	failing(t, b, 1)
	assert.Len(t, r.all(), told+3)
	c.advance(100 * 365 * 24 * time.Hour)
	failing(t, b, 1)
	assert.Len(t, r.all(), told+3, "for good")
	b.Auto()
	assert.Len(t, r.all(), told+4)
}

// G22: a Permit.Trip is the reason, also if the limit is reached by the same
// failure.
func TestG22_permitTripIsTheReason(t *testing.T) {
	for _, halfOpen := range []bool{false, true} {
		c := newFakeClock()
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Clock: c})
		if halfOpen {
			b.Trip(time.Second, nil)
			c.advance(time.Second)
		}
		issued(t, b).Trip(time.Minute, errBoom)
		s := b.Snapshot()
		assert.Equal(t, breaker.ReasonTrip, s.Reason)
		assert.Equal(t, time.Minute, s.RetryAfter)
	}
}

// G28: Auto tells how long the breaker stays open from then on.
func TestG28_openForIsWhatIsLeft(t *testing.T) {
	for openedFor, want := range map[time.Duration]time.Duration{
		openFor:          openFor - 25*time.Second,
		25 * time.Second: 0,
		10 * time.Second: 0, // over since long
		-1:               -1,
	} {
		var r recorder
		c := newFakeClock()
		b := breaker.MustNew("b", breaker.Config{Clock: c, Hooks: r.transition()})
		b.Trip(openedFor, nil)
		assert.Equal(t, openedFor, r.last(t).OpenFor)
		c.advance(5 * time.Second)
		b.ForceClosed()
		c.advance(20 * time.Second)
		b.Auto()
		last := r.last(t)
		assert.Equal(t, breaker.Open, last.To)
		assert.Equal(t, want, last.OpenFor, openedFor)
	}
}

// G27: what happens between the event and the end of the regular open time is
// not counted, however much it is.
func TestG27_countsAnewAfterwards(t *testing.T) {
	rules := map[string]breaker.Rule{
		"consecutive": breaker.ConsecutiveFailures(3),
		"last":        breaker.FailureCount(3, breaker.LastN(10)),
		"within":      breaker.FailureRate(0.1, 3, breaker.Within(time.Hour)),
		"log":         breaker.FailureCount(3, breaker.Within(time.Hour)),
	}
	inBubbles(t, rules, func(t *testing.T, rule breaker.Rule) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{Trip: rule, Initial: breaker.ForcedClosed, Hooks: r.transition()})
		failing(t, b, 3)
		require.Len(t, r.all(), 1)
		passing(t, b, 3)
		failing(t, b, 50)
		assert.Equal(t, tallies{}, tally(b))
		time.Sleep(openFor)
		failing(t, b, 2)
		assert.Equal(t, uint64(2), b.Snapshot().Failures)
		assert.Len(t, r.all(), 1)
		failing(t, b, 1)
		assert.Len(t, r.all(), 2)
		assert.Zero(t, b.Snapshot().Late)
	})
}

// G27: the dry run ends with Auto; the breaker then opens.
func TestG27_initialStates(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Initial: breaker.ForcedOpen})
	assertState(t, breaker.ForcedOpen, b)
	assert.Equal(t, breaker.ReasonNone, b.Snapshot().Reason)
	rejection := refusal(t, b)
	assert.ErrorIs(t, rejection, breaker.ErrOpen)
	assert.NoError(t, rejection.Cause)
	b.Auto()
	assertState(t, breaker.Closed, b)

	b = breaker.MustNew("b", breaker.Config{Initial: breaker.ForcedClosed})
	failing(t, b, 20)
	assertState(t, breaker.ForcedClosed, b)
	b.Auto()
	assert.Equal(t, tallies{}, tally(b))
	failing(t, b, 5)
	assertState(t, breaker.Open, b)
}

// G28: while forced, outcomes of a closed stay's calls are counted but move
// nothing; the next failure of the stay then opens.
func TestG28_countedButNotMoved(t *testing.T) {
	forces := map[string]func(*breaker.Breaker){
		"open":   func(b *breaker.Breaker) { b.ForceOpen(nil) },
		"closed": func(b *breaker.Breaker) { b.ForceClosed() },
		"both":   func(b *breaker.Breaker) { b.ForceClosed(); b.ForceOpen(nil) },
	}
	for name, force := range forces {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(3, breaker.LastN(10)), Hooks: r.transition()})
		var permits []*breaker.Permit
		for range 5 {
			permits = append(permits, issued(t, b))
		}
		force(b)
		events := len(r.all())
		for _, p := range permits[:3] {
			p.Done(errBoom)
		}
		permits[3].Trip(time.Hour, errBoom)
		assert.Len(t, r.all(), events, name)
		b.Auto()
		assertState(t, breaker.Closed, b)
		assert.Zero(t, b.Snapshot().Late, name)
		assert.NotZero(t, b.Snapshot().Failures, name)
		permits[4].Done(errBoom)
		assertState(t, breaker.Open, b)
	}
}

// G28: the calls of a forced-closed stay are late after it.
func TestG28_callsOfForcedStay(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Initial: breaker.ForcedClosed})
	p := issued(t, b)
	b.Auto()
	p.Done(errBoom)
	assertState(t, breaker.Closed, b)
	assert.Equal(t, tallies{Late: 1}, tally(b))
}

// G28: half-open and recovering go on as half-open, with all slots free.
func TestG28_goesOnAsHalfOpen(t *testing.T) {
	for _, state := range []string{"half-open, full", "recovering"} {
		for _, force := range []func(*breaker.Breaker){(*breaker.Breaker).ForceClosed, func(b *breaker.Breaker) { b.ForceOpen(nil) }} {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				b := inState[state](t, breaker.Config{Hooks: r.transition()})
				force(b)
				time.Sleep(time.Hour)
				b.Auto()
				assertState(t, breaker.HalfOpen, b)
				assert.Equal(t, breaker.ReasonAuto, r.last(t).Reason)
				assert.Equal(t, time.Now(), b.Snapshot().Since)
				assert.Zero(t, b.Snapshot().Probes)
				assert.Equal(t, tallies{}, tally(b))
				passing(t, b, 3)
				assert.Equal(t, breaker.ReasonProbesPassed, b.Snapshot().Reason)
				chained(t, r.all())
			})
		}
	}
}

// G28: Trip under a forced state acts on the automatic one.
func TestG28_tripUnderForced(t *testing.T) {
	for _, state := range []string{"closed", "open", "open time over", "half-open, full", "recovering"} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				b := inState[state](t, breaker.Config{Hooks: r.transition()})
				b.ForceClosed()
				events := len(r.all())
				b.Trip(90*time.Second, errOther)
				assertState(t, breaker.ForcedClosed, b)
				assert.Len(t, r.all(), events)
				passing(t, b, 1)
				time.Sleep(10 * time.Second)
				b.ForceOpen(nil)
				b.Auto()
				assertState(t, breaker.Open, b)
				assert.Equal(t, 80*time.Second, refusal(t, b).RetryAfter())
				assert.Equal(t, errOther, refusal(t, b).Cause)
				assert.Equal(t, errOther, r.last(t).Cause)
				chained(t, r.all())
			})
		})
	}
}

// G28: Reset ends a forced state, and forgets what waited underneath.
func TestG28_resetEndsForced(t *testing.T) {
	for _, force := range []func(*breaker.Breaker){(*breaker.Breaker).ForceClosed, func(b *breaker.Breaker) { b.ForceOpen(nil) }} {
		b := breaker.MustNew("b", breaker.Config{})
		failing(t, b, 4)
		p := issued(t, b)
		force(b)
		b.Trip(-1, errBoom)
		b.Reset()
		assertState(t, breaker.Closed, b)
		p.Done(errBoom)
		assert.Equal(t, tallies{Late: 1}, tally(b))
		b.Auto()
		assertState(t, breaker.Closed, b)
		failing(t, b, 4)
		assertState(t, breaker.Closed, b)
	}
}

// G28: explicit calls that change no state send no event.
func TestG28_noEventWithoutChange(t *testing.T) {
	var r recorder
	b := breaker.MustNew("b", breaker.Config{Hooks: r.transition()})
	b.Auto()
	b.Reset()
	assert.Empty(t, r.all())
	b.ForceClosed()
	b.ForceClosed()
	assert.Len(t, r.all(), 1)
	b.ForceOpen(nil)
	b.ForceOpen(errBoom)
	assert.Len(t, r.all(), 2)
	b.Auto()
	b.Auto()
	assert.Len(t, r.all(), 3)
	b.Trip(time.Hour, nil)
	b.Trip(2*time.Hour, nil)
	b.Auto()
	assert.Len(t, r.all(), 4)
	b.Reset()
	b.Reset()
	assert.Len(t, r.all(), 5)
	chained(t, r.all())
}

package breaker_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G23: CloseAfter out of CloseOf, in any order: closes with the last success
// that is needed, reopens with the first failure that makes it impossible.
func TestG23_closeAfterOf(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	ended := map[breaker.State]int{}
	for range 500 {
		need := 1 + rnd.IntN(6)
		of := need + rnd.IntN(6)
		c := newFakeClock()
		b := halfOpened(t, breaker.Config{CloseAfter: need, CloseOf: of, Clock: c})
		passed, failed := 0, 0
		for b.State() == breaker.HalfOpen {
			require.Less(t, passed, need)
			require.LessOrEqual(t, failed, of-need)
			require.Equal(t, tallies{Calls: uint64(passed + failed), Failures: uint64(failed)}, tally(b))
			if rnd.IntN(2) == 0 {
				passing(t, b, 1)
				passed++
			} else {
				failing(t, b, 1)
				failed++
			}
		}
		ended[b.State()]++
		if b.State() == breaker.Closed {
			require.Equal(t, need, passed, "%d of %d", need, of)
			require.LessOrEqual(t, failed, of-need)
		} else {
			require.Equal(t, of-need+1, failed, "%d of %d", need, of)
			require.Less(t, passed, need)
		}
	}
	assert.Greater(t, ended[breaker.Closed], 50)
	assert.Greater(t, ended[breaker.Open], 50)
}

// G23: the opening after a failed probe is a full one, at the next level, from
// the report on.
func TestG23_reopens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{Backoff: 2, Probes: 2, Hooks: r.transition()})
		passing(t, b, 2)
		running := issued(t, b)
		p := issued(t, b)
		time.Sleep(5 * time.Second)
		p.Done(errOther)
		assert.Equal(t, 2*openFor, refusal(t, b).RetryAfter())
		last := r.last(t)
		assert.Equal(t, breaker.ReasonProbeFailed, last.Reason)
		assert.Equal(t, errOther, last.Cause)
		assert.Equal(t, 2*openFor, last.OpenFor)
		assert.Equal(t, time.Now(), last.At)
		assert.EqualValues(t, 3, last.Before.Calls)
		assert.EqualValues(t, 1, last.Before.Failures)
		running.Done(nil)
		assert.EqualValues(t, 1, b.Snapshot().Late)
		time.Sleep(2*openFor - 1)
		refused(t, b)
	})
}

// G23: what probes did in one half-open stay is forgotten in the next.
func TestG23_newStayBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 3, CloseOf: 4})
		passing(t, b, 2)
		failing(t, b, 2)
		assertState(t, breaker.Open, b)
		time.Sleep(openFor)
		failing(t, b, 1)
		passing(t, b, 2)
		assertState(t, breaker.HalfOpen, b)
		assert.Equal(t, tallies{Calls: 3, Failures: 1}, tally(b))
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// G24: more successes than slots, and more slots than successes.
func TestG24_probesAndCloseAfterAreIndependent(t *testing.T) {
	for _, c := range []struct{ probes, closeAfter int }{{1, 10}, {10, 1}, {3, 3}, {64, 100}} {
		synctest.Test(t, func(t *testing.T) {
			b := halfOpened(t, breaker.Config{Probes: c.probes, CloseAfter: c.closeAfter})
			for i := range c.closeAfter {
				require.Equal(t, breaker.HalfOpen, b.State())
				require.EqualValues(t, i, b.Snapshot().Calls)
				passing(t, b, 1) // one at a time always gets in
				time.Sleep(time.Hour)
			}
			assertState(t, breaker.Closed, b)
		})
	}
}

// G25: a report after the end of the lease counts if no call came before.
func TestG25_lateButUnnoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1, ProbeLease: time.Second})
		p := issued(t, b)
		time.Sleep(time.Hour)
		b.State()
		b.Snapshot()
		p.Done(nil)
		assertState(t, breaker.Closed, b)
		assert.Zero(t, b.Snapshot().Late)
	})
}

// G25: a lost probe counts as failed when the next call comes; that call is
// refused if this reopens, and is a probe if not.
func TestG25_lost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{
			Probes: 2, CloseAfter: 1, CloseOf: 3, ProbeLease: time.Second, Backoff: 2, Hooks: r.transition(),
		})
		lost := []*breaker.Permit{issued(t, b), issued(t, b)}
		time.Sleep(time.Second)
		lost = append(lost, issued(t, b)) // two of three lost
		assert.Equal(t, tallies{Calls: 2, Failures: 2}, tally(b))
		assert.Equal(t, 1, b.Snapshot().Probes)

		time.Sleep(time.Second)
		rejection := refusal(t, b)
		assert.ErrorIs(t, rejection, breaker.ErrOpen)
		assert.Equal(t, 2*openFor, rejection.RetryAfter())
		assert.Equal(t, breaker.ReasonProbeLost, rejection.Reason)
		assert.Equal(t, "half-open > open: probe lost", r.steps()[2])
		assert.EqualValues(t, 3, r.last(t).Before.Failures)
		for _, p := range lost {
			p.Done(nil)
		}
		assert.EqualValues(t, 3, b.Snapshot().Late)
		assertState(t, breaker.Open, b)
	})
}

// G25: each lease runs from its own probe's begin.
func TestG25_leasesAreSeparate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{Probes: 2, CloseAfter: 2, CloseOf: 3, ProbeLease: 10 * time.Second})
		issued(t, b)
		time.Sleep(4 * time.Second)
		second := issued(t, b)
		time.Sleep(6*time.Second - 1)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		time.Sleep(time.Nanosecond)
		third := issued(t, b)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		second.Done(nil)
		third.Done(nil)
		assertState(t, breaker.Closed, b)
	})
}

// G25: when Progress counts, and when not.
func TestG25_progress(t *testing.T) {
	const lease = 10 * time.Second
	cases := map[string]struct {
		lease, at time.Duration
		want      breaker.State
	}{
		"at once":              {lease, 0, breaker.HalfOpen},
		"end of first half":    {lease, lease/2 - 1, breaker.HalfOpen},
		"begin of second half": {lease, lease / 2, breaker.Closed},
		"end of lease":         {lease, lease - 1, breaker.Closed},
		"no call noticed":      {lease, 10 * lease, breaker.Closed},
		"no lease":             {-1, 10 * lease, breaker.HalfOpen},
	}
	inBubbles(t, cases, func(t *testing.T, c struct {
		lease, at time.Duration
		want      breaker.State
	},
	) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1, ProbeLease: c.lease})
		p := issued(t, b)
		time.Sleep(c.at)
		p.Progress()
		assertState(t, c.want, b)
		p.Progress()
		assertState(t, c.want, b)
		if c.want == breaker.HalfOpen {
			p.Done(nil)
			assertState(t, breaker.Closed, b)
		}
	})
}

// G25: Progress is one success, not several, and nothing in other calls.
func TestG25_progressElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 2, ProbeLease: time.Second, Ramp: time.Hour, RampFrom: 0.99})
		p := issued(t, b)
		time.Sleep(time.Second / 2)
		p.Progress()
		p.Progress()
		assert.Equal(t, tallies{Calls: 1}, tally(b))
		assert.Zero(t, b.Snapshot().Probes)
		passing(t, b, 1)
		assertState(t, breaker.Recovering, b)

		refused(t, b) // the first of a ramp from 0.99
		p = issued(t, b)
		time.Sleep(time.Second / 2)
		p.Progress()
		p.Done(errBoom)
		assert.Equal(t, tallies{Calls: 1, Failures: 1}, tally(b))
	})
}

// G25: Progress of a probe whose slot is another's by now does nothing.
func TestG25_progressOfLostProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1, CloseOf: 2, ProbeLease: time.Second})
		lost := issued(t, b)
		time.Sleep(time.Second)
		next := issued(t, b)
		time.Sleep(time.Second / 2)
		lost.Progress()
		assertState(t, breaker.HalfOpen, b)
		assert.Zero(t, b.Snapshot().Late, "it is still to be reported")
		next.Done(nil)
		assertState(t, breaker.Closed, b)
	})
}

// G26: at a constant share f, of any k arrivals in a row floor(kf) or ceil(kf)
// are admitted.
func TestG26_errorDiffusion(t *testing.T) {
	for _, share := range []float64{-1, 0.001, 0.1, 0.25, 1.0 / 3, 0.5, 0.618, 0.9, 0.999} {
		c := newFakeClock()
		b := halfOpened(t, breaker.Config{CloseAfter: 1, Ramp: time.Hour, RampFrom: share, Clock: c})
		passing(t, b, 1)
		var sums [201]int // admitted among the first so many
		for i := range 200 {
			sums[i+1] = sums[i]
			if b.Run(context.Background(), returning(nil)) == nil {
				sums[i+1]++
			}
		}
		f := max(share, 0)
		for from := range sums {
			for to := from + 1; to < len(sums); to++ {
				n, want := float64(sums[to]-sums[from]), f*float64(to-from)
				// The share is kept in fixed point: 2^-32 less at most.
				if n < math.Floor(want-1e-6) || n > math.Ceil(want) {
					require.Fail(t, "uneven", "share %v: %v of the arrivals %d to %d", share, n, from+1, to)
				}
			}
		}
	}
}

// G26: the share grows linearly from RampFrom to 1.
func TestG26_linear(t *testing.T) {
	const ramp = 100 * time.Second
	cases := map[string]struct{ from, begins float64 }{
		"default": {0, 0.1}, "from nothing": {-1, 0}, "from half": {0.5, 0.5},
	}
	inBubbles(t, cases, func(t *testing.T, c struct{ from, begins float64 }) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1, Ramp: ramp, RampFrom: c.from})
		passing(t, b, 1)
		for tenth := range 10 {
			admitted := 0
			for range thousand {
				if b.Run(t.Context(), returning(nil)) == nil {
					admitted++
				}
			}
			want := c.begins + (1-c.begins)*float64(tenth)/10
			assert.InDelta(t, want*thousand, admitted, 1.001, "after %d tenths", tenth)
			time.Sleep(ramp / 10)
		}
		passing(t, b, thousand)
		assertState(t, breaker.Closed, b)
	})
}

// G26, G39: shed calls match ErrRejected alone.
func TestG26_shed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inState["recovering"](t, breaker.Config{})
		rejection := refusal(t, b)
		assert.Equal(t, breaker.Recovering, rejection.State)
		assert.ErrorIs(t, rejection, breaker.ErrRejected)
		assert.NotErrorIs(t, rejection, breaker.ErrOpen)
		assert.NotErrorIs(t, rejection, breaker.ErrTooManyProbes)
		assert.Zero(t, rejection.RetryAfter())
	})
}

// G26: counts are kept from Recovering to Closed, and tripping continues the
// backoff.
func TestG26_countsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{
			Trip: breaker.ConsecutiveFailures(3), CloseAfter: 1, Ramp: time.Second, RampFrom: 0.99, Backoff: 2, StableAfter: time.Hour,
		})
		passing(t, b, 1)
		refused(t, b)
		failing(t, b, 2)
		assert.Equal(t, tallies{Calls: 2, Failures: 2}, tally(b))
		time.Sleep(time.Second)
		failing(t, b, 1)
		assertState(t, breaker.Open, b)
		assert.Equal(t, 2*openFor, refusal(t, b).RetryAfter())
	})
}

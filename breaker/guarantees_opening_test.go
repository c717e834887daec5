package breaker_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G16: a rule is evaluated only by an outcome it counts as bad, though others
// may bring it over its limit.
func TestG16_evaluatedByBadOutcomes(t *testing.T) {
	const s = time.Second
	windows := map[string]breaker.Window{"last": breaker.LastN(100), "within": breaker.Within(time.Hour)}
	inBubbles(t, windows, func(t *testing.T, w breaker.Window) {
		run := func(b *breaker.Breaker, took time.Duration, err error) {
			_ = b.Run(t.Context(), lasting(took, err))
		}
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(0.5, 4, w)})
		failing(t, b, 3)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
		assert.InDelta(t, 0.75, b.Snapshot().FailureRate, 0)
		passing(t, b, 2)
		failing(t, b, 1) // four of seven
		assertState(t, breaker.Open, b)

		// A quick failure does not evaluate the slow rule, a slow success not
		// the failure rule.
		b = breaker.MustNew("b", breaker.Config{Trip: breaker.Any(
			breaker.SlowRate(s, 0.5, 4, w), breaker.FailureRate(0.6, 6, w),
		)})
		run(b, s, nil)
		run(b, s, errBoom)
		run(b, 0, errBoom)
		run(b, 0, errBoom)
		run(b, 0, errBoom)
		assertState(t, breaker.Closed, b)
		require.EqualValues(t, 5, b.Snapshot().SlowOf)
		run(b, 0, nil)
		assertState(t, breaker.Closed, b)
		require.InDelta(t, 4.0/6, b.Snapshot().FailureRate, 1e-9)
		run(b, s, nil)
		assertState(t, breaker.Closed, b) // three of seven are slow; four of seven failed
		run(b, s, nil)
		assertState(t, breaker.Open, b)
		assert.Equal(t, breaker.ReasonSlowCalls, b.Snapshot().Reason)
	})
}

// G16: with no bad outcome nothing opens, whatever else happens.
func TestG16_nothingElseOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.Any(
			breaker.ConsecutiveFailures(1),
			breaker.FailureRate(1e-6, -1, breaker.LastN(1)),
			breaker.SlowRate(time.Second, 1e-6, -1, breaker.Within(time.Second)),
		)})
		for range 100 {
			passing(t, b, 3)
			_ = b.Run(t.Context(), returning(breaker.ErrRejected))
			_, _ = b.Allow(t.Context())
			b.ForceOpen(nil)
			refused(t, b)
			b.Auto()
			time.Sleep(time.Hour)
		}
		assertState(t, breaker.Closed, b)
		assert.Zero(t, b.Snapshot().Trips)
	})
}

// G17: whatever the time between, and whatever is ignored.
func TestG17_consecutive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(4)})
		for i := range 4 {
			assertState(t, breaker.Closed, b)
			assert.Equal(t, uint64(i), b.Snapshot().Failures)
			failing(t, b, 1)
			time.Sleep(10 * 365 * 24 * time.Hour)
			issued(t, breaker.MustNew("x", breaker.Config{})).Done(nil) // another's success
			if i < 3 {
				issued(t, b).Record(breaker.Ignored, nil)
			}
		}
		assert.EqualValues(t, 1, b.Snapshot().Trips)
	})
}

// G17: the limit is exact for every n.
func TestG17_limit(t *testing.T) {
	for n := 1; n <= 50; n++ {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(n)})
		failing(t, b, n-1)
		passing(t, b, 1)
		failing(t, b, n-1)
		require.Equal(t, breaker.Closed, b.State(), n)
		failing(t, b, 1)
		require.Equal(t, breaker.Open, b.State(), n)
	}
}

// G18: agrees with a list of the last outcomes, whatever the rule, in when it
// opens and in what it shows.
func TestG18_lastNAgainstList(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	opened := 0
	for range 1500 {
		size := 1 + rnd.IntN(30)
		count, millionths, minimum := 1+rnd.IntN(size), 1+rnd.IntN(1_000_000), 1+rnd.IntN(size)
		rule, byCount := breaker.FailureCount(count, breaker.LastN(size)), rnd.IntN(2) == 0
		if !byCount {
			rule = breaker.FailureRate(float64(millionths)/1e6, minimum, breaker.LastN(size))
		}
		b := breaker.MustNew("b", breaker.Config{Trip: rule})
		share := rnd.Float64()
		var list []bool
		for range 100 {
			bad := rnd.Float64() < share
			if bad {
				failing(t, b, 1)
			} else {
				passing(t, b, 1)
			}
			list = append(list, bad)
			list = list[max(0, len(list)-size):]
			n := 0
			for _, x := range list {
				if x {
					n++
				}
			}
			reached := n >= count
			if !byCount {
				reached = len(list) >= minimum && n*1_000_000 >= millionths*len(list)
			}
			if bad && reached {
				require.Equal(t, breaker.Open, b.State(), "%v: %v", rule, list)
				opened++
				break
			}
			require.Equal(t, breaker.Closed, b.State(), "%v: %v", rule, list)
			s := b.Snapshot()
			require.EqualValues(t, len(list), s.Calls, "%v: %v", rule, list)
			require.EqualValues(t, n, s.Failures, "%v: %v", rule, list)
		}
	}
	assert.Greater(t, opened, 500)
}

// G18: six decimals are what was meant, not what floating point makes of them:
// 0.250001 x 1e6 is a little less than 250001 there.
func TestG18_sixDecimals(t *testing.T) {
	for rate, opens := range map[float64]int{0.25: 1, 0.250001: 2, 0.2500001: 1, 0.5: 2, 0.5000005: 2, 0.500001: 3} {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(rate, 0, breaker.LastN(4))})
		passing(t, b, 4)
		failing(t, b, opens-1)
		assert.Equal(t, breaker.Closed, b.State(), rate)
		failing(t, b, 1)
		assert.Equal(t, breaker.Open, b.State(), rate)
	}
}

// G18: successes that a clean window does not count leave it exact.
func TestG18_cleanWindow(t *testing.T) {
	for size := 1; size <= 40; size++ {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(size, breaker.LastN(size))})
		passing(t, b, 3*size)
		failing(t, b, size-1)
		passing(t, b, size)
		require.Equal(t, tallies{Calls: uint64(size)}, tally(b))
		failing(t, b, size-1)
		require.Equal(t, breaker.Closed, b.State())
		failing(t, b, 1)
		require.Equal(t, breaker.Open, b.State(), size)
	}
}

// G18: what came before the minimum calls is not forgotten after them.
func TestG18_failuresBeforeMinimum(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(0.1, 50, breaker.LastN(100))})
	failing(t, b, 40)
	passing(t, b, 59)
	require.Equal(t, tallies{Calls: 99, Failures: 40}, tally(b))
	passing(t, b, 1)
	assert.Equal(t, tallies{Calls: 100, Failures: 40}, tally(b))
	passing(t, b, 20)
	assert.Equal(t, tallies{Calls: 100, Failures: 20}, tally(b))
}

// G19: an exact window agrees with a list of times, on a clock that moves by
// anything from nothing to more than the window.
func TestG19_countWithinAgainstList(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	const w = time.Second
	opened := 0
	for range 1500 {
		c := newFakeClock()
		limit := 1 + rnd.IntN(8)
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(limit, breaker.Within(w)), Clock: c})
		steps := []time.Duration{0, 1, w / 10, w / 3, w - 1, w}
		var list []time.Time
		for range 40 {
			c.advance(steps[rnd.IntN(len(steps))])
			bad := rnd.IntN(3) > 0
			if bad {
				failing(t, b, 1)
				list = append(list, c.Now())
			} else {
				passing(t, b, 1)
			}
			n := 0
			for _, at := range list {
				if c.Since(at) < w {
					n++
				}
			}
			if bad && n >= limit {
				require.Equal(t, breaker.Open, b.State())
				opened++
				break
			}
			require.Equal(t, breaker.Closed, b.State())
			require.Equal(t, tallies{Calls: uint64(n), Failures: uint64(n)}, tally(b))
		}
	}
	assert.Greater(t, opened, 500)
}

// G19: whenever an outcome falls into a bucket, it is counted for at least
// W x (1-1/Buckets), and at most for W.
func TestG19_rateCoverage(t *testing.T) {
	const w = time.Second
	outcomes := map[string]error{"failure": errBoom, "success": nil}
	for _, buckets := range []int{0, 2, 3, 7, 10, 100} {
		n := max(buckets, 1)
		if buckets == 0 {
			n = 10
		}
		width := w / time.Duration(n)
		for name, err := range outcomes {
			for phase := time.Duration(0); phase < w; phase += w / 33 {
				c := newFakeClock()
				b := breaker.MustNew("b", breaker.Config{
					Trip:  breaker.FailureRate(1, 100, breaker.Window{Within: w, Buckets: buckets}),
					Clock: c,
				})
				c.advance(phase)
				_ = b.Run(context.Background(), returning(err))
				least := width * time.Duration(n-1)
				c.advance(least)
				require.EqualValues(t, 1, b.Snapshot().Calls, "%s at %v of %d buckets left early", name, phase, n)
				c.advance(w - least)
				require.Zero(t, b.Snapshot().Calls, "%s at %v of %d buckets stayed too long", name, phase, n)
			}
		}
	}
}

// G19: a rate within W against a list that knows the buckets: outcomes are
// neither lost nor counted twice as buckets turn.
func TestG19_rateAgainstList(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	const width, buckets = 10 * time.Millisecond, 5
	for range 300 {
		c := newFakeClock()
		b := breaker.MustNew("b", breaker.Config{
			Trip:  breaker.FailureRate(1, 1<<20, breaker.Window{Within: width * buckets, Buckets: buckets}),
			Clock: c,
		})
		base := c.Now()
		type outcome struct {
			tick time.Duration
			bad  bool
		}
		var list []outcome
		for range 100 {
			c.advance(time.Duration(rnd.Int64N(int64(width))))
			o := outcome{c.Since(base) / width, rnd.IntN(2) == 0}
			if o.bad {
				failing(t, b, 1)
			} else {
				passing(t, b, 1)
			}
			list = append(list, o)
			var want tallies
			for _, x := range list {
				if x.tick > o.tick-buckets {
					want.Calls++
					if x.bad {
						want.Failures++
					}
				}
			}
			require.Equal(t, want, tally(b))
		}
	}
}

// G20: a new closed stay counts from zero, after half-open and after Reset.
func TestG20_newStayCountsFromZero(t *testing.T) {
	rules := map[string]breaker.Rule{
		"consecutive": breaker.ConsecutiveFailures(3),
		"count, last": breaker.FailureCount(3, breaker.LastN(100)),
		"rate, last":  breaker.FailureRate(0.5, 3, breaker.LastN(100)),
		"count":       breaker.FailureCount(3, breaker.Within(time.Hour)),
		"rate":        breaker.FailureRate(0.5, 3, breaker.Within(time.Hour)),
	}
	inBubbles(t, rules, func(t *testing.T, rule breaker.Rule) {
		b := breaker.MustNew("b", breaker.Config{Trip: rule, OpenFor: time.Second, CloseAfter: 1})
		for range 3 {
			failing(t, b, 3)
			assertState(t, breaker.Open, b)
			time.Sleep(time.Second)
			passing(t, b, 1)
			assert.Equal(t, tallies{}, tally(b))
			failing(t, b, 2)
			assertState(t, breaker.Closed, b)
			b.Reset()
			assert.Equal(t, tallies{}, tally(b))
			failing(t, b, 2)
			assertState(t, breaker.Closed, b)
			b.Reset()
		}
	})
}

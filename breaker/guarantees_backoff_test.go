package breaker_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// openings are the lengths of n openings in a row of a breaker that opens at
// its first failure and closes at its first success, each caused by how.
func openings(t *testing.T, b *breaker.Breaker, n int, how func(*testing.T, *breaker.Breaker)) []time.Duration {
	t.Helper()
	var all []time.Duration
	for range n {
		how(t, b)
		all = append(all, refusal(t, b).RetryAfter())
		time.Sleep(all[len(all)-1])
	}
	return all
}

func failingOnce(t *testing.T, b *breaker.Breaker) {
	t.Helper()
	failing(t, b, 1)
}

// G21: min(OpenFor x Backoff^(n-1), MaxOpenFor).
func TestG21_growth(t *testing.T) {
	const s = time.Second
	cases := map[string]struct {
		cfg  breaker.Config
		want []time.Duration
	}{
		"none":        {breaker.Config{OpenFor: s}, []time.Duration{s, s, s}},
		"one is none": {breaker.Config{OpenFor: s, Backoff: 1}, []time.Duration{s, s, s}},
		"negative":    {breaker.Config{OpenFor: s, Backoff: -3}, []time.Duration{s, s, s}},
		"default cap": {breaker.Config{OpenFor: s, Backoff: 2}, []time.Duration{s, 2 * s, 4 * s, 8 * s, 10 * s, 10 * s}},
		"fraction":    {breaker.Config{OpenFor: 4 * s, Backoff: 1.5}, []time.Duration{4 * s, 6 * s, 9 * s, 13500 * time.Millisecond}},
		"own cap":     {breaker.Config{OpenFor: s, Backoff: 3, MaxOpenFor: 5 * s}, []time.Duration{s, 3 * s, 5 * s, 5 * s}},
		"cap is all":  {breaker.Config{OpenFor: s, Backoff: 3, MaxOpenFor: s}, []time.Duration{s, s, s}},
		"no cap":      {breaker.Config{OpenFor: s, Backoff: 10, MaxOpenFor: -1}, []time.Duration{s, 10 * s, 100 * s, 1000 * s}},
		"zero config": {breaker.Config{Backoff: 8}, []time.Duration{30 * s, 240 * s, 300 * s}},
	}
	inBubbles(t, cases, func(t *testing.T, c struct {
		cfg  breaker.Config
		want []time.Duration
	},
	) {
		c.cfg.Trip = breaker.ConsecutiveFailures(1)
		b := breaker.MustNew("b", c.cfg)
		assert.Equal(t, c.want, openings(t, b, len(c.want), failingOnce))
	})
}

// G21: without a cap the open time saturates.
func TestG21_saturates(t *testing.T) {
	c := newFakeClock()
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Backoff: 1e300, MaxOpenFor: -1, Clock: c})
	b.Trip(0, errBoom)
	c.advance(openFor)
	failing(t, b, 1)
	assert.Equal(t, time.Duration(math.MaxInt64), refusal(t, b).RetryAfter())
}

// G21: failed probes, lost probes and Trip(0) count as openings alike.
func TestG21_whatCounts(t *testing.T) {
	ways := map[string]func(*testing.T, *breaker.Breaker){
		"failed probe": failingOnce,
		"Trip(0)":      func(_ *testing.T, b *breaker.Breaker) { b.Trip(0, errBoom) },
		"Permit.Trip(0)": func(t *testing.T, b *breaker.Breaker) {
			issued(t, b).Trip(0, errBoom)
		},
		"lost probe": func(t *testing.T, b *breaker.Breaker) {
			issued(t, b)
			time.Sleep(openFor)
			refused(t, b)
		},
		"closed in between": func(t *testing.T, b *breaker.Breaker) {
			passing(t, b, 1)
			assertState(t, breaker.Closed, b)
			failing(t, b, 1)
		},
		"recovering in between": func(t *testing.T, b *breaker.Breaker) {
			require.NoError(t, b.Reconfigure(breaker.Config{
				Trip: breaker.ConsecutiveFailures(1), Backoff: 2, CloseAfter: 1, Ramp: time.Minute, RampFrom: 0.999999,
			}))
			passing(t, b, 1)
			assertState(t, breaker.Recovering, b)
			for b.State() == breaker.Recovering {
				_ = b.Run(t.Context(), returning(errBoom))
			}
		},
	}
	inBubbles(t, ways, func(t *testing.T, way func(*testing.T, *breaker.Breaker)) {
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.ConsecutiveFailures(1), Backoff: 2, CloseAfter: 1, ProbeLease: openFor,
		})
		b.Trip(0, errBoom)
		require.Equal(t, openFor, refusal(t, b).RetryAfter())
		time.Sleep(openFor)
		assert.Equal(t, []time.Duration{2 * openFor, 4 * openFor, 8 * openFor}, openings(t, b, 3, way))
	})
}

// G21: a Trip with its own duration is exact and leaves the level alone.
func TestG21_ownDuration(t *testing.T) {
	trips := map[string]func(*testing.T, *breaker.Breaker){
		"Trip":        func(_ *testing.T, b *breaker.Breaker) { b.Trip(7*time.Second, errBoom) },
		"Permit.Trip": func(t *testing.T, b *breaker.Breaker) { issued(t, b).Trip(7*time.Second, errBoom) },
	}
	inBubbles(t, trips, func(t *testing.T, trip func(*testing.T, *breaker.Breaker)) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Backoff: 2, Jitter: 0.5, JitterSeed: 1})
		for range 5 {
			assert.Equal(t, []time.Duration{7 * time.Second}, openings(t, b, 1, trip))
		}
		require.NoError(t, b.Reconfigure(breaker.Config{Trip: breaker.ConsecutiveFailures(1), Backoff: 2}))
		assert.Equal(t, []time.Duration{openFor, 2 * openFor}, openings(t, b, 2, failingOnce))
		assert.Equal(t, []time.Duration{7 * time.Second}, openings(t, b, 1, trip))
		assert.Equal(t, []time.Duration{4 * openFor}, openings(t, b, 1, failingOnce))
	})
}

// G21: a breaker that was closed for StableAfter has begun a new row, also if
// a Trip with its own duration comes before the next opening of the row.
func TestG21_stableBeforeOwnDuration(t *testing.T) {
	next := map[string]func(*testing.T, *breaker.Breaker){
		"probe fails": failingOnce,
		"closes, then fails": func(t *testing.T, b *breaker.Breaker) {
			passing(t, b, 1)
			failing(t, b, 1)
		},
	}
	inBubbles(t, next, func(t *testing.T, fail func(*testing.T, *breaker.Breaker)) {
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.ConsecutiveFailures(1), Backoff: 2, StableAfter: time.Minute, CloseAfter: 1,
		})
		require.Equal(t, []time.Duration{openFor, 2 * openFor}, openings(t, b, 2, failingOnce))
		passing(t, b, 1)
		time.Sleep(time.Hour)
		b.Trip(time.Second, errBoom)
		time.Sleep(time.Second)
		fail(t, b)
		assert.Equal(t, openFor, refusal(t, b).RetryAfter())
	})
}

// G21: by default the backoff starts over when the breaker was closed for as
// long as it was last open, however it came to be open so long.
func TestG21_defaultStableAfter(t *testing.T) {
	cases := map[string]struct {
		extend, closed, want time.Duration
	}{
		"short":                     {0, 2*openFor - 1, 4 * openFor},
		"exact":                     {0, 2 * openFor, openFor},
		"short after a longer Trip": {time.Hour, time.Hour - 1, 4 * openFor},
		"exact after a longer Trip": {time.Hour, time.Hour, openFor},
	}
	inBubbles(t, cases, func(t *testing.T, c struct {
		extend, closed, want time.Duration
	},
	) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Backoff: 2, CloseAfter: 1})
		require.Equal(t, []time.Duration{openFor}, openings(t, b, 1, failingOnce))
		failing(t, b, 1)
		if c.extend > 0 {
			b.Trip(c.extend, errOther)
		}
		time.Sleep(refusal(t, b).RetryAfter())
		passing(t, b, 1)
		time.Sleep(c.closed)
		failing(t, b, 1)
		assert.Equal(t, c.want, refusal(t, b).RetryAfter())
	})
}

// G21: with a negative StableAfter any close starts over; reopening does not.
func TestG21_anyClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.ConsecutiveFailures(1), Backoff: 2, StableAfter: -1, CloseAfter: 1,
		})
		assert.Equal(t, []time.Duration{openFor, 2 * openFor}, openings(t, b, 2, failingOnce))
		passing(t, b, 1)
		failing(t, b, 1)
		assert.Equal(t, openFor, refusal(t, b).RetryAfter())
	})
}

// G21: recovering counts as closed.
func TestG21_stableWhileRecovering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.ConsecutiveFailures(1), Backoff: 2, StableAfter: time.Minute, CloseAfter: 1, Ramp: time.Hour, RampFrom: 0.9,
		})
		assert.Equal(t, []time.Duration{openFor}, openings(t, b, 1, failingOnce))
		passing(t, b, 1)
		time.Sleep(time.Minute)
		for b.State() == breaker.Recovering {
			_ = b.Run(t.Context(), returning(errBoom))
		}
		assert.Equal(t, openFor, refusal(t, b).RetryAfter())
	})
}

// G21: Reset forgets the backoff.
func TestG21_reset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Backoff: 2, StableAfter: 1000 * time.Hour})
		openings(t, b, 3, failingOnce)
		b.Reset()
		assert.Equal(t, []time.Duration{openFor, 2 * openFor}, openings(t, b, 2, failingOnce))
	})
}

// jittered are the lengths of 400 first openings.
func jittered(t *testing.T, name string, cfg breaker.Config) []time.Duration {
	t.Helper()
	cfg.Clock = newFakeClock()
	b := breaker.MustNew(name, cfg)
	var all []time.Duration
	for range 400 {
		b.Trip(0, errBoom)
		all = append(all, refusal(t, b).RetryAfter())
		b.Reset()
	}
	return all
}

// G21: jitter scales by 1 +- Jitter, uniformly.
func TestG21_jitter(t *testing.T) {
	for _, seed := range []uint64{0, 1, 2, math.MaxUint64} {
		all := jittered(t, "b", breaker.Config{OpenFor: 100 * time.Second, Jitter: 0.2, JitterSeed: seed})
		var quarters [4]int
		for _, d := range all {
			require.GreaterOrEqual(t, d, 80*time.Second)
			require.LessOrEqual(t, d, 120*time.Second)
			quarters[min(int((d-80*time.Second)/(10*time.Second)), 3)]++
		}
		for _, n := range quarters {
			assert.InDelta(t, 100, n, 50, "seed %d: %v", seed, quarters)
		}
	}
}

// G21: a seed makes the jitter repeatable, the name makes it differ.
func TestG21_jitterSeed(t *testing.T) {
	cfg := breaker.Config{Jitter: 0.5, JitterSeed: 7}
	a := jittered(t, "a", cfg)
	assert.Equal(t, a, jittered(t, "a", cfg))
	assert.NotEqual(t, a, jittered(t, "b", cfg))
	cfg.JitterSeed = 8
	assert.NotEqual(t, a, jittered(t, "a", cfg))
	cfg.JitterSeed = 0
	assert.NotEqual(t, jittered(t, "a", cfg), jittered(t, "a", cfg))
}

// G21: jitter comes after the cap, so it may exceed it by its fraction; it is
// of the grown time.
func TestG21_jitterAfterCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.ConsecutiveFailures(1), OpenFor: time.Second, Backoff: 2, MaxOpenFor: 8 * time.Second, Jitter: 0.5, JitterSeed: 3,
		})
		all := openings(t, b, 60, failingOnce)[3:]
		for _, d := range all {
			assert.GreaterOrEqual(t, d, 4*time.Second)
			assert.LessOrEqual(t, d, 12*time.Second)
		}
		assert.Greater(t, slices.Max(all), 8*time.Second)
	})
}

// G21: without jitter the same opening is always as long.
func TestG21_noJitter(t *testing.T) {
	for _, jitter := range []float64{0, -1} {
		all := jittered(t, "b", breaker.Config{Jitter: jitter, JitterSeed: 3})
		assert.Equal(t, openFor, slices.Min(all), fmt.Sprint(jitter))
		assert.Equal(t, openFor, slices.Max(all), fmt.Sprint(jitter))
	}
}

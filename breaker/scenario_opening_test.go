package breaker_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G17: a success between failures starts the row over.
func TestScenario01_consecutiveFailures(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(3)})
	failing(t, b, 2)
	passing(t, b, 1)
	failing(t, b, 2)
	assertState(t, breaker.Closed, b)

	failing(t, b, 1)
	assertState(t, breaker.Open, b)
}

// G18: a count window opens at the outcome that fills it, not before.
func TestScenario02_failureCountOfLast(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(5, breaker.LastN(10))})
	for range 4 {
		failing(t, b, 1)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	}
	passing(t, b, 1)
	assertState(t, breaker.Closed, b)
	failing(t, b, 1) // the fifth of ten
	assertState(t, breaker.Open, b)
}

// G18: with one more success in between the first failure has slid out.
func TestScenario02_failureCountOfLastSlides(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(5, breaker.LastN(10))})
	for range 4 {
		failing(t, b, 1)
		passing(t, b, 1)
	}
	passing(t, b, 2)
	failing(t, b, 1)
	assertState(t, breaker.Closed, b)
	assert.Equal(t, tallies{Calls: 10, Failures: 4}, tally(b))
}

// G16: minimum calls, and a success that brings the rate to them.
func TestScenario03_minimumCalls(t *testing.T) {
	newBreaker := func(t *testing.T) *breaker.Breaker {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(0.5, 20, breaker.LastN(100))})
		failing(t, b, 19)
		assertState(t, breaker.Closed, b)
		return b
	}
	t.Run("the 20th fails", func(t *testing.T) {
		b := newBreaker(t)
		failing(t, b, 1)
		assertState(t, breaker.Open, b)
	})
	t.Run("the 20th succeeds", func(t *testing.T) {
		b := newBreaker(t)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
		failing(t, b, 1)
		assertState(t, breaker.Open, b)
	})
}

// G18: the oldest outcome leaves as the newest comes.
func TestScenario04_sliding(t *testing.T) {
	newBreaker := func(t *testing.T) *breaker.Breaker {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(0.5, 0, breaker.LastN(10))})
		failing(t, b, 1)
		passing(t, b, 6)
		failing(t, b, 3)
		require.Equal(t, tallies{Calls: 10, Failures: 4}, tally(b))
		return b
	}
	t.Run("one failure out, one in", func(t *testing.T) {
		b := newBreaker(t)
		failing(t, b, 1)
		assertState(t, breaker.Closed, b)
		assert.Equal(t, tallies{Calls: 10, Failures: 4}, tally(b))
		failing(t, b, 1) // a success slides out this time
		assertState(t, breaker.Open, b)
	})
	t.Run("a success first", func(t *testing.T) {
		b := newBreaker(t)
		passing(t, b, 1)
		assert.Equal(t, tallies{Calls: 10, Failures: 3}, tally(b))
		failing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// G18: 0.07 of 100 is 7 and not 8, as it is in floating point.
func TestScenario04_sixDecimals(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(0.07, -1, breaker.LastN(100))})
	passing(t, b, 93)
	failing(t, b, 6)
	assertState(t, breaker.Closed, b)
	failing(t, b, 1)
	assertState(t, breaker.Open, b)
}

// G19: an idle window holds nothing.
func TestScenario05_idleWindow(t *testing.T) {
	const w = 10 * time.Second
	rules := map[string]breaker.Rule{
		"ten buckets": breaker.FailureRate(0.9, 100, breaker.Within(w)),
		"two buckets": breaker.FailureRate(0.9, 100, breaker.Window{Within: w, Buckets: 2}),
		"exact":       breaker.FailureCount(100, breaker.Within(w)),
	}
	inBubbles(t, rules, func(t *testing.T, rule breaker.Rule) {
		b := breaker.MustNew("b", breaker.Config{Trip: rule})
		for range 20 {
			failing(t, b, 2)
			passing(t, b, 1)
			time.Sleep(w / 20)
		}
		require.NotZero(t, b.Snapshot().Failures)

		time.Sleep(10 * w)
		s := b.Snapshot()
		assert.Zero(t, s.Calls)
		assert.Zero(t, s.Failures)
		assert.Zero(t, s.FailureRate)

		failing(t, b, 1)
		s = b.Snapshot()
		assert.EqualValues(t, 1, s.Calls)
		assert.EqualValues(t, 1, s.Failures)
		assert.InDelta(t, 1, s.FailureRate, 0)
	})
}

// G14, G16, G22: slow successes open, with a cause that says so.
func TestScenario06_slowSuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{
			Trip:  breaker.SlowRate(2*time.Second, 0.5, 4, breaker.LastN(10)),
			Hooks: r.transition(),
		})
		ctx := t.Context()
		require.NoError(t, b.Run(ctx, lasting(2*time.Second, nil)))
		require.NoError(t, b.Run(ctx, lasting(2*time.Second-1, nil)))
		require.NoError(t, b.Run(ctx, lasting(0, nil)))
		assertState(t, breaker.Closed, b)
		assert.EqualValues(t, 1, b.Snapshot().Slow)

		require.NoError(t, b.Run(ctx, lasting(2*time.Second, nil)))
		assertState(t, breaker.Open, b)
		assert.Equal(t, breaker.ReasonSlowCalls, b.Snapshot().Reason)
		require.Error(t, b.Snapshot().Cause)
		assert.Contains(t, b.Snapshot().Cause.Error(), "2s")

		before := r.last(t).Before
		assert.EqualValues(t, 4, before.SlowOf)
		assert.EqualValues(t, 2, before.Slow)
		assert.InDelta(t, 0.5, before.SlowRate, 0)
	})
}

// G16: of the same calls in another order the last is quick, so it does not
// open.
func TestScenario06_quickSuccessDoesNotOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.SlowRate(2*time.Second, 0.5, 4, breaker.LastN(10))})
		for _, d := range []time.Duration{2 * time.Second, 2 * time.Second, 0, 0} {
			require.NoError(t, b.Run(t.Context(), lasting(d, nil)))
		}
		s := b.Snapshot()
		assert.Equal(t, breaker.Closed, s.State)
		assert.EqualValues(t, 4, s.SlowOf)
		assert.EqualValues(t, 2, s.Slow)
	})
}

// G38, G29: all problems in one error, from New and from Reconfigure, which
// then changes nothing.
func TestScenario30_invalidConfig(t *testing.T) {
	invalid := breaker.Config{
		Trip:       breaker.FailureRate(math.NaN(), 0, breaker.LastN(10)),
		CloseAfter: 5,
		CloseOf:    4,
		Jitter:     2,
	}
	wanted := []string{"rate is NaN", "CloseOf is 4", "Jitter is 2"}

	b, err := breaker.New("b", invalid)
	require.Error(t, err)
	assert.Nil(t, b)
	for _, want := range wanted {
		assert.ErrorContains(t, err, want)
	}

	b = breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(3)})
	failing(t, b, 2)
	before := b.Snapshot()
	err = b.Reconfigure(invalid)
	require.Error(t, err)
	for _, want := range wanted {
		assert.ErrorContains(t, err, want)
	}
	assert.Equal(t, before, b.Snapshot())
	failing(t, b, 1)
	assertState(t, breaker.Open, b)
}

// G38: the zero Config is valid.
func TestScenario30_zeroConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, err := breaker.New("b", breaker.Config{})
		require.NoError(t, err)
		failing(t, b, 4)
		assertState(t, breaker.Closed, b)
		failing(t, b, 1)
		assertState(t, breaker.Open, b)
		assert.Equal(t, openFor, refusal(t, b).RetryAfter())
		time.Sleep(openFor)
		passing(t, b, 3)
		assertState(t, breaker.Closed, b)
	})
}

package breaker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G29: in every state: no event, the same snapshot, the permits valid.
func TestG29_keepsTheStay(t *testing.T) {
	for state, newBreaker := range inState {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				cfg := breaker.Config{Hooks: r.transition(), Ramp: openFor, RampFrom: -1}
				b := newBreaker(t, cfg)
				events := len(r.all())
				before := b.Snapshot()
				cfg.OpenFor, cfg.Backoff, cfg.CloseAfter, cfg.Jitter = time.Hour, 3, 1, 0.5
				cfg.Initial, cfg.Clock = breaker.ForcedOpen, newFakeClock()
				require.NoError(t, b.Reconfigure(cfg))
				assert.Equal(t, before, b.Snapshot())
				assert.Len(t, r.all(), events)
				time.Sleep(time.Second)
				if s := b.Snapshot(); s.State == breaker.Open {
					assert.Equal(t, before.RetryAfter-time.Second, s.RetryAfter, "the clock has changed")
				}
			})
		})
	}
}

// G29: permits survive, in closed and in half-open stays.
func TestG29_permitsSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(2), CloseAfter: 2}
		b := breaker.MustNew("b", cfg)
		p, q := issued(t, b), issued(t, b)
		require.NoError(t, b.Reconfigure(cfg))
		p.Done(errBoom)
		assert.EqualValues(t, 1, b.Snapshot().Failures)
		require.NoError(t, b.Reconfigure(cfg))
		q.Done(errBoom)
		assertState(t, breaker.Open, b)

		time.Sleep(openFor)
		p = issued(t, b)
		cfg.CloseAfter = 1
		require.NoError(t, b.Reconfigure(cfg))
		p.Done(nil)
		assertState(t, breaker.Closed, b)
		assert.Zero(t, b.Snapshot().Late)
	})
}

// G29: open time and level stay; what comes next goes by the new values.
func TestG29_openTimeAndLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Backoff: 2})
		openings(t, b, 1, failingOnce)
		failing(t, b, 1)
		time.Sleep(time.Second)
		require.NoError(t, b.Reconfigure(breaker.Config{Trip: breaker.ConsecutiveFailures(1), Backoff: 3, OpenFor: time.Second, CloseAfter: 1}))
		assert.Equal(t, 2*openFor-time.Second, refusal(t, b).RetryAfter())
		time.Sleep(2*openFor - time.Second)
		failing(t, b, 1)
		assert.Equal(t, 9*time.Second, refusal(t, b).RetryAfter(), "the third in a row")
	})
}

// G29: which change of a rule keeps its counts.
func TestG29_whichCountsAreKept(t *testing.T) {
	lastN, within := breaker.LastN(10), breaker.Within(time.Minute)
	buckets := func(n int) breaker.Window { return breaker.Window{Within: time.Minute, Buckets: n} }
	cases := []struct {
		from, to breaker.Rule
		kept     bool
	}{
		{breaker.ConsecutiveFailures(9), breaker.ConsecutiveFailures(99), true},
		{breaker.ConsecutiveFailures(9), breaker.FailureCount(9, lastN), false},
		{breaker.FailureCount(9, lastN), breaker.FailureCount(7, lastN), true},
		{breaker.FailureCount(7, lastN), breaker.FailureCount(9, lastN), true},
		{breaker.FailureCount(9, lastN), breaker.FailureCount(9, breaker.LastN(11)), false},
		{breaker.FailureCount(9, lastN), breaker.FailureRate(0.9, 9, lastN), false},
		{breaker.FailureCount(9, within), breaker.FailureCount(8, within), true},
		{breaker.FailureCount(9, within), breaker.FailureCount(99, buckets(7)), true},
		{breaker.FailureCount(9, within), breaker.FailureCount(9, breaker.Within(time.Hour)), false},
		{breaker.FailureCount(9, lastN), breaker.FailureCount(9, within), false},
		{breaker.FailureRate(0.9, 9, lastN), breaker.FailureRate(0.8, 8, lastN), true},
		{breaker.FailureRate(0.9, 9, within), breaker.FailureRate(0.8, 88, within), true},
		{breaker.FailureRate(0.9, 9, within), breaker.FailureRate(0.9, 9, buckets(10)), true},
		{breaker.FailureRate(0.9, 9, within), breaker.FailureRate(0.9, 9, buckets(11)), false},
		{breaker.FailureRate(0.9, 9, within), breaker.FailureRate(0.9, 9, lastN), false},
		{
			breaker.Any(breaker.FailureCount(9, lastN), breaker.SlowRate(time.Hour, 1, 0, lastN)),
			breaker.Any(breaker.SlowRate(time.Hour, 1, 0, lastN), breaker.FailureCount(9, lastN)),
			false, // another place
		},
		{
			breaker.FailureCount(9, lastN),
			breaker.Any(breaker.FailureCount(9, lastN), breaker.ConsecutiveFailures(99)),
			true,
		},
		{
			breaker.Any(breaker.FailureCount(9, lastN), breaker.ConsecutiveFailures(99)),
			breaker.Any(breaker.FailureCount(9, lastN)),
			true,
		},
	}
	for _, c := range cases {
		for _, state := range []string{"closed", "recovering", "parked"} {
			t.Run(fmt.Sprintf("%v, %v to %v", state, c.from, c.to), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := breaker.Config{Trip: c.from, CloseAfter: 1, RampFrom: 0.999999}
					b := breaker.MustNew("b", cfg)
					if state == "recovering" {
						cfg.Ramp = time.Hour
						b = halfOpened(t, cfg)
						passing(t, b, 1)
						refused(t, b)
					}
					failing(t, b, 5)
					if state == "parked" {
						b.ForceOpen(nil)
					}
					cfg.Trip = c.to
					require.NoError(t, b.Reconfigure(cfg))
					b.Auto()
					want := tallies{}
					if c.kept {
						want = tallies{Calls: 5, Failures: 5}
					}
					assert.Equal(t, want, tally(b))
				})
			})
		}
	}
}

// G29: a slow rule keeps its counts over a change of threshold, and judges by
// the new one.
func TestG29_slowThreshold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := func(threshold time.Duration) breaker.Config {
			return breaker.Config{Trip: breaker.SlowRate(threshold, 1, 10, breaker.LastN(10))}
		}
		b := breaker.MustNew("b", rule(time.Second))
		require.NoError(t, b.Run(t.Context(), lasting(time.Second, nil)))
		require.NoError(t, b.Reconfigure(rule(2*time.Second)))
		require.NoError(t, b.Run(t.Context(), lasting(time.Second, nil)))
		s := b.Snapshot()
		assert.EqualValues(t, 2, s.SlowOf)
		assert.EqualValues(t, 1, s.Slow)
	})
}

// G29, G16: a limit exceeded already takes effect at the next bad outcome.
func TestG29_neverOpens(t *testing.T) {
	rules := map[string][2]breaker.Rule{
		"consecutive": {breaker.ConsecutiveFailures(9), breaker.ConsecutiveFailures(2)},
		"count":       {breaker.FailureCount(9, breaker.LastN(20)), breaker.FailureCount(2, breaker.LastN(20))},
		"within":      {breaker.FailureCount(9, breaker.Within(time.Hour)), breaker.FailureCount(2, breaker.Within(time.Hour))},
		"rate":        {breaker.FailureRate(0.9, 20, breaker.LastN(20)), breaker.FailureRate(0.1, 1, breaker.LastN(20))},
		"rate within": {breaker.FailureRate(0.9, 20, breaker.Within(time.Hour)), breaker.FailureRate(0.1, 1, breaker.Within(time.Hour))},
	}
	inBubbles(t, rules, func(t *testing.T, rules [2]breaker.Rule) {
		b := breaker.MustNew("b", breaker.Config{Trip: rules[0]})
		failing(t, b, 5)
		require.NoError(t, b.Reconfigure(breaker.Config{Trip: rules[1]}))
		assertState(t, breaker.Closed, b)
		issued(t, b).Record(breaker.Ignored, nil)
		assertState(t, breaker.Closed, b)
		failing(t, b, 1)
		assertState(t, breaker.Open, b)
	})
}

// G29: limits may go down and up again without losing counts.
func TestG29_limitDownAndUp(t *testing.T) {
	windows := map[string]breaker.Window{"last": breaker.LastN(20), "within": breaker.Within(time.Hour)}
	inBubbles(t, windows, func(t *testing.T, w breaker.Window) {
		limit := func(n int) breaker.Config { return breaker.Config{Trip: breaker.FailureCount(n, w)} }
		b := breaker.MustNew("b", limit(6))
		time.Sleep(time.Minute)
		passing(t, b, 15)
		failing(t, b, 5)
		passing(t, b, 1)
		for _, n := range []int{2, 6} {
			require.NoError(t, b.Reconfigure(limit(n)))
			assert.EqualValues(t, 5, b.Snapshot().Failures, "limit %d", n)
		}
		failing(t, b, 1)
		assertState(t, breaker.Open, b)
	})
}

// G29: raising a rate uses what the window holds, not only what the old rate
// needed to know.
func TestG29_rateUp(t *testing.T) {
	rate := func(r float64) breaker.Config {
		return breaker.Config{Trip: breaker.FailureRate(r, 50, breaker.LastN(100))}
	}
	b := breaker.MustNew("b", rate(0.1))
	failing(t, b, 40)
	passing(t, b, 55)
	require.NoError(t, b.Reconfigure(rate(0.3)))
	passing(t, b, 5)
	assertState(t, breaker.Closed, b)
	failing(t, b, 1) // 40 of the last 100
	assertState(t, breaker.Open, b)
}

// G29, G8: a success that ends after a rule was added counts for it, as its
// failure would.
func TestG29_addedRuleCountsCallsInFlight(t *testing.T) {
	added := breaker.FailureRate(0.5, 2, breaker.LastN(10))
	rules := map[string][2]breaker.Rule{
		"beside":  {breaker.Rule{}, breaker.Any(breaker.ConsecutiveFailures(5), added)},
		"instead": {breaker.Rule{}, added},
	}
	for name, rule := range rules {
		for form, call := range forms {
			b := breaker.MustNew("b", breaker.Config{Trip: rule[0]})
			require.NoError(t, call(t.Context(), b, func(context.Context) error {
				return b.Reconfigure(breaker.Config{Trip: rule[1]})
			}))
			failing(t, b, 1) // one of two
			assert.Equal(t, breaker.Open, b.State(), "%s %s", name, form)
		}
	}
}

// G29, G14: nobody knows how long a call took that began before there was a
// slow rule, so it is in no slow window; in the others it is.
func TestG29_addedSlowRule(t *testing.T) {
	added := breaker.Config{Trip: breaker.Any(
		breaker.FailureRate(1, 9, breaker.LastN(9)), breaker.SlowRate(time.Second, 1, 9, breaker.LastN(9)),
	)}
	for _, err := range []error{nil, errBoom} {
		b := breaker.MustNew("b", breaker.Config{})
		assert.Equal(t, err, b.Run(t.Context(), func(context.Context) error {
			require.NoError(t, b.Reconfigure(added))
			return err
		}))
		s := b.Snapshot()
		assert.EqualValues(t, 1, s.Calls)
		assert.Zero(t, s.SlowOf)
		passing(t, b, 1)
		assert.EqualValues(t, 2, b.Snapshot().Calls)
		assert.EqualValues(t, 1, b.Snapshot().SlowOf)
	}
}

// G29: fewer slots let nobody in until enough probes have ended; more let
// more in at once.
func TestG29_probes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := breaker.Config{Probes: 3, CloseAfter: 100}
		b := halfOpened(t, cfg)
		held := []*breaker.Permit{issued(t, b), issued(t, b), issued(t, b)}
		cfg.Probes = 1
		require.NoError(t, b.Reconfigure(cfg))
		for _, p := range held {
			assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
			p.Done(nil)
		}
		held[0] = issued(t, b)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		cfg.Probes = 2
		require.NoError(t, b.Reconfigure(cfg))
		held[1] = issued(t, b)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		assert.EqualValues(t, 3, b.Snapshot().Calls)
	})
}

// G29: a new lease holds for the probes in flight, a new ramp for the calls to
// come.
func TestG29_leaseAndRamp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := breaker.Config{ProbeLease: time.Hour, CloseAfter: 1, CloseOf: 2, Ramp: time.Hour, RampFrom: -1}
		b := halfOpened(t, cfg)
		issued(t, b)
		time.Sleep(time.Minute)
		refused(t, b)
		cfg.ProbeLease = time.Minute
		require.NoError(t, b.Reconfigure(cfg))
		passing(t, b, 1)
		assertState(t, breaker.Recovering, b)

		time.Sleep(time.Minute)
		refused(t, b)
		cfg.Ramp = time.Minute
		require.NoError(t, b.Reconfigure(cfg))
		passing(t, b, 10)
		assertState(t, breaker.Closed, b)

		b = halfOpened(t, cfg)
		passing(t, b, 1)
		refused(t, b)
		cfg.Ramp = 0
		require.NoError(t, b.Reconfigure(cfg))
		passing(t, b, 10)
		assertState(t, breaker.Closed, b)
	})
}

// G29: a close that the new values would have allowed waits for a success.
func TestG29_closeAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 5, CloseOf: 10})
		passing(t, b, 3)
		require.NoError(t, b.Reconfigure(breaker.Config{CloseAfter: 2, CloseOf: 10}))
		assertState(t, breaker.HalfOpen, b)
		failing(t, b, 1)
		assertState(t, breaker.HalfOpen, b)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// G29: a call is classified by the Config that admitted it.
func TestG29_classifiedAsAdmitted(t *testing.T) {
	judging := func(o breaker.Outcome) breaker.Config {
		return breaker.Config{Classify: func(context.Context, error) breaker.Outcome { return o }}
	}
	b := breaker.MustNew("b", judging(breaker.Ignored))
	p := issued(t, b)
	assert.Equal(t, errBoom, b.Run(t.Context(), func(context.Context) error {
		require.NoError(t, b.Reconfigure(judging(breaker.Failure)))
		return errBoom
	}))
	p.Done(errBoom)
	assert.Equal(t, tallies{Ignored: 2}, tally(b))
	failing(t, b, 1)
	assert.Equal(t, tallies{Calls: 1, Failures: 1, Ignored: 2}, tally(b))
}

// G29: what waits under a forced state takes the new values too.
func TestG29_underForced(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(9)})
	failing(t, b, 3)
	b.ForceClosed()
	require.NoError(t, b.Reconfigure(breaker.Config{Trip: breaker.ConsecutiveFailures(4)}))
	assertState(t, breaker.ForcedClosed, b)
	b.Auto()
	assert.EqualValues(t, 3, b.Snapshot().Failures)
	failing(t, b, 1)
	assertState(t, breaker.Open, b)
}

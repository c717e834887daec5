package balance_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry/balance"
)

// simulated is how many requests a simulation has: as many as figures of the
// tail need, or the least that its bar can be told by, since the race detector
// is ten times slower.
func simulated(least int) int {
	if raceEnabled {
		return least
	}
	return 300_000
}

// withReplacement is what LeastLoaded must not be: the two it compares may be the
// same one, so that in one of n times n picks nothing is compared, and a server
// that cannot stand even this share falls behind without end.
func withReplacement() balance.Policy {
	random := seeded(4)
	return policyFunc(func(c balance.Candidates, _ balance.Query, _ int) int {
		r, n := random(), uint64(c.Len())
		i, j := int(r>>32%n), int(r&math.MaxUint32%n)
		if c.At(j).InFlight() < c.At(i).InFlight() {
			return j
		}
		return i
	})
}

// One of ten servers takes five times as long as the others, which is too long
// for its share by turns.
func TestSimulation_slow(t *testing.T) {
	turns := tenServers(balance.RoundRobin{}, 5, simulated(75_000)).run(t)
	least := tenServers(balance.LeastLoaded{}, 5, simulated(75_000)).run(t)
	r := ratio{"p99 of LeastLoaded to RoundRobin", percentile(least, 0.99), percentile(turns, 0.99)}
	t.Log(r)
	assert.LessOrEqual(t, r.value(), 0.01)
}

// It takes twenty times as long.
func TestSimulation_verySlow(t *testing.T) {
	p999 := func(p balance.Policy) time.Duration {
		return percentile(tenServers(p, 20, simulated(150_000)).run(t), 0.999)
	}
	turns, least, peak := p999(balance.RoundRobin{}), p999(balance.LeastLoaded{}), p999(balance.PeakEWMA{})
	r := ratio{"p999 of LeastLoaded to RoundRobin", least, turns}
	t.Log(r)
	assert.LessOrEqual(t, r.value(), 0.02)
	r = ratio{"p999 of PeakEWMA to LeastLoaded", peak, least}
	t.Log(r)
	assert.LessOrEqual(t, r.value(), 0.5)
	r = ratio{"p999 of sampling with replacement to RoundRobin", p999(withReplacement()), turns}
	t.Log(r)
	assert.Greater(t, r.value(), 0.02, "then the bar above shows nothing")
}

// No server is slow: then the policies do equally well.
func TestSimulation_even(t *testing.T) {
	var all []time.Duration
	for _, p := range []balance.Policy{balance.RoundRobin{}, balance.LeastLoaded{}, balance.PeakEWMA{}} {
		all = append(all, percentile(tenServers(p, 0, simulated(40_000)).run(t), 0.99))
	}
	for i, what := range []string{"RoundRobin to LeastLoaded", "LeastLoaded to PeakEWMA", "PeakEWMA to RoundRobin"} {
		r := ratio{"p99 of " + what, all[i], all[(i+1)%len(all)]}
		t.Log(r)
		assert.InDelta(t, 1, r.value(), 0.05)
	}
}

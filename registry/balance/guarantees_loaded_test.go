package balance_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// drawnOf picks n times, and gives each pick back without an outcome.
func drawnOf(t *testing.T, b *balance.Balancer, n int) map[string]int {
	t.Helper()
	got := map[string]int{}
	for range n {
		p := pick(t, b)
		got[p.Endpoint().ID()]++
		p.Abandon()
	}
	return got
}

// Of n instances all but one have a call under way. How often the idle one is
// found tells how many different ones are compared: choices of n times; one
// that may be drawn twice is found less often.
func TestG29_TheComparedAreDistinct(t *testing.T) {
	for _, c := range []struct {
		policy balance.Policy
		n      int
		want   float64
	}{
		{balance.LeastLoaded{}, 2, 1},
		{balance.LeastLoaded{}, 3, 2. / 3},
		{balance.LeastLoaded{}, 10, 0.2},
		{balance.LeastLoaded{Choices: 1}, 4, 0.25},
		{balance.LeastLoaded{Choices: 3}, 4, 0.75},
		{balance.LeastLoaded{Choices: 4}, 5, 0.8},
		{balance.LeastLoaded{Choices: 16}, 17, 16. / 17},
		{balance.LeastLoaded{Choices: 16}, 5, 1},
		{balance.LeastLoaded{Choices: -1}, 50, 1},
		{balance.PeakEWMA{}, 2, 1},
		{balance.PeakEWMA{}, 3, 2. / 3},
		{balance.PeakEWMA{}, 10, 0.2},
	} {
		t.Run(fmt.Sprintf("%T%+v of %d", c.policy, c.policy, c.n), func(t *testing.T) {
			_, b := with(t, balance.Config{Policy: c.policy, Rand: seeded(29)}, numbered(c.n)...)
			for i := 1; i < c.n; i++ {
				pickOf(t, b, fmt.Sprintf("i%03d", i))
			}
			got := float64(drawnOf(t, b, 8000)["i000"]) / 8000
			assert.InDelta(t, c.want, got, 0.02)
		})
	}
}

// Of different weights too. That one of them is drawn nearly always does not
// make it the other one as well.
func TestG29_TheComparedAreDistinctBySkewedWeights(t *testing.T) {
	for name, policy := range map[string]balance.Policy{
		"LeastLoaded": balance.LeastLoaded{}, "3": balance.LeastLoaded{Choices: 3}, "PeakEWMA": balance.PeakEWMA{},
	} {
		t.Run(name, func(t *testing.T) {
			ins, _ := weightsOf(1_000_000, 1)
			_, b := with(t, balance.Config{Policy: policy, Rand: seeded(29)}, ins...)
			for range 3 {
				pickOf(t, b, "w0")
			}
			if name == "PeakEWMA" { // which does not divide by weights
				assert.Equal(t, map[string]int{"w1": 1000}, drawnOf(t, b, 1000))
				return
			}
			pickOf(t, b, "w1")
			assert.Equal(t, map[string]int{"w0": 1000}, drawnOf(t, b, 1000), "3 of 1,000,000 is less than 1 of 1")
		})
	}
}

// While nothing is under way, picks are in proportion to the weights.
func TestG29_AnIdleServiceIsUsedInProportion(t *testing.T) {
	for name, c := range map[string]struct {
		policy  balance.Policy
		weights []int
	}{
		"LeastLoaded":               {balance.LeastLoaded{}, []int{1, 2, 3, 4}},
		"LeastLoaded, two":          {balance.LeastLoaded{}, []int{1, 9}},
		"LeastLoaded, equal":        {balance.LeastLoaded{}, []int{7, 7, 7}},
		"LeastLoaded, 3 of 5":       {balance.LeastLoaded{Choices: 3}, []int{1, 2, 3, 4, 5}},
		"LeastLoaded, 3 of 3":       {balance.LeastLoaded{Choices: 3}, []int{1, 2, 3}},
		"LeastLoaded, all":          {balance.LeastLoaded{Choices: -1}, []int{1, 2, 3, 4}},
		"LeastLoaded, all of equal": {balance.LeastLoaded{Choices: -1}, []int{7, 7, 7}},
		"PeakEWMA":                  {balance.PeakEWMA{}, []int{1, 2, 3, 4}},
		"PeakEWMA, equal":           {balance.PeakEWMA{}, []int{7, 7, 7}},
	} {
		t.Run(name, func(t *testing.T) {
			ins, weights := weightsOf(c.weights...)
			_, b := with(t, balance.Config{Policy: c.policy, Rand: seeded(92)}, ins...)
			inProportion(t, weights, drawnOf(t, b, 10_000))
		})
	}
}

// What is compared is the load by weight.
func TestG29_LoadIsDividedByWeight(t *testing.T) {
	for name, policy := range map[string]balance.Policy{
		"two": balance.LeastLoaded{}, "three": balance.LeastLoaded{Choices: 3}, "all": balance.LeastLoaded{Choices: -1},
	} {
		t.Run(name, func(t *testing.T) {
			ins, _ := weightsOf(10, 30)
			r, b := with(t, balance.Config{Policy: policy, Rand: seeded(29)}, ins...)
			for range 400 {
				pick(t, b)
			}
			got := inFlight(r)
			assert.InDelta(t, 100, got["w0"], 1)
			assert.InDelta(t, 300, got["w1"], 1)
		})
	}
}

// As long as one of the two compared has no sample, load alone decides: the
// newcomer is neither flooded nor starved.
func TestG29_WithoutASampleLoadDecides(t *testing.T) {
	for name, latency := range map[string]time.Duration{"slow": time.Minute, "quick": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, b := with(t, balance.Config{Policy: balance.PeakEWMA{}, Rand: seeded(29)}, instance("old"))
				pick(t, b).DoneAfter(nil, latency)
				register(t, r, instance("new"))
				inProportion(t, map[string]int{"old": 1, "new": 1}, drawnOf(t, b, 10_000))

				p := pickOf(t, b, "old")
				assert.Equal(t, map[string]int{"new": 100}, drawnOf(t, b, 100))
				pickOf(t, b, "new")
				pickOf(t, b, "new")
				assert.Equal(t, map[string]int{"old": 100}, drawnOf(t, b, 100))
				p.Abandon()
			})
		})
	}
}

func TestG29_LatencyTimesLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := with(t, balance.Config{Policy: balance.PeakEWMA{}}, named("slow", "quick")...)
		pickOf(t, b, "slow").DoneAfter(nil, 100*time.Millisecond)
		pickOf(t, b, "quick").DoneAfter(nil, 10*time.Millisecond)
		for range 110 {
			pick(t, b)
		}
		got := inFlight(r)
		assert.InDelta(t, 10, got["slow"], 1, "a call more costs ten times as much: %v", got)
	})
}

// An endpoint that was slow once gets no calls, so no samples. It is tried again
// all the same, after a while.
func TestG29_TheSlowAreTriedAgain(t *testing.T) {
	for name, decay := range map[string]time.Duration{"default": 10 * time.Second, "longer": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				policy := balance.PeakEWMA{}
				if name != "default" {
					policy.Decay = decay
				}
				_, b := with(t, balance.Config{Policy: policy}, named("slow", "quick")...)
				pickOf(t, b, "slow").DoneAfter(nil, time.Second)
				pickOf(t, b, "quick").DoneAfter(nil, 10*time.Millisecond)
				begin := time.Now()
				for {
					p := pick(t, b)
					if p.Endpoint().ID() == "slow" {
						break
					}
					p.DoneAfter(nil, 10*time.Millisecond)
					time.Sleep(100 * time.Millisecond)
					require.Less(t, time.Since(begin), time.Hour)
				}
				// A hundredth of it is left after ln(100) = 4.6 times the decay.
				assert.InDelta(t, 4.6*decay.Seconds(), time.Since(begin).Seconds(), 0.05*decay.Seconds())
			})
		})
	}
}

// Members and a policy of the user's see the same falling estimate.
func TestG29_EstimatesDecayWhenRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen time.Duration
		spy := policyFunc(func(c balance.Candidates, _ balance.Query, _ int) int {
			seen, _ = c.Latency(0)
			return 0
		})
		_, b := with(t, balance.Config{Policy: spy}, instance("a"))
		pick(t, b).DoneAfter(nil, time.Second)
		for _, want := range []float64{1, 0.3679, 0.1353, 0.0498} {
			pick(t, b).Abandon()
			assert.InDelta(t, want, seen.Seconds(), 0.0001)
			assert.Equal(t, seen, members(b)["a"].Latency)
			time.Sleep(10 * time.Second)
		}
	})
}

// A policy of the user's may leave the choice to one of the package.
func TestG35_PoliciesMayBeWrapped(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balance.Policy) {
		r, b := with(t, balance.Config{Policy: slowly{policy}, PanicThreshold: -1}, named("a", "b", "c")...)
		only(t, b, "a", "b", "c")
		setHealth(t, r, "b", registry.Critical)
		only(t, b, "a", "c")
		assert.Equal(t, []string{"c"}, keys(counts(sequenceWith(t, b, balance.Query{Key: 7, Exclude: tried(endpoint(t, r, "a"))}, 10))))
	})
}

// Latencies that have been forgotten do not outweigh the calls under way.
func TestG29_LoadOutlastsLatencies(t *testing.T) {
	for name, after := range map[string]time.Duration{"long": 10 * time.Minute, "very long": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, b := with(t, balance.Config{Policy: balance.PeakEWMA{}}, named("slow", "quick")...)
				pickOf(t, b, "slow").DoneAfter(nil, time.Second)
				pickOf(t, b, "quick").DoneAfter(nil, time.Millisecond)
				time.Sleep(after)
				pickOf(t, b, "quick")
				assert.Equal(t, map[string]int{"slow": 100}, drawnOf(t, b, 100))
			})
		})
	}
}

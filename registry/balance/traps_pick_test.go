package balance_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// Balancers that skip what is out and take the next one give the neighbour a
// double share.
func TestTrap_RoundRobinOverloadsANeighbour(t *testing.T) {
	gates := newGateLog("i004")
	_, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Gate: gates.gate}, numbered(10)...)
	got := counts(sequence(t, b, 900))
	assert.InDelta(t, 100, got["i005"], 1)
	assert.LessOrEqual(t, spread(got), 1, "%v", got)
}

// Round robin that begins anew with each request, or each list, always takes the
// first.
func TestTrap_RoundRobinRestarts(t *testing.T) {
	r, b := with(t, balance.Config{Policy: balance.RoundRobin{}}, numbered(5)...)
	var got []string
	for i := range 10 {
		e, err := b.Next(balance.Query{})
		require.NoError(t, err)
		got = append(got, e.ID())
		in := instance("i004")
		in.Addr = fmt.Sprintf("10.0.1.%d:80", i)
		register(t, r, in)
	}
	assert.Equal(t, []string{"i000", "i001", "i002", "i003", "i004", "i000", "i001", "i002", "i003", "i004"}, got)
}

// Two samples that may be the same one leave the busy one of two with a quarter
// of the calls.
func TestTrap_SamplesWithReplacement(t *testing.T) {
	for name, policy := range map[string]balance.Policy{
		"LeastLoaded": balance.LeastLoaded{}, "3": balance.LeastLoaded{Choices: 3}, "all": balance.LeastLoaded{Choices: -1}, "PeakEWMA": balance.PeakEWMA{},
	} {
		t.Run(name, func(t *testing.T) {
			_, b := with(t, balance.Config{Policy: policy}, named("busy", "idle")...)
			pickOf(t, b, "busy")
			assert.Equal(t, map[string]int{"idle": 1000}, drawnOf(t, b, 1000))
		})
	}
}

// Where every update makes all nodes anew, what was known about them is lost.
func TestTrap_LoadForgottenOnChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := with(t, balance.Config{Policy: balance.PeakEWMA{}}, named("slow", "quick")...)
		least := newBalancer(t, r, balance.Config{})
		pickOf(t, b, "slow").DoneAfter(nil, time.Second)
		pickOf(t, b, "quick").DoneAfter(nil, time.Millisecond)
		for i := range 20 {
			in := instance(fmt.Sprint("other", i))
			in.Weight = -1
			register(t, r, in)
			assert.Equal(t, map[string]int{"quick": 10}, drawnOf(t, b, 10))
		}
		pickOf(t, b, "quick")
		for i := range 20 {
			deregister(t, r, fmt.Sprint("other", i))
			assert.Equal(t, map[string]int{"slow": 10}, drawnOf(t, least, 10))
		}
	})
}

func TestTrap_TheCallersCancelPenalises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := with(t, balance.Config{
			Policy: balance.PeakEWMA{}, Outlier: &balance.Outlier{Consecutive: 1, FailureRate: 0.1, MinCalls: 1, MinEndpoints: 1},
		}, named("a", "b")...)
		for _, id := range []string{"a", "b"} {
			pickOf(t, b, id).DoneAfter(nil, time.Millisecond)
		}
		want := members(b)["a"]
		for range 100 {
			ctx, cancel := context.WithCancel(bg)
			_, err := balance.Do(ctx, b, func(ctx context.Context, _ *registry.Endpoint) (int, error) {
				cancel()
				return 0, fmt.Errorf("read: %w", ctx.Err())
			})
			require.ErrorIs(t, err, context.Canceled)
		}
		assert.Equal(t, want, members(b)["a"])
	})
}

func TestTrap_DoneTwice(t *testing.T) {
	r, b := with(t, balance.Config{}, instance("a"))
	p := pick(t, b)
	q := p
	for range 5 {
		p.Done(nil)
		q.Done(nil)
	}
	assert.Zero(t, endpoint(t, r, "a").InFlight())
	pick(t, b)
	assert.Equal(t, 1, endpoint(t, r, "a").InFlight(), "what was ended too often is not owed later")
}

// A retry takes an instance that was not tried in this call.
func TestTrap_RetriesLandOnTheSameInstance(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balance.Policy) {
		_, b := with(t, balance.Config{Policy: policy, Retry: balance.Retry{Attempts: 10, Budget: -1}}, numbered(6)...)
		for key := range uint64(50) {
			got := map[string]int{}
			_, err := balance.DoWith(bg, b, balance.Query{Key: key}, func(_ context.Context, e *registry.Endpoint) (int, error) {
				got[e.ID()]++
				return 0, errSick
			})
			require.ErrorIs(t, err, errSick)
			require.Equal(t, each(6, 1), got)
		}
	})
}

// Without samples a newcomer must not look infinitely quick, nor slow.
func TestTrap_NewcomersFloodedOrStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := with(t, balance.Config{Policy: balance.PeakEWMA{}, Rand: seeded(6)}, numbered(9)...)
		step := func(n int) map[string]int {
			var held []balance.Pick
			got := map[string]int{}
			for range n {
				p := pick(t, b)
				got[p.Endpoint().ID()]++
				if held = append(held, p); len(held) > 20 {
					time.Sleep(time.Millisecond)
					held[0].DoneAfter(nil, 20*time.Millisecond)
					held = held[1:]
				}
			}
			for _, p := range held {
				p.Abandon()
			}
			return got
		}
		step(1000)
		register(t, r, instance("new"))
		n := 0
		for range 100 { // nothing of the newcomer is known in any of these
			var held []balance.Pick
			for range 20 {
				p := pick(t, b)
				held = append(held, p)
				if p.Endpoint().ID() == "new" {
					n++
				}
			}
			for _, p := range held {
				p.Abandon()
			}
		}
		assert.InDelta(t, 200, n, 60, "of 2000 picks among ten")
		assert.InDelta(t, 100, step(1000)["new"], 50)
	})
}

// Estimates that only samples change keep the slow one out for ever.
func TestTrap_EstimatesDecayOnlyOnTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := with(t, balance.Config{Policy: balance.PeakEWMA{}}, named("slow", "quick")...)
		pickOf(t, b, "slow").DoneAfter(nil, time.Minute)
		pickOf(t, b, "quick").DoneAfter(nil, time.Millisecond)
		require.Equal(t, map[string]int{"quick": 100}, drawnOf(t, b, 100))
		time.Sleep(5 * time.Minute) // no traffic at all
		pickOf(t, b, "quick").DoneAfter(nil, time.Millisecond)
		assert.Equal(t, map[string]int{"slow": 100}, drawnOf(t, b, 100), "forgotten by now")
	})
}

// Unlocked sources of random numbers, and lists that are sorted or shuffled in
// place: the race detector finds both, and so do the others who read the list.
func TestTrap_SharedSourcesAndLists(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balance.Policy) {
		r, b := with(t, balance.Config{Policy: policy, SubsetSize: 7, SlowStart: time.Hour}, numbered(10)...)
		snap := r.Service(orders).Snapshot()
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 100 {
					p, err := b.PickWith(bg, balance.Query{Key: uint64(g*100 + i)})
					if !assert.NoError(t, err) {
						return
					}
					p.Done(nil)
					if e := snap.At(i % 10); !assert.Equal(t, fmt.Sprintf("i%03d", i%10), e.ID()) {
						return
					}
				}
			})
		}
		wg.Wait()
	})
}

// Weights that are scaled to integers, or tables of as many slots, fail at the
// extremes.
func TestTrap_ExtremeWeights(t *testing.T) {
	for name, weights := range map[string][]int{
		"least": {1, 1}, "greatest": {1_000_000, 1_000_000}, "skewed": {1_000_000, 1}, "primes": {999_983, 999_979, 7},
		"one": {1_000_000}, "negative beside": {-1, 3}, "all negative": {-1, -5},
	} {
		t.Run(name, func(t *testing.T) {
			eachPolicy(t, func(t *testing.T, policy balance.Policy) {
				ins, _ := weightsOf(weights...)
				_, b := with(t, balance.Config{Policy: policy}, ins...)
				if name == "all negative" {
					refused(t, b, balance.Query{})
					return
				}
				for _, id := range sequence(t, b, 100) {
					if name == "negative beside" {
						require.Equal(t, "w1", id)
					}
				}
			})
		})
	}
}

// An empty list is a change like any other: the last instance leaves.
func TestTrap_TheLastInstanceNeverLeaves(t *testing.T) {
	r, b := with(t, balance.Config{}, instance("a"))
	for range 3 {
		require.Equal(t, []string{"a"}, sequence(t, b, 1))
		deregister(t, r, "a")
		refused(t, b, balance.Query{})
		register(t, r, instance("a"))
	}
}

// All unhealthy is no reason to fail all calls, unless that is asked for.
func TestTrap_AllUnhealthyIsAnEmptyList(t *testing.T) {
	r, b := with(t, balance.Config{}, named("a", "b")...)
	setHealth(t, r, "a", registry.Critical)
	setHealth(t, r, "b", registry.Critical)
	only(t, b, "a", "b")
}

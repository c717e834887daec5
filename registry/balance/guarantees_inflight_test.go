package balance_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A survival is a change that keeps the ID and the Addr of "a".
type survival func(t *testing.T, r *registry.Registry, b *balance.Balancer)

func survivals() map[string]survival {
	// twice does two things, and lets the balancer see what is between.
	twice := func(one, two func(t *testing.T, r *registry.Registry)) survival {
		return func(t *testing.T, r *registry.Registry, b *balance.Balancer) {
			one(t, r)
			members(b)
			two(t, r)
		}
	}
	once := func(one func(t *testing.T, r *registry.Registry)) survival {
		return func(t *testing.T, r *registry.Registry, _ *balance.Balancer) { one(t, r) }
	}
	health := func(h registry.Health) func(*testing.T, *registry.Registry) {
		return func(t *testing.T, r *registry.Registry) { setHealth(t, r, "a", h) }
	}
	weight := func(w int) func(*testing.T, *registry.Registry) {
		return func(t *testing.T, r *registry.Registry) { register(t, r, weighted("a", w)) }
	}
	return map[string]survival{
		"nothing":      func(*testing.T, *registry.Registry, *balance.Balancer) {},
		"others join":  once(func(t *testing.T, r *registry.Registry) { registerAll(t, r, named("0", "c", "d")...) }),
		"others leave": once(func(t *testing.T, r *registry.Registry) { deregister(t, r, "b") }),
		"metadata": once(func(t *testing.T, r *registry.Registry) {
			in := instance("a")
			in.Version = "2"
			register(t, r, in)
		}),
		"same again":     once(func(t *testing.T, r *registry.Registry) { register(t, r, instance("a")) }),
		"weight":         once(weight(7)),
		"health":         once(health(registry.Warning)),
		"sick and well":  twice(health(registry.Critical), health(0)),
		"no weight once": twice(weight(-1), weight(1)),
	}
}

// The load, latency, failures and ejections of an endpoint are kept over every
// change that leaves it where it is.
func TestG24_ChangesKeepWhatIsKnown(t *testing.T) {
	bubbles(t, survivals(), func(t *testing.T, change survival) {
		r, b := with(t, balance.Config{
			Policy: balance.PeakEWMA{}, PanicThreshold: -1,
			Outlier: &balance.Outlier{Consecutive: 3, Base: time.Minute, Max: time.Minute},
		}, named("a", "b")...)
		pickOf(t, b, "a").DoneAfter(nil, time.Second)
		pickOf(t, b, "a") // stays under way
		held := []balance.Pick{pickOf(t, b, "a"), pickOf(t, b, "a"), pickOf(t, b, "a")}
		for _, p := range held {
			p.DoneAfter(errSick, time.Second)
		}
		before := members(b)["a"]
		require.True(t, before.Ejected)
		require.Equal(t, uint64(3), before.Failures)
		require.NotZero(t, before.Latency)
		picks := endpoint(t, r, "a").Picks()

		change(t, r, b)
		after := members(b)["a"]
		assert.Same(t, endpoint(t, r, "a").Live(), after.Endpoint.Live())
		assert.Equal(t, 1, after.Endpoint.InFlight())
		assert.Equal(t, picks, after.Endpoint.Picks())
		after.Endpoint, before.Endpoint = nil, nil
		assert.Equal(t, before, after)
	})
}

// A change in the middle of a call takes nothing away from what comes of it.
func TestG24_AnOutcomeArrivesAfterAChange(t *testing.T) {
	bubbles(t, survivals(), func(t *testing.T, change survival) {
		r, b := with(t, balance.Config{Policy: balance.PeakEWMA{}}, named("a", "b")...)
		good, bad := pickOf(t, b, "a"), pickOf(t, b, "a")
		time.Sleep(time.Second)
		change(t, r, b)
		assert.Equal(t, map[string]int{"a": 2}, inFlight(r))
		good.Done(nil)
		assert.Equal(t, map[string]int{"a": 1}, inFlight(r))
		assert.Equal(t, time.Second, members(b)["a"].Latency)
		bad.Done(errSick)
		assert.Empty(t, inFlight(r))
		assert.Equal(t, uint64(1), members(b)["a"].Failures)
	})
}

// Load is that of all balancers; latencies, failures and ejections are those of
// one.
func TestG24_WhatBalancersShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		registerAll(t, r, named("a", "b")...)
		cfg := balance.Config{Policy: balance.PeakEWMA{}, Outlier: &balance.Outlier{Consecutive: 1}}
		one, other := newBalancer(t, r, cfg), newBalancer(t, r, cfg)
		leastLoaded := newBalancer(t, r, balance.Config{})
		pickOf(t, one, "a").DoneAfter(nil, time.Second)
		pickOf(t, one, "a").Done(errSick)
		p := pickOf(t, other, "b")

		assert.True(t, members(one)["a"].Ejected)
		assert.Equal(t, balance.Member{Endpoint: endpoint(t, r, "a"), Usable: true}, members(other)["a"])
		assert.Equal(t, map[string]int{"b": 1}, inFlight(r))
		assert.Equal(t, map[string]int{"a": 100}, counts(sequence(t, leastLoaded, 100)), "b has a call of another balancer")
		p.Done(nil)
		assert.Len(t, counts(sequence(t, leastLoaded, 100)), 2)
	})
}

// Another address and a removal begin at zero, and what came before ends
// without harm.
func TestG24_ANewStayBeginsAtZero(t *testing.T) {
	bubbles(t, map[string]func(t *testing.T, r *registry.Registry){
		"another Addr": func(t *testing.T, r *registry.Registry) {
			in := instance("a")
			in.Addr = "10.0.0.2:80"
			register(t, r, in)
		},
		"removed and back": func(t *testing.T, r *registry.Registry) {
			deregister(t, r, "a")
			register(t, r, instance("a"))
		},
	}, func(t *testing.T, change func(*testing.T, *registry.Registry)) {
		r, b := with(t, balance.Config{
			Policy: balance.PeakEWMA{}, PanicThreshold: -1, Outlier: &balance.Outlier{Consecutive: 1},
		}, named("a", "b")...)
		pickOf(t, b, "a").DoneAfter(nil, time.Second)
		old := []balance.Pick{pickOf(t, b, "a"), pickOf(t, b, "a"), pickOf(t, b, "a"), pickOf(t, b, "a")}
		old[0].Done(errSick)
		require.True(t, members(b)["a"].Ejected)

		change(t, r)
		fresh := balance.Member{Endpoint: endpoint(t, r, "a"), Usable: true}
		require.Equal(t, fresh, members(b)["a"])
		require.Zero(t, fresh.Endpoint.Picks())

		p := pickOf(t, b, "a")
		time.Sleep(time.Second)
		old[1].Done(nil)
		old[2].Done(errSick)
		old[3].Abandon()
		assert.Equal(t, map[string]int{"a": 1}, inFlight(r), "the calls of before are not its own")
		assert.Equal(t, fresh, members(b)["a"])
		assert.Zero(t, old[0].Endpoint().InFlight())
		p.Abandon()
		assert.Empty(t, inFlight(r))
	})
}

func TestG24_DoneForARemovedEndpoint(t *testing.T) {
	r, b := with(t, balance.Config{Policy: balance.PeakEWMA{}, Outlier: &balance.Outlier{Consecutive: 1, MaxEjected: 1}}, instance("a"))
	good, bad := pick(t, b), pick(t, b)
	deregister(t, r, "a")
	good.Done(nil)
	bad.Done(errSick)
	assert.Zero(t, good.Endpoint().InFlight())
	assert.Equal(t, uint64(2), good.Endpoint().Picks())
	assert.Equal(t, balance.Stats{RetryTokens: 10}, b.Stats(), "one that left is not ejected")
}

func TestG25_TheFirstEndCounts(t *testing.T) {
	ends := map[string]func(balance.Pick){
		"Done":      func(p balance.Pick) { p.Done(nil) },
		"failed":    func(p balance.Pick) { p.Done(errSick) },
		"DoneAfter": func(p balance.Pick) { p.DoneAfter(nil, time.Hour) },
		"Abandon":   func(p balance.Pick) { p.Abandon() },
	}
	for first, end := range ends {
		t.Run(first, func(t *testing.T) {
			told := 0
			gate := func(*registry.Endpoint) balance.Gate {
				return balance.GateFunc(func(context.Context) (func(error), error) { return func(error) { told++ }, nil })
			}
			synctest.Test(t, func(t *testing.T) {
				r, b := with(t, balance.Config{Policy: balance.PeakEWMA{}, Gate: gate}, instance("a"))
				other := pick(t, b)
				p := pick(t, b)
				time.Sleep(time.Second)
				end(p)
				want, wantTold := members(b)["a"], told
				for _, again := range ends {
					again(p)
				}
				assert.Equal(t, want, members(b)["a"])
				assert.Equal(t, wantTold, told)
				assert.Equal(t, map[string]int{"a": 1}, inFlight(r))
				other.Done(nil)
				assert.Empty(t, inFlight(r))
			})
		})
	}
}

// What one pick was tracked by serves another one later. A stale copy must not
// end that.
func TestG25_AStaleCopyEndsNothingElse(t *testing.T) {
	r, b := with(t, balance.Config{}, instance("a"))
	var stale []balance.Pick
	for range 100 {
		p := pick(t, b)
		p.Done(nil)
		stale = append(stale, p)
	}
	var fresh []balance.Pick
	for range 100 {
		fresh = append(fresh, pick(t, b))
	}
	for _, p := range stale {
		p.Done(errSick)
		p.Abandon()
	}
	assert.Equal(t, map[string]int{"a": 100}, inFlight(r))
	for _, p := range fresh {
		p.Done(nil)
	}
	assert.Empty(t, inFlight(r))
	assert.Zero(t, members(b)["a"].Failures)
}

// All copies end at once, many times: only one outcome is taken. Several rounds
// of it use the same few tickets.
func TestG25_CopiesEndAtTheSameTime(t *testing.T) {
	const rounds, copies = 300, 8
	told := make(chan error, rounds*copies)
	gate := func(*registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(context.Context) (func(error), error) { return func(err error) { told <- err }, nil })
	}
	r, b := with(t, balance.Config{Gate: gate}, named("a", "b")...)
	for range rounds {
		p, other := pick(t, b), pick(t, b)
		var wg sync.WaitGroup
		for i := range copies {
			wg.Go(func() {
				switch i % 3 {
				case 0:
					p.Done(errSick)
				case 1:
					p.Done(nil)
				default:
					p.DoneAfter(errSick, time.Second)
				}
			})
		}
		wg.Wait()
		require.Equal(t, map[string]int{other.Endpoint().ID(): 1}, inFlight(r))
		other.Abandon()
	}
	assert.Len(t, told, rounds)
	assert.Empty(t, inFlight(r))
}

func TestG25_AfterClose(t *testing.T) {
	r := registry.MustNew(registry.Config{})
	register(t, r, instance("a"))
	b := newBalancer(t, r, balance.Config{Outlier: &balance.Outlier{}})
	p := pick(t, b)
	require.NoError(t, r.Close(bg))
	p.Done(errSick)
	p.Done(errSick)
	assert.Zero(t, p.Endpoint().InFlight())

	_, err := b.Pick(bg)
	require.ErrorIs(t, err, registry.ErrClosed)
	require.NotErrorIs(t, err, balance.ErrNoInstances)
	_, err = b.Next(balance.Query{})
	require.ErrorIs(t, err, registry.ErrClosed)
	_, err = balance.Do(bg, b, answer)
	require.ErrorIs(t, err, registry.ErrClosed)
}

func TestG25_TheZeroPick(t *testing.T) {
	var p balance.Pick
	p.Done(nil)
	p.Done(errSick)
	p.DoneAfter(nil, time.Second)
	p.Abandon()
	assert.Nil(t, p.Endpoint())
}

func TestG25_AnUnendedPickStaysCounted(t *testing.T) {
	r, b := with(t, balance.Config{}, instance("a"))
	for range 3 {
		pick(t, b)
	}
	for range 3 { // of which the first two empty the pool of tickets
		runtime.GC()
	}
	pick(t, b).Done(nil)
	assert.Equal(t, map[string]int{"a": 3}, inFlight(r))
}

// An Abandon is no outcome, for anybody.
func TestG25_AbandonIsNoOutcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := with(t, balance.Config{Policy: balance.PeakEWMA{}, Outlier: &balance.Outlier{Consecutive: 2}}, named("a", "b")...)
		calls(t, b, "a", 1, errSick)
		want := members(b)["a"]
		for range 10 {
			p := pickOf(t, b, "a")
			time.Sleep(time.Millisecond)
			p.Abandon()
		}
		assert.Empty(t, inFlight(r))
		assert.Equal(t, want.Failures, members(b)["a"].Failures)
		calls(t, b, "a", 1, errSick)
		assert.True(t, members(b)["a"].Ejected, "an Abandon is no success between two failures either")
	})
}

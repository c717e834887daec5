package balance_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// grpc-go: an endpoint that trips two algorithms is counted twice but given back
// once, so that in the end nobody can be ejected any more.
func TestTrap_twoRulesCountedTwice(t *testing.T) {
	_, b, clk, j := watched(t, 6, balance.Outlier{
		Consecutive: -1, FailureRate: 0.5, StdevFactor: 1, MaxEjected: 0.4, Base: 1, Max: 1,
	})
	for round := range 20 {
		id := fmt.Sprintf("i%03d", round%6)
		traffic(t, b, 20, map[string]int{id: 20})
		clk.pass(10 * time.Second) // an Interval
		calls(t, b, fmt.Sprintf("i%03d", (round+1)%6), 1, nil)
		require.Equal(t, []string{id}, ejectedIDs(b), "round %d", round)
		clk.pass(1)
		require.Empty(t, ejectedIDs(b))
		require.Len(t, j.ejected(), 2)
	}
}

// grpc-go: the place of an ejected endpoint that is removed never becomes free.
func TestTrap_removedWhileEjected(t *testing.T) {
	r, b, _, _ := watched(t, 4, balance.Outlier{Consecutive: 1, MaxEjected: 0.25})
	for round := range 20 {
		id := fmt.Sprint("round ", round)
		register(t, r, instance(id))
		deregister(t, r, "i003")
		calls(t, b, id, 1, errSick)
		require.Equal(t, []string{id}, ejectedIDs(b))
		deregister(t, r, id)
		require.Empty(t, ejectedIDs(b))
		register(t, r, instance("i003"))
	}
	assert.Zero(t, b.Stats().Ejected)
}

// Envoy: on a small cluster a cap in percent either ejects nobody, or all but
// the unluckiest. Here it is floor, never more, and AlwaysOne says what else.
func TestTrap_capOnSmallClusters(t *testing.T) {
	for n := 1; n <= 10; n++ {
		for percent := 10; percent <= 100; percent += 10 {
			for _, one := range []bool{false, true} {
				_, b, _, _ := watched(t, n, balance.Outlier{Consecutive: 1, MaxEjected: float64(percent) / 100, AlwaysOne: one})
				for i := range n {
					calls(t, b, fmt.Sprintf("i%03d", i), 1, errSick)
				}
				want := n * percent / 100
				if one {
					want = max(want, 1)
				}
				require.Len(t, ejectedIDs(b), want, "%d%% of %d, AlwaysOne %v", percent, n, one)
			}
		}
	}
}

// Envoy: slow start does nothing, or starves a zone, together with zones. Here
// it holds inside the zone (TestG33_zones), and does not make picks leave it.
func TestTrap_slowStartLeavesZone(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, zones(2, "home", "x")...)
	clk.pass(ramp)
	b := newBalancer(t, r, balance.Config{Zone: "home", SpillBelow: 1, SlowStart: ramp})
	registerAll(t, r, zoned("home new 1", "home"), zoned("home new 2", "home"), zoned("home new 3", "home"))
	for range 5 {
		assert.Equal(t, []string{"home"}, keys(zonesOf(t, b, 200)))
		clk.pass(ramp / 5)
	}
}

// go-zero: subsets are made by a shuffle, in place, so that each update gives
// every client another one and connections are of no use.
func TestTrap_subsetReshuffles(t *testing.T) {
	r, b := with(t, balance.Config{SubsetSize: 6, SubsetKey: "client"}, numbered(40)...)
	var order []string
	for e := range r.Service(orders).Snapshot().All() {
		order = append(order, e.ID())
	}
	first := keys(members(b))
	for i := range 40 { // none of these is about who is there
		in := instance(fmt.Sprintf("i%03d", i))
		in.Meta = map[string]string{"round": "2"}
		register(t, r, in)
		setHealth(t, r, in.ID, registry.Warning)
		require.Equal(t, first, keys(members(b)))
	}
	assert.True(t, slices.IsSorted(order))
	var now []string
	for e := range r.Service(orders).Snapshot().All() {
		now = append(now, e.ID())
	}
	assert.Equal(t, order, now, "the list that all share")
}

// Spring Cloud LoadBalancer: when all instances are unhealthy the list is empty,
// and a failing health check takes the service down.
func TestTrap_allUnhealthy(t *testing.T) {
	r, b := with(t, balance.Config{Zone: "home"}, zones(3, "home", "x")...)
	for e := range r.Service(orders).Snapshot().All() {
		setHealth(t, r, e.ID(), registry.Critical)
	}
	assert.Len(t, counts(sequence(t, b, 600)), 6)
}

// Ribbon, go-kit: the retry goes to the instance that has just failed.
func TestTrap_retryOnTheSame(t *testing.T) {
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			_, b := with(t, balance.Config{Policy: policy, Retry: balance.Retry{Attempts: 3, Budget: -1}}, numbered(3)...)
			for key := range uint64(50) {
				a := attempts{fail: 99}
				_, err := balance.DoWith(bg, b, balance.Query{Key: key}, a.call)
				require.Error(t, err)
				require.Len(t, counts(a.ids), 3, "%v", a.ids)
			}
		})
	}
}

// Retries without a budget multiply the load of a service that is down by
// Attempts. Here they add what Budget says.
func TestTrap_retryStorm(t *testing.T) {
	_, b := with(t, balance.Config{Retry: balance.Retry{Attempts: 5}}, numbered(8)...)
	const goroutines, each = 4, 500
	var mu sync.Mutex
	n := 0
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			for range each {
				_, _ = balance.Do(bg, b, func(context.Context, *registry.Endpoint) (int, error) {
					mu.Lock()
					defer mu.Unlock()
					n++
					return 0, errSick
				})
			}
		})
	}
	wg.Wait()
	const calls = goroutines * each
	assert.LessOrEqual(t, n, calls+10+calls/5)
	assert.GreaterOrEqual(t, n, calls+calls/5-10)
}

package breaker_test

import (
	"fmt"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G40: one breaker per key, however often it is asked for, with the name of
// its key.
func TestG40_oneBreakerPerKey(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{})
	made := map[int]*breaker.Breaker{}
	for range 5 {
		for key := range 300 {
			b := g.Get(key)
			if made[key] == nil {
				made[key] = b
			}
			require.Same(t, made[key], b)
			require.Equal(t, fmt.Sprint(key), b.Name())
			with, err := g.GetWith(key, breaker.Config{})
			require.NoError(t, err)
			require.Same(t, b, with)
		}
	}
	distinct := map[*breaker.Breaker]bool{}
	for _, b := range made {
		distinct[b] = true
	}
	assert.Len(t, distinct, 300)
	assert.Equal(t, 300, g.Len())
	failing(t, made[1], 5)
	assertState(t, breaker.Open, g.Get(1))
	assertState(t, breaker.Closed, g.Get(2))
}

// G40: names come from the Name function, else from fmt.Sprint, and are kept
// however hostile they are.
func TestG40_names(t *testing.T) {
	type host struct {
		name string
		port int
	}
	assert.Equal(t, "{a 80}", breaker.MustNewGroup(breaker.GroupConfig[host]{}).Get(host{"a", 80}).Name())
	named := breaker.MustNewGroup(breaker.GroupConfig[host]{Name: func(h host) string { return h.name }})
	assert.Equal(t, "a", named.Get(host{"a", 80}).Name())
	with, err := named.GetWith(host{"b", 1}, breaker.Config{})
	require.NoError(t, err)
	assert.Equal(t, "b", with.Name())
	g := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	for what, name := range hostile {
		assert.Equal(t, name, g.Get(name).Name(), what)
		assert.Same(t, g.Get(name), g.Get(name), what)
	}
}

// G40: a key unequal to itself gets a fresh breaker that is not stored.
func TestG40_nan(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[float64]{Config: breaker.Config{Trip: breaker.ConsecutiveFailures(1)}})
	a, b := g.Get(math.NaN()), g.Get(math.NaN())
	assert.NotSame(t, a, b)
	failing(t, a, 1)
	passing(t, b, 1)
	c, err := g.GetWith(math.NaN(), breaker.Config{})
	require.NoError(t, err)
	assert.NotSame(t, b, c)
	g.Delete(math.NaN())
	assert.Zero(t, g.Len())
	assert.Empty(t, maps.Collect(g.All()))
	assert.Same(t, g.Get(1), g.Get(1))
}

// G40: user code of the group runs outside its lock, and may use it.
func TestG40_reentrantName(t *testing.T) {
	var g *breaker.Group[int]
	g = breaker.MustNewGroup(breaker.GroupConfig[int]{Name: func(key int) string {
		if key > 0 {
			g.Get(key - 1)
		}
		g.Len()
		return fmt.Sprint(key)
	}})
	assert.Equal(t, "9", g.Get(9).Name())
	assert.Equal(t, 10, g.Len())
}

// The Config of GetWith is used, and checked, only if the key is new.
func TestGroup_GetWith(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	one := breaker.Config{Trip: breaker.ConsecutiveFailures(1)}
	a, err := g.GetWith("a", one)
	require.NoError(t, err)
	assert.Same(t, a, g.Get("a"))
	failing(t, a, 1)
	assertState(t, breaker.Open, a)

	b := g.Get("b")
	for range 3 {
		got, err := g.GetWith("b", breaker.Config{Jitter: 2})
		require.NoError(t, err)
		assert.Same(t, b, got)
	}
	failing(t, b, 4)
	assertState(t, breaker.Closed, b)

	got, err := g.GetWith("c", breaker.Config{Jitter: 2})
	assert.Nil(t, got)
	assert.ErrorContains(t, err, "Jitter is 2")
	assert.Equal(t, 2, g.Len())
	failing(t, g.Get("c"), 4) // made by Get, with the group's Config
	assertState(t, breaker.Closed, g.Get("c"))
}

// The group's clock is that of its breakers, unless GetWith brings another.
func TestGroup_clock(t *testing.T) {
	c, other := newFakeClock(), newFakeClock()
	g := breaker.MustNewGroup(breaker.GroupConfig[string]{Config: breaker.Config{Clock: c}})
	a := g.Get("a")
	b, err := g.GetWith("b", breaker.Config{})
	require.NoError(t, err)
	own, err := g.GetWith("own", breaker.Config{Clock: other})
	require.NoError(t, err)
	for _, x := range []*breaker.Breaker{a, b, own} {
		x.Trip(time.Second, nil)
	}
	c.advance(time.Second)
	assertState(t, breaker.HalfOpen, a)
	assertState(t, breaker.HalfOpen, b)
	assertState(t, breaker.Open, own)
	other.advance(time.Second)
	assertState(t, breaker.HalfOpen, own)
}

// Reconfigure concerns all breakers made by Get, and those to come.
func TestGroup_Reconfigure(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	old := g.Get("old")
	with, err := g.GetWith("with", breaker.Config{})
	require.NoError(t, err)
	failing(t, old, 1)

	require.ErrorContains(t, g.Reconfigure(breaker.Config{Probes: -1}), "Probes is -1")
	failing(t, g.Get("x"), 4)
	assertState(t, breaker.Closed, g.Get("x"))

	require.NoError(t, g.Reconfigure(breaker.Config{Trip: breaker.ConsecutiveFailures(2)}))
	failing(t, old, 1)
	assertState(t, breaker.Open, old)
	failing(t, g.Get("new"), 2)
	assertState(t, breaker.Open, g.Get("new"))
	failing(t, with, 4)
	assertState(t, breaker.Closed, with)
	g.Delete("with")
	failing(t, g.Get("with"), 2)
	assertState(t, breaker.Open, g.Get("with"))
}

// All iterates over a copy.
func TestGroup_All(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{})
	want := map[int]*breaker.Breaker{}
	for key := range 100 {
		want[key] = g.Get(key)
	}
	g.Get(50) // some in both of its maps
	assert.Equal(t, want, maps.Collect(g.All()))
	seen := 0
	for key, b := range g.All() {
		assert.Same(t, want[key], b)
		g.Delete(key)
		g.Get(key + 1000)
		seen++
	}
	assert.Equal(t, 100, seen)
	assert.Equal(t, 100, g.Len())
	for range g.All() {
		seen++
		break
	}
	assert.Equal(t, 101, seen)
}

// G41: a call in flight on a dropped breaker reports safely and does not touch
// its successor.
func TestG41_delete(t *testing.T) {
	for _, gets := range []int{1, 100} { // in the small map, in the large one
		g := breaker.MustNewGroup(breaker.GroupConfig[string]{Config: breaker.Config{Trip: breaker.ConsecutiveFailures(1)}})
		var b *breaker.Breaker
		for range gets {
			for key := range 10 { // so that one key less is not worth a new map
				g.Get(fmt.Sprint("other ", key))
			}
		}
		for range gets {
			b = g.Get("a")
		}
		p := issued(t, b)
		g.Delete("a")
		g.Delete("a")
		g.Delete("never seen")
		assert.Equal(t, 10, g.Len())
		successor := g.Get("a")
		assert.NotSame(t, b, successor)
		assert.Same(t, successor, g.Get("a"))
		p.Done(errBoom)
		assertState(t, breaker.Open, b)
		assertState(t, breaker.Closed, successor)
		assert.Equal(t, tallies{}, tally(successor))
		g.Delete("a")
		assert.Equal(t, 10, g.Len())
		assert.NotSame(t, successor, g.Get("a"))
	}
}

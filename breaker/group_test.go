package breaker_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"sync/atomic"
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
	for _, gets := range []int{1, 10} { // in the small map, in the large one
		g := breaker.MustNewGroup(breaker.GroupConfig[string]{Config: breaker.Config{Trip: breaker.ConsecutiveFailures(1)}})
		var b *breaker.Breaker
		for range gets {
			b = g.Get("a")
		}
		p := issued(t, b)
		g.Delete("a")
		g.Delete("a")
		g.Delete("never seen")
		assert.Zero(t, g.Len())
		successor := g.Get("a")
		assert.NotSame(t, b, successor)
		assert.Same(t, successor, g.Get("a"))
		p.Done(errBoom)
		assertState(t, breaker.Open, b)
		assertState(t, breaker.Closed, successor)
		assert.Equal(t, tallies{}, tally(successor))
		g.Delete("a")
		assert.Zero(t, g.Len())
		assert.NotSame(t, successor, g.Get("a"))
	}
}

// fillers makes the keys of fill unique.
var fillers atomic.Int64

// fill adds n new keys, which are never used again.
func fill(g *breaker.Group[string], n int) {
	for range n {
		g.Get(fmt.Sprint("filler ", fillers.Add(1)))
	}
}

// G41: above Max clean breakers are dropped, the least recently used first.
func TestG41_leastRecentlyUsed(t *testing.T) {
	for _, most := range []int{0, 100, 2000} {
		g := breaker.MustNewGroup(breaker.GroupConfig[string]{Max: most})
		if most == 0 {
			most = 1024
		}
		var hot []*breaker.Breaker
		for i := range most / 4 {
			hot = append(hot, g.Get(fmt.Sprint(i)))
		}
		for range 20 {
			fill(g, most/4)
			for i, b := range hot {
				require.Same(t, b, g.Get(fmt.Sprint(i)), "a key in use was dropped")
			}
			require.Less(t, g.Len(), most*3/2)
		}
		assert.Greater(t, g.Len(), most*3/4, "dropped with room left")
	}
}

// G41: below Max nothing is dropped, and with a negative Max nothing ever.
func TestG41_withinMax(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[string]{Max: 1000})
	fill(g, 1000)
	assert.Equal(t, 1000, g.Len())
	g = breaker.MustNewGroup(breaker.GroupConfig[string]{Max: -1})
	fill(g, 20_000)
	assert.Equal(t, 20_000, g.Len())
}

// lives are what a member of a group may have behind it, on the clock of the
// group; clean: a fresh breaker would be equal; spare: one that nobody uses may
// be forgotten although it is not.
var lives = map[string]struct {
	live         func(*testing.T, *breaker.Breaker, *fakeClock)
	clean, spare bool
}{
	"fresh":          {func(*testing.T, *breaker.Breaker, *fakeClock) {}, true, true},
	"successes":      {func(t *testing.T, b *breaker.Breaker, _ *fakeClock) { passing(t, b, 9) }, true, true},
	"failure":        {func(t *testing.T, b *breaker.Breaker, _ *fakeClock) { failing(t, b, 1) }, false, true},
	"slid out":       {func(t *testing.T, b *breaker.Breaker, c *fakeClock) { failing(t, b, 1); c.advance(time.Second) }, true, true},
	"reset":          {func(t *testing.T, b *breaker.Breaker, _ *fakeClock) { failing(t, b, 2); b.Reset() }, true, true},
	"open":           {func(t *testing.T, b *breaker.Breaker, _ *fakeClock) { failing(t, b, 2) }, false, true}, // for less than IdleFor
	"open for hours": {func(_ *testing.T, b *breaker.Breaker, _ *fakeClock) { b.Trip(100*time.Hour, nil) }, false, false},
	"open for ever":  {func(_ *testing.T, b *breaker.Breaker, _ *fakeClock) { b.Trip(-1, nil) }, false, false},
	"time over":      {func(t *testing.T, b *breaker.Breaker, c *fakeClock) { failing(t, b, 2); c.advance(openFor) }, false, true},
	"half-open": {func(t *testing.T, b *breaker.Breaker, c *fakeClock) {
		failing(t, b, 2)
		c.advance(openFor)
		issued(t, b).Record(breaker.Ignored, nil)
	}, false, true},
	"closed, backoff": {func(t *testing.T, b *breaker.Breaker, c *fakeClock) {
		failing(t, b, 2)
		c.advance(openFor)
		passing(t, b, 1)
		require.Equal(t, breaker.Closed, b.State())
	}, false, true},
	"closed, rested": {func(t *testing.T, b *breaker.Breaker, c *fakeClock) {
		failing(t, b, 2)
		c.advance(openFor)
		passing(t, b, 1)
		c.advance(openFor)
	}, true, true},
	"forced open":   {func(_ *testing.T, b *breaker.Breaker, _ *fakeClock) { b.ForceOpen(nil) }, false, false},
	"forced closed": {func(_ *testing.T, b *breaker.Breaker, _ *fakeClock) { b.ForceClosed() }, false, false},
	"auto again":    {func(_ *testing.T, b *breaker.Breaker, _ *fakeClock) { b.ForceOpen(nil); b.Auto() }, true, true},
}

func livingGroup(c *fakeClock, cfg breaker.GroupConfig[string]) *breaker.Group[string] {
	cfg.Config = breaker.Config{
		Trip: breaker.FailureCount(2, breaker.Within(time.Second)), OpenFor: openFor, Backoff: 2, CloseAfter: 1, Clock: c,
	}
	return breaker.MustNewGroup(cfg)
}

// G41: only clean breakers are dropped for room.
func TestG41_clean(t *testing.T) {
	for name, l := range lives {
		c := newFakeClock()
		g := livingGroup(c, breaker.GroupConfig[string]{Max: 10, IdleFor: -1})
		b := g.Get("it")
		l.live(t, b, c)
		fill(g, 500)
		_, kept := maps.Collect(g.All())["it"]
		assert.Equal(t, l.clean, !kept, name)
		if !l.clean {
			assert.Same(t, b, g.Get("it"), name)
		}
	}
}

// G41: breakers that are not clean may take a group above Max.
func TestG41_softBound(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{Max: 10})
	for key := range 200 {
		failing(t, g.Get(key), 1)
	}
	assert.Equal(t, 200, g.Len())
	for key := range 200 {
		assert.EqualValues(t, 1, g.Get(key).Snapshot().Failures)
	}
}

// G41: unused for IdleFor any breaker goes whose open time is over and that no
// explicit call pins; used in between, none does.
func TestG41_idle(t *testing.T) {
	const idleFor = time.Hour
	for name, l := range lives {
		for _, use := range []bool{false, true} {
			c := newFakeClock()
			g := livingGroup(c, breaker.GroupConfig[string]{Max: -1, IdleFor: idleFor})
			b := g.Get("it")
			l.live(t, b, c)
			for range 10 {
				c.advance(idleFor / 2)
				fill(g, 20)
				if use {
					require.Same(t, b, g.Get("it"), name)
				}
			}
			_, kept := maps.Collect(g.All())["it"]
			assert.Equal(t, use || !l.spare, kept, "%s, used: %v", name, use)
			assert.Less(t, g.Len(), 150, "what filled it up is idle too")
		}
	}
}

// G41: not before IdleFor, and never if that is negative.
func TestG41_notIdleLongEnough(t *testing.T) {
	for idleFor, age := range map[time.Duration]time.Duration{
		0:         10*time.Minute - 1,
		time.Hour: time.Hour - 1,
		-1:        1000 * time.Hour,
	} {
		c := newFakeClock()
		g := livingGroup(c, breaker.GroupConfig[string]{Max: -1, IdleFor: idleFor})
		g.Get("it")
		fill(g, 20)
		c.advance(age)
		fill(g, 200)
		_, kept := maps.Collect(g.All())["it"]
		assert.True(t, kept, idleFor)
	}
}

// G41: a breaker of a group that begins forced is clean as it was made.
func TestG41_initialForced(t *testing.T) {
	for _, initial := range []breaker.State{breaker.ForcedOpen, breaker.ForcedClosed} {
		g := breaker.MustNewGroup(breaker.GroupConfig[string]{Max: 10, Config: breaker.Config{Initial: initial}})
		fill(g, 500)
		assert.Less(t, g.Len(), 20)
		b := g.Get("it")
		assertState(t, initial, b)
		b.Auto()
		fill(g, 500)
		assert.Same(t, b, g.Get("it"), "not in its initial state")
	}
}

// G41, G27: a breaker that keeps silent after it would have opened is not as
// a fresh one, which would say so again.
func TestG41_silentIsNotClean(t *testing.T) {
	events := 0
	cfg := breaker.Config{Initial: breaker.ForcedClosed}
	cfg.Hooks.Transition = func(context.Context, breaker.Transition) { events++ }
	g := breaker.MustNewGroup(breaker.GroupConfig[string]{Max: 10, Config: cfg})
	for range 5 {
		failing(t, g.Get("it"), 5)
		fill(g, 500)
	}
	assert.Equal(t, 1, events)
}

package breaker_test

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

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
	"reconfigured": {func(t *testing.T, b *breaker.Breaker, c *fakeClock) {
		require.NoError(t, b.Reconfigure(breaker.Config{OpenFor: time.Hour}))
	}, false, true},
	"auto again": {func(_ *testing.T, b *breaker.Breaker, _ *fakeClock) { b.ForceOpen(nil); b.Auto() }, true, true},
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

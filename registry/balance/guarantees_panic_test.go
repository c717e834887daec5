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

// G32: the threshold is a share of all but those that are Starting, Draining or
// Down, and panic mode begins below it, not at it.
func TestG32_threshold(t *testing.T) {
	const (
		passing  = registry.Passing
		warning  = registry.Warning
		starting = registry.Starting
		critical = registry.Critical
		draining = registry.Draining
		down     = registry.Down
	)
	type healths map[registry.Health]int
	cases := map[string]struct {
		threshold float64
		n         healths
		want      bool
	}{
		"all well":                   {0, healths{passing: 4}, false},
		"half":                       {0, healths{passing: 1, warning: 1, critical: 2}, false},
		"less than half":             {0, healths{passing: 2, critical: 3}, true},
		"none":                       {0, healths{critical: 3}, true},
		"nobody":                     {0, healths{}, false},
		"Starting ones do not count": {0, healths{passing: 1, starting: 9}, false},
		"nor do Draining ones":       {0, healths{passing: 1, draining: 9}, false},
		"nor do Down ones":           {0, healths{passing: 1, down: 9}, false},
		"but the rest does":          {0, healths{passing: 1, critical: 2, starting: 1, draining: 1, down: 1}, true},
		"all Starting":               {0, healths{starting: 3}, true},
		"all taken out":              {0, healths{draining: 1, down: 1}, false},
		"own, reached":               {0.2, healths{passing: 1, critical: 4}, false},
		"own, below":                 {0.21, healths{passing: 1, critical: 4}, true},
		"one: all must be well":      {1, healths{passing: 99, critical: 1}, true},
		"one: all are":               {1, healths{passing: 99}, false},
		"never":                      {-1, healths{critical: 3}, false},
		"never, all Starting":        {-1, healths{starting: 3}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r, b := with(t, balance.Config{PanicThreshold: c.threshold})
			total, usable := 0, 0
			for h, n := range c.n {
				for i := range n {
					id := fmt.Sprint(h, i)
					register(t, r, instance(id))
					setHealth(t, r, id, h)
				}
				total += n
				if h.Usable() {
					usable += n
				}
			}
			s := b.Stats()
			assert.Equal(t, c.want, s.Panic)
			assert.Equal(t, usable, s.Usable)
			assert.Equal(t, total, s.Members)
		})
	}
}

// G32: a share that is just the threshold is not below it, whatever rounding
// makes of their product.
func TestG32_thresholdIsExact(t *testing.T) {
	for _, n := range []int{25, 50, 100} {
		r, _ := with(t, balance.Config{}, numbered(n)...)
		for i := range n - 1 {
			setHealth(t, r, fmt.Sprintf("i%03d", i), registry.Critical)
			usable := n - 1 - i
			b := newBalancer(t, r, balance.Config{PanicThreshold: float64(usable) / float64(n)})
			assert.False(t, b.Stats().Panic, "%d of %d is not below that share", usable, n)
		}
	}
}

// G32: in panic mode picks spread over all but those that are Draining or Down
// or have a negative weight; over Starting ones only if there are no others.
func TestG32_picks(t *testing.T) {
	states := map[string]registry.Health{
		"passing": registry.Passing, "critical 1": registry.Critical, "critical 2": registry.Critical,
		"starting": registry.Starting, "draining": registry.Draining, "down": registry.Down, "never": registry.Critical,
	}
	setup := func(t *testing.T, p balance.Policy) (*registry.Registry, *balance.Balancer) {
		t.Helper()
		r, b := with(t, balance.Config{Policy: p, Rand: seeded(32)})
		for id, h := range states {
			in := instance(id)
			if id == "never" {
				in.Weight = -1
			}
			register(t, r, in)
			setHealth(t, r, id, h)
		}
		return r, b
	}
	for name, p := range policies() {
		t.Run(name, func(t *testing.T) {
			r, b := setup(t, p)
			const picks = 3000
			got := counts(sequence(t, b, picks))
			assert.Equal(t, []string{"critical 1", "critical 2", "passing"}, keys(got))
			for id, n := range got {
				assert.InDelta(t, picks/3, n, picks*0.04, id)
			}
			for _, id := range []string{"passing", "critical 1", "critical 2"} {
				deregister(t, r, id)
			}
			require.True(t, b.Stats().Panic)
			assert.Equal(t, []string{"starting"}, keys(counts(sequence(t, b, 20))))
			deregister(t, r, "starting")
			_, err := b.Pick(bg)
			require.ErrorIs(t, err, balance.ErrNoInstances)
			assert.False(t, b.Stats().Panic)
		})
	}
}

// G32: Stale ones, which self-preservation keeps, are among those that are picked
// when too few others are left.
func TestG32_stale(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk, TTL: time.Second, Preserve: registry.Preserve{MaxEvict: 0.1}})
	registerAll(t, r, numbered(20)...)
	b := newBalancer(t, r, balance.Config{Policy: balance.RoundRobin{}})
	clk.pass(time.Second)
	assert.True(t, b.Stats().Panic)
	assert.Len(t, counts(sequence(t, b, 100)), 18, "two may expire, the others are held")
	fail := newBalancer(t, r, balance.Config{PanicThreshold: -1})
	_, err := fail.Pick(bg)
	require.ErrorIs(t, err, balance.ErrNoInstances)
}

// G32: an ejected endpoint is not usable, so it counts towards panic mode, in
// which it is picked again.
func TestG32_ejected(t *testing.T) {
	_, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Outlier: &balance.Outlier{Consecutive: 1, MaxEjected: -1}}, numbered(4)...)
	for i := range 2 {
		calls(t, b, fmt.Sprintf("i%03d", i), 1, errSick)
	}
	require.False(t, b.Stats().Panic, "half is not below half")
	require.Len(t, counts(sequence(t, b, 40)), 2)
	calls(t, b, "i002", 1, errSick)
	s := b.Stats()
	assert.True(t, s.Panic)
	assert.Equal(t, 3, s.Ejected)
	assert.Equal(t, 1, s.Usable)
	got := counts(sequence(t, b, 40))
	for id, n := range got {
		assert.Equal(t, 10, n, id)
	}
	assert.Len(t, got, 4)
}

// G32: in panic mode there are no zones.
func TestG32_zones(t *testing.T) {
	r, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Zone: "home"}, zones(3, "home", "x")...)
	require.Len(t, counts(sequence(t, b, 60)), 3)
	for i := range 2 {
		setHealth(t, r, fmt.Sprint("x ", i), registry.Critical)
		setHealth(t, r, fmt.Sprint("home ", i), registry.Critical)
	}
	require.True(t, b.Stats().Panic)
	got := counts(sequence(t, b, 60))
	assert.Len(t, got, 6)
	for id, n := range got {
		assert.Equal(t, 10, n, id)
	}
}

// G32: in panic mode nobody is held back by slow start.
func TestG32_slowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, b := with(t, balance.Config{Policy: balance.RoundRobin{}, SlowStart: ramp}, numbered(4)...)
		time.Sleep(2 * ramp)
		for i := range 3 {
			setHealth(t, r, fmt.Sprintf("i%03d", i), registry.Critical)
		}
		register(t, r, instance("new"))
		require.True(t, b.Stats().Panic)
		assert.Equal(t, 20, counts(sequence(t, b, 100))["new"])
	})
}

// G32, G38: the hook is told once when panic mode begins and once when it ends,
// however the numbers change meanwhile.
func TestG32_hook(t *testing.T) {
	bothClocks(t, func(t *testing.T, c registry.Clock, pass func(time.Duration)) {
		now := func() time.Time {
			if c == nil {
				return time.Now()
			}
			return c.Now()
		}
		var j journal
		r := newRegistry(t, registry.Config{Clock: c})
		b := newBalancer(t, r, balance.Config{Hooks: j.hooks()})
		sick := func(id string, h registry.Health) {
			setHealth(t, r, id, h)
			b.Stats()
			sequence(t, b, 3)
		}
		registerAll(t, r, numbered(5)...)
		sick("i000", registry.Critical)
		sick("i001", registry.Critical)
		assert.Empty(t, j.panicModes())
		pass(time.Minute)
		sick("i002", registry.Critical)
		begun := now()
		assert.Equal(t, []balance.PanicMode{{Service: orders, Active: true, Usable: 2, Total: 5, At: begun}}, j.panicModes())
		pass(time.Minute)
		sick("i003", registry.Critical)
		sick("i003", registry.Down)
		sick("i003", registry.Critical)
		assert.Empty(t, j.panicModes(), "it goes on")
		pass(time.Minute)
		sick("i000", 0)
		require.Empty(t, j.panicModes())
		sick("i001", 0)
		assert.Equal(t, []balance.PanicMode{{Service: orders, Active: false, Usable: 3, Total: 5, At: now()}}, j.panicModes())
		assert.Empty(t, j.panicModes())
	})
}

// G32: with a threshold that is never reached, nothing usable is an error that
// allocates nothing.
func TestG32_failClosed(t *testing.T) {
	var j journal
	r, b := with(t, balance.Config{PanicThreshold: -1, Hooks: j.hooks()}, numbered(3)...)
	for i := range 3 {
		setHealth(t, r, fmt.Sprintf("i%03d", i), registry.Critical)
	}
	_, err := b.Pick(bg)
	require.ErrorIs(t, err, balance.ErrNoInstances)
	assert.Empty(t, j.panicModes())
	if raceEnabled {
		return // the detector allocates
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = b.Pick(bg) }))
}

package balance_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// ramp is how long slow start lasts in tests.
const ramp = 10 * time.Second

// newcomer is a registry with four ripe instances and a fifth one, "new", that has
// just become usable, and what is needed to go on.
func newcomer(t *testing.T, cfg balance.Config) (*registry.Registry, *balance.Balancer, *handClock) {
	t.Helper()
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	cfg.SlowStart = ramp
	if cfg.Rand == nil {
		cfg.Rand = seeded(33)
	}
	b := newBalancer(t, r, cfg)
	registerAll(t, r, numbered(4)...)
	clk.pass(ramp)
	register(t, r, instance("new"))
	return r, b, clk
}

// chance is how far a count of n picks of probability p may be off: 4.5 standard
// deviations, which are exceeded once in 100,000 times.
func chance(n, p float64) float64 { return 4.5 * math.Sqrt(n*p*(1-p)) }

// many is how many picks it takes to see a share; what may be off is up to them.
func many() int {
	if raceEnabled {
		return 1_000 // the detector is slow
	}
	return 5_000
}

// requireShare makes picks, of which id has to have that share of its fair share,
// and the others the same each.
func requireShare(t *testing.T, b *balance.Balancer, id string, share float64) {
	t.Helper()
	got := counts(sequence(t, b, many()))
	picks, n := float64(many()), float64(b.Stats().Usable)
	want := share / n
	require.InDelta(t, want*picks, got[id], chance(picks, want), "of %v", got)
	for other, c := range got {
		if rest := (1 - want) / (n - 1); other != id {
			require.InDelta(t, rest*picks, c, chance(picks, rest), "%s of %v", other, got)
		}
	}
}

// G33: for every policy the share rises from the floor to the fair share, and
// what is left goes evenly to the ripe.
func TestG33_share(t *testing.T) {
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			_, b, clk := newcomer(t, balance.Config{Policy: policy})
			for step := range 12 {
				requireShare(t, b, "new", min(1, max(0.1, float64(step)/10)))
				clk.pass(ramp / 10)
			}
		})
	}
}

// G33: floor and curve are those of the config.
func TestG33_curve(t *testing.T) {
	cases := map[string]struct {
		floor, curve float64
		want         [5]float64 // at quarters of the ramp
	}{
		"the defaults": {0, 0, [5]float64{0.1, 0.25, 0.5, 0.75, 1}},
		"fast":         {0, 2, [5]float64{0.1, 0.5, 0.7071, 0.8660, 1}},
		"slow":         {0.05, 0.5, [5]float64{0.05, 0.0625, 0.25, 0.5625, 1}},
		"no floor":     {-0.1, 1, [5]float64{0, 0.25, 0.5, 0.75, 1}},
		"high floor":   {0.6, 1, [5]float64{0.6, 0.6, 0.6, 0.75, 1}},
		"no ramp":      {1, 1, [5]float64{1, 1, 1, 1, 1}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, b, clk := newcomer(t, balance.Config{Policy: balance.RoundRobin{}, SlowStartFloor: c.floor, SlowStartCurve: c.curve})
			for _, want := range c.want {
				requireShare(t, b, "new", want)
				clk.pass(ramp / 4)
			}
		})
	}
}

// G33: it counts from becoming usable, in whatever way, and whoever noticed when.
func TestG33_since(t *testing.T) {
	cases := map[string]func(t *testing.T, r *registry.Registry, b *balance.Balancer, clk *handClock){
		"registered": func(*testing.T, *registry.Registry, *balance.Balancer, *handClock) {},
		"recovered": func(t *testing.T, r *registry.Registry, _ *balance.Balancer, clk *handClock) {
			setHealth(t, r, "new", registry.Critical)
			clk.pass(5 * ramp)
			setHealth(t, r, "new", 0)
		},
		"started": func(t *testing.T, r *registry.Registry, _ *balance.Balancer, clk *handClock) {
			setHealth(t, r, "new", registry.Starting)
			clk.pass(5 * ramp)
			setHealth(t, r, "new", registry.Warning)
		},
		"at another address": func(t *testing.T, r *registry.Registry, _ *balance.Balancer, clk *handClock) {
			clk.pass(5 * ramp)
			in := instance("new")
			in.Addr = "10.0.0.2:80"
			register(t, r, in)
		},
		"ejected no more": func(t *testing.T, _ *registry.Registry, b *balance.Balancer, clk *handClock) {
			clk.pass(5 * ramp)
			calls(t, b, "new", 1, errSick)
			require.Equal(t, 1, b.Stats().Ejected)
			clk.pass(defaultBase)
		},
	}
	for name, become := range cases {
		t.Run(name, func(t *testing.T) {
			setup := func(t *testing.T) (*balance.Balancer, *handClock) {
				t.Helper()
				r, b, clk := newcomer(t, balance.Config{Policy: balance.RoundRobin{}, Outlier: &balance.Outlier{Consecutive: 1}})
				become(t, r, b, clk)
				return b, clk
			}
			t.Run("at once", func(t *testing.T) {
				b, _ := setup(t)
				requireShare(t, b, "new", 0.1)
			})
			t.Run("noticed late", func(t *testing.T) {
				b, clk := setup(t)
				clk.pass(ramp / 2)
				requireShare(t, b, "new", 0.5)
			})
			t.Run("over", func(t *testing.T) {
				b, clk := setup(t)
				clk.pass(ramp)
				assert.Equal(t, 20, counts(sequence(t, b, 100))["new"])
			})
		})
	}
}

// G33: a change of anything else does not begin it anew, nor does a registration
// of the same.
func TestG33_notAnew(t *testing.T) {
	r, b, clk := newcomer(t, balance.Config{Policy: balance.RoundRobin{}})
	clk.pass(ramp / 2)
	in := instance("new")
	register(t, r, in)
	in.Meta = map[string]string{"build": "7"}
	register(t, r, in)
	setHealth(t, r, "new", registry.Warning)
	setHealth(t, r, "i001", registry.Critical)
	deregister(t, r, "i002")
	requireShare(t, b, "new", 0.5)
	clk.pass(ramp / 2)
	assert.Equal(t, 100, counts(sequence(t, b, 300))["new"])
}

// G33: if nobody is ripe nobody is held back: a service that has just begun has
// nobody else.
func TestG33_nobodyRipe(t *testing.T) {
	even := func(t *testing.T, b *balance.Balancer, ids ...string) {
		t.Helper()
		got := counts(sequence(t, b, 100*len(ids)))
		require.Equal(t, len(ids), len(got))
		for _, id := range ids {
			assert.Equal(t, 100, got[id], id)
		}
	}
	r, b, clk := newcomer(t, balance.Config{Policy: balance.RoundRobin{}, PanicThreshold: -1})
	for _, id := range []string{"i000", "i001", "i002", "i003"} {
		setHealth(t, r, id, registry.Critical)
	}
	even(t, b, "new")
	clk.pass(ramp / 4)
	register(t, r, instance("newer"))
	even(t, b, "new", "newer")
	clk.pass(ramp / 4 * 3)
	requireShare(t, b, "newer", 0.75) // now there is a ripe one again
}

// G33: who is turned down for being new is better than nobody.
func TestG33_onlyChoice(t *testing.T) {
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			r, b, _ := newcomer(t, balance.Config{Policy: policy, SlowStartFloor: 1e-9})
			q := balance.Query{Key: 7, Exclude: tried(endpoint(t, r, "i000"), endpoint(t, r, "i001"), endpoint(t, r, "i002"), endpoint(t, r, "i003"))}
			for range 20 {
				assert.Equal(t, []string{"new"}, sequenceWith(t, b, q, 1))
			}
		})
	}
}

// G33: inside zones too: the newcomer at home leaves its picks to its neighbours,
// not to other zones, and one elsewhere leaves them there.
func TestG33_zones(t *testing.T) {
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			clk := newHandClock()
			r := newRegistry(t, registry.Config{Clock: clk})
			registerAll(t, r, zones(4, "home", "x")...)
			b := newBalancer(t, r, balance.Config{
				Policy: policy, Zone: "home", SpillBelow: 1, SlowStart: ramp, Rand: seeded(33), PanicThreshold: -1,
			})
			clk.pass(ramp)
			registerAll(t, r, zoned("home new", "home"), zoned("x new", "x"))
			picks := float64(many())
			for step := range 6 {
				share := max(0.1, float64(step)/5)
				got := counts(sequence(t, b, many()))
				require.InDelta(t, share*picks/5, got["home new"], chance(picks, share/5), "step %d: %v", step, got)
				require.Equal(t, 5, len(got), "somebody else than home: %v", got)
				clk.pass(ramp / 5)
			}
			// Two of five at home are out, so that two of five picks go elsewhere.
			setHealth(t, r, "home 0", registry.Critical)
			setHealth(t, r, "home 1", registry.Critical)
			setHealth(t, r, "x new", registry.Critical)
			setHealth(t, r, "x new", 0)
			got := counts(sequence(t, b, many()))
			away := got["x 0"] + got["x 1"] + got["x 2"] + got["x 3"] + got["x new"]
			assert.InDelta(t, picks*0.4, away, chance(picks, 0.4), "%v", got)
			assert.InDelta(t, picks*0.4*0.1/5, got["x new"], chance(picks, 0.4*0.1/5), "%v", got)
		})
	}
}

// G33: inside subsets too.
func TestG33_subset(t *testing.T) {
	for name, policy := range policies() {
		t.Run(name, func(t *testing.T) {
			clk := newHandClock()
			r := newRegistry(t, registry.Config{Clock: clk})
			registerAll(t, r, numbered(30)...)
			b := newBalancer(t, r, balance.Config{Policy: policy, SubsetSize: 5, SubsetKey: "client", SlowStart: ramp, Rand: seeded(33)})
			clk.pass(ramp)
			id := keys(members(b))[3]
			setHealth(t, r, id, registry.Critical)
			setHealth(t, r, id, 0)
			for step := range 6 {
				requireShare(t, b, id, max(0.1, float64(step)/5))
				clk.pass(ramp / 5)
			}
		})
	}
}

// G33: with weights the fair share is that of the weight.
func TestG33_weights(t *testing.T) {
	for _, smooth := range []bool{false, true} {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk})
		registerAll(t, r, weighted("a", 100), weighted("b", 300))
		b := newBalancer(t, r, balance.Config{Policy: balance.Weighted{Smooth: smooth}, SlowStart: ramp, Rand: seeded(33)})
		clk.pass(ramp)
		register(t, r, weighted("new", 400))
		clk.pass(ramp / 2)
		const picks = 8000
		got := counts(sequence(t, b, picks))
		assert.InDelta(t, picks*0.25, got["new"], chance(picks, 0.25))
		assert.InDelta(t, picks*0.75/4, got["a"], chance(picks, 0.75/4))
		assert.InDelta(t, picks*0.75*0.75, got["b"], chance(picks, 0.75*0.75))
	}
}

// G33: without SlowStart everybody has a full share at once.
func TestG33_off(t *testing.T) {
	for _, off := range []time.Duration{0, -time.Second} {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk})
		registerAll(t, r, numbered(4)...)
		b := newBalancer(t, r, balance.Config{Policy: balance.RoundRobin{}, SlowStart: off})
		clk.pass(time.Hour)
		register(t, r, instance("new"))
		assert.Equal(t, 20, counts(sequence(t, b, 100))["new"])
	}
}

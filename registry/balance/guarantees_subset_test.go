package balance_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// subset is the config of a client that restricts itself.
func subset(key string, size int) balance.Config {
	return balance.Config{SubsetSize: size, SubsetKey: key, Policy: balance.RoundRobin{}}
}

// G31: the subset has the size it should have, and picks stay in it.
func TestG31_subset(t *testing.T) {
	for size, want := range map[int]int{0: 20, -1: 20, 1: 1, 7: 7, 19: 19, 20: 20, 500: 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			_, b := with(t, subset("client", size), numbered(20)...)
			assert.Equal(t, want, b.Stats().Members)
			assert.Equal(t, keys(members(b)), keys(counts(sequence(t, b, 100))))
		})
	}
}

// G31: it depends on the key and the IDs: clients of one key agree, whatever the
// order in which instances came to them, and their weights; others do not.
func TestG31_subsetKey(t *testing.T) {
	ins := unequal(40)
	_, first := with(t, subset("client", 10), ins...)
	want := keys(members(first))
	slices.Reverse(ins)
	r := newRegistry(t, registry.Config{})
	b := newBalancer(t, r, subset("client", 10))
	for _, in := range ins {
		in.Weight = 5
		register(t, r, in)
		b.Stats() // so that it sees every step
	}
	assert.Equal(t, want, keys(members(b)))
	assert.Equal(t, []string{
		"i001", "i011", "i012", "i015", "i021", "i022", "i026", "i027", "i033", "i037",
	}, want, "another process, another release")

	used := map[string]int{}
	for i := range 100 {
		_, b := with(t, subset(fmt.Sprint("client ", i), 10), ins...)
		for id := range members(b) {
			used[id]++
		}
	}
	require.Len(t, used, 40)
	for id, n := range used {
		assert.InDelta(t, 25, n, 15, "clients of %s", id)
	}
}

// G31: one instance that joins or leaves changes at most one member.
func TestG31_subsetChange(t *testing.T) {
	r, b := with(t, subset("client", 8), numbered(30)...)
	rng := rand.New(rand.NewPCG(31, 1))
	last := keys(members(b))
	for step := range 300 {
		id := fmt.Sprintf("i%03d", rng.IntN(60))
		_, there := r.Service(orders).Get(id)
		if there {
			deregister(t, r, id)
		} else {
			register(t, r, instance(id))
		}
		now := keys(members(b))
		gone := without(last, now)
		came := without(now, last)
		require.LessOrEqual(t, max(len(gone), len(came)), 1, "step %d: %v left, %v came", step, gone, came)
		if there {
			require.Subset(t, []string{id}, gone, "a member that stays was dropped")
		} else {
			require.Subset(t, []string{id}, came, "a member came that was there before")
		}
		last = now
	}
}

// without are the elements of a that are not in b.
func without(a, b []string) []string {
	var all []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			all = append(all, s)
		}
	}
	return all
}

// G31: health makes no difference to it: clients of a service that has trouble
// must not flock to the same few others.
func TestG31_subsetIgnoresHealth(t *testing.T) {
	for _, h := range []registry.Health{registry.Warning, registry.Starting, registry.Critical, registry.Draining, registry.Down} {
		t.Run(h.String(), func(t *testing.T) {
			r, b := with(t, subset("client", 5), numbered(20)...)
			before := keys(members(b))
			setHealth(t, r, before[2], h)
			assert.Equal(t, before, keys(members(b)))
			for id := range counts(sequence(t, b, 20)) {
				assert.Contains(t, before, id)
			}
		})
	}
}

// G31: without a key it is random, but one for the life of the balancer.
func TestG31_subsetWithoutKey(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	registerAll(t, r, numbered(30)...)
	cfg := subset("", 5)
	cfg.Rand = seeded(31)
	seen := map[string]bool{}
	for range 10 {
		b := newBalancer(t, r, cfg)
		mine := keys(members(b))
		seen[fmt.Sprint(mine)] = true
		register(t, r, instance("one"))
		deregister(t, r, "one")
		require.Equal(t, mine, keys(members(b)))
	}
	assert.Len(t, seen, 10)
}

// G23, G31: first Filter and negative weights, then the subset, then panic mode:
// its share is that of the subset.
func TestG31_subsetOfFiltered(t *testing.T) {
	ins := numbered(20)
	ins[7].Weight = -1
	for i := range ins[:10] {
		ins[i].Tags = []string{"ours"}
	}
	cfg := subset("client", 6)
	cfg.Filter = func(e *registry.Endpoint) bool { return e.HasTag("ours") }
	r, b := with(t, cfg, ins...)
	mine := keys(members(b))
	require.Len(t, mine, 6)
	for _, id := range mine {
		assert.Less(t, id, "i010")
		assert.NotEqual(t, "i007", id)
	}
	for _, id := range mine[:4] { // of 6 members, though of 20 instances
		setHealth(t, r, id, registry.Critical)
	}
	assert.True(t, b.Stats().Panic)
	assert.Equal(t, mine, keys(counts(sequence(t, b, 60))))
}

// zones are n instances in each zone, such as "home 3".
func zones(n int, names ...string) []registry.Instance {
	var all []registry.Instance
	for _, z := range names {
		for i := range n {
			all = append(all, zoned(fmt.Sprint(z, " ", i), z))
		}
	}
	return all
}

// zonesOf are how many picks went to each zone.
func zonesOf(tb testing.TB, b *balance.Balancer, picks int) map[string]int {
	tb.Helper()
	all := map[string]int{}
	for range picks {
		p := pick(tb, b)
		all[p.Endpoint().Zone()]++
		p.DoneAfter(nil, usual)
	}
	return all
}

// G31: all picks stay home while its usable share is at least SpillBelow. Below,
// the fraction share/SpillBelow does.
func TestG31_zone(t *testing.T) {
	picks := float64(many())
	cases := map[string]struct {
		spill   float64
		sick    int     // of ten at home
		ejected int     // as well
		home    float64 // the share of picks
	}{
		"all usable":                    {0, 0, 0, 1},
		"just enough":                   {0, 3, 0, 1},
		"less":                          {0, 4, 0, 0.6 / 0.7},
		"little":                        {0, 8, 0, 0.2 / 0.7},
		"hardly any":                    {0, 9, 0, 0.1 / 0.7},
		"none":                          {0, 10, 0, 0},
		"ejected ones are unusable":     {0, 3, 1, 0.6 / 0.7},
		"own threshold, just enough":    {0.3, 7, 0, 1},
		"own threshold":                 {0.3, 8, 0, 0.2 / 0.3},
		"every one counts":              {1, 1, 0, 0.9},
		"only if none is usable":        {-1, 9, 0, 1},
		"only if none is usable: none":  {-1, 10, 0, 0},
		"next to nothing is asked for":  {1e-12, 9, 0, 1},
		"next to nothing, but none is ": {1e-12, 10, 0, 0},
	}
	for name, c := range cases {
		for _, policy := range []string{"RoundRobin", "LeastLoaded", "PeakEWMA", "Maglev"} {
			t.Run(name+" "+policy, func(t *testing.T) {
				r, b := with(t, balance.Config{
					Policy: policies()[policy], Zone: "home", SpillBelow: c.spill, Rand: seeded(31),
					PanicThreshold: -1, Outlier: &balance.Outlier{Consecutive: 1},
				}, zones(10, "home", "x", "y")...)
				for i := range c.sick {
					setHealth(t, r, fmt.Sprint("home ", i), registry.Critical)
				}
				for i := range c.ejected {
					calls(t, b, fmt.Sprint("home ", 9-i), 1, errSick)
				}
				got := zonesOf(t, b, many())
				switch want := c.home * picks; want {
				case picks, 0: // not one may go astray
					assert.EqualValues(t, want, got["home"])
				default:
					assert.InDelta(t, want, got["home"], chance(picks, c.home))
				}
			})
		}
	}
}

// G31: what leaves home spreads evenly over all others, whatever their zones and
// how many each has; so does what stays over those at home.
func TestG31_zoneSpread(t *testing.T) {
	const picks = 22_000
	ins := append(zones(4, "home"), zones(1, "x")...)
	ins = append(ins, zones(9, "y")...)
	ins = append(ins, instance("nowhere"))
	r, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Zone: "home", SpillBelow: 1, Rand: seeded(31)}, ins...)
	setHealth(t, r, "home 0", registry.Critical)
	setHealth(t, r, "home 1", registry.Critical)
	got := counts(sequence(t, b, picks))
	require.Len(t, got, 13)
	for id, n := range got {
		if id == "home 2" || id == "home 3" {
			assert.InDelta(t, picks/2/2, n, 150, id)
		} else {
			assert.InDelta(t, picks/2/11, n, 150, id)
		}
	}
}

// G31: Starting, Draining and Down ones do not count: a deployment or a drain at
// home is no trouble there.
func TestG31_zoneWithoutThoseThatComeAndGo(t *testing.T) {
	r, b := with(t, balance.Config{Zone: "home"}, zones(4, "home", "x")...)
	for i, h := range []registry.Health{registry.Starting, registry.Draining, registry.Down} {
		setHealth(t, r, fmt.Sprint("home ", i), h)
	}
	assert.Equal(t, []string{"home 3"}, keys(counts(sequence(t, b, 200))))
}

// G31: without an endpoint at home, or without a zone, there are none.
func TestG31_noZone(t *testing.T) {
	for name, zone := range map[string]string{"nobody there": "mars", "no zone": ""} {
		t.Run(name, func(t *testing.T) {
			r, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Zone: zone}, zones(3, "x", "y")...)
			register(t, r, instance("nowhere"))
			got := counts(sequence(t, b, 700))
			require.Len(t, got, 7)
			for id, n := range got {
				assert.Equal(t, 100, n, id)
			}
		})
	}
}

// G23: Filter is asked once about every record, so that a pick costs no call of
// it, and again about one that has changed.
func TestG23_FilterOncePerRecord(t *testing.T) {
	var asked []string
	r := newRegistry(t, registry.Config{})
	leases := registerAll(t, r, named("a", "b")...)
	b := newBalancer(t, r, balance.Config{Policy: balance.RoundRobin{}, Filter: func(e *registry.Endpoint) bool {
		asked = append(asked, e.ID())
		return !e.HasTag("out")
	}})
	assert.Equal(t, map[string]int{"a": 5, "b": 5}, counts(sequence(t, b, 10)))
	in := leases[0].Endpoint().Instance()
	in.Tags = []string{"out"}
	require.NoError(t, leases[0].Update(in))
	assert.Equal(t, map[string]int{"b": 10}, counts(sequence(t, b, 10)))
	in.Tags = nil
	require.NoError(t, leases[0].Update(in))
	assert.Equal(t, map[string]int{"a": 5, "b": 5}, counts(sequence(t, b, 10)))
	assert.Equal(t, []string{"a", "b", "a", "a"}, asked)
}

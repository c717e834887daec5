package balance_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// hashes are the kinds of ConsistentHash.
func hashes() map[string]balance.ConsistentHash {
	return map[string]balance.ConsistentHash{
		"Maglev":     {},
		"Rendezvous": {Kind: balance.Rendezvous},
	}
}

// userKeys are the keys of n users.
func userKeys(n int) []uint64 {
	all := make([]uint64, n)
	for i := range all {
		all[i] = balance.HashKey(fmt.Sprintf("user-%d", i))
	}
	return all
}

// homes are the IDs that keys go to.
func homes(tb testing.TB, b *balance.Balancer, keys []uint64) []string {
	tb.Helper()
	return homesWithout(tb, b, keys, balance.Tried{})
}

// homesWithout are those when some endpoints are excluded.
func homesWithout(tb testing.TB, b *balance.Balancer, keys []uint64, not balance.Tried) []string {
	tb.Helper()
	all := make([]string, len(keys))
	for i, k := range keys {
		e, err := b.Next(balance.Query{Key: k, Exclude: not})
		require.NoError(tb, err)
		all[i] = e.ID()
	}
	return all
}

// differing are the positions at which two lists differ.
func differing(a, b []string) []int {
	var all []int
	for i := range a {
		if a[i] != b[i] {
			all = append(all, i)
		}
	}
	return all
}

// unequal are n instances with weights from 1 to 5.
func unequal(n int) []registry.Instance {
	all := numbered(n)
	for i := range all {
		all[i].Weight = 1 + i%5
	}
	return all
}

// G30: the order of registration makes no difference, nor does what else there
// was before.
func TestG30_order(t *testing.T) {
	keys := userKeys(500)
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			ins := unequal(12)
			_, first := with(t, balance.Config{Policy: policy}, ins...)
			want := homes(t, first, keys)
			rng := rand.New(rand.NewPCG(30, 1))
			times := 5
			if raceEnabled {
				times = 1
			}
			for range times {
				rng.Shuffle(len(ins), func(i, j int) { ins[i], ins[j] = ins[j], ins[i] })
				r, b := with(t, balance.Config{Policy: policy}, named("gone", "a", "z")...)
				for _, in := range ins {
					register(t, r, in)
					_, err := b.Next(balance.Query{Key: 1}) // the balancer sees every step
					require.NoError(t, err)
				}
				for _, id := range []string{"gone", "a", "z"} {
					deregister(t, r, id)
				}
				assert.Equal(t, want, homes(t, b, keys))
			}
		})
	}
}

// G30: every process and every release gives these answers. If this fails, half
// of the processes of a rolling update disagree with the other half.
func TestG30_golden(t *testing.T) {
	want := map[string][]string{
		"Maglev": {
			"i003", "i002", "i003", "i002", "i002", "i005", "i008", "i004", "i002", "i004", "i008", "i002",
			"i003", "i002", "i003", "i008", "i006", "i008", "i008", "i008", "i001", "i005", "i004", "i002",
		},
		"Rendezvous": {
			"i001", "i001", "i000", "i003", "i008", "i008", "i002", "i007", "i004", "i002", "i007", "i008",
			"i004", "i004", "i004", "i008", "i000", "i004", "i002", "i006", "i003", "i003", "i002", "i007",
		},
	}
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			_, b := with(t, balance.Config{Policy: policy}, unequal(9)...)
			assert.Equal(t, want[name], homes(t, b, userKeys(24)))
		})
	}
}

// G30: an unusable member keeps its place. Its keys go to the next choice of
// each, nobody else's move at all, and it gets back what it had.
func TestG30_lending(t *testing.T) {
	states := map[string]registry.Health{
		"Starting": registry.Starting, "Critical": registry.Critical,
		"Draining": registry.Draining, "Down": registry.Down,
	}
	keys := userKeys(3000)
	for name, policy := range hashes() {
		for state, health := range states {
			t.Run(name+" "+state, func(t *testing.T) {
				r, b := with(t, balance.Config{Policy: policy}, numbered(10)...)
				before := homes(t, b, keys)
				setHealth(t, r, "i003", health)
				meanwhile := homes(t, b, keys)
				lent := map[string]int{}
				for i, id := range meanwhile {
					require.NotEqual(t, "i003", id)
					if before[i] == "i003" {
						lent[id]++
					} else {
						require.Equal(t, before[i], id, "key %d is not one of i003", i)
					}
				}
				assert.Len(t, lent, 9, "all others help out: %v", lent)
				setHealth(t, r, "i003", 0)
				assert.Equal(t, before, homes(t, b, keys))
			})
		}
	}
}

// G30: an ejected member keeps its place as well.
func TestG30_lendingOfEjected(t *testing.T) {
	clk := newHandClock()
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t, registry.Config{Clock: clk})
			registerAll(t, r, numbered(10)...)
			b := newBalancer(t, r, balance.Config{Policy: policy, Outlier: &balance.Outlier{Consecutive: 1}})
			keys := userKeys(1000)
			before := homes(t, b, keys)
			calls(t, b, "i007", 1, errSick)
			meanwhile := homes(t, b, keys)
			for _, i := range differing(before, meanwhile) {
				require.Equal(t, "i007", before[i])
			}
			assert.NotContains(t, meanwhile, "i007")
			clk.pass(defaultBase)
			assert.Equal(t, before, homes(t, b, keys))
		})
	}
}

// G30: who leaves takes along its own keys. With Maglev a few others move, at
// most one in a hundred; with Rendezvous none.
func TestG30_leaving(t *testing.T) {
	keys := userKeys(20_000)
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			r, b := with(t, balance.Config{Policy: policy}, unequal(20)...)
			before := homes(t, b, keys)
			deregister(t, r, "i004")
			after := homes(t, b, keys)
			strays := 0
			for i := range keys {
				require.NotEqual(t, "i004", after[i])
				if before[i] != "i004" && before[i] != after[i] {
					strays++
				}
			}
			if policy.Kind == balance.Rendezvous {
				assert.Zero(t, strays)
			}
			assert.LessOrEqual(t, strays, len(keys)/100)
			in := unequal(20)[4]
			register(t, r, in)
			assert.Equal(t, before, homes(t, b, keys), "the same members again")
		})
	}
}

// G30: exclusions go to the next choices, which are those that the key has when
// the excluded are unusable.
func TestG30_exclusions(t *testing.T) {
	const n = 8
	keys := userKeys(200)
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			r, b := with(t, balance.Config{Policy: policy, PanicThreshold: -1}, numbered(n)...)
			for _, key := range keys {
				var out balance.Tried
				var choices []string
				for range n {
					e, err := b.Next(balance.Query{Key: key, Exclude: out})
					require.NoError(t, err)
					choices = append(choices, e.ID())
					out.Add(e)
				}
				assert.Len(t, counts(choices), n, "no choice comes twice")
				_, err := b.Next(balance.Query{Key: key, Exclude: out})
				require.ErrorIs(t, err, balance.ErrNoInstances)
				var lent []string
				for _, id := range choices {
					lent = append(lent, homes(t, b, []uint64{key})...)
					setHealth(t, r, id, registry.Critical)
				}
				assert.Equal(t, choices, lent)
				for _, id := range choices {
					setHealth(t, r, id, 0)
				}
			}
		})
	}
}

// G30: with Bound, and whatever has to be turned down for it, the chosen has no
// more under way than ceil(Bound * its share by weight of all, with this one).
func TestG30_bound(t *testing.T) {
	cases := map[string]struct {
		num, den int // Bound
		ins      []registry.Instance
		keys     int
	}{
		"usual":            {5, 4, numbered(10), 1000},
		"usual, by weight": {5, 4, unequal(10), 1000},
		"usual, one key":   {5, 4, numbered(10), 1},
		"one":              {1, 1, numbered(3), 1000},
		"one, one key":     {1, 1, numbered(3), 1},
		"one, by weight":   {1, 1, unequal(7), 3},
		"three":            {3, 1, numbered(5), 2},
		"skewed":           {3, 2, []registry.Instance{weighted("a", 1_000_000), weighted("b", 1), weighted("c", 7)}, 50},
		"a single one":     {5, 4, numbered(1), 5},
	}
	for name, c := range cases {
		for kind, policy := range hashes() {
			t.Run(name+" "+kind, func(t *testing.T) {
				policy.Bound = float64(c.num) / float64(c.den)
				r, b := with(t, balance.Config{Policy: policy}, c.ins...)
				sum := 0
				for e := range r.Service(orders).Snapshot().All() {
					sum += e.Weight()
				}
				rng := rand.New(rand.NewPCG(30, 2))
				keys := userKeys(c.keys)
				var open []balance.Pick
				for range 2000 {
					p := pickWith(t, b, balance.Query{Key: keys[rng.IntN(len(keys))]})
					open = append(open, p)
					e := p.Endpoint()
					// ceil in whole numbers: (num * w * total) / (den * sum)
					over, under := c.num*e.Weight()*len(open), c.den*sum
					require.LessOrEqual(t, e.InFlight(), (over+under-1)/under,
						"%d under way, of weight %d of %d", len(open), e.Weight(), sum)
					for len(open) > 0 && rng.IntN(100) < 45 {
						i := rng.IntN(len(open))
						open[i].Done(nil)
						open = slices.Delete(open, i, i+1)
					}
				}
			})
		}
	}
}

// G30: Bound changes nothing for who is below it, and the key comes back as soon
// as there is room.
func TestG30_boundLetsKeysHome(t *testing.T) {
	keys := userKeys(500)
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			_, free := with(t, balance.Config{Policy: policy}, numbered(10)...)
			policy.Bound = 1.25
			_, b := with(t, balance.Config{Policy: policy}, numbered(10)...)
			assert.Equal(t, homes(t, free, keys), homes(t, b, keys))
			first := pickWith(t, b, balance.Query{Key: keys[0]})
			second := pickWith(t, b, balance.Query{Key: keys[0]})
			require.NotEqual(t, first.Endpoint().ID(), second.Endpoint().ID(), "1.25 of 2 over 10 is 1")
			first.Done(nil)
			third := pickWith(t, b, balance.Query{Key: keys[0]})
			assert.Equal(t, first.Endpoint().ID(), third.Endpoint().ID())
		})
	}
}

// G30: a Bound that nobody can reach is none, however many calls there are.
func TestG30_boundWithoutEnd(t *testing.T) {
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			policy.Bound = math.MaxFloat64
			_, b := with(t, balance.Config{Policy: policy}, numbered(10)...)
			want := homes(t, b, []uint64{30})
			for range 20 {
				assert.Equal(t, want[0], pickWith(t, b, balance.Query{Key: 30}).Endpoint().ID())
			}
		})
	}
}

// G30: without a key the choice is random, and as even as the key space.
func TestG30_withoutKey(t *testing.T) {
	const n, picks = 10, 20_000
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			_, b := with(t, balance.Config{Policy: policy, Rand: seeded(30)}, numbered(n)...)
			chosen := counts(sequence(t, b, picks))
			require.Len(t, chosen, n)
			for id, c := range chosen {
				assert.InDelta(t, picks/n, c, picks/n*0.1, id)
			}
		})
	}
}

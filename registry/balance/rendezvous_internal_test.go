package balance

import (
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestG30_RendezvousDoesNotDependOnOrder(t *testing.T) {
	rng := seeded(30)
	for _, n := range []int{1, 2, 10, 100, 1000} {
		for _, weights := range [][]int{repeated(100, n), upTo(rng, 10, n)} {
			ids := scatteredAddresses(rng, n)
			r := newRendezvous(ids, weights)
			otherIDs, otherWeights := shuffled(rng, ids, weights)
			other := newRendezvous(otherIDs, otherWeights)
			for range 1000 {
				key := rng.Uint64()
				require.Equal(t, ids[r.best(key, nil)], otherIDs[other.best(key, nil)])
			}
		}
	}
}

// Whoever leaves, joins, or is not ok any more or again, takes or gives only its
// own keys: not one of another id moves.
func TestG30_RendezvousHasNoStrayKey(t *testing.T) {
	rng := seeded(31)
	for _, n := range []int{2, 3, 10, 100} {
		for _, weights := range [][]int{repeated(100, n), upTo(rng, 1000, n), append(repeated(1, n-1), 1_000_000)} {
			ids := scatteredAddresses(rng, n)
			leaver := rng.IntN(n)
			all, left := newRendezvous(ids, weights), without(ids, leaver)
			rest := newRendezvous(left, without(weights, leaver))
			ok := func(i int) bool { return i != leaver }
			for range 20_000 {
				key := rng.Uint64()
				before, after := ids[all.best(key, nil)], left[rest.best(key, nil)]
				if before != ids[leaver] && before != after {
					t.Fatalf("%#x moves from %s to %s as %s leaves %v", key, before, after, ids[leaver], weights)
				}
				if lent := ids[all.best(key, ok)]; lent != after {
					t.Fatalf("%#x goes to %s while %s is not ok, to %s when it has left", key, lent, ids[leaver], after)
				}
			}
		}
	}
}

// A weight that grows takes keys, one that falls gives keys; nothing else moves.
func TestG30_RendezvousWeightMovesItsOwnKeys(t *testing.T) {
	rng, ids, weights := seeded(32), addresses(10), somePrimes[:10]
	r := newRendezvous(ids, weights)
	for _, weight := range []int{1, 4, 6, 100, 1_000_000} {
		changed := append([]int(nil), weights...)
		changed[2] = weight // was 5
		s := newRendezvous(ids, changed)
		for range 20_000 {
			key := rng.Uint64()
			before, after := r.best(key, nil), s.best(key, nil)
			if before != after && (weight > 5 && after != 2 || weight < 5 && before != 2) {
				t.Fatalf("%#x moves from %d to %d as the weight of 2 becomes %d", key, before, after, weight)
			}
		}
	}
}

func TestG30_RendezvousInProportion(t *testing.T) {
	rng := seeded(33)
	for _, c := range []struct {
		name    string
		weights []int
	}{
		{"1 to 10", []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"1000 to 1", []int{1000, 1}},
		{"primes", somePrimes},
		{"equal", repeated(100, 10)},
		{"equal, a hundred", repeated(7, 100)},
		{"millions", []int{1_000_000, 999_999, 500_000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRendezvous(scatteredAddresses(rng, len(c.weights)), c.weights)
			counts := make([]int, len(c.weights))
			keys := uint64(1_000_000)
			if underRace {
				keys /= 10
			}
			for i := range keys { // counted keys are as good as hashed ones
				counts[r.best(i<<(rng.IntN(2)*40), nil)]++
			}
			requireProportion(t, c.weights, counts)
		})
	}
}

func TestRendezvousAsksWhatItNeeds(t *testing.T) {
	no := func(int) bool { return false }
	assert.Equal(t, -1, newRendezvous(nil, nil).best(1, nil))
	assert.Equal(t, -1, newRendezvous(nil, nil).best(1, no))
	assert.Equal(t, -1, newRendezvous(addresses(3), repeated(1, 3)).best(1, no))

	r, rng, asked := newRendezvous(addresses(1000), upTo(seeded(34), 100, 1000)), seeded(35), 0
	for range 1000 {
		key := rng.Uint64()
		only := rng.IntN(1000)
		require.Equal(t, only, r.best(key, func(i int) bool { return i == only }))
		best := r.best(key, nil)
		require.Equal(t, best, r.best(key, func(int) bool { asked++; return true }))
	}
	assert.Less(t, asked, 1000*10) // ln(1000) is 6.9
}

// A pair of key and id that hashes to the end of the range is no special case.
func TestRendezvousOfExtremeHashes(t *testing.T) {
	const key = 7
	for hash, want := range map[uint64]int{0: 1, 1: 1, math.MaxUint64: 0, math.MaxUint64 - 1: 0} {
		r := newRendezvous([]string{"a", "b"}, []int{1_000_000, 1})
		r.members[0].hash = mix(key) ^ unmix(hash)
		r.members[1].hash = mix(key) ^ unmix(1<<63)
		if hash <= 1 { // the longest time there is, unless it is divided by a million
			r.members[0].weight = 1
		}
		assert.Equal(t, want, r.best(key, nil), "%#x", hash)
		assert.Equal(t, 0, r.best(key, func(i int) bool { return i == 0 }), "%#x", hash)
	}
}

// bestInFull is what best means: the least -ln(u)/w of all that are ok.
func (r *rendezvous) bestInFull(key uint64, ok func(int) bool) int {
	won, best := -1, score{}
	for _, m := range r.members {
		u := mix(mix(key)^m.hash) | 1
		s := score{exponential(u), uint64(m.weight), u}
		if (won < 0 || s.beats(best)) && ok(int(m.index)) {
			won, best = int(m.index), s
		}
	}
	return won
}

// FuzzRendezvous: leaving out the certain losers changes nothing.
func FuzzRendezvous(f *testing.F) {
	f.Add([]byte{0, 0}, uint64(0), uint64(0))
	f.Add([]byte{0, 0, 12, 255}, uint64(1), uint64(1))
	f.Add([]byte{0, 3, 1, 1, 2, 2, 3, 4, 12, 9, 12, 8, 0, 0}, uint64(math.MaxUint64), uint64(5))
	f.Fuzz(func(t *testing.T, data []byte, key, out uint64) {
		weights := fuzzedWeights(data, 100)
		ok := func(i int) bool { return out>>(i%64)&1 == 0 }
		r := newRendezvous(addresses(len(weights)), weights)
		for range 20 {
			if got, want := r.best(key, ok), r.bestInFull(key, ok); got != want {
				t.Fatalf("the best of %v for %#x is %d, not %d", weights, key, got, want)
			}
			key += increment
		}
	})
}

func TestRendezvousLeavesOutLosersOnly(t *testing.T) {
	rng := seeded(36)
	all := func(int) bool { return true }
	for range 300 {
		n := 1 + rng.IntN(50)
		r := newRendezvous(addresses(n), upTo(rng, 1+rng.IntN(1_000_000), n))
		for range 200 {
			key := rng.Uint64()
			require.Equal(t, r.bestInFull(key, all), r.best(key, nil))
		}
	}
}

// What limit lets pass by, beats would turn down: right at the limit too.
func TestScoreLimit(t *testing.T) {
	rng := seeded(37)
	beyond := 0
	for range 100_000 {
		best := rng.Uint64()>>rng.IntN(64) | 1
		if rng.IntN(2) == 0 {
			best = -best // near 1
		}
		s := score{exponential(best), 1 + rng.Uint64N(1_000_000), best}
		limit := s.limit()
		if limit == math.MaxUint64 {
			continue
		}
		require.GreaterOrEqual(t, limit, s.time/s.weight*64)
		for _, w := range []uint64{1, 2, s.weight, 1 + rng.Uint64N(1_000_000)} {
			if less := limit*w + 2; less/w == limit && less%2 == 1 || less/w == limit+1 || less/w == limit+2 {
				u := -less | 1
				if u == 0 || -u <= limit*w {
					continue
				}
				beyond++
				require.False(t, score{exponential(u), w, u}.beats(s), "%d/%d against %d/%d", less, w, s.time, s.weight)
			}
		}
	}
	require.Greater(t, beyond, 10_000)
}

// Equal times are decided by u, then by the order of ids.
func TestScoreOfEqualTimes(t *testing.T) {
	a, b := score{time: 6, weight: 2, u: 5}, score{time: 9, weight: 3, u: 7}
	assert.True(t, b.beats(a))
	assert.False(t, a.beats(b))
	assert.False(t, a.beats(a))
	assert.True(t, score{time: 5, weight: 2, u: 1}.beats(b))

	// Two ids with one hash, which nobody can find: the first one wins.
	r := newRendezvous([]string{"b", "a"}, []int{3, 3})
	r.members[0].hash = r.members[1].hash
	assert.Equal(t, 1, r.best(1, nil))
}

// exponential is -ln(u), as far as float64 can tell.
func TestExponential(t *testing.T) {
	const unit = 1 << 58
	for u, want := range map[uint64]uint64{
		1: 64 * ln2, 2: 63 * ln2, 1 << 63: ln2, 1 << 62: 2 * ln2, math.MaxUint64: 0,
		math.MaxUint64 - 1<<20 + 1: 1 << 14, math.MaxUint64 - 1<<10 + 1: 1 << 4,
	} {
		assert.InDelta(t, float64(want), float64(exponential(u)), 1, "%#x", u)
	}
	rng := seeded(38)
	for range 200_000 {
		u := rng.Uint64()>>rng.IntN(64) | 1
		if rng.IntN(2) == 0 {
			u = -u
		}
		want := -math.Log(math.Ldexp(float64(u), -64))
		if u > 1<<63 {
			want = -math.Log1p(-math.Ldexp(float64(-u), -64))
		}
		require.InDelta(t, want*unit, float64(exponential(u)), 2+want*unit*1e-15, "%#x", u)
	}
}

// At the seam between the two ways to the logarithm it goes on falling.
func TestExponentialFalls(t *testing.T) {
	for _, around := range []uint64{rootHalf, rootHalf >> 1, 1 << 63, 1 << 62, 1 << 40, 100_000, math.MaxUint64 - 100_000} {
		last := exponential(around - 5_000)
		for u := around - 4_999; u < around+5_000; u++ {
			next := exponential(u)
			require.LessOrEqual(t, next, last+1, "%#x", u)
			last = next
		}
		require.Less(t, exponential(around), exponential(around-around>>20-1), "%#x", around)
	}
}

func TestConstantsOfExponential(t *testing.T) {
	// rootHalf squared is 2^127, as near as it gets.
	root := new(big.Int).SetUint64(rootHalf)
	root.Mul(root, root)
	off := root.Sub(root, new(big.Int).Lsh(big.NewInt(1), 127))
	assert.Negative(t, off.Sign())
	assert.Negative(t, off.CmpAbs(new(big.Int).Lsh(big.NewInt(1), 65)))
	assert.InDelta(t, math.Ln2, math.Ldexp(ln2, -58), 1e-16)
	// -ln(1/2) by its own means: 2*artanh(1/3), 58 bits after the point.
	sum, pow := new(big.Int), new(big.Int).Lsh(big.NewInt(2), 128)
	for odd := int64(1); odd < 90; odd += 2 {
		pow.Div(pow, big.NewInt(3))
		sum.Add(sum, new(big.Int).Div(pow, big.NewInt(odd)))
		pow.Div(pow, big.NewInt(3))
	}
	assert.InDelta(t, 0, float64(int64(sum.Rsh(sum, 70).Uint64()-ln2)), 1)
}

func TestRendezvousAllocates(t *testing.T) {
	r, key := newRendezvous(addresses(20), somePrimes[:20]), uint64(0)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { key++; r.best(key, nil) }))
	skip := int(key % 20)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { key++; r.best(key, func(i int) bool { return i != skip }) }))
}

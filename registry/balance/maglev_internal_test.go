package balance

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const usualTable = 65_537

// slotsOf is how many slots each index has.
func (m *maglev) slotsOf(n int) []int {
	counts := make([]int, n)
	for _, i := range m.slots {
		counts[i]++
	}
	return counts
}

func TestG30_MaglevDoesNotDependOnOrder(t *testing.T) {
	rng := seeded(30)
	for _, n := range []int{1, 2, 10, 100, 1000} {
		for _, weights := range [][]int{repeated(100, n), upTo(rng, 10, n)} {
			ids := scatteredAddresses(rng, n)
			m := newMaglev(ids, weights, 5_003)
			for range 5 {
				otherIDs, otherWeights := shuffled(rng, ids, weights)
				other := newMaglev(otherIDs, otherWeights, 5_003)
				for slot := range m.slots {
					if ids[m.slots[slot]] != otherIDs[other.slots[slot]] {
						t.Fatalf("slot %d of %d ids: %s or %s", slot, n, ids[m.slots[slot]], otherIDs[other.slots[slot]])
					}
				}
				for range 100 {
					key := rng.Uint64()
					require.Equal(t, ids[m.at(key)], otherIDs[other.at(key)])
				}
			}
		}
	}
}

// strays is the share of slots that change hands though the owner is not the one
// that leaves, of all slots and of those that are not the leaver's.
func (m *maglev) strays(ids []string, weights []int, leaver int) (ofAll, ofOthers float64) {
	left := without(ids, leaver)
	after := newMaglev(left, without(weights, leaver), len(m.slots))
	moved, others := 0, 0
	for slot, owner := range m.slots {
		if int(owner) == leaver {
			continue
		}
		others++
		if ids[owner] != left[after.slots[slot]] {
			moved++
		}
	}
	return float64(moved) / float64(len(m.slots)), float64(moved) / float64(others)
}

// At n ids up to 100, less than 1% of the keys of the others move when one
// leaves, which is the same as when one joins.
func TestG30_MaglevKeepsTheOthers(t *testing.T) {
	rng := seeded(31)
	for _, c := range []struct{ n, sets, leavers int }{
		{2, 3, 2}, {3, 5, 2}, {4, 5, 3}, {6, 5, 3}, {10, 5, 3}, {30, 2, 5}, {100, 1, 10},
	} {
		if underRace {
			c.sets = 1
		}
		for set := range c.sets {
			ids, weights := addresses(c.n), repeated(100, c.n)
			if set > 0 {
				ids = scatteredAddresses(rng, c.n)
			}
			m := newMaglev(ids, weights, usualTable)
			for _, leaver := range rng.Perm(c.n)[:c.leavers] {
				_, ofOthers := m.strays(ids, weights, leaver)
				require.LessOrEqual(t, ofOthers, 0.01, "%s leaves %v", ids[leaver], ids)
			}
		}
	}
}

// Of steps of one length for each id, as in the paper, those of these ids are
// such that 2% of all slots moved: see maglev.
func TestTrapMaglevOfUnluckyIDs(t *testing.T) {
	ids := []string{"10.122.109.141:46484", "10.83.64.55:21723", "10.121.7.188:27646", "10.12.25.68:17546"}
	m := newMaglev(ids, repeated(1, 4), usualTable)
	for leaver := range ids {
		_, ofOthers := m.strays(ids, repeated(1, 4), leaver)
		assert.Less(t, ofOthers, 0.005)
	}
}

// With weights too, the heaviest among the leavers. It is 1% of all slots here:
// of the few that are left to the others when one with most of them leaves, it
// may be more.
func TestG30_MaglevKeepsTheOthersByWeight(t *testing.T) {
	rng := seeded(32)
	for _, c := range []struct{ n, sets int }{{2, 2}, {5, 4}, {10, 4}, {100, 2}} {
		for range c.sets {
			ids, weights := scatteredAddresses(rng, c.n), upTo(rng, 100, c.n)
			weights[0] = 100 * c.n // up to two thirds of all
			m := newMaglev(ids, weights, usualTable)
			for _, leaver := range []int{0, 1 + rng.IntN(c.n-1)} {
				ofAll, _ := m.strays(ids, weights, leaver)
				require.LessOrEqual(t, ofAll, 0.01, "%s leaves %v of weights %v", ids[leaver], ids, weights)
			}
		}
	}
}

func TestG30_MaglevIsEven(t *testing.T) {
	for n := 1; n <= 100; n += 1 + n/4 {
		m, rng := newMaglev(addresses(n), repeated(100, n), usualTable), seeded(uint64(n))
		for _, c := range m.slotsOf(n) {
			require.InDelta(t, usualTable/n, c, 1)
		}
		// What keys get is a little less even than slots are.
		keys := make([]int, n)
		for range 10_000 * n {
			keys[m.at(rng.Uint64())]++
		}
		require.LessOrEqual(t, slices.Max(keys), 11_000)
	}
}

func TestG30_MaglevSlotsByWeight(t *testing.T) {
	rng := seeded(33)
	for _, weights := range [][]int{
		{1, 2},
		{1, 1000},
		{1, 1_000_000},
		{1, 2, 3, 4, 5, 6, 7, 8, 9, 10},
		somePrimes, upTo(rng, 1_000_000, 200),
		append(repeated(1, 50), 500), append(repeated(1_000_000, 50), 1, 500_000),
	} {
		sum := 0
		for _, w := range weights {
			sum += w
		}
		counts := newMaglev(addresses(len(weights)), weights, usualTable).slotsOf(len(weights))
		for i, w := range weights {
			delta := 1.5
			if w == slices.Max(weights) {
				delta = float64(len(weights)) // it makes up for all the others
			}
			require.InDelta(t, usualTable*float64(w)/float64(sum), counts[i], delta, "index %d of %v", i, weights)
		}
	}
}

// The way by turns is the way by weights when all are equal.
func TestMaglevOfEqualWeights(t *testing.T) {
	ids := addresses(7)
	equal, almost := newMaglev(ids, repeated(5, 7), 503), newMaglev(append(ids, "zzz"), append(repeated(1_000_000, 7), 1), 503)
	assert.Equal(t, equal.slots, almost.slots)
	assert.Equal(t, equal.slots, newMaglev(ids, repeated(1_000_000, 7), 503).slots)
}

func TestMaglevOfFewSlots(t *testing.T) {
	for _, c := range []struct{ ids, size int }{{0, 7}, {1, 1}, {1, 2}, {2, 2}, {5, 3}, {100, 7}, {1000, 11}} {
		for _, weights := range [][]int{repeated(1, c.ids), upTo(seeded(4), 10, c.ids)} {
			m := newMaglev(addresses(c.ids), weights, c.size)
			require.Len(t, m.slots, c.size)
			for _, key := range []uint64{0, 1, 1 << 63, math.MaxUint64} {
				require.Less(t, m.at(key), max(c.ids, 1))
			}
			for i, count := range m.slotsOf(max(c.ids, 1)) {
				if c.ids > 0 && slices.Min(weights) == slices.Max(weights) {
					require.LessOrEqual(t, count, (c.size+c.ids-1)/c.ids, "index %d", i)
				}
			}
		}
	}
}

// Keys that somebody counted, or that differ in their high bits only, are as
// good as any.
func TestMaglevMixesKeys(t *testing.T) {
	m := newMaglev(addresses(10), repeated(1, 10), usualTable)
	for _, shift := range []int{0, 8, 32, 44} {
		counts := make([]int, 10)
		for key := range uint64(1_000_000) {
			counts[m.at(key<<shift)]++
		}
		requireProportion(t, m.slotsOf(10), counts)
	}
}

func TestPrimeAtLeast(t *testing.T) {
	for n, want := range map[int]int{
		math.MinInt: 2, -1: 2, 0: 2, 1: 2, 2: 2, 3: 3, 4: 5, 8: 11, 9: 11, 24: 29, 25: 29, 90: 97, 121: 127,
		65_536: 65_537, 65_537: 65_537, 65_538: 65_539, 655_360: 655_373, 655_373: 655_373, 1 << 20: 1_048_583,
		math.MaxInt32: math.MaxInt32,
	} {
		assert.Equal(t, want, primeAtLeast(n), "%d", n)
	}
	composite := make([]bool, 10_000)
	for i := 2; i < len(composite); i++ {
		require.Equal(t, !composite[i], primeAtLeast(i) == i, "%d", i)
		for j := 2 * i; j < len(composite); j += i {
			composite[j] = true
		}
	}
}

func TestMaglevAllocates(t *testing.T) {
	m, key := newMaglev(addresses(10), repeated(1, 10), usualTable), uint64(0)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { key++; m.at(key) }))
}

func FuzzMaglev(f *testing.F) {
	f.Add([]byte{0, 0}, uint16(1))
	f.Add([]byte{0, 0, 12, 255}, uint16(500))
	f.Add([]byte{0, 3, 1, 1, 2, 2, 3, 4}, uint16(3))
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		weights := fuzzedWeights(data, 100)
		n := len(weights)
		if n == 0 {
			return
		}
		m := newMaglev(addresses(n), weights, primeAtLeast(int(size)%5000))
		for _, i := range m.slots {
			require.Less(t, int(i), n)
		}
	})
}

package balance

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// longestRun is how often an index comes in a row at most, going round.
func longestRun(slots []uint16) int {
	longest, run := 0, 0
	for i := range 2 * len(slots) {
		if i > 0 && slots[i%len(slots)] != slots[(i-1)%len(slots)] {
			run = 0
		}
		run++
		longest = max(longest, min(run, len(slots)))
	}
	return longest
}

// requireRotation checks what a rotation promises: exact in every window of
// sum/gcd, no run longer than ceil(max/rest).
func requireRotation(t *testing.T, weights []int, r *rotation) {
	t.Helper()
	divisor, sum, most := 0, 0, 0
	for _, w := range weights {
		divisor = gcd(divisor, w)
	}
	for _, w := range weights {
		sum, most = sum+w/divisor, max(most, w/divisor)
	}
	// One circle that is exact is exact from wherever it begins.
	if len(r.slots) != sum {
		t.Fatalf("%d slots, not %d, of weights %v", len(r.slots), sum, weights)
	}
	counts := make([]int, len(weights))
	for _, i := range r.slots {
		counts[i]++
	}
	for i, w := range weights {
		if counts[i] != w/divisor {
			t.Fatalf("index %d comes %d times, of weights %v in %v", i, counts[i], weights, r.slots)
		}
	}
	if rest := sum - most; rest > 0 {
		if run := longestRun(r.slots); run > (most+rest-1)/rest {
			t.Fatalf("%d in a row, of weights %v in %v", run, weights, r.slots)
		}
	}
}

// every calls fn with all weights of n indexes from 1 to most.
func every(n, most int, fn func(weights []int)) {
	weights := repeated(1, n)
	for {
		fn(weights)
		i := 0
		for ; i < n && weights[i] == most; i++ {
			weights[i] = 1
		}
		if i == n {
			return
		}
		weights[i]++
	}
}

func TestG28_RotationOfSmallWeights(t *testing.T) {
	for n, most := range map[int]int{1: 50, 2: 50, 3: 25, 4: 11, 5: 6, 6: 4, 7: 3, 10: 2} {
		cases := 0
		every(n, most, func(weights []int) {
			cases++
			requireRotation(t, weights, newRotation(weights))
		})
		require.Equal(t, int(math.Round(math.Pow(float64(most), float64(n)))), cases)
	}
}

func TestG28_RotationOfAnyWeights(t *testing.T) {
	rng := seeded(28)
	made := 0
	for range 3000 {
		n := 1 + rng.IntN(1<<rng.IntN(9))
		weights := upTo(rng, 1<<rng.IntN(14), n)
		if rng.IntN(2) == 0 { // the difficult ones: one or two are most of it
			weights[rng.IntN(n)] *= 1 + rng.IntN(n)
			weights[rng.IntN(n)] *= 1 + rng.IntN(n)
		}
		if r := newRotation(weights); r != nil {
			requireRotation(t, weights, r)
			made++
		}
	}
	require.Greater(t, made, 1500)
}

// at goes round, and every window of as many positions is exact.
func TestG28_EveryWindowIsExact(t *testing.T) {
	weights := []int{600, 100, 300, 500}
	r := newRotation(weights)
	for _, begin := range []uint64{0, 1, 7, 14, 15, 1_000_003, 1 << 32, 1<<32 - 8, math.MaxUint64 - 15} {
		counts := make([]int, len(weights))
		for pos := begin; pos < begin+15; pos++ {
			counts[r.at(pos)]++
		}
		assert.Equal(t, []int{6, 1, 3, 5}, counts, "from %d", begin)
	}
}

func TestRotationOrder(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
		want    []uint16
	}{
		{"one", []int{100}, []uint16{0}},
		{"equal", []int{100, 100, 100}, []uint16{0, 1, 2}},
		{"double", []int{100, 200}, []uint16{1, 0, 1}},
		{"two halves", []int{2, 4, 2}, []uint16{1, 0, 1, 2}},
		{"steps", []int{3, 2, 1}, []uint16{0, 1, 0, 2, 0, 1}},
		{"most of it", []int{5, 1, 1}, []uint16{0, 1, 0, 0, 2, 0, 0}},
		{"in halves", []int{1, 9, 3}, []uint16{1, 2, 1, 1, 0, 1, 1, 2, 1, 1, 2, 1, 1}},
		{"more than the others", []int{5, 3}, []uint16{0, 1, 0, 1, 0, 0, 1, 0}},
		{"four and many", []int{4, 1, 1, 1, 1, 1, 1, 1, 1, 1}, []uint16{0, 1, 5, 9, 0, 3, 7, 0, 2, 6, 0, 4, 8}},
		{"two big ones", []int{6, 5, 1, 1}, []uint16{0, 1, 3, 0, 1, 0, 1, 0, 2, 0, 1, 0, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRotation(c.weights)
			require.NotNil(t, r)
			requireRotation(t, c.weights, r)
			assert.Equal(t, c.want, r.slots)
		})
	}
}

func TestRotationIsNilWhenTooLong(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
		slots   int // 0: nil
	}{
		{"none", nil, 0},
		{"as many as may be", []int{16_383, 1}, 16_384},
		{"one more", []int{16_384, 1}, 0},
		{"as many as may be, after dividing", []int{983_040 - 60, 60}, 16_384},
		{"one more, after dividing", []int{983_040, 60}, 0},
		{"a million of one", []int{1_000_000}, 1},
		{"as many as may be of one each", repeated(1_000_000, 16_384), 16_384},
		{"one more of one each", repeated(1_000_000, 16_385), 0},
		{"no common divisor", []int{1_000_000, 999_999}, 0},
		{"only the last has none", append(repeated(1000, 100), 1), 0},
		{"far too many", repeated(1_000_000, 1_000_000), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRotation(c.weights)
			if c.slots == 0 {
				assert.Nil(t, r)
				return
			}
			require.NotNil(t, r)
			assert.Len(t, r.slots, c.slots)
			requireRotation(t, c.weights, r)
		})
	}
}

// Even means more than no long runs: in any window every index comes as often as
// its weight says, give or take a few.
func TestRotationIsEven(t *testing.T) {
	rng := seeded(3)
	for range 500 {
		weights := upTo(rng, 1+rng.IntN(50), 2+rng.IntN(30))
		if rng.IntN(2) == 0 {
			weights[0] *= 10
		}
		r := newRotation(weights)
		if r == nil {
			continue
		}
		n := len(r.slots)
		divisor := 0
		for _, w := range weights {
			divisor = gcd(divisor, w)
		}
		for i, w := range weights {
			// How far ahead of its share it gets, and how far behind, since the
			// beginning: a window is off by the difference at most.
			ahead, behind, came := 0.0, 0.0, 0
			for pos, at := range r.slots {
				if int(at) == i {
					came++
				}
				off := float64(came) - float64(pos+1)*float64(w/divisor)/float64(n)
				ahead, behind = max(ahead, off), min(behind, off)
			}
			require.Less(t, ahead-behind, 4.0, "index %d of %v", i, weights)
		}
	}
}

func TestCorput(t *testing.T) {
	assert.Equal(t, []int{0}, corput(1))
	assert.Equal(t, []int{0, 1}, corput(2))
	assert.Equal(t, []int{0, 2, 1}, corput(3))
	assert.Equal(t, []int{0, 4, 2, 6, 1, 5, 3, 7}, corput(8))
	assert.Equal(t, []int{0, 8, 4, 2, 6, 1, 5, 3, 7}, corput(9))
}

func TestRotationAllocates(t *testing.T) {
	r, pos := newRotation(somePrimes), uint64(0)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { pos++; r.at(pos) }))
}

func FuzzRotation(f *testing.F) {
	f.Add([]byte{0, 0})
	f.Add([]byte{0, 0, 12, 255})
	f.Add([]byte{0, 3, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 5, 0, 4, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		weights := fuzzedWeights(data, 2000)
		r := newRotation(weights)
		if r != nil {
			requireRotation(t, weights, r)
			return
		}
		divisor, sum := 0, 0
		for _, w := range weights {
			divisor, sum = gcd(divisor, w), sum+w
		}
		if sum > 0 && sum/divisor <= maxRotation {
			t.Fatalf("%v has no rotation", weights)
		}
	})
}

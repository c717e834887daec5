package balance

import (
	"math"
	"math/big"
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestG28_DrawsInProportion(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
	}{
		{"1 to 10", []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"1000 to 1", []int{1000, 1}},
		{"1 to 1000", []int{1, 1000}},
		{"primes", somePrimes},
		{"equal", repeated(100, 10)},
		{"one much greater", []int{1, 1, 1_000_000 / 1000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, rng := newAlias(c.weights), seeded(28)
			counts := make([]int, len(c.weights))
			for range 1_000_000 {
				counts[a.draw(rng.Uint64())]++
			}
			requireProportion(t, c.weights, counts)
		})
	}
}

// requireExact checks that what all columns give to an index adds up to its
// weight, off by no more than a rounding of 2^-64 of a column for each part.
func requireExact(t *testing.T, weights []int, a *alias) {
	t.Helper()
	n := len(weights)
	require.Len(t, a.columns, n)
	type mass struct{ columns, rest, parts uint64 } // in columns and 2^-64 of one
	masses, sum := make([]mass, n), new(big.Int)
	give := func(i uint32, columns, rest uint64) {
		m := &masses[i]
		var carry uint64
		m.rest, carry = bits.Add64(m.rest, rest, 0)
		m.columns += columns + carry
		m.parts++
	}
	var got, want, bound, x big.Int
	for i, c := range a.columns {
		sum.Add(sum, x.SetInt64(int64(weights[i])))
		switch {
		case int(c.other) >= n:
			t.Fatalf("column %d belongs to %d too", i, c.other)
		case int(c.other) == i: // all of it, whatever own is
			give(c.other, 1, 0)
		case c.own == 0:
			t.Fatalf("column %d belongs to %d alone", i, c.other)
		default:
			give(uint32(i), 0, c.own)
			give(c.other, 0, -c.own)
		}
	}
	for i, w := range weights {
		// |mass*sum - w*n*2^64| <= parts*sum
		m := masses[i]
		got.Lsh(got.SetUint64(m.columns), 64)
		got.Mul(got.Add(&got, x.SetUint64(m.rest)), sum)
		want.Lsh(want.SetUint64(uint64(w)*uint64(n)), 64)
		bound.Mul(bound.SetUint64(m.parts), sum)
		if got.Sub(&got, &want).CmpAbs(&bound) > 0 {
			t.Fatalf("index %d of weight %d is off by %v, more than %v", i, w, &got, &bound)
		}
	}
}

func TestAliasIsExact(t *testing.T) {
	rng := seeded(1)
	for _, c := range []struct {
		name    string
		weights []int
	}{
		{"one", []int{7}},
		{"one, greatest", []int{1_000_000}},
		{"two", []int{1, 2}},
		{"as far apart as can be", []int{1, 1_000_000}},
		{"many light, one heavy", append(repeated(1, 999), 1_000_000)},
		{"many heavy, one light", append(repeated(1_000_000, 999), 1)},
		{"equal", repeated(3, 100)},
		{"some just average", []int{1, 2, 3, 2, 2, 1, 3}},
		{"powers", []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}},
		{"primes", somePrimes},
		{"random", upTo(rng, 1_000_000, 1000)},
		{"a hundred thousand at random", upTo(rng, 1_000_000, 100_000)},
		{"as many and as great as may be", append(repeated(1_000_000, 999_998), 1, 1)},
	} {
		if underRace && len(c.weights) > 1000 {
			continue
		}
		t.Run(c.name, func(t *testing.T) { requireExact(t, c.weights, newAlias(c.weights)) })
	}
}

// Of numbers that are evenly spread over all 64 bits every index gets its share
// to within one for each part of a column it has.
func TestAliasDrawsWhatColumnsSay(t *testing.T) {
	const numbers = 1 << 16
	rng := seeded(2)
	for range 50 {
		weights := upTo(rng, 1+rng.IntN(100), 1+rng.IntN(40))
		a := newAlias(weights)
		counts, parts, sum := make([]float64, len(weights)), make([]float64, len(weights)), 0
		for i, c := range a.columns {
			parts[i]++
			parts[c.other]++
			sum += weights[i]
		}
		for i := range uint64(numbers) {
			counts[a.draw(i<<48|rng.Uint64()>>16)]++
		}
		for i, w := range weights {
			require.InDelta(t, numbers*float64(w)/float64(sum), counts[i], 2*parts[i], "index %d of %v", i, weights)
		}
	}
}

func TestAliasAtTheEnds(t *testing.T) {
	a := newAlias([]int{1, 1, 2})
	for r, want := range map[uint64]int{0: 0, math.MaxUint64: 2} {
		assert.Equal(t, want, a.draw(r), "%#x", r)
	}
	half := newAlias([]int{1, 3}) // the first column is shared by halves
	for r, want := range map[uint64]int{0: 0, 1<<62 - 1: 0, 1 << 62: 1, 1<<63 - 1: 1, 1 << 63: 1, math.MaxUint64: 1} {
		assert.Equal(t, want, half.draw(r), "%#x", r)
	}
	one := newAlias([]int{5})
	for _, r := range []uint64{0, 1, 1 << 63, math.MaxUint64} {
		assert.Zero(t, one.draw(r))
	}
}

// The answers are part of no promise, but they are the same on every platform.
func TestAliasOnEveryPlatform(t *testing.T) {
	a, x := newAlias(somePrimes), uint64(0)
	var got []int
	for range 16 {
		got = append(got, a.draw(mix(x)))
		x += 0x0123456789abcdef
	}
	assert.Equal(t, []int{22, 2, 17, 22, 18, 4, 14, 24, 21, 21, 20, 16, 15, 13, 14, 16}, got)
}

func TestAliasAllocates(t *testing.T) {
	a, r := newAlias(somePrimes), uint64(0)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { r += increment; a.draw(r) }))
}

// FuzzAlias: two bytes and a shift make a weight.
func FuzzAlias(f *testing.F) {
	f.Add([]byte{0, 0}, uint64(0))
	f.Add([]byte{0, 0, 255, 255}, uint64(math.MaxUint64))
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, uint64(1)<<63)
	f.Add([]byte{0, 1, 0, 1, 0, 1, 0, 2, 66, 64}, uint64(12345))
	f.Fuzz(func(t *testing.T, data []byte, r uint64) {
		weights := fuzzedWeights(data, 1000)
		if len(weights) == 0 {
			return
		}
		a := newAlias(weights)
		requireExact(t, weights, a)
		if i := a.draw(r); i < 0 || i >= len(weights) {
			t.Fatalf("draw(%#x) of %v is %d", r, weights, i)
		}
	})
}

// fuzzedWeights makes a weight of every two bytes, at most so many: small ones
// most of the time, up to a million.
func fuzzedWeights(data []byte, most int) []int {
	var weights []int
	for ; len(data) >= 2 && len(weights) < most; data = data[2:] {
		weights = append(weights, min(1+int(data[1])<<(data[0]%13), 1_000_000))
	}
	return weights
}

package balance

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the tests of the algorithms share. All random numbers are seeded.

// somePrimes are the first 25.
var somePrimes = []int{2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97}

// chiSquareLimit is what chi-square stays below with probability 0.999, by
// degrees of freedom.
var chiSquareLimit = map[int]float64{1: 10.828, 2: 13.816, 9: 27.877, 24: 51.179, 31: 61.098, 99: 148.230}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5eed)) }

// requireProportion checks counts against weights by a chi-square test.
func requireProportion(t *testing.T, weights, counts []int) {
	t.Helper()
	total, sum := 0, 0
	for i := range weights {
		total, sum = total+counts[i], sum+weights[i]
	}
	chi := 0.0
	for i, w := range weights {
		want := float64(total) * float64(w) / float64(sum)
		d := float64(counts[i]) - want
		chi += d * d / want
	}
	limit, ok := chiSquareLimit[len(weights)-1]
	require.True(t, ok, "no limit for %d degrees of freedom", len(weights)-1)
	require.Less(t, chi, limit, "weights %v, counts %v", weights, counts)
}

// addresses are n ids as they are usual.
func addresses(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("10.0.%d.%d:8080", i/250, i%250)
	}
	return ids
}

// scatteredAddresses are n different ids that are no series.
func scatteredAddresses(rng *rand.Rand, n int) []string {
	seen := make(map[string]bool, n)
	ids := make([]string, 0, n)
	for len(ids) < n {
		id := fmt.Sprintf("10.%d.%d.%d:%d", rng.IntN(256), rng.IntN(256), rng.IntN(256), 1+rng.IntN(65535))
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// repeated is n times the same weight.
func repeated(weight, n int) []int {
	weights := make([]int, n)
	for i := range weights {
		weights[i] = weight
	}
	return weights
}

// upTo are n weights from 1 to most.
func upTo(rng *rand.Rand, most, n int) []int {
	weights := make([]int, n)
	for i := range weights {
		weights[i] = 1 + rng.IntN(most)
	}
	return weights
}

// without is s without its element i.
func without[T any](s []T, i int) []T {
	return append(append(make([]T, 0, len(s)-1), s[:i]...), s[i+1:]...)
}

// shuffled is ids and weights in another order, still belonging together.
func shuffled(rng *rand.Rand, ids []string, weights []int) ([]string, []int) {
	otherIDs, otherWeights := make([]string, len(ids)), make([]int, len(ids))
	for i, j := range rng.Perm(len(ids)) {
		otherIDs[i], otherWeights[i] = ids[j], weights[j]
	}
	return otherIDs, otherWeights
}

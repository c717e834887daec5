package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// A Spread is the median of samples and the quartiles around it.
type Spread struct{ Low, Median, High float64 }

// SpreadOf sums up samples. There must be one at least.
func SpreadOf(samples []float64) Spread {
	sorted := slices.Sorted(slices.Values(samples))
	return Spread{quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75)}
}

// quantile of sorted samples, between two of them if need be.
func quantile(sorted []float64, q float64) float64 {
	x := q * float64(len(sorted)-1)
	i := int(x)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (x-float64(i))*(sorted[i+1]-sorted[i])
}

// ratios divides the rounds of a by those of b.
func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / b[i]
	}
	return out
}

// differences subtracts the rounds of b from those of a.
func differences(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] - b[i]
	}
	return out
}

// number writes about three digits, which is more than a benchmark can tell.
func number(x float64) string {
	switch size := math.Abs(x); {
	case x == math.Trunc(x):
		return exactly(x)
	case size < 0.995:
		return fmt.Sprintf("%.3f", x)
	case size < 9.995:
		return fmt.Sprintf("%.2f", x)
	case size < 99.95:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

// exactly writes what was not measured but set.
func exactly(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

func (s Spread) String() string {
	return fmt.Sprintf("%s (%s to %s)", number(s.Median), number(s.Low), number(s.High))
}

// whole is a number without decimals, and without the sign of what rounds to zero.
func whole(x float64) string { return strconv.FormatInt(int64(math.Round(x)), 10) }

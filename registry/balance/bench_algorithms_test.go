package balance

import (
	"fmt"
	"strings"
	"testing"
)

// Micro-benchmarks of the algorithms alone, without a balancer around them.

// skewed are n weights, the last of them a thousand times the others.
func skewed(n int) []int { return append(repeated(1, n-1), 1000) }

func BenchmarkAlias(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(fmt.Sprintf("draw/%d", n), func(b *testing.B) {
			a, r := newAlias(skewed(n)), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				r += increment
				a.draw(r)
			}
		})
		b.Run(fmt.Sprintf("new/%d", n), func(b *testing.B) {
			weights := skewed(n)
			b.ReportAllocs()
			for b.Loop() {
				newAlias(weights)
			}
		})
	}
}

func BenchmarkRotation(b *testing.B) {
	for _, n := range []int{10, 1000, 15_000} {
		weights := skewed(n)
		b.Run(fmt.Sprintf("at/%d", n), func(b *testing.B) {
			r, pos := newRotation(weights), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				pos++
				r.at(pos)
			}
		})
		b.Run(fmt.Sprintf("new/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				newRotation(weights)
			}
		})
	}
}

func BenchmarkMaglev(b *testing.B) {
	b.Run("at", func(b *testing.B) {
		m, key := newMaglev(addresses(1000), repeated(1, 1000), usualTable), uint64(0)
		b.ReportAllocs()
		for b.Loop() {
			key++
			m.at(key)
		}
	})
	for _, n := range []int{10, 1000, 100_000} {
		ids := addresses(n)
		for name, weights := range map[string][]int{"equal": repeated(1, n), "weighted": upTo(seeded(1), 100, n)} {
			b.Run(fmt.Sprintf("new/%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					newMaglev(ids, weights, usualTable)
				}
			})
		}
	}
}

func BenchmarkRendezvous(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		ids := addresses(n)
		for _, c := range []struct {
			name    string
			weights []int
		}{{"equal", repeated(1, n)}, {"weighted", upTo(seeded(1), 100, n)}} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				r, key := newRendezvous(ids, c.weights), uint64(0)
				b.ReportAllocs()
				for b.Loop() {
					key++
					r.best(key, nil)
				}
			})
		}
	}
}

func BenchmarkHashKey(b *testing.B) {
	for _, n := range []int{4, 8, 16, 36, 200} {
		s := strings.Repeat("k", n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				HashKey(s)
			}
		})
	}
}

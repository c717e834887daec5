package balance_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// benchPolicies are the policies that are measured, in the order of the output.
var benchPolicies = []struct {
	name     string
	policy   balance.Policy
	weighted bool // instances have weights from 1 to 7
}{
	{"Random", balance.Random{}, false},
	{"RoundRobin", balance.RoundRobin{}, false},
	{"LeastLoaded", balance.LeastLoaded{}, false},
	{"LeastLoaded-weights", balance.LeastLoaded{}, true},
	{"PeakEWMA", balance.PeakEWMA{}, false},
	{"Weighted", balance.Weighted{}, true},
	{"Smooth", balance.Weighted{Smooth: true}, true},
	{"Maglev", balance.ConsistentHash{}, false},
	{"Rendezvous", balance.ConsistentHash{Kind: balance.Rendezvous}, false},
	{"Bound", balance.ConsistentHash{Bound: 1.25}, false},
}

// benched runs a benchmark for every policy and number of instances. The
// instances have no TTL; with one a pick reads the clock.
func benched(b *testing.B, f func(b *testing.B, r *registry.Registry, lb *balance.Balancer)) {
	b.Helper()
	for _, p := range benchPolicies {
		for _, n := range []int{10, 1000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", p.name, n), func(b *testing.B) {
				ins := numbered(n)
				for i := range ins {
					if p.weighted {
						ins[i].Weight = 1 + i%7
					}
				}
				r, lb := with(b, balance.Config{Policy: p.policy}, ins...)
				pick(b, lb).Done(nil)
				b.ReportAllocs()
				f(b, r, lb)
			})
		}
	}
}

// BenchmarkPick is a pick and its end, one after another.
func BenchmarkPick(b *testing.B) {
	benched(b, func(b *testing.B, _ *registry.Registry, lb *balance.Balancer) {
		b.Helper()
		for b.Loop() {
			p, _ := lb.Pick(bg)
			p.Done(nil)
		}
	})
}

// BenchmarkPickParallel is the same by several goroutines per processor.
func BenchmarkPickParallel(b *testing.B) {
	for _, goroutines := range []int{1, 2, 8} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			benched(b, func(b *testing.B, _ *registry.Registry, lb *balance.Balancer) {
				b.Helper()
				b.SetParallelism(goroutines)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						p, _ := lb.Pick(bg)
						p.Done(nil)
					}
				})
			})
		})
	}
}

// BenchmarkPickKey is a pick by a key that has to be hashed first.
func BenchmarkPickKey(b *testing.B) {
	keys := make([]string, 1024)
	for i := range keys {
		keys[i] = fmt.Sprintf("customer-%d", i)
	}
	benched(b, func(b *testing.B, _ *registry.Registry, lb *balance.Balancer) {
		b.Helper()
		i := 0
		for b.Loop() {
			i++
			p, _ := lb.PickWith(bg, balance.Query{Key: balance.HashKey(keys[i%len(keys)])})
			p.Done(nil)
		}
	})
}

// BenchmarkPickConfig is a pick with the rest of a config, among 10 instances.
func BenchmarkPickConfig(b *testing.B) {
	open := balance.GateFunc(func(context.Context) (func(error), error) { return nil, nil })
	for _, c := range []struct {
		name string
		cfg  balance.Config
	}{
		{"Outlier", balance.Config{Outlier: &balance.Outlier{}}},
		{"Gate", balance.Config{Gate: func(*registry.Endpoint) balance.Gate { return open }}},
		{"Zone", balance.Config{Zone: "here"}},
		{"Subset", balance.Config{SubsetSize: 5}},
	} {
		b.Run(c.name, func(b *testing.B) {
			_, lb := with(b, c.cfg, numbered(10)...)
			b.ReportAllocs()
			for b.Loop() {
				p, _ := lb.Pick(bg)
				p.Done(nil)
			}
		})
	}
}

// BenchmarkPickRefused is a pick when there is nothing to pick.
func BenchmarkPickRefused(b *testing.B) {
	_, lb := with(b, balance.Config{})
	b.ReportAllocs()
	for b.Loop() {
		_, _ = lb.Pick(bg)
	}
}

// BenchmarkNext is a choice without a call.
func BenchmarkNext(b *testing.B) {
	benched(b, func(b *testing.B, _ *registry.Registry, lb *balance.Balancer) {
		b.Helper()
		for b.Loop() {
			_, _ = lb.Next(balance.Query{})
		}
	})
}

// BenchmarkDo is a call of a function that does nothing, beside one that fails
// once and is tried again.
func BenchmarkDo(b *testing.B) {
	b.Run("success", func(b *testing.B) {
		_, lb := with(b, balance.Config{}, numbered(10)...)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = balance.Do(bg, lb, answer)
		}
	})
	b.Run("retry", func(b *testing.B) {
		_, lb := with(b, balance.Config{Retry: balance.Retry{Budget: -1}}, numbered(10)...)
		fail := false
		b.ReportAllocs()
		for b.Loop() {
			_, _ = balance.Do(bg, lb, func(context.Context, *registry.Endpoint) (int, error) {
				if fail = !fail; fail {
					return 0, errSick
				}
				return 42, nil
			})
		}
	})
}

// BenchmarkAdapt is a change of one instance and the pick after it, which has to
// make a new set of candidates.
func BenchmarkAdapt(b *testing.B) {
	benched(b, func(b *testing.B, r *registry.Registry, lb *balance.Balancer) {
		b.Helper()
		word := registry.Passing
		for b.Loop() {
			word = registry.Passing + registry.Warning - word
			_ = r.SetHealth(bg, orders, "i003", word, "")
			p, _ := lb.Pick(bg)
			p.Done(nil)
		}
	})
}

package breaker_test

import (
	"context"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// Micro-benchmarks of this package alone. Comparisons with other libraries are
// in examples/benchmarks.

func BenchmarkDo(b *testing.B) {
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, c := range []struct {
		name string
		ctx  context.Context //nolint:containedctx // a table
		cfg  breaker.Config
		bad  int // every so manieth call fails; 0: none
	}{
		{"consecutive", context.Background(), breaker.Config{}, 0},
		{"cancellable", cancellable, breaker.Config{}, 0},
		{"consecutive/failures", context.Background(), breaker.Config{Trip: breaker.ConsecutiveFailures(1 << 30)}, 1},
		{"last100", context.Background(), breaker.Config{Trip: breaker.FailureRate(0.5, 20, breaker.LastN(100))}, 0},
		{"last100/1percent", context.Background(), breaker.Config{Trip: breaker.FailureRate(0.5, 20, breaker.LastN(100))}, 100},
		{"within10s", context.Background(), breaker.Config{Trip: breaker.FailureRate(0.5, 20, breaker.Within(10*time.Second))}, 0},
		{"count-within10s", context.Background(), breaker.Config{Trip: breaker.FailureCount(10, breaker.Within(10*time.Second))}, 0},
		{"slow", context.Background(), breaker.Config{Trip: breaker.SlowRate(time.Second, 0.5, 20, breaker.LastN(100))}, 0},
		{"any", context.Background(), breaker.Config{Trip: breaker.Any(breaker.ConsecutiveFailures(5), breaker.FailureRate(0.5, 20, breaker.Within(10*time.Second)))}, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			br := breaker.MustNew("x", c.cfg)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				fn := succeed
				if i++; c.bad > 0 && i%c.bad == 0 {
					fn = fail
				}
				_, _ = breaker.Do(c.ctx, br, fn)
			}
		})
	}
}

func BenchmarkDoParallel(b *testing.B) {
	for name, trip := range map[string]breaker.Rule{
		"consecutive": {},
		"within10s":   breaker.FailureRate(0.5, 20, breaker.Within(10*time.Second)),
	} {
		b.Run(name, func(b *testing.B) {
			br := breaker.MustNew("x", breaker.Config{Trip: trip})
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = breaker.Do(context.Background(), br, succeed)
				}
			})
		})
	}
}

func BenchmarkAllowDone(b *testing.B) {
	br := breaker.MustNew("x", breaker.Config{})
	b.ReportAllocs()
	for b.Loop() {
		p, _ := br.Allow(context.Background())
		p.Done(nil)
	}
}

func BenchmarkRejection(b *testing.B) {
	br := breaker.MustNew("x", breaker.Config{})
	br.Trip(-1, nil)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = breaker.Do(context.Background(), br, succeed)
	}
}

func BenchmarkRead(b *testing.B) {
	br := breaker.MustNew("x", breaker.Config{})
	b.Run("State", func(b *testing.B) {
		for b.Loop() {
			_ = br.State()
		}
	})
	b.Run("Snapshot", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = br.Snapshot()
		}
	})
}

func BenchmarkGroupGet(b *testing.B) {
	g := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	for range 3 {
		g.Get("example.com")
	}
	b.ReportAllocs()
	for b.Loop() {
		g.Get("example.com")
	}
}

func BenchmarkTripAndReset(b *testing.B) {
	br := breaker.MustNew("x", breaker.Config{})
	b.ReportAllocs()
	for b.Loop() {
		br.Trip(-1, nil)
		br.Reset()
	}
}

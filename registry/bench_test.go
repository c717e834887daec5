package registry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

var benchSizes = []int{10, 1_000, 100_000}

// benchRegistry has n instances of the service "orders".
func benchRegistry(b *testing.B, n int, ttl time.Duration) *registry.Registry {
	b.Helper()
	reg := registry.MustNew(registry.Config{})
	b.Cleanup(func() { require.NoError(b, reg.Close(context.Background())) })
	_, err := reg.RegisterWith(b.Context(), registry.RegisterConfig{}, benchInstances(n, ttl)...)
	require.NoError(b, err)
	return reg
}

func benchInstances(n int, ttl time.Duration) []registry.Instance {
	ins := make([]registry.Instance, n)
	for i := range ins {
		ins[i] = registry.Instance{ID: fmt.Sprintf("i%06d", i), Service: "orders", Addr: fmt.Sprintf("10.%d.%d.%d:8080", i>>16, i>>8&255, i&255), TTL: ttl}
	}
	return ins
}

// BenchmarkSnapshot reads through a handle, by name, one endpoint, and with
// leases, which takes a look at the clock.
func BenchmarkSnapshot(b *testing.B) {
	for _, n := range benchSizes {
		reg := benchRegistry(b, n, 0)
		svc := reg.Service("orders")
		b.Run(fmt.Sprintf("handle/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if svc.Snapshot().Len() != n {
					b.Fatal("an instance is missing")
				}
			}
		})
		b.Run(fmt.Sprintf("name/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if reg.Service("orders").Snapshot().Len() != n {
					b.Fatal("an instance is missing")
				}
			}
		})
		b.Run(fmt.Sprintf("get/%d", n), func(b *testing.B) {
			id := fmt.Sprintf("i%06d", n/3)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := svc.Get(id); !ok {
					b.Fatal("an instance is missing")
				}
			}
		})
		leased := benchRegistry(b, n, time.Hour).Service("orders")
		b.Run(fmt.Sprintf("leased/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if leased.Snapshot().Len() != n {
					b.Fatal("an instance is missing")
				}
			}
		})
	}
}

// BenchmarkRenew renews one of many leases.
func BenchmarkRenew(b *testing.B) {
	for _, n := range benchSizes {
		reg := registry.MustNew(registry.Config{})
		leases, err := reg.RegisterWith(b.Context(), registry.RegisterConfig{}, benchInstances(n, time.Hour)...)
		require.NoError(b, err)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := leases[n/2].Renew(); err != nil {
					b.Fatal(err)
				}
			}
		})
		require.NoError(b, reg.Close(b.Context()))
	}
}

// BenchmarkRegister registers one more instance and takes it out again.
func BenchmarkRegister(b *testing.B) {
	for _, n := range benchSizes {
		reg := registry.MustNew(registry.Config{Limits: registry.Limits{Instances: -1}})
		_, err := reg.RegisterWith(b.Context(), registry.RegisterConfig{}, benchInstances(n, 0)...)
		require.NoError(b, err)
		in := registry.Instance{ID: "one more", Service: "orders", Addr: "10.200.0.1:8080"}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				l, err := reg.Register(b.Context(), in)
				if err != nil {
					b.Fatal(err)
				}
				if err := l.Deregister(); err != nil {
					b.Fatal(err)
				}
			}
		})
		require.NoError(b, reg.Close(b.Context()))
	}
}

// BenchmarkRegisterWith registers a whole service at once.
func BenchmarkRegisterWith(b *testing.B) {
	for _, n := range benchSizes {
		ins := benchInstances(n, 0)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reg := registry.MustNew(registry.Config{})
				if _, err := reg.RegisterWith(b.Context(), registry.RegisterConfig{}, ins...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWatch changes the health of one instance while many watch: the time
// of the change, and of waking them all.
func BenchmarkWatch(b *testing.B) {
	for _, watchers := range []int{0, 1, 100, 10_000} {
		b.Run(fmt.Sprint(watchers), func(b *testing.B) {
			reg := registry.MustNew(registry.Config{})
			l, err := reg.Register(b.Context(), registry.Instance{Service: "orders", Addr: "10.0.0.1:8080"})
			require.NoError(b, err)
			ready := make(chan struct{})
			for range watchers {
				go func() {
					for u, err := range reg.Service("orders").Watch(context.Background()) {
						if err == nil && u.Reset {
							ready <- struct{}{}
						}
					}
				}()
			}
			for range watchers {
				<-ready
			}
			b.ReportAllocs()
			h := registry.Passing
			for b.Loop() {
				h = registry.Passing + registry.Warning - h
				if err := l.SetHealth(h, ""); err != nil {
					b.Fatal(err)
				}
			}
			require.NoError(b, reg.Close(context.Background()))
		})
	}
}

package registry_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

const (
	zeroRegistry = "registry: nil or zero Registry, use New"
	zeroLease    = "registry: nil or zero Lease, use Registry.Register"
	zeroService  = "registry: nil or zero Service, use Registry.Service"
)

// G5: a nil or zero Registry is an error that says so, before all else that may
// be wrong with the call; methods without an error result panic with it.
func TestG5_ZeroRegistry(t *testing.T) {
	in := registry.Instance{Service: "orders", Addr: "10.0.0.1:80"}
	verbs := map[string]func(context.Context, *registry.Registry) error{
		"Register": func(ctx context.Context, r *registry.Registry) error {
			_, err := r.Register(ctx, in)
			return err
		},
		"RegisterWith": func(ctx context.Context, r *registry.Registry) error {
			_, err := r.RegisterWith(ctx, registry.RegisterConfig{})
			return err
		},
		"Deregister": func(ctx context.Context, r *registry.Registry) error { return r.Deregister(ctx, "orders", "a") },
		"Drain":      func(ctx context.Context, r *registry.Registry) error { return r.Drain(ctx, "orders", "a") },
		"SetHealth": func(ctx context.Context, r *registry.Registry) error {
			return r.SetHealth(ctx, "orders", "a", registry.Stale, "")
		},
		"Feed": func(ctx context.Context, r *registry.Registry) error { return r.Feed(ctx, "", nil) },
		"Sync": func(ctx context.Context, r *registry.Registry) error {
			return r.Sync(ctx, "", nil, registry.SyncConfig{})
		},
		"Export": func(_ context.Context, r *registry.Registry) error { return r.Export(new(bytes.Buffer)) },
		"Import": func(ctx context.Context, r *registry.Registry) error {
			_, err := r.Import(ctx, bytes.NewReader(nil), 0)
			return err
		},
		"Close": func(ctx context.Context, r *registry.Registry) error { return r.Close(ctx) },
	}
	for name, verb := range verbs {
		for _, r := range []*registry.Registry{nil, new(registry.Registry)} {
			require.EqualError(t, verb(t.Context(), r), zeroRegistry, name)
			require.EqualError(t, verb(nil, r), zeroRegistry, name)
		}
	}
	methods := map[string]func(*registry.Registry){
		"Service":  func(r *registry.Registry) { r.Service("orders") },
		"Services": func(r *registry.Registry) { r.Services() },
		"Stats":    func(r *registry.Registry) { r.Stats() },
		"Sweep":    func(r *registry.Registry) { r.Sweep() },
	}
	for name, method := range methods {
		for _, r := range []*registry.Registry{nil, new(registry.Registry)} {
			require.PanicsWithError(t, zeroRegistry, func() { method(r) }, name)
		}
	}
}

// G5: the same for a Lease.
func TestG5_ZeroLease(t *testing.T) {
	verbs := map[string]func(context.Context, *registry.Lease) error{
		"Renew":      func(_ context.Context, l *registry.Lease) error { return l.Renew() },
		"Update":     func(_ context.Context, l *registry.Lease) error { return l.Update(registry.Instance{}) },
		"SetHealth":  func(_ context.Context, l *registry.Lease) error { return l.SetHealth(registry.Stale, "") },
		"Deregister": func(_ context.Context, l *registry.Lease) error { return l.Deregister() },
		"Drain":      func(ctx context.Context, l *registry.Lease) error { return l.Drain(ctx) },
		"KeepAlive":  func(ctx context.Context, l *registry.Lease) error { return l.KeepAlive(ctx) },
		"Err":        func(_ context.Context, l *registry.Lease) error { return l.Err() },
	}
	for name, verb := range verbs {
		for _, l := range []*registry.Lease{nil, new(registry.Lease)} {
			require.EqualError(t, verb(t.Context(), l), zeroLease, name)
			require.EqualError(t, verb(nil, l), zeroLease, name)
		}
	}
	for _, l := range []*registry.Lease{nil, new(registry.Lease)} {
		require.PanicsWithError(t, zeroLease, func() { l.Done() })
		require.PanicsWithError(t, zeroLease, func() { l.Endpoint() })
	}
}

// G5: the same for a Service. A zero one has no name.
func TestG5_ZeroService(t *testing.T) {
	for _, s := range []*registry.Service{nil, new(registry.Service)} {
		require.EqualError(t, s.Err(), zeroService)
		_, err := s.Wait(t.Context(), 0)
		require.EqualError(t, err, zeroService)
		for _, err := range s.Watch(t.Context()) {
			require.EqualError(t, err, zeroService)
		}
		require.PanicsWithError(t, zeroService, func() { s.Snapshot() })
		require.PanicsWithError(t, zeroService, func() { s.Get("a") })
		require.PanicsWithError(t, zeroService, func() { s.Clock() })
	}
	require.PanicsWithError(t, zeroService, func() { (*registry.Service)(nil).Name() })
	require.Empty(t, new(registry.Service).Name())
}

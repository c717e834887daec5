package registry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// What is on the path of every call allocates nothing.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		return // the detector allocates; the same test runs without it
	}
	for name, ttl := range map[string]time.Duration{"with TTL": time.Hour, "without": -1} {
		for _, n := range []int{1, 1000, 10_000} {
			r := newRegistry(t, registry.Config{})
			leases, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(n, ttl)...)
			require.NoError(t, err)
			l, id := leases[n/2], leases[n/2].Endpoint().ID()
			s, other := r.Service("orders"), r.Service("none")
			e := l.Endpoint()
			for what, do := range map[string]func(){
				"Service":       func() { _ = r.Service("orders") },
				"Snapshot":      func() { _ = s.Snapshot() },
				"both":          func() { _ = r.Service("orders").Snapshot() },
				"absent":        func() { _ = other.Snapshot() },
				"Get":           func() { _, _ = s.Get(id) },
				"Get of none":   func() { _, _ = s.Get("none") },
				"Renew":         func() { _ = l.Renew() },
				"Endpoint":      func() { _ = l.Endpoint() },
				"Snapshot.Get":  func() { _, _ = s.Snapshot().Get(id) },
				"Snapshot.At":   func() { _ = s.Snapshot().At(n / 2) },
				"fields":        func() { _, _ = e.Meta("k"); _ = e.HasTag("t"); _ = e.Health(); _ = e.InFlight() },
				"Live":          func() { e.Live().Acquire(registry.Passing); e.Live().Release() },
				"Sweep of none": func() { _ = r.Sweep() },
			} {
				assert.Zero(t, testing.AllocsPerRun(100, do), "%s, %d %s", what, n, name)
			}
		}
	}
}

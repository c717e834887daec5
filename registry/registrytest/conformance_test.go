package registrytest_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

// K5: the backend in memory conforms, in real time.
func TestConformance(t *testing.T) {
	first := registrytest.NewBackend(registrytest.BackendConfig{})
	registrytest.TestBackend(t, func(*testing.T) registry.Backend { return first.Machine() })
}

// conforming are backends that pass, though they do things in another way than the
// one in memory.
func conforming() map[string]fault {
	return map[string]fault{
		"as it is": {},
		"always a Reset": {deliver: func(f *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			return deliver(f.whole(b))
		}},
		"remembers": {deliver: func(f *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			before := f.known()
			whole := f.whole(b)
			if b.Reset && f.resets > 1 {
				return deliver(f.difference(before, whole))
			}
			return deliver(b)
		}},
		"removes what is not there": {deliver: func(_ *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			b.Remove = append(b.Remove, ref("nobody"))
			return deliver(b)
		}},
		"says Passing": {deliver: func(_ *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			for i := range b.Put {
				b.Put[i].Health = max(b.Put[i].Health, registry.Passing)
			}
			return deliver(b)
		}},
		"returns nil at the end": {run: func(ctx context.Context, b *registrytest.Backend, deliver func(registry.Batch) error) error {
			_ = b.Run(ctx, deliver)
			return nil
		}},
	}
}

// K5: what conforms does so in a bubble too, where a check can be run on its own.
func TestConformanceInBubbles(t *testing.T) {
	for name, f := range conforming() {
		t.Run(name, func(t *testing.T) {
			for check, run := range registrytest.Checks() {
				t.Run(check, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { run(t, opened(f)) })
				})
			}
		})
	}
}

// K5: each fault is found by the right checks, and by no other.
func TestConformanceFindsFaults(t *testing.T) {
	found := make(map[string]bool)
	for name, f := range faults() {
		for _, check := range f.must {
			found[check] = true
		}
		if raceEnabled && f.races {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for check, run := range registrytest.Checks() {
				t.Run(check, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						said := try(t, func(tb *trial) { run(tb, opened(f.fault)) }).said()
						time.Sleep(24 * time.Hour) // what is late ends here
						switch {
						case slices.Contains(f.must, check):
							assert.Contains(t, said, "registrytest: ")
						case !slices.Contains(f.may, check):
							assert.Empty(t, said)
						}
					})
				})
			}
		})
	}
	assert.Equal(t, everyone(), slices.Sorted(maps.Keys(found)), "every check finds something")
}

// K5: the suite is all of the checks, and each opens the backend for itself.
func TestBackendRunsAllChecks(t *testing.T) {
	var mu sync.Mutex
	opened := make(map[string]bool)
	first := registrytest.NewBackend(registrytest.BackendConfig{})
	registrytest.TestBackend(t, func(t *testing.T) registry.Backend {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		opened[t.Name()] = true
		return first.Machine()
	})
	var want []string
	for _, check := range everyone() {
		want = append(want, t.Name()+"/"+check)
	}
	assert.Equal(t, want, slices.Sorted(maps.Keys(opened)))
	assert.Equal(t, []string{
		"again", "busy", "concurrent", "ended", "expiry", "fields", "names", "order", "owner", "refused", "remove", "replace", "reset",
	}, everyone())
}

func TestConformanceRefusesMisuse(t *testing.T) {
	for check, run := range registrytest.Checks() {
		tried := try(t, func(tb *trial) { run(tb, func() registry.Backend { return nil }) })
		assert.True(t, tried.stopped, check)
		assert.Equal(t, "registrytest: open returned a nil Backend", tried.said(), check)
	}
	assert.False(t, passes("TestNothing", func(t *testing.T) { registrytest.TestBackend(t, nil) }))
}

package registry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Defects of watching, seen in the libraries named.

// go-micro: a watcher that is busy for 10 ms loses events, and a goroutine for
// each event puts them out of order.
func TestTrap_ABusyWatcherLosesEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		ctx, cancel := context.WithCancel(bg)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				rep := newReplay(t)
				for u, err := range s.Watch(ctx) {
					if err != nil {
						break
					}
					if !rep.apply(u) {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
				assert.Len(t, rep.have, 1)
				assert.Equal(t, "99", rep.have["a"].Version())
			})
		}
		for i := range 100 {
			in := instance("a")
			in.Version = fmt.Sprint(i)
			register(t, r, in)
			in.ID = "b"
			register(t, r, in)
			time.Sleep(time.Millisecond)
			require.NoError(t, r.Deregister(bg, "orders", "b"))
		}
		time.Sleep(20 * time.Millisecond)
		cancel()
		wg.Wait()
	})
}

// go-kratos: an empty listing is ignored, so that the last instance never leaves.
func TestTrap_TheLastInstanceNeverLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		for _, ttl := range []time.Duration{-1, 10 * time.Second} {
			l := register(t, r, leased("a", ttl))
			updates, _ := watch(t.Context(), r.Service("orders"))
			received(t, updates)
			if ttl < 0 {
				require.NoError(t, l.Deregister())
			}
			time.Sleep(10 * time.Second)
			u := received(t, updates)
			assert.Zero(t, u.Snapshot.Len())
			assert.Len(t, u.Removed, 1)
		}
	})
}

// go-kit: the cache sends to its subscribers while it holds its mutex; go-zero:
// a reload can deadlock with its own watchers. The body of a loop may use all of
// the registry, and the watched service.
func TestTrap_TheBodyUsesWhatItWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		n := 0
		for u, err := range s.Watch(bg) {
			require.NoError(t, err)
			assert.Equal(t, n, u.Snapshot.Len())
			if n++; n == 10 {
				break
			}
			for inner, err := range s.Watch(bg) {
				require.NoError(t, err)
				assert.True(t, inner.Reset)
				break
			}
			_, err := s.Wait(bg, 0)
			require.NoError(t, err)
			l := register(t, r, leased("x", time.Hour))
			require.NoError(t, l.Renew())
			require.NoError(t, l.Deregister())
			_ = r.Stats()
			_ = r.Sweep()
			register(t, r, instance(fmt.Sprint(n)))
		}
	})
}

// go-zero: the listener is added before the replay, so that a delete can arrive
// before its add and leave a ghost; everywhere: snapshot and subscribe are two
// steps, and what happens between is lost.
func TestTrap_Ghosts(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	s := r.Service("orders")
	rounds := 2000
	if raceEnabled {
		rounds = 300
	}
	var wg sync.WaitGroup
	for range rounds {
		wg.Go(func() {
			rep := newReplay(t)
			for u, err := range s.Watch(bg) {
				if err != nil || !rep.apply(u) {
					return
				}
				if _, ok := u.Snapshot.Get("end"); ok {
					assert.Len(t, rep.have, 1)
					return
				}
			}
		})
		l := register(t, r, instance("a"))
		require.NoError(t, l.Deregister())
	}
	register(t, r, instance("end"))
	wg.Wait()
}

// nacos-sdk-go: a plain query destroys a subscription.
func TestTrap_AQueryEndsASubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		updates, _ := watch(t.Context(), s)
		received(t, updates)
		for i := range 10 {
			_, _ = s.Wait(bg, 0)
			_ = r.Service("orders").Snapshot()
			register(t, r, instance(fmt.Sprint(i)))
			assert.Len(t, received(t, updates).Added, 1)
		}
	})
}

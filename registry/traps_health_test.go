package registry_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Tutorials: to deregister what is not there succeeds, so that a wrong name is
// never noticed.
func TestTrap_DeregisteringTheUnknown(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	l := register(t, r, instance("a"))
	require.ErrorIs(t, r.Deregister(bg, "orders", "A"), registry.ErrNotFound)
	require.NoError(t, l.Deregister())
	require.ErrorIs(t, l.Deregister(), registry.ErrLeaseLost)
	require.ErrorIs(t, r.Deregister(bg, "orders", "a"), registry.ErrNotFound)
}

// go-micro: the goroutine that prunes never stops, so that a registry that is
// thrown away, and each in a test, leaks one.
func TestTrap_PruningNeverStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		for range 20 {
			r := unclosed(t, registry.Config{})
			register(t, r, leased("a", time.Second))
			register(t, r, checked("b", registry.Check{Func: func(context.Context, registry.Instance) error { return nil }}))
			time.Sleep(time.Minute)
			require.NoError(t, r.Close(bg))
			require.Equal(t, before, goroutines())
		}
	})
}

// go-micro: a goroutine for each event, so that the hook hears of a removal before
// it has heard of the registration.
func TestTrap_EventsOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		var want []string
		for i := range 1000 {
			in := leased("a", time.Millisecond)
			in.Version = fmt.Sprint(i)
			register(t, r, in)
			time.Sleep(time.Millisecond) // noticed by a timer
			want = append(want, "registered a", "expired a")
		}
		synctest.Wait()
		assert.Equal(t, want, j.told())
	})
}

// go-micro: Mark of a selector does nothing. What is said by hand counts here.
func TestTrap_AWordWithoutEffect(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	l := register(t, r, instance("a"))
	require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Critical, "failed over"))
	assert.False(t, l.Endpoint().Live().Acquire(registry.Warning))
	assert.Equal(t, "failed over", l.Endpoint().HealthReason())
}

// Consul: each run of a check writes its output, and every write wakes every
// watcher of the service.
func TestTrap_OutputWakesWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		var n atomic.Int32
		for i := range 10 {
			register(t, r, checked(fmt.Sprint(i), registry.Check{Func: func(context.Context, registry.Instance) error {
				err := fmt.Errorf("took %d ms", n.Add(1))
				if i%2 == 0 {
					return registry.Warn(err)
				}
				return err
			}}))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		index := r.Service("orders").Snapshot().Index()
		ctx, cancel := context.WithTimeout(bg, time.Hour)
		defer cancel()
		woken := 0
		for _, err := range r.Service("orders").Watch(ctx) {
			if err == nil {
				woken++
			}
		}
		assert.Equal(t, 1, woken, "the first update")
		assert.Greater(t, n.Load(), int32(3000))
		assert.Equal(t, index, r.Service("orders").Snapshot().Index())
	})
}

// Anywhere: heartbeats in step. Checks that began together must not go on hitting
// everything at one instant.
func TestTrap_ChecksInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{MaxChecks: -1})
		starts := newLog(nil)
		all := numbered(100, 0)
		for i := range all {
			all[i].Check.Func = func(context.Context, registry.Instance) error {
				starts.add()
				return nil
			}
		}
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, all...)
		require.NoError(t, err)
		time.Sleep(5 * time.Second)
		assert.Len(t, starts.take(), 100)
		time.Sleep(7 * time.Second)
		times := starts.take()
		require.Len(t, times, 100)
		assert.GreaterOrEqual(t, slices.Min(times), 9*time.Second)
		assert.LessOrEqual(t, slices.Max(times), 11*time.Second)
		assert.Len(t, slices.Compact(slices.Sorted(slices.Values(times))), 100, "each at its own instant")
		assert.Less(t, slices.Min(times), 9500*time.Millisecond)
		assert.Greater(t, slices.Max(times), 10500*time.Millisecond)
	})
}

// Anywhere, and go-kit's cache in particular: callbacks under a lock. Here one of
// each kind calls back into the service that it was told about.
func TestTrap_CallbacksUnderLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *registry.Registry
		var called atomic.Int32
		back := func() {
			called.Add(1)
			l, err := r.Register(bg, instance("back"))
			if assert.NoError(t, err) {
				_ = l.SetHealth(registry.Warning, "") // another callback may have the ID by now
				_ = l.Deregister()
			}
			r.Service("orders").Snapshot()
			r.Stats()
		}
		own := func(id string) bool { return id != "back" }
		r = newRegistry(t, registry.Config{
			Preserve: registry.Preserve{MinInstances: -1, MaxEvict: 0.5, Window: time.Hour},
			Authorize: func(_ context.Context, _ registry.Op, in registry.Instance) error {
				if own(in.ID) {
					back()
				}
				return nil
			},
			Rand: func() uint64 { return 0 },
			Hooks: registry.Hooks{
				Change: func(c registry.Change) {
					if own(c.ID) {
						back()
					}
				},
				Preservation: func(registry.Preservation) { back() },
				FeedState:    func(registry.FeedState) { back() },
				Fault:        func(*registry.PanicError) { back() },
			},
		})
		p, stop := feed(t, r, "f")
		register(t, r, leased("a", 10*time.Second))
		register(t, r, leased("b", 10*time.Second))
		register(t, r, checked("c", registry.Check{Func: func(context.Context, registry.Instance) error {
			back()
			panic("fault")
		}}))
		p.put(0, instance("d"))
		time.Sleep(time.Minute)
		require.NoError(t, r.Drain(bg, "orders", "c"))
		stop()
		assert.Greater(t, called.Load(), int32(15))
		assert.Equal(t, []string{"b"}, present(r.Service("orders")))
	})
}

// benbjohnson's Mock: a timer may run although it was stopped in time. A check
// that has left must not run, and one that was replaced not twice.
func TestTrap_AStoppedTimerThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &eagerClock{handClock: newHandClock()}
		r := newRegistry(t, registry.Config{Clock: c})
		var runs atomic.Int32
		count := func(context.Context, registry.Instance) error {
			runs.Add(1)
			return errSick
		}
		with := func(interval time.Duration) registry.Instance {
			return checked("a", registry.Check{
				Func: count, Interval: interval, InitialDelay: time.Second, RemoveAfter: time.Hour, FailuresBeforeCritical: 1,
			})
		}
		rush := func(timers []func()) {
			for _, f := range timers {
				f()
			}
			synctest.Wait()
		}
		register(t, r, with(time.Minute))
		stopped := c.made()
		require.Len(t, stopped, 1)
		l := register(t, r, with(2*time.Minute)) // sets the timer anew
		rush(stopped)
		assert.Zero(t, runs.Load())
		c.run(time.Second)
		assert.EqualValues(t, 1, runs.Load())
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
		require.NoError(t, l.Deregister())
		next := register(t, r, instance("a"))
		rush(c.made()) // that of the next run, and that of the removal
		assert.EqualValues(t, 1, runs.Load())
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
		require.NoError(t, next.Err())
	})
}

// One registration after another, each with a new address, leaves one check.
func TestTrap_ChecksPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		var runs atomic.Int32
		for i := range 100 {
			in := checked("a", registry.Check{InitialDelay: time.Second, Func: func(context.Context, registry.Instance) error {
				runs.Add(1)
				return nil
			}})
			in.Addr = fmt.Sprintf("10.0.0.1:%d", i+1)
			register(t, r, in)
		}
		assert.Equal(t, 1, r.Stats().Checks)
		time.Sleep(5 * time.Second)
		assert.EqualValues(t, 1, runs.Load())
	})
}

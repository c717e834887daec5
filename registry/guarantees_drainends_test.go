package registry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Somebody registers while a drain is under way. If its owner wanted the drain,
// that is over: it was about the old process. The operator's is about the ID, and
// goes on.
func TestG22_RegisteredAgain(t *testing.T) {
	moved := instance("a")
	moved.Addr = "10.0.0.2:80"
	for name, in := range map[string]registry.Instance{"equal": instance("a"), "other Addr": moved} {
		t.Run(name, func(t *testing.T) {
			t.Run("owner", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRegistry(t, registry.Config{})
					l := register(t, r, instance("a"))
					live := begin(t, l.Endpoint(), 1)
					done := async(func() error { return l.Drain(bg) })
					nothing(t, done)
					next := register(t, r, in)
					require.ErrorIs(t, received(t, done), registry.ErrLeaseLost)
					assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
					assert.True(t, next.Endpoint().Live().Acquire(registry.Warning), "it takes calls")
					live.Release()
					time.Sleep(time.Minute)
					assert.Equal(t, registry.Passing, healthOf(t, r, "a"), "and stays")
					require.NoError(t, next.Err())
					lost(t, l, registry.ErrLeaseLost)
				})
			})
			t.Run("operator", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRegistry(t, registry.Config{DrainGrace: time.Minute})
					l := register(t, r, instance("a"))
					begin(t, l.Endpoint(), 1).Release()
					done := async(func() error { return r.Drain(bg, "orders", "a") })
					nothing(t, done)
					next := register(t, r, in)
					lost(t, l, registry.ErrLeaseLost)
					assert.Equal(t, registry.Draining, healthOf(t, r, "a"))
					assert.False(t, next.Endpoint().Live().Acquire(registry.Warning))
					time.Sleep(time.Minute - 1)
					nothing(t, done)
					time.Sleep(time.Nanosecond)
					require.NoError(t, received(t, done))
					assert.Empty(t, present(r.Service("orders")))
					lost(t, next, registry.ErrLeaseLost)
				})
			})
		})
	}
}

// After the owner's drain has ended by a registration the next one begins anew.
func TestG22_DrainedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{DrainGrace: 10 * time.Second})
		l := register(t, r, instance("a"))
		first := async(func() error { return l.Drain(bg) })
		time.Sleep(6 * time.Second)
		next := register(t, r, instance("a"))
		require.ErrorIs(t, received(t, first), registry.ErrLeaseLost)
		time.Sleep(time.Second)
		second := async(func() error { return next.Drain(bg) })
		time.Sleep(10*time.Second - 1)
		nothing(t, second)
		assert.Equal(t, registry.Draining, healthOf(t, r, "a"))
		time.Sleep(time.Nanosecond)
		require.NoError(t, received(t, second))
	})
}

// Another address while it drains: Draining too, and no call begins there. Calls
// of the old address are not its own any more.
func TestG22_AnotherAddr(t *testing.T) {
	for name, who := range drainers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				r := newRegistry(t, registry.Config{Hooks: j.hooks(), DrainGrace: 10 * time.Second})
				l := register(t, r, instance("a"))
				old := begin(t, l.Endpoint(), 2)
				done := async(func() error { return who.drain(bg, r, l) })
				synctest.Wait()
				in := instance("a")
				in.Addr = "10.0.0.2:80"
				require.NoError(t, l.Update(in))
				assert.Equal(t, registry.Draining, healthOf(t, r, "a"))
				assert.Equal(t, registry.Down, old.Health())
				moved := l.Endpoint().Live()
				assert.False(t, moved.Acquire(registry.Warning))
				assert.True(t, moved.Acquire(registry.Draining), "who asks for it gets it")
				old.Release()
				time.Sleep(time.Minute)
				nothing(t, done)
				moved.Release()
				require.NoError(t, received(t, done))
				assert.Equal(t, 1, old.InFlight())
				old.Release()
				assert.Equal(t, []string{"registered a", "health a", "updated a", "drained a"}, j.told())
				lost(t, l, who.lease)
			})
		})
	}
}

// Metadata and health may change while it drains, and nothing of that ends it or
// makes it usable.
func TestG22_OtherChangesMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := script{left: "FP"}
		l := register(t, r, instance("a"))
		begin(t, l.Endpoint(), 1)
		done := async(func() error { return l.Drain(bg) })
		synctest.Wait()
		require.NoError(t, l.Update(checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 1, SuccessesBeforePassing: 1})))
		time.Sleep(time.Minute)
		require.NoError(t, l.SetHealth(registry.Passing, ""))
		require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Passing, ""))
		assert.Equal(t, registry.Draining, healthOf(t, r, "a"))
		require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Down, ""))
		assert.Equal(t, registry.Down, healthOf(t, r, "a"), "what is worse counts")
		nothing(t, done)
		require.NoError(t, r.SetHealth(bg, "orders", "a", 0, ""))
		assert.Equal(t, registry.Draining, healthOf(t, r, "a"))
		assert.Equal(t, 7, s.runs(), "it is still checked")
		l.Endpoint().Live().Release()
		require.NoError(t, received(t, done))
	})
}

// Who is Down already drains without another change but the removal.
func TestG22_DrainingWhatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		l := register(t, r, instance("a"))
		live := begin(t, l.Endpoint(), 1)
		require.NoError(t, l.SetHealth(registry.Down, ""))
		done := async(func() error { return l.Drain(bg) })
		nothing(t, done)
		require.NoError(t, l.SetHealth(0, ""))
		assert.Equal(t, registry.Draining, healthOf(t, r, "a"))
		live.Release()
		require.NoError(t, received(t, done))
		assert.Equal(t, []string{"registered a", "health a", "health a", "drained a"}, j.told())
	})
}

// Who is kept as Stale drains too, and the preservation ends with the last one.
func TestG22_DrainingWhatIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{
			Hooks: j.hooks(), Preserve: registry.Preserve{MinInstances: -1, MaxEvict: 0.5, Window: time.Hour, MaxHold: 2 * time.Hour},
		})
		register(t, r, leased("a", 10*time.Second))
		l := register(t, r, leased("b", 10*time.Second))
		time.Sleep(10 * time.Second)
		require.Equal(t, registry.Stale, healthOf(t, r, "b"))
		live := l.Endpoint().Live()
		require.True(t, live.Acquire(registry.Stale))
		done := async(func() error { return l.Drain(bg) })
		nothing(t, done)
		assert.Equal(t, registry.Draining, healthOf(t, r, "b"))
		live.Release()
		require.NoError(t, received(t, done))
		assert.Equal(t, []string{"registered a", "registered b", "expired a", "health b", "health b", "drained b"}, j.told())
		turns := j.preserved()
		require.Len(t, turns, 2)
		assert.False(t, turns[1].Active)
	})
}

// An instance that leaves in another way while it drains is gone, which is what
// the operator wanted. One row is that way and the reason that is told.
func TestG22_LeavesInAnotherWay(t *testing.T) {
	bubbles(t, map[string]struct {
		leave  func(t *testing.T, r *registry.Registry, l *registry.Lease)
		reason string
		lease  error
	}{
		"expired": {func(*testing.T, *registry.Registry, *registry.Lease) {
			time.Sleep(time.Hour)
		}, "expired a", registry.ErrLeaseLost},
		"deregistered": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.Deregister())
		}, "deregistered a", nil},
		"deregistered by hand": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			require.NoError(t, r.Deregister(bg, "orders", "a"))
		}, "deregistered a", registry.ErrLeaseLost},
		"unhealthy": {func(*testing.T, *registry.Registry, *registry.Lease) {
			time.Sleep(30 * time.Minute)
		}, "unhealthy a", registry.ErrLeaseLost},
	}, func(t *testing.T, c struct {
		leave  func(t *testing.T, r *registry.Registry, l *registry.Lease)
		reason string
		lease  error
	},
	) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks(), DrainGrace: 2 * time.Hour})
		in := leased("a", time.Hour)
		if c.reason == "unhealthy a" {
			s := script{left: "F"}
			in.Check = registry.Check{Func: s.check, FailuresBeforeCritical: 1, RemoveAfter: 30 * time.Minute}
		}
		l := register(t, r, in)
		synctest.Wait()
		live := l.Endpoint().Live()
		done := async(func() error { return r.Drain(bg, "orders", "a") })
		nothing(t, done)
		j.take()
		c.leave(t, r, l)
		require.NoError(t, received(t, done))
		assert.Equal(t, []string{c.reason}, j.told())
		assert.Equal(t, registry.Down, live.Health())
		lost(t, l, c.lease)
	})
}

// A fed instance drains as any other, whatever its feed goes on to say. When it
// has left the feed may bring it back.
func TestG22_AFedInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		p, stop := feed(t, r, "f")
		in := instance("a")
		p.put(0, in)
		e, ok := r.Service("orders").Get("a")
		require.True(t, ok)
		live := begin(t, e, 1)
		done := async(func() error { return r.Drain(bg, "orders", "a") })
		synctest.Wait()
		p.put(0, in)
		in.Version = "2"
		p.put(registry.Passing, in)
		assert.Equal(t, registry.Draining, healthOf(t, r, "a"))
		nothing(t, done)
		live.Release()
		require.NoError(t, received(t, done))
		assert.Empty(t, present(r.Service("orders")))
		p.put(0, in)
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))

		e, _ = r.Service("orders").Get("a")
		begin(t, e, 1)
		done = async(func() error { return r.Drain(bg, "orders", "a") })
		nothing(t, done)
		stop()
		require.NoError(t, received(t, done), "its feed withdrew it")
	})
}

// A drain that comes when the lease has lapsed is late, but it is the owner's
// last word: no KeepAlive brings the instance back.
func TestG22_ALapsedLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHandClock()
		r := newRegistry(t, registry.Config{Clock: c})
		l := register(t, r, leased("a", 9*time.Second))
		kept := async(func() error { return l.KeepAlive(bg) })
		c.run(time.Second)
		c.sleep(time.Minute)
		require.ErrorIs(t, l.Drain(bg), registry.ErrLeaseLost)
		require.NoError(t, received(t, kept))
		c.run(time.Minute)
		assert.Empty(t, present(r.Service("orders")))
		lost(t, l, nil)
	})
}

// Only calls of this process that are counted are waited for.
func TestG22_OtherRegistries(t *testing.T) {
	r, other := newRegistry(t, registry.Config{}), newRegistry(t, registry.Config{})
	l := register(t, r, instance("a"))
	begin(t, register(t, other, instance("a")).Endpoint(), 1)
	begin(t, register(t, r, instance("b")).Endpoint(), 1)
	ctx, cancel := context.WithTimeout(bg, 10*time.Second)
	defer cancel()
	require.NoError(t, l.Drain(ctx))
	assert.Equal(t, registry.Passing, healthOf(t, other, "a"))
	assert.Equal(t, registry.Passing, healthOf(t, r, "b"))
}

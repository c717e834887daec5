package registry_test

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A lease is alive while now < deadline, and the deadline is a TTL after the
// last registration or renewal.
func TestG8_Deadlines(t *testing.T) {
	for name, c := range map[string]struct {
		ttl, renew, deadline time.Duration // renew: 0 = not
		again                func(t *testing.T, r *registry.Registry, l *registry.Lease)
	}{
		"registered": {10 * time.Second, 0, 10 * time.Second, nil},
		"shortest":   {1, 0, 1, nil},
		"renewed": {10 * time.Second, 9999 * time.Millisecond, 19999 * time.Millisecond, func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			t.Helper()
			require.NoError(t, l.Renew())
		}},
		"registered again": {10 * time.Second, 5 * time.Second, 15 * time.Second, func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			t.Helper()
			register(t, r, leased("a", 10*time.Second))
		}},
		"a longer TTL counts from the last renewal": {10 * time.Second, 5 * time.Second, 30 * time.Second, func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			t.Helper()
			require.NoError(t, l.Update(leased("a", 30*time.Second)))
		}},
		"a shorter one too": {10 * time.Second, 5 * time.Second, 7 * time.Second, func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			t.Helper()
			require.NoError(t, l.Update(leased("a", 7*time.Second)))
		}},
		"a TTL where there was none counts from then": {-1, 5 * time.Second, 12 * time.Second, func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			t.Helper()
			require.NoError(t, l.Update(leased("a", 7*time.Second)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry(t, registry.Config{})
				s := r.Service("orders")
				begin := time.Now()
				l := register(t, r, leased("a", c.ttl))
				if c.again != nil {
					time.Sleep(c.renew)
					c.again(t, r, l)
				}
				time.Sleep(c.deadline - 1 - time.Since(begin))
				assert.Equal(t, []string{"a"}, present(s))
				time.Sleep(time.Nanosecond)
				assert.Empty(t, present(s))
			})
		})
	}
}

// What has no TTL never expires, whatever the clock says.
func TestG8_NoTTL(t *testing.T) {
	for name, ttl := range map[string][2]time.Duration{ // of the instance and the config
		"none": {0, 0}, "negative": {-1, time.Second}, "negative default": {0, -1}, "longest": {math.MaxInt64, time.Second},
	} {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk, TTL: ttl[1]})
		clk.sleep(1)
		l := register(t, r, leased("a", ttl[0]))
		clk.sleep(100 * 365 * 24 * time.Hour)
		require.NoError(t, l.Renew(), name)
		assert.Zero(t, r.Sweep(), name)
		assert.Equal(t, []string{"a"}, present(r.Service("orders")), name)
	}
}

// Whatever looks first after the deadline finds the instance gone, although no
// timer has run, and its removal is told once, not on the goroutine of a read.
func TestG9_ReadTimeExpiry(t *testing.T) {
	bubbles(t, map[string]struct {
		read bool
		look func(t *testing.T, r *registry.Registry, s *registry.Service, l *registry.Lease)
	}{
		"Get": {true, func(t *testing.T, _ *registry.Registry, s *registry.Service, _ *registry.Lease) {
			t.Helper()
			_, ok := s.Get("a")
			assert.False(t, ok)
		}},
		"Snapshot": {true, func(t *testing.T, _ *registry.Registry, s *registry.Service, _ *registry.Lease) {
			t.Helper()
			assert.Equal(t, []string{"b"}, present(s))
		}},
		"Wait": {true, func(t *testing.T, _ *registry.Registry, s *registry.Service, _ *registry.Lease) {
			t.Helper()
			snap, err := s.Wait(bg, 0)
			require.NoError(t, err)
			assert.Equal(t, 1, snap.Len())
		}},
		"Watch": {true, func(t *testing.T, _ *registry.Registry, s *registry.Service, _ *registry.Lease) {
			t.Helper()
			for u, err := range s.Watch(bg) {
				require.NoError(t, err)
				assert.Equal(t, []string{"b"}, ids(u.Added))
				break
			}
		}},
		"Services": {true, func(t *testing.T, r *registry.Registry, _ *registry.Service, _ *registry.Lease) {
			t.Helper()
			assert.Equal(t, []string{"orders"}, slices.Collect(r.Services()))
		}},
		"Stats": {true, func(t *testing.T, r *registry.Registry, _ *registry.Service, _ *registry.Lease) {
			t.Helper()
			st := r.Stats()
			assert.Equal(t, 1, st.Instances)
			assert.Equal(t, 0, st.Leases)
		}},
		"Sweep": {false, func(t *testing.T, r *registry.Registry, _ *registry.Service, _ *registry.Lease) {
			t.Helper()
			assert.Equal(t, 1, r.Sweep())
			assert.Equal(t, 0, r.Sweep())
		}},
		"Renew": {false, func(t *testing.T, _ *registry.Registry, _ *registry.Service, l *registry.Lease) {
			t.Helper()
			require.ErrorIs(t, l.Renew(), registry.ErrLeaseLost)
		}},
		"Deregister by hand": {false, func(t *testing.T, r *registry.Registry, _ *registry.Service, _ *registry.Lease) {
			t.Helper()
			require.ErrorIs(t, r.Deregister(bg, "orders", "a"), registry.ErrNotFound)
		}},
		"IfAbsent": {false, func(t *testing.T, r *registry.Registry, _ *registry.Service, _ *registry.Lease) {
			t.Helper()
			ls, err := r.RegisterWith(bg, registry.RegisterConfig{IfAbsent: true}, leased("a", -1))
			require.NoError(t, err)
			require.NoError(t, ls[0].Deregister())
		}},
	}, func(t *testing.T, c struct {
		read bool
		look func(t *testing.T, r *registry.Registry, s *registry.Service, l *registry.Lease)
	},
	) {
		clk := newHandClock()
		var changes []registry.Change
		held := make(chan struct{})
		r := newRegistry(t, registry.Config{Clock: clk, Hooks: registry.Hooks{Change: func(ch registry.Change) {
			if ch.Reason == registry.ReasonExpired && c.read {
				<-held // a read that ran this would be stuck
			}
			changes = append(changes, ch)
		}}})
		s := r.Service("orders")
		l := register(t, r, leased("a", 10*time.Second))
		register(t, r, leased("b", -1))
		require.NoError(t, l.Update(leased("a", 5*time.Second)))
		last := l.Endpoint()
		clk.sleep(5 * time.Second)
		c.look(t, r, s, l)
		close(held)
		synctest.Wait()
		require.Greater(t, len(changes), 3)
		assert.Equal(t, registry.Change{
			Service: "orders", ID: "a", Index: changes[3].Index, At: clk.Now(), Reason: registry.ReasonExpired, Before: last,
		}, changes[3])
		clk.run(time.Hour)
		for _, ch := range changes[4:] {
			assert.NotEqual(t, registry.ReasonExpired, ch.Reason)
		}
		require.ErrorIs(t, l.Err(), registry.ErrLeaseLost)
		<-l.Done()
	})
}

// The timer meets what nobody reads: watchers and hooks learn in time.
func TestG9_TimersTellInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		begin := time.Now()
		for i := range 20 {
			in := leased("a", time.Duration(20-i)*time.Second) // each earlier than those before
			in.Service = fmt.Sprint("s", i)
			register(t, r, in)
		}
		j.take()
		for i := 1; i <= 20; i++ {
			time.Sleep(time.Second)
			synctest.Wait()
			changes := j.take()
			require.Len(t, changes, 1)
			assert.Equal(t, begin.Add(time.Duration(i)*time.Second), changes[0].At)
			assert.Equal(t, fmt.Sprint("s", 20-i), changes[0].Service)
		}
	})
}

// Renew is no change, and what it prolongs it does not bring back.
func TestG10_Renew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		a := register(t, r, leased("a", 10*time.Second))
		b := register(t, r, leased("b", -1))
		before := s.Snapshot()
		for range 100 {
			time.Sleep(10*time.Second - 1)
			require.NoError(t, a.Renew())
			require.NoError(t, b.Renew())
		}
		assert.Same(t, before, s.Snapshot())
		time.Sleep(10 * time.Second)
		require.ErrorIs(t, a.Renew(), registry.ErrLeaseLost)
		require.NoError(t, b.Renew())
		require.NoError(t, b.Deregister())
		require.ErrorIs(t, b.Renew(), registry.ErrLeaseLost)
	})
}

// A slowClock is one whose timers take their time to be set.
type slowClock struct {
	*handClock
	gate chan struct{}
}

func (c slowClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	<-c.gate
	return c.handClock.AfterFunc(d, f)
}

// Renew and reads take no lock: a writer that is at work in the same service is
// not in their way.
func TestG10_RenewIsLockFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := slowClock{newHandClock(), make(chan struct{}, 1)}
		r := newRegistry(t, registry.Config{Clock: clk})
		s := r.Service("orders")
		clk.gate <- struct{}{}
		l := register(t, r, leased("a", 10*time.Second))
		go func() { _, _ = r.Register(bg, leased("b", 9*time.Second)) }() // has to set the timer anew, and waits in there
		synctest.Wait()
		for range 8 {
			clk.sleep(time.Second)
			require.NoError(t, l.Renew())
			_, ok := s.Get("a")
			assert.True(t, ok)
		}
		close(clk.gate)
		synctest.Wait()
	})
}

// A renewal that is granted holds for a TTL from the clock's reading, and one that
// is refused leaves nothing behind, however close the expiry is.
func TestG10_RenewAgainstExpiry(t *testing.T) {
	const ttl = 10 * time.Second
	rounds := 3000
	if raceEnabled {
		rounds = 500
	}
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	s := r.Service("orders")
	granted := 0
	for i := range rounds {
		l := register(t, r, leased("a", ttl))
		var wg sync.WaitGroup
		wg.Go(func() {
			for k := range 6 {
				clk.sleep(ttl/2 + time.Duration(i%3)*time.Second)
				if k%2 == 0 {
					r.Sweep()
				}
			}
		})
		for range 6 {
			before := clk.asleep.Load()
			err := l.Renew()
			_, ok := s.Get("a")
			after := clk.asleep.Load()
			if err != nil {
				require.ErrorIs(t, err, registry.ErrLeaseLost)
				require.False(t, ok)
				continue
			}
			granted++
			require.True(t, ok || after-before >= int64(ttl))
		}
		wg.Wait()
		clk.sleep(ttl)
		require.Empty(t, present(s))
	}
	assert.Positive(t, granted)
}

// A lease that is held is restored by Renew, with its generation.
func TestG10_RenewRestoresStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		s := r.Service("orders")
		leases, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(12, 10*time.Second)...)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		assert.Len(t, withHealth(s, registry.Stale), 10)
		index := s.Snapshot().Index()
		require.ErrorIs(t, leases[0].Renew(), registry.ErrLeaseLost, "one of those that went")
		generation := leases[5].Endpoint().Generation()
		time.Sleep(time.Second)
		for _, l := range leases[2:] {
			require.NoError(t, l.Renew())
		}
		assert.Equal(t, generation, leases[5].Endpoint().Generation())
		assert.Empty(t, withHealth(s, registry.Stale))
		assert.Equal(t, index+10, s.Snapshot().Index(), "that is a change of health")
		turns := j.preserved()
		require.Len(t, turns, 2)
		assert.Equal(t, []bool{true, false}, []bool{turns[0].Active, turns[1].Active})
		assert.Equal(t, []int{10, 0}, []int{turns[0].Held, turns[1].Held})
		time.Sleep(10*time.Second - 1)
		assert.Len(t, withHealth(s, registry.Passing), 10, "it holds for a TTL from the renewal")
		require.NoError(t, r.Close(bg))
		require.ErrorIs(t, leases[5].Renew(), registry.ErrClosed)
	})
}

// A *clock.Mock in a bubble: timers come in time, so that nothing is ever a
// stall, whether StallAfter is set or not.
func TestG12_Mock(t *testing.T) {
	for _, stallAfter := range []time.Duration{0, time.Second, -1} {
		t.Run(fmt.Sprint(stallAfter), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := clock.NewMock()
				var j journal
				r := newRegistry(t, registry.Config{Clock: m, Hooks: j.hooks(), Preserve: registry.Preserve{StallAfter: stallAfter}})
				s := r.Service("orders")
				for i := range 5 {
					register(t, r, leased(fmt.Sprint(i), time.Duration(i+1)*time.Minute))
				}
				kept := register(t, r, leased("kept", time.Minute))
				go func() { _ = kept.KeepAlive(t.Context()) }()
				synctest.Wait()
				j.take()
				m.Add(3 * time.Minute)
				synctest.Wait()
				assert.Equal(t, []string{"expired 0", "expired 1", "expired 2"}, j.told())
				assert.Equal(t, []string{"3", "4", "kept"}, present(s))
				m.Add(time.Hour)
				synctest.Wait()
				for i, c := range j.take() {
					assert.Equal(t, time.Unix(0, 0).Add(time.Duration(i+4)*time.Minute), c.At)
				}
				assert.Equal(t, []string{"kept"}, present(s))
				require.NoError(t, kept.Err())
			})
		})
	}
}

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A read that begins after a write has returned shows it, through every handle,
// also where each write makes the service come or go.
func TestG14_ReadsShowWhatWasWritten(t *testing.T) {
	for _, services := range []int{1, 4} {
		t.Run(fmt.Sprint(services), func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			old := make([]*registry.Service, services)
			for i := range old {
				old[i] = r.Service(fmt.Sprint("s", i)) // from before the service, for all goroutines
			}
			rounds := 20_000
			if raceEnabled {
				rounds = 2_000
			}
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					id, s := fmt.Sprint("i", w), old[w%services]
					for i := range rounds {
						l, err := r.Register(bg, instanceOf(s.Name(), id))
						if !assert.NoError(t, err) {
							return
						}
						for _, h := range []*registry.Service{s, r.Service(s.Name())} {
							e, ok := h.Get(id)
							if !assert.True(t, ok, "round %d", i) || !assert.Same(t, l.Endpoint(), e) {
								return
							}
						}
						snap, err := s.Wait(bg, 0)
						if !assert.NoError(t, err) {
							return
						}
						if _, ok := snap.Get(id); !assert.True(t, ok) {
							return
						}
						if !assert.NoError(t, l.Deregister()) {
							return
						}
						for _, h := range []*registry.Service{s, r.Service(s.Name())} {
							if _, ok := h.Get(id); !assert.False(t, ok, "round %d", i) {
								return
							}
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// A read that begins after the deadline never shows the instance, also while
// somebody else is at removing it.
func TestG14_NoReadShowsTheExpired(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	s := r.Service("orders")
	const ttl = 10 * time.Second
	var begun, over atomic.Int64 // rounds, by number
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for over.Load() >= 0 {
				gone := over.Load()
				for e := range s.Snapshot().All() {
					var round int64
					_, _ = fmt.Sscan(e.ID(), &round)
					if !assert.Greater(t, round, gone) || !assert.LessOrEqual(t, round, begun.Load()) {
						return
					}
				}
			}
		})
	}
	rounds := int64(20_000)
	if raceEnabled {
		rounds = 2_000
	}
	for i := int64(1); i <= rounds; i++ {
		begun.Store(i)
		_, err := r.Register(bg, leased(fmt.Sprint(i), ttl))
		require.NoError(t, err)
		clk.sleep(ttl)
		over.Store(i)
		r.Sweep()
	}
	over.Store(-1)
	wg.Wait()
}

// The index grows with each visible change and with nothing else.
func TestG15_WhatMovesTheIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		l := register(t, r, leased("a", time.Minute))
		last := s.Snapshot().Index()
		step := func(what string, moved bool, do func() error) {
			t.Helper()
			require.NoError(t, do(), what)
			index := s.Snapshot().Index()
			assert.Equal(t, moved, index != last, what)
			assert.GreaterOrEqual(t, index, last, what)
			last = index
		}
		v2 := leased("a", time.Minute)
		v2.Version = "v2"
		step("renewal", false, l.Renew)
		step("update", true, func() error { return l.Update(v2) })
		step("the same update", false, func() error { return l.Update(v2) })
		step("owner's word", true, func() error { return l.SetHealth(registry.Warning, "hot") })
		step("other reason", false, func() error { return l.SetHealth(registry.Warning, "very hot") })
		step("a better word of another", false, func() error { return r.SetHealth(bg, "orders", "a", registry.Passing, "") })
		step("a worse word of another", true, func() error { return r.SetHealth(bg, "orders", "a", registry.Down, "") })
		step("owner's word under a worse one", false, func() error { return l.SetHealth(0, "") })
		step("taken back", true, func() error { return r.SetHealth(bg, "orders", "a", 0, "") })
		step("load", false, func() error { l.Endpoint().Live().Acquire(registry.Passing); l.Endpoint().Live().Release(); return nil })
		step("another service", false, func() error { _, err := r.Register(bg, instanceOf("other", "a")); return err })
		step("registration", true, func() error { _, err := r.Register(bg, instance("b")); return err })
		step("the same registration", false, func() error { _, err := r.Register(bg, instance("b")); return err })
		step("removal", true, func() error { return r.Deregister(bg, "orders", "b") })
		step("expiry", true, func() error { time.Sleep(time.Minute); return nil })
		assert.Equal(t, last, r.Stats().Index)
	})
}

// The index of a name is at least 1 and never goes back, whatever handle is
// asked, while the name and others come and go, and waiters too.
func TestG15_TheIndexNeverGoesBack(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	assert.Positive(t, r.Service("orders").Snapshot().Index())
	rounds := 10_000
	if raceEnabled {
		rounds = 1_000
	}
	var done atomic.Bool
	var readers, writers sync.WaitGroup
	var seen atomic.Uint64 // the highest that any reader has seen
	handle := r.Service("orders")
	for range 2 {
		readers.Go(func() {
			for !done.Load() {
				least := seen.Load()
				for _, s := range []*registry.Service{handle, r.Service("orders")} {
					index := s.Snapshot().Index()
					if !assert.GreaterOrEqual(t, index, least) {
						return
					}
					least = index
				}
				for old := seen.Load(); old < least && !seen.CompareAndSwap(old, least); old = seen.Load() {
				}
			}
		})
	}
	ended, cancel := context.WithCancel(bg)
	cancel()
	for _, do := range []func(){
		func() { // waiters of the name
			_ = firstError(r.Service("orders"), bg)
			_, _ = r.Service("orders").Wait(ended, 1<<60)
		},
		func() { // releases of other names
			l, _ := r.Register(bg, instanceOf("other", "a"))
			_ = l.Deregister()
		},
		func() {
			runtime.Gosched()
			l, _ := r.Register(bg, instance("a"))
			_ = l.Deregister()
		},
	} {
		writers.Go(func() {
			for range rounds {
				do()
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
}

func TestG16_Wait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		type result struct {
			snap *registry.Snapshot
			err  error
		}
		wait := func(ctx context.Context, after uint64) <-chan result {
			ch := make(chan result, 1)
			go func() {
				snap, err := s.Wait(ctx, after)
				ch <- result{snap, err}
			}()
			return ch
		}
		assert.Zero(t, received(t, wait(bg, 0)).snap.Len(), "0: at once, also where there is nothing")
		absent := wait(bg, s.Snapshot().Index())
		nothing(t, absent)
		l := register(t, r, instance("a"))
		got := received(t, absent)
		assert.Same(t, s.Snapshot(), got.snap, "it works for services that do not exist yet")

		later := wait(bg, got.snap.Index())
		most := wait(bg, 1<<63)
		register(t, r, instanceOf("other", "a"))
		require.NoError(t, r.Deregister(bg, "other", "a"))
		require.NoError(t, l.Renew())
		nothing(t, later)
		require.NoError(t, l.Deregister())
		got = received(t, later)
		assert.Zero(t, got.snap.Len())
		nothing(t, most)

		ctx, cancel := context.WithCancelCause(bg)
		again := wait(ctx, got.snap.Index())
		nothing(t, again)
		cause := errors.New("enough")
		cancel(cause)
		require.ErrorIs(t, received(t, again).err, cause)
		assert.Equal(t, 1, r.Stats().Watchers)
		require.NoError(t, r.Close(bg))
		require.ErrorIs(t, received(t, most).err, registry.ErrClosed)
		require.ErrorIs(t, received(t, wait(bg, 0)).err, registry.ErrClosed)
	})
}

// A change is not missed across a release, whoever has released what meanwhile.
func TestG16_WaitAcrossReleases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		l := register(t, r, instance("a"))
		seen := s.Snapshot().Index()
		require.NoError(t, l.Deregister())
		released := s.Snapshot().Index()
		assert.Greater(t, released, seen)
		snap, err := s.Wait(bg, seen)
		require.NoError(t, err, "the removal is told to who waits only now")
		assert.Zero(t, snap.Len())
		require.NoError(t, register(t, r, instanceOf("other", "a")).Deregister())
		assert.Greater(t, s.Snapshot().Index(), released, "the latest release in the registry")
		assert.Equal(t, r.Stats().Index, r.Service("never was").Snapshot().Index())

		seen = s.Snapshot().Index()
		came := make(chan *registry.Snapshot, 1)
		go func() {
			snap, _ := s.Wait(bg, seen)
			came <- snap
		}()
		synctest.Wait()
		require.NoError(t, register(t, r, instanceOf("other", "a")).Deregister())
		nothing(t, came)
		register(t, r, instance("b"))
		assert.Equal(t, 1, received(t, came).Len())
	})
}

// Whoever waits for the next index again and again ends with the last state, also
// where each change makes the service come or go.
func TestG16_TheEndIsNotMissed(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	s := r.Service("orders")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := s
			if i%2 == 0 {
				s = r.Service("orders")
			}
			for after := uint64(0); ; {
				snap, err := s.Wait(bg, after)
				if !assert.NoError(t, err) || !assert.Greater(t, snap.Index(), after) {
					return
				}
				if _, ok := snap.Get("end"); ok {
					return
				}
				after = snap.Index()
			}
		})
	}
	rounds := 5_000
	if raceEnabled {
		rounds = 500
	}
	for range rounds {
		require.NoError(t, register(t, r, instance("a")).Deregister())
		require.NoError(t, register(t, r, instanceOf("other", "a")).Deregister())
	}
	register(t, r, instance("end"))
	wg.Wait()
}

// Wait is woken by expiry, in time.
func TestG16_WaitForExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		register(t, r, leased("a", 10*time.Second))
		begin := time.Now()
		snap, err := s.Wait(bg, s.Snapshot().Index())
		require.NoError(t, err)
		assert.Zero(t, snap.Len())
		assert.Equal(t, 10*time.Second, time.Since(begin))
	})
}

// Each update holds the state and what leads to it from the one before.
func TestG17_Deltas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		a := register(t, r, instance("a"))
		b := register(t, r, instance("b"))
		busy := make(chan struct{})
		var got []registry.Update
		go func() {
			for u, err := range s.Watch(t.Context()) {
				if err != nil {
					return
				}
				got = append(got, u)
				<-busy
			}
		}()
		update := func() registry.Update {
			t.Helper()
			n := len(got)
			busy <- struct{}{}
			synctest.Wait()
			require.Len(t, got, n+1)
			assert.Same(t, s.Snapshot(), got[n].Snapshot)
			assert.False(t, got[n].Reset)
			return got[n]
		}
		synctest.Wait()
		assert.Equal(t, registry.Update{Snapshot: s.Snapshot(), Reset: true, Added: []*registry.Endpoint{a.Endpoint(), b.Endpoint()}}, got[0])

		v2 := instance("a")
		v2.Version = "v2"
		given := b.Endpoint()
		require.NoError(t, a.Update(v2))
		require.NoError(t, b.Update(v2withID("b")))
		require.NoError(t, b.Deregister())
		c := register(t, r, instance("c"))
		d := register(t, r, instance("d"))
		require.NoError(t, d.Deregister())
		assert.Equal(t, registry.Update{
			Snapshot: s.Snapshot(), Added: []*registry.Endpoint{c.Endpoint()}, Changed: []*registry.Endpoint{a.Endpoint()},
			Removed: []registry.Removal{{Endpoint: given, Reason: registry.ReasonDeregistered}},
		}, update(), "with the record that this watcher was given, and without what came and went")

		require.NoError(t, a.Deregister())
		back := register(t, r, v2)
		assert.Equal(t, registry.Update{Snapshot: s.Snapshot(), Changed: []*registry.Endpoint{back.Endpoint()}}, update(), "removed and back")

		require.NoError(t, back.SetHealth(registry.Warning, ""))
		require.NoError(t, back.SetHealth(0, ""))
		assert.Equal(t, []string{"a"}, ids(update().Changed))

		silent := register(t, r, v2)
		assert.Same(t, silent.Endpoint(), s.Snapshot().At(0))
		require.NoError(t, c.Deregister())
		u := update()
		assert.Empty(t, u.Changed, "a new generation of equal content is no change")
		assert.Equal(t, []registry.Removal{{Endpoint: c.Endpoint(), Reason: registry.ReasonDeregistered}}, u.Removed)
		require.NoError(t, silent.Deregister())
		assert.Equal(t, []string{"a"}, []string{update().Removed[0].Endpoint.ID()})
		close(busy)
	})
}

func v2withID(id string) registry.Instance {
	in := instance(id)
	in.Version = "v2"
	return in
}

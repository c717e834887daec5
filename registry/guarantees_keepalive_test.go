package registry_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// KeepAlive renews every third of the TTL, give or take a tenth, and leaves the
// lease as it is when its context ends.
func TestG11_KeepAliveRenews(t *testing.T) {
	for name, c := range map[string]struct {
		random uint64
		beat   time.Duration
	}{"earliest": {0, 2700 * time.Millisecond}, "latest": {math.MaxUint64, 3300 * time.Millisecond}, "middle": {1 << 63, 3 * time.Second}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry(t, registry.Config{Rand: func() uint64 { return c.random }})
				s := r.Service("orders")
				l := register(t, r, leased("a", 9*time.Second))
				ctx, cancel := context.WithCancelCause(bg)
				end := make(chan error, 1)
				go func() { end <- l.KeepAlive(ctx) }()
				index := s.Snapshot().Index()
				time.Sleep(100*c.beat + time.Millisecond)
				assert.Equal(t, index, s.Snapshot().Index())
				cause := errors.New("enough")
				cancel(cause)
				require.ErrorIs(t, received(t, end), cause)
				require.NoError(t, l.Err())
				time.Sleep(9*time.Second - 2*time.Millisecond)
				assert.Equal(t, []string{"a"}, present(s), "the last renewal was the hundredth")
				time.Sleep(time.Millisecond)
				assert.Empty(t, present(s))
				require.ErrorIs(t, l.Err(), registry.ErrLeaseLost)
			})
		})
	}
}

// KeepAlive takes another TTL over at once.
func TestG11_KeepAliveFollowsTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		l := register(t, r, leased("a", -1))
		go func() { _ = l.KeepAlive(t.Context()) }()
		for _, ttl := range []time.Duration{time.Second, time.Hour, time.Minute, 3 * time.Second, -1} {
			synctest.Wait()
			require.NoError(t, l.Update(leased("a", ttl)))
			time.Sleep(10 * time.Second)
			assert.Equal(t, []string{"a"}, present(s), ttl)
			require.NoError(t, l.Err())
		}
	})
}

func TestG11_KeepAliveEnds(t *testing.T) {
	bubbles(t, map[string]struct {
		end  func(t *testing.T, r *registry.Registry, l *registry.Lease)
		want error
	}{
		"own Deregister": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			t.Helper()
			require.NoError(t, l.Deregister())
		}, nil},
		"own Drain": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			t.Helper()
			require.NoError(t, l.Drain(bg))
		}, nil},
		"superseded": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			t.Helper()
			register(t, r, leased("a", time.Hour))
		}, registry.ErrLeaseLost},
		"superseded and gone": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			t.Helper()
			require.NoError(t, register(t, r, leased("a", time.Hour)).Deregister())
		}, registry.ErrLeaseLost},
		"by hand": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			t.Helper()
			require.NoError(t, r.Deregister(bg, "orders", "a"))
		}, registry.ErrLeaseLost},
		"closed": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			t.Helper()
			require.NoError(t, r.Close(bg))
		}, registry.ErrClosed},
	}, func(t *testing.T, c struct {
		end  func(t *testing.T, r *registry.Registry, l *registry.Lease)
		want error
	},
	) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, leased("a", 9*time.Second))
		end := make(chan error, 2)
		for range 2 {
			go func() { end <- l.KeepAlive(bg) }()
		}
		time.Sleep(time.Minute)
		c.end(t, r, l)
		for range 2 {
			require.ErrorIs(t, received(t, end), c.want)
		}
		<-l.Done()
		if c.want == nil {
			require.NoError(t, l.Err())
		}
		require.ErrorIs(t, l.Err(), c.want)
	})
}

// What lapses while KeepAlive runs comes back with what the owner last said, and
// the lease goes on.
func TestG11_KeepAliveRegistersAgain(t *testing.T) {
	bubbles(t, map[string]func(t *testing.T, r *registry.Registry, l *registry.Lease) error{
		"free": func(*testing.T, *registry.Registry, *registry.Lease) error { return nil },
		"taken by another": func(t *testing.T, r *registry.Registry, _ *registry.Lease) error {
			t.Helper()
			register(t, r, leased("a", -1))
			return registry.ErrLeaseLost
		},
		"given up meanwhile": func(t *testing.T, _ *registry.Registry, l *registry.Lease) error {
			t.Helper()
			require.ErrorIs(t, l.Deregister(), registry.ErrLeaseLost)
			return context.Canceled // nil: no error at all
		},
		"closed meanwhile": func(t *testing.T, r *registry.Registry, _ *registry.Lease) error {
			t.Helper()
			require.NoError(t, r.Close(bg))
			return registry.ErrClosed
		},
	}, func(t *testing.T, meanwhile func(t *testing.T, r *registry.Registry, l *registry.Lease) error) {
		clk := newHandClock()
		var j journal
		r := newRegistry(t, registry.Config{Clock: clk, Hooks: j.hooks()})
		s := r.Service("orders")
		l := register(t, r, leased("a", 9*time.Second))
		first := l.Endpoint().Generation()
		last := leased("a", 9*time.Second)
		last.Version = "v2"
		require.NoError(t, l.Update(last))
		require.NoError(t, l.SetHealth(registry.Warning, "hot"))
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		end := make(chan error, 1)
		go func() { end <- l.KeepAlive(ctx) }()
		synctest.Wait()
		clk.sleep(time.Minute)
		assert.Equal(t, 1, r.Sweep())
		assert.False(t, isClosed(l.Done()), "that is not the end of the lease")
		require.NoError(t, l.Err())
		j.take()
		want := meanwhile(t, r, l)
		clk.run(4 * time.Second)
		if want != nil {
			err := received(t, end)
			if errors.Is(want, context.Canceled) {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, want)
			}
			for _, c := range j.take() {
				assert.Same(t, c.After, func() *registry.Endpoint { e, _ := s.Get("a"); return e }(), "only the other one registered")
			}
			return
		}
		e, ok := s.Get("a")
		require.True(t, ok)
		assert.Same(t, l.Endpoint(), e)
		assert.Greater(t, e.Generation(), first)
		assert.Equal(t, "v2 warning hot", e.Version()+" "+e.Health().String()+" "+e.HealthReason())
		assert.Equal(t, []string{"registered a"}, j.told())
		require.NoError(t, l.Renew())
		clk.run(time.Minute)
		assert.Same(t, e, func() *registry.Endpoint { e, _ := s.Get("a"); return e }())
		cancel()
		require.ErrorIs(t, received(t, end), context.Canceled)
		clk.sleep(9 * time.Second)
		assert.Empty(t, present(s))
		require.ErrorIs(t, l.Err(), registry.ErrLeaseLost, "nobody keeps it any more")
	})
}

// Who begins to keep a lease alive after its deadline is too late, whether
// anybody has looked since or not.
func TestG11_KeepAliveComesTooLate(t *testing.T) {
	for name, looked := range map[string]bool{"nobody has looked": false, "somebody has": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				clk := newHandClock()
				r := newRegistry(t, registry.Config{Clock: clk})
				l := register(t, r, leased("a", 9*time.Second))
				clk.sleep(9 * time.Second)
				if looked {
					require.Equal(t, 1, r.Sweep())
				}
				end := make(chan error, 1)
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				go func() { end <- l.KeepAlive(ctx) }()
				require.ErrorIs(t, received(t, end), registry.ErrLeaseLost)
				assert.Empty(t, present(r.Service("orders")))
			})
		})
	}
}

// An ended lease is not kept alive, and nothing comes back by trying.
func TestG11_KeepAliveOfAnEndedLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		own, byHand := register(t, r, leased("own", 9*time.Second)), register(t, r, leased("by hand", 9*time.Second))
		require.NoError(t, own.Deregister())
		require.NoError(t, r.Deregister(bg, "orders", "by hand"))
		require.NoError(t, own.KeepAlive(bg))
		require.ErrorIs(t, byHand.KeepAlive(bg), registry.ErrLeaseLost)
		assert.Empty(t, present(r.Service("orders")))
	})
}

// A lease that has lapsed ends with the last that keeps it, if it has not come
// back by then.
func TestG11_LapsedWhenKeepAliveEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk})
		l := register(t, r, leased("a", 9*time.Second))
		ctx, cancel := context.WithCancel(bg)
		another, cancelOther := context.WithCancel(bg)
		end := make(chan error, 2)
		go func() { end <- l.KeepAlive(ctx) }()
		go func() { end <- l.KeepAlive(another) }()
		synctest.Wait()
		clk.sleep(time.Minute)
		assert.Equal(t, 1, r.Sweep())
		cancel()
		require.ErrorIs(t, received(t, end), context.Canceled)
		require.NoError(t, l.Err(), "one still keeps it")
		cancelOther()
		require.ErrorIs(t, received(t, end), context.Canceled)
		require.ErrorIs(t, l.Err(), registry.ErrLeaseLost)
		<-l.Done()
	})
}

// A fastClock has timers that fire almost at once, whatever they are set to.
type fastClock struct{ *handClock }

func (fastClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	return clock.New().AfterFunc(min(d, time.Millisecond)/10, f)
}

// Once the owner has deregistered, or been told that the lease is lost, nothing
// brings the instance back, however close a lapse and a return are.
func TestG11_DeregisterAgainstComingBack(t *testing.T) {
	rounds := 1000
	if raceEnabled {
		rounds = 200
	}
	clk := fastClock{newHandClock()}
	r := newRegistry(t, registry.Config{Clock: clk})
	s := r.Service("orders")
	for i := range rounds {
		l := register(t, r, leased("a", 9*time.Second))
		end := make(chan error, 2)
		for range 2 {
			go func() { end <- l.KeepAlive(bg) }()
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for range i % 7 {
				clk.sleep(9 * time.Second)
				r.Sweep()
				runtime.Gosched()
			}
		})
		for range i % 5 {
			runtime.Gosched()
		}
		if err := l.Deregister(); err != nil {
			require.ErrorIs(t, err, registry.ErrLeaseLost)
		}
		require.Empty(t, present(s))
		for range 2 {
			if err := <-end; err != nil {
				// It began after the lease had lapsed, with nobody to keep it.
				require.ErrorIs(t, err, registry.ErrLeaseLost)
				require.ErrorIs(t, l.Err(), registry.ErrLeaseLost)
			}
		}
		wg.Wait()
		require.Empty(t, present(s))
		<-l.Done()
	}
}

package registry_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Nothing runs before it is needed: registrations, hooks that verbs run, handles
// and snapshots have no goroutine. A TTL has a timer, which is none either.
func TestG39_NoGoroutineWithoutNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := goroutines()
		var j journal
		r := unclosed(t, registry.Config{Hooks: j.hooks()})
		var handles []*registry.Service
		for i := range 100 {
			l := register(t, r, instanceOf(fmt.Sprint("s", i), "a"))
			require.NoError(t, l.SetHealth(registry.Warning, ""))
			handles = append(handles, r.Service(fmt.Sprint("s", i)), r.Service(fmt.Sprint("none", i)))
			register(t, r, leased(fmt.Sprint(i), time.Hour))
			register(t, r, checked("delayed", registry.Check{InitialDelay: time.Hour, Func: func(context.Context, registry.Instance) error { return nil }}))
		}
		for _, s := range handles {
			s.Snapshot()
		}
		for range r.Services() {
		}
		require.NoError(t, r.Drain(bg, "s0", "a"))
		assert.Equal(t, before, goroutines())
		assert.NotEmpty(t, j.take())
		// The registry is dropped as it is.
	})
}

// busy is a registry in which everything goes on that can, and the results of it
// all, by name.
func busy(t *testing.T, cfg registry.Config) (*registry.Registry, map[string]<-chan error) {
	t.Helper()
	r := unclosed(t, cfg)
	running := make(map[string]<-chan error)
	obedient := func(ctx context.Context, _ registry.Instance) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	for id, in := range map[string]registry.Instance{
		"plain":   instance("plain"),
		"leased":  leased("leased", 10*time.Second),
		"kept":    leased("kept", 9*time.Second),
		"checked": checked("checked", registry.Check{Func: obedient}),
		"hanging": checked("hanging", registry.Check{Func: obedient, Timeout: -1}),
		"drained": leased("drained", time.Minute),
		"by hand": instance("by hand"),
	} {
		l := register(t, r, in)
		switch id {
		case "kept":
			running["KeepAlive"] = async(func() error { return l.KeepAlive(bg) })
		case "drained":
			begin(t, l.Endpoint(), 1)
			running["Lease.Drain"] = async(func() error { return l.Drain(bg) })
		case "by hand":
			begin(t, l.Endpoint(), 1)
			running["Drain"] = async(func() error { return r.Drain(bg, "orders", "by hand") })
		}
	}
	running["Feed"] = async(func() error { return r.Feed(bg, "f", registry.Static(instance("fed"))) })
	lostOrigin := newPipe()
	running["Feed, lost"] = async(func() error { return r.Feed(bg, "lost", lostOrigin) })
	lostOrigin.ends <- errSick
	synctest.Wait()
	for _, name := range []string{"orders", "absent"} {
		s := r.Service(name)
		running["Wait "+name] = async(func() error {
			_, err := s.Wait(bg, s.Snapshot().Index())
			return err
		})
		running["Watch "+name] = async(func() (last error) {
			for _, last = range s.Watch(bg) {
			}
			return last
		})
	}
	synctest.Wait()
	return r, running
}

// Close ends everything and waits for it. The bubble shows that no goroutine is
// left, nor a timer that does anything.
func TestG39_CloseEndsEverything(t *testing.T) {
	bothClocks(t, func(t *testing.T, c registry.Clock, pass func(time.Duration)) {
		var j journal
		r, running := busy(t, registry.Config{Clock: c, Hooks: j.hooks()})
		stats := r.Stats()
		assert.Equal(t, 2, stats.Checks)
		assert.Equal(t, 2, stats.Feeds)
		assert.Equal(t, 4, stats.Watchers)
		j.take()
		require.NoError(t, r.Close(bg))
		for name, result := range running {
			require.ErrorIs(t, received(t, result), registry.ErrClosed, name)
		}
		before := r.Service("orders").Snapshot()
		pass(24 * time.Hour)
		assert.Same(t, before, r.Service("orders").Snapshot())
		assert.Empty(t, j.take(), "nothing has changed")
		stats = r.Stats()
		assert.Equal(t, registry.Stats{Services: 1, Instances: 8, Index: stats.Index}, stats)
	})
}

// Of a Mock no timer is left, either: nothing happens when it goes on.
func TestG39_AMockHasNoTimersLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := clock.NewMock()
		r := unclosed(t, registry.Config{Clock: m})
		var runs atomic.Int32
		in := checked("a", registry.Check{RemoveAfter: time.Minute, FailuresBeforeCritical: 1, Func: func(context.Context, registry.Instance) error {
			runs.Add(1)
			return errSick
		}})
		in.TTL = time.Minute
		register(t, r, in)
		synctest.Wait()
		require.NoError(t, r.Close(bg))
		m.Add(time.Hour)
		synctest.Wait()
		assert.EqualValues(t, 1, runs.Load())
		assert.Len(t, present(r.Service("orders")), 1)
	})
}

// Close waits for what does not end at once: a check, a hook or a source. When
// its context ends first it returns the cause, and the next one waits again.
func TestG39_CloseWaits(t *testing.T) {
	bubbles(t, map[string]func(t *testing.T, cfg registry.Config, proceed <-chan struct{}) *registry.Registry{
		"check": func(t *testing.T, cfg registry.Config, proceed <-chan struct{}) *registry.Registry {
			r := unclosed(t, cfg)
			register(t, r, checked("a", registry.Check{Func: func(context.Context, registry.Instance) error {
				<-proceed
				return nil
			}}))
			return r
		},
		"hung check": func(t *testing.T, cfg registry.Config, proceed <-chan struct{}) *registry.Registry {
			r := unclosed(t, cfg)
			register(t, r, checked("a", registry.Check{Func: func(context.Context, registry.Instance) error {
				<-proceed
				return nil
			}}))
			time.Sleep(time.Hour)
			return r
		},
		"check of one that has left": func(t *testing.T, cfg registry.Config, proceed <-chan struct{}) *registry.Registry {
			r := unclosed(t, cfg)
			l := register(t, r, checked("a", registry.Check{Func: func(context.Context, registry.Instance) error {
				<-proceed
				return nil
			}}))
			synctest.Wait()
			require.NoError(t, l.Deregister())
			return r
		},
		"hook of a verb": func(t *testing.T, cfg registry.Config, proceed <-chan struct{}) *registry.Registry {
			cfg.Hooks.Change = func(registry.Change) { <-proceed }
			r := unclosed(t, cfg)
			async(func() error {
				_, err := r.Register(bg, instance("a"))
				return err
			})
			return r
		},
		"hook of an expiry": func(t *testing.T, cfg registry.Config, proceed <-chan struct{}) *registry.Registry {
			cfg.Hooks.Change = func(c registry.Change) {
				if c.After == nil {
					<-proceed
				}
			}
			r := unclosed(t, cfg)
			register(t, r, leased("a", time.Second))
			time.Sleep(time.Minute)
			return r
		},
		"source": func(_ *testing.T, cfg registry.Config, proceed <-chan struct{}) *registry.Registry {
			r := unclosed(t, cfg)
			async(func() error { return r.Feed(bg, "f", slowSource(proceed)) })
			return r
		},
		"backend": func(t *testing.T, cfg registry.Config, proceed <-chan struct{}) *registry.Registry {
			r := unclosed(t, cfg)
			register(t, r, instance("a"))
			async(func() error { return r.Sync(bg, "s", slowBackend{slowSource(nil), proceed}, registry.SyncConfig{}) })
			return r
		},
	}, func(t *testing.T, busy func(*testing.T, registry.Config, <-chan struct{}) *registry.Registry) {
		proceed := make(chan struct{})
		r := busy(t, registry.Config{}, proceed)
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(bg, time.Second, errSick)
		defer cancel()
		begin := time.Now()
		assert.Equal(t, errSick, r.Close(ctx))
		assert.Equal(t, time.Second, time.Since(begin))
		_, err := r.Register(bg, instance("b"))
		require.ErrorIs(t, err, registry.ErrClosed, "it is closed all the same")
		again := async(func() error { return r.Close(bg) })
		third := async(func() error { return r.Close(bg) })
		time.Sleep(time.Hour)
		nothing(t, again)
		nothing(t, third)
		close(proceed)
		require.NoError(t, received(t, again))
		require.NoError(t, received(t, third))
		require.NoError(t, r.Close(bg), "and once more")
	})
}

// A slowSource does not look at its context, unless it is nil.
type slowSource <-chan struct{}

func (s slowSource) Run(ctx context.Context, _ func(registry.Batch) error) error {
	if s == nil {
		<-ctx.Done()
		return nil
	}
	<-s
	return nil
}

// A slowBackend does not look at the context of its Put.
type slowBackend struct {
	slowSource
	proceed <-chan struct{}
}

func (b slowBackend) Put(context.Context, registry.Record) error {
	<-b.proceed
	return nil
}

func (slowBackend) Remove(context.Context, registry.Ref) error { return nil }

// What a verb before Close has to tell is told before Close returns, and nothing
// after it.
func TestG39_HooksEndBeforeClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told atomic.Int32
		proceed := make(chan struct{})
		r := unclosed(t, registry.Config{Hooks: registry.Hooks{Change: func(registry.Change) {
			if told.Add(1) == 1 {
				<-proceed
			}
		}}})
		async(func() error {
			_, err := r.Register(bg, instance("a"))
			return err
		})
		synctest.Wait()
		for i := range 10 {
			register(t, r, instance(fmt.Sprint(i)))
		}
		closed := async(func() error { return r.Close(bg) })
		nothing(t, closed)
		assert.EqualValues(t, 1, told.Load())
		close(proceed)
		require.NoError(t, <-closed)
		assert.EqualValues(t, 11, told.Load())
	})
}

// A Close in a hook would wait for itself: until its context ends.
func TestG39_CloseInAHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *registry.Registry
		var inside error
		r = unclosed(t, registry.Config{Hooks: registry.Hooks{Change: func(registry.Change) {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			inside = r.Close(ctx)
		}}})
		l := register(t, r, instance("a"))
		require.ErrorIs(t, inside, context.DeadlineExceeded)
		lost(t, l, registry.ErrClosed)
		require.NoError(t, r.Close(bg))
	})
}

// However verbs and Close meet, the verb has happened as a whole or is ErrClosed,
// and nothing runs after Close. This needs real time and several processors.
func TestG39_CloseAmidstEverything(t *testing.T) {
	for range 50 {
		var over atomic.Bool
		var late atomic.Int32
		r := unclosed(t, registry.Config{Hooks: registry.Hooks{Change: func(registry.Change) {
			if over.Load() {
				late.Add(1)
			}
		}}})
		var wg sync.WaitGroup
		for w := range 4 {
			work := func(f func() error) {
				wg.Go(func() {
					for {
						if err := f(); err != nil {
							assert.ErrorIs(t, err, registry.ErrClosed)
							return
						}
					}
				})
			}
			in := checked(fmt.Sprint(w), registry.Check{Func: func(context.Context, registry.Instance) error {
				if over.Load() {
					late.Add(1)
				}
				return nil
			}})
			in.TTL = time.Minute
			work(func() error {
				l, err := r.Register(bg, in)
				if err != nil {
					return err
				}
				if err := l.SetHealth(registry.Warning, ""); err != nil {
					return err
				}
				return l.Drain(bg)
			})
			work(func() error {
				_, err := r.Service("orders").Wait(bg, r.Service("orders").Snapshot().Index())
				return err
			})
			work(func() error {
				for _, err := range r.Service(fmt.Sprint("s", w)).Watch(bg) {
					return err
				}
				return nil
			})
			work(func() error { return r.Feed(bg, fmt.Sprint(w), registry.Static(instanceOf("fed", fmt.Sprint(w)))) })
		}
		for range 3 {
			wg.Go(func() { assert.NoError(t, r.Close(bg)) })
		}
		require.NoError(t, r.Close(bg))
		over.Store(true)
		wg.Wait()
		require.Zero(t, late.Load())
	}
}

package registry_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A drainer drains instance a, whose lease is l.
type drainer func(ctx context.Context, r *registry.Registry, l *registry.Lease) error

func ownersDrain(ctx context.Context, _ *registry.Registry, l *registry.Lease) error {
	return l.Drain(ctx)
}

func operatorsDrain(ctx context.Context, r *registry.Registry, _ *registry.Lease) error {
	return r.Drain(ctx, "orders", "a")
}

// drainers are those who may drain, and what becomes of the lease by it.
var drainers = map[string]struct {
	drain drainer
	lease error
}{
	"owner":    {ownersDrain, nil},
	"operator": {operatorsDrain, registry.ErrLeaseLost},
}

// The contract of a drain on every clock: Draining at once and no new call,
// removed when the calls have ended and DrainGrace is over, whichever is later.
func TestG22_OnEveryClock(t *testing.T) {
	for name, c := range map[string]struct {
		grace, call time.Duration // how long they last; 0: there is none
		want        time.Duration
	}{
		"nothing to wait for":     {0, 0, 0},
		"negative grace":          {-1, 0, 0},
		"grace alone":             {5 * time.Second, 0, 5 * time.Second},
		"a call within the grace": {5 * time.Second, 3 * time.Second, 5 * time.Second},
		"a call beyond the grace": {5 * time.Second, 8500 * time.Millisecond, 8500 * time.Millisecond},
		"a call alone":            {0, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			for name, who := range drainers {
				t.Run(name, func(t *testing.T) {
					bothClocks(t, func(t *testing.T, clock registry.Clock, pass func(time.Duration)) {
						var j journal
						r := newRegistry(t, registry.Config{Clock: clock, DrainGrace: c.grace, Hooks: j.hooks()})
						l := register(t, r, instance("a"))
						e := l.Endpoint()
						if c.call > 0 {
							begin(t, e, 1)
						}
						j.take()
						times := newLog(clock)
						done := async(func() error {
							err := who.drain(bg, r, l)
							times.add()
							return err
						})
						synctest.Wait()
						assert.False(t, e.Live().Acquire(registry.Warning), "not another call")
						if c.want > 0 {
							assert.Equal(t, registry.Draining, healthOf(t, r, "a"))
							if c.call > 0 {
								pass(c.call)
								e.Live().Release()
								synctest.Wait()
							}
							if c.want > c.call {
								pass(c.want - c.call - 1)
								assert.Equal(t, registry.Draining, healthOf(t, r, "a"))
								pass(time.Nanosecond)
							}
						}
						require.NoError(t, received(t, done))
						assert.Equal(t, []time.Duration{c.want}, times.take())
						assert.Empty(t, present(r.Service("orders")))
						assert.Equal(t, registry.Down, e.Live().Health())
						lost(t, l, who.lease)
						assert.Equal(t, []string{"health a", "drained a"}, j.told())
					})
				})
			}
		})
	}
}

// The instance is removed when the last of its calls ends. All see Draining
// first, then the removal.
func TestG22_TheLastCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		l := register(t, r, instance("a"))
		live := begin(t, l.Endpoint(), 3)
		ctx, cancel := context.WithCancel(bg)
		updates, end := watch(ctx, r.Service("orders"))
		received(t, updates)
		j.take()
		done := async(func() error { return l.Drain(bg) })
		changed := received(t, updates).Changed
		require.Len(t, changed, 1)
		assert.Equal(t, registry.Draining, changed[0].Health())
		assert.Equal(t, "draining", changed[0].HealthReason())
		for i := 3; i > 0; i-- {
			assert.Equal(t, i, changed[0].InFlight())
			nothing(t, done)
			live.Release()
		}
		require.NoError(t, received(t, done))
		u := received(t, updates)
		require.Len(t, u.Removed, 1)
		assert.Equal(t, registry.ReasonDrained, u.Removed[0].Reason)
		assert.Equal(t, registry.Draining, u.Removed[0].Endpoint.Health())
		changes := j.take()
		require.Len(t, changes, 2)
		assert.Less(t, changes[0].Index, changes[1].Index)
		assert.Equal(t, registry.Draining, changes[1].Before.Health())
		assert.EqualValues(t, 3, live.Picks(), "a refused call is none")
		cancel()
		require.ErrorIs(t, received(t, end), context.Canceled)
	})
}

// A call that is refused counts for a moment. A drain that happens to look then
// is told when it does not count any more, so that it does not go on waiting for
// nobody: what Abandon has ended is noticed at once here, not within a second.
func TestG22_ARefusedCallWakesTheDrain(t *testing.T) {
	for name, who := range drainers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry(t, registry.Config{})
				l := register(t, r, instance("a"))
				live := begin(t, l.Endpoint(), 1)
				times := newLog(nil)
				done := async(func() error { return who.drain(bg, r, l) })
				nothing(t, done)
				live.Abandon() // does not wake anybody
				nothing(t, done)
				assert.False(t, live.Acquire(registry.Critical))
				require.NoError(t, received(t, done))
				times.add()
				assert.Equal(t, seconds(0), times.take())
				assert.EqualValues(t, 1, live.Picks())
			})
		})
	}
}

// When ctx ends the instance is removed at once, whatever is under way, and the
// error tells the cause.
func TestG22_ContextEnds(t *testing.T) {
	for name, who := range drainers {
		t.Run(name, func(t *testing.T) {
			bubbles(t, map[string]registry.Config{
				"a call is under way": {},
				"grace":               {DrainGrace: time.Hour},
			}, func(t *testing.T, cfg registry.Config) {
				var j journal
				cfg.Hooks = j.hooks()
				r := newRegistry(t, cfg)
				l := register(t, r, instance("a"))
				if cfg.DrainGrace == 0 {
					begin(t, l.Endpoint(), 1)
				}
				live := l.Endpoint().Live()
				ctx, cancel := context.WithCancelCause(bg)
				done := async(func() error { return who.drain(ctx, r, l) })
				nothing(t, done)
				cancel(errSick)
				err := received(t, done)
				var e *registry.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, registry.Error{Op: registry.OpDrain, Service: "orders", ID: "a", Err: errSick}, *e)
				assert.Empty(t, present(r.Service("orders")))
				assert.Equal(t, []string{"registered a", "health a", "drained a"}, j.told())
				lost(t, l, who.lease)
				live.Release() // harmless
				assert.Zero(t, live.InFlight())
			})
		})
	}
}

// A deadline is told as one.
func TestG22_DeadlineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, instance("a"))
		begin(t, l.Endpoint(), 1)
		ctx, cancel := context.WithTimeout(bg, 5*time.Second)
		defer cancel()
		times := newLog(nil)
		require.ErrorIs(t, l.Drain(ctx), context.DeadlineExceeded)
		times.add()
		assert.Equal(t, seconds(5), times.take())
	})
}

// With a context that has ended already nothing changes.
func TestG22_EndedContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(bg)
	cancel(errSick)
	for name, who := range drainers {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			l := register(t, r, instance("a"))
			assert.Equal(t, errSick, who.drain(ctx, r, l))
			assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
			require.ErrorContains(t, who.drain(nil, r, l), "nil context")
			require.NoError(t, l.Renew())
		})
	}
}

// A second Drain joins the first, whoever makes it: one Draining, one removal,
// the grace of the first, and both return when it is over.
func TestG22_SecondJoins(t *testing.T) {
	for first, one := range drainers {
		for second, two := range drainers {
			t.Run(first+", then "+second, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var j journal
					r := newRegistry(t, registry.Config{Hooks: j.hooks(), DrainGrace: 10 * time.Second})
					l := register(t, r, instance("a"))
					times := newLog(nil)
					done1 := async(func() error { return one.drain(bg, r, l) })
					time.Sleep(6 * time.Second)
					done2 := async(func() error { return two.drain(bg, r, l) })
					require.NoError(t, <-done1)
					times.add()
					require.NoError(t, received(t, done2))
					assert.Equal(t, seconds(10), times.take())
					assert.Equal(t, []string{"registered a", "health a", "drained a"}, j.told())
					want := registry.ErrLeaseLost
					if one.lease == nil || two.lease == nil {
						want = nil // the owner wanted it
					}
					lost(t, l, want)
				})
			})
		}
	}
}

// Of several contexts the first that ends counts for all.
func TestG22_TheShorterContextCounts(t *testing.T) {
	for first, one := range drainers {
		for second, two := range drainers {
			t.Run(first+", then "+second, func(t *testing.T) {
				bubbles(t, map[string]bool{"the first": true, "the second": false}, func(t *testing.T, firstEnds bool) {
					r := newRegistry(t, registry.Config{})
					l := register(t, r, instance("a"))
					begin(t, l.Endpoint(), 1)
					short, cancel := context.WithTimeoutCause(bg, time.Second, errSick)
					defer cancel()
					long, cancel := context.WithTimeout(bg, time.Hour)
					defer cancel()
					ctx1, ctx2 := long, short
					if firstEnds {
						ctx1, ctx2 = short, long
					}
					done1 := async(func() error { return one.drain(ctx1, r, l) })
					synctest.Wait()
					done2 := async(func() error { return two.drain(ctx2, r, l) })
					time.Sleep(time.Second - 1)
					nothing(t, done1)
					nothing(t, done2)
					time.Sleep(time.Nanosecond)
					require.ErrorIs(t, received(t, done1), errSick)
					require.ErrorIs(t, received(t, done2), errSick)
					assert.Empty(t, present(r.Service("orders")))
				})
			})
		}
	}
}

// A call that was given up rather than ended is noticed within a second.
func TestG22_AnAbandonedCall(t *testing.T) {
	bothClocks(t, func(t *testing.T, clock registry.Clock, pass func(time.Duration)) {
		r := newRegistry(t, registry.Config{Clock: clock})
		l := register(t, r, instance("a"))
		live := begin(t, l.Endpoint(), 1)
		done := async(func() error { return l.Drain(bg) })
		pass(time.Minute)
		nothing(t, done)
		live.Abandon()
		assert.Zero(t, live.InFlight())
		pass(time.Second)
		require.NoError(t, received(t, done))
	})
}

// However calls come and go, none is under way when a drain is over, and none
// begins afterwards. This needs real time and several processors.
func TestG22_NoCallSlipsThrough(t *testing.T) {
	for range 60 {
		r := unclosed(t, registry.Config{})
		l := register(t, r, instance("a"))
		e := l.Endpoint()
		var over atomic.Bool
		var late atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for refused := 0; refused < 20; {
					if !e.Live().Acquire(registry.Warning) {
						refused++
						continue
					}
					for range 20 {
						if over.Load() {
							late.Add(1)
						}
					}
					e.Live().Release()
				}
			})
		}
		for e.Picks() < 10 { // they are at it
		}
		err := l.Drain(bg)
		over.Store(true)
		wg.Wait()
		require.NoError(t, err)
		require.Zero(t, late.Load())
		require.Zero(t, e.InFlight())
		require.NoError(t, r.Close(bg))
	}
}

// After its own drain a lease is over without an error; what it is asked then
// comes too late.
func TestG22_AfterTheDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{DrainGrace: 20 * time.Second})
		l := register(t, r, leased("a", 9*time.Second))
		kept := async(func() error { return l.KeepAlive(bg) })
		done := async(func() error { return l.Drain(bg) })
		time.Sleep(15 * time.Second)
		assert.Equal(t, registry.Draining, healthOf(t, r, "a"), "renewed all the while")
		nothing(t, kept)
		time.Sleep(5 * time.Second)
		require.NoError(t, received(t, done))
		require.NoError(t, received(t, kept))
		lost(t, l, nil)
		for _, err := range []error{
			l.Drain(bg), l.Deregister(), l.Renew(), l.SetHealth(registry.Down, ""), l.Update(instance("a")),
		} {
			require.ErrorIs(t, err, registry.ErrLeaseLost)
		}
		require.ErrorIs(t, r.Drain(bg, "orders", "a"), registry.ErrNotFound)
		require.NoError(t, l.Err(), "as it was")
		require.NoError(t, l.KeepAlive(bg))
	})
}

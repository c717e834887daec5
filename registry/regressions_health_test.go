package registry_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A run that comes back because its Timeout is over has not ended in time, even
// if it returns nil: what it returns then must not win a race with the timer.
func TestG21_WhatReturnsAtTheTimeoutIsTooLate(t *testing.T) {
	for range 500 {
		synctest.Test(t, func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			register(t, r, checked("a", registry.Check{FailuresBeforeCritical: 1, Func: func(ctx context.Context, _ registry.Instance) error {
				<-ctx.Done()
				return nil
			}}))
			time.Sleep(5 * time.Second)
			require.Equal(t, registry.Critical, healthOf(t, r, "a"))
		})
	}
}

// What was due while the process stood still is left out, not made up for: one
// run when it goes on, and the next one on schedule.
func TestG21_AStallIsNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHandClock()
		r := newRegistry(t, registry.Config{Clock: c})
		starts := newLog(c)
		register(t, r, checked("a", registry.Check{Func: func(context.Context, registry.Instance) error {
			starts.add()
			return nil
		}}))
		c.run(time.Second)
		c.sleep(35 * time.Second)
		c.run(9 * time.Second) // the timer for 10 is late: it is 45
		assert.Len(t, starts.take(), 2)
		c.run(14 * time.Second)
		assert.Len(t, starts.take(), 1)
	})
}

// A run that is given up at its Timeout, and obeys, does not cost the next one,
// although that is due at the same instant: with an Interval up to 2s Timeout is
// as long by default.
func TestG21_ATimeoutAsLongAsTheInterval(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			starts := newLog(nil)
			register(t, r, checked("a", registry.Check{Interval: time.Second, Func: func(ctx context.Context, _ registry.Instance) error {
				starts.add()
				<-ctx.Done()
				return ctx.Err()
			}}))
			time.Sleep(3500 * time.Millisecond)
			synctest.Wait()
			assert.Equal(t, seconds(0, 1, 2, 3), starts.take())
			assert.Equal(t, registry.Critical, healthOf(t, r, "a"), "after three failures")
		})
	}
}

// A badError is what `var e *badError; return e` gives.
type badError struct{ text string }

func (e *badError) Error() string { return e.text }

// The text of an error is user code as well: its panic is a failure of the check,
// not the end of the process.
func TestG21_AnErrorThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		register(t, r, checked("a", registry.Check{FailuresBeforeCritical: 1, Func: func(context.Context, registry.Instance) error {
			var e *badError
			return e
		}}))
		synctest.Wait()
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
	})
}

// A callingError calls the registry to make its text.
type callingError struct{ r *registry.Registry }

func (e callingError) Error() string {
	_ = e.r.SetHealth(bg, "orders", "a", registry.Warning, "")
	return "sick"
}

// No lock is held while the text of an error is made.
func TestG21_AnErrorThatCallsTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		register(t, r, checked("a", registry.Check{FailuresBeforeCritical: 1, Func: func(context.Context, registry.Instance) error {
			return callingError{r}
		}}))
		synctest.Wait()
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
	})
}

// A drain that both the owner and an operator want: when somebody registers the
// ID again the owner's is over, and the operator's goes on. The new owner did not
// ask for it, so his lease is lost by it.
func TestG22_BothDrainAndAnotherOwnerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{DrainGrace: time.Minute})
		l := register(t, r, instance("a"))
		operator := async(func() error { return r.Drain(bg, "orders", "a") })
		owner := async(func() error { return l.Drain(bg) })
		nothing(t, owner)
		next := register(t, r, leased("a", 9*time.Second))
		kept := async(func() error { return next.KeepAlive(bg) })
		assert.ErrorIs(t, received(t, owner), registry.ErrLeaseLost)
		time.Sleep(time.Minute)
		require.NoError(t, received(t, operator))
		require.ErrorIs(t, received(t, kept), registry.ErrLeaseLost)
		lost(t, next, registry.ErrLeaseLost)
	})
}

// A lease that lapses while its owner drains is over for good: when Drain has
// returned no KeepAlive brings the instance back.
func TestG22_ALapseWhileDraining(t *testing.T) {
	for name, who := range drainers {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newHandClock()
				r := newRegistry(t, registry.Config{Clock: c})
				l := register(t, r, leased("a", 9*time.Second))
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				async(func() error { return l.KeepAlive(ctx) })
				c.run(time.Second)
				begin(t, l.Endpoint(), 1)
				done := async(func() error { return who.drain(ctx, r, l) })
				nothing(t, done)
				c.sleep(20 * time.Second) // the process stands still
				r.Sweep()
				c.run(time.Minute)
				assert.Empty(t, withHealth(r.Service("orders"), registry.Passing))
				cancel()
				_ = received(t, done) // whatever it is
			})
		})
	}
}

// Lease.Drain returns ErrLeaseLost if the lease gets lost meanwhile, as Err does.
func TestG22_ALeaseLostWhileDraining(t *testing.T) {
	bubbles(t, map[string]func(r *registry.Registry){
		"expired": func(*registry.Registry) { time.Sleep(time.Minute) },
		"by hand": func(r *registry.Registry) { _ = r.Deregister(bg, "orders", "a") },
	}, func(t *testing.T, lose func(*registry.Registry)) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, leased("a", time.Minute))
		begin(t, l.Endpoint(), 1)
		done := async(func() error { return l.Drain(bg) })
		nothing(t, done)
		lose(r)
		require.ErrorIs(t, received(t, done), registry.ErrLeaseLost)
		lost(t, l, registry.ErrLeaseLost)
	})
}

// An owner deregisters what is his, and the claim of a feed takes over; he drains
// the instance, which is gone then, whoever names it.
func TestG22_WhatAFeedSays(t *testing.T) {
	bubbles(t, map[string]struct {
		leave func(l *registry.Lease) error
		stays bool
	}{
		"Deregister": {func(l *registry.Lease) error { return l.Deregister() }, true},
		"Drain":      {func(l *registry.Lease) error { return l.Drain(bg) }, false},
	}, func(t *testing.T, c struct {
		leave func(l *registry.Lease) error
		stays bool
	},
	) {
		r := newRegistry(t, registry.Config{})
		p, _ := feed(t, r, "f")
		p.put(0, instance("a"))
		l := register(t, r, instance("a"))
		require.NoError(t, c.leave(l))
		_, ok := r.Service("orders").Get("a")
		assert.Equal(t, c.stays, ok)
	})
}

// A feed whose hook calls runtime.Goexit is over, and its name free.
func TestG38_GoexitOfFeedState(t *testing.T) {
	bubbles(t, map[string]registry.Hooks{
		"FeedState": {FeedState: func(s registry.FeedState) {
			if !s.Connected {
				runtime.Goexit()
			}
		}},
		"Change": {Change: func(c registry.Change) {
			if c.After == nil {
				runtime.Goexit()
			}
		}},
	}, func(t *testing.T, hooks registry.Hooks) {
		r := newRegistry(t, registry.Config{Hooks: hooks})
		ctx, cancel := context.WithCancel(bg)
		async(func() error { return r.Feed(ctx, "f", registry.Static(instance("a"))) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		assert.Zero(t, r.Stats().Feeds)
		ctx, cancel = context.WithCancel(bg)
		defer cancel()
		again := async(func() error { return r.Feed(ctx, "f", registry.Static(instance("a"))) })
		nothing(t, again)
	})
}

// Authorize is asked before anything else, also before what is said is looked at.
func TestG7_AuthorizeBeforeTheHealthIsChecked(t *testing.T) {
	r := newRegistry(t, registry.Config{Authorize: func(_ context.Context, op registry.Op, _ registry.Instance) error {
		if op == registry.OpSetHealth {
			return errForbidden
		}
		return nil
	}})
	register(t, r, instance("a"))
	require.ErrorIs(t, r.SetHealth(bg, "orders", "a", registry.Stale, ""), errForbidden)
}

// A fed record that is equal but for its Check replaces the check, as a
// registration does.
func TestG20_AFedCheckIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		p, _ := feed(t, r, "f")
		p.put(0, instance("a"))
		var runs atomic.Int32
		p.put(0, checked("a", registry.Check{Func: func(context.Context, registry.Instance) error {
			runs.Add(1)
			return errors.New("sick")
		}}))
		time.Sleep(time.Minute)
		assert.NotZero(t, runs.Load())
	})
}

// When nothing is left to wait for Close has succeeded, whatever its context is.
func TestG39_CloseWithNothingToWaitFor(t *testing.T) {
	ctx, cancel := context.WithCancel(bg)
	cancel()
	for range 50 {
		require.NoError(t, unclosed(t, registry.Config{}).Close(ctx))
	}
}

// A panic is a failure, also one with what Warn returns.
func TestG21_APanicWithAWarningFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		register(t, r, checked("a", registry.Check{FailuresBeforeCritical: 1, Func: func(context.Context, registry.Instance) error {
			panic(registry.Warn(errSick))
		}}))
		synctest.Wait()
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
	})
}

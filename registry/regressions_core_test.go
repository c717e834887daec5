package registry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A record that is delivered again to a claim that is held, and has a check.
func TestG6_NoIDTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Rand: half})
		src := newTap()
		followed(t, func(ctx context.Context) error { return r.Feed(ctx, "f", src) })
		ins := numbered(20, 10*time.Second)
		for i := range ins {
			ins[i].Check = registry.Check{Func: func(context.Context, registry.Instance) error { return nil }}
		}
		require.NoError(t, src.put(ins...))
		synctest.Wait()
		time.Sleep(10*time.Second + time.Millisecond)
		require.NotEmpty(t, withHealth(r.Service("orders"), registry.Stale))
		require.NoError(t, src.put(ins...))
		synctest.Wait()
		s := r.Service("orders").Snapshot()
		assert.Equal(t, 20, s.Len())
		seen := map[string]int{}
		for e := range s.All() {
			seen[e.ID()]++
		}
		for id, n := range seen {
			assert.Equal(t, 1, n, id)
		}
	})
}

// A run that is owed is not made inside the one before.
func TestG21_OwedRunsDoNotNest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Rand: half})
		var depth, runs atomic.Int64
		in := instance("a")
		in.Check = registry.Check{Interval: time.Second, Jitter: -1, Func: func(ctx context.Context, _ registry.Instance) error {
			pcs := make([]uintptr, 1<<16)
			depth.Store(int64(runtime.Callers(0, pcs)))
			runs.Add(1)
			<-ctx.Done()
			return ctx.Err()
		}}
		register(t, r, in)
		time.Sleep(10*time.Second + time.Millisecond)
		d1 := depth.Load()
		time.Sleep(1000 * time.Second)
		t.Log("runs", runs.Load(), "depth after 10:", d1, "after 1010:", depth.Load())
		assert.Less(t, depth.Load(), d1+50)
	})
}

// What the owner says while a kept lease has lapsed is not lost.
func TestG11_AWordInTheGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newHandClock()
		r := newRegistry(t, registry.Config{Clock: m})
		l := register(t, r, leased("a", 9*time.Second))
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		go l.KeepAlive(ctx)
		synctest.Wait()
		m.sleep(10 * time.Second)
		err := l.SetHealth(registry.Down, "shutting down")
		t.Log(err)
		m.wake(10 * time.Second)
		e, ok := r.Service("orders").Get("a")
		if ok {
			t.Log(e.Health(), l.Err())
		}
		assert.True(t, err == nil || !ok, "SetHealth says the lease is lost, and the instance is Passing again")
	})
}

// All KeepAlive calls learn of another TTL, not only the first that looks.
func TestG11_TwoKeepers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, instance("a"))
		c1, cancel1 := context.WithCancel(bg)
		c2, cancel2 := context.WithCancel(bg)
		defer cancel2()
		go l.KeepAlive(c1)
		synctest.Wait()
		go l.KeepAlive(c2)
		synctest.Wait()
		require.NoError(t, l.Update(leased("a", 10*time.Second)))
		synctest.Wait()
		cancel1()
		time.Sleep(30 * time.Second)
		gen := l.Endpoint().Generation()
		t.Log("present:", present(r.Service("orders")), gen, l.Err())
		assert.Equal(t, []string{"a"}, present(r.Service("orders")))
	})
}

// What has expired is not part of the last state.
func TestG39_NothingExpiredStays(t *testing.T) {
	m := newHandClock()
	r := registry.MustNew(registry.Config{Clock: m})
	register(t, r, leased("a", 10*time.Second))
	m.sleep(11 * time.Second)
	require.NoError(t, r.Close(bg))
	assert.Empty(t, present(r.Service("orders")))
}

// A Reset that moves an instance from one service to another finds room.
func TestG41_ResetAtALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Limits: registry.Limits{Services: 1}})
		src := newTap()
		followed(t, func(ctx context.Context) error { return r.Feed(ctx, "f", src) })
		require.NoError(t, src.reset(instanceOf("b", "x")))
		require.NoError(t, src.reset(instanceOf("a", "x")))
		assert.Equal(t, 1, r.Stats().Services)
	})
}

// A waiter on a name that was never there leaves, and the index of absent names does not go back.
func TestG15_OfNamesThatNeverWere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		ctx, cancel := context.WithCancel(bg)
		updates, _ := watch(ctx, r.Service("nobody"))
		received(t, updates)
		l := register(t, r, instanceOf("other", "a"))
		require.NoError(t, l.Deregister())
		before := r.Service("absent").Snapshot().Index()
		cancel()
		synctest.Wait()
		assert.GreaterOrEqual(t, r.Service("absent").Snapshot().Index(), before)
	})
}

// What a check comes to after the lease is over is no change of health.
func TestG9_JudgedAfterTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHandClock()
		var j journal
		r := newRegistry(t, registry.Config{Clock: c, Hooks: j.hooks()})
		in := leased("a", 10*time.Second)
		hold := make(chan struct{})
		in.Check = registry.Check{Timeout: -1, Func: func(context.Context, registry.Instance) error { <-hold; return nil }}
		register(t, r, in)
		synctest.Wait()
		c.sleep(20 * time.Second)
		close(hold)
		synctest.Wait()
		for _, ch := range j.take() {
			t.Log(ch.Reason, ch.At, ch.Index)
			if ch.Reason == registry.ReasonHealth {
				assert.Fail(t, "a change of an instance that is past its deadline")
			}
		}
	})
}

// A name is free again also if there are hooks.
func TestG6_ReleasedWithHooks(t *testing.T) {
	r := newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(registry.Change) {}}})
	l := register(t, r, instanceOf("a", "x"))
	require.NoError(t, l.Deregister())
	l = register(t, r, instanceOf("b", "x"))
	require.NoError(t, l.Deregister())
	assert.Equal(t, r.Service("b").Snapshot().Index(), r.Service("a").Snapshot().Index())
}

// A Timeout as long as the Interval, and a function that never returns: every due run has failed.
func TestG21_HungRunsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		never := make(chan struct{})
		in := instance("a")
		in.Check = registry.Check{Interval: time.Second, Jitter: -1, Func: func(context.Context, registry.Instance) error { <-never; return nil }}
		register(t, r, in)
		time.Sleep(2*time.Second + 100*time.Millisecond)
		e, _ := r.Service("orders").Get("a")
		assert.Equal(t, registry.Critical, e.Health(), "failed at 1s for its Timeout, for the run due then, and for the one due at 2s")
		close(never)
	})
}

// The instances of a service are those of one instant.
func TestG42_ExportOfOneInstant(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	stop := make(chan struct{})
	done := make(chan struct{})
	put := func(v string) {
		a := numbered(50, -1)
		for k := range a {
			a[k].Version = v
		}
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, a...)
		assert.NoError(t, err)
	}
	put("0")
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				put(fmt.Sprint(i))
			}
		}
	}()
	for range 300 {
		var b strings.Builder
		require.NoError(t, r.Export(&b))
		vs := map[string]bool{}
		for _, f := range strings.Split(b.String(), `"version":"`)[1:] {
			vs[f[:strings.IndexByte(f, '"')]] = true
		}
		if len(vs) != 1 {
			assert.Fail(t, fmt.Sprint(vs))
			break
		}
	}
	close(stop)
	<-done
}

// An equal registration changes nothing, whatever has lapsed behind it.
func TestG1_EqualBesideALostFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Rand: half})
		src := newTap()
		followed(t, func(ctx context.Context) error { return r.Feed(ctx, "f", src) })
		require.NoError(t, src.put(leased("a", 10*time.Second)))
		register(t, r, instance("a"))
		src.end(errors.New("away"))
		time.Sleep(20 * time.Second)
		s := r.Service("orders").Snapshot()
		t.Log(s.Disconnected())
		register(t, r, instance("a"))
		assert.Equal(t, s.Index(), r.Service("orders").Snapshot().Index(), "equal content: no change, same index")
	})
}

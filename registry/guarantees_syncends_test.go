package registry_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

// Accept chooses among what is received; a function that panics does not choose it.
func TestG41_Accept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l feedLog
		r := newRegistry(t, registry.Config{Hooks: l.hooks(registry.Hooks{})})
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{Accept: func(in registry.Instance) bool {
			if in.ID == "c" {
				panic("c")
			}
			clear(in.Tags) // it is a copy
			return in.ID != "b"
		}})
		tagged := instance("a")
		tagged.Tags = []string{"x"}
		require.NoError(t, b.reset(tagged, instance("b"), instance("c"), instance("d")))
		require.NoError(t, b.put(instance("b"), instance("c"), instance("e")))
		assert.Equal(t, []string{"a cluster", "d cluster", "e cluster"}, origins(r))
		e, _ := r.Service("orders").Get("a")
		assert.True(t, e.HasTag("x"))
		assert.Len(t, l.panicked(), 2)
		require.NoError(t, b.remove("a", "b"))
		assert.Equal(t, []string{"d cluster", "e cluster"}, origins(r))
	})
}

// Own records that come back are ignored, and so they are when this registry does
// not have them any more; those of others are not.
func TestG41_OwnRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{})
		l := register(t, r, instance("a"))
		own := b.record(t, "a")
		assert.Equal(t, []string{"registered a"}, j.told())
		batch := registry.Batch{Reset: true, Put: []registry.Record{own, {Instance: instance("b")}}}
		require.NoError(t, b.send(batch))
		assert.Equal(t, []registry.Record{own, {Instance: instance("b")}}, batch.Put, "it is the backend's slice")
		require.NoError(t, b.remove("b"))
		assert.Equal(t, []string{"registered b", "withdrawn b"}, j.told())
		require.NoError(t, b.send(registry.Batch{Put: []registry.Record{own}}))
		require.NoError(t, l.Deregister())
		require.NoError(t, b.send(registry.Batch{Put: []registry.Record{own}}))
		assert.Equal(t, []string{"deregistered a"}, j.told())
		own.Owner = "an earlier process"
		require.NoError(t, b.send(registry.Batch{Put: []registry.Record{own}}))
		assert.Equal(t, []string{"a cluster"}, origins(r))
	})
}

// What a feed, an import or another Sync brought is not put.
func TestG41_NothingReceivedIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		b, c := newCounter(), newCounter()
		synced(t, r, b, registry.SyncConfig{})
		followed(t, func(ctx context.Context) error { return r.Sync(ctx, "second", c, registry.SyncConfig{}) })
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("fed")))
		require.NoError(t, b.reset(instance("of b")))
		require.NoError(t, c.reset(instance("of c")))
		imported(t, r, instance("imported"))
		require.NoError(t, r.SetHealth(bg, "orders", "fed", registry.Down, ""))
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"fed dns", "imported import", "of b cluster", "of c second"}, origins(r))
		assert.Empty(t, b.calls.take())
		assert.Empty(t, c.calls.take())

		l := register(t, r, instance("fed")) // this one is local
		assert.Equal(t, []string{"fed"}, b.has())
		assert.Equal(t, registry.Down, b.record(t, "fed").Health)
		require.NoError(t, l.Deregister())
		assert.Empty(t, b.has(), "and what takes over is not")
		assert.Equal(t, []string{"fed dns", "imported import", "of b cluster", "of c second"}, origins(r))
	})
}

// What was never put is not removed, and nobody asks about it again until it changes.
func TestG41_NothingToRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		b := newCounter()
		asked := newTimes()
		f := synced(t, r, b, registry.SyncConfig{Publish: func(in registry.Instance) bool {
			asked.note(in.Version)
			return false
		}})
		in := instance("a")
		in.Version = "1"
		l := register(t, r, in)
		time.Sleep(time.Hour)
		in.Version = "2"
		require.NoError(t, l.Update(in))
		time.Sleep(time.Hour)
		require.NoError(t, l.Deregister())
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"0s 1", "1h0m0s 2"}, asked.take())
		f.over(t, errAway)
		assert.Empty(t, b.calls.take())
	})
}

// At the end Sync takes out what it put, within 5s, and gives up when that fails.
func TestG41_SyncEnds(t *testing.T) {
	bubbles(t, map[string]struct {
		answer func(ctx context.Context, call string) error
		left   int
		took   time.Duration
	}{
		"works":  {nil, 0, 0},
		"fails":  {func(context.Context, string) error { return errAway }, 3, 0},
		"panics": {func(context.Context, string) error { panic("no") }, 3, 0},
		"Goexits": {func(_ context.Context, call string) error {
			if call == "remove a" {
				runtime.Goexit()
			}
			return nil
		}, 0, 0},
		"blocks": {func(ctx context.Context, _ string) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, 3, 5 * time.Second},
	}, func(t *testing.T, c struct {
		answer func(ctx context.Context, call string) error
		left   int
		took   time.Duration
	},
	) {
		r := newRegistry(t, registry.Config{})
		b := newCounter()
		f := synced(t, r, b, registry.SyncConfig{})
		for _, id := range []string{"a", "b", "c", "d"} {
			register(t, r, instance(id))
		}
		require.NoError(t, b.reset(instance("theirs")))
		assert.Len(t, b.has(), 4)
		b.answers(c.answer)
		start := time.Now()
		f.stop(errAway)
		assert.Equal(t, errAway, <-f.end)
		assert.Equal(t, c.took, time.Since(start))
		assert.Len(t, b.has(), c.left)
		assert.Equal(t, []string{"a", "b", "c", "d"}, origins(r), "of both sides")
		b.calls.take()
		require.NoError(t, mustLease(r.Register(bg, instance("a"))).Deregister())
		time.Sleep(time.Minute)
		assert.Empty(t, b.calls.take())
	})
}

func mustLease(l *registry.Lease, err error) *registry.Lease {
	if err != nil {
		panic(err)
	}
	return l
}

// Close ends a Sync, which takes out what it put before Close returns.
func TestG41_CloseDuringSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		b := newCounter()
		f := synced(t, r, b, registry.SyncConfig{})
		register(t, r, instance("a"))
		require.NoError(t, b.reset(instance("theirs")))
		time.Sleep(time.Second)
		b.answers(func(context.Context, string) error {
			time.Sleep(time.Second)
			return nil
		})
		b.calls.take()
		require.NoError(t, r.Close(bg))
		assert.Equal(t, []string{"1s remove a"}, b.calls.take())
		require.ErrorIs(t, received(t, f.end), registry.ErrClosed)
		assert.Equal(t, []string{"a", "theirs cluster"}, origins(r), "snapshots keep their last state")
	})
}

// The receiving side of a Sync is a Feed: it fails and is run again, and panics are
// contained; the sending side goes on meanwhile.
func TestG41_OriginAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l feedLog
		r := newRegistry(t, registry.Config{Rand: half, Hooks: l.hooks(registry.Hooks{})})
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{})
		require.NoError(t, b.reset(instance("theirs")))
		b.end(errAway)
		assert.True(t, r.Service("orders").Snapshot().Disconnected())
		register(t, r, instance("a"))
		assert.Equal(t, []string{"a"}, b.has())
		assert.Equal(t, []string{"a", "theirs cluster"}, origins(r), "reads go on")
		b.do(func() { panic("no") })
		require.NoError(t, b.put(instance("more")))
		assert.Equal(t, []string{"a", "more cluster", "theirs cluster"}, origins(r))
		assert.Equal(t, []string{"0s run", "1s run", "3s run"}, b.tap.calls.take())
		assert.Equal(t, []string{"cluster connected", "cluster disconnected: no route to host", "cluster connected"}, l.told())
	})
}

// machines are registries with one backend.
func machines(t *testing.T, n int, cfg registry.Config) ([]*registry.Registry, []*registrytest.Backend) {
	t.Helper()
	rs, bs := make([]*registry.Registry, n), make([]*registrytest.Backend, n)
	first := registrytest.NewBackend(registrytest.BackendConfig{Clock: cfg.Clock})
	for i := range rs {
		rs[i], bs[i] = newRegistry(t, cfg), first.Machine()
		synced(t, rs[i], bs[i], registry.SyncConfig{})
	}
	return rs, bs
}

// What a machine registers the others see while it is there and a TTL longer; what
// they see changes with it, and does not wake anybody without a change.
func TestG41_Machines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, bs := machines(t, 3, registry.Config{Rand: half})
		l := register(t, rs[0], instance("a"))
		register(t, rs[1], instance("b"))
		synctest.Wait()
		assert.Equal(t, []string{"a", "b cluster"}, origins(rs[0]))
		assert.Equal(t, []string{"a cluster", "b"}, origins(rs[1]))
		assert.Equal(t, []string{"a cluster", "b cluster"}, origins(rs[2]))
		indexes := func() (all []uint64) {
			for _, r := range rs {
				all = append(all, r.Stats().Index)
			}
			return all
		}
		before := indexes()
		time.Sleep(time.Hour)
		assert.Equal(t, before, indexes(), "renewals are no changes")
		require.NoError(t, l.SetHealth(registry.Warning, "hot"))
		synctest.Wait()
		assert.Equal(t, []string{"a"}, withHealth(rs[2].Service("orders"), registry.Warning))
		require.NoError(t, l.Deregister())
		synctest.Wait()
		assert.Equal(t, []string{"b cluster"}, origins(rs[2]))
		assert.Equal(t, []string{"b cluster"}, origins(rs[0]))

		bs[1].Disconnect(errAway) // its record is not renewed any more
		time.Sleep(15*time.Second - time.Nanosecond)
		assert.Equal(t, []string{"b cluster"}, origins(rs[2]))
		time.Sleep(5 * time.Second)
		assert.Empty(t, origins(rs[2]))
		assert.Equal(t, []string{"b"}, origins(rs[1]))
		bs[1].Reconnect()
		time.Sleep(36 * time.Second)
		assert.Equal(t, []string{"b cluster"}, origins(rs[2]), "a failed Put is repeated")
	})
}

// The same with a Mock, whose time has to reach the backend too.
func TestG41_MachinesWithMock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		rs, bs := machines(t, 2, registry.Config{Clock: mock})
		register(t, rs[0], instance("a"))
		for range 100 {
			synctest.Wait()
			mock.Add(time.Second)
		}
		synctest.Wait()
		assert.Equal(t, []string{"a cluster"}, origins(rs[1]))
		bs[0].Disconnect(nil)
		for range 15 {
			synctest.Wait()
			mock.Add(time.Second)
		}
		synctest.Wait()
		assert.Empty(t, origins(rs[1]))
	})
}

// Machines that register the same ID each have their own; others have the one put
// last. When one of them leaves, that of the other is there at the latest with its
// next renewal.
func TestG41_SameIDOnTwoMachines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, _ := machines(t, 3, registry.Config{Rand: half})
		la := register(t, rs[0], at("x", "10.0.0.1:80"))
		lb := register(t, rs[1], at("x", "10.0.0.2:80"))
		for range 20 {
			time.Sleep(1700 * time.Millisecond)
			assert.Equal(t, []string{"x 10.0.0.1:80 "}, addresses(rs[0]))
			assert.Equal(t, []string{"x 10.0.0.2:80 "}, addresses(rs[1]))
			assert.Len(t, addresses(rs[2]), 1)
		}
		require.NoError(t, la.Deregister())
		time.Sleep(6 * time.Second)
		for i, want := range []string{"x 10.0.0.2:80 cluster", "x 10.0.0.2:80 ", "x 10.0.0.2:80 cluster"} {
			assert.Equal(t, []string{want}, addresses(rs[i]), fmt.Sprint("machine ", i))
		}
		require.NoError(t, lb.Deregister())
		synctest.Wait()
		for _, r := range rs {
			assert.Empty(t, addresses(r))
		}
	})
}

// The context of a Put and of a Remove ends after 5s, so that one which hangs
// does not keep the others from being renewed.
func TestG41_CallsEndAfter5s(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Rand: half})
		b := newCounter()
		f := synced(t, r, b, registry.SyncConfig{})
		ended := make(chan string, 2)
		hang := func(ctx context.Context, call string) error {
			begin := time.Now()
			<-ctx.Done()
			ended <- fmt.Sprint(call, " ", time.Since(begin), " ", context.Cause(ctx))
			b.answers(nil)
			return context.Cause(ctx)
		}
		b.answers(hang)
		l := register(t, r, instance("a"))
		assert.Equal(t, "put a passing 5s context deadline exceeded", <-ended)
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"a"}, b.has())
		b.answers(hang)
		require.NoError(t, l.Deregister())
		assert.Equal(t, "remove a 5s context deadline exceeded", <-ended)
		f.over(t, errAway)
	})
}

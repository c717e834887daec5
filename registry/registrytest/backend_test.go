package registrytest_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

var _ registry.Backend = (*registrytest.Backend)(nil)

// K1: all machines see the same records; a run begins with all of them, and goes
// on with what changes.
func TestK1_machinesShareRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := registrytest.NewBackend(registrytest.BackendConfig{})
		b := a.Machine()
		put(t, a, record("1", "x"))
		put(t, b, record("2", "x"))
		fa, fb, fc := follow(a), follow(b), follow(b.Machine())
		for _, f := range []*follower{fa, fb, fc} {
			assert.Equal(t, []string{"= 1 x", "= 2 x"}, f.told())
		}
		put(t, a, record("1", "y"))
		require.NoError(t, b.Remove(bg, ref("2")))
		for _, f := range []*follower{fa, fb, fc} {
			assert.Equal(t, []string{"- 2", "+ 1 y"}, f.told())
			f.stop(errors.New("enough"))
			assert.EqualError(t, f.ended(t), "enough")
		}
	})
}

// K1: the first batch is a Reset even if it is empty.
func TestK1_emptyReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(registrytest.NewBackend(registrytest.BackendConfig{}))
		assert.Equal(t, []string{"="}, f.told())
		f.stop(nil)
	})
}

// K1: each change comes in a batch of its own to who keeps up; for who does not
// they add up.
func TestK1_changesAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := registrytest.NewBackend(registrytest.BackendConfig{})
		gate := make(chan struct{})
		var got []registry.Batch
		ctx, stop := context.WithCancel(bg)
		go func() {
			_ = b.Run(ctx, func(batch registry.Batch) error {
				got = append(got, batch)
				<-gate
				return nil
			})
		}()
		synctest.Wait()
		for i := range 100 {
			put(t, b, record("x", strconv.Itoa(i)), record("y", strconv.Itoa(i)))
			require.NoError(t, b.Remove(bg, ref("y")))
		}
		close(gate)
		synctest.Wait()
		stop()
		require.Len(t, got, 2)
		assert.Equal(t, registry.Batch{Put: []registry.Record{record("x", "99")}}, got[1])
	})
}

// K1: a record is named by its ID or else by its address.
func TestK1_addrForID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := registrytest.NewBackend(registrytest.BackendConfig{})
		put(t, b, record("", "1"), record("10.0.0.1:80", "2"))
		f := follow(b)
		assert.Equal(t, []string{"= 10.0.0.1:80 2"}, f.told())
		put(t, b, record("", "3"))
		require.NoError(t, b.Remove(bg, ref("10.0.0.1:80")))
		assert.Equal(t, []string{"- 10.0.0.1:80"}, f.told())
		f.stop(nil)
	})
}

// K1: what is kept and delivered are copies, without what cannot reach another
// process.
func TestK1_copies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := registrytest.NewBackend(registrytest.BackendConfig{})
		rec := record("x", "1")
		rec.Owner, rec.Health = "me", registry.Warning
		rec.Instance.Tags, rec.Instance.Meta = []string{"a"}, map[string]string{"k": "v"}
		want := rec
		want.Instance.Tags, want.Instance.Meta = []string{"a"}, map[string]string{"k": "v"}
		rec.Instance.Attrs = []registry.Attr{registry.NewKey[int]("n").Value(1)}
		rec.Instance.Check.Func = func(context.Context, registry.Instance) error { return nil }
		put(t, b, rec)
		rec.Instance.Tags[0], rec.Instance.Meta["k"] = "changed", "changed"
		for range 2 {
			f := follow(b)
			synctest.Wait()
			got := (<-f.batches).Put
			assert.Equal(t, []registry.Record{want}, got)
			got[0].Instance.Tags[0], got[0].Instance.Meta["k"] = "changed", "changed"
			f.stop(nil)
		}
	})
}

// K2: Remove takes out what this machine put last, and nothing else.
func TestK2_removeOwnOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := registrytest.NewBackend(registrytest.BackendConfig{})
		b := a.Machine()
		put(t, a, record("mine", ""), record("taken over", "a"))
		put(t, b, record("theirs", ""), record("taken over", "b"))
		f := follow(b)
		f.told()
		for _, id := range []string{"theirs", "taken over", "nobody's"} {
			require.NoError(t, a.Remove(bg, ref(id)))
			assert.Empty(t, f.told())
		}
		require.NoError(t, a.Remove(bg, ref("mine")))
		require.NoError(t, b.Remove(bg, ref("taken over")))
		require.NoError(t, b.Remove(bg, ref("taken over")))
		assert.Equal(t, []string{"- mine", "- taken over"}, f.told())
		f.stop(nil)
	})
}

// K3: a record vanishes when its TTL is over, at that instant, and not before.
func TestK3_ttl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := registrytest.NewBackend(registrytest.BackendConfig{})
		put(t, b, expiring("later", 20*time.Second), expiring("soon", 10*time.Second), expiring("never", 0), expiring("nor this", -1))
		f, other := follow(b), follow(b.Machine())
		assert.Equal(t, []string{"= later", "= never", "= nor this", "= soon"}, f.told())
		other.told()
		time.Sleep(10*time.Second - 1)
		assert.Empty(t, f.told())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, []string{"- soon"}, f.told())
		assert.Equal(t, []string{"- soon"}, other.told())
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"- later"}, f.told())
		f.stop(nil)
		other.stop(nil)
	})
}

// K3: a record that is put again stays and is delivered again, so that who has
// got it renews it too.
func TestK3_renew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := registrytest.NewBackend(registrytest.BackendConfig{})
		f := follow(b)
		f.told()
		for range 10 {
			put(t, b, expiring("x", 10*time.Second))
			assert.Equal(t, []string{"+ x"}, f.told())
			time.Sleep(9 * time.Second)
			assert.Empty(t, f.told())
		}
		put(t, b, expiring("x", 0))
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"+ x"}, f.told())
		f.stop(nil)
	})
}

// K3: no goroutine and no timer has to have run.
func TestK3_withoutRuns(t *testing.T) {
	mock := clock.NewMock()
	b := registrytest.NewBackend(registrytest.BackendConfig{Clock: mock})
	put(t, b, expiring("x", 10*time.Second), expiring("y", time.Minute))
	mock.Add(10 * time.Second)
	ctx, stop := context.WithCancel(bg)
	require.ErrorIs(t, b.Run(ctx, func(batch registry.Batch) error {
		stop()
		assert.Equal(t, []registry.Record{expiring("y", time.Minute)}, batch.Put)
		return nil
	}), context.Canceled)
}

// K3: a Clock rules TTLs.
func TestK3_clock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		b := registrytest.NewBackend(registrytest.BackendConfig{Clock: mock})
		f := follow(b.Machine())
		f.told()
		put(t, b, expiring("x", 10*time.Second))
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"+ x"}, f.told())
		mock.Add(10*time.Second - 1)
		assert.Empty(t, f.told())
		mock.Add(1)
		assert.Equal(t, []string{"- x"}, f.told())
		f.stop(nil)
	})
}

// K4: a machine that is cut off fails until Reconnect, and no other does.
func TestK4_disconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := registrytest.NewBackend(registrytest.BackendConfig{})
		b := a.Machine()
		fa, fb := follow(a), follow(b)
		put(t, a, expiring("x", 10*time.Second))
		fa.told()
		fb.told()

		why, later := errors.New("no route to host"), errors.New("connection refused")
		a.Disconnect(why)
		assert.Equal(t, why, fa.ended(t))
		assert.Equal(t, why, a.Put(bg, record("y", "")))
		assert.Equal(t, why, a.Remove(bg, ref("x")))
		assert.Equal(t, why, follow(a).ended(t))
		a.Disconnect(later)
		assert.Equal(t, later, a.Put(bg, record("y", "")))

		put(t, b, record("z", ""))
		assert.Equal(t, []string{"+ z"}, fb.told())
		put(t, a.Machine(), record("y", "of another"))
		assert.Equal(t, []string{"+ y of another"}, fb.told())
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"- x"}, fb.told(), "nobody renews it")

		a.Reconnect()
		put(t, a, record("x", "again"))
		fa = follow(a)
		assert.Equal(t, []string{"= x again", "= y of another", "= z"}, fa.told())
		fa.stop(nil)
		fb.stop(nil)
	})
}

// K4: a run that was under way ends, however short the cut.
func TestK4_shortCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := registrytest.NewBackend(registrytest.BackendConfig{})
		f := follow(b)
		f.told()
		b.Disconnect(nil)
		b.Reconnect()
		put(t, b, record("x", ""))
		assert.EqualError(t, f.ended(t), "registrytest: disconnected")
		assert.Empty(t, f.told())
		b.Reconnect() // twice does no harm
		put(t, b, record("x", ""))
	})
}

func TestContexts(t *testing.T) {
	b := registrytest.NewBackend(registrytest.BackendConfig{})
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(bg)
	cancel(why)
	nobody := func(registry.Batch) error { panic("nothing is to be delivered") }
	assert.Equal(t, why, b.Put(ctx, record("x", "")))
	assert.Equal(t, why, b.Remove(ctx, ref("x")))
	assert.Equal(t, why, b.Run(ctx, nobody))

	var none context.Context
	assert.EqualError(t, b.Put(none, record("x", "")), "registrytest: nil context")
	assert.EqualError(t, b.Remove(none, ref("x")), "registrytest: nil context")
	assert.EqualError(t, b.Run(none, nobody), "registrytest: nil context")
	assert.EqualError(t, b.Run(bg, nil), "registrytest: nil deliver")
}

// A Backend is safe for concurrent use.
func TestConcurrentUse(t *testing.T) {
	b := registrytest.NewBackend(registrytest.BackendConfig{})
	ctx, stop := context.WithCancel(bg)
	var runs, calls sync.WaitGroup
	for range 4 {
		m := b.Machine()
		for range 2 {
			runs.Go(func() {
				for ctx.Err() == nil {
					_ = m.Run(ctx, func(registry.Batch) error { return nil })
				}
			})
			calls.Go(func() {
				for i := range 200 {
					_ = m.Put(ctx, expiring(strconv.Itoa(i%10), time.Millisecond))
					_ = m.Remove(ctx, ref(strconv.Itoa(i%7)))
					if i%50 == 0 {
						m.Disconnect(nil)
						m.Reconnect()
					}
				}
			})
		}
	}
	calls.Wait()
	stop()
	runs.Wait()
}

// Two registries that share a backend, in a bubble: each has what the other one
// registered.
func TestRegistries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := registrytest.NewBackend(registrytest.BackendConfig{})
		machines := map[string]*registry.Registry{}
		ctx, stop := context.WithCancel(bg)
		for name, backend := range map[string]*registrytest.Backend{"a": b, "b": b.Machine()} {
			r := registry.MustNew(registry.Config{})
			machines[name] = r
			go func() { _ = r.Sync(ctx, "cluster", backend, registry.SyncConfig{}) }()
			_, err := r.Register(bg, record(name, "").Instance)
			require.NoError(t, err)
		}
		time.Sleep(time.Hour)
		for name, r := range machines {
			for _, id := range []string{"a", "b"} {
				e, ok := r.Service("orders").Get(id)
				require.True(t, ok)
				assert.Equal(t, id != name, e.Origin() == "cluster")
			}
		}
		stop()
		synctest.Wait()
		for _, r := range machines {
			require.NoError(t, r.Close(bg))
		}
		f := follow(b)
		assert.Equal(t, []string{"="}, f.told())
		f.stop(nil)
	})
}

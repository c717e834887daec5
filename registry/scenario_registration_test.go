package registry_test

import (
	"fmt"
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

func TestS1_AnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Clock: clock.NewMock(), Hooks: j.hooks()})
		s := r.Service("orders")
		register(t, r, registry.Instance{Service: "orders", ID: "a", Addr: "old:80"})
		updates, _ := watch(t.Context(), s)
		first := received(t, updates)
		register(t, r, registry.Instance{Service: "orders", ID: "a", Addr: "new:80"})
		u := received(t, updates)
		assert.Empty(t, u.Added)
		assert.Empty(t, u.Removed)
		require.Len(t, u.Changed, 1)
		assert.Equal(t, "new:80", u.Changed[0].Addr())
		assert.Equal(t, first.Snapshot.Index()+1, u.Snapshot.Index())
		assert.Equal(t, 1, s.Snapshot().Len())
		assert.Equal(t, "old:80", first.Added[0].Addr(), "what was given out stays")
		assert.NotSame(t, first.Added[0].Live(), u.Changed[0].Live(), "another address is another stay")
		assert.Equal(t, registry.Down, first.Added[0].Live().Health())
		assert.Equal(t, []string{"registered a", "updated a"}, j.told())
	})
}

func TestS2_TheSameAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := clock.NewMock()
		var j journal
		r := newRegistry(t, registry.Config{Clock: m, Hooks: j.hooks()})
		s := r.Service("orders")
		register(t, r, leased("a", 10*time.Second))
		updates, _ := watch(t.Context(), s)
		first := received(t, updates)
		j.take()
		for range 5 {
			m.Add(9 * time.Second)
			l := register(t, r, leased("a", 10*time.Second))
			assert.Same(t, first.Added[0].Live(), l.Endpoint().Live())
		}
		nothing(t, updates)
		assert.Equal(t, first.Snapshot.Index(), s.Snapshot().Index())
		assert.Empty(t, j.take())
		m.Add(10*time.Second - 1)
		assert.Equal(t, []string{"a"}, present(s))
		m.Add(1)
		assert.Equal(t, []string{"a"}, ids([]*registry.Endpoint{received(t, updates).Removed[0].Endpoint}))
	})
}

func TestS3_IfAbsent(t *testing.T) {
	var j journal
	r := newRegistry(t, registry.Config{Hooks: j.hooks()})
	holder := register(t, r, instance("a"))
	before := r.Service("orders").Snapshot()
	j.take()
	absent := registry.RegisterConfig{IfAbsent: true}
	for _, batch := range [][]registry.Instance{{v2withID("a")}, {instance("b"), v2withID("a")}, {instanceOf("users", "a"), v2withID("a"), instance("c")}} {
		_, err := r.RegisterWith(bg, absent, batch...)
		require.ErrorIs(t, err, registry.ErrExists)
	}
	assert.Same(t, before, r.Service("orders").Snapshot())
	assert.Empty(t, j.take())
	assert.Equal(t, []string{"orders"}, slices.Collect(r.Services()))
	require.NoError(t, holder.Renew())
	require.NoError(t, holder.Deregister())
	_, err := r.RegisterWith(bg, absent, v2withID("a"))
	require.NoError(t, err)
}

// Of many who register if absent at the same time, one wins.
func TestS3_OneWins(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	for range 100 {
		var wg sync.WaitGroup
		won := make(chan *registry.Lease, 8)
		for i := range 8 {
			wg.Go(func() {
				in := instance("leader")
				in.Version = fmt.Sprint(i)
				leases, err := r.RegisterWith(bg, registry.RegisterConfig{IfAbsent: true}, in)
				if err != nil {
					assert.ErrorIs(t, err, registry.ErrExists)
					return
				}
				won <- leases[0]
			})
		}
		wg.Wait()
		require.Len(t, won, 1)
		require.NoError(t, (<-won).Deregister())
	}
}

func TestS4_DeregisterTheUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		updates, _ := watch(t.Context(), r.Service("orders"))
		received(t, updates)
		require.ErrorIs(t, r.Deregister(bg, "orders", "a"), registry.ErrNotFound)
		register(t, r, instance("a"))
		received(t, updates)
		require.NoError(t, r.Deregister(bg, "orders", "a"))
		received(t, updates)
		j.take()
		require.ErrorIs(t, r.Deregister(bg, "orders", "a"), registry.ErrNotFound)
		nothing(t, updates)
		assert.Empty(t, j.take())
	})
}

func TestS5_TheLastInstanceLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		register(t, r, instance("a"))
		register(t, r, instance("b"))
		register(t, r, instanceOf("users", "a"))
		updates, _ := watch(t.Context(), r.Service("orders"))
		received(t, updates)
		require.NoError(t, r.Deregister(bg, "orders", "a"))
		received(t, updates)
		assert.Equal(t, 2, r.Stats().Services)
		require.NoError(t, r.Deregister(bg, "orders", "b"))
		assert.Equal(t, []string{"users"}, slices.Collect(r.Services()))
		assert.Equal(t, 1, r.Stats().Services)
		assert.Equal(t, 1, r.Stats().Instances)
		u := received(t, updates)
		assert.Zero(t, u.Snapshot.Len())
		assert.Len(t, u.Removed, 1)
	})
}

// The race detector tells if anything is shared.
func TestS13_NothingIsShared(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	in := full()
	l := register(t, r, in)
	var wg sync.WaitGroup
	e := l.Endpoint()
	for i := range 8 {
		wg.Go(func() {
			mine := e.Instance()
			for k := range 100 {
				mine.Meta["k"], mine.Tags[0] = fmt.Sprint(i, k), fmt.Sprint(k)
				mine.Attrs[0] = zoneKey.Value(fmt.Sprint(k))
				_, _ = e.Meta("k")
				_ = e.HasTag("blue")
				_, _ = zoneKey.Get(e)
				got, _ := r.Service("orders").Get("a")
				_ = got.Instance()
			}
		})
	}
	for k := range 100 {
		in.Meta["k"], in.Tags[0] = fmt.Sprint(k), fmt.Sprint(k)
	}
	wg.Wait()
	got, _ := r.Service("orders").Get("a")
	assert.Equal(t, full(), got.Instance())
}

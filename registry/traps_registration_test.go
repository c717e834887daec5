package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Defects of registering, seen in the libraries named.

// Tutorials: register appends, so that an ID that registers twice gets twice the
// traffic; with an address of its own, go-micro keeps the old one.
func TestTrap_RegisteringTwice(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	for i := range 10 {
		in := instance("a")
		in.Addr = fmt.Sprintf("10.0.0.%d:80", i)
		register(t, r, in)
		snap := r.Service("orders").Snapshot()
		require.Equal(t, 1, snap.Len())
		assert.Equal(t, in.Addr, snap.At(0).Addr())
	}
	register(t, r, registry.Instance{Service: "users", Addr: "10.0.0.1:80"})
	register(t, r, registry.Instance{Service: "users", Addr: "10.0.0.1:80"})
	assert.Equal(t, []string{"10.0.0.1:80"}, present(r.Service("users")), "without an ID the address is it")
}

// Tutorials: discover returns a slice that grows while it is read.
func TestTrap_TheListGrowsUnderItsReader(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	s := r.Service("orders")
	register(t, r, instance("m"))
	snap := s.Snapshot()
	n := 0
	for e := range snap.All() {
		register(t, r, instance("a"))
		register(t, r, instance("z"))
		require.NoError(t, r.Deregister(bg, "orders", "m"))
		assert.Equal(t, "m", e.ID())
		n++
	}
	assert.Equal(t, 1, n)
	assert.Equal(t, 1, snap.Len())
	assert.Equal(t, []string{"a", "z"}, present(s))
}

// Tutorials: names that have become empty stay; go-micro: a service without
// instances is listed, with neither error nor event.
func TestTrap_EmptyNamesStay(t *testing.T) {
	r := newRegistry(t, registry.Config{Limits: registry.Limits{Services: 1}})
	for i := range 1000 {
		name := fmt.Sprint("s", i)
		l := register(t, r, instanceOf(name, "a"))
		_ = r.Service(name)
		require.NoError(t, l.Deregister())
		require.Empty(t, slices.Collect(r.Services()))
	}
	for i := range 1000 { // asking does not make a service either
		_ = r.Service(fmt.Sprint("t", i)).Snapshot()
	}
	assert.Empty(t, slices.Collect(r.Services()))
	assert.Zero(t, r.Stats().Services)
}

// Tutorials: one lock over all. A hook that is stuck with one service, and a
// watcher that is, are in nobody's way, not even in that of the same service.
func TestTrap_OneLockOverAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		r := newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(c registry.Change) {
			if c.ID == "stuck" {
				<-gate
			}
		}}})
		go func() { _, _ = r.Register(bg, instance("stuck")) }()
		go func() {
			for _, err := range r.Service("orders").Watch(bg) {
				assert.NoError(t, err)
				<-gate
				return
			}
		}()
		synctest.Wait()
		l := register(t, r, instance("b"))
		require.NoError(t, l.Deregister())
		register(t, r, instanceOf("users", "a"))
		assert.Equal(t, []string{"stuck"}, present(r.Service("orders")))
		assert.Zero(t, r.Sweep())
		close(gate)
	})
}

// go-kratos: Equal sorts the slices of its callers, which is a race.
func TestTrap_ComparingSortsTheCallersSlice(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	in := instance("a")
	in.Tags = []string{"z", "m", "a", "m"}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				l, err := r.Register(bg, in)
				if assert.NoError(t, err) {
					_ = l.Update(in)
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, []string{"z", "m", "a", "m"}, in.Tags)
	assert.Equal(t, 1, r.Service("orders").Snapshot().Len())
}

// go-kratos: errors.Is with its arguments swapped, so that no caller ever sees
// the sentinel. Here each error is one thing, and no other.
func TestTrap_SentinelsThatNobodyMatches(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	l := register(t, r, instance("a"))
	_, exists := r.RegisterWith(bg, registry.RegisterConfig{IfAbsent: true}, instance("a"))
	missing := r.Deregister(bg, "orders", "b")
	require.NoError(t, l.Deregister())
	lost := l.Renew()
	require.NoError(t, r.Close(bg))
	_, closed := r.Register(bg, instance("a"))
	sentinels := map[string]error{"exists": registry.ErrExists, "missing": registry.ErrNotFound, "lost": registry.ErrLeaseLost, "closed": registry.ErrClosed}
	for name, err := range map[string]error{"exists": exists, "missing": missing, "lost": lost, "closed": closed} {
		for other, sentinel := range sentinels {
			assert.Equal(t, name == other, errors.Is(err, sentinel), "%v is %v", err, sentinel)
			assert.NotErrorIs(t, sentinel, err)
		}
		assert.NotErrorIs(t, err, nil)
	}
}

// go-zero: a key that has vanished is never registered again, and the publisher
// hangs.
func TestTrap_AKeyThatVanished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk})
		l := register(t, r, leased("a", 9*time.Second))
		ctx, cancel := context.WithCancel(bg)
		end := make(chan error, 1)
		go func() { end <- l.KeepAlive(ctx) }()
		for range 5 {
			synctest.Wait()
			clk.sleep(time.Hour)
			assert.Empty(t, present(r.Service("orders")))
			clk.run(4 * time.Second)
			assert.Equal(t, []string{"a"}, present(r.Service("orders")))
		}
		cancel()
		require.ErrorIs(t, received(t, end), context.Canceled)
	})
}

// While a limit is in the way KeepAlive goes on trying.
func TestTrap_AKeyThatFindsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk, Limits: registry.Limits{Instances: 1}})
		l := register(t, r, leased("a", 9*time.Second))
		go func() { _ = l.KeepAlive(t.Context()) }()
		synctest.Wait()
		clk.sleep(time.Hour)
		other := register(t, r, leased("b", -1))
		clk.run(time.Minute)
		assert.Equal(t, []string{"b"}, present(r.Service("orders")))
		require.NoError(t, l.Err())
		require.NoError(t, other.Deregister())
		clk.run(4 * time.Second)
		assert.Equal(t, []string{"a"}, present(r.Service("orders")))
	})
}

package registry_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A handVerb is a verb by hand, of an instance of "orders".
type handVerb struct {
	op registry.Op
	do func(ctx context.Context, r *registry.Registry, service, id string) error
}

// handVerbs are the verbs by hand.
var handVerbs = map[string]handVerb{
	"Deregister": {registry.OpDeregister, func(ctx context.Context, r *registry.Registry, service, id string) error {
		return r.Deregister(ctx, service, id)
	}},
	"Drain": {registry.OpDrain, func(ctx context.Context, r *registry.Registry, service, id string) error {
		return r.Drain(ctx, service, id)
	}},
	"SetHealth": {registry.OpSetHealth, func(ctx context.Context, r *registry.Registry, service, id string) error {
		return r.SetHealth(ctx, service, id, registry.Down, "by hand")
	}},
}

// What is not there is ErrNotFound, named, and nothing changes by it.
func TestG4_UnknownIsNotFound(t *testing.T) {
	bubbles(t, handVerbs, func(t *testing.T, verb handVerb) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		register(t, r, instance("a"))
		emptied, err := r.Register(bg, instanceOf("emptied", "gone"))
		require.NoError(t, err)
		require.NoError(t, emptied.Deregister())
		before := r.Stats()
		j.take()
		for _, at := range []registry.Ref{{"orders", "b"}, {"orders", ""}, {"Orders", "a"}, {"emptied", "gone"}, {"never", "a"}, {"", ""}} {
			err := verb.do(bg, r, at.Service, at.ID)
			require.ErrorIs(t, err, registry.ErrNotFound)
			var e *registry.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, registry.Error{Op: verb.op, Service: at.Service, ID: at.ID, Kind: registry.ErrNotFound}, *e)
		}
		assert.Equal(t, before, r.Stats())
		assert.Empty(t, j.told())
		assert.Equal(t, []string{"a"}, present(r.Service("orders")))
	})
}

// An instance is found whoever brought it: an owner, a feed or an import.
func TestG4_WhoeverOwnsIt(t *testing.T) {
	bubbles(t, handVerbs, func(t *testing.T, verb handVerb) {
		r := newRegistry(t, registry.Config{})
		register(t, r, leased("leased", time.Minute))
		register(t, r, instance("unleased"))
		p, _ := feed(t, r, "f")
		p.put(0, instance("fed"))
		n, err := r.Import(bg, strings.NewReader(
			`{"version":1,"instances":[{"service":"orders","id":"imported","addr":"10.0.0.1:80","weight":1,"health":"passing"}]}`), 0)
		require.NoError(t, err)
		require.Equal(t, 1, n)
		all := []string{"fed", "imported", "leased", "unleased"}
		require.Equal(t, all, present(r.Service("orders")))
		for _, id := range all {
			require.NoError(t, verb.do(bg, r, "orders", id))
		}
		if verb.op == registry.OpSetHealth {
			assert.Equal(t, all, withHealth(r.Service("orders"), registry.Down))
			return
		}
		assert.Empty(t, present(r.Service("orders")))
		p.put(0, instance("fed"))
		assert.Equal(t, []string{"fed"}, present(r.Service("orders")), "a feed that names it brings it back")
	})
}

// Deregister takes out the ID, and not only the claim that counts: a feed that
// names it too comes to be heard with its next batch.
func TestG4_DeregisterTakesOutAllClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		p, _ := feed(t, r, "f")
		p.put(0, instance("a"))
		l := register(t, r, instance("a"))
		j.take()
		require.NoError(t, r.Deregister(bg, "orders", "a"))
		assert.Empty(t, present(r.Service("orders")))
		assert.Equal(t, []string{"deregistered a"}, j.told())
		lost(t, l, registry.ErrLeaseLost)
		p.put(0, instance("a"))
		e, ok := r.Service("orders").Get("a")
		require.True(t, ok)
		assert.Equal(t, "f", e.Origin())
	})
}

// Of several that deregister an instance by hand at once one has done it.
func TestG4_OneDeregisters(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	for range 100 {
		register(t, r, instance("a"))
		var done atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := r.Deregister(bg, "orders", "a"); err == nil {
					done.Add(1)
				} else {
					assert.ErrorIs(t, err, registry.ErrNotFound)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, done.Load())
	}
}

// A lease that was ended by hand is lost, and its KeepAlive does not register
// the instance again.
func TestG4_KeepAliveDoesNotBringItBack(t *testing.T) {
	bubbles(t, map[string]func(r *registry.Registry) error{
		"Deregister": func(r *registry.Registry) error { return r.Deregister(bg, "orders", "a") },
		"Drain":      func(r *registry.Registry) error { return r.Drain(bg, "orders", "a") },
	}, func(t *testing.T, remove func(*registry.Registry) error) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, leased("a", 9*time.Second))
		kept := async(func() error { return l.KeepAlive(bg) })
		time.Sleep(20 * time.Second)
		require.NoError(t, remove(r))
		require.ErrorIs(t, received(t, kept), registry.ErrLeaseLost)
		lost(t, l, registry.ErrLeaseLost)
		time.Sleep(time.Minute)
		assert.Empty(t, present(r.Service("orders")))
		require.ErrorIs(t, l.KeepAlive(bg), registry.ErrLeaseLost, "nor does a later one")
		require.ErrorIs(t, l.Renew(), registry.ErrLeaseLost)
		require.ErrorIs(t, l.Deregister(), registry.ErrLeaseLost)
		require.ErrorIs(t, l.Drain(bg), registry.ErrLeaseLost)
		require.ErrorIs(t, l.SetHealth(registry.Down, ""), registry.ErrLeaseLost)
		require.ErrorIs(t, l.Update(instance("a")), registry.ErrLeaseLost)
	})
}

// The operator's word does not touch the lease.
func TestG4_SetHealthLeavesTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, leased("a", 10*time.Second))
		time.Sleep(9 * time.Second)
		require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Down, ""))
		require.NoError(t, l.Renew())
		assert.Equal(t, registry.Down, healthOf(t, r, "a"))
		assert.Equal(t, l.Endpoint().Generation(), r.Service("orders").Snapshot().At(0).Generation())
		time.Sleep(10*time.Second - 1)
		assert.Equal(t, registry.Down, healthOf(t, r, "a"), "renewed by its owner")
		time.Sleep(time.Nanosecond)
		assert.Empty(t, present(r.Service("orders")), "and not by the operator")
	})
}

// A bad call is told from an unknown instance, and changes nothing.
func TestG4_BadCalls(t *testing.T) {
	cause := errors.New("enough")
	ended, cancel := context.WithCancelCause(bg)
	cancel(cause)
	bubbles(t, handVerbs, func(t *testing.T, verb handVerb) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, instance("a"))
		index := r.Service("orders").Snapshot().Index()
		require.ErrorContains(t, verb.do(nil, r, "orders", "a"), "nil context")
		require.Equal(t, cause, verb.do(ended, r, "orders", "a"))
		assert.Equal(t, index, r.Service("orders").Snapshot().Index())
		require.NoError(t, l.Err())
	})
}

// Only what an operator can know is taken, and the field is named with its value.
func TestG4_BadHealth(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	l := register(t, r, instance("a"))
	index := r.Service("orders").Snapshot().Index()
	for name, c := range map[string]struct {
		health registry.Health
		reason string
		fields []string
		text   string
	}{
		"Stale":          {registry.Stale, "", []string{"Health"}, "Health is stale"},
		"no health":      {registry.Down + 1, "", []string{"Health"}, "Health is Health(8)"},
		"control":        {registry.Down, "a\nb", []string{"reason"}, `reason is "a\nb"`},
		"not UTF-8":      {registry.Down, "\xff", []string{"reason"}, `reason is "\xff"`},
		"too long":       {registry.Down, strings.Repeat("x", 4097), []string{"reason"}, "(4097 bytes)"},
		"all that is so": {registry.Stale, "\x00", []string{"Health", "reason"}, `reason is "\x00"`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, err := range []error{
				r.SetHealth(bg, "orders", "a", c.health, c.reason),
				l.SetHealth(c.health, c.reason),
			} {
				assert.Equal(t, c.fields, fields(err))
				require.ErrorContains(t, err, c.text)
			}
			assert.Equal(t, index, r.Service("orders").Snapshot().Index())
		})
	}
	require.NoError(t, l.SetHealth(registry.Down, strings.Repeat("x", 4096)))
}

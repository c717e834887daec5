package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

var errForbidden = errors.New("forbidden")

// A guard is an Authorize that writes down what it was asked, and forbids once
// it is told to.
type guard struct {
	mu     sync.Mutex
	asked  []string
	forbid bool
}

func (g *guard) authorize(_ context.Context, op registry.Op, in registry.Instance) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked = append(g.asked, strings.TrimSpace(fmt.Sprint(op, " ", in.Service, "/", in.ID, " ", in.Addr)))
	if g.forbid {
		return errForbidden
	}
	return nil
}

func (g *guard) take() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := g.asked
	g.asked = nil
	return all
}

// asked are the calls that Authorize is asked about, on a registry with instance
// a of "orders", and what it is told of them.
var asked = map[string]struct {
	do   func(ctx context.Context, r *registry.Registry) error
	want []string
}{
	"Register": {func(ctx context.Context, r *registry.Registry) error {
		_, err := r.Register(ctx, instance("b"))
		return err
	}, []string{"register orders/b 10.0.0.1:80"}},
	"Register, bad": {func(ctx context.Context, r *registry.Registry) error {
		_, err := r.Register(ctx, registry.Instance{Service: "?"})
		return err
	}, []string{"register ?/"}},
	"RegisterWith": {func(ctx context.Context, r *registry.Registry) error {
		_, err := r.RegisterWith(ctx, registry.RegisterConfig{}, instance("b"), instance("a"), instanceOf("other", "c"))
		return err
	}, []string{"register orders/b 10.0.0.1:80", "register orders/a 10.0.0.1:80", "register other/c 10.0.0.1:80"}},
	"Deregister": {
		func(ctx context.Context, r *registry.Registry) error { return r.Deregister(ctx, "orders", "a") },
		[]string{"deregister orders/a 10.0.0.1:80"},
	},
	"Drain": {
		func(ctx context.Context, r *registry.Registry) error { return r.Drain(ctx, "orders", "a") },
		[]string{"drain orders/a 10.0.0.1:80"},
	},
	"SetHealth": {func(ctx context.Context, r *registry.Registry) error {
		return r.SetHealth(ctx, "orders", "a", registry.Down, "")
	}, []string{"set health orders/a 10.0.0.1:80"}},
	"of no instance": {
		func(ctx context.Context, r *registry.Registry) error { return r.Deregister(ctx, "orders", "x") },
		[]string{"deregister orders/x"},
	},
	"Import": {func(ctx context.Context, r *registry.Registry) error {
		_, err := r.Import(ctx, strings.NewReader(
			`{"version":1,"instances":[{"service":"s","id":"i","addr":"h:1","weight":1,"health":"passing"}]}`), 0)
		return err
	}, []string{"import s/i h:1"}},
}

// Authorize is asked first, once per instance, and its refusal refuses all.
func TestG7_AuthorizeRefuses(t *testing.T) {
	for name, c := range asked {
		t.Run(name, func(t *testing.T) {
			var g guard
			var j journal
			r := newRegistry(t, registry.Config{Authorize: g.authorize, Hooks: j.hooks()})
			l := register(t, r, instance("a"))
			g.take()
			j.take()
			before := r.Stats()
			g.forbid = true
			err := c.do(bg, r)
			require.ErrorIs(t, err, errForbidden)
			var e *registry.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, errForbidden, e.Err)
			require.NoError(t, e.Kind)
			assert.Equal(t, c.want, g.take())
			assert.Equal(t, before, r.Stats(), "nothing changed")
			assert.Empty(t, j.told())
			require.NoError(t, l.Err())
		})
	}
}

// What it allows goes on, as without it.
func TestG7_AuthorizeAllows(t *testing.T) {
	for name, c := range asked {
		t.Run(name, func(t *testing.T) {
			var g guard
			r := newRegistry(t, registry.Config{Authorize: g.authorize})
			free := newRegistry(t, registry.Config{})
			register(t, r, instance("a"))
			register(t, free, instance("a"))
			g.take()
			assert.Equal(t, fmt.Sprint(c.do(bg, free)), fmt.Sprint(c.do(bg, r)))
			assert.Equal(t, c.want, g.take())
			assert.Equal(t, free.Stats(), r.Stats())
		})
	}
}

// Of a batch every refusal is told, and one refuses the batch.
func TestG7_AuthorizeABatch(t *testing.T) {
	r := newRegistry(t, registry.Config{Authorize: func(_ context.Context, _ registry.Op, in registry.Instance) error {
		if in.ID == "b" || in.ID == "d" {
			return errForbidden
		}
		return nil
	}})
	_, err := r.RegisterWith(bg, registry.RegisterConfig{}, instance("a"), instance("b"), instance("c"), instanceOf("other", "d"))
	require.ErrorContains(t, err, `"orders" "b": forbidden`)
	require.ErrorContains(t, err, `"other" "d": forbidden`)
	assert.Empty(t, r.Stats().Instances)

	var all bytes.Buffer
	from := newRegistry(t, registry.Config{})
	_, err = from.RegisterWith(bg, registry.RegisterConfig{}, instance("a"), instance("b"), instance("c"))
	require.NoError(t, err)
	require.NoError(t, from.Export(&all))
	n, err := r.Import(bg, &all, 0)
	assert.Equal(t, 2, n, "an import refuses that record alone")
	require.ErrorContains(t, err, `"orders" "b": forbidden`)
	assert.Equal(t, []string{"a", "c"}, present(r.Service("orders")))
}

// Lease verbs are not asked about, because the lease is the permission. Nor are
// feeds.
func TestG7_AuthorizeIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g guard
		r := newRegistry(t, registry.Config{Authorize: g.authorize})
		l := register(t, r, leased("a", 9*time.Second))
		other := register(t, r, instance("b"))
		g.take()
		g.forbid = true
		require.NoError(t, l.Renew())
		require.NoError(t, l.SetHealth(registry.Warning, ""))
		in := leased("a", 9*time.Second)
		in.Addr = "10.0.0.2:80"
		require.NoError(t, l.Update(in))
		kept := async(func() error { return l.KeepAlive(bg) })
		time.Sleep(time.Minute)
		require.NoError(t, l.Deregister())
		require.NoError(t, received(t, kept))
		require.NoError(t, other.Drain(bg))
		p, stop := feed(t, r, "f")
		p.put(0, instance("fed"))
		assert.Equal(t, []string{"fed"}, present(r.Service("orders")))
		stop()
		assert.Empty(t, g.take())
	})
}

// It runs without locks and on the goroutine of the caller: it may use the
// registry, sees the context of the call, and its panic is the caller's.
func TestG7_AuthorizeRunsOnTheCaller(t *testing.T) {
	type key struct{}
	for name, c := range asked {
		t.Run(name, func(t *testing.T) {
			var r *registry.Registry
			on, inside := false, 0
			r = newRegistry(t, registry.Config{Authorize: func(ctx context.Context, op registry.Op, in registry.Instance) error {
				if !on {
					return nil
				}
				if inside++; inside > 1 { // asked by itself
					return nil
				}
				assert.Equal(t, "value", ctx.Value(key{}))
				_, err := r.Register(bg, instanceOf("orders", "inside"))
				assert.NoError(t, err)
				assert.NoError(t, r.SetHealth(bg, "orders", "inside", registry.Down, ""))
				assert.NoError(t, r.Deregister(bg, "orders", "inside"))
				panic(errForbidden)
			}})
			l := register(t, r, instance("a"))
			on = true
			assert.PanicsWithValue(t, errForbidden, func() { _ = c.do(context.WithValue(bg, key{}, "value"), r) })
			assert.Equal(t, 4, inside)
			assert.Zero(t, r.Stats().Panics, "it was not contained")
			on = false
			assert.Equal(t, []string{"a"}, present(r.Service("orders")))
			require.NoError(t, l.Deregister(), "no lock is left behind")
		})
	}
}

// What it is given is a copy, of what the registry has if it has any.
func TestG7_AuthorizeGetsACopy(t *testing.T) {
	var got registry.Instance
	r := newRegistry(t, registry.Config{Authorize: func(_ context.Context, _ registry.Op, in registry.Instance) error {
		got = in
		in.Meta["k"], in.Tags[0] = "changed", "changed"
		return nil
	}})
	in := instance("a")
	in.Meta, in.Tags = map[string]string{"k": "v"}, []string{"t"}
	register(t, r, in)
	assert.Equal(t, "v", in.Meta["k"], "of the caller")
	require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Down, ""))
	assert.Equal(t, "10.0.0.1:80", got.Addr)
	e, ok := r.Service("orders").Get("a")
	require.True(t, ok)
	assert.True(t, e.HasTag("t"))
	v, _ := e.Meta("k")
	assert.Equal(t, "v", v)
}

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Neither what was handed in nor what comes out is what the registry keeps.
func TestG5_DeepCopies(t *testing.T) {
	spoil := func(in registry.Instance) {
		in.Tags[0] = "spoilt"
		in.Meta["k"] = "spoilt"
		in.Attrs[0] = rackKey.Value("spoilt")
	}
	r := newRegistry(t, registry.Config{Authorize: func(_ context.Context, _ registry.Op, in registry.Instance) error {
		spoil(in)
		return nil
	}})
	in := full()
	l := register(t, r, in)
	spoil(in)
	e := l.Endpoint()
	spoil(e.Instance())
	assert.Equal(t, full(), e.Instance())
	next := full()
	next.Version = "v2"
	require.NoError(t, l.Update(next))
	spoil(next)
	want := full()
	want.Version = "v2"
	got, ok := r.Service("orders").Get("a")
	require.True(t, ok)
	assert.Equal(t, want, got.Instance())
	assert.True(t, got.HasTag("blue"))
	assert.False(t, got.HasTag("spoilt"))
	v, ok := got.Meta("k")
	assert.True(t, ok)
	assert.Equal(t, "v", v)
	zone, ok := zoneKey.Get(got)
	assert.True(t, ok)
	assert.Equal(t, "x", zone)
	_, ok = rackKey.Get(got)
	assert.False(t, ok, "a key is its pointer, not its name")
}

// Zero fields have their defaults, and what nobody owns is what it says.
func TestG5_Defaults(t *testing.T) {
	r := newRegistry(t, registry.Config{TTL: time.Minute})
	in := registry.Instance{Service: "orders", Addr: "[::1]:65535", Tags: []string{"b", "a", "b"}}
	e := register(t, r, in).Endpoint()
	in.ID, in.Weight, in.TTL, in.Tags = in.Addr, 100, time.Minute, []string{"a", "b"}
	assert.Equal(t, in, e.Instance())
	assert.Equal(t, registry.Passing, e.Health())
	assert.Empty(t, e.Origin())
	in.Weight, in.TTL = -7, -7
	e = register(t, r, in).Endpoint()
	assert.Equal(t, -1, e.Weight())
	assert.Zero(t, e.Instance().TTL)
}

// hostile is what is refused of an instance, by the field that has to be named.
func hostile() map[string]registry.Instance {
	all := make(map[string]registry.Instance)
	add := func(field string, values ...func(in *registry.Instance)) {
		for i, set := range values {
			in := full()
			set(&in)
			all[fmt.Sprintf("%s#%d", field, i)] = in
		}
	}
	for _, s := range []string{"", " ", "a/b", "a b", "\x00", "a\n", "\u00fc", "\xff", strings.Repeat("a", 256)} {
		add("Service"+s, func(in *registry.Instance) { in.Service = s })
	}
	for _, s := range []string{"a\n", "\x00", "\xff", strings.Repeat("a", 1025), "\u0085"} {
		add("ID"+s, func(in *registry.Instance) { in.ID = s })
	}
	for _, s := range []string{
		"", "a", "a:", ":80", "a:0", "a:65536", "a:080", "::1:80", "[::1]", "[a]:80", "a b:80", "http://a:80", "a:80/", "[fe80::1%a\nb]:80", "[fe80::1%]]:80",
	} {
		add("Addr"+s, func(in *registry.Instance) { in.Addr = s })
	}
	for _, s := range []string{"1http", "ht tp", "http:", "\n", "+a"} {
		add("Scheme"+s, func(in *registry.Instance) { in.Scheme = s })
	}
	for _, s := range []string{"a b", "a\n", "a:80", "[::1]", "\xff", "fe80::1%a\nb", strings.Repeat("a", 256)} {
		add("ServerName"+s, func(in *registry.Instance) { in.ServerName = s })
	}
	for _, s := range []string{"a\n", "\xff", "\x7f"} {
		add("Version"+s, func(in *registry.Instance) { in.Version = s })
		add("Zone"+s, func(in *registry.Instance) { in.Zone = s })
		add("Tags"+s, func(in *registry.Instance) { in.Tags = []string{"ok", s} })
		add("Meta"+s, func(in *registry.Instance) { in.Meta = map[string]string{s: "v"} })
		add("Meta["+fmt.Sprintf("%q", "k")+"]"+s, func(in *registry.Instance) { in.Meta = map[string]string{"k": s} })
	}
	add("Weight", func(in *registry.Instance) { in.Weight = 1_000_001 })
	add("Attrs", func(in *registry.Instance) { in.Attrs = []registry.Attr{{}} }, func(in *registry.Instance) {
		in.Attrs = []registry.Attr{zoneKey.Value("a"), zoneKey.Value("b")}
	})
	add("Limits.MetaBytes", func(in *registry.Instance) { in.Version = strings.Repeat("a", 16<<10) }, func(in *registry.Instance) {
		in.Meta = map[string]string{strings.Repeat("k", 10<<10): strings.Repeat("v", 10<<10)}
	}, func(in *registry.Instance) { in.Tags = slices.Repeat([]string{"twenty letters of text"}, 1000) })
	add("Check.Func", func(in *registry.Instance) { in.Check.Interval = time.Second })
	return all
}

// Every refused field is named, with its value; nothing changes.
func TestG5_InvalidInstances(t *testing.T) {
	var j journal
	r := newRegistry(t, registry.Config{Hooks: j.hooks()})
	l := register(t, r, full())
	before := r.Service("orders").Snapshot()
	j.take()
	for name, in := range hostile() {
		err := func() error { _, err := r.Register(bg, in); return err }()
		require.Error(t, err, "%q", name)
		named := fields(err)
		require.Len(t, named, 1, "%q: %v", name, err)
		require.True(t, strings.HasPrefix(name, named[0]), "%q: %v", name, err)
		assert.Contains(t, err.Error(), named[0]+" is ")
		assert.NotContains(t, err.Error(), "\n")
		assert.Less(t, len(err.Error()), 1500, "%q", name)
		if in.Service == "orders" && in.ID == "a" {
			assert.Equal(t, named, fields(l.Update(in)), "%q", name)
		}
	}
	assert.Same(t, before, r.Service("orders").Snapshot())
	assert.Empty(t, j.take())
	assert.Equal(t, 1, r.Stats().Services)
	require.NoError(t, l.Renew())
}

func TestG5_Misuse(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	l := register(t, r, instance("a"))
	ended, cancel := context.WithCancelCause(bg)
	cause := errors.New("enough")
	cancel(cause)
	for name, do := range map[string]func(ctx context.Context) error{
		"Register":    func(ctx context.Context) error { _, err := r.Register(ctx, instance("b")); return err },
		"Deregister":  func(ctx context.Context) error { return r.Deregister(ctx, "orders", "a") },
		"Drain":       func(ctx context.Context) error { return r.Drain(ctx, "orders", "a") },
		"SetHealth":   func(ctx context.Context) error { return r.SetHealth(ctx, "orders", "a", registry.Down, "") },
		"Lease.Drain": l.Drain,
		"KeepAlive":   l.KeepAlive,
		"Wait":        func(ctx context.Context) error { _, err := r.Service("orders").Wait(ctx, 0); return err },
		"Watch":       func(ctx context.Context) error { return firstError(r.Service("orders"), ctx) },
	} {
		require.ErrorContains(t, do(nil), "nil context", name)
		require.ErrorIs(t, do(ended), cause, name)
	}
	_, err := r.RegisterWith(bg, registry.RegisterConfig{})
	require.Error(t, err)
	_, err = r.RegisterWith(bg, registry.RegisterConfig{Health: registry.Stale}, instance("b"))
	assert.Equal(t, []string{"Health"}, fields(err))
	_, err = r.RegisterWith(bg, registry.RegisterConfig{Health: 99}, instance("b"))
	assert.Equal(t, []string{"Health"}, fields(err))
	assert.Equal(t, []string{"Health"}, fields(r.SetHealth(bg, "orders", "a", registry.Stale, "")))
	assert.Equal(t, []string{"reason"}, fields(r.SetHealth(bg, "orders", "a", registry.Down, "\n")))
	var zero registry.Service
	_, err = zero.Wait(bg, 0)
	require.Error(t, err)
	require.Error(t, firstError(&zero, bg))
	_, err = r.Service("no/name").Wait(bg, 0)
	assert.Equal(t, []string{"Service"}, fields(err))
	assert.Zero(t, r.Service("no/name").Snapshot().Len())
	assert.Equal(t, []string{"a"}, present(r.Service("orders")))
	require.NoError(t, l.Err())
	for field, all := range map[string][]registry.Preserve{
		"MaxEvict": {{MaxEvict: 1.1}, {MaxEvict: math.NaN()}, {MaxEvict: math.Inf(1)}, {MaxEvict: math.Inf(-1)}},
		"Window":   {{Window: -1}, {Window: math.MinInt64}},
		"MaxHold":  {{MaxHold: -1}},
	} {
		for _, p := range all {
			_, err := registry.New(registry.Config{Preserve: p})
			require.ErrorContains(t, err, "Preserve."+field+" is ")
			assert.Panics(t, func() { registry.MustNew(registry.Config{Preserve: p}) })
		}
	}
	_, err = registry.New(registry.Config{Preserve: registry.Preserve{MaxEvict: 2, Window: -1, MaxHold: -1}})
	for _, field := range []string{"MaxEvict", "Window", "MaxHold"} {
		require.ErrorContains(t, err, "Preserve."+field, "all problems are told")
	}
}

// firstError is the error of the first pair of a watch.
func firstError(s *registry.Service, ctx context.Context) error {
	for _, err := range s.Watch(ctx) {
		return err
	}
	return nil
}

// A service without instances is gone, and its handles work when it is back.
func TestG6_ServicesComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		handle := r.Service("orders")
		assert.Zero(t, handle.Snapshot().Len())
		updates, _ := watch(t.Context(), handle)
		assert.Empty(t, received(t, updates).Added)
		for i := range 3 {
			l := register(t, r, instance("a"))
			assert.Len(t, received(t, updates).Added, 1)
			assert.Equal(t, []string{"orders"}, slices.Collect(r.Services()))
			assert.Equal(t, []string{"a"}, present(handle))
			require.NoError(t, l.Deregister())
			u := received(t, updates)
			assert.Zero(t, u.Snapshot.Len(), "round %d", i)
			require.Len(t, u.Removed, 1)
			assert.Equal(t, registry.ReasonDeregistered, u.Removed[0].Reason)
			assert.Empty(t, slices.Collect(r.Services()))
			assert.Empty(t, present(handle))
			assert.Zero(t, r.Stats().Services)
		}
	})
}

func TestG6_ServicesAreSorted(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	for _, name := range []string{"c", "a", "b"} {
		register(t, r, instanceOf(name, "x"))
	}
	assert.Equal(t, []string{"a", "b", "c"}, slices.Collect(r.Services()))
	for name := range r.Services() {
		assert.Equal(t, "a", name)
		break
	}
}

// What a released service took is garbage: leases, waiters and the schedule keep
// nothing of it, and neither do handles.
func TestG6_MemoryIsReleased(t *testing.T) {
	r := newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(registry.Change) {}}})
	old := r.Service("orders")
	var refs []weak.Pointer[registry.Endpoint]
	for i := range 100 {
		in := leased(fmt.Sprint(i), time.Hour)
		in.Service = fmt.Sprint("s", i%10)
		l := register(t, r, in)
		refs = append(refs, weak.Make(l.Endpoint()))
		_, err := r.Service(in.Service).Wait(bg, 0)
		require.NoError(t, err)
		require.NoError(t, l.Deregister())
	}
	for range 3 {
		runtime.GC()
	}
	for i, ref := range refs {
		assert.Nil(t, ref.Value(), i)
	}
	assert.Zero(t, old.Snapshot().Len())
	runtime.KeepAlive(r)
}

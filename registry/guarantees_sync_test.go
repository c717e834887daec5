package registry_test

import (
	"context"
	"errors"
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

// Reset is a diff: what is unchanged, whatever its spelling, causes no change, and
// what is missing is removed.
func TestG41_ResetIsADiff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		src, _ := fed(t, r, "dns")
		rich := instance("rich")
		rich.Tags, rich.Meta, rich.Version = []string{"a", "b"}, map[string]string{"k": "v"}, "1"
		require.NoError(t, src.reset(rich, instance("b"), instance("c"), instanceOf("other", "d"), instanceOf("empties", "e")))
		j.take()
		before := map[string]*registry.Endpoint{}
		for e := range r.Service("orders").Snapshot().All() {
			before[e.ID()] = e
		}
		index := r.Stats().Index
		rich.Tags, rich.Weight = []string{"b", "a", "b"}, 100
		for range 3 {
			require.NoError(t, src.reset(instanceOf("empties", "e"), instanceOf("other", "d"), instance("c"), rich, instance("b")))
		}
		assert.Equal(t, index, r.Stats().Index)
		assert.Empty(t, j.told())
		for e := range r.Service("orders").Snapshot().All() {
			assert.Same(t, before[e.ID()], e)
		}

		require.NoError(t, src.reset(at("b", "10.0.0.2:80"), instance("new"), rich, instanceOf("other", "d")))
		assert.Equal(t, []string{"withdrawn e", "withdrawn c", "updated b", "registered new"}, j.told())
		e, _ := r.Service("orders").Get("rich")
		assert.Same(t, before["rich"], e)
		require.NoError(t, src.reset())
		assert.Empty(t, r.Stats().Services)
		require.NoError(t, src.reset())
		require.NoError(t, src.reset(instance("b")), "the service comes back")
	})
}

// A Reset is about the feed's own records.
func TestG41_ResetOfOneFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "one")
		other, _ := fed(t, r, "two")
		register(t, r, instance("local"))
		require.NoError(t, other.reset(instance("b"), instance("both")))
		require.NoError(t, src.reset(instance("a"), instance("both")))
		require.NoError(t, src.reset())
		assert.Equal(t, []string{"b two", "both two", "local"}, origins(r))
	})
}

// Sync puts what is registered already, what comes, what changes, and removes what
// leaves.
func TestG41_SyncPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		register(t, r, instance("before"))
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{})
		assert.Equal(t, []string{"0s put before passing"}, b.calls.take())
		time.Sleep(time.Second)
		l := register(t, r, instance("a"))
		assert.Equal(t, []string{"1s put a passing"}, b.calls.take())
		time.Sleep(time.Second)
		require.NoError(t, l.Update(at("a", "10.0.0.9:80")))
		assert.Equal(t, []string{"2s put a passing"}, b.calls.take())
		assert.Equal(t, "10.0.0.9:80", b.record(t, "a").Instance.Addr)
		require.NoError(t, l.Deregister())
		assert.Equal(t, []string{"2s remove a"}, b.calls.take())
		register(t, r, leased("b", time.Second))
		b.calls.take()
		time.Sleep(time.Second)
		assert.Contains(t, b.calls.take(), "3s remove b", "it has expired")
	})
}

// What is put is the instance with all that can reach another process, a TTL, and
// an Owner that is the same for all of a registry and another for each registry.
func TestG41_SyncRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		in := registry.Instance{
			ID: "a", Service: "orders", Addr: "[2001:db8::1]:443", Scheme: "https", ServerName: "orders.example.com",
			Version: "1.2.3", Zone: "z1", Weight: -1, Tags: []string{"a", "b"}, Meta: map[string]string{"k": "v"},
		}
		want := in
		want.TTL = 15 * time.Second
		in.Attrs = []registry.Attr{registry.NewKey[int]("n").Value(1)}
		in.Check = registry.Check{Func: func(context.Context, registry.Instance) error { return nil }}
		register(t, r, in)
		register(t, r, leased("b", time.Minute))
		b, c := newCounter(), newCounter()
		s := synced(t, r, b, registry.SyncConfig{})
		got := b.record(t, "a")
		assert.Equal(t, want, got.Instance)
		assert.NotEmpty(t, got.Owner)
		assert.Equal(t, got.Owner, b.record(t, "b").Owner)
		assert.Equal(t, time.Minute, b.record(t, "b").Instance.TTL)
		got.Instance.Tags[0], got.Instance.Meta["k"] = "changed", "changed"
		e, _ := r.Service("orders").Get("a")
		assert.True(t, e.HasTag("a"), "it is a copy")

		s.over(t, errAway)
		synced(t, r, c, registry.SyncConfig{TTL: time.Hour})
		assert.Equal(t, time.Hour, c.record(t, "a").Instance.TTL)
		assert.Equal(t, time.Minute, c.record(t, "b").Instance.TTL)
		assert.Equal(t, got.Owner, c.record(t, "a").Owner)
		other := newRegistry(t, registry.Config{Rand: func() uint64 { return 1 }})
		register(t, other, instance("a"))
		d := newCounter()
		synced(t, other, d, registry.SyncConfig{})
		assert.NotEqual(t, got.Owner, d.record(t, "a").Owner)
	})
}

// The health that is put is what owner, check and operator give, never Stale; one
// that drains is Draining before it is removed.
func TestG41_SyncHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{DrainGrace: 5 * time.Second, Preserve: registry.Preserve{MinInstances: -1, MaxEvict: 0.5}})
		var sick atomic.Bool
		in := instance("a")
		in.Check = registry.Check{
			Interval: time.Second, InitialDelay: time.Second, Jitter: -1, FailuresBeforeCritical: 1, SuccessesBeforePassing: 1,
			Func: func(context.Context, registry.Instance) error {
				if sick.Load() {
					return errors.New("sick")
				}
				return nil
			},
		}
		l := register(t, r, in)
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{TTL: time.Hour})
		assert.Equal(t, []string{"0s put a starting"}, b.calls.take())
		time.Sleep(time.Second)
		assert.Equal(t, []string{"1s put a passing"}, b.calls.take(), "the check")
		require.NoError(t, l.SetHealth(registry.Warning, "owner"))
		assert.Equal(t, []string{"1s put a warning"}, b.calls.take())
		require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Down, "operator"))
		assert.Equal(t, []string{"1s put a down"}, b.calls.take())
		require.NoError(t, r.SetHealth(bg, "orders", "a", 0, ""))
		require.NoError(t, l.SetHealth(0, ""))
		b.calls.take()
		sick.Store(true)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"2s put a critical"}, b.calls.take())
		sick.Store(false)
		time.Sleep(time.Second)
		b.calls.take()
		drained := async(func() error { return l.Drain(bg) })
		assert.Equal(t, []string{"3s put a draining"}, b.calls.take())
		time.Sleep(5 * time.Second)
		require.NoError(t, received(t, drained))
		assert.Equal(t, []string{"8s remove a"}, b.calls.take())

		leases, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(4, 10*time.Second)...)
		require.NoError(t, err)
		b.calls.take()
		time.Sleep(10 * time.Second)
		assert.Len(t, withHealth(r.Service("orders"), registry.Stale), 2)
		for _, call := range b.calls.take() {
			assert.NotContains(t, call, "stale")
		}
		for _, id := range b.has() {
			assert.Equal(t, registry.Passing, b.record(t, id).Health)
		}
		require.NoError(t, leases[3].Renew())
	})
}

// Publish chooses, of each version of a registration anew; a function that panics
// does not choose it.
func TestG41_Publish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l feedLog
		r := newRegistry(t, registry.Config{Hooks: l.hooks(registry.Hooks{})})
		tagged := func(id string, tags ...string) registry.Instance {
			in := instance(id)
			in.Tags = tags
			return in
		}
		register(t, r, tagged("a", "public"))
		register(t, r, tagged("b"))
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{Publish: func(in registry.Instance) bool {
			if in.Version == "panic" {
				panic("no such version")
			}
			chosen := len(in.Tags) > 0 && in.Tags[0] == "public"
			clear(in.Tags) // it is a copy
			return chosen
		}})
		assert.Equal(t, []string{"a"}, b.has())
		assert.Equal(t, []string{"public"}, b.record(t, "a").Instance.Tags)
		lb := register(t, r, tagged("b", "public"))
		assert.Equal(t, []string{"a", "b"}, b.has())
		b.calls.take()
		register(t, r, tagged("a"))
		assert.Equal(t, []string{"0s remove a"}, b.calls.take())
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"b"}, b.has())

		in := tagged("b", "public")
		in.Version = "panic"
		require.NoError(t, lb.Update(in))
		assert.Empty(t, b.has())
		faults := l.panicked()
		require.NotEmpty(t, faults)
		assert.Equal(t, "no such version", faults[0].Value)
		assert.Equal(t, []string{"a", "b"}, present(r.Service("orders")))
	})
}

// A record is put again every third of its TTL, plus or minus a tenth.
func TestG41_Renewals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Rand: half})
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{})
		register(t, r, leased("a", -1))
		l := register(t, r, leased("b", time.Minute))
		time.Sleep(21 * time.Second)
		assert.Equal(t, []string{
			"0s put a passing", "0s put b passing", "5s put a passing", "10s put a passing", "15s put a passing",
			"20s put a passing", "20s put b passing",
		}, b.calls.take())
		require.NoError(t, l.SetHealth(registry.Warning, ""))
		time.Sleep(19 * time.Second)
		require.NoError(t, l.Deregister())
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{
			"21s put b warning", "25s put a passing", "30s put a passing", "35s put a passing",
			"40s put a passing", "40s remove b", "45s put a passing", "50s put a passing",
		}, b.calls.take(), "a change begins anew")
	})
}

func TestG41_RenewalJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{TTL: 30 * time.Second})
		register(t, r, instance("a"))
		synctest.Wait()
		last := time.Now()
		different := make(map[time.Duration]bool)
		b.answers(func(context.Context, string) error {
			wait := time.Since(last)
			last = time.Now()
			assert.InDelta(t, 10, wait.Seconds(), 1.001)
			different[wait] = true
			return nil
		})
		time.Sleep(10 * time.Minute)
		b.answers(nil)
		synctest.Wait()
		assert.Greater(t, len(different), 50)
	})
}

// A Put that failed is repeated after 1s, 2s and so on up to 30s, whatever fails, and
// told once; what succeeds goes on meanwhile.
func TestG41_FailedPut(t *testing.T) {
	bubbles(t, map[string]func() error{
		"error":  func() error { return errAway },
		"panic":  func() error { panic(errAway) },
		"Goexit": func() error { runtime.Goexit(); return nil },
	}, func(t *testing.T, fail func() error) {
		var l feedLog
		r := newRegistry(t, registry.Config{Rand: half, Hooks: l.hooks(registry.Hooks{})})
		b := newCounter()
		f := synced(t, r, b, registry.SyncConfig{TTL: time.Hour})
		require.NoError(t, b.reset())
		l.take()
		b.answers(func(_ context.Context, call string) error {
			if call == "put a passing" {
				return fail()
			}
			return nil
		})
		register(t, r, instance("a"))
		register(t, r, instance("b"))
		time.Sleep(100 * time.Second)
		assert.Equal(t, []string{
			"0s put a passing", "0s put b passing", "1s put a passing", "3s put a passing", "7s put a passing",
			"15s put a passing", "31s put a passing", "1m1s put a passing", "1m31s put a passing",
		}, b.calls.take())
		states := l.take()
		if strings.HasSuffix(t.Name(), "Goexit") {
			assert.Empty(t, states, "nobody is left to tell it; the fault is told")
		} else {
			require.Len(t, states, 1)
			assert.True(t, states[0].Connected)
			require.ErrorIs(t, states[0].Err, errAway)
			require.ErrorContains(t, states[0].Err, `"a"`)
		}
		b.answers(nil)
		time.Sleep(100 * time.Second)
		assert.Equal(t, []string{"2m1s put a passing"}, b.calls.take())
		b.answers(func(context.Context, string) error { return fail() })
		register(t, r, at("a", "10.0.0.9:80"))
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"3m20s put a passing", "3m21s put a passing"}, b.calls.take(), "from the beginning")
		b.answers(nil)
		f.over(t, errAway)
		assert.Empty(t, b.has())
	})
}

// A panic and a Goexit are reported as such.
func TestG41_BackendFaults(t *testing.T) {
	bubbles(t, map[string]struct {
		fail   func() error
		goexit bool
	}{
		"panic":  {func() error { panic(errAway) }, false},
		"Goexit": {func() error { runtime.Goexit(); return nil }, true},
	}, func(t *testing.T, c struct {
		fail   func() error
		goexit bool
	},
	) {
		var l feedLog
		r := newRegistry(t, registry.Config{Rand: half, Hooks: l.hooks(registry.Hooks{})})
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{})
		b.answers(func(context.Context, string) error { return c.fail() })
		lease := register(t, r, instance("a"))
		faults := l.panicked()
		require.Len(t, faults, 1)
		assert.Equal(t, c.goexit, faults[0].Goexit)
		b.answers(nil)
		time.Sleep(time.Second)
		assert.Equal(t, []string{"a"}, b.has())
		b.answers(func(context.Context, string) error { return c.fail() })
		require.NoError(t, lease.Deregister())
		assert.Len(t, l.panicked(), 1)
		b.answers(nil)
		b.calls.take()
		time.Sleep(time.Second)
		assert.Equal(t, []string{"2s remove a"}, b.calls.take())
		assert.EqualValues(t, 2, r.Stats().Panics)
	})
}

// A Remove that failed is repeated; an ID that comes back meanwhile is put instead.
func TestG41_FailedRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Rand: half})
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{TTL: time.Hour})
		la, lb := register(t, r, instance("a")), register(t, r, instance("b"))
		b.calls.take()
		b.answers(func(context.Context, string) error { return errAway })
		require.NoError(t, la.Deregister())
		require.NoError(t, lb.Deregister())
		time.Sleep(4 * time.Second)
		assert.Equal(t, []string{"0s remove a", "0s remove b", "1s remove a", "1s remove b", "3s remove a", "3s remove b"}, b.calls.take())
		b.answers(nil)
		register(t, r, instance("a"))
		assert.Equal(t, []string{"4s put a passing"}, b.calls.take())
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"7s remove b"}, b.calls.take())
	})
}

// The waits after a failure have a jitter of a fifth.
func TestG41_FailedPutJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Rand: func() uint64 { return 0 }})
		b := newCounter()
		b.answers(func(context.Context, string) error { return errAway })
		synced(t, r, b, registry.SyncConfig{})
		register(t, r, instance("a"))
		time.Sleep(6 * time.Second)
		assert.Equal(t, []string{"0s put a passing", "800ms put a passing", "2.4s put a passing", "5.6s put a passing"}, b.calls.take())
	})
}

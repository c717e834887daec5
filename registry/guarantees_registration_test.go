package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

var zoneKey, rackKey = registry.NewKey[string]("zone"), registry.NewKey[string]("zone")

// full is an instance with everything set.
func full() registry.Instance {
	return registry.Instance{
		ID: "a", Service: "orders", Addr: "10.0.0.1:80", Scheme: "https", ServerName: "orders.example", Version: "v1", Zone: "z1",
		Weight: 7, TTL: time.Minute, Tags: []string{"blue", "green"}, Meta: map[string]string{"k": "v"},
		Attrs: []registry.Attr{zoneKey.Value("x")},
	}
}

// Other content replaces: one change, a higher index, the old lease ended.
func TestG1_OtherContentReplaces(t *testing.T) {
	for name, edit := range map[string]func(in *registry.Instance){
		"Addr":       func(in *registry.Instance) { in.Addr = "10.0.0.2:80" },
		"Scheme":     func(in *registry.Instance) { in.Scheme = "http" },
		"ServerName": func(in *registry.Instance) { in.ServerName = "" },
		"Version":    func(in *registry.Instance) { in.Version = "v2" },
		"Zone":       func(in *registry.Instance) { in.Zone = "" },
		"Weight":     func(in *registry.Instance) { in.Weight = -1 },
		"TTL":        func(in *registry.Instance) { in.TTL = -1 },
		"Tags":       func(in *registry.Instance) { in.Tags = []string{"blue"} },
		"no Tags":    func(in *registry.Instance) { in.Tags = nil },
		"Meta":       func(in *registry.Instance) { in.Meta = map[string]string{"k": "w"} },
		"Meta keys":  func(in *registry.Instance) { in.Meta = map[string]string{"l": "v"} },
		"Attrs":      func(in *registry.Instance) { in.Attrs = []registry.Attr{zoneKey.Value("y")} },
		"Attrs keys": func(in *registry.Instance) { in.Attrs = []registry.Attr{rackKey.Value("x")} },
		"no Attrs":   func(in *registry.Instance) { in.Attrs = nil },
	} {
		t.Run(name, func(t *testing.T) {
			var j journal
			r := newRegistry(t, registry.Config{Hooks: j.hooks()})
			old := register(t, r, full())
			before := r.Service("orders").Snapshot()
			j.take()
			in := full()
			edit(&in)
			l := register(t, r, in)

			after := r.Service("orders").Snapshot()
			assert.Greater(t, after.Index(), before.Index())
			require.Equal(t, 1, after.Len())
			assert.Same(t, l.Endpoint(), after.At(0))
			assert.Equal(t, name != "Addr", before.At(0).Live() == after.At(0).Live(), "calls are counted on, unless the address is another")
			changes := j.take()
			require.Len(t, changes, 1)
			assert.Equal(t, registry.ReasonUpdated, changes[0].Reason)
			assert.Equal(t, after.Index(), changes[0].Index)
			assert.Same(t, before.At(0), changes[0].Before)
			assert.Same(t, after.At(0), changes[0].After)
			assert.ErrorIs(t, old.Err(), registry.ErrLeaseLost)
			<-old.Done()
			require.NoError(t, l.Err())
		})
	}
}

// Equal content changes nothing but the lease; Tags are a set.
func TestG1_EqualContentIsNoChange(t *testing.T) {
	for name, edit := range map[string]func(in *registry.Instance){
		"the same":   func(*registry.Instance) {},
		"Tags order": func(in *registry.Instance) { in.Tags = []string{"green", "blue", "green"} },
		"Check": func(in *registry.Instance) {
			in.Check.Func = func(context.Context, registry.Instance) error { return nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				r := newRegistry(t, registry.Config{Hooks: j.hooks()})
				s := r.Service("orders")
				old := register(t, r, full())
				before := s.Snapshot()
				updates, _ := watch(t.Context(), s)
				received(t, updates)
				j.take()
				time.Sleep(40 * time.Second)
				in := full()
				edit(&in)
				l := register(t, r, in)

				assert.Equal(t, before.Index(), s.Snapshot().Index())
				assert.Empty(t, j.take())
				nothing(t, updates)
				assert.Greater(t, l.Endpoint().Generation(), old.Endpoint().Generation())
				assert.Same(t, l.Endpoint(), s.Snapshot().At(0), "the new generation is what reads give")
				require.ErrorIs(t, old.Renew(), registry.ErrLeaseLost)
				<-old.Done()
				time.Sleep(time.Minute - 1)
				assert.Equal(t, []string{"a"}, present(s), "its time began anew")
				time.Sleep(time.Nanosecond)
				assert.Empty(t, present(s))
			})
		})
	}
}

// Equal content replaces function and settings of the check.
func TestG1_EqualContentReplacesTheCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		var calls []string
		checked := func(name string, interval time.Duration) registry.Instance {
			in := full()
			in.Check = registry.Check{Interval: interval, Jitter: -1, Func: func(context.Context, registry.Instance) error {
				calls = append(calls, name)
				return nil
			}}
			return in
		}
		register(t, r, checked("old", 10*time.Second))
		synctest.Wait()
		index := r.Service("orders").Snapshot().Index()
		time.Sleep(time.Second)
		register(t, r, checked("new", 2*time.Second))
		time.Sleep(4500 * time.Millisecond)
		synctest.Wait()
		assert.Equal(t, []string{"old", "new", "new"}, calls)
		assert.Equal(t, index, r.Service("orders").Snapshot().Index())
	})
}

// IfAbsent refuses an ID that is present in any health, and changes nothing.
func TestG2_IfAbsent(t *testing.T) {
	word := func(h registry.Health) func(*testing.T, *registry.Registry) {
		return func(t *testing.T, r *registry.Registry) {
			t.Helper()
			require.NoError(t, r.SetHealth(bg, "orders", "i019", h, ""))
		}
	}
	bubbles(t, map[string]func(*testing.T, *registry.Registry){
		"passing": func(*testing.T, *registry.Registry) {}, "warning": word(registry.Warning), "starting": word(registry.Starting),
		"critical": word(registry.Critical), "draining": word(registry.Draining), "down": word(registry.Down),
		"stale": func(t *testing.T, r *registry.Registry) {
			t.Helper()
			time.Sleep(time.Minute)
			require.Contains(t, withHealth(r.Service("orders"), registry.Stale), "i019")
		},
	}, func(t *testing.T, prepare func(*testing.T, *registry.Registry)) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(20, time.Minute)...)
		require.NoError(t, err)
		prepare(t, r)
		synctest.Wait()
		j.take()
		before := r.Service("orders").Snapshot()
		for _, batch := range [][]registry.Instance{
			{instance("i019")},
			{instance("x"), instance("i019"), instanceOf("other", "y")},
		} {
			leases, err := r.RegisterWith(bg, registry.RegisterConfig{IfAbsent: true}, batch...)
			require.ErrorIs(t, err, registry.ErrExists)
			assert.Nil(t, leases)
		}
		assert.Same(t, before, r.Service("orders").Snapshot())
		assert.Empty(t, j.take())
		assert.Equal(t, 1, r.Stats().Services)
		leases, err := r.RegisterWith(bg, registry.RegisterConfig{IfAbsent: true, Health: registry.Warning}, instance("x"))
		require.NoError(t, err)
		assert.Equal(t, registry.Warning, leases[0].Endpoint().Health(), "the owner's first word")
	})
}

// A batch is all or none, and every problem of every instance is told.
func TestG2_BatchIsAllOrNone(t *testing.T) {
	var j journal
	r := newRegistry(t, registry.Config{Hooks: j.hooks(), Limits: registry.Limits{Instances: 3, Services: 2}})
	register(t, r, instance("a"))
	j.take()
	before := r.Service("orders").Snapshot()
	bad, worse := instance("b"), instance("c")
	bad.Addr, bad.Weight = "nowhere", 1_000_001
	worse.Service, worse.Scheme = "", "1"
	for name, c := range map[string]struct {
		batch  []registry.Instance
		kind   error
		fields []string
	}{
		"bad fields":         {[]registry.Instance{bad, instance("d"), worse}, nil, []string{"Addr", "Weight", "Service", "Scheme"}},
		"an ID twice":        {[]registry.Instance{instance("d"), instance("d"), bad}, nil, []string{"ID", "Addr", "Weight"}},
		"an address twice":   {[]registry.Instance{instance(""), instance("10.0.0.1:80")}, nil, []string{"ID"}},
		"too many instances": {[]registry.Instance{instance("b"), instance("c"), instance("d"), instanceOf("other", "a")}, nil, []string{"Limits.Instances"}},
		"too many services":  {[]registry.Instance{instance("b"), instanceOf("x", "a"), instanceOf("y", "a")}, nil, []string{"Limits.Services"}},
		"two that exist": {
			[]registry.Instance{instance("a"), instance("b"), instanceOf("x", "a")}, registry.ErrExists, []string{""},
		},
	} {
		leases, err := r.RegisterWith(bg, registry.RegisterConfig{IfAbsent: true}, c.batch...)
		require.Error(t, err, name)
		assert.Nil(t, leases, name)
		assert.Equal(t, c.fields, fields(err), name)
		assert.Equal(t, c.kind != nil, errors.Is(err, registry.ErrExists), name)
	}
	assert.Same(t, before, r.Service("orders").Snapshot())
	assert.Empty(t, j.take())
	assert.Equal(t, registry.Stats{Services: 1, Instances: 1, Index: before.Index()}, r.Stats())

	leases, err := r.RegisterWith(bg, registry.RegisterConfig{}, instance("c"), instanceOf("x", "a"), instance("b"))
	require.NoError(t, err)
	for i, want := range []string{"orders c", "x a", "orders b"} {
		assert.Equal(t, want, leases[i].Endpoint().Service()+" "+leases[i].Endpoint().ID(), "leases are in the order of the instances")
	}
	changes := j.take()
	require.Len(t, changes, 3)
	assert.Equal(t, changes[0].Index, changes[1].Index, "one publish per service")
}

// A reader sees a whole batch or nothing of it.
func TestG2_BatchIsSeenAtOnce(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	s := r.Service("orders")
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for !isClosed(done) {
			snap := s.Snapshot()
			if snap.Len() > 0 && !assert.Equal(t, 50, snap.Len()) {
				return
			}
			for e := range snap.All() {
				if !assert.Equal(t, snap.At(0).Version(), e.Version()) {
					return
				}
			}
		}
	})
	rounds := 500
	if raceEnabled {
		rounds = 50
	}
	for i := range rounds {
		batch := numbered(50, -1)
		for k := range batch {
			batch[k].Version = fmt.Sprint(i)
		}
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, batch...)
		require.NoError(t, err)
	}
	close(done)
	wg.Wait()
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestG3_GenerationsGrow(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	last := uint64(0)
	for i := range 20 {
		in := instance("a")
		in.Service, in.Version = []string{"orders", "users"}[i%2], fmt.Sprint(i%3)
		l := register(t, r, in)
		require.Greater(t, l.Endpoint().Generation(), last)
		last = l.Endpoint().Generation()
		if i%5 == 0 {
			require.NoError(t, l.Deregister())
		}
	}
}

// verbs are all that the owner of a lease can do.
var verbs = map[string]func(l *registry.Lease) error{
	"Renew":      (*registry.Lease).Renew,
	"Deregister": (*registry.Lease).Deregister,
	"Drain":      func(l *registry.Lease) error { return l.Drain(bg) },
	"Update":     func(l *registry.Lease) error { return l.Update(instance("a")) },
	"SetHealth":  func(l *registry.Lease) error { return l.SetHealth(registry.Down, "") },
	"KeepAlive":  func(l *registry.Lease) error { return l.KeepAlive(bg) },
}

// A late call of an owner of before harms nobody.
func TestG3_LateVerbs(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *registry.Registry, *registry.Lease){
		"superseded": func(*testing.T, *registry.Registry, *registry.Lease) {},
		"expired": func(*testing.T, *registry.Registry, *registry.Lease) {
			time.Sleep(10 * time.Second)
		},
		"by hand": func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			t.Helper()
			require.NoError(t, r.Deregister(bg, "orders", "a"))
		},
		"by itself": func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			t.Helper()
			require.NoError(t, l.Deregister())
		},
	} {
		for verb, do := range verbs {
			t.Run(name+", "+verb, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var j journal
					r := newRegistry(t, registry.Config{Hooks: j.hooks()})
					old := register(t, r, leased("a", 10*time.Second))
					end(t, r, old)
					holder := register(t, r, leased("a", 20*time.Second))
					synctest.Wait()
					j.take()
					before := r.Service("orders").Snapshot()
					err := do(old)
					if name == "by itself" && verb == "KeepAlive" {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, registry.ErrLeaseLost)
						var e *registry.Error
						require.ErrorAs(t, err, &e)
						assert.Equal(t, "orders a", e.Service+" "+e.ID)
					}
					assert.Same(t, before, r.Service("orders").Snapshot())
					assert.Empty(t, j.take())
					require.NoError(t, holder.Err())
					require.NoError(t, holder.Renew())
					assert.Equal(t, name == "by itself", old.Err() == nil)
					<-old.Done()
				})
			})
		}
	}
}

// Update and SetHealth keep the generation and the lease; Service and ID are
// what they were.
func TestG3_UpdateKeepsTheGeneration(t *testing.T) {
	var j journal
	r := newRegistry(t, registry.Config{Hooks: j.hooks()})
	l := register(t, r, full())
	generation := l.Endpoint().Generation()
	in := full()
	in.Service, in.ID, in.Version = "", "", "v2"
	require.NoError(t, l.Update(in))
	require.NoError(t, l.Update(in), "the same again")
	require.NoError(t, l.SetHealth(registry.Warning, "hot"))
	require.NoError(t, l.SetHealth(registry.Warning, "still hot"))
	require.NoError(t, l.SetHealth(0, ""))
	assert.Equal(t, []string{"registered a", "updated a", "health a", "health a"}, j.told())
	assert.Equal(t, generation, l.Endpoint().Generation())
	assert.Equal(t, "v2", l.Endpoint().Version())
	for field, in := range map[string]registry.Instance{"Service": instanceOf("other", "a"), "ID": instance("b")} {
		assert.Equal(t, []string{field}, fields(l.Update(in)))
	}
	assert.Equal(t, []string{"Health"}, fields(l.SetHealth(registry.Stale, "")))
	assert.Empty(t, j.told())
}

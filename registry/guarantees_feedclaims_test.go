package registry_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A local registration beats a fed one of the same ID, whichever came first.
func TestG40_LocalBeatsFed(t *testing.T) {
	bubbles(t, map[string]bool{"local first": true, "fed first": false}, func(t *testing.T, localFirst bool) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		src, _ := fed(t, r, "dns")
		var l *registry.Lease
		if localFirst {
			l = register(t, r, at("a", "10.0.0.1:80"))
		}
		require.NoError(t, src.reset(at("a", "10.0.0.2:80")))
		if localFirst {
			assert.Equal(t, []string{"registered a"}, j.told())
		} else {
			l = register(t, r, at("a", "10.0.0.1:80"))
			assert.Equal(t, []string{"registered a", "updated a"}, j.told())
		}
		expect := func(want string) {
			t.Helper()
			e, ok := r.Service("orders").Get("a")
			require.True(t, ok)
			assert.Equal(t, want, e.Addr()+" "+e.Origin())
		}
		expect("10.0.0.1:80 ")
		index := r.Stats().Index
		require.NoError(t, src.put(at("a", "10.0.0.3:80")), "a newer record stays behind")
		require.NoError(t, src.send(registry.Batch{Put: []registry.Record{{Instance: at("a", "10.0.0.3:80"), Health: registry.Down}}}))
		assert.Equal(t, index, r.Stats().Index)
		require.NoError(t, l.Renew())
		require.NoError(t, l.SetHealth(registry.Warning, "busy"))
		j.take()

		require.NoError(t, l.Deregister())
		expect("10.0.0.3:80 dns")
		assert.Equal(t, []string{"a"}, withHealth(r.Service("orders"), registry.Down), "the owner's word is gone with it")
		assert.Equal(t, []string{"updated a"}, j.told())
		require.ErrorIs(t, l.Renew(), registry.ErrLeaseLost)
		require.NoError(t, l.Err())
	})
}

// When the local registration ends the fed one takes over. A drain and a removal by
// hand are of the instance, whoever names it: it is gone, until its source delivers
// it again.
func TestG40_FedTakesOver(t *testing.T) {
	bubbles(t, map[string]struct {
		end   func(t *testing.T, r *registry.Registry, l *registry.Lease)
		stays bool
	}{
		"deregistered": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) { require.NoError(t, l.Deregister()) }, true},
		"expired":      {func(*testing.T, *registry.Registry, *registry.Lease) { time.Sleep(10 * time.Second) }, true},
		"drained": {func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.Drain(bg))
		}, false},
		"by hand": {func(t *testing.T, r *registry.Registry, _ *registry.Lease) {
			require.NoError(t, r.Deregister(bg, "orders", "a"))
		}, false},
	}, func(t *testing.T, c struct {
		end   func(t *testing.T, r *registry.Registry, l *registry.Lease)
		stays bool
	},
	) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(at("a", "10.0.0.2:80")))
		l := register(t, r, leased("a", 10*time.Second))
		c.end(t, r, l)
		if !c.stays {
			assert.Empty(t, origins(r))
			require.NoError(t, src.put(at("a", "10.0.0.2:80")))
		}
		assert.Equal(t, []string{"a dns"}, origins(r))
		assert.Equal(t, []string{"a"}, withHealth(r.Service("orders"), registry.Passing))
		require.NoError(t, src.remove("a"))
		assert.Empty(t, origins(r))
	})
}

// What a source takes out behind another claim is not seen, and does not come back.
func TestG40_ShadowLeaves(t *testing.T) {
	bubbles(t, map[string]func(*testing.T, *tap, *following){
		"removed":   func(t *testing.T, src *tap, _ *following) { require.NoError(t, src.remove("a")) },
		"reset":     func(t *testing.T, src *tap, _ *following) { require.NoError(t, src.reset(instance("b"))) },
		"feed ends": func(t *testing.T, _ *tap, f *following) { f.over(t, errors.New("enough")) },
	}, func(t *testing.T, leaves func(*testing.T, *tap, *following)) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		l := register(t, r, instance("a"))
		src, f := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a"), instance("b")))
		j.take()
		leaves(t, src, f)
		assert.NotContains(t, j.told(), "withdrawn a")
		e, ok := r.Service("orders").Get("a")
		require.True(t, ok)
		assert.Empty(t, e.Origin())
		require.NoError(t, l.Deregister())
		assert.NotContains(t, present(r.Service("orders")), "a")
		assert.Equal(t, []string{"deregistered a"}, j.told())
	})
}

// A local registration that is kept as Stale stays when a fed one behind it leaves.
func TestG40_ShadowOfStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Preserve: registry.Preserve{MinInstances: -1, MaxEvict: 0.5}})
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(2, 10*time.Second)...)
		require.NoError(t, err)
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("i001")))
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"i001"}, withHealth(r.Service("orders"), registry.Stale))
		require.NoError(t, src.reset())
		assert.Equal(t, []string{"i001"}, withHealth(r.Service("orders"), registry.Stale))
	})
}

// Of several feeds the one that was started first counts, whenever it delivers and
// whatever its name is.
func TestG40_FeedOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		first, stop := fed(t, r, "z")
		second, _ := fed(t, r, "y")
		third, _ := fed(t, r, "x")
		for _, step := range []struct {
			do   func() error
			want string
		}{
			{func() error { return third.reset(instance("a")) }, "a x"},
			{func() error { return first.reset(instance("a")) }, "a z"},
			{func() error { return second.reset(instance("a")) }, "a z"},
			{func() error { return first.remove("a") }, "a y"},
			{func() error { return third.put(at("a", "10.0.0.3:80")) }, "a y"},
			{func() error { return second.reset() }, "a x"},
			{func() error { return second.reset(instance("a")) }, "a y"},
			{func() error { return first.reset(instance("a")) }, "a z"},
			{func() error { stop.over(t, errors.New("enough")); return nil }, "a y"},
		} {
			require.NoError(t, step.do())
			assert.Equal(t, []string{step.want}, origins(r))
		}
		late, _ := fed(t, r, "z")
		require.NoError(t, late.reset(instance("a")), "the same name, but started last")
		assert.Equal(t, []string{"a y"}, origins(r))
		require.NoError(t, second.remove("a"))
		assert.Equal(t, []string{"a x"}, origins(r))
		require.NoError(t, third.remove("a"))
		assert.Equal(t, []string{"a z"}, origins(r))
	})
}

// What takes over is a change of one instance: a new generation or an old one, but
// no removal, and its calls in flight stay if the address does.
func TestG40_TakeoverKeepsTheStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		first, _ := fed(t, r, "first")
		second, _ := fed(t, r, "second")
		require.NoError(t, first.reset(at("same", "10.0.0.1:80"), at("moves", "10.0.0.1:80")))
		require.NoError(t, second.reset(at("same", "10.0.0.1:80"), at("moves", "10.0.0.2:80")))
		before := map[string]*registry.Endpoint{}
		for e := range r.Service("orders").Snapshot().All() {
			before[e.ID()] = e
			begin(t, e, 1)
		}
		j.take()
		require.NoError(t, first.reset())
		assert.Equal(t, []string{"updated moves", "updated same"}, j.told())
		for e := range r.Service("orders").Snapshot().All() {
			assert.Equal(t, e.ID() == "same", e.Live() == before[e.ID()].Live(), e.ID())
		}
	})
}

// A fed record with a TTL expires unless it is delivered again; Config.TTL is not
// for feeds.
func TestG40_FedTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{TTL: time.Second, Hooks: j.hooks()})
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(leased("by put", 10*time.Second), leased("by reset", 10*time.Second), leased("not", 10*time.Second), instance("for ever")))
		index := r.Stats().Index
		time.Sleep(9 * time.Second)
		require.NoError(t, src.put(leased("by put", 10*time.Second)))
		require.NoError(t, src.reset(leased("by reset", 10*time.Second), leased("by put", 10*time.Second), instance("for ever"), leased("not", 10*time.Second)))
		assert.Equal(t, index, r.Stats().Index, "renewals are no changes")
		require.NoError(t, src.put(leased("not", 10*time.Second)))
		j.take()
		for range 3 {
			time.Sleep(9 * time.Second)
			require.NoError(t, src.put(leased("by put", 10*time.Second), leased("by reset", 10*time.Second)))
		}
		assert.Equal(t, []string{"by put", "by reset", "for ever"}, present(r.Service("orders")))
		time.Sleep(10*time.Second - time.Nanosecond)
		assert.Len(t, present(r.Service("orders")), 3)
		time.Sleep(time.Nanosecond)
		assert.Equal(t, []string{"for ever"}, present(r.Service("orders")))
		synctest.Wait()
		assert.ElementsMatch(t, []string{"expired not", "expired by put", "expired by reset"}, j.told())
		require.NoError(t, src.put(leased("not", 10*time.Second)))
		assert.Equal(t, []string{"registered not"}, j.told())
	})
}

// A fed record that has expired behind another one does not take over; one that was
// delivered again does, and then it has its TTL from that delivery.
func TestG40_LapsedShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		first, _ := fed(t, r, "first")
		second, _ := fed(t, r, "second")
		third, _ := fed(t, r, "third")
		local := make(map[string]*registry.Lease)
		for _, id := range []string{"a", "b", "c", "d"} {
			local[id] = register(t, r, instance(id))
		}
		require.NoError(t, first.reset(leased("a", 10*time.Second), leased("b", 10*time.Second), leased("c", 10*time.Second), leased("d", 10*time.Second)))
		require.NoError(t, second.reset(leased("b", 10*time.Second), leased("c", 10*time.Second)))
		require.NoError(t, third.reset(leased("b", time.Minute)))
		time.Sleep(5 * time.Second)
		require.NoError(t, second.put(leased("c", 10*time.Second)))
		time.Sleep(5 * time.Second)
		require.NoError(t, first.put(leased("d", 10*time.Second)), "it had lapsed, and nobody saw it")
		j.take()
		for _, id := range []string{"a", "b", "c", "d"} {
			require.NoError(t, local[id].Deregister())
		}
		assert.Equal(t, []string{"b third", "c second", "d first"}, origins(r))
		assert.Equal(t, []string{"deregistered a", "updated b", "updated c", "updated d"}, j.told())
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"b third", "d first"}, origins(r))
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"b third"}, origins(r))
		require.NoError(t, first.put(leased("b", 10*time.Second)))
		assert.Equal(t, []string{"b first"}, origins(r))
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"b third"}, origins(r), "it expires, and who is behind takes over")
		time.Sleep(30 * time.Second)
		assert.Empty(t, origins(r))
	})
}

// A feed's check runs for a record that counts, and for no other.
func TestG40_CheckOfFed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, f := fed(t, r, "dns")
		var runs atomic.Int64
		in := instance("a")
		in.Check = registry.Check{Interval: time.Second, InitialDelay: time.Second, Jitter: -1, Func: func(context.Context, registry.Instance) error {
			runs.Add(1)
			return nil
		}}
		require.NoError(t, src.reset(in))
		assert.Equal(t, registry.Starting, firstHealth(r))
		time.Sleep(2500 * time.Millisecond)
		assert.EqualValues(t, 2, runs.Load())
		assert.Equal(t, registry.Passing, firstHealth(r))
		l := register(t, r, instance("a"))
		time.Sleep(10 * time.Second)
		assert.EqualValues(t, 2, runs.Load())
		require.NoError(t, l.Deregister())
		time.Sleep(1500 * time.Millisecond)
		assert.EqualValues(t, 3, runs.Load())
		f.over(t, errors.New("enough"))
		time.Sleep(10 * time.Second)
		assert.EqualValues(t, 3, runs.Load())
	})
}

// firstHealth is that of the first instance.
func firstHealth(r *registry.Registry) registry.Health {
	synctest.Wait()
	return r.Service("orders").Snapshot().At(0).Health()
}

// Whatever feeds and owners do, of each ID the claim counts that the rule says:
// compared with a model that keeps all of them.
func TestG40_Model(t *testing.T) {
	cases := make(map[string]uint64)
	for seed := range uint64(20) {
		cases[fmt.Sprint("seed ", seed)] = seed
	}
	bubbles(t, cases, func(t *testing.T, seed uint64) {
		rnd := rand.New(rand.NewPCG(seed, 40))
		r := newRegistry(t, registry.Config{})
		names := []string{"", "f1", "f2", "f3"} // in the order of their ranks
		taps := make([]*tap, len(names))
		for i := range names[1:] {
			taps[i+1], _ = fed(t, r, names[i+1])
		}
		claims := make([]map[string]string, len(names)) // the address of each ID
		leases := make(map[string]*registry.Lease)
		for i := range claims {
			claims[i] = make(map[string]string)
		}
		for step := range 300 {
			from, id := rnd.IntN(len(names)), string(rune('a'+rnd.IntN(4)))
			addr := fmt.Sprintf("10.0.0.%d:80", rnd.IntN(3)+1)
			remove := rnd.IntN(3) == 0
			switch {
			case from == 0 && remove:
				if l := leases[id]; l != nil {
					require.NoError(t, l.Deregister())
				}
				delete(leases, id)
				delete(claims[0], id)
			case from == 0:
				leases[id] = register(t, r, at(id, addr))
				claims[0][id] = addr
			case rnd.IntN(10) == 0:
				require.NoError(t, taps[from].reset(at(id, addr)))
				claims[from] = map[string]string{id: addr}
			case remove:
				require.NoError(t, taps[from].remove(id))
				delete(claims[from], id)
			default:
				require.NoError(t, taps[from].put(at(id, addr)))
				claims[from][id] = addr
			}
			require.Equal(t, winners(names, claims), addresses(r), "step %d", step)
		}
	})
}

// winners are the claims that count, "id addr origin" each.
func winners(names []string, claims []map[string]string) []string {
	won := make(map[string]bool)
	all := []string{}
	for i, of := range claims {
		for id, addr := range of {
			if !won[id] {
				won[id] = true
				all = append(all, id+" "+addr+" "+names[i])
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(strings.Fields(a)[0], strings.Fields(b)[0]) })
	return all
}

func addresses(r *registry.Registry) []string {
	all := []string{}
	for e := range r.Service("orders").Snapshot().All() {
		all = append(all, e.ID()+" "+e.Addr()+" "+e.Origin())
	}
	return all
}

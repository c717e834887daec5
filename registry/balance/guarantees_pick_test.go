package balance_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// eachPolicy runs a test in a subtest for every policy of the package.
func eachPolicy(t *testing.T, f func(t *testing.T, p balance.Policy)) {
	t.Helper()
	for name, p := range policies() {
		t.Run(name, func(t *testing.T) { f(t, p) })
	}
}

// only expects that a balancer chooses these, and that neither Pick nor Next
// chooses others.
func only(t *testing.T, b *balance.Balancer, want ...string) {
	t.Helper()
	assert.Equal(t, want, keys(counts(sequence(t, b, 100))), "Pick")
	for range 100 {
		e, err := b.Next(balance.Query{})
		require.NoError(t, err)
		require.Contains(t, want, e.ID(), "Next")
	}
}

// refused expects that there is nothing to choose.
func refused(t *testing.T, b *balance.Balancer, q balance.Query) {
	t.Helper()
	p, err := b.PickWith(bg, q)
	require.ErrorIs(t, err, balance.ErrNoInstances)
	assert.Zero(t, p)
	e, err := b.Next(q)
	require.ErrorIs(t, err, balance.ErrNoInstances)
	assert.Nil(t, e)
}

// No timer ever runs with a handClock, so that it is the pick that has to notice.
func TestG9_NothingExpiredIsPicked(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balance.Policy) {
		c := newHandClock()
		r := newRegistry(t, registry.Config{Clock: c})
		b := newBalancer(t, r, balance.Config{Policy: policy})
		short, long := instance("short"), instance("long")
		short.TTL, long.TTL = 10*time.Second, 20*time.Second
		registerAll(t, r, short, long)
		only(t, b, "long", "short")

		c.pass(10*time.Second - 1)
		only(t, b, "long", "short")
		c.pass(1)
		only(t, b, "long")
		c.pass(10 * time.Second)
		refused(t, b, balance.Query{})
	})
}

// The very first choice after the deadline counts, not the one that Pick has
// adapted for.
func TestG9_NextMeetsTheDeadlineFirst(t *testing.T) {
	c := newHandClock()
	r := newRegistry(t, registry.Config{Clock: c})
	b := newBalancer(t, r, balance.Config{})
	in := instance("a")
	in.TTL = time.Second
	register(t, r, in)
	_, err := b.Next(balance.Query{})
	require.NoError(t, err)

	c.pass(time.Second)
	_, err = b.Next(balance.Query{})
	require.ErrorIs(t, err, balance.ErrNoInstances)
}

func TestG14_WhatLeftIsNotPicked(t *testing.T) {
	leave := map[string]func(t *testing.T, r *registry.Registry, l *registry.Lease){
		"removed by hand":      func(t *testing.T, r *registry.Registry, _ *registry.Lease) { deregister(t, r, "out") },
		"removed by its owner": func(t *testing.T, _ *registry.Registry, l *registry.Lease) { require.NoError(t, l.Deregister()) },
		"drained":              func(t *testing.T, _ *registry.Registry, l *registry.Lease) { require.NoError(t, l.Drain(bg)) },
		"Draining":             func(t *testing.T, r *registry.Registry, _ *registry.Lease) { setHealth(t, r, "out", registry.Draining) },
		"Down":                 func(t *testing.T, r *registry.Registry, _ *registry.Lease) { setHealth(t, r, "out", registry.Down) },
		"Critical":             func(t *testing.T, r *registry.Registry, _ *registry.Lease) { setHealth(t, r, "out", registry.Critical) },
		"Starting":             func(t *testing.T, r *registry.Registry, _ *registry.Lease) { setHealth(t, r, "out", registry.Starting) },
		"Critical by its owner": func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.SetHealth(registry.Critical, ""))
		},
		"of negative weight": func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.Update(weighted("", -1)))
		},
	}
	for name, f := range leave {
		t.Run(name, func(t *testing.T) {
			eachPolicy(t, func(t *testing.T, policy balance.Policy) {
				r, b := with(t, balance.Config{Policy: policy, PanicThreshold: -1}, named("a", "b")...)
				l := register(t, r, instance("out"))
				only(t, b, "a", "b", "out")
				f(t, r, l)
				only(t, b, "a", "b")
			})
		})
	}
}

func TestG14_WhatComesIsPicked(t *testing.T) {
	come := map[string]func(t *testing.T, r *registry.Registry){
		"registered": func(t *testing.T, r *registry.Registry) { register(t, r, instance("in")) },
		"another Addr": func(t *testing.T, r *registry.Registry) {
			in := instance("in")
			in.Addr = "10.0.0.9:80"
			register(t, r, in)
		},
		"Passing again": func(t *testing.T, r *registry.Registry) { setHealth(t, r, "in", 0) },
		"Warning":       func(t *testing.T, r *registry.Registry) { setHealth(t, r, "in", registry.Warning) },
	}
	before := map[string]func(t *testing.T, r *registry.Registry){
		"another Addr": func(t *testing.T, r *registry.Registry) { register(t, r, instance("in")) },
		"Passing again": func(t *testing.T, r *registry.Registry) {
			register(t, r, instance("in"))
			setHealth(t, r, "in", registry.Critical)
		},
		"Warning": func(t *testing.T, r *registry.Registry) {
			register(t, r, instance("in"))
			setHealth(t, r, "in", registry.Critical)
		},
	}
	for name, f := range come {
		t.Run(name, func(t *testing.T) {
			eachPolicy(t, func(t *testing.T, policy balance.Policy) {
				r, b := with(t, balance.Config{Policy: policy, PanicThreshold: -1}, named("a", "b")...)
				if prepare := before[name]; prepare != nil {
					prepare(t, r)
				}
				sequence(t, b, 10)
				f(t, r)
				only(t, b, "a", "b", "in")
				for range 100 {
					p := pick(t, b)
					assert.Same(t, endpoint(t, r, p.Endpoint().ID()), p.Endpoint(), "a record of before the change")
					p.Done(nil)
				}
			})
		})
	}
}

// The new address is what a pick gives, never the one of before.
func TestG14_TheAddressIsTheNewOne(t *testing.T) {
	r, b := with(t, balance.Config{}, instance("a"))
	require.Equal(t, "10.0.0.1:80", pick(t, b).Endpoint().Addr())
	in := instance("a")
	in.Addr = "10.0.0.2:80"
	register(t, r, in)
	require.Equal(t, "10.0.0.2:80", pick(t, b).Endpoint().Addr())
	next, err := b.Next(balance.Query{})
	require.NoError(t, err)
	require.Equal(t, "10.0.0.2:80", next.Addr())
}

func TestG23_AFinishedContextGetsItsCause(t *testing.T) {
	asked := 0
	gate := func(*registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(context.Context) (func(error), error) { asked++; return nil, nil })
	}
	r, b := with(t, balance.Config{Gate: gate}, instance("a"))
	ctx, cancel := context.WithCancelCause(bg)
	cancel(errSick)

	p, err := b.Pick(ctx)
	require.Equal(t, errSick, err)
	assert.Zero(t, p)
	_, err = b.PickWith(ctx, balance.Query{Key: 1})
	require.Equal(t, errSick, err)
	_, err = newBalancer(t, newRegistry(t, registry.Config{}), balance.Config{}).Pick(ctx)
	require.Equal(t, errSick, err, "also if there is nothing to pick")
	assert.Zero(t, asked, "the gate was asked")
	assert.Zero(t, endpoint(t, r, "a").Picks())
}

func TestG23_NothingToPick(t *testing.T) {
	none := balance.Config{PanicThreshold: -1}
	for name, make := range map[string]func(t *testing.T) (*balance.Balancer, balance.Query){
		"no instance": func(t *testing.T) (*balance.Balancer, balance.Query) {
			_, b := with(t, none)
			return b, balance.Query{}
		},
		"all left": func(t *testing.T) (*balance.Balancer, balance.Query) {
			r, b := with(t, none, instance("a"))
			pick(t, b).Done(nil)
			deregister(t, r, "a")
			return b, balance.Query{}
		},
		"all excluded": func(t *testing.T) (*balance.Balancer, balance.Query) {
			r, b := with(t, none, named("a", "b")...)
			return b, balance.Query{Exclude: tried(endpoint(t, r, "a"), endpoint(t, r, "b"))}
		},
		"more excluded than Tried has room for": func(t *testing.T) (*balance.Balancer, balance.Query) {
			r, b := with(t, none, numbered(20)...)
			var q balance.Query
			for e := range r.Service(orders).Snapshot().All() {
				q.Exclude.Add(e)
			}
			return b, q
		},
		"none usable": func(t *testing.T) (*balance.Balancer, balance.Query) {
			r, b := with(t, none, instance("a"))
			setHealth(t, r, "a", registry.Critical)
			return b, balance.Query{}
		},
		"taken out by hand": func(t *testing.T) (*balance.Balancer, balance.Query) {
			r, b := with(t, balance.Config{}, named("a", "b")...)
			setHealth(t, r, "a", registry.Down)
			setHealth(t, r, "b", registry.Draining)
			return b, balance.Query{}
		},
		"filtered": func(t *testing.T) (*balance.Balancer, balance.Query) {
			_, b := with(t, balance.Config{Filter: func(*registry.Endpoint) bool { return false }}, instance("a"))
			return b, balance.Query{}
		},
		"negative weight": func(t *testing.T) (*balance.Balancer, balance.Query) {
			_, b := with(t, balance.Config{}, weighted("a", -1))
			return b, balance.Query{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, q := make(t)
			refused(t, b, q)
			_, err := b.PickWith(bg, q)
			var e *balance.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, balance.Error{Service: orders, Kind: balance.ErrNoInstances}, *e)
			_, again := b.PickWith(bg, q)
			assert.Same(t, err, again, "made more than once")
		})
	}
}

// However many are excluded, one that is left is found.
func TestG23_ExclusionLeavesTheRest(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balance.Policy) {
		r, b := with(t, balance.Config{Policy: policy}, numbered(30)...)
		var q balance.Query
		for e := range r.Service(orders).Snapshot().All() {
			if e.ID() != "i017" {
				q.Exclude.Add(e)
			}
		}
		for key := range uint64(50) {
			q.Key = key
			require.Equal(t, []string{"i017"}, sequenceWith(t, b, q, 1))
		}
	})
}

// A copy of a Tried is a set of its own, however many are in it.
func TestG23_TriedIsAValue(t *testing.T) {
	r, _ := with(t, balance.Config{}, numbered(20)...)
	one, other := endpoint(t, r, "i018"), endpoint(t, r, "i019")
	var set balance.Tried
	for i := range 18 {
		a, b := set, set
		a.Add(one)
		b.Add(other)
		require.True(t, a.Has(one) && !a.Has(other) && b.Has(other) && !b.Has(one), "after %d", i)
		require.False(t, set.Has(one) || set.Has(other))
		set.Add(endpoint(t, r, fmt.Sprintf("i%03d", i)))
		set.Add(endpoint(t, r, fmt.Sprintf("i%03d", i)))
	}
	for i := range 18 {
		require.True(t, set.Has(endpoint(t, r, fmt.Sprintf("i%03d", i))))
	}
	for _, tried := range []balance.Tried{{}, set} {
		tried.Add(balance.Pick{}.Endpoint())
		require.False(t, tried.Has(nil), "the zero Pick has no endpoint")
		tried.Add(one)
		require.True(t, tried.Has(one))
	}
}

// Somebody adapts to a change and takes long over it. Who picks meanwhile goes
// by what was before, without what has left.
func TestG23_APickDoesNotWaitForARebuild(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r, b := with(t, balance.Config{Filter: func(e *registry.Endpoint) bool {
			if e.ID() == "slow" {
				<-release
			}
			return true
		}}, named("a", "b")...)
		sequence(t, b, 1)
		register(t, r, instance("slow"))
		deregister(t, r, "b")
		first := async(func() error { p, err := b.Pick(bg); p.Abandon(); return err })
		synctest.Wait()

		for range 100 { // the bubble would end in a deadlock if one waited
			require.Equal(t, []string{"a"}, sequence(t, b, 1))
			e, err := b.Next(balance.Query{})
			require.NoError(t, err)
			require.Equal(t, "a", e.ID())
		}
		close(release)
		require.NoError(t, <-first)
		only(t, b, "a", "slow")
	})
}

// What can be seen of the order: filter, subset, panic mode or zone, policy,
// gate. Each stage gets only what the one before has left.
func TestG23_Order(t *testing.T) {
	asked := map[string]int{}
	gate := func(e *registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(context.Context) (func(error), error) { asked[e.ID()]++; return nil, nil })
	}
	var offered []string
	first := policyFunc(func(c balance.Candidates, _ balance.Query, _ int) int {
		offered = nil
		for i := range c.Len() {
			offered = append(offered, c.At(i).ID())
		}
		return 0
	})
	r := newRegistry(t, registry.Config{})
	for _, id := range []string{"x0", "x1", "x2", "x3", "a0", "a1", "a2", "b0", "b1", "b2"} {
		register(t, r, zoned(id, id[:1]))
	}
	b := newBalancer(t, r, balance.Config{
		Policy: first, Gate: gate, Zone: "a", SubsetSize: 5, SubsetKey: "me",
		Filter: func(e *registry.Endpoint) bool { return e.Zone() != "x" },
	})
	sequence(t, b, 10)
	subset := keys(members(b))
	require.Len(t, subset, 5)
	var home []string
	for _, id := range subset {
		assert.NotEqual(t, "x", id[:1], "the subset is of what the filter left")
		if id[:1] == "a" {
			home = append(home, id)
		}
	}
	require.NotEmpty(t, home)
	require.Less(t, len(home), 5)
	assert.Equal(t, home, offered, "the policy chooses among those of the zone")
	assert.Equal(t, map[string]int{home[0]: 10}, asked, "the gate is asked about the choice of the policy alone")

	for _, id := range subset[:3] { // below one half of the subset, not of all
		setHealth(t, r, id, registry.Critical)
	}
	sequence(t, b, 1)
	assert.Equal(t, subset, offered, "panic mode stays in the subset, and ignores zones")
}

func TestG23_Misuse(t *testing.T) {
	_, b := with(t, balance.Config{}, instance("a"))
	var zero balance.Balancer
	for name, f := range map[string]func() error{
		"nil ctx":        func() error { _, err := b.Pick(nil); return err }, //nolint:staticcheck // that is what is tested
		"nil Balancer":   func() error { _, err := (*balance.Balancer)(nil).Pick(bg); return err },
		"zero Balancer":  func() error { _, err := zero.Pick(bg); return err },
		"Next of nil":    func() error { _, err := (*balance.Balancer)(nil).Next(balance.Query{}); return err },
		"Next of zero":   func() error { _, err := zero.Next(balance.Query{}); return err },
		"nil Service":    func() error { _, err := balance.New(nil, balance.Config{}); return err },
		"nil fn":         func() error { _, err := balance.Do[int](bg, b, nil); return err },
		"Do of nil":      func() error { _, err := balance.Do(bg, nil, answer); return err },
		"Do without ctx": func() error { _, err := balance.Do(nil, b, answer); return err }, //nolint:staticcheck // that is what is tested
		"MustNew of nil": func() error { return panicOf(func() { balance.MustNew(nil, balance.Config{}) }) },
	} {
		t.Run(name, func(t *testing.T) {
			require.Error(t, f())
		})
	}
}

func answer(context.Context, *registry.Endpoint) (int, error) { return 42, nil }

// panicOf is the error that f panics with.
func panicOf(f func()) (err error) {
	defer func() { err, _ = recover().(error) }()
	f()
	return nil
}

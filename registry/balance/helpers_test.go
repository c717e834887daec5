package balance_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// bg is the context of everything that needs no other.
var bg = context.Background()

// errSick is what failing calls return.
var errSick = errors.New("sick")

// orders is the service that most tests are about.
const orders = "orders"

// newRegistry makes a registry that is closed when the test is over.
func newRegistry(tb testing.TB, cfg registry.Config) *registry.Registry {
	tb.Helper()
	r, err := registry.New(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, r.Close(bg)) })
	return r
}

// instance is one of "orders".
func instance(id string) registry.Instance {
	return registry.Instance{Service: orders, ID: id, Addr: "10.0.0.1:80"}
}

// weighted is an instance with a weight.
func weighted(id string, weight int) registry.Instance {
	in := instance(id)
	in.Weight = weight
	return in
}

// zoned is an instance in a zone.
func zoned(id, zone string) registry.Instance {
	in := instance(id)
	in.Zone = zone
	return in
}

// numbered are n instances of "orders", of which the first one is i000.
func numbered(n int) []registry.Instance {
	all := make([]registry.Instance, n)
	for i := range all {
		all[i] = instance(fmt.Sprintf("i%03d", i))
	}
	return all
}

// named are instances of "orders" with these IDs.
func named(ids ...string) []registry.Instance {
	all := make([]registry.Instance, len(ids))
	for i, id := range ids {
		all[i] = instance(id)
	}
	return all
}

// register registers an instance, which has to be accepted.
func register(tb testing.TB, r *registry.Registry, in registry.Instance) *registry.Lease {
	tb.Helper()
	l, err := r.Register(bg, in)
	require.NoError(tb, err)
	return l
}

// registerAll registers instances in one step.
func registerAll(tb testing.TB, r *registry.Registry, ins ...registry.Instance) []*registry.Lease {
	tb.Helper()
	leases, err := r.RegisterWith(bg, registry.RegisterConfig{}, ins...)
	require.NoError(tb, err)
	return leases
}

// setHealth says by hand how an instance of "orders" is; 0 takes that back.
func setHealth(tb testing.TB, r *registry.Registry, id string, h registry.Health) {
	tb.Helper()
	require.NoError(tb, r.SetHealth(bg, orders, id, h, ""))
}

// deregister takes an instance of "orders" out.
func deregister(tb testing.TB, r *registry.Registry, id string) {
	tb.Helper()
	require.NoError(tb, r.Deregister(bg, orders, id))
}

// endpoint is the record of an instance of "orders" now.
func endpoint(tb testing.TB, r *registry.Registry, id string) *registry.Endpoint {
	tb.Helper()
	e, ok := r.Service(orders).Get(id)
	require.True(tb, ok, "no instance %q", id)
	return e
}

// inFlight are the tracked calls under way of the instances of "orders", without
// those that have none.
func inFlight(r *registry.Registry) map[string]int {
	all := map[string]int{}
	for e := range r.Service(orders).Snapshot().All() {
		if n := e.InFlight(); n != 0 {
			all[e.ID()] = n
		}
	}
	return all
}

// newBalancer makes a balancer for "orders".
func newBalancer(tb testing.TB, r *registry.Registry, cfg balance.Config) *balance.Balancer {
	tb.Helper()
	b, err := balance.New(r.Service(orders), cfg)
	require.NoError(tb, err)
	return b
}

// with is a registry of some instances, and a balancer for them.
func with(tb testing.TB, cfg balance.Config, ins ...registry.Instance) (*registry.Registry, *balance.Balancer) {
	tb.Helper()
	r := newRegistry(tb, registry.Config{})
	if len(ins) > 0 {
		registerAll(tb, r, ins...)
	}
	return r, newBalancer(tb, r, cfg)
}

// pick picks, which has to succeed.
func pick(tb testing.TB, b *balance.Balancer) balance.Pick {
	tb.Helper()
	return pickWith(tb, b, balance.Query{})
}

// pickWith is pick with a query.
func pickWith(tb testing.TB, b *balance.Balancer, q balance.Query) balance.Pick {
	tb.Helper()
	p, err := b.PickWith(bg, q)
	require.NoError(tb, err)
	return p
}

// pickOf picks an instance, by excluding all others.
func pickOf(tb testing.TB, b *balance.Balancer, id string) balance.Pick {
	tb.Helper()
	var q balance.Query
	for m := range b.Members() {
		if m.Endpoint.ID() != id {
			q.Exclude.Add(m.Endpoint)
		}
	}
	p := pickWith(tb, b, q)
	require.Equal(tb, id, p.Endpoint().ID())
	return p
}

// calls makes n calls to an instance, one after another, that all end like that.
func calls(tb testing.TB, b *balance.Balancer, id string, n int, err error) {
	tb.Helper()
	for range n {
		pickOf(tb, b, id).Done(err)
	}
}

// usual is a latency for all calls of a test: real ones would differ, and
// PeakEWMA would look at that.
const usual = time.Millisecond

// sequence are the IDs of n picks, each of which ends well, after the usual
// time, before the next one.
func sequence(tb testing.TB, b *balance.Balancer, n int) []string {
	tb.Helper()
	return sequenceWith(tb, b, balance.Query{}, n)
}

// sequenceWith is sequence with a query.
func sequenceWith(tb testing.TB, b *balance.Balancer, q balance.Query, n int) []string {
	tb.Helper()
	all := make([]string, n)
	for i := range all {
		p := pickWith(tb, b, q)
		all[i] = p.Endpoint().ID()
		p.DoneAfter(nil, usual)
	}
	return all
}

// counts is how often each ID is in a sequence.
func counts(ids []string) map[string]int {
	all := map[string]int{}
	for _, id := range ids {
		all[id]++
	}
	return all
}

// keys are the keys of a map, sorted.
func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// members are the members of a balancer, by ID.
func members(b *balance.Balancer) map[string]balance.Member {
	all := map[string]balance.Member{}
	for m := range b.Members() {
		all[m.Endpoint.ID()] = m
	}
	return all
}

// tried is a set of endpoints.
func tried(all ...*registry.Endpoint) balance.Tried {
	var t balance.Tried
	for _, e := range all {
		t.Add(e)
	}
	return t
}

// seeded is a Rand whose numbers are the same in every run.
func seeded(seed uint64) func() uint64 {
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(seed, 0x5eed))
	return func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return rng.Uint64()
	}
}

// A policyFunc is a policy whose picker is a function of the candidates.
type policyFunc func(c balance.Candidates, q balance.Query, draw int) int

func (f policyFunc) NewPicker(c balance.Candidates, _ balance.Picker) balance.Picker {
	return pickerFunc(func(q balance.Query, draw int) int { return f(c, q, draw) })
}

// A pickerFunc is a function as a picker.
type pickerFunc func(q balance.Query, draw int) int

func (f pickerFunc) Pick(q balance.Query, draw int) int { return f(q, draw) }

// policies are those of the package, by name.
func policies() map[string]balance.Policy {
	return map[string]balance.Policy{
		"LeastLoaded":    balance.LeastLoaded{},
		"LeastLoaded 4":  balance.LeastLoaded{Choices: 4},
		"LeastLoaded -1": balance.LeastLoaded{Choices: -1},
		"PeakEWMA":       balance.PeakEWMA{},
		"RoundRobin":     balance.RoundRobin{},
		"Random":         balance.Random{},
		"Weighted":       balance.Weighted{},
		"Smooth":         balance.Weighted{Smooth: true},
		"Maglev":         balance.ConsistentHash{},
		"Rendezvous":     balance.ConsistentHash{Kind: balance.Rendezvous},
		"Bound":          balance.ConsistentHash{Bound: 1.25},
	}
}

// A journal is what the hooks of a balancer were told, in order.
type journal struct {
	mu        sync.Mutex
	panics    []balance.PanicMode
	ejections []balance.Ejection
	faults    []*registry.PanicError
}

// hooks are those that write the journal.
func (j *journal) hooks() balance.Hooks {
	return balance.Hooks{
		PanicMode: func(p balance.PanicMode) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.panics = append(j.panics, p)
		},
		Ejection: func(e balance.Ejection) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.ejections = append(j.ejections, e)
		},
		Fault: func(p *registry.PanicError) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.faults = append(j.faults, p)
		},
	}
}

// panicModes are the turns of panic mode since the last call.
func (j *journal) panicModes() []balance.PanicMode { return take(&j.mu, &j.panics) }

// ejected are the beginnings and ends of ejections since the last call.
func (j *journal) ejected() []balance.Ejection { return take(&j.mu, &j.ejections) }

// faulted are the contained panics since the last call.
func (j *journal) faulted() []*registry.PanicError { return take(&j.mu, &j.faults) }

func take[T any](mu *sync.Mutex, list *[]T) []T {
	mu.Lock()
	defer mu.Unlock()
	all := *list
	*list = nil
	return all
}

// A handClock is a Clock whose time a test moves, without any timer: what is
// right only if a timer has run is wrong with it.
type handClock struct {
	timers *clock.Mock
	passed atomic.Int64
}

func newHandClock() *handClock { return &handClock{timers: clock.NewMock()} }

func (c *handClock) Now() time.Time { return time.Unix(0, c.passed.Load()) }

func (c *handClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *handClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	return c.timers.AfterFunc(d, f)
}

func (c *handClock) pass(d time.Duration) { c.passed.Add(int64(d)) }

// bubbles runs a test once for each case, each in a bubble and subtest of its own.
func bubbles[C any](t *testing.T, cases map[string]C, f func(*testing.T, C)) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, c) }) })
	}
}

// bothClocks runs a test with the system clock and with a Mock, in a bubble
// each. pass lets time pass, and waits until all that is due has been done.
func bothClocks(t *testing.T, f func(t *testing.T, c registry.Clock, pass func(time.Duration))) {
	t.Helper()
	t.Run("system", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, nil, func(d time.Duration) {
				time.Sleep(d)
				synctest.Wait()
			})
		})
	})
	t.Run("Mock", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := clock.NewMock()
			f(t, m, func(d time.Duration) {
				synctest.Wait()
				m.Add(d)
				synctest.Wait()
			})
		})
	})
}

// async calls f on another goroutine and hands its error on.
func async(f func() error) <-chan error {
	result := make(chan error, 1)
	go func() { result <- f() }()
	return result
}

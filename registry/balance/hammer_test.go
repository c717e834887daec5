package balance_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A referee knows from when on instances must not be picked. Order is told by a
// counter that everybody takes numbers from: a writer takes one after its call
// returned, a pick takes one before it begins, so if the pick's is greater, it
// began after the call had returned.
type referee struct {
	numbers atomic.Int64
	stays   sync.Map // *registry.Live to *stay
}

// A stay is what is known about an instance while it is at its address.
type stay struct {
	out     atomic.Int64 // the number of the call that took it out; 0: it may be picked
	drained atomic.Bool  // Drain has returned
}

func (f *referee) number() int64 { return f.numbers.Add(1) }

func (f *referee) stay(e *registry.Endpoint) *stay {
	s, _ := f.stays.LoadOrStore(e.Live(), new(stay))
	return s.(*stay)
}

// tookOut is called after an instance was taken out.
func (f *referee) tookOut(e *registry.Endpoint) { f.stay(e).out.Store(f.number()) }

// letIn is called before an instance is let in again.
func (f *referee) letIn(e *registry.Endpoint) { f.stay(e).out.Store(0) }

// judge looks at what a pick or Next returned that began with a number. While a
// tracked pick has not ended no drain can have returned.
func (f *referee) judge(t *testing.T, begin int64, e *registry.Endpoint, held bool) bool {
	t.Helper()
	s := f.stay(e)
	out := s.out.Load()
	if out != 0 && out < begin {
		return assert.Fail(t, "picked after it was out", "%s, out at %d, pick began at %d", e.ID(), out, begin)
	}
	if held && s.drained.Load() {
		return assert.Fail(t, "Drain returned before the call ended", e.ID())
	}
	return true
}

// A writer changes the membership, once per call.
type writer func(t *testing.T, r *registry.Registry, f *referee, c *handClock, i int) bool

// enlist registers an instance. It is false, with the failure told, if that
// fails.
func enlist(t *testing.T, r *registry.Registry, in registry.Instance) (*registry.Lease, bool) {
	t.Helper()
	l, err := r.Register(bg, in)
	return l, assert.NoError(t, err)
}

func writers() map[string]writer {
	return map[string]writer{
		"drain": func(t *testing.T, r *registry.Registry, f *referee, _ *handClock, i int) bool {
			l, ok := enlist(t, r, instance(fmt.Sprint("drain", i%3)))
			if !ok {
				return false
			}
			e := l.Endpoint()
			ok = assert.NoError(t, l.Drain(bg))
			f.stay(e).drained.Store(true)
			f.tookOut(e)
			return ok
		},
		"deregister": func(t *testing.T, r *registry.Registry, f *referee, _ *handClock, i int) bool {
			l, ok := enlist(t, r, instance(fmt.Sprint("leave", i%2)))
			if !ok {
				return false
			}
			e := l.Endpoint()
			ok = assert.NoError(t, l.Deregister())
			f.tookOut(e)
			return ok
		},
		"health": func(t *testing.T, r *registry.Registry, f *referee, _ *handClock, i int) bool {
			e, ok := r.Service(orders).Get("sick")
			if !assert.True(t, ok) {
				return false
			}
			bad := []registry.Health{registry.Critical, registry.Draining, registry.Down, registry.Starting}[i%4]
			if !assert.NoError(t, r.SetHealth(bg, orders, "sick", bad, "")) {
				return false
			}
			f.tookOut(e)
			f.letIn(e)
			return assert.NoError(t, r.SetHealth(bg, orders, "sick", 0, ""))
		},
		"move": func(t *testing.T, r *registry.Registry, f *referee, _ *handClock, i int) bool {
			before, ok := r.Service(orders).Get("moving")
			if !assert.True(t, ok) {
				return false
			}
			in := instance("moving")
			in.Addr = fmt.Sprintf("10.0.1.%d:80", i%250)
			_, ok = enlist(t, r, in)
			f.tookOut(before)
			return ok
		},
		"expire": func(t *testing.T, r *registry.Registry, f *referee, c *handClock, _ int) bool {
			in := instance("leased")
			in.TTL = time.Second
			l, ok := enlist(t, r, in)
			c.pass(time.Second)
			f.tookOut(l.Endpoint())
			return ok
		},
	}
}

// slowly is a policy that takes its time over a change, so that many go by the
// candidates of before.
type slowly struct{ balance.Policy }

func (p slowly) NewPicker(c balance.Candidates, old balance.Picker) balance.Picker {
	for range 20 {
		runtime.Gosched()
	}
	return p.Policy.NewPicker(c, old)
}

// yielding is a gate that lets others go first, between the choice of an instance
// and the call being counted.
var yielding = balance.GateFunc(func(context.Context) (func(error), error) {
	runtime.Gosched()
	return nil, nil
})

// Everybody picks while instances come, go, drain, expire and fall sick. Two stay
// all the time, so that there always is something to pick.
func TestG14_HammerOfPicks(t *testing.T) {
	all := policies()
	all["Maglev"] = balance.ConsistentHash{Table: 251} // the others take a millisecond for a change
	all["Bound"] = balance.ConsistentHash{Table: 251, Bound: 1.25}
	all["slow to adapt"] = slowly{balance.RoundRobin{}}
	for name, policy := range all {
		t.Run(name, func(t *testing.T) {
			c, f := newHandClock(), &referee{}
			r := newRegistry(t, registry.Config{Clock: c})
			registerAll(t, r, named("stays0", "stays1", "sick", "moving")...)
			b := newBalancer(t, r, balance.Config{
				Policy: policy, PanicThreshold: -1, SlowStart: 10 * time.Second, Outlier: &balance.Outlier{MaxEjected: 0.1},
				Gate: func(*registry.Endpoint) balance.Gate { return yielding },
			})
			var stop atomic.Bool
			var picks atomic.Int64
			var changing, picking sync.WaitGroup
			for _, write := range writers() {
				changing.Go(func() {
					for i := 0; !stop.Load() && (i < 100 || picks.Load() < 4000); i++ {
						if !write(t, r, f, c, i) {
							stop.Store(true)
						}
					}
				})
			}
			for g := range 4 {
				picking.Go(func() {
					for i := g; !stop.Load(); i++ {
						picks.Add(1)
						if !f.pickOne(t, b, i) {
							stop.Store(true)
						}
					}
				})
			}
			changing.Wait()
			stop.Store(true)
			picking.Wait()
			assert.Empty(t, inFlight(r))
		})
	}
}

// pickOne makes one call, or looks for one that could be made.
func (f *referee) pickOne(t *testing.T, b *balance.Balancer, i int) bool {
	t.Helper()
	begin := f.number()
	q := balance.Query{Key: uint64(i)}
	if i%4 == 0 {
		e, err := b.Next(q)
		return assert.NoError(t, err) && f.judge(t, begin, e, false)
	}
	p, err := b.PickWith(bg, q)
	if !assert.NoError(t, err) {
		return false
	}
	ok := f.judge(t, begin, p.Endpoint(), true)
	if i%3 == 0 {
		p.Done(errSick)
	} else {
		p.Done(nil)
	}
	return ok
}

// All instances are replaced, again and again, and at every moment one is there.
// No pick may say that there is none.
func TestG14_ReplacedMembership(t *testing.T) {
	const rounds, picked, each = 400, 1000, 2 // at least
	for name, cfg := range map[string]balance.Config{
		"LeastLoaded": {},
		"RoundRobin":  {Policy: balance.RoundRobin{}},
		"hash":        {Policy: balance.ConsistentHash{Table: 1021}},
		"zone":        {Zone: "here"},
		"fail closed": {PanicThreshold: -1},
	} {
		t.Run(name, func(t *testing.T) {
			r, b := with(t, cfg, named("r0-0", "r0-1")...)
			var stop atomic.Bool
			var picks atomic.Int64
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					for i := g; !stop.Load(); i++ {
						picks.Add(1)
						p, err := b.PickWith(bg, balance.Query{Key: uint64(i)})
						if !assert.NoError(t, err) {
							stop.Store(true)
						}
						p.Done(nil)
					}
				})
			}
			for i := 1; !stop.Load() && (i <= rounds || picks.Load() < picked); i++ {
				fresh := make([]registry.Instance, each)
				for j := range fresh {
					fresh[j] = instance(fmt.Sprintf("r%d-%d", i, j))
				}
				_, err := r.RegisterWith(bg, registry.RegisterConfig{}, fresh...)
				assert.NoError(t, err)
				for j := range each {
					assert.NoError(t, r.Deregister(bg, orders, fmt.Sprintf("r%d-%d", i-1, j)))
				}
			}
			stop.Store(true)
			wg.Wait()
		})
	}
}

// Somebody is still finding out about a change that has replaced everything. Who
// picks meanwhile has nothing but what has left, and waits for him instead of
// giving up. That it searches in vain is seen by its random numbers.
func TestG14_APickDuringTheRebuildOfAnEmptiedSet(t *testing.T) {
	for name, choose := range map[string]func(b *balance.Balancer) (*registry.Endpoint, error){
		"Pick": func(b *balance.Balancer) (*registry.Endpoint, error) {
			p, err := b.Pick(bg)
			return p.Endpoint(), err
		},
		"Next": func(b *balance.Balancer) (*registry.Endpoint, error) { return b.Next(balance.Query{}) },
		"Do": func(b *balance.Balancer) (*registry.Endpoint, error) {
			return balance.Do(bg, b, func(_ context.Context, e *registry.Endpoint) (*registry.Endpoint, error) { return e, nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			asked, release := make(chan struct{}), make(chan struct{})
			searching := make(chan struct{}, 1)
			var watched atomic.Bool
			random := seeded(14)
			r, b := with(t, balance.Config{
				Policy: balance.RoundRobin{},
				Filter: func(e *registry.Endpoint) bool {
					if e.ID() == "new" {
						close(asked)
						<-release
					}
					return true
				},
				Rand: func() uint64 {
					if watched.Load() {
						select {
						case searching <- struct{}{}:
						default:
						}
					}
					return random()
				},
			}, instance("old"))
			sequence(t, b, 1)
			register(t, r, instance("new"))
			deregister(t, r, "old")

			rebuilt := async(func() error { _, err := b.Pick(bg); return err })
			<-asked
			watched.Store(true)
			var got *registry.Endpoint
			chosen := async(func() (err error) { got, err = choose(b); return err })
			<-searching
			for range 1000 { // time to give up, for one that would
				runtime.Gosched()
			}
			close(release)
			require.NoError(t, <-chosen)
			assert.Equal(t, "new", got.ID())
			require.NoError(t, <-rebuilt)
		})
	}
}

// The set is replaced while it is being looked at, several times in a row.
func TestG14_ReplacedWhileRebuilding(t *testing.T) {
	for _, times := range []int{1, 2, 5, 20} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			register(t, r, instance("g0"))
			i := 0
			b := newBalancer(t, r, balance.Config{Filter: func(e *registry.Endpoint) bool {
				if i < times && e.ID() == fmt.Sprint("g", i) {
					i++
					register(t, r, instance(fmt.Sprint("g", i)))
					deregister(t, r, fmt.Sprint("g", i-1))
				}
				return true
			}})
			assert.Equal(t, []string{fmt.Sprint("g", times)}, sequence(t, b, 1))
		})
	}
}

// All instances move to other addresses in one step, again and again: each
// snapshot has them all.
func TestG14_ReplacedInOneStep(t *testing.T) {
	for _, n := range []int{1, 2, 300} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r, b := with(t, balance.Config{}, numbered(n)...)
			var stop atomic.Bool
			var picks atomic.Int64
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for !stop.Load() {
						picks.Add(1)
						p, err := b.Pick(bg)
						if !assert.NoError(t, err) {
							stop.Store(true)
						}
						p.Done(nil)
					}
				})
			}
			for i := 0; !stop.Load() && (i < 100 || picks.Load() < 4000); i++ {
				moved := numbered(n)
				for j := range moved {
					moved[j].Addr = fmt.Sprintf("10.0.1.%d:80", i%250)
				}
				_, err := r.RegisterWith(bg, registry.RegisterConfig{}, moved...)
				assert.NoError(t, err)
			}
			stop.Store(true)
			wg.Wait()
		})
	}
}

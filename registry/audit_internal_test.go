package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
)

// A manual clock is a Mock that can also jump without its timers.
type manual struct {
	m   *clock.Mock
	off atomic.Int64
}

func (c *manual) Now() time.Time                  { return c.m.Now().Add(time.Duration(c.off.Load())) }
func (c *manual) Since(t time.Time) time.Duration { return c.Now().Sub(t) }
func (c *manual) AfterFunc(d time.Duration, f func()) *clock.Timer {
	return c.m.AfterFunc(d, f)
}

// audit holds all that a registry keeps twice against each other: views, members,
// claims, terms, feeds, live sides and counts.
func (r *Registry) audit() error {
	var errs []error
	bad := func(f string, a ...any) { errs = append(errs, fmt.Errorf(f, a...)) }
	services := 0
	for ro := range r.all {
		ro.mu.Lock()
		if ro.released {
			ro.mu.Unlock()
			continue
		}
		v := ro.view.Load()
		var got, want []string
		for e := range v.All() {
			got = append(got, e.ID())
			if m := ro.members[e.ID()]; m == nil || m.ep != e {
				bad("%s: view of %s is not its ep", ro.name, e.ID())
			}
		}
		terms := map[*term]bool{}
		feeds := map[*feed]int{}
		for id, m := range ro.members {
			want = append(want, id)
			if len(m.claims) == 0 {
				bad("no claims %s", id)
				continue
			}
			if !slices.IsSortedFunc(m.claims, func(a, b *claim) int { return int(int64(a.rank()>>1) - int64(b.rank()>>1)) }) {
				bad("unsorted claims")
			}
			for i, c := range m.claims {
				d := c.term.deadline.Load()
				if d == dead {
					bad("dead claim %s", id)
				}
				switch {
				case d == never:
				case i == 0:
					terms[&c.term] = true
				case c.term.in != &ro.shades:
					bad("%s: a claim behind another does not lapse", id)
				}
				if c.feed != nil {
					feeds[c.feed]++
				}
			}
			c := m.claims[0]
			if m.ep.generation != c.generation || m.ep.in != c.in && !m.ep.in.same(c.in) || m.ep.origin != c.origin() {
				bad("%s: ep is not its claim's", id)
			}
			if m.ep.word.health != m.word().health {
				bad("%s: health %v, word %v", id, m.ep.word.health, m.word().health)
			}
			if m.ep.live.Health() != m.ep.word.health {
				bad("%s: live %v, word %v", id, m.ep.live.Health(), m.ep.word.health)
			}
			if (m.check != nil) != (c.in.Check.Func != nil) {
				bad("%s: check", id)
			}
			if m.check != nil && m.check.in != c.in {
				bad("%s: check has another in", id)
			}
		}
		slices.Sort(want)
		if !slices.Equal(got, want) {
			bad("%s: view %v members %v", ro.name, got, want)
		}
		for _, t := range append(slices.Clone([]*term(ro.terms.heap)), ro.terms.held...) {
			if !terms[t] {
				bad("%s: stray term %s %d", ro.name, t.id, t.deadline.Load())
			}
			delete(terms, t)
		}
		for _, t := range ro.terms.held {
			if t.deadline.Load() != held {
				bad("held is not")
			}
		}
		for _, t := range ro.terms.heap {
			if t.deadline.Load() < t.key {
				bad("%s: heap key later than deadline", t.id)
			}
		}
		for t := range terms {
			bad("%s: term missing %s", ro.name, t.id)
		}
		if len(feeds) != len(ro.feeds) {
			bad("feeds %v %v", feeds, ro.feeds)
		}
		for f, n := range feeds {
			if ro.feeds[f] != n {
				bad("feed %s %d %d", f.name, n, ro.feeds[f])
			}
		}
		if v.disconnected != ro.disconnected() {
			bad("%s: disconnected %v", ro.name, v.disconnected)
		}
		if ro.counted != (len(ro.members) > 0) {
			bad("%s counted %v members %d", ro.name, ro.counted, len(ro.members))
		}
		if ro.counted {
			services++
		}
		if len(ro.members) == 0 && len(ro.waiters) == 0 && !ro.telling && len(ro.news) == 0 {
			bad("%s is not released", ro.name)
		}
		if ro.due.Load() != min(ro.terms.due(), ro.shades.due()) {
			bad("due")
		}
		ro.mu.Unlock()
	}
	if int(r.services.Load()) != services {
		bad("services %d %d", r.services.Load(), services)
	}
	return errors.Join(errs...)
}

// Whatever is done, in whatever order, nothing contradicts anything else afterwards.
func TestAudit(t *testing.T) {
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 7))
			c := &manual{m: clock.NewMock()}
			var turns atomic.Int64
			var mu sync.Mutex // hooks of different services may run at the same time
			begun := map[string]bool{}
			r := MustNew(Config{Clock: c, Limits: Limits{Services: 2, Instances: 12}, Preserve: Preserve{MinInstances: 3, MaxEvict: 0.3, Window: 5 * time.Second, MaxHold: 20 * time.Second}, Hooks: Hooks{
				Preservation: func(p Preservation) {
					mu.Lock()
					defer mu.Unlock()
					if begun[p.Service] == p.Active {
						t.Errorf("seed %d: two turns %v", seed, p.Active)
					}
					begun[p.Service] = p.Active
					turns.Add(1)
				},
			}})
			ctx, cancel := context.WithCancel(context.Background())
			var fs []*feed
			for _, n := range []string{"f", "g"} {
				_, f, err := r.attach(ctx, n)
				if err != nil {
					t.Fatal(err)
				}
				fs = append(fs, f)
			}
			var leases []*Lease
			fn := []func(context.Context, Instance) error{nil, func(context.Context, Instance) error { return nil }, func(context.Context, Instance) error { return errors.New("x") }}
			inst := func() Instance {
				in := Instance{Service: fmt.Sprint("s", rnd.IntN(3)), ID: fmt.Sprint("i", rnd.IntN(8)), Addr: fmt.Sprint("h", rnd.IntN(2), ":1")}
				if rnd.IntN(4) > 0 {
					in.TTL = time.Duration(1+rnd.IntN(4)) * time.Second
				}
				if f := fn[rnd.IntN(3)]; f != nil {
					in.Check = Check{Func: f, FailuresBeforeCritical: 1, InitialDelay: time.Duration(rnd.IntN(2)) * time.Second}
				}
				return in
			}
			var log []string
			for step := range 120 {
				op := rnd.IntN(17)
				var l *Lease
				if len(leases) > 0 {
					l = leases[rnd.IntN(len(leases))]
				}
				in := inst()
				what := fmt.Sprint(step, " op ", op, " ", in.Service, in.ID, " ", in.Addr, in.TTL, in.Check.Func != nil)
				switch {
				case op < 3:
					if l, err := r.Register(ctx, in); err == nil {
						leases = append(leases, l)
					}
				case op < 6:
					b := Batch{Reset: rnd.IntN(4) == 0}
					for range 6 {
						b.Put = append(b.Put, Record{Instance: inst(), Health: Health(rnd.IntN(3))})
					}
					b.Remove = append(b.Remove, Ref{inst().Service, inst().ID})
					f := fs[rnd.IntN(2)]
					_ = f.deliver(ctx, b)
					if rnd.IntN(2) == 0 {
						c.off.Add(int64(rnd.IntN(6)) * int64(time.Second))
						_ = f.deliver(ctx, b)
					}
				case op == 6:
					c.off.Add(int64(rnd.IntN(3000)) * int64(time.Millisecond))
				case op == 7:
					r.Sweep()
				case l == nil:
				case op == 8:
					_ = l.Renew()
				case op == 9:
					in.Service, in.ID = "", ""
					_ = l.Update(in)
				case op == 10:
					_ = l.Deregister()
				case op == 11:
					_ = l.SetHealth(Health(rnd.IntN(8)), "o")
				case op == 12:
					_ = r.SetHealth(ctx, in.Service, in.ID, Health(rnd.IntN(8)), "p")
				case op == 13:
					_ = r.Deregister(ctx, in.Service, in.ID)
				case op == 14:
					e, ok := r.Service(in.Service).Get(in.ID)
					if ok && rnd.IntN(2) == 0 {
						e.Live().Acquire(Down)
						go func() { time.Sleep(time.Second); e.Live().Release() }()
					}
					if rnd.IntN(2) == 0 {
						go func() { _ = l.Drain(ctx) }()
					} else {
						go func() { _ = r.Drain(ctx, in.Service, in.ID) }()
					}
				case op == 15:
					f := fs[rnd.IntN(2)]
					f.disconnect(errors.New("x"))
				case op == 16:
					var sb strings.Builder
					_ = r.Export(&sb)
					_, _ = r.Import(ctx, strings.NewReader(strings.ReplaceAll(sb.String(), `"id":"i1"`, `"id":"i7"`)), time.Duration(rnd.IntN(5))*time.Second)
				}
				synctest.Wait()
				log = append(log, what)
				if err := r.audit(); err != nil {
					t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(log[max(0, len(log)-6):], "\n"))
				}
			}
			for _, f := range fs {
				f.detach(ctx)
			}
			if err := r.audit(); err != nil {
				t.Errorf("seed %d end: %v", seed, err)
			}
			cancel()
			for name := range r.Services() {
				for e := range r.Service(name).Snapshot().All() {
					_ = r.Deregister(context.Background(), name, e.ID())
				}
			}
			synctest.Wait()
			n := 0
			for range r.all {
				n++
			}
			if n > 0 || r.checkers.Load() != 0 {
				t.Errorf("seed %d: %d rosters, %d checkers left", seed, n, r.checkers.Load())
			}
			time.Sleep(time.Minute)
			if err := r.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		if t.Failed() {
			break
		}
	}
}

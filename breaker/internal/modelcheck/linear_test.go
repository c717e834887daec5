package modelcheck

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/mainstay-go/mainstay/breaker"
)

// budget is how long the search for an order of one history may take before it
// counts as unknown: thousands of times what it takes.
const budget = 30 * time.Second

// TestLinear checks that concurrent operations have an order in which the model
// would have done the same: the same admissions, rejections, states and late
// outcomes, the same events in the same order, and the same totals at the end.
func TestLinear(t *testing.T) {
	want := size(histories, 50_000, 1_000_000, 1_000)
	base := *seed
	if base == 0 {
		base = rand.Uint64()
	}
	var next, checked, operations, overlapping, unknown atomic.Int64
	var shards sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		shards.Go(func() {
			for !t.Failed() {
				i := next.Add(1) - 1
				if i >= int64(want) {
					return
				}
				s := base
				if *seed == 0 {
					s += uint64(i)
				}
				h := newHistory(s)
				h.run()
				ops := h.operations()
				operations.Add(int64(len(ops)))
				overlapping.Add(int64(overlap(ops)))
				switch h.check(ops, budget) {
				case porcupine.Ok:
					checked.Add(1)
				case porcupine.Unknown:
					unknown.Add(1)
					t.Errorf("no order found within %v for this history of the plan with seed %d:\n%v", budget, s, h)
				case porcupine.Illegal:
					t.Errorf("no order explains this history of a plan that -run TestLinear -histories 10000 -seed %d replays:\n%v", s, smallest(h))
				}
			}
		})
	}
	shards.Wait()
	t.Logf("%d histories of %d workers x %d operations, seeds from %d: %d operations, %d of them overlapping another; "+
		"all have an order, %d took too long to tell",
		checked.Load(), workers, turns, base, operations.Load(), overlapping.Load(), unknown.Load())
}

// A world is a state of the search: the model, and how many events it has sent.
type world struct {
	m    *model
	sent int
}

func (h *history) check(ops []*op, budget time.Duration) porcupine.CheckResult {
	list := make([]porcupine.Operation, len(ops))
	for i, o := range ops {
		list[i] = porcupine.Operation{ClientId: o.worker, Input: o, Call: o.call, Return: o.ret}
	}
	return porcupine.CheckOperationsTimeout(porcupine.Model{
		Init: func() any { return world{m: newModel(h.cfg)} },
		Step: func(state, input, _ any) (bool, any) {
			s, o := state.(world), input.(*op)
			if o.action == doState {
				return o.state == s.m.look().state, s
			}
			s.m = s.m.copy()
			ok := h.step(&s, o)
			return ok, s
		},
		Equal: func(a, b any) bool {
			x, y := a.(world), b.(world)
			return x.sent == y.sent && x.m.equal(y.m)
		},
		Hash: func(s any) uint64 { return s.(world).m.hash() },
	}, list, budget)
}

// step does one operation to the model, and reports whether it came to the same.
func (h *history) step(s *world, o *op) bool {
	m, ok := s.m, true
	switch o.action {
	case doAllow, doCall:
		refused := m.call(o.id, o.caller, o.admitted)
		ok = o.admitted == (refused == nil) && (o.admitted || o.refused.State == refused.state &&
			o.refused.Reason == refused.reason && refused.cause.is(o.refused.Cause))
	case doReport, doOther, doReturn:
		m.report(o.id, o.report)
	case doProgress:
		m.progress(o.id)
	case doTrip:
		m.trip(o.d, o.cause)
	case doReset:
		m.reset()
	case doForceOpen:
		m.forceOpen(o.cause)
	case doForceClosed:
		m.forceClosed()
	case doAuto:
		m.ends()
	case doReconfigure:
		m.reconfigure(o.cfg)
	case doAdvance:
		m.now += int64(o.d)
	case doFinal:
		ok = s.sent == len(h.events) && m.agrees(&h.last)
	default:
	}
	return ok && h.heard(s, o) && h.leadsTo(m)
}

// leadsTo reports whether the totals may still become what they were in the
// end. It only saves the search from going wrong ways to their end.
func (h *history) leadsTo(m *model) bool {
	t, inTime, reported := m.totals, 0, 0
	for _, done := range m.reported {
		if done {
			inTime++
		}
	}
	for i := range h.reports {
		if h.reports[i].Load() {
			reported++
		}
	}
	return t.trips <= h.last.Trips && t.rejected <= h.last.Rejected && t.ignored <= h.last.Ignored &&
		t.late <= h.last.Late && uint64(inTime)-t.late <= uint64(reported)-h.last.Late
}

// heard reports whether the hooks were told what the model says.
func (h *history) heard(s *world, o *op) bool {
	m := s.m
	for _, e := range m.events {
		if s.sent >= len(h.events) {
			return false
		}
		got := h.events[s.sent]
		s.sent++
		if got.From != e.from || got.To != e.to || got.Reason != e.reason || got.WouldOpen != e.wouldOpen ||
			got.OpenFor != e.openFor || !e.cause.is(got.Cause) || !e.caller.is(got.ctx) {
			return false
		}
	}
	ok := (len(m.done) > 0) == (o.told != nil)
	for _, d := range m.done {
		ok = ok && o.told.Outcome == d.outcome && o.told.Late == d.late && o.told.Probe == d.probe && o.told.Took == d.took
	}
	m.events, m.done, m.refusals = nil, nil, nil
	return ok
}

// agrees compares what all workers left behind.
func (m *model) agrees(got *breaker.Snapshot) bool {
	want := m.look()
	return got.State == want.state && got.Reason == want.reason && want.cause.is(got.Cause) &&
		got.RetryAfter == want.retryAfter && got.Probes == want.probes &&
		got.Calls == uint64(want.calls) && got.Failures == uint64(want.failures) &&
		got.SlowOf == uint64(want.slowOf) && got.Slow == uint64(want.slow) &&
		totals{got.Trips, got.Rejected, got.Ignored, got.Late, got.HookPanics} == m.totals
}

// operations of all workers, in the order of their begin.
func (h *history) operations() []*op {
	ops := slices.Concat(h.ops[:]...)
	slices.SortFunc(ops, func(a, b *op) int { return int(a.call - b.call) })
	return ops
}

// overlap is how many operations ran at the same time as another. ops are in the
// order of their begin.
func overlap(ops []*op) (n int) {
	end := int64(0) // of what came before
	for i, o := range ops {
		if o.call < end || i+1 < len(ops) && ops[i+1].call < o.ret {
			n++
		}
		end = max(end, o.ret)
	}
	return n
}

// smallest leaves out what operations it can, and returns the last history
// that still has no order. Chance decides how workers interleave, so it runs
// each plan many times.
func smallest(h *history) *history {
	var without []int
	if !*shrink {
		return h
	}
	for id := range workers * turns {
		for range 100 {
			next := newHistory(h.seed, append(without, id)...)
			next.run()
			if next.check(next.operations(), time.Second/4) == porcupine.Illegal {
				h = next
				without = append(without, id)
				break
			}
		}
	}
	return h
}

func (h *history) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v, %+v\n", h.cfg.raw.Trip, h.cfg.raw)
	for _, o := range h.operations() {
		fmt.Fprintln(&b, o)
	}
	for _, e := range h.events {
		fmt.Fprintln(&b, "event", e)
	}
	fmt.Fprintf(&b, "in the end %+v\n", h.last)
	return b.String()
}

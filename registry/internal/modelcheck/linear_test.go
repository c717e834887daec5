package modelcheck

import (
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/mainstay-go/mainstay/registry"
)

// The workers of a history, and the operations of each.
const (
	workers = 4
	turns   = 12
)

// waiters is how many drains of a history may wait: what lasts long has many
// places in an order.
const waiters = 3

// budget is how long the search for an order of one history may take before it
// counts as unknown: thousands of times what it takes.
const budget = 30 * time.Second

// TestLinear checks that concurrent operations on a service have an order in
// which the model would have done the same: the same errors and generations, the
// same snapshots with the same indices, and the same changes told in the same
// order.
func TestLinear(t *testing.T) {
	want := size(histories, 15_000, 1_000_000, 5_000)
	from := *seed
	if from == 0 {
		from = rand.Uint64()
	}
	var next, checked, operations, overlapping atomic.Int64
	var shards sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		shards.Go(func() {
			for !t.Failed() {
				i := next.Add(1) - 1
				if i >= int64(want) {
					return
				}
				s := from
				if *seed == 0 {
					s += uint64(i)
				}
				h := newHistory(s, workers, turns)
				h.run()
				ops := h.operations()
				operations.Add(int64(len(ops)))
				overlapping.Add(int64(overlap(ops)))
				switch h.check(budget) {
				case porcupine.Ok:
					checked.Add(1)
				case porcupine.Unknown:
					t.Errorf("no order found within %v for this history of the plan with seed %d:\n%v", budget, s, h)
				case porcupine.Illegal:
					t.Errorf("no order explains this history of a plan that -run TestLinear -histories 10000 -seed %d replays:\n%v", s, smallest(h))
				}
			}
		})
	}
	shards.Wait()
	t.Logf("%d histories of %d workers x %d operations, seeds from %d: %d operations, %d of them overlapping another; all have an order",
		checked.Load(), workers, turns, from, operations.Load(), overlapping.Load())
}

// check looks for an order of what was done to each service.
func (h *history) check(budget time.Duration) porcupine.CheckResult {
	for service := range services {
		if result := h.checkOne(service, budget); result != porcupine.Ok {
			return result
		}
	}
	return porcupine.Ok
}

func (h *history) checkOne(service int, budget time.Duration) porcupine.CheckResult {
	var list []porcupine.Operation
	all := h.of(service)
	for _, o := range all {
		list = append(list, porcupine.Operation{ClientId: o.worker, Input: o, Call: o.call, Return: h.until(o, all)})
	}
	key := maphash.MakeSeed()
	return porcupine.CheckOperationsTimeout(porcupine.Model{
		Init: func() any { return newModel() },
		Step: func(state, input, _ any) (bool, any) {
			s := state.(model)
			ok := h.step(&s, input.(*op), service)
			return ok, s
		},
		Equal: func(a, b any) bool { return a.(model) == b.(model) },
		Hash:  func(s any) uint64 { return maphash.Comparable(key, s.(model)) },
	}, list, budget)
}

// newModel is a service that nobody has registered yet. An index is at least 1.
func newModel() model { return model{least: 1} }

// of are the operations that matter to a service. A drain is two: it begins, and
// later the instance is out.
func (h *history) of(service int) []*op {
	var list []*op
	for _, o := range h.operations() {
		switch o.action {
		case doSweep, doRing:
			continue
		case doRegister:
			if !slices.ContainsFunc(o.entries, func(e entry) bool { return e.service == service }) {
				continue
			}
		case doAdvance:
		default:
			if o.service != service {
				continue
			}
		}
		list = append(list, o)
		if o.action == doDrain || o.action == doRetire {
			second := *o
			second.action = doDrained
			list = append(list, &second)
		}
	}
	return list
}

// until is the latest moment at which an operation can have happened. A lease that is
// held is restored a moment before reads show it, so who renews it at that moment,
// too, may be told before the other one's verb ends.
func (h *history) until(o *op, all []*op) int64 {
	until := o.ret
	if o.lease == nil || o.action != doRenew || !h.cfg.preserve {
		return until
	}
	for _, other := range all {
		if other.call < o.ret && o.call < other.ret {
			until = max(until, other.ret)
		}
	}
	return until
}

// step does one operation to the model, and reports whether it came to the same.
func (h *history) step(m *model, o *op, service int) bool {
	if o.action == doAdvance {
		m.now += int64(o.d)
		return true
	}
	s := trial{model: m, hooks: h.cfg.hooks, changes: h.changes[service], fresh: true, ok: true}
	s.lapse(h.cfg)
	want := fine
	switch o.action {
	case doRegister:
		want = s.register(o, service)
	case doSnapshot, doWait:
		s.reads(&o.seen)
	case doGet:
		s.gets(o.who, &o.seen)
	case doDrained:
		s.drained(o)
		return s.ok
	case doFinal:
		s.reads(&o.seen)
		s.ok = s.ok && s.told == len(s.changes)
	case doRenew, doDeregister, doUpdate, doSetHealth, doDrain:
		if m.members[o.who].gen != o.lease.gen {
			want = leaseLost // (G3)
			break
		}
		s.owner(o, h.cfg)
	default:
		if m.members[o.who].gen == 0 {
			want = notFound // (G4)
			break
		}
		s.operator(o, h.cfg)
	}
	if o.action == doDrain || o.action == doRetire {
		s.refused(o, want)
		return s.ok // what it returns is known when it is over
	}
	return s.ok && o.kind == want
}

// owner does a verb of a lease that is not lost.
func (s *trial) owner(o *op, cfg *config) {
	switch o.action {
	case doRenew:
		s.renew(o)
	case doDeregister:
		s.removed(o.who, false, registry.ReasonDeregistered)
	case doUpdate:
		s.update(o)
	case doSetHealth:
		before := s.members[o.who]
		s.members[o.who].owner = o.health
		s.refresh(o.who, &before)
	default:
		s.drain(o, cfg)
	}
}

// operator does a verb by hand to an instance that is there.
func (s *trial) operator(o *op, cfg *config) {
	switch o.action {
	case doExpel:
		s.removed(o.who, true, registry.ReasonDeregistered)
	case doDeclare:
		before := s.members[o.who]
		s.members[o.who].operator = o.health
		s.refresh(o.who, &before)
	default:
		s.drain(o, cfg)
	}
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
	for number := range h.workers * h.turns {
		for range 300 {
			next := newHistory(h.seed, h.workers, h.turns, append(without, number)...)
			next.run()
			if next.check(time.Second/4) == porcupine.Illegal {
				h = next
				without = append(without, number)
				break
			}
		}
	}
	return h
}

package modelcheck

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A history is a run of concurrent workers, or a walk of one.
type history struct {
	seed    uint64
	workers int
	turns   int
	clock   *handClock
	cfg     *config
	r       *registry.Registry
	handles [len(services)]*registry.Service // from before the services
	plans   [][]*op
	ops     [][]*op // what was done, by worker

	// held is locked by whoever moves the clock, and read-locked during
	// operations that must see one time.
	held   sync.RWMutex
	stamps atomic.Int64

	leases []atomic.Pointer[owned] // two for each turn of each worker

	// Drains that wait.
	drained  atomic.Int64
	draining atomic.Pointer[owned] // the lease of the latest of them
	waiting  sync.WaitGroup
	ctx      context.Context //nolint:containedctx // of all of them
	cut      context.CancelFunc

	mu      sync.Mutex // guards the fields below
	late    []*op      // what has waited
	changes [len(services)][]change
	due     []int64 // instants at which something may happen
}

// newHistory plans a history; the same seed makes the same plan. without are
// the numbers of operations to leave out.
func newHistory(seed uint64, workers, turns int, without ...int) *history {
	r := rand.New(rand.NewPCG(seed, 0))
	h := &history{
		seed: seed, workers: workers, turns: turns, clock: newClock(), cfg: plannedConfig(r, workers),
		plans: make([][]*op, workers), ops: make([][]*op, workers),
		leases: make([]atomic.Pointer[owned], 2*workers*turns),
	}
	if workers > 1 {
		h.clock.yield = one[int64](r, 0, 1, 2, 3, 5)
	}
	for w := range workers {
		for i := range turns {
			if o := h.plan(r, w, w*turns+i); !slices.Contains(without, o.number) {
				h.plans[w] = append(h.plans[w], o)
			}
		}
	}
	cfg := registry.Config{Clock: h.clock, Preserve: h.cfg.registry(), DrainGrace: h.cfg.grace}
	if h.cfg.hooks {
		cfg.Hooks.Change = h.hook
	}
	h.r = registry.MustNew(cfg)
	h.ctx, h.cut = context.WithCancel(context.Background())
	for i, name := range services {
		h.handles[i] = h.r.Service(name)
	}
	return h
}

// hook notes a change.
func (h *history) hook(c registry.Change) {
	service := slices.Index(services[:], c.Service)
	got := change{index: c.Index, who: slices.Index(names[:], c.ID), reason: c.Reason}
	if c.Before != nil {
		got.before = show(c.Before)
	}
	if c.After != nil {
		got.after = show(c.After)
	}
	h.mu.Lock()
	h.changes[service] = append(h.changes[service], got)
	h.mu.Unlock()
	runtime.Gosched()
}

// run does what was planned, all workers at once.
func (h *history) run() {
	if h.cfg.preserve {
		h.settle()
	}
	start := make(chan struct{})
	var all sync.WaitGroup
	for w := range h.workers {
		all.Go(func() {
			<-start
			for _, o := range h.plans[w] {
				h.do(o)
			}
		})
	}
	close(start)
	all.Wait()
	h.clock.ring()
	h.cut()
	h.waiting.Wait()
	for service := range services {
		last := &op{action: doFinal, service: service}
		h.begin(last)
		last.seen = look(h.handles[service].Snapshot())
		h.end(last)
	}
	_ = h.r.Close(context.Background()) // waits for the hooks
}

// settle puts into every service an instance that stays. Else it would depend on
// who looks when whether the roster is released, and its window with it.
func (h *history) settle() {
	o := &op{action: doRegister, number: -1}
	for service := range services {
		o.entries = append(o.entries, entry{service, ids - 1, content{ttl: -1}})
	}
	h.begin(o)
	h.register(o)
	h.end(o)
}

// begin and end enclose one operation of a worker.
func (h *history) begin(o *op) {
	switch {
	case o.action == doAdvance:
		h.held.Lock()
	case h.bound(o):
		h.held.RLock()
	}
	o.call = h.stamps.Add(1)
}

func (h *history) end(o *op) {
	o.ret = h.stamps.Add(1)
	switch {
	case o.action == doAdvance:
		h.held.Unlock()
	case h.bound(o):
		h.held.RUnlock()
	}
	h.ops[o.worker] = append(h.ops[o.worker], o)
}

// bound reports whether the clock must not move during an operation. In a free
// history it may during renewals, which take no lock, and whatever only looks.
// What takes the lock goes by one reading of the clock, and its effect comes later:
// between the two others can meet the old state at a later time. That has no
// order, but no consequence either.
func (h *history) bound(o *op) bool {
	switch o.action {
	case doRenew, doSnapshot, doGet, doWait, doSweep, doRing:
		return !h.cfg.free
	default:
		return true
	}
}

func (h *history) do(o *op) {
	switch o.action {
	case doRenew, doDeregister, doUpdate, doSetHealth, doDrain:
		if o.lease = h.pick(o); o.lease == nil {
			return
		}
		o.service, o.who = o.lease.service, o.lease.who
	default:
	}
	if h.cfg.grace > 0 && (o.action == doDrain || o.action == doRetire) {
		if h.drained.Add(1) <= waiters {
			h.wait(o)
		}
		return
	}
	h.begin(o)
	ctx := context.Background()
	service, id, s := services[o.service], names[o.who], h.handles[o.service]
	if o.number%2 == 0 {
		s = h.r.Service(service)
	}
	err, verb := error(nil), registry.Op("")
	switch o.action {
	case doRegister:
		h.register(o)
	case doRenew:
		err, verb = o.lease.lease.Renew(), registry.OpRenew
		h.note(o.content.ttl)
	case doDeregister:
		err, verb = o.lease.lease.Deregister(), registry.OpDeregister
	case doUpdate:
		err, verb = o.lease.lease.Update(instance(entry{o.service, o.who, o.content})), registry.OpUpdate
		h.note(o.content.ttl)
	case doSetHealth:
		err, verb = o.lease.lease.SetHealth(o.health, ""), registry.OpSetHealth
	case doDrain:
		err, verb = o.lease.lease.Drain(ctx), registry.OpDrain
	case doExpel:
		err, verb = h.r.Deregister(ctx, service, id), registry.OpDeregister
	case doDeclare:
		err, verb = h.r.SetHealth(ctx, service, id, o.health, ""), registry.OpSetHealth
	case doRetire:
		err, verb = h.r.Drain(ctx, service, id), registry.OpDrain
	case doSnapshot:
		o.seen = look(s.Snapshot())
	case doGet:
		if e, ok := s.Get(id); ok {
			o.seen.all[o.who] = show(e)
		}
	case doWait:
		v, err := s.Wait(ctx, 0)
		if err != nil {
			panic(err)
		}
		o.seen = look(v)
	case doAdvance:
		h.advance(o)
	case doSweep:
		h.r.Sweep()
	case doRing:
		h.clock.ring()
	default:
	}
	if verb != "" {
		o.kind = ending(err, verb, o.service, o.who)
	}
	h.end(o)
}

// wait is a drain that waits, while its worker goes on, and then a read. Often it
// is the second one for a lease.
func (h *history) wait(o *op) {
	if o.action == doDrain {
		if again := h.draining.Swap(o.lease); again != nil && o.number%4 > 0 {
			o.lease, o.service, o.who = again, again.service, again.who
		}
	}
	o.began = h.clock.at.Load()
	o.call = h.stamps.Add(1)
	h.waiting.Go(func() {
		var err error
		if o.action == doDrain {
			err = o.lease.lease.Drain(h.ctx)
		} else {
			err = h.r.Drain(h.ctx, services[o.service], names[o.who])
		}
		if err == context.Canceled { //nolint:errorlint // returned as it is
			return // it was too late, so nothing has happened
		}
		o.kind = ending(err, registry.OpDrain, o.service, o.who)
		o.ret = h.stamps.Add(1)
		next := &op{action: doSnapshot, worker: o.worker, service: o.service, who: o.who}
		next.call = h.stamps.Add(1)
		next.seen = look(h.handles[o.service].Snapshot())
		next.ret = h.stamps.Add(1)
		h.mu.Lock()
		h.late = append(h.late, o, next)
		h.mu.Unlock()
	})
}

func instance(e entry) registry.Instance {
	return registry.Instance{
		Service: services[e.service], ID: names[e.who], Addr: "10.0.0.1:80",
		Version: string(rune('0' + e.version)), TTL: e.ttl,
	}
}

// register registers, and leaves the leases where other workers find them.
func (h *history) register(o *op) {
	var ins []registry.Instance
	for _, e := range o.entries {
		ins = append(ins, instance(e))
	}
	leases, err := h.r.RegisterWith(context.Background(), registry.RegisterConfig{IfAbsent: o.ifAbsent, Health: o.health}, ins...)
	if err != nil {
		o.kind = exists
		for _, err := range flatten(err) {
			e := o.entries[0]
			if len(o.entries) > 1 && ending(err, registry.OpRegister, e.service, e.who) == strange {
				e = o.entries[1]
			}
			o.kind = max(o.kind, ending(err, registry.OpRegister, e.service, e.who))
		}
		return
	}
	for i, e := range o.entries {
		h.note(e.ttl)
		mine := &owned{leases[i], e.service, e.who, leases[i].Endpoint().Generation()}
		o.gens = append(o.gens, mine.gen)
		if o.number >= 0 {
			h.leases[2*o.number+i].Store(mine)
		}
	}
}

func flatten(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

// pick finds a lease to use: one of the newest of the worker, or of another.
func (h *history) pick(o *op) *owned {
	w := o.worker
	if o.number%4 == 3 {
		w = (w + 1 + o.number%max(1, h.workers-1)) % h.workers
	}
	skip := o.number % 3
	for i := min(2*h.turns, 2*(o.number%h.turns)+24) - 1; i >= 0; i-- {
		l := h.leases[2*w*h.turns+i].Load()
		if l == nil {
			continue
		}
		if skip--; skip < 0 {
			return l
		}
	}
	return nil
}

// note notes when a TTL that begins now is over.
func (h *history) note(ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	h.mu.Lock()
	h.due = append(h.due, h.clock.at.Load()+int64(ttl))
	h.mu.Unlock()
}

// advance moves the clock, often to where something is due, or just not.
func (h *history) advance(o *op) {
	h.mu.Lock()
	h.due = slices.DeleteFunc(h.due, func(at int64) bool { return at <= h.clock.at.Load() })
	if n := len(h.due); n > 0 && o.number%2 == 0 {
		o.d = time.Duration(h.due[o.number%n] - h.clock.at.Load())
		if o.number%3 == 0 && o.d > 1 {
			o.d--
		}
	}
	h.mu.Unlock()
	h.clock.at.Add(int64(o.d))
}

// operations of all workers, in the order of their begin.
func (h *history) operations() []*op {
	ops := append(slices.Concat(h.ops...), h.late...)
	slices.SortFunc(ops, func(a, b *op) int { return int(a.call - b.call) })
	return ops
}

func (h *history) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v, the clock yields at every %d. reading\n", *h.cfg, h.clock.yield)
	for _, o := range h.operations() {
		fmt.Fprintln(&b, o)
	}
	for service, changes := range h.changes {
		for _, c := range changes {
			fmt.Fprintf(&b, "told %d: %s/%s %s, #%d %v %v\n", c.index, services[service], names[c.who], c.reason,
				c.after.gen, c.after.health, c.after.content)
		}
	}
	return b.String()
}

package modelcheck

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/breaker"
)

// The workers of a history, and the operations of each.
const (
	workers = 4
	turns   = 12
)

// A history is a run of concurrent workers.
type history struct {
	seed  uint64
	clock *handClock
	cfg   *config
	b     *breaker.Breaker
	plans [workers][]*op
	ops   [workers][]*op // what was done

	// held is locked by whoever moves the clock, and read-locked during every
	// other operation, so that each sees one time. (A report looks at the clock
	// more than once.)
	held   sync.RWMutex
	stamps atomic.Int64

	// By number. A permit is not there while somebody reports it.
	permits [workers * turns]atomic.Pointer[breaker.Permit]
	reports [workers * turns]atomic.Bool // there was one, at least
	done    [workers * turns]atomic.Pointer[breaker.Completion]

	mu     sync.Mutex // guards events
	events []observedEvent
	last   breaker.Snapshot // when all workers are done
}

// newHistory plans a history; the same seed makes the same plan. without are
// the numbers of operations to leave out.
func newHistory(seed uint64, without ...int) *history {
	r := rand.New(rand.NewPCG(seed, 0))
	h := &history{seed: seed, clock: newClock(bases[r.IntN(len(bases))]), cfg: plannedConfig(r)}
	h.clock.yield = one[int64](r, 0, 2, 3, 5, 9)
	h.watch(h.cfg)
	for w := range workers {
		for i := range turns {
			if o := h.plan(r, w, w*turns+i); !slices.Contains(without, o.id) {
				h.plans[w] = append(h.plans[w], o)
			}
		}
	}
	h.b = breaker.MustNew("history", h.cfg.raw)
	return h
}

// watch equips a Config with hooks that note what they are told.
func (h *history) watch(cfg *config) {
	cfg.raw.Clock = h.clock
	cfg.raw.Hooks.Transition = func(ctx context.Context, t breaker.Transition) {
		h.mu.Lock()
		h.events = append(h.events, observedEvent{0, ctx, t})
		h.mu.Unlock()
		runtime.Gosched()
	}
	if cfg.ended {
		cfg.raw.Hooks.Done = func(ctx context.Context, c breaker.Completion) {
			h.done[ctx.(*caller).id].Store(&c)
		}
	}
}

// run does what was planned, all workers at once.
func (h *history) run() {
	start := make(chan struct{})
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			<-start
			for _, o := range h.plans[w] {
				h.do(w, o)
			}
		})
	}
	close(start)
	all.Wait()
	h.last = h.b.Snapshot()
	last := &op{action: doFinal}
	last.call, last.ret = h.stamps.Add(1), h.stamps.Add(1)
	h.ops[0] = append(h.ops[0], last)
}

// begin and end enclose one operation of a worker.
func (h *history) begin(o *op) {
	h.held.RLock()
	o.call = h.stamps.Add(1)
}

func (h *history) end(o *op) {
	o.ret = h.stamps.Add(1)
	h.held.RUnlock()
	h.ops[o.worker] = append(h.ops[o.worker], o)
}

func (h *history) do(w int, o *op) {
	switch o.action {
	case doAdvance:
		h.held.Lock()
		o.call = h.stamps.Add(1)
		h.clock.at.Add(int64(o.d))
		o.ret = h.stamps.Add(1)
		h.held.Unlock()
		h.ops[w] = append(h.ops[w], o)
		return
	case doRun:
		h.runCall(o)
		return
	case doReport, doOther, doProgress:
		o.id, o.permit = h.take(w, o.action == doOther, o.id)
		if o.permit == nil {
			return
		}
		defer h.permits[o.id].Store(o.permit) // to be reported twice
	default:
	}
	h.begin(o)
	switch o.action {
	case doAllow:
		p, err := h.b.Allow(o.caller)
		if o.admitted = err == nil; o.admitted {
			defer h.permits[o.id].Store(&p) // for others to see when this has ended
		} else {
			o.refused = err.(*breaker.RejectedError) //nolint:errorlint // nothing else is possible
		}
	case doReport, doOther:
		h.report(o)
	case doProgress:
		h.told(o, o.permit.Progress)
	case doState:
		o.state = h.b.State()
	case doTrip:
		h.b.Trip(o.d, o.cause)
	case doReset:
		h.b.Reset()
	case doForceOpen:
		h.b.ForceOpen(o.cause)
	case doForceClosed:
		h.b.ForceClosed()
	case doAuto:
		h.b.Auto()
	case doReconfigure:
		if err := h.b.Reconfigure(o.cfg.raw); err != nil {
			panic(err)
		}
	default:
	}
	h.end(o)
}

// take picks the permit to report: one of the worker's newest, reported before
// or not, or of another's. Nobody else has it meanwhile: of two reports at once
// the second returns before the first has taken effect, so they have no order.
func (h *history) take(w int, other bool, salt int) (int, *breaker.Permit) {
	if other {
		w = (w + 1 + salt%(workers-1)) % workers
	}
	skip := salt % 3
	for i := turns - 1; i >= 0; i-- {
		id := w*turns + i
		if h.permits[id].Load() == nil {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		return id, h.permits[id].Swap(nil)
	}
	return 0, nil
}

// report reports through a permit, in one of the ways there are.
func (h *history) report(o *op) {
	p := o.permit
	h.told(o, func() {
		switch r := &o.report; {
		case r.trip:
			p.Trip(r.openFor, r.err)
		case r.outcome == breaker.Ignored:
			p.Record(breaker.Ignored, r.err)
		case r.err == nil || o.call%2 == 0:
			if r.outcome == breaker.Success && r.err != nil {
				p.Record(breaker.Success, r.err)
				return
			}
			p.Done(r.err)
		default:
			p.Record(r.outcome, r.err)
		}
	})
}

// told notes what the Done hook says of a report, if it is of this one.
func (h *history) told(o *op, f func()) {
	h.reports[o.id].Store(true)
	before := h.done[o.id].Load()
	f()
	if before == nil {
		o.told = h.done[o.id].Load()
	}
}

// runCall is a call in one piece: two operations, with others in between.
func (h *history) runCall(o *op) {
	first, second := *o, *o
	first.action, second.action = doCall, doReturn
	fn := func(context.Context) error {
		first.admitted = true
		h.end(&first)
		runtime.Gosched()
		h.begin(&second)
		return o.report.err
	}
	result := func(ctx context.Context) (int, error) { return 0, fn(ctx) }
	h.begin(&first)
	var err error
	switch plain := breaker.DefaultClassify(o.caller, o.report.err); {
	case o.report.outcome != plain:
		_, err = breaker.DoResult(o.caller, h.b, result, func(int, error) breaker.Outcome { return o.report.outcome })
	case o.id%2 == 0:
		_, err = breaker.Do(o.caller, h.b, result)
	default:
		err = h.b.Run(o.caller, fn)
	}
	if !first.admitted {
		first.refused = err.(*breaker.RejectedError) //nolint:errorlint // nothing else is possible
		h.end(&first)
		return
	}
	second.told = h.done[o.id].Load()
	h.reports[o.id].Store(true)
	h.end(&second)
}

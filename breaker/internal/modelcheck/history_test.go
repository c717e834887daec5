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

	"github.com/mainstay-go/mainstay/breaker"
)

// The workers of a history, and the operations of each.
const (
	workers = 4
	turns   = 12
)

type action uint8

const (
	doAllow action = iota
	doReport
	doOther // of the permit of another worker
	doRun
	doState
	doProgress
	doTrip
	doReset
	doForceOpen
	doForceClosed
	doAuto
	doReconfigure
	doAdvance
	// Below are operations that no plan has.
	doCall   // the first half of a Run
	doReturn // the second
	doFinal  // a look at everything when all workers are done
)

var actionNames = [...]string{
	"Allow", "report", "report", "Run", "State", "Progress", "Trip", "Reset",
	"ForceOpen", "ForceClosed", "Auto", "Reconfigure", "advance", "call", "return", "final",
}

// An operation is an action with its arguments, and what came of it.
type operationRecord struct {
	action
	worker int
	id     int // of the permit
	caller *caller
	report report
	d      time.Duration
	cause  error
	cfg    *config
	permit *breaker.Permit

	call, ret int64 // stamps
	overlaps  bool  // another operation
	admitted  bool
	refused   *breaker.RejectedError
	state     breaker.State
	told      *breaker.Completion // what the Done hook said of this report
}

func (o *operationRecord) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%3d-%-3d worker %d %-11s", o.call, o.ret, o.worker, actionNames[o.action])
	switch o.action {
	case doAllow, doCall:
		fmt.Fprintf(&b, " #%d: ", o.id)
		if o.admitted {
			b.WriteString("admitted")
		} else {
			fmt.Fprint(&b, o.refused)
		}
	case doReport, doOther, doReturn:
		fmt.Fprintf(&b, " #%d %v, %v", o.id, o.report.outcome, o.report.err)
		if o.report.trip {
			fmt.Fprintf(&b, ", trip for %v", o.report.openFor)
		}
		if o.told != nil {
			fmt.Fprintf(&b, ": told %+v", *o.told)
		}
	case doProgress:
		fmt.Fprintf(&b, " #%d", o.id)
	case doState:
		fmt.Fprintf(&b, ": %v", o.state)
	case doTrip, doForceOpen:
		fmt.Fprintf(&b, " %v, %v", o.d, o.cause)
	case doAdvance:
		fmt.Fprintf(&b, " %v", o.d)
	case doReconfigure:
		fmt.Fprintf(&b, " %v", o.cfg.raw.Trip)
	default:
	}
	return b.String()
}

// A history is a run of concurrent workers.
type history struct {
	seed  uint64
	clock *handClock
	cfg   *config
	b     *breaker.Breaker

	// held is locked by whoever moves the clock, and read-locked during every
	// other operation, so that each sees one time.
	held    sync.RWMutex
	stamps  atomic.Int64
	permits [workers * turns]atomic.Pointer[breaker.Permit]
	reports [workers * turns]atomic.Bool // tried, at least
	done    [workers * turns]atomic.Pointer[breaker.Completion]
	plans   [workers][]*operationRecord
	ops     [workers][]*operationRecord // what was done

	mu     sync.Mutex
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
	h.b = breaker.MustNew(name, h.cfg.raw)
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

// one of the values, at random.
func one[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// plannedConfig keeps to rules that are exact under concurrency: not rates over
// Within (G19).
func plannedConfig(r *rand.Rand) *config {
	c := &config{transition: true, ended: r.IntN(2) == 0}
	n := 1
	if r.IntN(4) == 0 {
		n = 2
	}
	for range n {
		rule := ruleSpec{kind: one(r, consecutive, failureCount, failureCount, failureRate, slowRate), threshold: 3 * ms}
		switch {
		case rule.kind == consecutive:
		case rule.kind == failureCount && r.IntN(2) == 0:
			rule.window.Within = one(r, 3*ms, 10*ms)
		default:
			rule.window.Last = one(r, 2, 3, 5)
		}
		rule.plan(r)
		c.rules = append(c.rules, rule)
	}
	c.raw = breaker.Config{
		OpenFor:     20 * ms,
		Backoff:     one[float64](r, 0, 2),
		StableAfter: one(r, 0, 10*ms),
		Probes:      one(r, 1, 2, 3),
		CloseAfter:  one(r, 1, 2),
		ProbeLease:  one(r, 10*ms, -1),
		Ramp:        one(r, 0, 0, 40*ms),
		RampFrom:    0.5,
	}
	if r.IntN(3) == 0 {
		c.raw.CloseOf = c.raw.CloseAfter + 1
	}
	c.fill()
	return c
}

func (r *ruleSpec) plan(rnd *rand.Rand) {
	r.limit = 1 + rnd.IntN(3)
	if r.window.Last > 0 {
		r.limit = min(r.limit, r.window.Last)
	}
	r.rate = one[int64](rnd, 500_000, 333_333, million)
	r.minCalls = one(rnd, -1, 0, 2)
}

var planned = slices.Concat(
	slices.Repeat([]action{doAllow, doReport, doRun}, 6),
	slices.Repeat([]action{doAdvance}, 4),
	slices.Repeat([]action{doState, doOther}, 3),
	[]action{doProgress, doTrip, doReset, doForceOpen, doForceClosed, doAuto, doAuto, doReconfigure},
)

func (h *history) plan(r *rand.Rand, worker, id int) *operationRecord {
	o := &operationRecord{action: one(r, planned...), worker: worker, id: id, cause: fmt.Errorf("error %d", id)}
	o.caller = &caller{id: id, done: never}
	o.d = one(r, ms, 3*ms, 10*ms, 20*ms)
	switch o.action {
	case doReport, doOther, doRun:
		o.report = report{judged: true, outcome: one(r, breaker.Failure, breaker.Success, breaker.Failure, breaker.Ignored)}
		if o.report.outcome != breaker.Success || r.IntN(4) == 0 {
			o.report.err = o.cause
		}
		if o.action != doRun && r.IntN(8) == 0 {
			o.report = report{judged: true, outcome: breaker.Failure, err: o.cause, trip: true, openFor: one(r, 0, 30*ms)}
		}
	case doTrip:
		o.d = one(r, 0, 10*ms, 30*ms)
	case doReconfigure:
		next := *h.cfg
		next.rules = slices.Clone(h.cfg.rules)
		for i := range next.rules {
			next.rules[i].plan(r)
		}
		next.raw.CloseAfter = one(r, 1, 2)
		next.raw.CloseOf = next.raw.CloseAfter + r.IntN(2)
		next.raw.Probes = one(r, 1, 2)
		next.fill()
		h.watch(&next)
		o.cfg = &next
	default:
	}
	return o
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
	last := &operationRecord{action: doFinal}
	last.call, last.ret = h.stamps.Add(1), h.stamps.Add(1)
	h.ops[0] = append(h.ops[0], last)
}

// begin and end enclose one operation of a worker.
func (h *history) begin(o *operationRecord) {
	h.held.RLock()
	o.call = h.stamps.Add(1)
}

func (h *history) end(o *operationRecord) {
	o.ret = h.stamps.Add(1)
	h.held.RUnlock()
	h.ops[o.worker] = append(h.ops[o.worker], o)
}

func (h *history) do(w int, o *operationRecord) {
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
			h.permits[o.id].Store(&p)
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
func (h *history) report(o *operationRecord) {
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
func (h *history) told(o *operationRecord, f func()) {
	h.reports[o.id].Store(true)
	before := h.done[o.id].Load()
	f()
	if before == nil {
		o.told = h.done[o.id].Load()
	}
}

// runCall is a call in one piece: two operations, with others in between.
func (h *history) runCall(o *operationRecord) {
	first, second := *o, *o
	first.action, second.action = doCall, doReturn
	h.begin(&first)
	_, err := breaker.DoResult(o.caller, h.b, func(context.Context) (int, error) {
		first.admitted = true
		h.end(&first)
		runtime.Gosched()
		h.begin(&second)
		return 0, o.report.err
	}, func(int, error) breaker.Outcome {
		return o.report.outcome
	})
	if !first.admitted {
		first.refused = err.(*breaker.RejectedError) //nolint:errorlint // nothing else is possible
		h.end(&first)
		return
	}
	second.told = h.done[o.id].Load()
	h.reports[o.id].Store(true)
	h.end(&second)
}

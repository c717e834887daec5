package modelcheck

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// An action is what a worker does in its turn.
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

	// What no plan has.
	doCall   // the first half of doRun
	doReturn // the second
	doFinal  // a look at everything when all workers are done
)

var actionNames = [...]string{
	"Allow", "report", "report", "Run", "State", "Progress", "Trip", "Reset",
	"ForceOpen", "ForceClosed", "Auto", "Reconfigure", "advance", "call", "return", "final",
}

// An op is an operation: an action with its arguments, and what came of it.
type op struct {
	action
	worker int
	id     int // of the permit, whose first operation it may be
	caller *caller
	report report
	d      time.Duration
	cause  error
	cfg    *config
	permit *breaker.Permit

	call, ret int64 // stamps of begin and end
	admitted  bool
	refused   *breaker.RejectedError
	state     breaker.State
	told      *breaker.Completion // what the Done hook said of this report
}

func (o *op) String() string {
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

// one of the values, at random.
func one[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// plannedConfig keeps to rules that are exact under concurrency: not rates over
// Within (G19), and of two rules only one that successes change, since each
// orders concurrent outcomes for itself (G18).
func plannedConfig(r *rand.Rand) *config {
	c := &config{transition: true, ended: r.IntN(2) == 0}
	n := 1
	if r.IntN(4) == 0 {
		n = 2
	}
	for i := range n {
		rule := ruleSpec{kind: one(r, consecutive, failureCount, failureCount, failureRate, slowRate), threshold: 3 * ms}
		switch {
		case i > 0:
			rule.kind, rule.window.Within = failureCount, one(r, 3*ms, 10*ms)
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

func (h *history) plan(r *rand.Rand, worker, id int) *op {
	o := &op{action: one(r, planned...), worker: worker, id: id, cause: fmt.Errorf("error %d", id)}
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

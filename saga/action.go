package saga

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// action brings an action to its end.
func (r *run) action(own *origin, f *frame, i int) flow {
	next := r.attempts(own, f, i)
	if next == onward {
		r.publish(f)
	}
	return next
}

// attempts makes attempts of a step until it is applied, there is no further one, or
// it has to wait. It may begin where an earlier process has left it.
func (r *run) attempts(own *origin, f *frame, i int) flow {
	n, m := &f.nodes[i], &f.marks[i]
	a, wake := m.latest()
	for {
		ctx := r.present(own, f)
		if a.final { // and the process ended before anything came of it
			at := r.standing(f, i)
			return r.conclusion(f, i, r.ask(ctx, f, i, at.decide(a)), a, nil)
		}
		if m.attempt > 0 {
			if r.journal != nil && wake > r.time.now() {
				return r.park(f, wake)
			}
			v, cause := r.another(ctx, f, i, wake)
			if v != again {
				return r.conclusion(f, i, v, a, cause)
			}
			ctx = r.present(own, f) // Probe may have found that the pivot is not applied
		}
		if !r.begin(f, i, false) {
			return halt
		}
		t := r.measure()
		a = r.attempt(ctx, f, i, false)
		if a.outcome == Applied {
			if r.journal != nil {
				r.taint(n, m) // until what it has left is encoded: a codec may exit
			}
			if a = r.keep(f, i); a.outcome == Applied {
				next := r.conclusion(f, i, settled, a, nil) // first: a hook may end the goroutine
				t.done(ctx, f, i, false, a, -1)
				return next
			}
		}
		if a.outcome == Unknown {
			r.taint(n, m)
			ctx = r.present(own, f)
		}
		if r.stopping() {
			return r.cutShort(f, i, a)
		}
		if r.irreversible() {
			r.late.start()
		}
		v, wait, cause := r.ponder(ctx, f, i, a)
		t.done(ctx, f, i, false, a, wait)
		if wake = 0; wait > 0 {
			wake = after(r.time.now(), wait)
		}
		r.recordFailed(f, i, a, v != again, wake)
		if v != again {
			return r.conclusion(f, i, r.ask(ctx, f, i, v), a, cause)
		}
	}
}

// cutShort ends a step whose attempt ended when the run was stopped. That it had no effect is
// certain all the same.
func (r *run) cutShort(f *frame, i int, a answer) flow {
	if a.outcome == Unknown {
		return r.interrupted(f, i, false)
	}
	v, wake := r.standing(f, i).decide(a), int64(0)
	if v == again && a.after > 0 {
		wake = after(r.time.now(), a.after)
	}
	r.recordFailed(f, i, a, v != again, wake)
	return halt
}

// present is the context for the next attempt of a step, own unless that does not
// matter any more.
func (r *run) present(own *origin, f *frame) *origin {
	if r.doubt {
		return r.late.of(f)
	}
	return own
}

// latest is what the latest attempt of Do said, if it was made by another process,
// and when the next one is due.
func (m *mark) latest() (a answer, wake int64) {
	if d := m.more; d != nil && m.attempt > 0 {
		return answer{outcome: d.outcome, err: d.err, final: d.final}, d.wake
	}
	return answer{}, 0
}

// taint notes that a step may be applied.
func (r *run) taint(n *node, m *mark) {
	m.tainted = !n.readOnly
	if n.pivot {
		r.depart()
		r.doubt = true
	}
}

// standing is where a step stands after its latest attempt.
func (r *run) standing(f *frame, i int) position {
	n, m := &f.nodes[i], &f.marks[i]
	return position{
		pivot:   n.pivot,
		pivoted: r.pivoted,
		tainted: m.tainted,
		left:    allows(r.cfg.attempts(&n.retry), m.tries),
		ownLeft: n.retry.Attempts == 0 || allows(n.retry.Attempts, m.tries),
	}
}

// ponder decides what follows from an attempt that was not applied. wait is the time
// to the next one, negative if there is none; cause is why there can be none, if it
// is not the answer alone.
func (r *run) ponder(ctx context.Context, f *frame, i int, a answer) (v verdict, wait time.Duration, cause error) {
	at := r.standing(f, i)
	if v = at.decide(a); v == again {
		if wait = a.after; wait == 0 {
			wait = r.cfg.wait(f.nodes[i].retry, f.marks[i].tries)
		}
	}
	if cause = r.tooLate(ctx, f, at, wait); cause != nil && v == again {
		v = at.overdue()
	}
	if v != again {
		wait = -1
	}
	return v, wait, cause
}

// another waits for the next attempt and finds out whether it is still to be made.
func (r *run) another(ctx context.Context, f *frame, i int, wake int64) (v verdict, cause error) {
	if wake > 0 {
		r.time.pause(ctx, left(wake, r.time.now()))
	}
	at := r.standing(f, i)
	if cause = r.tooLate(ctx, f, at, 0); cause != nil {
		v = at.overdue()
	}
	return r.ask(ctx, f, i, v), cause
}

// tooLate is why no attempt could begin after a wait, or nil.
func (r *run) tooLate(ctx context.Context, f *frame, at position, wait time.Duration) error {
	if at.pivoted || at.pivot && at.tainted {
		if r.late.over() {
			return context.Cause(r.late)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if at.pivot && at.tainted && r.insisted {
		return nil
	}
	if !at.pivoted && f.deadline != never && after(r.time.now(), wait) >= f.deadline {
		return context.DeadlineExceeded
	}
	return nil
}

// ask has Probe say whether a tainted action took effect, now that the next
// decision rests on it.
func (r *run) ask(ctx context.Context, f *frame, i int, v verdict) verdict {
	n, m := &f.nodes[i], &f.marks[i]
	if !m.tainted || n.probe == nil || r.irreversible() && r.late.over() {
		return v
	}
	switch {
	case v == again:
	case r.irreversible():
		ctx = r.late
	default: // as when going back
		g := r.newGrace()
		defer g.close()
		g.start()
		ctx = g
	}
	switch r.probe(ctx, f, i) {
	case Applied:
		if r.keep(f, i).outcome == Applied {
			return settled
		}
		return v // what it wrote would be lost
	case Unknown:
		return v
	case Rejected:
	}
	m.tainted = false
	if n.pivot { // it is a step like any other again
		r.unhook()
		r.late.close()
		r.late, r.doubt = nil, false
	}
	at := r.standing(f, i)
	switch {
	case v == again:
		v = at.decide(answer{outcome: Rejected, again: true})
	case v == halted && !at.pivoted:
		v = failed // a pivot that has no effect: there is a way back
	}
	r.recordProbed(f, i, v != again)
	return v
}

// settle notes that the Do of a step has taken effect, whether it is run, folded from a
// journal or skipped by an operator. Past the pivot the run outlives its context.
func (r *run) settle(n *node, m *mark) {
	m.stage, m.tainted = applied, false
	if n.pivot {
		r.depart()
		r.pivoted, r.doubt = true, false
	}
}

// conclusion ends a step that has no further attempt.
func (r *run) conclusion(f *frame, i int, v verdict, a answer, cause error) flow {
	n, m := &f.nodes[i], &f.marks[i]
	if v == settled {
		r.settle(n, m)
		r.recordDone(f, i)
		return onward
	}
	if r.stopping() {
		return halt
	}
	path, err, o := f.path(i), a.err, a.outcome
	switch {
	case m.tainted:
		o = Unknown
	case o == Unknown && !n.readOnly: // Probe knows better
		o = Rejected
	}
	switch {
	case cause == nil || errors.Is(err, cause):
	case err == nil: // the process ended within the attempt
		err = cause
	default:
		err = fmt.Errorf("%w: %s: %w", cause, path, err)
	}
	if v == halted {
		at := r.standing(f, i)
		r.stick(path, o, err, at.reason())
		return stuck
	}
	if cause != nil && o != Rejected {
		path = "" // it is not the step that failed
	}
	r.fail(path, o, err)
	return back
}

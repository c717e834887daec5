package saga

import (
	"context"
	"fmt"
	"time"
)

// forward goes through the steps of a frame that are not done yet.
func (r *run) forward(ctx *origin, f *frame) flow {
	f.beyond = r.pivoted
	if f.up != nil {
		f.deadline = min(f.deadline, f.up.deadline)
	}
	for i := range f.nodes {
		if f.marks[i].stage >= off {
			continue
		}
		if next := r.step(ctx, f, i); next != onward {
			return next
		}
		if r.pivoted && !f.beyond {
			ctx, f.beyond = r.late.of(f), true
		}
	}
	return onward
}

// step brings one step to its end.
func (r *run) step(ctx *origin, f *frame, i int) flow {
	n, m := &f.nodes[i], &f.marks[i]
	if r.pending.err != nil { // there was an attempt already
		return r.action(ctx, f, i)
	}
	if err := r.blocked(ctx, f); err != nil {
		return r.cut(f, i, err)
	}
	if n.when != nil && m.stage == fresh {
		yes := false
		if next := r.try(f, i, "When", Rejected, func() { yes = n.when(f.state) }); next != onward {
			return next
		}
		m.stage = chosen
		if !yes {
			m.stage = off
		}
		r.recordWhen(f, i)
		if !yes {
			return onward
		}
	}
	var next flow
	switch n.kind {
	case KindDo:
		return r.action(ctx, f, i)
	case KindAwait:
		return r.await(ctx, f, i)
	case KindSleep:
		next = r.sleep(ctx, f, i)
	case KindSub:
		next = r.sub(ctx, f, i)
	case KindParallel:
		next = r.parallel(ctx, f, i)
	case KindForEach:
		next = r.forEach(ctx, f, i)
	}
	if next != onward {
		return next
	}
	if r.stopping() { // perhaps because the run has to go back
		return halt
	}
	m.stage = applied
	if r.journal != nil {
		if err := r.encode(f); err != nil {
			return r.broken(f, i, Applied, err)
		}
		r.recordDone(f, i)
		r.publish(f)
	}
	return onward
}

// blocked is why no step may start, or nil.
func (r *run) blocked(ctx context.Context, f *frame) error {
	if r.doubt { // it is the pivot, for which action has rules of its own
		return nil
	}
	if !r.pivoted {
		return r.over(ctx, f)
	}
	if r.late.over() {
		return context.Cause(r.late)
	}
	if ctx.Err() != nil { // a sibling has failed
		return context.Cause(ctx)
	}
	return nil
}

// cut ends the forward part between two steps.
func (r *run) cut(f *frame, i int, cause error) flow {
	if r.stopping() {
		return halt
	}
	if r.pivoted {
		r.stick(f.path(i), Rejected, cause, ReasonForwardFailed)
		return stuck
	}
	r.fail("", Unknown, cause)
	return back
}

// broken ends the forward part at a step whose definition panicked.
func (r *run) broken(f *frame, i int, o Outcome, err error) flow {
	if r.pivoted {
		r.stick(f.path(i), o, err, ReasonForwardFailed)
		return stuck
	}
	r.fail(f.path(i), o, err)
	return back
}

// try runs a function of the definition that is no attempt. If it panics, that is
// the end of the way forward. What an exit of the goroutine needs is done, too,
// before it goes on.
func (r *run) try(f *frame, i int, what string, o Outcome, fn func()) (next flow) {
	safely(fn, func(p *PanicError) {
		if p != nil {
			next = r.broken(f, i, o, fmt.Errorf("%s: %w", what, p))
		}
	})
	return next
}

// sleep waits. In memory that takes the goroutine of the run.
func (r *run) sleep(ctx context.Context, f *frame, i int) flow {
	k, m := f.nodes[i].special, &f.marks[i]
	if m.more != nil && m.more.wake > 0 { // it began in another process
		if m.more.wake > r.time.now() {
			return r.park(f, m.more.wake)
		}
		return onward
	}
	d := k.sleep
	if k.until != nil {
		var at time.Time
		if next := r.try(f, i, "at", Rejected, func() { at = k.until(f.state) }); next != onward {
			return next
		}
		d = at.Sub(r.time.source.now())
	}
	if !r.pivoted && f.deadline != never && after(r.time.now(), d) >= f.deadline {
		return r.cut(f, i, context.DeadlineExceeded) // it would wait in vain
	}
	if r.journal != nil && d > 0 {
		m.detail().wake = after(r.time.now(), d)
		r.recordWake(f, i, m.more.wake)
		return r.park(f, m.more.wake)
	}
	r.time.pause(ctx, d)
	if err := r.blocked(ctx, f); err != nil {
		return r.cut(f, i, err)
	}
	return onward
}

// sub goes through a saga within.
func (r *run) sub(ctx *origin, f *frame, i int) flow {
	k, m := f.nodes[i].special, &f.marks[i]
	if m.kids == nil {
		var state any
		if next := r.try(f, i, "in", Rejected, func() { state = k.in(f.state) }); next != onward {
			return next
		}
		m.kids = []*frame{f.child(i, k.sub, k.sub.nodes, state, -1)}
		if err := r.recordStates(f, i); err != nil {
			return r.broken(f, i, Rejected, err)
		}
	}
	kid := m.kids[0]
	ctx, free := r.timed(r.origin(ctx, kid), kid)
	defer free()
	if next := r.forward(ctx, kid); next != onward || k.out == nil || r.stopping() {
		return next
	}
	return r.try(f, i, "out", Applied, func() { k.out(f.state, kid.state) })
}

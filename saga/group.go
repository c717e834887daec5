package saga

import (
	"context"
	"math"
)

// manyItems is how many items of ForEach run at once if nobody says how many.
const manyItems = 16

// parallel runs the children of a group, each on a copy of the state.
func (r *run) parallel(ctx *origin, f *frame, i int) flow {
	n, m := &f.nodes[i], &f.marks[i]
	if m.kids == nil {
		m.kids = f.children(i)
	}
	for _, kid := range m.kids {
		if kid.state != nil {
			continue
		}
		if next := r.try(f, i, "Clone", Rejected, func() { kid.state = f.prog.clone(f.state) }); next != onward {
			return next
		}
	}
	merge := func(kid *frame) flow {
		if !kid.marks[0].touched() {
			return onward
		}
		return r.try(kid, 0, "Merge", kid.marks[0].outcome(), func() { kid.nodes[0].merge(f.state, kid.state) })
	}
	if m.more != nil {
		for _, kid := range m.more.order { // as they were merged before
			if next := merge(kid); next != onward {
				return next
			}
		}
	}
	var rest []*frame
	for _, kid := range m.kids {
		if kid.marks[0].stage < off {
			rest = append(rest, kid)
		}
	}
	next := r.together(ctx, rest, n.width(), merge)
	if next > parked {
		r.recordMerged(f, i)
	}
	return next
}

// children are the frames of the children of Parallel, their states to be made.
func (f *frame) children(i int) []*frame {
	children := f.nodes[i].children
	kids := make([]*frame, len(children))
	for k := range kids {
		kids[k] = f.child(i, f.prog, children[k:k+1], nil, -1)
	}
	return kids
}

// touched reports whether anything has been done about a step.
func (m *mark) touched() bool { return m.attempt > 0 || m.kids != nil || m.stage == applied }

// forEach runs a saga for each of some items.
func (r *run) forEach(ctx *origin, f *frame, i int) flow {
	k, m := f.nodes[i].special, &f.marks[i]
	if m.kids == nil {
		var states []any
		if next := r.try(f, i, "items", Rejected, func() { states = k.items(f.state) }); next != onward {
			return next
		}
		m.kids = make([]*frame, len(states))
		for e, state := range states {
			m.kids[e] = f.child(i, k.sub, k.sub.nodes, state, e)
		}
		if err := r.recordStates(f, i); err != nil {
			return r.broken(f, i, Rejected, err)
		}
	}
	next := r.together(ctx, m.kids, f.nodes[i].width(), func(*frame) flow { return onward })
	if next != onward || k.outs == nil || r.stopping() {
		return next
	}
	ends := make([]any, len(m.kids))
	for e, kid := range m.kids {
		ends[e] = kid.state
	}
	return r.try(f, i, "out", Applied, func() { k.outs(f.state, ends) })
}

// An ending is that of a child.
type ending struct {
	kid  *frame
	next flow
}

// together brings frames to their ends, at most limit at a time, each on a
// goroutine of its own, and calls settled for each on this one. When one fails,
// those that have not begun do not, and the contexts of the others end; it returns
// when all have.
func (r *run) together(ctx context.Context, kids []*frame, limit int, settled func(kid *frame) flow) (next flow) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan ending, len(kids))
	running, parking := 0, 0 // one that has to wait keeps its place
	defer func() {           // also if settled does not return
		cancel(context.Canceled)
		for ; running > 0; running-- {
			e := <-ended
			e.kid.join()
		}
	}()
	for waiting := kids; ; {
		if len(waiting) > 0 && next <= parked && running+parking < limit {
			kid := waiting[0]
			waiting = waiting[1:]
			running++
			kid.branch()
			go r.child(ctx, kid, ended)
			continue
		}
		if running == 0 {
			return next
		}
		e := <-ended
		running--
		e.kid.join()
		if e.next == parked {
			parking++
		}
		if e.next != parked && !r.stopping() { // then it has not settled, or does not matter
			next = max(next, settled(e.kid))
		}
		if next = max(next, e.next); next > parked {
			cancel(r.cause())
		}
	}
}

// child brings a frame to its end on a goroutine of its own, which may exit.
func (r *run) child(ctx context.Context, kid *frame, ended chan<- ending) {
	e, returned := ending{kid: kid}, false
	defer func() {
		if !returned {
			e.next = r.lost()
		}
		ended <- e
	}()
	o := r.origin(ctx, kid)
	if kid.elem >= 0 {
		timed, free := r.timed(o, kid)
		defer free()
		o = timed
	}
	e.next = r.forward(o, kid)
	returned = true
}

// width is how many children run at once.
func (n *node) width() int {
	switch {
	case n.limit > 0:
		return n.limit
	case n.limit == 0 && n.kind == KindForEach:
		return manyItems
	}
	return math.MaxInt
}

// cause is what has ended the way forward.
func (r *run) cause() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failure == nil {
		return r.severed
	}
	return r.failure.Err
}

package registry

import (
	"context"
	"iter"
)

// An Update is what [Service.Watch] gives: the state now, and what has changed
// since the last update of the same loop.
type Update struct {
	Snapshot *Snapshot
	Reset    bool        // the first update: Added is everything
	Added    []*Endpoint // in order of ID, like the others
	Changed  []*Endpoint // also those that left and came back
	Removed  []Removal
}

// A Removal is an instance that left.
type Removal struct {
	Endpoint *Endpoint // the last record that this loop was given
	Reason   Reason    // why it left; "" if the registry cannot tell
}

// Wait returns a snapshot whose index is greater than after, at once if there
// is one already; 0 is less than every index. It blocks until then, and returns
// the cause of ctx if that ends first, or ErrClosed in an [*Error]. The service
// need not exist.
func (s *Service) Wait(ctx context.Context, after uint64) (*Snapshot, error) {
	w, err := s.enrol(ctx)
	if err != nil {
		return nil, err
	}
	defer w.leave()
	for v := w.first; ; v = s.Snapshot() {
		if v.index > after {
			return v, nil
		}
		if err := w.wait(ctx); err != nil {
			return nil, err
		}
	}
}

// Watch ranges over the states of the service, beginning with the present one.
// While the loop body is at work changes add up, and the next update shows the
// state that came of them, so that the latest one is never missed. A watcher
// costs one old snapshot, however slow it is, and delays nobody.
//
// The loop ends with one pair of the zero Update and an error: the cause of ctx,
// or ErrClosed in an [*Error]. Leaving the loop ends the watch. The service need
// not exist.
func (s *Service) Watch(ctx context.Context) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		w, err := s.enrol(ctx)
		if err != nil {
			yield(Update{}, err)
			return
		}
		defer w.leave()
		seen := w.first
		if !yield(Update{Snapshot: seen, Reset: true, Added: seen.list.slice()}, nil) {
			return
		}
		for {
			if err := w.wait(ctx); err != nil {
				yield(Update{}, err)
				return
			}
			v := s.Snapshot()
			if v.index == seen.index {
				continue // the latch was set for what seen shows already
			}
			u := delta(seen, v)
			seen = v
			if !yield(u, nil) {
				return
			}
		}
	}
}

// A waiter is enrolled in a roster, which is not released before it leaves.
type waiter struct {
	r      *roster
	latch  latch
	unhook func() bool // from the context, whose end sets latch
	first  *Snapshot   // as of the enrolment: no change between the two is missed
}

func (s *Service) enrol(ctx context.Context) (*waiter, error) {
	switch {
	case ctx == nil:
		return nil, errNilContext
	case s == nil || s.reg == nil:
		return nil, errZeroService
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case !validName(s.name):
		return nil, s.Err()
	}
	limit := s.reg.cfg.Limits.Watchers
	if n, ok := reserve(&s.reg.watchers, 1, limit); !ok {
		return nil, breached(OpWatch, s.name, "Limits.Watchers", limit, n)
	}
	w := &waiter{latch: newLatch()}
	w.unhook = context.AfterFunc(ctx, w.latch.set) // before any lock: ctx may be of the user's making
	r := s.reg.open(s.name)
	defer r.unlock(another)
	w.r, w.first = r, r.view.Load()
	if s.reg.closed.Load() {
		w.unhook()
		s.reg.watchers.Add(-1)
		return nil, &Error{Op: OpWatch, Service: s.name, Kind: ErrClosed}
	}
	r.waiters[w.latch] = struct{}{}
	return w, nil
}

// leave ends the enrolment.
func (w *waiter) leave() {
	w.unhook()
	w.r.mu.Lock()
	delete(w.r.waiters, w.latch)
	w.r.unlock(another)
	w.r.reg.watchers.Add(-1)
}

// wait returns when something may have changed, with an error if that is the end.
// The end of ctx sets the latch too, see enrol: to receive from one channel takes
// two thirds of the time of a select, and one that all watchers of a context
// share would make them queue for its lock with every change.
func (w *waiter) wait(ctx context.Context) error {
	<-w.latch
	switch { // of two at once the end counts
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case w.r.reg.closed.Load():
		return &Error{Op: OpWatch, Service: w.r.name, Kind: ErrClosed}
	}
	return nil
}

// delta is what leads from one snapshot of a service to a later one.
func delta(from, to *Snapshot) Update {
	u := Update{Snapshot: to}
	a, b := from.list.cursor(), to.list.cursor()
	for {
		skip(&a, &b)
		x, y := a.cur(), b.cur()
		switch {
		case x == nil && y == nil:
			return u
		case x == nil || y != nil && y.in.ID < x.in.ID:
			u.Added = append(u.Added, y)
			b.next()
		case y == nil || x.in.ID < y.in.ID:
			u.Removed = append(u.Removed, Removal{x, x.fate.why()})
			a.next()
		default:
			if x.changed != y.changed {
				u.Changed = append(u.Changed, y)
			}
			a.next()
			b.next()
		}
	}
}

// skip moves on two cursors that are at the beginning of the same page: what
// two lists share is equal.
func skip(a, b *cursor) {
	for a.i == 0 && b.i == 0 && a.page() != nil && b.page() != nil && &a.page()[0] == &b.page()[0] {
		a.pages, b.pages = a.pages[1:], b.pages[1:]
	}
}

// A cursor walks through pages.
type cursor struct {
	pages [][]*Endpoint
	i     int // in the first of them
}

func (p *pages) cursor() cursor { return cursor{pages: p.pages} }

func (c *cursor) page() []*Endpoint {
	if len(c.pages) == 0 {
		return nil
	}
	return c.pages[0]
}

func (c *cursor) cur() *Endpoint {
	if len(c.pages) == 0 {
		return nil
	}
	return c.pages[0][c.i]
}

func (c *cursor) next() {
	if c.i++; c.i == len(c.pages[0]) {
		c.pages, c.i = c.pages[1:], 0
	}
}

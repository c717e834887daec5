package balance

import "sync/atomic"

// A ticket is what a pick is tracked by. It is used again and again; a pick
// knows its generation, so all copies but the one whose Done came first find
// that the ticket is not theirs any more.
//
// Each member has one of its own, beside what else a pick writes, and keeps one
// that is free, its own if it is, where the next pick of the same endpoint finds
// it with one swap. Further ones are in a sync.Pool. Nothing of this is shared by
// all picks, as the free list of a table would be (ADR 23). A ticket whose pick is
// never ended is left to the garbage collector.
type ticket struct {
	gen atomic.Uint64

	b *Balancer // never changes

	// Written before the pick is handed out, read by who ended the generation.
	m     *member     // not the entry, which would keep all candidates of its time
	done  func(error) // of the gate; nil: none
	start int64       // on the clock, if the balancer measures
}

// issue makes a pick of an entry that has been acquired.
func (b *Balancer) issue(e *entry, done func(error), start int64) Pick {
	t := e.m.spare.Swap(nil)
	if t == nil {
		t = b.tickets.Get().(*ticket)
	}
	t.m, t.done, t.start = e.m, done, start
	return Pick{t, t.gen.Load(), e.ep}
}

// end ends a generation, and reports false if that has happened before. What the
// ticket held is returned, since from then on others may use it.
func (t *ticket) end(gen uint64) (m *member, done func(error), start int64, ok bool) {
	if !t.gen.CompareAndSwap(gen, gen+1) {
		return nil, nil, 0, false
	}
	m, done, start = t.m, t.done, t.start
	t.m, t.done = nil, nil
	switch {
	case t == &m.own: // others would keep m alive by it
		if other := m.spare.Swap(t); other != nil {
			other.b.tickets.Put(other)
		}
	case !m.spare.CompareAndSwap(nil, t):
		t.b.tickets.Put(t)
	}
	return m, done, start, true
}

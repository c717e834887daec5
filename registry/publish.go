package registry

import (
	"slices"
	"strings"
)

// A change is what one publish shows of a member: it came (before is nil),
// changed, or left (after is nil).
type change struct {
	before, after *Endpoint
	reason        Reason
}

func (c *change) id() string {
	if c.after != nil {
		return c.after.in.ID
	}
	return c.before.in.ID
}

// The live sides follow the records, what gets better before the view is shown
// and what gets worse after it. So whoever goes by a view, old or new, and finds
// nothing there that lives, finds another view when it looks again: there is no
// moment at which all that was is Down and what comes is not shown.

func (c *change) better() {
	if c.after == nil {
		c.before.fate.reason.Store(&c.reason) // for who sees the view before it is woken
		return
	}
	if l := c.after.live; l.Health() == 0 || l.Health() > c.after.word.health {
		l.set(c.after.word.health)
	}
}

func (c *change) worse() {
	if c.before != nil && (c.after == nil || c.after.live != c.before.live) {
		c.before.live.set(Down)
	}
	if c.after != nil {
		c.after.live.set(c.after.word.health)
	}
}

// A batch is what one publish shows. No member is in it twice.
type batch struct {
	changes []change
	silent  []*Endpoint // newer generations of what is shown already
}

// refresh adds what is new about a member: nothing, its generation only, or
// what a snapshot shows.
func (b *batch) refresh(m *member) {
	c, before, w := m.claims[0], m.ep, m.word()
	after := &Endpoint{in: c.in, generation: c.generation, origin: c.origin(), word: w}
	reason := ReasonUpdated
	switch {
	case before == nil:
		reason = ReasonRegistered
	case before.in != c.in && !before.in.same(c.in) || before.origin != after.origin:
	case before.word.health != w.health:
		reason = ReasonHealth
	case before.in != c.in || before.generation != c.generation:
		after.changed, after.word, after.since = before.changed, before.word, before.since
		after.live, after.fate = before.live, before.fate
		b.silent = append(b.silent, m.show(after))
		return
	default:
		return
	}
	if before != nil {
		after.fate = before.fate
	} else {
		after.fate = new(fate)
	}
	if before != nil && before.in.Addr == c.in.Addr {
		after.live, after.since = before.live, before.since
	} else {
		after.live = new(Live)
		m.drain.watch(after.live)
	}
	if after.since.IsZero() || before.word.health.Usable() != w.health.Usable() {
		after.since = c.r.reg.schedule.date(c.r.now)
	}
	b.changes = append(b.changes, change{before, m.show(after), reason})
}

func (m *member) show(e *Endpoint) *Endpoint {
	m.ep = e
	m.claims[0].ep.Store(e)
	return e
}

// publish makes a batch visible, under one new index. mu is held.
func (r *roster) publish(b batch) {
	old := r.view.Load()
	next := &Snapshot{index: old.index, disconnected: r.disconnected()}
	visible := len(b.changes) > 0 || next.disconnected != old.disconnected
	if !visible && len(b.silent) == 0 {
		return
	}
	if visible {
		next.index = r.reg.index.Add(1)
	}
	edits := make([]edit, 0, len(b.changes)+len(b.silent))
	for i := range b.changes {
		c := &b.changes[i]
		edits = append(edits, edit{c.id(), c.after})
		if c.after != nil {
			c.after.changed = next.index
		}
		c.better()
	}
	for _, e := range b.silent {
		edits = append(edits, edit{e.in.ID, e})
	}
	slices.SortFunc(edits, func(a, b edit) int { return strings.Compare(a.id, b.id) })
	next.list = old.list.with(edits)
	if due := r.nextDue(); due < r.due.Load() {
		r.due.Store(due) // before the view: see Snapshot
	}
	r.view.Store(next)
	for i := range b.changes {
		b.changes[i].worse()
	}
	if r.counted && next.Len() == 0 {
		r.counted = false
		r.reg.services.Add(-1)
	}
	r.reg.syncs.mark(r.name, edits)
	if !visible {
		return
	}
	for w := range r.waiters {
		w.set()
	}
	r.report(next.index, b.changes)
}

// disconnected reports whether a feed that has claims here lost its origin.
func (r *roster) disconnected() bool {
	for f := range r.feeds {
		if f.lost.Load() {
			return true
		}
	}
	return false
}

package modelcheck

import (
	"math"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// The names of IDs and services. IDs are in order.
var (
	names    = [...]string{"a", "b", "c", "d", "e", "f"}
	services = [...]string{"orders", "stock"}
)

const (
	ids = len(names)

	never = math.MaxInt64
)

// A model is one service as the guarantees have it. It is a plain value: to copy
// it and to compare two is what Go does.
type model struct {
	now     int64
	members [ids]member
	expiry  window

	// The index is at least this; it is this if exact.
	least uint64
	exact bool

	// How many changes the hooks have been told, and whether the last of them
	// was an expiry.
	told    int
	expired bool

	// The newest generation.
	newest uint64

	// Drains that are over but have not returned, and of these those that found
	// no lease any more, those that found no instance, and those that were cut
	// short.
	over, lost, missing, cut drains
}

// A member is one ID. It is not there if its generation is zero.
type member struct {
	gen      uint64
	content  content
	deadline int64 // never: it has none
	held     bool  // it lapsed at its deadline, and is kept

	owner, operator registry.Health

	// Who drains it, by hand and by its lease, and until when at least.
	draining bool
	byHand   drains
	byLease  drains
	grace    int64
}

// A drains is a set of drains. A walk has many, but never two at a time.
type drains uint64

func (o *op) drains() drains { return 1 << (o.number % 64) }

// health is the worst that anybody says (G19).
func (m *member) health() registry.Health {
	h := max(registry.Passing, m.owner, m.operator)
	if m.draining {
		h = max(h, registry.Draining)
	}
	if m.held {
		h = max(h, registry.Stale)
	}
	return h
}

// show is what reads show of it: nothing if it is not there.
func (m *member) show() shown {
	if m.gen == 0 {
		return shown{}
	}
	return shown{m.gen, m.health(), m.content}
}

// deadline is that of a registration that begins now (G8).
func (s *model) deadline(ttl time.Duration) int64 {
	if ttl <= 0 {
		return never
	}
	return s.now + int64(ttl)
}

// A change is what hooks are told of one ID.
type change struct {
	index  uint64
	who    int
	reason registry.Reason
	before shown // zero: it was not there
	after  shown // zero: it has left
}

// A trial is one step of the model: what it says, against what was observed.
type trial struct {
	*model
	changes []change // as the hooks were told them; nil if there are none
	hooks   bool
	fresh   bool // the operation at hand has not shown anything yet
	ok      bool
}

// differ is a change that the operation at hand makes. All its changes have one
// index, greater than any before (G1, G15).
func (s *trial) differ(who int, reason registry.Reason, before *member) {
	switch {
	case s.hooks:
		s.hear(who, reason, before, s.fresh)
		s.expired = false
	case s.fresh:
		s.least++
		s.exact = false
	}
	s.fresh = false
}

// hear compares a change with the next one that the hooks were told.
func (s *trial) hear(who int, reason registry.Reason, before *member, greater bool) {
	if s.told >= len(s.changes) {
		s.ok = false
		return
	}
	c := s.changes[s.told]
	s.told++
	s.ok = s.ok && c.who == who && c.reason == reason &&
		c.before == before.show() && c.after == s.members[who].show() &&
		(c.index > s.least || c.index == s.least && !greater)
	s.least, s.exact = c.index, true
}

// noticed is a change because of time. How many of them have one index depends
// on when somebody looks.
func (s *trial) noticed(who int, reason registry.Reason, before *member) {
	if s.hooks {
		s.hear(who, reason, before, !s.expired)
		s.expired = true
		return
	}
	if s.exact {
		s.least++
	}
	s.exact = false
}

// reads compares what a read shows with what there is (G14).
func (s *trial) reads(v *view) {
	empty := true
	for who := range s.members {
		m := &s.members[who]
		empty = empty && m.gen == 0
		s.ok = s.ok && v.all[who] == m.show()
	}
	s.ok = s.ok && v.index >= s.least && (!s.exact || empty || v.index == s.least)
	// Without instances it follows what other services leave behind (G16).
	s.least, s.exact = v.index, !empty
}

// gets compares what a read of one ID shows.
func (s *trial) gets(who int, v *view) { s.ok = s.ok && v.all[who] == s.members[who].show() }

// register is all or none (G1, G2).
func (s *trial) register(o *op, service int) kind {
	if o.ifAbsent {
		for _, e := range o.entries {
			if e.service == service && s.members[e.who].gen > 0 {
				return exists
			}
		}
	}
	if o.kind != fine {
		return fine
	}
	for i, e := range o.entries {
		if e.service == service {
			s.enlist(e, o.health, o.gens[i])
		}
	}
	return fine
}

// enlist supersedes who has the ID (G3).
func (s *trial) enlist(e entry, health registry.Health, gen uint64) {
	s.ok = s.ok && gen > s.newest
	s.newest = gen
	m := &s.members[e.who]
	before := *m
	*m = member{
		gen: gen, content: e.content, deadline: s.deadline(e.ttl),
		owner: health, operator: before.operator,
	}
	s.lost |= before.byLease
	s.over |= before.byLease
	if before.byHand != 0 { // an operator's drain goes on (G22)
		m.draining, m.byHand, m.grace = true, before.byHand, before.grace
	}
	s.refresh(e.who, &before)
}

// refresh is the change, if any, that a member has gone through.
func (s *trial) refresh(who int, before *member) {
	m := &s.members[who]
	switch {
	case before.gen == 0:
		s.differ(who, registry.ReasonRegistered, before)
	case before.content != m.content:
		s.differ(who, registry.ReasonUpdated, before)
	case before.health() != m.health():
		s.differ(who, registry.ReasonHealth, before)
	}
}

// leaves takes a member out. Whose lease it was has lost it, or has ended it.
func (s *trial) leaves(who int, lost bool) {
	m := &s.members[who]
	s.over |= m.byHand | m.byLease
	if lost {
		s.lost |= m.byLease
	}
	*m = member{}
}

// removed is that it leaves because of the operation at hand.
func (s *trial) removed(who int, lost bool, reason registry.Reason) {
	before := s.members[who]
	s.leaves(who, lost)
	s.differ(who, reason, &before)
}

// renew is the only thing that helps who is held (G10).
func (s *trial) renew(o *op) {
	m := &s.members[o.who]
	before := *m
	switch {
	case m.deadline == never:
	case m.held:
		m.held, m.deadline = false, s.deadline(m.content.ttl)
		s.refresh(o.who, &before)
	default:
		m.deadline = max(m.deadline, s.deadline(m.content.ttl))
	}
}

// update keeps the time of the last renewal.
func (s *trial) update(o *op) {
	m := &s.members[o.who]
	before := *m
	old := m.content.ttl
	m.content = o.content
	switch ttl := o.content.ttl; {
	case ttl == old:
	case ttl <= 0:
		m.deadline, m.held = never, false
	case m.held: // and stays so
	case old <= 0:
		m.deadline = s.deadline(ttl)
	default:
		m.deadline = max(s.now, m.deadline+int64(ttl-old))
	}
	s.refresh(o.who, &before)
}

// drain is Draining at once. A second one joins the first (G22).
func (s *trial) drain(o *op, cfg *config) {
	m := &s.members[o.who]
	before := *m
	if !m.draining {
		m.draining, m.grace = true, o.began+int64(cfg.grace)
	}
	if o.action == doDrain {
		m.byLease |= o.drains()
	} else {
		m.byHand |= o.drains()
	}
	s.refresh(o.who, &before)
}

// drained is the end of a drain: there are no calls to wait for. One that was
// cut short cuts those short that it has joined.
func (s *trial) drained(o *op) {
	me := o.drains()
	if m := &s.members[o.who]; (m.byHand|m.byLease)&me != 0 {
		if o.kind == cutShort {
			s.cut |= m.byHand | m.byLease
		} else {
			s.ok = s.ok && s.now >= m.grace
		}
		s.removed(o.who, false, registry.ReasonDrained)
	}
	s.ok = s.ok && s.over&me != 0 // it has begun
	switch o.kind {
	case notFound:
		s.ok = s.ok && s.missing&me != 0
	case leaseLost:
		s.ok = s.ok && s.lost&me != 0
	case cutShort: // also one whose lease was lost before, and who has not noticed
		s.ok = s.ok && (s.cut&me != 0 || o.lease != nil && s.lost&me != 0)
	case fine: // that of a lease may learn of the end of the lease first
		s.ok = s.ok && (s.missing|s.lost)&me == 0 && (s.cut&me == 0 || o.lease != nil)
	default:
		s.ok = false
	}
	s.over &^= me
	s.lost &^= me
	s.missing &^= me
	s.cut &^= me
}

// refused is a drain that found nothing to drain.
func (s *trial) refused(o *op, why kind) {
	switch why {
	case leaseLost:
		s.over |= o.drains()
		s.lost |= o.drains()
	case notFound:
		s.over |= o.drains()
		s.missing |= o.drains()
	default:
	}
}

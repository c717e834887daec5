package registry

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// A member is one ID of a service. It exists as long as it has claims.
type member struct {
	ep       *Endpoint // as published; nil before
	claims   []*claim  // by rank; the first one counts
	operator word
	drain    *drain   // nil: it is not drained
	check    *checker // nil: the first claim has none
}

// A claim is one registration of an ID: by its owner, or by a feed.
type claim struct {
	r          *roster
	in         *Instance // normal; the pointer is guarded by the lock of r
	generation uint64
	term       term
	word       word                     // of its owner, or of its feed
	feed       *feed                    // nil: it is registered here
	lease      *Lease                   // nil: it is fed
	ep         atomic.Pointer[Endpoint] // as published last, while it counts
}

// rank says which claim of an ID counts, the lowest: the local one before those
// of feeds, in the order in which these were started.
func (c *claim) rank() uint64 {
	if c.feed == nil {
		return 0
	}
	return c.feed.rank
}

func (c *claim) origin() string {
	if c.feed == nil {
		return ""
	}
	return c.feed.name
}

// local is the claim of an owner in this process, or nil.
func (m *member) local() *claim {
	if m == nil || m.claims[0].feed != nil {
		return nil
	}
	return m.claims[0]
}

// word is what counts of all that is said about a member.
func (m *member) word() word {
	w := m.told()
	if m.claims[0].term.deadline.Load() == held {
		w = worst(w, word{Stale, "lease lapsed, together with too many others"})
	}
	return w
}

// told is word without what only this registry can judge, the lease.
func (m *member) told() word {
	words := [...]word{m.operator, {}, m.claims[0].word, {}}
	if m.drain != nil {
		words[1] = word{Draining, "draining"}
	}
	if m.check != nil {
		words[3] = m.check.word
	}
	return worst(words[:]...)
}

// enlist makes c one of the claims of its ID, in place of the one that has its
// rank.
func (r *roster) enlist(c *claim, b *batch) {
	m := r.members[c.in.ID]
	if m == nil {
		m = &member{}
		r.members[c.in.ID] = m
	}
	var before *claim
	if len(m.claims) > 0 {
		before = m.claims[0]
	}
	if c.feed != nil {
		r.feeds[c.feed]++
	}
	i, found := slices.BinarySearchFunc(m.claims, c.rank(), func(o *claim, rank uint64) int { return cmp.Compare(o.rank(), rank) })
	if found {
		r.retire(m.claims[i], ErrLeaseLost)
		m.claims[i] = c
	} else {
		m.claims = slices.Insert(m.claims, i, c)
	}
	if i > 0 {
		r.shades.add(&c.term)
	}
	if last := m.claims[len(m.claims)-1]; last != c && last.rank() == importRank {
		r.retire(last, nil) // whoever knows better takes its place for good
		m.claims = m.claims[:len(m.claims)-1]
	}
	if c == m.claims[0] && m.drain != nil {
		m.drain.owner = false // it was the owner of before who wanted it
		if !m.drain.operator {
			m.drain.end(m, ErrLeaseLost)
		}
	}
	r.lead(m, before)
	b.refresh(m)
}

// strike takes a claim out. If none is left the member is removed, otherwise
// the next one takes over.
func (r *roster) strike(m *member, c *claim, why error, b *batch, reason Reason) {
	before := m.claims[0]
	r.retire(c, why)
	m.claims = slices.DeleteFunc(m.claims, func(o *claim) bool { return o == c })
	if len(m.claims) > 0 {
		r.lead(m, before)
		b.refresh(m)
		return
	}
	r.dismiss(m, b, reason)
}

// expel removes a member, whatever claims it has.
func (r *roster) expel(m *member, why error, b *batch, reason Reason) {
	for _, c := range m.claims {
		r.retire(c, why)
	}
	m.claims = nil
	r.dismiss(m, b, reason)
}

// dismiss removes a member without claims.
func (r *roster) dismiss(m *member, b *batch, reason Reason) {
	delete(r.members, m.ep.in.ID)
	m.check.stop()
	m.check = nil
	m.drain.end(m, nil)
	b.changes = append(b.changes, change{m.ep, nil, reason})
}

// retire ends a claim that is about to leave those of its member.
func (r *roster) retire(c *claim, why error) {
	c.term.deadline.Store(dead)
	r.unterm(c)
	if c.feed != nil {
		if r.feeds[c.feed]--; r.feeds[c.feed] == 0 {
			delete(r.feeds, c.feed)
		}
	}
	if c.lease != nil {
		c.lease.ended(why)
	}
}

// lead makes the first claim of a member the one that counts, in place of
// before.
func (r *roster) lead(m *member, before *claim) {
	c := m.claims[0]
	if c == before {
		return
	}
	if before != nil {
		wasHeld := before.term.deadline.Load() == held
		r.unterm(before)
		switch {
		case wasHeld: // it has lapsed, and only counted for want of a better one
			r.retire(before, errLapsed)
			m.claims = slices.DeleteFunc(m.claims, func(o *claim) bool { return o == before })
		case before.term.alive():
			r.shades.add(&before.term)
		}
	}
	r.unterm(c)
	r.terms.add(&c.term)
	r.supervise(m)
}

// unterm takes a claim out of those that can lapse.
func (r *roster) unterm(c *claim) {
	r.shades.remove(&c.term)
	if r.terms.remove(&c.term) {
		r.preserved(turn{at: r.now})
	}
}

// of is the claim that a term belongs to.
func (m *member) of(t *term) *claim {
	return m.claims[slices.IndexFunc(m.claims, func(c *claim) bool { return &c.term == t })]
}

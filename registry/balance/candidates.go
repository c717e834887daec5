package balance

import (
	"math"
	"slices"

	"github.com/mainstay-go/mainstay/registry"
)

// An entry is an endpoint in a set of candidates.
type entry struct {
	ep     *registry.Endpoint
	live   *registry.Live
	m      *member
	weight int
	usable bool  // and not ejected
	since  int64 // when it became so
}

// A state is what picks go by until something changes.
type state struct {
	index uint64 // of the snapshot it was made from
	round uint64 // of the members chosen for it
	next  int64  // when an ejection or a ramp ends

	members []entry // all that the balancer looks at, in order of ID
	usable  int
	ejected int
	panic   bool

	ramping bool   // a pool is
	plain   *pool  // home, if nothing but its picker has a say; else nil
	home    *pool  // nil: there is nothing to pick
	away    *pool  // where picks spill over to, or go if home has none for them; nil: nowhere
	stay    uint64 // a pick stays at home if its random number is not above
}

// build makes the state for a snapshot. mu is held.
func (b *Balancer) build(snap *registry.Snapshot, now int64) *state {
	s := &state{index: snap.Index(), next: never}
	s.members = b.subset(b.gather(snap, now))
	s.round = b.round
	total, starting := 0, 0
	for i := range s.members {
		e := &s.members[i]
		b.assess(e, s, now)
		switch h := e.ep.Health(); {
		case h == registry.Starting:
			starting++
		case h < registry.Draining:
			total++
		}
	}
	s.panic = float64(s.usable) < b.cfg.PanicThreshold*float64(total)-tiny ||
		total == 0 && starting > 0 && b.cfg.PanicThreshold >= 0
	if s.panic {
		b.scatter(s, total > 0)
	} else {
		b.settle(s, now)
	}
	// Here all is made that the user has a part in, and may have panicked: what
	// comes now happens once.
	if was := b.state.Load(); s.panic != (was != nil && was.panic) {
		b.panicked(s.panic, s.usable, total, now)
	}
	for _, m := range b.known {
		if b.free(m, now); m.ejection.on { // perhaps out of sight for now
			s.next = min(s.next, m.ejection.until)
		}
	}
	if s.home != nil && s.home.ripe == nil && s.away == nil && !s.panic && s.next == never && !b.timed && b.cfg.Gate == nil {
		s.plain = s.home
	}
	s.ramping = s.home != nil && s.home.ripe != nil || s.away != nil && s.away.ripe != nil
	return s
}

// assess finds out whether a member can be picked.
func (b *Balancer) assess(e *entry, s *state, now int64) {
	e.m.chosen = b.round
	x := e.m.ejection // a copy: see free
	x.end(now)
	e.since = b.time.of(e.ep.Since())
	if x.times > 0 && !x.on {
		e.since = max(e.since, x.freed)
	}
	switch {
	case x.on:
		s.ejected++
		s.next = min(s.next, x.until)
	case e.ep.Health().Usable():
		e.usable = true
		s.usable++
		if over := b.ramp.over(e.since); over > now {
			s.next = min(s.next, over)
		}
	}
}

// free ends the ejection of a member whose time is over. What came of calls
// meanwhile is not held against it.
func (b *Balancer) free(m *member, now int64) {
	if m.ejection.end(now) {
		m.tally.row.Store(0)
		m.tally.take()
		b.ejected(m, false, 0, now)
	}
}

// scatter makes the pool of panic mode: all that was not taken out by hand, and
// what is Starting only if all are.
func (b *Balancer) scatter(s *state, some bool) {
	these := starting
	if some {
		these = started
	}
	s.home = b.pool(atHome, choose(s.members, these), s.members, registry.Critical)
}

func started(e *entry) bool {
	return e.ep.Health() < registry.Draining && e.ep.Health() != registry.Starting
}

func starting(e *entry) bool { return e.ep.Health() == registry.Starting }

// settle makes the pools of ordinary times.
func (b *Balancer) settle(s *state, now int64) {
	usable := func(e *entry) bool { return e.usable }
	list := choose(s.members, usable)
	if len(list) == 0 {
		return
	}
	local := func(e *entry) bool { return e.ep.Zone() == b.cfg.Zone }
	if b.cfg.Zone == "" || !slices.ContainsFunc(s.members, func(e entry) bool { return local(&e) }) {
		s.home = b.ripening(atHome, list, s.members, now)
		return
	}
	away := func(e *entry) bool { return !local(e) }
	if far := choose(list, away); len(far) > 0 {
		s.away = b.ripening(elsewhere, far, choose(s.members, away), now)
	}
	near := choose(list, local)
	if len(near) == 0 {
		s.home, s.away = s.away, nil
		return
	}
	s.home = b.ripening(atHome, near, choose(s.members, local), now)
	s.stay = math.MaxUint64
	if share := b.homeShare(s, len(near)); share < 1 {
		s.stay = uint64(share*(1<<32)) << 32
	}
}

// homeShare is the share of the picks that stay in the own zone, of which near
// endpoints are usable.
func (b *Balancer) homeShare(s *state, near int) float64 {
	total := 0
	for i := range s.members {
		h := s.members[i].ep.Health()
		if s.members[i].ep.Zone() == b.cfg.Zone && h < registry.Draining && h != registry.Starting {
			total++
		}
	}
	if b.cfg.SpillBelow < 0 {
		return 1
	}
	return min(1, float64(near)/float64(total)/b.cfg.SpillBelow+tiny)
}

func choose(list []entry, by func(*entry) bool) []entry {
	chosen := make([]entry, 0, len(list))
	for i := range list {
		if by(&list[i]) {
			chosen = append(chosen, list[i])
		}
	}
	return chosen
}

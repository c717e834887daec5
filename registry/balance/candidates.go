package balance

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/registry"
)

// A member is what a balancer knows about an endpoint as long as it stays at its
// address, whatever else changes about it or the others.
type member struct {
	// What every pick writes is in one cache line.
	live     *registry.Live
	spare    atomic.Pointer[ticket] // that is free
	own      ticket
	failures atomic.Uint64

	gate    Gate // nil: none
	latency estimate
	tally   tally

	// Guarded by Balancer.mu.
	seen     *registry.Endpoint // which Filter was asked about
	wanted   bool               // what it said
	round    uint64             // the latest gathering that met it
	chosen   uint64             // the round of the latest state that has it among its members
	ejection ejection
	rule     string // of the latest ejection

	// Neighbours in memory are other members under load. The size is one that
	// begins at a multiple of a cache line.
	_ [256 - 200]byte
}

func (b *Balancer) newMember(ep *registry.Endpoint) *member {
	m := &member{live: ep.Live()}
	m.own.b = b
	m.spare.Store(&m.own)
	if b.cfg.Gate != nil {
		m.gate = b.cfg.Gate(ep)
	}
	return m
}

// An entry is an endpoint in a set of candidates.
type entry struct {
	ep     *registry.Endpoint
	live   *registry.Live
	m      *member
	weight int
	usable bool  // and not ejected
	since  int64 // when it became so
}

// A pool is a set of endpoints that one picker chooses from.
type pool struct {
	b      *Balancer
	list   []entry         // never empty
	picker Picker          // never nil
	worst  registry.Health // what may be picked

	// whole is list and those that cannot be picked now, for policies in which
	// these keep their place; index leads from there to list, -1 if it is not in
	// it.
	whole []entry
	index []int

	// ripe are those of list that are not held back by SlowStart; nil: nobody
	// is, or there are no others.
	ripe *pool
}

// weightsOf is the weights of some entries, and whether they are all equal.
func weightsOf(list []entry) (weights []int, equal bool) {
	weights = make([]int, len(list))
	equal = true
	for i := range list {
		weights[i] = list[i].weight
		equal = equal && weights[i] == weights[0]
	}
	return weights, equal
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

// A place is one of the pools, each of which has pickers that go on from those
// it had before.
type place int

const (
	atHome place = iota
	elsewhere
	places
)

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

// gather finds the members for a snapshot, in its order, and forgets those that
// left.
func (b *Balancer) gather(snap *registry.Snapshot, now int64) []entry {
	b.round++
	list := make([]entry, 0, snap.Len())
	for ep := range snap.All() {
		m := b.known[ep.Live()]
		if m == nil {
			m = b.newMember(ep)
			b.known[ep.Live()] = m
		}
		if m.seen != ep {
			m.seen, m.wanted = ep, b.wants(ep)
		}
		m.round = b.round
		if m.wanted && ep.Weight() > 0 {
			list = append(list, entry{ep: ep, live: m.live, m: m, weight: ep.Weight()})
		}
	}
	for live, m := range b.known {
		if m.round != b.round {
			delete(b.known, live)
			if m.ejection.on {
				b.ejected(m, false, 0, now)
			}
		}
	}
	return list
}

// wants asks Filter.
func (b *Balancer) wants(ep *registry.Endpoint) (ok bool) {
	if b.cfg.Filter == nil {
		return true
	}
	safely(func() { ok = b.cfg.Filter(ep) }, func(p *registry.PanicError) {
		b.panics.Add(1)
		if hook := b.cfg.Hooks.Fault; hook != nil { // later: mu is held
			b.news = append(b.news, func() { hook(p) })
		}
	})
	return ok
}

// subset restricts a list to SubsetSize, by rendezvous hashing of SubsetKey and
// the IDs: whoever joins or leaves changes at most one of those that are left.
func (b *Balancer) subset(list []entry) []entry {
	size := b.cfg.SubsetSize
	if size <= 0 || len(list) <= size {
		return list
	}
	type scored struct {
		score uint64
		i     int
	}
	key := HashKey(b.cfg.SubsetKey)
	scores := make([]scored, len(list))
	for i := range list {
		scores[i] = scored{mix(key ^ idHash(list[i].ep.ID())), i}
	}
	slices.SortFunc(scores, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.i, b.i))
	})
	scores = scores[:size]
	slices.SortFunc(scores, func(a, b scored) int { return cmp.Compare(a.i, b.i) })
	chosen := make([]entry, size)
	for i, s := range scores {
		chosen[i] = list[s.i]
	}
	return chosen
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

// ripening is a pool in which those that became usable lately are held back, as
// long as there are others.
func (b *Balancer) ripening(at place, list, whole []entry, now int64) *pool {
	p := b.pool(at, list, whole, registry.Warning)
	if b.ramp.length == 0 {
		return p
	}
	ripe := choose(list, func(e *entry) bool { return b.ramp.over(e.since) <= now })
	if len(ripe) == 0 || len(ripe) == len(list) {
		return p
	}
	p.ripe = b.places(ripe, whole, p.worst)
	if b.keepsPlaces {
		b.newPicker(p.ripe, p.picker) // of the same members
		return p
	}
	b.ripePickers[at] = b.newPicker(p.ripe, b.ripePickers[at])
	return p
}

// pool makes one with a picker.
func (b *Balancer) pool(at place, list, whole []entry, worst registry.Health) *pool {
	p := b.places(list, whole, worst)
	b.pickers[at] = b.newPicker(p, b.pickers[at])
	return p
}

// newPicker has the policy make the picker of a pool, and returns what it made.
func (b *Balancer) newPicker(p *pool, old Picker) Picker {
	made := b.cfg.Policy.NewPicker(Candidates{p}, old)
	if p.picker = made; made == nil {
		p.picker = undecided{}
	}
	return made
}

// undecided stands for the picker that a policy did not make.
type undecided struct{}

func (undecided) Pick(Query, int) int { return -1 }

// places makes a pool without a picker.
func (b *Balancer) places(list, whole []entry, worst registry.Health) *pool {
	p := &pool{b: b, list: list, worst: worst}
	if !b.keepsPlaces {
		return p
	}
	p.whole, p.index = whole, make([]int, len(whole))
	next := 0
	for i := range whole {
		p.index[i] = -1
		if next < len(list) && list[next].live == whole[i].live {
			p.index[i] = next
			next++
		}
	}
	return p
}

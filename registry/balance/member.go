package balance

import (
	"cmp"
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

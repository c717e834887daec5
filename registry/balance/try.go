package balance

import (
	"context"
	"math"

	"github.com/mainstay-go/mainstay/registry"
)

// A try is the search of one pick.
type try struct {
	b       *Balancer
	ctx     context.Context //nolint:containedctx // of the call, for gates
	q       Query
	track   bool        // count a call, and ask gates
	done    func(error) // of the gate that admitted it
	refusal error       // of the last gate that did not
	whole   bool        // the pool is searched from one to the next
}

const (
	// maxDraws is how often a picker is asked before the pool is searched.
	maxDraws = 8

	// maxChanges is how many changes in a row a pick without result follows.
	maxChanges = 100
)

// find finds an endpoint. When nothing could be picked, it makes sure that this
// is not because the candidates are those of before a change: somebody else may
// be adapting them, or all of them may have left since.
func (t *try) find() (*entry, error) {
	b := t.b
	if b.keepsPlaces && t.q.Key == 0 {
		t.q.Key = max(1, b.random()) // one for all draws of this pick
	}
	for round := range maxChanges {
		s, fresh := b.current()
		if e := t.from(s); e != nil {
			return e, nil
		}
		if !fresh {
			b.wait()
		} else if b.svc.Snapshot().Index() == s.index {
			break
		}
		if round > 0 {
			// Everything changes faster than the policy can follow.
			if p := b.makeshift(); p != nil {
				if e := t.in(p); e != nil {
					return e, nil
				}
			}
		}
	}
	switch {
	case b.svc.Err() != nil:
		return nil, b.closed
	case t.refusal != nil:
		return nil, &Error{Service: b.svc.Name(), Kind: ErrNoInstances, Err: t.refusal}
	}
	return nil, b.none
}

// from finds an endpoint in the pools of a state.
func (t *try) from(s *state) *entry {
	if s.home == nil {
		return nil
	}
	if t.b.timed || s.ramping {
		t.q.now = t.b.time.now()
	}
	first, second := s.home, s.away
	if second != nil && s.stay != math.MaxUint64 && t.draw(zoneSalt) > s.stay {
		first, second = second, first
	}
	if e := t.in(first); e != nil || second == nil {
		return e
	}
	return t.in(second)
}

// draw is a random number. With a policy that goes by keys it depends on the key
// and what it is for, so that a key does not go to and fro.
func (t *try) draw(salt uint64) uint64 {
	if t.b.keepsPlaces {
		return mix(t.q.Key ^ salt)
	}
	return t.b.random()
}

// The salts make what depends on a key independent of each other.
const (
	zoneSalt   = 0x7a6f6e65
	searchSalt = 0x66696e64
)

// in finds an endpoint in a pool.
func (t *try) in(p *pool) *entry {
	for draw := range maxDraws {
		e := p.pick(t.q, draw)
		if e == nil {
			break
		}
		if p.ripe != nil && !t.ripe(e) {
			e = p.ripe.pick(t.q, draw)
		}
		if e != nil && t.take(p, e) {
			return e
		}
	}
	t.whole = true
	defer func() { t.whole = false }()
	from := below(t.draw(searchSalt), len(p.list))
	for i := range p.list {
		if i += from; i >= len(p.list) {
			i -= len(p.list)
		}
		if e := &p.list[i]; t.take(p, e) {
			return e
		}
	}
	return nil
}

// makeshift is a pool of what can be picked right now, without a policy.
func (b *Balancer) makeshift() *pool {
	b.mu.Lock()
	defer b.unlock()
	now := b.time.now()
	all := b.subset(b.gather(b.svc.Snapshot(), now))
	p := &pool{b: b, picker: undecided{}, worst: registry.Warning}
	p.list = choose(all, func(e *entry) bool {
		x := e.m.ejection
		x.end(now)
		return e.ep.Health().Usable() && !x.on
	})
	if len(p.list) == 0 && b.cfg.PanicThreshold >= 0 {
		p.worst = registry.Critical
		if p.list = choose(all, started); len(p.list) == 0 {
			p.list = choose(all, starting)
		}
	}
	if len(p.list) == 0 {
		return nil
	}
	return p
}

// ripe decides whether an endpoint that may be ramping gets the call. As the
// share rises a key moves to it once.
func (t *try) ripe(e *entry) bool {
	share := t.b.ramp.share(e.since, t.q.now)
	if share >= 1 {
		return true
	}
	salt := uint64(0)
	if t.b.keepsPlaces {
		salt = idHash(e.ep.ID())
	}
	return unit(t.draw(salt)) < share
}

// unit maps a random number to [0, 1).
func unit(r uint64) float64 { return float64(r>>11) / (1 << 53) }

// take picks an endpoint unless it is excluded, not fit, or its gate refuses.
// The gate is asked first and the call counted last: a call that is counted was
// admitted, and what the gate does if it panics leaves nothing to undo.
func (t *try) take(p *pool, e *entry) bool {
	if t.q.Exclude.has(e.live) || e.live.Health() > p.worst {
		return false
	}
	if !t.track {
		return true
	}
	t.done = nil
	if e.m.gate != nil {
		done, err := e.m.gate.Allow(t.ctx)
		if err != nil {
			t.refusal = err
			if !t.whole { // it may be drawn again, only to be refused again
				t.q.Exclude.Add(e.ep)
			}
			return false
		}
		t.done = done
	}
	if e.live.Acquire(p.worst) {
		return true
	}
	if t.done != nil {
		t.done(context.Canceled) // it left between the two; that is nobody's failure
	}
	return false
}

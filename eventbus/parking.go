package eventbus

import (
	"sync"
	"sync/atomic"
)

// A parking is the readers of a ring that wait for events. They are woken all at
// once: in a chain, each by the one before, the last would wait twice as long. One
// alone can be woken too, when its subscription ends, so each has a condition of
// its own: with one for all, an end would wake ten thousand to reach one.
type parking struct {
	asleep *sleepers
	round  uint64 // of asleep
	spare  atomic.Pointer[sleepers]
}

// sleepers are those who wait.
type sleepers struct{ spots []*spot }

// A spot is where one reader waits.
type spot struct {
	cond  sync.Cond
	round uint64 // of the sleepers that it is among, or was
	index int    // there
}

func newParking() parking { return parking{asleep: new(sleepers), round: 1} }

// wait has a reader wait. The lock of the topic is held, but given up meanwhile.
func (p *parking) wait(s *spot) {
	if s.round != p.round { // else it was woken alone, and is there still
		s.round, s.index = p.round, len(p.asleep.spots)
		p.asleep.spots = append(p.asleep.spots, s)
	}
	s.cond.Wait()
}

// leave removes a reader that will not come back. The lock of the topic is held.
func (p *parking) leave(s *spot) {
	if s.round != p.round {
		return
	}
	spots := p.asleep.spots
	last := len(spots) - 1
	spots[s.index], spots[last].index = spots[last], s.index
	spots[last] = nil
	p.asleep.spots = spots[:last]
	s.round = 0
}

// take is all who wait, to be given to wake without the lock, which is held now.
// Nil: nobody.
func (p *parking) take() *sleepers {
	r := p.asleep
	if len(r.spots) == 0 {
		return nil
	}
	if p.asleep = p.spare.Swap(nil); p.asleep == nil {
		p.asleep = new(sleepers) // another publisher is at it still
	}
	p.round++
	return r
}

// wake wakes them.
func (p *parking) wake(r *sleepers) {
	if r == nil {
		return
	}
	for i, s := range r.spots {
		r.spots[i] = nil
		s.cond.Signal()
	}
	r.spots = r.spots[:0]
	p.spare.Store(r)
}

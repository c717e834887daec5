package breaker

import "time"

// probes is the pure state of a half-open stay: who holds a slot since when,
// and how the reported probes went. The caller holds the lock and tells the
// time.
type probes struct {
	slots  []slot
	issued uint64 // probes admitted; numbers them from 1
	inUse  int
	passed int
	failed int
}

// A slot is held by the probe with its number, or free with number 0. The
// number keeps a stale report from freeing the slot of a successor.
type slot struct {
	number uint64
	began  int64
}

// A ticket is a probe's claim on its slot: number and index in one word.
// The zero ticket is no probe.
type ticket uint64

const maxProbes = 64

func (t ticket) slot() int      { return int(t % maxProbes) }
func (t ticket) number() uint64 { return uint64(t / maxProbes) }

// verdict is what a report or a lost lease decides.
type verdict uint8

const (
	undecided verdict = iota
	toClose           // enough probes succeeded
	toOpen            // enough can no longer succeed
)

// admit takes a slot unless limit probes are in flight.
func (p *probes) admit(now int64, limit int) (t ticket, ok bool) {
	if p.inUse >= limit {
		return 0, false
	}
	i := 0
	for i < len(p.slots) && p.slots[i].number != 0 {
		i++
	}
	if i == len(p.slots) {
		p.slots = append(p.slots, slot{})
	}
	p.issued++
	p.inUse++
	p.slots[i] = slot{number: p.issued, began: now}
	return ticket(p.issued*maxProbes + uint64(i)), true
}

// held reports whether the probe's slot is still its own. When its lease has
// ended the slot is free, or another's.
func (p *probes) held(t ticket) bool {
	return t != 0 && p.slots[t.slot()].number == t.number()
}

// release frees the slot that a probe holds.
func (p *probes) release(t ticket) {
	p.slots[t.slot()] = slot{}
	p.inUse--
}

// pass and fail book a probe. Passing never reopens and failing never closes,
// even if Reconfigure has moved the limits meanwhile.
func (p *probes) pass(need int) verdict {
	p.passed++
	if p.passed >= need {
		return toClose
	}
	return undecided
}

func (p *probes) fail(need, of int) verdict {
	p.failed++
	if of-p.failed < need {
		return toOpen
	}
	return undecided
}

// expire takes back the slots whose lease has ended and books each as failed.
// A lease that finds itself before its own begin starts over from now.
func (p *probes) expire(now int64, lease time.Duration, need, of int) verdict {
	v := undecided
	for i := range p.slots {
		s := &p.slots[i]
		l := span{s.began, lease}
		switch {
		case s.number == 0:
		case l.ahead(now):
			s.began = now
		case l.over(now):
			*s = slot{}
			p.inUse--
			if p.fail(need, of) == toOpen {
				v = toOpen
			}
		}
	}
	return v
}

// due reports whether the probe is in the second half of its lease.
func (p *probes) due(t ticket, now int64, lease time.Duration) bool {
	return lease >= 0 && p.held(t) && span{p.slots[t.slot()].began, lease / 2}.over(now)
}

// window is the stretch of time in which the leases held now neither end nor
// lie ahead of the clock: until then a full house stays full.
func (p *probes) window(lease time.Duration) (from, to int64) {
	from, to = minInstant, maxInstant
	for _, s := range p.slots {
		if s.number != 0 {
			from = max(from, s.began)
			to = min(to, span{s.began, lease}.end())
		}
	}
	return from, to
}

package breaker

import (
	"context"
	"slices"
	"time"
)

// Everything here changes the state: Breaker.mu is held.

// replace puts next in the place of the current epoch. What calls under way may
// look at without the lock is ended first: the pulses of epochs that are neither
// current nor parked any more, and the counters that next does not go on with.
// So whoever sees next, and then sees a call end, sees it end late.
func (b *Breaker) replace(next *epoch) {
	cur := b.cur.Load()
	for _, e := range [...]*epoch{cur, cur.parked} {
		if e == nil || e == next || e == next.parked {
			continue
		}
		e.pulse.Store(&e.set.beating)
		for _, k := range e.counters {
			if !next.uses(k) && (next.parked == nil || !next.parked.uses(k)) {
				k.retire()
			}
		}
	}
	b.cur.Store(next)
	b.changes.Add(1)
}

func (e *epoch) uses(k counter) bool { return slices.Contains(e.counters, k) }

// maxLooks bounds look, for a Clock that changes the breaker or a crowd that
// does: what is lost then is a moment of an open time.
const maxLooks = 16

// look reads the clock for a critical section and begins it. A section that
// comes after one of a later moment would take that one's begin for a clock that
// went backward; so the clock is read again if anything has changed meanwhile.
func (b *Breaker) look() moment {
	for tries := 0; ; tries++ {
		seen := b.changes.Load()
		m := b.time.moment()
		b.mu.Lock()
		if b.changes.Load() == seen || tries == maxLooks {
			return m
		}
		b.mu.Unlock()
	}
}

// enter ends the current epoch, begins next, and queues the event.
func (b *Breaker) enter(ctx context.Context, next *epoch, m moment) {
	cur := b.cur.Load()
	if cur.state != next.state {
		t := Transition{To: next.state, Reason: next.reason}
		if next.state == Open || next.state == ForcedOpen {
			t.Cause = next.refusal.Cause
		}
		if next.state == Open {
			t.OpenFor = forever
			if next.span.length >= 0 {
				t.OpenFor = next.span.left(m.now)
			}
		}
		b.queue(ctx, cur, t, m)
	}
	b.replace(next)
}

// begin makes an epoch of a new stay.
func (b *Breaker) begin(state State, reason Reason, m moment) *epoch {
	cur := b.cur.Load()
	e := &epoch{view: view{
		b: b, set: cur.set, stay: new(stay), state: state, reason: reason, at: m.date, refusal: cur.refusal,
	}}
	return e.admitting()
}

// refuse gives the epoch the one rejection that all its refused callers share.
func (e *epoch) refuse(reason Reason, cause error) *epoch {
	e.refusal = &RejectedError{Name: e.b.name, State: e.state, Reason: reason, Cause: cause, issuer: e.b, stay: e.stay}
	return e
}

// refuseAgain does so in the name of the last opening.
func (e *epoch) refuseAgain() *epoch {
	if last := e.refusal; last != nil {
		return e.refuse(last.Reason, last.Cause)
	}
	return e.refuse(ReasonNone, nil)
}

// opening makes an open epoch. length zero: a regular open time, which counts
// as one more opening in a row; else exactly that, negative without end.
func (b *Breaker) opening(from State, reason Reason, cause error, length time.Duration, m moment) *epoch {
	e := b.begin(Open, reason, m)
	p := b.memory()
	if (from == Closed || from == Recovering) && p.backoff.rested(e.set, m.now) {
		p.backoff.level = 0
	}
	if length == 0 {
		length = p.backoff.next(e.set, nameSeed(b.name))
	}
	p.backoff.lastOpen = length
	e.span = span{m.now, max(length, forever)}
	return e.refuse(reason, cause)
}

func (b *Breaker) open(ctx context.Context, reason Reason, cause error, length time.Duration, m moment) {
	cur := b.cur.Load()
	next := b.opening(cur.state, reason, cause, length, m)
	b.enter(ctx, next, m)
	b.opened(cur, next)
}

// opened counts an opening, after the picture of the stay before it was taken.
func (b *Breaker) opened(from, to *epoch) {
	if from.stay != to.stay {
		b.memory().trips.Add(1)
	}
}

// halfOpen makes a half-open epoch; it takes no time to begin.
func (b *Breaker) halfOpen(reason Reason, m moment) *epoch {
	e := b.begin(HalfOpen, reason, m)
	e.stay.half = newHalf()
	return e.refuseAgain()
}

// shut ends a half-open stay well.
func (b *Breaker) shut(ctx context.Context, m moment) {
	state := Closed
	if b.cur.Load().set.Ramp > 0 {
		state = Recovering
	}
	e := b.begin(state, ReasonProbesPassed, m)
	if state == Recovering {
		e.span = span{m.now, e.set.Ramp}
		e.refuseAgain()
	}
	b.memory().backoff.closedAt = m.now
	b.enter(ctx, e.counting(nil, nil), m)
}

// wouldOpen is what ForcedClosed does instead of opening: it says so, and
// begins to count anew when the regular open time is over.
func (b *Breaker) wouldOpen(ctx context.Context, reason Reason, cause error, m moment) {
	cur := b.cur.Load()
	next := cur.again()
	next.span = span{m.now, cur.set.openTime(1)}
	next.counting(nil, nil)
	b.queue(ctx, cur, Transition{To: ForcedClosed, Reason: reason, Cause: cause, WouldOpen: true}, m)
	b.replace(next)
}

// advance does what time alone has brought about since the last call: the end
// of an open time or a ramp, lost probes, and a clock that went backward.
func (b *Breaker) advance(ctx context.Context, m moment) {
	cur := b.cur.Load()
	switch {
	case cur.state == HalfOpen:
		set, h := cur.set, cur.stay.half
		v := h.expire(m.now, set.ProbeLease, set.CloseAfter, set.CloseOf)
		h.publish(set)
		if v == toOpen {
			b.open(ctx, ReasonProbeLost, lostError(set.ProbeLease), 0, m)
		}
	case cur.state != Open && cur.state != Recovering:
	case cur.span.ahead(m.now):
		next := cur.again()
		next.span.began, next.at = m.now, m.date
		b.replace(next)
	case !cur.span.over(m.now):
	case cur.state == Open:
		e := b.halfOpen(ReasonOpenTimeOver, m)
		e.at = cur.at.Add(cur.span.length) // G5: it has been half-open since then
		b.enter(ctx, e, m)
	default: // the ramp is over; the closed epoch goes on with its stay
		next := cur.again()
		next.state, next.reason, next.at, next.span = Closed, ReasonRamped, m.date, span{}
		b.enter(ctx, next.admitting(), m)
	}
}

package breaker

import (
	"context"
	"sync/atomic"
	"time"
)

// An epoch is an immutable view of a breaker: its state, the settings in force
// and the stay they apply to. A call loads one epoch on entry and reports into
// that epoch's stay, so there is no generation to compare and nothing to
// forget: an outcome that comes late finds a stay that is not current any more.
//
// Only the holder of Breaker.mu replaces Breaker.cur. Reconfigure, the end of a
// ramp, and a clock that went backward put a new epoch on the same stay.
type epoch struct {
	view

	// pulse points at a word that is 0 while a success of the epoch's calls
	// changes nothing: that of the only counter. When the epoch is replaced it
	// is turned to a word that never is, so that calls under way find out.
	pulse atomic.Pointer[atomic.Int64]
}

type view struct {
	b        *Breaker
	set      *settings
	stay     *stay
	counters []counter      // one per rule while outcomes are counted in windows, else none
	streak   *streak        // the counter, if that is all
	parked   *epoch         // forced states: the automatic state underneath
	refusal  *RejectedError // what refused callers get; where none are, that of the last opening; nil after Reset
	at       time.Time      // begin of this state
	span     span           // open time; ramp; forced closed: how long nothing is counted after WouldOpen
	state    State
	reason   Reason
	pass     pass
}

// pass is how an epoch lets calls pass.
type pass uint8

const (
	closely pass = iota // each call is decided about
	noting              // every call is admitted, but its begin has to be noted
	freely              // every call is admitted
)

// A stay is the identity of one uninterrupted period in one state, and what is
// counted outside windows.
type stay struct {
	ramp diffuser
	half *half // half-open only
}

// half is a half-open stay: the pure probes, guarded by Breaker.mu, and what
// lock-free readers may know of them.
type half struct {
	probes
	reported, failed atomic.Uint64 // failed is written last and read first
	inUse            atomic.Int64
	// While the clock is in [fullFrom, fullTo) all slots are taken and no
	// lease has ended, so a call is refused without the lock. A reader that
	// gets the two from different moments was refused at one of these.
	fullFrom, fullTo atomic.Int64
}

func newHalf() *half {
	h := new(half)
	h.fullFrom.Store(maxInstant)
	return h
}

// publish tells the readers, after every change of the probes or their limits.
func (h *half) publish(set *settings) {
	h.reported.Store(uint64(h.probes.passed + h.probes.failed))
	h.failed.Store(uint64(h.probes.failed))
	h.inUse.Store(int64(h.probes.inUse))
	from, to := int64(maxInstant), int64(minInstant)
	if h.probes.inUse >= set.Probes {
		from, to = h.window(set.ProbeLease)
	}
	h.fullFrom.Store(from)
	h.fullTo.Store(to)
}

func (h *half) full(now int64) bool { return h.fullFrom.Load() <= now && now < h.fullTo.Load() }

// of is the epoch that speaks for a stay: e itself, or the one it has parked.
// Nil: the stay is over.
func (e *epoch) of(s *stay) *epoch {
	switch {
	case e.stay == s:
		return e
	case e.parked != nil && e.parked.stay == s:
		return e.parked
	}
	return nil
}

// counting equips an epoch of a state that counts outcomes in windows. Counters
// of prev that the rules can go on using stay.
func (e *epoch) counting(prev []counter, prevRules []rule) *epoch {
	e.counters = make([]counter, len(e.set.rules))
	for i := range e.set.rules {
		r := &e.set.rules[i]
		if i < len(prev) && r.sameMemory(&prevRules[i]) {
			e.counters[i] = prev[i]
			prev[i].fit(r)
		} else {
			e.counters[i] = newCounter(r)
		}
	}
	e.streak = nil
	if len(e.counters) == 1 {
		e.streak, _ = e.counters[0].(*streak)
	}
	return e.admitting()
}

// admitting works out what the calls of an epoch need, and what of their
// successes has to be known.
func (e *epoch) admitting() *epoch {
	e.pass = closely
	e.pulse.Store(&e.set.beating)
	if e.counters == nil || e.state == Recovering {
		return e
	}
	e.pass = freely
	if e.set.timed || e.set.MinBudget > 0 {
		e.pass = noting
	}
	if p := e.counters[0].pulse(); p != nil && len(e.counters) == 1 && !e.set.timed {
		e.pulse.Store(p)
	}
	return e
}

// again is a new epoch with the same view, for something in it to be changed.
func (e *epoch) again() *epoch { return (&epoch{view: e.view}).admitting() }

// with is the same epoch under other settings.
func (e *epoch) with(set *settings) *epoch {
	next := &epoch{view: e.view}
	next.set = set
	if e.parked != nil {
		next.parked = e.parked.with(set)
	}
	if e.state == Recovering {
		next.span.length = set.Ramp
	}
	if h := e.stay.half; h != nil {
		h.publish(set)
	}
	if e.counters != nil {
		return next.counting(e.counters, e.set.rules)
	}
	return next.admitting()
}

// muted reports whether a forced-closed epoch does not count for now, because
// it has told not long ago that it would have opened.
func (e *epoch) muted(now int64) bool {
	return e.state == ForcedClosed && e.span != (span{}) && !e.span.over(now) && !e.span.ahead(now)
}

// The methods below change the state. Breaker.mu is held.

// replace puts next in the place of the current epoch. Calls of epochs that are
// neither current nor parked any more are told through their pulse. One that
// ends between the two stores has ended before.
func (b *Breaker) replace(next *epoch) {
	cur := b.cur.Load()
	b.cur.Store(next)
	for _, e := range []*epoch{cur, cur.parked} {
		if e != nil && e != next && e != next.parked {
			e.pulse.Store(&e.set.beating)
		}
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
			t.OpenFor = next.span.length
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
	p.trips.Add(1)
	e.span = span{m.now, max(length, forever)}
	return e.refuse(reason, cause)
}

func (b *Breaker) open(ctx context.Context, reason Reason, cause error, length time.Duration, m moment) {
	b.enter(ctx, b.opening(b.cur.Load().state, reason, cause, length, m), m)
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
		if v == failed {
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

package breaker

import (
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
	last     *countWindow   // the counter, if that is all and nobody asks for the time
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
	return e.admitting()
}

// streak is the counter of the epoch, if it is one of these and that is all. Not
// a field: with one more the epoch takes 16 bytes more.
func (e *epoch) streak() *streak {
	if len(e.counters) != 1 {
		return nil
	}
	s, _ := e.counters[0].(*streak)
	return s
}

// admitting works out what the calls of an epoch need, and what of their
// successes has to be known.
func (e *epoch) admitting() *epoch {
	e.pass, e.last = closely, nil
	e.pulse.Store(&e.set.beating)
	if e.counters == nil || e.state == Recovering {
		return e
	}
	e.pass = freely
	if e.set.timed || e.set.MinBudget > 0 {
		e.pass = noting
	}
	if len(e.counters) > 1 || e.set.timed {
		return e
	}
	if p := e.counters[0].pulse(); p != nil {
		e.pulse.Store(p)
	}
	if e.span == (span{}) {
		e.last, _ = e.counters[0].(*countWindow)
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

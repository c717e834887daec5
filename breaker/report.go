package breaker

import (
	"slices"
	"time"
)

// A report is the outcome of one call.
type report struct {
	outcome Outcome
	err     error
	aborted bool          // fn panicked or exited its goroutine
	trip    bool          // Permit.Trip: a failure, and open
	openFor time.Duration // ... for so long
	unborn  bool          // fn never ran
	told    []counter     // by an attempt without the lock, which found the stay over
}

// finish reports a call that returned err, judged by the Config that admitted
// it. If the classifier panics, the call is left to unwind.
func (c *call) finish(err error) {
	o := Success
	if err == nil {
		// Most often a success in a window that has not been clean for long.
		if e := c.e; e.last != nil && e.b.cur.Load() == e && e.last.good(0) {
			c.e = nil
			return
		}
	} else {
		o = c.e.set.Classify(c.ctx, err)
	}
	if done, told := c.brief(o); !done {
		c.report(report{outcome: o, err: err, told: told})
	}
}

// brief is what record comes to for nearly all calls, at half the price: a
// success, or a failure that a streak alone counts. It reports whether that was
// all; else which counters have been told of it.
func (c *call) brief(o Outcome) (done bool, told []counter) {
	e := c.e
	if e.pass == closely || e.b.cur.Load() != e || e.set.Hooks.Done != nil || c.hurried {
		return false, nil
	}
	var s sight
	streak := e.streak()
	if streak == nil || e.set.timed || e.span != (span{}) { // else nobody asks for the time
		s = c.sight(e)
	}
	switch {
	case e.set.isSlow(s.took) || e.muted(s.now):
		return false, nil
	case o == Success:
		if told, done = e.succeeded(s); !done {
			return false, told
		}
	case o != Failure || streak == nil || !streak.below(int64(e.set.rules[0].limit)):
		return false, nil
	}
	c.e = nil
	return true, nil
}

// report ends the call, so that a hook that exits the goroutine does not have
// it reported again, and records its outcome.
func (c *call) report(r report) {
	ended := *c
	c.e = nil
	ended.e.b.record(&ended, r)
}

// record books an outcome, delivers the events it caused and tells the hooks.
func (b *Breaker) record(c *call, r report) {
	if r.outcome > Ignored {
		r.outcome = Failure
	}
	if r.outcome == Failure && !r.trip && c.hopeless(r.err) {
		r.outcome = Ignored
	}
	cur := b.cur.Load()
	s := c.sight(cur)
	if r.unborn {
		s.took = unknown
	}
	var late, owed bool
	if c.ticket != 0 {
		late, owed = b.bookProbe(c, &r, s)
	} else {
		late, owed = b.book(c, &r, s, cur)
	}
	b.conclude(c, &r, s, late, owed)
}

// conclude is what follows an outcome that has been booked.
func (b *Breaker) conclude(c *call, r *report, s sight, late, owed bool) {
	switch {
	case late:
		b.late.Add(1)
	case r.outcome == Ignored:
		b.ignored.Add(1)
	}
	if hook := c.e.set.Hooks.Done; hook != nil {
		// Deferred: a Transition hook may end this goroutine, and the call has
		// been reported all the same.
		defer b.contain(func() {
			hook(c.ctx, Completion{
				Name: b.name, Outcome: r.outcome, Err: r.err, Took: max(s.took, 0),
				Slow: c.e.set.isSlow(s.took), Probe: c.ticket != 0, Late: late, Aborted: r.aborted,
			})
		})
	}
	if owed {
		b.deliver()
	}
}

// A sight is when a call ended and how long it took.
type sight struct {
	now  int64 // zero if nobody wants to know
	took time.Duration
}

// unknown is how long a call took whose begin nobody noted.
const unknown time.Duration = -1

func (c *call) sight(cur *epoch) sight {
	if c.e.set.timed || cur.set.clocked || cur.span != (span{}) {
		return c.sightAt(c.e.b.time.now())
	}
	return sight{took: unknown}
}

func (c *call) sightAt(now int64) sight {
	if c.e.set.timed {
		return sight{now, time.Duration(max(elapsed(c.start, now), 0))}
	}
	return sight{now, unknown}
}

// slowCounts reports whether it counts that the call was slow. If the outcome
// is ignored it does when the call's context is done, so that impatient callers
// reveal a hung dependency (G14).
func (r *report) slowCounts(c *call) bool { return r.outcome != Ignored || ended(c.ctx) }

// book counts an outcome in the windows of a closed, recovering or forced
// closed stay, and opens if that reaches a limit. It reports whether the stay
// is over, and whether events are owed. A success that is not slow needs no
// lock.
func (b *Breaker) book(c *call, r *report, s sight, cur *epoch) (late, owed bool) {
	e := cur.of(c.e.stay)
	switch {
	case e == nil:
		return true, false
	case e.muted(s.now):
		return false, false
	case r.outcome == Failure || e.set.isSlow(s.took) && r.slowCounts(c):
	case r.outcome == Ignored:
		return false, false
	case r.told == nil:
		var done bool
		if r.told, done = e.succeeded(s); done {
			return false, false
		}
	}
	return b.bookLocked(c, r, s)
}

// succeeded tells a success that is not slow to every counter. It stops at one
// that is retired: the stay has ended, or Reconfigure has replaced the counter,
// and the lock will tell which. Those told by then must not be told again.
func (e *epoch) succeeded(s sight) (told []counter, done bool) {
	for i, k := range e.counters {
		if s.took == unknown && e.set.rules[i].kind == slowRate {
			continue
		}
		if !k.good(s.now) {
			return e.counters[:i], false
		}
	}
	return nil, true
}

// bookLocked counts an outcome and does what it decides, in one step for all
// who look. An outcome of a parked stay counts but cannot move it.
func (b *Breaker) bookLocked(c *call, r *report, s sight) (late, owed bool) {
	m := b.look()
	cur := b.cur.Load()
	e := cur.of(c.e.stay)
	if e == nil {
		b.mu.Unlock()
		return true, false
	}
	if e.muted(m.now) {
		b.mu.Unlock()
		return false, false
	}
	reason := ReasonNone
	for i, k := range e.counters {
		rule := &e.set.rules[i]
		bad := r.outcome == Failure
		if rule.kind == slowRate {
			bad = s.took >= rule.threshold && r.slowCounts(c)
		}
		switch {
		case slices.Contains(r.told, k):
		case bad:
			if k.bad(m.now, rule, e == cur) && reason == ReasonNone {
				reason = rule.reason()
			}
		case r.outcome == Ignored, rule.kind == slowRate && s.took == unknown:
		default:
			k.good(m.now)
		}
	}
	if r.trip {
		reason = ReasonTrip
	}
	switch {
	case reason == ReasonNone || e != cur:
	case cur.state == ForcedClosed:
		b.wouldOpen(c.ctx, reason, r.cause(s, cur.set), m)
	default:
		b.open(c.ctx, reason, r.cause(s, cur.set), r.openFor, m)
	}
	return false, b.unlock()
}

// bookProbe counts the outcome of a probe and does what it decides. It reports
// whether the stay, or the probe's lease, is over, and whether events are owed.
func (b *Breaker) bookProbe(c *call, r *report, s sight) (late, owed bool) {
	m := b.look()
	cur := b.cur.Load()
	if cur.stay != c.e.stay || !cur.stay.half.held(c.ticket) {
		b.mu.Unlock()
		return true, false
	}
	b.settle(c, r, s, m)
	return false, b.unlock()
}

// settle does what the outcome of a probe decides. mu is held, and the probe
// holds its slot.
func (b *Breaker) settle(c *call, r *report, s sight, m moment) {
	cur := b.cur.Load()
	set, h := cur.set, cur.stay.half
	h.release(c.ticket)
	v := undecided
	switch {
	case r.outcome == Failure, set.isSlow(s.took) && r.slowCounts(c):
		v = h.fail(set.CloseAfter, set.CloseOf)
	case r.outcome == Success:
		v = h.pass(set.CloseAfter)
	}
	h.publish(set)
	switch {
	case r.trip:
		b.open(c.ctx, ReasonTrip, r.cause(s, set), r.openFor, m)
	case v == toOpen:
		b.open(c.ctx, ReasonProbeFailed, r.cause(s, set), 0, m)
	case v == toClose:
		b.shut(c.ctx, m)
	}
}

// cause is the error behind an opening.
func (r *report) cause(s sight, set *settings) error {
	switch {
	case r.err != nil:
		return r.err
	case r.aborted:
		return errAborted
	case r.trip:
		return nil
	case r.outcome != Failure:
		return slowError(s.took, set.slow)
	}
	return errJudged
}

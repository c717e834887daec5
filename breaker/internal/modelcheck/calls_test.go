package modelcheck

import (
	"math"
	"math/big"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// A refusal is why a call was rejected.
type refusal struct {
	hooks  int
	caller *caller
	state  breaker.State
	stay   int
	opening
}

// call is a call that arrives: the permit has number id. got is what the
// breaker did; it matters where rounding leaves a choice. The refusal is nil if
// the call is admitted.
func (m *model) call(id int, c *caller, got bool) *refusal {
	m.arrive(c)
	p := permit{cfg: m.cfg, stay: m.auto.stay.number, began: m.now, caller: c}
	admitted := true
	switch m.raw() {
	case breaker.ForcedClosed:
		p.stay = m.forced.stay.number
	case breaker.ForcedOpen, breaker.Open:
		admitted = false
	case breaker.HalfOpen:
		s := &m.auto.stay
		if admitted = len(s.probes) < m.cfg.probes; admitted {
			p.probe = true
			s.probes = append(s.probes, probe{permit: id, began: m.now})
		}
	case breaker.Recovering:
		admitted = m.share(got)
	default:
	}
	var refused *refusal
	if admitted {
		for len(m.permits) <= id {
			m.permits, m.reported = append(m.permits, nil), append(m.reported, false)
		}
		m.permits[id] = &p
	} else {
		refused = m.refuse(c)
	}
	tell := m.cfg.rejected
	m.deliver()
	if !admitted {
		m.totals.rejected++
		if tell {
			m.refusals = append(m.refusals, *refused)
		}
	}
	return refused
}

// refuse is what the rejections of the present stay say.
func (m *model) refuse(c *caller) *refusal {
	r := &refusal{hooks: m.cfg.hooks, caller: c, state: m.raw(), stay: m.auto.stay.number, opening: m.auto.opened}
	if m.forced.on {
		r.stay, r.opening = m.forced.stay.number, opening{breaker.ReasonForced, m.forced.cause}
	}
	return r
}

// arrive is what is due when a call arrives.
func (m *model) arrive(c *caller) {
	a := &m.auto
	switch {
	case m.forced.on, a.state == breaker.Closed:
	case a.state == breaker.HalfOpen:
		m.expire(c)
	case !a.over(m.now):
		if m.now < a.began { // it starts over (G34)
			a.began, a.since = m.now, m.now
		}
	case a.state == breaker.Open: // since the end of the open time (G5)
		m.enter(c, func() {
			m.lastOpen = a.length
			m.halfOpen(breaker.ReasonOpenTimeOver, a.began+int64(a.length))
		})
	default: // the ramp is over; counts are kept (G26)
		m.enter(c, func() { a.state, a.reason, a.since = breaker.Closed, breaker.ReasonRamped, m.now })
	}
}

// expire takes the slots of lost probes back (G25).
func (m *model) expire(c *caller) {
	s, lost := &m.auto.stay, 0
	s.probes = slices.DeleteFunc(s.probes, func(p probe) bool {
		over := m.cfg.probeLease >= 0 && m.now-p.began >= int64(m.cfg.probeLease)
		if over {
			lost++
		}
		return over
	})
	for i := range s.probes {
		s.probes[i].began = min(s.probes[i].began, m.now) // starts over (G34)
	}
	s.failed += lost
	if lost > 0 && m.hopeless() {
		m.open(c, breaker.ReasonProbeLost, because{says: "lease"}, 0)
	}
}

// hopeless reports whether CloseAfter of CloseOf probes can no longer pass (G23).
func (m *model) hopeless() bool { return m.cfg.closeOf-m.auto.stay.failed < m.cfg.closeAfter }

// share decides about a call of a ramp (G26): of the shares that all arrivals
// so far add up to, the whole part has been admitted. The breaker may have
// rounded each share.
func (m *model) share(got bool) bool {
	a, s := &m.auto, &m.auto.stay
	grown := big.NewRat(max(m.now-a.began, 0), max(int64(a.length), 1))
	rest := new(big.Rat).Sub(big.NewRat(1, 1), m.cfg.rampFrom)
	share := new(big.Rat).Add(m.cfg.rampFrom, rest.Mul(rest, grown))
	s.shares = new(big.Rat).Add(s.shares, share)
	s.arrivals++

	slack := new(big.Rat).SetFloat64(float64(s.arrivals) / (1 << 31))
	low := floor(new(big.Rat).Sub(s.shares, slack))
	high := floor(new(big.Rat).Add(s.shares, slack))
	admitted := s.entered < low
	if s.entered == low && low < high {
		admitted = got
	}
	if admitted {
		s.entered++
	}
	return admitted
}

func floor(x *big.Rat) int64 {
	return new(big.Int).Div(x.Num(), x.Denom()).Int64() // Euclidean: rounds down
}

// A report is what a call reports: by Done, with the error, or else by Record,
// Trip, a classifier of its own, or by not returning.
type report struct {
	judged  bool // the outcome is not Classify's
	outcome breaker.Outcome
	err     error
	aborted bool
	trip    bool
	openFor time.Duration
}

// report is the end of the call with permit id.
func (m *model) report(id int, r report) {
	p := m.permits[id]
	if m.reported[id] {
		return // it counts once (G7)
	}
	m.reported[id] = true
	if !r.judged {
		r.outcome = p.cfg.judge.outcome(p.caller, r.err)
	}
	if r.outcome > breaker.Ignored {
		r.outcome = breaker.Failure
	}
	if r.outcome == breaker.Failure && !r.trip && p.beyondHope(r.err) {
		r.outcome = breaker.Ignored
	}
	took := time.Duration(-1) // nobody noted the begin
	if p.cfg.timed() {
		took = time.Duration(max(m.now-p.began, 0))
	}
	late := !m.book(id, p, r, took)
	m.deliver()
	switch {
	case late:
		m.totals.late++
	case r.outcome == breaker.Ignored:
		m.totals.ignored++
	}
	if p.cfg.ended {
		m.done = append(m.done, completion{
			hooks: p.cfg.hooks, caller: p.caller, outcome: r.outcome, err: r.err, took: took,
			slow: took >= p.cfg.slow(), probe: p.probe, late: late, aborted: r.aborted,
		})
	}
}

// progress reports a probe in the second half of its lease as a success (G25).
func (m *model) progress(id int) {
	if m.reported[id] || m.permits[id].stay != m.auto.stay.number {
		return
	}
	for _, p := range m.auto.stay.probes {
		if p.permit == id && m.cfg.probeLease >= 0 && m.now-p.began >= int64(m.cfg.probeLease/2) {
			m.report(id, report{judged: true, outcome: breaker.Success})
			return
		}
	}
}

// beyondHope reports whether the call had less than MinBudget and failed by
// its caller's deadline (G13), unless he gave up before.
func (p *permit) beyondHope(err error) bool {
	ended := p.caller.Err()
	return p.cfg.raw.MinBudget > 0 && p.caller.deadline.Equal(hurried) && isDeadline(err) &&
		(ended == nil || isDeadline(ended))
}

// book counts the outcome in the stay that admitted the call, unless that is
// over (G8).
func (m *model) book(id int, p *permit, r report, took time.Duration) bool {
	switch p.stay {
	case m.forced.stay.number:
		if !m.forced.on {
			return false
		}
		if f := &m.forced; !f.muted || m.now < f.began || (f.quiet >= 0 && m.now-f.began >= int64(f.quiet)) {
			if reason := m.count(&f.stay, p, r, took); reason != breaker.ReasonNone {
				m.wouldOpen(p.caller, reason, r.because())
			}
		}
		return true
	case m.auto.stay.number:
	default:
		return false
	}
	if p.probe {
		return m.bookProbe(id, p, r, took)
	}
	reason := m.count(&m.auto.stay, p, r, took)
	if reason != breaker.ReasonNone && !m.forced.on {
		m.open(p.caller, reason, r.because(), r.openFor)
	}
	return true
}

// slow reports whether the outcome is slow, and seen as such: a call that was
// given up is, an ignored one is not (G14).
func (r *report) slow(p *permit, threshold, took time.Duration) bool {
	return took >= threshold && (r.outcome != breaker.Ignored || p.caller.Err() != nil)
}

// count tells every rule, and returns why the breaker has to open (G16).
func (m *model) count(s *stay, p *permit, r report, took time.Duration) breaker.Reason {
	reason := breaker.ReasonNone
	for i := range m.cfg.rules {
		rule := &m.cfg.rules[i]
		why, bad, counts := breaker.ReasonFailures, r.outcome == breaker.Failure, r.outcome != breaker.Ignored
		if rule.kind == slowRate {
			why, bad = breaker.ReasonSlowCalls, r.slow(p, rule.threshold, took)
			counts = (counts || bad) && took >= 0
		}
		if !counts {
			continue
		}
		rule.add(&s.memories[i], m.now, bad)
		if bad && reason == breaker.ReasonNone && rule.reached(&s.memories[i], m.now) {
			reason = why
		}
	}
	if r.trip {
		return breaker.ReasonTrip
	}
	return reason
}

// bookProbe counts the outcome of a probe, unless its lease is over.
func (m *model) bookProbe(id int, p *permit, r report, took time.Duration) bool {
	s := &m.auto.stay
	i := slices.IndexFunc(s.probes, func(x probe) bool { return x.permit == id })
	if i < 0 {
		return false
	}
	s.probes = slices.Delete(s.probes, i, i+1)
	slow := m.cfg.slow() < math.MaxInt64 && r.slow(p, m.cfg.slow(), took)
	switch {
	case slow, r.outcome == breaker.Failure:
		s.failed++
		switch {
		case r.trip:
			m.open(p.caller, breaker.ReasonTrip, r.because(), r.openFor)
		case m.hopeless():
			m.open(p.caller, breaker.ReasonProbeFailed, r.because(), 0)
		}
	case r.outcome == breaker.Success:
		if s.passed++; s.passed >= m.cfg.closeAfter {
			m.close(p.caller)
		}
	}
	return true
}

// because is the Cause of the opening that the report leads to (G22).
func (r *report) because() because {
	switch {
	case r.err != nil || r.trip:
		return because{err: r.err}
	case r.aborted:
		return because{says: "panicked"}
	case r.outcome == breaker.Failure:
		return because{says: "failure"}
	}
	return because{says: "slow"}
}

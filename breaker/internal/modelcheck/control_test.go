package modelcheck

import (
	"math"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// trip is Breaker.Trip. An open time that is over ends first; probes are lost,
// and ramps end, only when a call arrives (G25, G26).
func (m *model) trip(d time.Duration, cause error) {
	a := &m.auto
	if !m.forced.on && a.state == breaker.Open {
		m.arrive(nil)
	}
	switch {
	case a.state != breaker.Open || a.over(m.now):
		m.open(nil, breaker.ReasonTrip, because{err: cause}, d)
	default: // the later end wins, at the same level (G27)
		if d == 0 {
			d = m.drawn(m.cfg.openTime(m.level))
		}
		if a.length >= 0 && (d < 0 || d > a.left(m.now)) {
			a.length = max(d, -1)
			if d > 0 {
				a.length = sum(time.Duration(max(m.now-a.began, 0)), d)
			}
			a.opened = opening{breaker.ReasonTrip, because{err: cause}}
		}
	}
	m.deliver()
}

func (m *model) forceOpen(cause error) { m.force(breaker.ForcedOpen, because{err: cause}) }

func (m *model) forceClosed() { m.force(breaker.ForcedClosed, because{}) }

// force pins the state, also an initial one. A closed or open automatic state is
// only suspended; another goes on as half-open with all slots free (G28).
func (m *model) force(state breaker.State, cause because) {
	if m.raw() == state {
		m.forced.cause, m.forced.reason = cause, breaker.ReasonForced
		return
	}
	m.enter(nil, func() {
		if !m.forced.on && (m.auto.state == breaker.HalfOpen || m.auto.state == breaker.Recovering) {
			m.halfOpen(m.auto.reason, m.now)
		}
		m.forced = forced{
			on: true, state: state, reason: breaker.ReasonForced, since: m.now, cause: cause, stay: m.begin(),
		}
	})
	m.deliver()
}

// ends is Auto.
func (m *model) ends() {
	if !m.forced.on {
		return
	}
	m.enter(nil, func() {
		m.forced = forced{}
		m.auto.reason = breaker.ReasonAuto
		if m.auto.state == breaker.HalfOpen {
			m.auto.since = m.now
		}
	})
	m.deliver()
}

// reset begins a closed stay that has nothing to do with what was before. From
// Closed that is no transition.
func (m *model) reset() {
	reason := breaker.ReasonReset
	if m.raw() == breaker.Closed {
		reason = m.auto.reason
	}
	m.enter(nil, func() {
		m.forced = forced{}
		m.level = 0
		m.auto = automatic{state: breaker.Closed, reason: reason, since: m.now, stay: m.begin()}
	})
	m.deliver()
}

// wouldOpen is what a forced-closed breaker does instead of opening (G27).
func (m *model) wouldOpen(c *caller, reason breaker.Reason, cause because) {
	if m.cfg.transition {
		m.queue = append(m.queue, event{
			hooks: m.cfg.hooks, caller: c, from: breaker.ForcedClosed, to: breaker.ForcedClosed,
			at: m.now, reason: reason, cause: cause, wouldOpen: true, before: m.asOf(),
		})
	}
	f := &m.forced
	f.muted, f.began, f.quiet = true, m.now, m.cfg.openTime(1)
	clear(f.stay.memories)
}

// reconfigure puts another Config in force (G29).
func (m *model) reconfigure(cfg *config) {
	for _, s := range []*stay{&m.auto.stay, &m.forced.stay} {
		kept := make([]memory, len(cfg.rules))
		for i := range kept {
			if i < len(m.cfg.rules) && i < len(s.memories) && cfg.rules[i].serves(&m.cfg.rules[i]) {
				kept[i] = s.memories[i]
				kept[i].kept = max(kept[i].kept, m.cfg.rules[i].kept(), cfg.rules[i].kept())
			}
		}
		s.memories = kept
	}
	if m.auto.state == breaker.Recovering {
		m.auto.length = cfg.ramp
	}
	m.cfg = cfg
}

// A picture is a Snapshot, but for its totals.
type picture struct {
	state           breaker.State
	reason          breaker.Reason
	since           int64
	retryAfter      time.Duration
	cause           because
	calls, failures int64
	slowOf, slow    int64
	probes          int
}

// asOf is the picture as of the last transition.
func (m *model) asOf() picture {
	a, s := &m.auto, &m.auto.stay
	p := picture{state: m.raw(), reason: a.reason, since: a.since, cause: a.opened.cause}
	if f := &m.forced; f.on {
		p.reason, p.since = f.reason, f.since
		s = &f.stay
		if f.state == breaker.ForcedOpen {
			p.cause = f.cause
		}
	}
	switch p.state {
	case breaker.HalfOpen:
		p.calls, p.failures, p.probes = int64(s.passed+s.failed), int64(s.failed), len(s.probes)
	case breaker.Closed, breaker.Recovering, breaker.ForcedClosed:
		first := func(slow bool) (int64, int64) {
			i := slices.IndexFunc(m.cfg.rules, func(r ruleSpec) bool { return (r.kind == slowRate) == slow })
			if i < 0 {
				return 0, 0
			}
			return m.cfg.rules[i].counts(&s.memories[i], m.now)
		}
		p.calls, p.failures = first(false)
		p.slowOf, p.slow = first(true)
	default:
	}
	return p
}

// sum is a+b, saturated; neither is negative.
func sum(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// look is the picture now: an open time that is over is half-open since its
// end, whether a call has come or not (G5).
func (m *model) look() picture {
	p := m.asOf()
	if a := &m.auto; p.state == breaker.Open {
		p.retryAfter = a.left(m.now)
		if a.over(m.now) {
			p.state, p.since, p.retryAfter = breaker.HalfOpen, a.began+int64(a.length), 0
		}
	}
	return p
}

// retryAfter is what a rejection of the given state and stay tells now.
func (m *model) retryAfter(state breaker.State, stay int) time.Duration {
	if m.forced.on || state != breaker.Open || m.auto.state != breaker.Open || m.auto.stay.number != stay {
		return 0
	}
	return m.auto.left(m.now)
}

// due are the instants at which time alone changes something.
func (m *model) due() []int64 {
	var at []int64
	add := func(from int64, d time.Duration) {
		if d > 0 && d < 1<<60 { // not those that never come
			at = append(at, from+int64(d))
		}
	}
	add(m.auto.began, m.auto.length)
	for _, p := range m.auto.stay.probes {
		add(p.began, m.cfg.probeLease)
		add(p.began, m.cfg.probeLease/2)
	}
	if m.forced.muted {
		add(m.forced.began, m.forced.quiet)
	}
	if m.level > 0 {
		add(m.closedAt, or(m.cfg.stableAfter, m.lastOpen))
	}
	for i, r := range m.cfg.rules {
		list := m.auto.stay.memories[i].list
		if r.window.Within == 0 || len(list) == 0 {
			continue
		}
		width := int64(1)
		if r.bucketed() {
			width = int64(r.window.Within) / r.buckets()
		}
		for _, e := range []entry{list[0], list[len(list)/2], list[len(list)-1]} {
			add(e.at*width, r.window.Within)
			add(e.at*width, time.Duration(width)) // the next bucket
		}
	}
	return slices.DeleteFunc(at, func(t int64) bool { return t <= m.now })
}

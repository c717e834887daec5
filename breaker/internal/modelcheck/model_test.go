package modelcheck

import (
	"math/big"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// A model is what the guarantees of package breaker say, put as simply as
// possible: it keeps everything that was ever reported and works out the rest
// whenever it is asked. It is sequential. Stays and permits go by number, so
// that a copy of the model is a model of its own.
type model struct {
	now int64 // the clock, in nanoseconds since New
	cfg *config

	auto   automatic
	forced forced
	stays  int // so many have begun

	level    int           // openings in a row (G21)
	closedAt int64         // when it last closed
	lastOpen time.Duration // how long it was last open

	permits  []*permit // by number; nil: the call was rejected
	reported []bool
	totals   totals

	// What the hooks are told.
	events   []event
	done     []completion
	refusals []refusal

	queue      []event
	delivering bool
	told       func(event) // what a Transition hook does, or nil

	jittered []time.Duration // open times that the breaker has drawn, in order
}

// An automatic state may wait under a forced one.
type automatic struct {
	state  breaker.State
	reason breaker.Reason
	since  int64
	began  int64         // of the open time, or of the ramp
	length time.Duration // of it; negative: without end
	stay   stay
	opened opening // the last one
}

// A forced state is pinned by an explicit call. It counts in a stay of its own.
type forced struct {
	on     bool
	state  breaker.State
	reason breaker.Reason
	since  int64
	cause  because
	stay   stay

	// After a WouldOpen nothing is counted for a while.
	muted bool
	began int64
	quiet time.Duration // negative: for good
}

// A stay has the memories of the rules, or the probes.
type stay struct {
	number   int
	memories []memory // one per rule

	probes         []probe // in flight
	passed, failed int

	shares            *big.Rat // of a ramp: the sum of the shares at all arrivals
	arrivals, entered int64
}

type probe struct {
	permit int
	began  int64
}

// A permit is one admitted call.
type permit struct {
	cfg    *config // in force when it was admitted
	stay   int
	began  int64
	caller *caller
	probe  bool
}

// An opening is why the breaker last opened.
type opening struct {
	reason breaker.Reason
	cause  because
}

// because is the Cause of an opening: an error of the caller's, or one of the
// breaker's own that says something.
type because struct {
	err  error
	says string
}

type totals struct {
	trips, rejected, ignored, late, panics uint64
}

// An event is a Transition that the hooks of one Config are owed.
type event struct {
	hooks     int
	caller    *caller // nil: an explicit call
	from, to  breaker.State
	at        int64
	reason    breaker.Reason
	cause     because
	openFor   time.Duration
	wouldOpen bool
	before    picture
}

// A completion is a reported call that a Done hook is owed.
type completion struct {
	hooks                      int
	caller                     *caller
	outcome                    breaker.Outcome
	err                        error
	took                       time.Duration
	slow, probe, late, aborted bool
}

func newModel(cfg *config) *model {
	m := &model{cfg: cfg}
	m.auto.stay = m.begin()
	if cfg.raw.Initial != breaker.Closed {
		m.forced = forced{on: true, state: cfg.raw.Initial, stay: m.begin()}
	}
	return m
}

// copy is a model that goes its own way.
func (m *model) copy() *model {
	c := *m
	c.permits = slices.Clone(m.permits)
	c.reported = slices.Clone(m.reported)
	c.events = slices.Clip(m.events)
	c.done = slices.Clip(m.done)
	c.refusals = slices.Clip(m.refusals)
	c.queue = slices.Clip(m.queue)
	c.auto.stay = m.auto.stay.copy()
	c.forced.stay = m.forced.stay.copy()
	return &c
}

func (s stay) copy() stay {
	s.probes = slices.Clone(s.probes)
	s.memories = slices.Clone(s.memories)
	for i := range s.memories {
		s.memories[i].list = slices.Clone(s.memories[i].list)
	}
	return s
}

// equal reports whether two models will do the same for ever. What hooks are
// owed does not matter, nor how many stays there have been.
func (m *model) equal(o *model) bool {
	a, b, f, g := &m.auto, &o.auto, &m.forced, &o.forced
	return m.now == o.now && m.cfg == o.cfg &&
		m.level == o.level && m.closedAt == o.closedAt && m.lastOpen == o.lastOpen && m.totals == o.totals &&
		a.state == b.state && a.reason == b.reason && a.since == b.since &&
		a.began == b.began && a.length == b.length && a.opened == b.opened &&
		f.on == g.on && f.state == g.state && f.reason == g.reason && f.since == g.since && f.cause == g.cause &&
		f.muted == g.muted && f.began == g.began && f.quiet == g.quiet &&
		slices.Equal(m.reported, o.reported) && m.samePermits(o) && a.stay.equal(&b.stay) && f.stay.equal(&g.stay)
}

// samePermits compares the permits that may still be reported.
func (m *model) samePermits(o *model) bool {
	for id, p := range m.permits {
		q := o.permits[id]
		switch {
		case p == nil || q == nil:
			if p != q {
				return false
			}
		case m.reported[id]:
		case m.whose(p) != o.whose(q), p.cfg != q.cfg, p.began != q.began, p.caller != q.caller, p.probe != q.probe:
			return false
		}
	}
	return true
}

// A hold is which stay a permit is of: its number says no more than this.
type hold uint8

const (
	ofNone hold = iota // it is over, and the report will be late
	ofAuto
	ofForced
)

func (m *model) whose(p *permit) hold {
	switch {
	case p.stay == m.auto.stay.number:
		return ofAuto
	case m.forced.on && p.stay == m.forced.stay.number:
		return ofForced
	}
	return ofNone
}

func (s *stay) equal(o *stay) bool {
	return s.passed == o.passed && s.failed == o.failed &&
		s.arrivals == o.arrivals && s.entered == o.entered &&
		(s.arrivals == 0 || s.shares.Cmp(o.shares) == 0) && slices.Equal(s.probes, o.probes) &&
		slices.EqualFunc(s.memories, o.memories, func(a, b memory) bool {
			return a.kept == b.kept && slices.Equal(a.list, b.list)
		})
}

// hash is the same for equal models, and seldom for others.
func (m *model) hash() uint64 {
	h := uint64(m.now)
	mix := func(v uint64) { h = (h ^ v) * 0x9e3779b97f4a7c15 }
	mix(m.totals.rejected<<32 | m.totals.ignored<<16 | m.totals.late)
	for id, p := range m.permits {
		if p != nil && !m.reported[id] {
			mix(uint64(id)<<8 | uint64(m.whose(p)))
		}
	}
	for _, s := range []*stay{&m.auto.stay, &m.forced.stay} {
		mix(uint64(s.passed<<16 | s.failed<<8 | len(s.probes)))
		for _, memory := range s.memories {
			for _, e := range memory.list {
				if e.bad {
					mix(uint64(e.at))
				}
				mix(1)
			}
		}
	}
	return h
}

// begin is a new stay.
func (m *model) begin() stay {
	m.stays++
	return stay{number: m.stays, memories: make([]memory, len(m.cfg.rules)), shares: new(big.Rat)}
}

// raw is the state as of the last transition.
func (m *model) raw() breaker.State {
	if m.forced.on {
		return m.forced.state
	}
	return m.auto.state
}

// over reports whether the open time or the ramp has ended: at exactly its
// length it has (G2). A ramp that Reconfigure took away is over, whatever the
// clock says.
func (a *automatic) over(now int64) bool {
	return a.length == 0 || a.length > 0 && now-a.began >= int64(a.length)
}

// left is the time left of an open stay, at most its length (G34).
func (a *automatic) left(now int64) time.Duration {
	switch {
	case a.length < 0:
		return 0
	case now < a.began:
		return a.length
	}
	return max(a.length-time.Duration(now-a.began), 0)
}

// enter makes a transition. change puts the new state in place.
func (m *model) enter(c *caller, change func()) {
	e := event{hooks: m.cfg.hooks, caller: c, from: m.raw(), at: m.now, before: m.asOf()}
	tell := m.cfg.transition
	change()
	e.to = m.raw()
	if e.from == e.to || !tell {
		return
	}
	e.reason = m.auto.reason
	switch {
	case m.forced.on:
		e.reason = breaker.ReasonForced
		e.cause = m.forced.cause
	case e.to == breaker.Open:
		e.cause, e.openFor = m.auto.opened.cause, -1
		if m.auto.length >= 0 {
			e.openFor = m.auto.left(m.now)
		}
	}
	m.queue = append(m.queue, e)
}

// deliver tells the hook, which may do something that has further events.
func (m *model) deliver() {
	if m.delivering {
		return
	}
	m.delivering = true
	for len(m.queue) > 0 {
		e := m.queue[0]
		m.queue = m.queue[1:]
		m.events = append(m.events, e)
		if m.told != nil {
			m.told(e)
		}
	}
	m.delivering = false
}

// open begins an open stay. length zero: a regular open time, which counts as
// one more opening in a row (G21). It may open under a forced state.
func (m *model) open(c *caller, reason breaker.Reason, cause because, length time.Duration) {
	m.enter(c, func() {
		m.totals.trips++
		if m.rested() {
			m.level = 0
		}
		if length == 0 {
			m.level++
			length = m.drawn(m.cfg.openTime(m.level))
		}
		m.auto = automatic{
			state: breaker.Open, reason: reason, since: m.now, began: m.now, length: max(length, -1),
			stay: m.begin(), opened: opening{reason, cause},
		}
	})
}

// rested reports whether the breaker has been closed, recovering included, for
// so long that the backoff starts over. If the clock went back to before it
// closed nobody knows, and time going backward lengthens nothing (G34).
func (m *model) rested() bool {
	if m.auto.state != breaker.Closed && m.auto.state != breaker.Recovering {
		return false
	}
	stable := or(m.cfg.stableAfter, m.lastOpen)
	return stable < 0 || m.now < m.closedAt || m.now-m.closedAt >= int64(stable)
}

// drawn is the open time that jitter has made of d. The model cannot tell what
// the breaker drew, but only so far from d may it be.
func (m *model) drawn(d time.Duration) time.Duration {
	j := max(m.cfg.raw.Jitter, 0)
	if j == 0 || d < 0 || len(m.jittered) == 0 {
		return d
	}
	got := m.jittered[0]
	m.jittered = m.jittered[1:]
	if x := float64(got); x < float64(d)*(1-j)-1 || x > float64(d)*(1+j)+1 {
		return d
	}
	return got
}

// halfOpen begins a half-open stay.
func (m *model) halfOpen(reason breaker.Reason, since int64) {
	m.auto = automatic{
		state: breaker.HalfOpen, reason: reason, since: since, stay: m.begin(), opened: m.auto.opened,
	}
}

// close ends a half-open stay well (G23, G26).
func (m *model) close(c *caller) {
	m.enter(c, func() {
		m.closedAt = m.now
		next := automatic{
			state: breaker.Closed, reason: breaker.ReasonProbesPassed, since: m.now, stay: m.begin(), opened: m.auto.opened,
		}
		if m.cfg.ramp > 0 {
			next.state, next.began, next.length = breaker.Recovering, m.now, m.cfg.ramp
		}
		m.auto = next
	})
}

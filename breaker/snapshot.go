package breaker

import (
	"fmt"
	"time"
)

// A State is what a breaker does with calls.
type State uint8

// The states. HalfOpen is followed by Closed, or by Recovering with a Ramp.
// The forced states are pinned by an explicit call; the automatic state waits
// underneath.
const (
	Closed       State = iota // admits every call
	Open                      // rejects every call until the open time is over
	HalfOpen                  // admits probes
	Recovering                // closed, but admits a growing share of the calls
	ForcedOpen                // rejects every call until Auto or Reset
	ForcedClosed              // admits and counts every call; only reports what would have opened
)

var stateNames = [...]string{"closed", "open", "half-open", "recovering", "forced-open", "forced-closed"}

// String is the state's name: "closed", "open", "half-open", "recovering",
// "forced-open" or "forced-closed".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText is String, so that states read well in JSON. It never fails.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote. A text that names no state is an
// error.
func (s *State) UnmarshalText(text []byte) error { return named(s, ForcedClosed, text, "State") }

// A Reason tells why a breaker changed its state.
type Reason uint8

// The reasons. ReasonFailures, ReasonSlowCalls, ReasonProbeFailed,
// ReasonProbeLost and ReasonTrip open, or would in a forced-closed breaker;
// ReasonForced pins either way; the others lead elsewhere.
const (
	ReasonNone         Reason = iota // no transition yet
	ReasonFailures                   // a failure rule's limit was reached
	ReasonSlowCalls                  // a SlowRate rule's limit was reached
	ReasonOpenTimeOver               // the first call after the open time
	ReasonProbeFailed                // too many probes failed
	ReasonProbeLost                  // ... the last of them by losing its lease
	ReasonProbesPassed               // enough probes succeeded
	ReasonRamped                     // the ramp is over
	ReasonTrip                       // Breaker.Trip or Permit.Trip
	ReasonForced                     // ForceOpen or ForceClosed
	ReasonAuto                       // Auto ended a forced state
	ReasonReset                      // Reset
)

var reasonNames = [...]string{
	"none", "failures", "slow calls", "open time over", "probe failed", "probe lost",
	"probes passed", "ramped", "trip", "forced", "auto", "reset",
}

// String is the reason in words, for example "failures" or "open time over".
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("Reason(%d)", uint8(r))
}

// MarshalText is String, so that reasons read well in JSON. It never fails.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote. A text that names no reason is an
// error.
func (r *Reason) UnmarshalText(text []byte) error { return named(r, ReasonReset, text, "Reason") }

// A Snapshot is a picture of a breaker. The fields that identify the stay
// belong together; the counters are read one by one and may be a few concurrent
// outcomes apart.
type Snapshot struct {
	// Name is the name given to New.
	Name string

	// State is what [Breaker.State] says: half-open as soon as the open time is
	// over, whether a call has come or not.
	State State

	// Since is the begin of this stay. That of a half-open stay is the end of
	// the open time, whenever the first call came.
	Since time.Time

	// RetryAfter is the time left of an open stay, never more than its length.
	// Zero in all other states, and without an end.
	RetryAfter time.Duration

	// Reason is that of the last transition.
	Reason Reason

	// Cause is why the breaker last opened, and in ForcedOpen what ForceOpen was
	// given; nil after Reset. Most errors come out of encoding/json as {}:
	// marshal Cause.Error().
	Cause error

	// Calls and Failures are those in the window of the first failure rule.
	// They are equal if it does not count successes, and in a LastN window of a
	// forced-closed breaker Failures stops at what would have opened. Half-open:
	// probes reported, and failed ones among them.
	Calls, Failures uint64

	// SlowOf and Slow are the calls in the window of the first SlowRate rule,
	// and the slow ones among them.
	SlowOf, Slow uint64

	// FailureRate and SlowRate are shares; 0 when there are no calls.
	FailureRate, SlowRate float64

	// Probes is how many are in flight.
	Probes int

	// Totals since New: openings, rejections, ignored and late outcomes, and
	// panics and Goexits of hooks.
	Trips, Rejected, Ignored, Late, HookPanics uint64
}

// State tells what the breaker does with calls now. It changes nothing, not
// even when the open time is over: see G5. It is one load, plus a clock read
// while open.
func (b *Breaker) State() State {
	for {
		e := b.cur.Load()
		switch {
		case e == nil:
			panic(errZeroBreaker)
		case e.state != Open || !e.span.over(b.time.now()):
			return e.state
		case b.cur.Load() == e: // else the time is that of another stay
			return HalfOpen
		}
	}
}

// Name is the name given to New.
func (b *Breaker) Name() string {
	if b.cur.Load() == nil {
		panic(errZeroBreaker)
	}
	return b.name
}

// Snapshot is a picture of the breaker. It takes no lock, allocates nothing and
// changes nothing.
func (b *Breaker) Snapshot() Snapshot {
	e := b.cur.Load()
	if e == nil {
		panic(errZeroBreaker)
	}
	now := b.time.now()
	for ; b.cur.Load() != e; now = b.time.now() { // the time is that of another stay
		e = b.cur.Load()
	}
	s := b.picture(e, now)
	if e.state == Open {
		if e.span.over(now) {
			s.State, s.Since = HalfOpen, e.at.Add(e.span.length)
		} else {
			s.RetryAfter = e.span.left(now)
		}
	}
	return s
}

// picture shows an epoch as of the last transition.
func (b *Breaker) picture(e *epoch, now int64) Snapshot {
	s := Snapshot{
		Name: b.name, State: e.state, Since: e.at, Reason: e.reason,
		Ignored: b.ignored.Load(), Late: b.late.Load(),
	}
	if e.refusal != nil {
		s.Cause = e.refusal.Cause
	}
	if p := b.past.Load(); p != nil {
		s.Trips, s.HookPanics, s.Rejected = p.trips.Load(), p.hookPanics.Load(), p.rejected.load()
	}
	if h := e.stay.half; h != nil {
		// Failed is written before reported, so the order keeps Failures <= Calls.
		s.Failures, s.Calls = h.failed.Load(), h.reported.Load()
		s.Probes = int(h.inUse.Load())
	} else {
		s.Calls, s.Failures = e.counts(now, false)
		s.SlowOf, s.Slow = e.counts(now, true)
	}
	s.FailureRate, s.SlowRate = share(s.Failures, s.Calls), share(s.Slow, s.SlowOf)
	return s
}

// counts are those of the first rule that looks at slow calls, or at failures.
func (e *epoch) counts(now int64, slow bool) (calls, bad uint64) {
	for i, c := range e.counters {
		if r := &e.set.rules[i]; (r.kind == slowRate) == slow {
			n, m := c.counts(now, r)
			return uint64(n), uint64(m)
		}
	}
	return 0, 0
}

func share(part, of uint64) float64 {
	if of == 0 {
		return 0
	}
	return float64(part) / float64(of)
}

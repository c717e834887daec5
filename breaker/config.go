package breaker

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// Config says how a breaker behaves. It is passed by value, copied, and never
// changed later but by [Breaker.Reconfigure]. The zero Config is valid: five
// consecutive failures open for 30 seconds, three successful probes, one at a
// time, close.
//
// In every field zero is the stated default and negative means disabled or
// unlimited where that is stated, else it is an error. NaN and infinities are
// errors.
type Config struct {
	// Trip says when to open. The zero Rule is ConsecutiveFailures(5).
	Trip Rule

	// OpenFor is the open time: how long the breaker rejects before it admits
	// a probe. Zero: 30s. Negative: until Reset.
	OpenFor time.Duration

	// Backoff multiplies the open time with every opening in a row. At least
	// 1. Zero, 1 or negative: no backoff.
	Backoff float64

	// MaxOpenFor caps the grown open time, before jitter. At least OpenFor.
	// Zero: 10 x OpenFor. Negative: no cap.
	MaxOpenFor time.Duration

	// StableAfter is how long the breaker has to stay closed for the backoff
	// to start over. Zero: as long as it was last open. Negative: any close
	// does.
	StableAfter time.Duration

	// Jitter scales each open time by a factor drawn uniformly from 1-Jitter
	// to 1+Jitter, so that breakers which opened together do not probe
	// together. At most 0.5. Zero or negative: none.
	Jitter float64

	// JitterSeed makes jitter repeatable. It is mixed with the breaker's name,
	// so one seed serves a whole group. Zero: random.
	JitterSeed uint64

	// Probes is how many probes may be in flight at once while half-open, 1 to
	// 64. Zero: 1.
	Probes int

	// CloseAfter is how many probes have to succeed for the breaker to close.
	// Zero: 3.
	CloseAfter int

	// CloseOf is out of how many probes CloseAfter have to succeed. At least
	// CloseAfter. Zero: CloseAfter, so that one failed probe reopens.
	CloseOf int

	// ProbeLease is how long a probe may go unreported before it counts as
	// failed and its slot is another's. Zero: OpenFor, or 30s if that is
	// negative. Negative: never, so a lost probe keeps its slot.
	ProbeLease time.Duration

	// Ramp is the length of Recovering: after half-open the breaker admits a
	// share of calls that grows linearly from RampFrom to all of them. Zero or
	// negative: no ramp.
	Ramp time.Duration

	// RampFrom is the share admitted when the ramp begins, below 1. Zero: 0.1.
	// Negative: 0.
	RampFrom float64

	// Classify judges the non-nil errors of calls. It runs on the goroutine of
	// the call, with the call's context, and must be safe for concurrent use.
	// If it panics the call is a failure, and the panic goes on. Nil:
	// DefaultClassify.
	Classify func(context.Context, error) Outcome

	// MinBudget protects the breaker from hopeless callers: a call that began
	// with less time than this left until the deadline of its context, and
	// then failed by that deadline, is Ignored. It did if the deadline is over
	// and the error is context.DeadlineExceeded, or the cause of the context,
	// or has a method Timeout() bool that says so, as those of package net do.
	// (A gRPC status has none: wrap it.) Budgets use system time, because
	// contexts do. Zero or negative: off.
	MinBudget time.Duration

	// Initial is the state to begin with: Closed (zero), ForcedOpen or
	// ForcedClosed. ForcedClosed is the dry run for a new service.
	Initial State

	// Hooks observe the breaker.
	Hooks Hooks

	// Clock tells the time. Nil: system time.
	Clock Clock
}

// Defaults of Config, where they are not plain.
const (
	defaultOpenFor    = 30 * time.Second
	defaultCloseAfter = 3
	defaultRampFrom   = 0.1
	maxOpenFactor     = 10
	maxJitter         = 0.5
)

// settings is a valid Config with its defaults filled in and what follows from
// it worked out. Immutable, and shared by all breakers of a group.
type settings struct {
	Config
	rules []rule
	slow  time.Duration // the smallest threshold of a SlowRate rule; 0 without one

	timed   bool // calls need a time of their begin
	clocked bool // outcomes need the time of their end

	// beating is the pulse of epochs whose successes must always be told.
	beating atomic.Int64
}

func newSettings(cfg Config) (*settings, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	set := &settings{Config: cfg.withDefaults(), rules: cfg.Trip.list()}
	set.beating.Store(1)
	for i := range set.rules {
		r := &set.rules[i]
		if r.kind == slowRate && (set.slow == 0 || r.threshold < set.slow) {
			set.slow = r.threshold
		}
		set.clocked = set.clocked || r.window.Within > 0
	}
	set.timed = set.slow > 0 || cfg.Hooks.Done != nil
	return set, nil
}

// isSlow reports whether a call that took so long is slow for some rule.
func (set *settings) isSlow(took time.Duration) bool { return set.slow > 0 && took >= set.slow }

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&c.OpenFor, defaultOpenFor)
	def(&c.MaxOpenFor, scale(max(c.OpenFor, 0), maxOpenFactor))
	if c.OpenFor > 0 {
		def(&c.ProbeLease, c.OpenFor)
	}
	def(&c.ProbeLease, defaultOpenFor)
	c.Probes = max(c.Probes, 1)
	if c.CloseAfter == 0 {
		c.CloseAfter = defaultCloseAfter
	}
	if c.CloseOf == 0 {
		c.CloseOf = c.CloseAfter
	}
	c.Ramp = max(c.Ramp, 0)
	if c.RampFrom == 0 {
		c.RampFrom = defaultRampFrom
	}
	c.RampFrom = max(c.RampFrom, 0)
	if c.Classify == nil {
		c.Classify = DefaultClassify
	}
	return c
}

// validate joins all problems; each names the field and its value.
func (c Config) validate() error {
	errs := c.Trip.validate()
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, problem(field, value, want))
		}
	}
	finite := func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

	check(finite(c.Backoff) && (c.Backoff <= 0 || c.Backoff >= 1), "Backoff", c.Backoff, "at least 1, or 0 or negative for none")
	openFor := c.OpenFor
	if openFor == 0 {
		openFor = defaultOpenFor
	}
	check(c.MaxOpenFor <= 0 || c.MaxOpenFor >= openFor, "MaxOpenFor", c.MaxOpenFor, fmt.Sprintf("at least OpenFor, %v", openFor))
	check(finite(c.Jitter) && c.Jitter <= maxJitter, "Jitter", c.Jitter, "at most 0.5")
	check(c.Probes >= 0 && c.Probes <= maxProbes, "Probes", c.Probes, "1 to 64, or 0 for 1")
	check(c.CloseAfter >= 0, "CloseAfter", c.CloseAfter, "at least 1, or 0 for 3")
	closeAfter := c.CloseAfter
	if closeAfter == 0 {
		closeAfter = defaultCloseAfter
	}
	check(c.CloseOf == 0 || c.CloseOf >= max(closeAfter, 1), "CloseOf", c.CloseOf,
		fmt.Sprintf("at least CloseAfter, %d, or 0 for the same", closeAfter))
	check(finite(c.RampFrom) && c.RampFrom < 1, "RampFrom", c.RampFrom, "below 1")
	check(c.Initial == Closed || c.Initial == ForcedOpen || c.Initial == ForcedClosed,
		"Initial", c.Initial, "closed, forced-open or forced-closed")
	return errors.Join(errs...)
}

package breaker

import (
	"errors"
	"fmt"
	"time"
)

// The sentinels match rejections under errors.Is. What a recovering breaker
// sheds matches ErrRejected only.
var (
	// ErrRejected matches every rejection.
	ErrRejected = errors.New("breaker: call rejected")

	// ErrOpen matches the rejections of an open or forced-open breaker.
	ErrOpen = errors.New("breaker: circuit open")

	// ErrTooManyProbes matches the rejections of a half-open breaker.
	ErrTooManyProbes = errors.New("breaker: too many probes")
)

// A RejectedError is what a refused call returns. All rejections of one stay
// share one value, so it must not be changed.
//
// errors.Is does not match Cause, on purpose: an outer retry loop or breaker
// must not take a rejection for the error that opened the breaker long before
// (G39). Read Cause to find out what that was.
type RejectedError struct {
	Name  string // of the breaker
	State State  // that refused: Open, ForcedOpen, HalfOpen or Recovering

	// Reason is that of the opening: ReasonFailures, ReasonSlowCalls,
	// ReasonProbeFailed, ReasonProbeLost or ReasonTrip, and ReasonForced if
	// State is ForcedOpen.
	Reason Reason

	Cause error // of the opening; may be nil

	issuer *Breaker // nil if made by hand
	stay   *stay
}

// Error names the breaker, its state and the cause of its opening.
func (e *RejectedError) Error() string {
	s := fmt.Sprintf("breaker: %q is %v", e.Name, e.State)
	if e.State == HalfOpen {
		s += ", too many probes"
	}
	if e.State == Recovering {
		s += ", call shed"
	}
	if e.Reason != ReasonNone && e.State != ForcedOpen {
		s += ", opened by " + e.Reason.String()
	}
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is matches the sentinels that apply.
func (e *RejectedError) Is(target error) bool {
	switch target {
	case ErrRejected:
		return true
	case ErrOpen:
		return e.State == Open || e.State == ForcedOpen
	case ErrTooManyProbes:
		return e.State == HalfOpen
	}
	return false
}

// RetryAfter is the time left until the breaker admits a probe, as of now.
// Zero means that there is no estimate: the open stay is over or has no end, or
// the rejection was not for an open time. It never exceeds the open time.
func (e *RejectedError) RetryAfter() time.Duration {
	if e.issuer == nil || e.State != Open {
		return 0
	}
	cur := e.issuer.cur.Load()
	if cur.stay != e.stay {
		return 0
	}
	return cur.span.left(e.issuer.time.now())
}

// Causes of openings that no error of the caller's explains.
var (
	errAborted = errors.New("breaker: the call panicked or exited its goroutine")
	errJudged  = errors.New("breaker: the call returned no error but was judged a failure")
)

func slowError(took, threshold time.Duration) error {
	digits := time.Duration(1) // nobody reads more than three
	for took/digits >= 1000 {
		digits *= 10
	}
	took = took.Round(digits)
	return fmt.Errorf("breaker: the call took %v, and %v is slow", took, threshold)
}

func lostError(lease time.Duration) error {
	return fmt.Errorf("breaker: a probe went unreported for its lease of %v", lease)
}

// Misuse: told to the caller, counted nowhere.
var (
	errNilBreaker  = errors.New("breaker: nil *Breaker")
	errZeroBreaker = errors.New("breaker: zero Breaker, use New")
	errNilGroup    = errors.New("breaker: nil *Group")
	errZeroGroup   = errors.New("breaker: zero Group, use NewGroup")
	errNilContext  = errors.New("breaker: nil context")
	errNilFunc     = errors.New("breaker: nil function")
)

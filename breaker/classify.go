package breaker

import (
	"context"
	"errors"
	"fmt"
)

// An Outcome is what a call means to the breaker.
type Outcome uint8

// The outcomes. Unknown values count as Failure.
const (
	Success Outcome = iota
	Failure
	Ignored // counts in no window and returns its slot
)

var outcomeNames = [...]string{"success", "failure", "ignored"}

// String is "success", "failure" or "ignored".
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return fmt.Sprintf("Outcome(%d)", uint8(o))
}

// MarshalText is String, so that outcomes read well in JSON. It never fails.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote. A text that names no outcome is
// an error.
func (o *Outcome) UnmarshalText(text []byte) error { return named(o, Ignored, text, "Outcome") }

// DefaultClassify is the classifier of a Config without one, for own
// classifiers to fall back on. A nil error is Success; every other is a
// Failure, except that these are Ignored:
//
//   - the caller cancelled: ctx is done, not by a deadline, and err is
//     context.Canceled or the cause of ctx;
//   - err is a rejection by another breaker.
//
// A deadline is a Failure: a hung dependency must trip.
func DefaultClassify(ctx context.Context, err error) Outcome {
	switch {
	case err == nil:
		return Success
	case isRejection(err):
		return Ignored
	case ctx != nil && ended(ctx) && !byDeadline(ctx) &&
		(errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx))):
		return Ignored
	}
	return Failure
}

// isRejection is errors.Is(err, ErrRejected), at a third of the time for the
// plain errors that most failures are.
func isRejection(err error) bool {
	switch err.(type) { //nolint:errorlint // whatever may wrap goes to errors.Is
	case *RejectedError:
		return true
	case interface{ Unwrap() error }, interface{ Unwrap() []error }, interface{ Is(error) bool }:
		return errors.Is(err, ErrRejected)
	}
	return err == ErrRejected //nolint:errorlint // wraps nothing
}

// ended reports whether ctx is done. It looks at Done, not at Err: contexts
// built on a clock.Mock set their error without synchronisation, so before Done
// is closed reading it is a data race.
func ended(ctx context.Context) bool {
	done := ctx.Done()
	return done != nil && isClosed(done)
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// byDeadline reports whether ctx, which is done, ended by a deadline. Both are
// asked because either may hide it: a cause given to WithTimeoutCause takes the
// place of DeadlineExceeded in Cause, and contexts built on a fake clock have
// it in Cause only.
func byDeadline(ctx context.Context) bool {
	return errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(context.Cause(ctx), context.DeadlineExceeded)
}

// hopeless reports whether a call that had less than MinBudget failed by its
// caller's own deadline. That is over when the system clock says so: err may be
// that of another timer, and the context's own is a moment late.
func (c *call) hopeless(err error) bool {
	if !c.hurried || err == nil {
		return false
	}
	if ended(c.ctx) {
		return byDeadline(c.ctx) && (isTimeout(err) || errors.Is(err, context.Cause(c.ctx)))
	}
	deadline, _ := c.ctx.Deadline()
	return untilDeadline(deadline) <= 0 && isTimeout(err)
}

// isTimeout reports whether err is one of those that say so: not every client
// hands on the error of the context, but a net.Conn, for one, was given its
// deadline.
func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

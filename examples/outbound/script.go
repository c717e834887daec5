package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// A script is what happens to the server, and with what clients.
type script struct {
	phases   []phase
	every    time.Duration  // both clients begin a call this often
	limit    time.Duration  // after which they give a call up
	patience time.Duration  // how long a healthy phase waits for the breaker to close
	breaker  breaker.Config // of the protected client
	maxShare float64        // of the load on the sick server that the breaker may let through
}

// A phase is a stretch of the script. The next one begins when the last call
// of this one has ended, so every call has met one fault.
type phase struct {
	name  string
	says  string // what the server does
	fault fault
	calls int     // that each client makes; in a healthy phase, once the breaker is closed
	opens opening // zero: a healthy phase
}

func (p phase) sick() bool { return p.opens != opening{} }

// An opening is how a sick phase has to open the breaker.
type opening struct {
	reason breaker.Reason
	cause  cause
}

func (o opening) String() string { return fmt.Sprintf("%v by %v", o.reason, o.cause) }

// A cause is a kind of error.
type cause int

const (
	causeSlow      cause = iota // a call that succeeded, too late
	causeStatus                 // an answer with a status of 500 or above
	causeTransport              // no answer
	causeTimeout                // the client gave up
)

var causeNames = [...]string{"a slow success", "a status", "a transport error", "a timeout"}

func (c cause) String() string { return causeNames[c] }

// causeOf tells the kind of the error that opened a breaker for a reason.
func causeOf(reason breaker.Reason, err error) cause {
	var status *breakerhttp.StatusError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &status):
		return causeStatus
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return causeTimeout
	case reason == breaker.ReasonSlowCalls:
		return causeSlow
	}
	return causeTransport
}

const (
	slow       = 250 * time.Millisecond // the answers of the slow phase
	tooSlow    = 150 * time.Millisecond // the breaker's threshold
	retryAfter = time.Second            // the header knows no less
)

// fullScript has each of the faults in turn, with good health before and after.
func fullScript() script {
	healthy := phase{name: "healthy", says: "the server answers at once", calls: 12}
	return script{
		every:    25 * time.Millisecond,
		limit:    400 * time.Millisecond,
		patience: 15 * time.Second,
		maxShare: 0.5,
		breaker: breaker.Config{
			Trip: breaker.Any(
				breaker.ConsecutiveFailures(4),
				breaker.SlowRate(tooSlow, 0.5, 5, breaker.LastN(10)),
			),
			OpenFor:    300 * time.Millisecond,
			Backoff:    2,
			MaxOpenFor: 600 * time.Millisecond,
			// ProbeLease is OpenFor, so a probe that hangs is found out before
			// its client gives up.
			// Each fault has a story of its own. By default the breaker would
			// remember the one before, since it was not closed for long.
			StableAfter: -1,
			CloseAfter:  2,
		},
		phases: []phase{
			healthy,
			{
				name: "slow", says: "every answer takes " + slow.String(), calls: 50,
				fault: fault{delay: slow},
				opens: opening{breaker.ReasonSlowCalls, causeSlow},
			},
			healthy,
			{
				name: "errors", says: "every answer is a 500", calls: 30,
				fault: fault{status: http.StatusInternalServerError},
				opens: opening{breaker.ReasonFailures, causeStatus},
			},
			healthy,
			{
				name: "overload", says: "every answer is a 503 with Retry-After: 1", calls: 30,
				fault: fault{status: http.StatusServiceUnavailable, retryAfter: retryAfter},
				opens: opening{breaker.ReasonTrip, causeStatus},
			},
			healthy,
			{
				name: "resets", says: "every connection is reset", calls: 30,
				fault: fault{reset: true},
				opens: opening{breaker.ReasonFailures, causeTransport},
			},
			healthy,
			{
				name: "hanging", says: "every body stops half-way", calls: 60,
				fault: fault{hang: true},
				opens: opening{breaker.ReasonFailures, causeTimeout},
			},
			healthy,
		},
	}
}

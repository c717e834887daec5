package breakerhttp

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// A StatusError is the Cause of an opening that a status brought about.
type StatusError struct {
	Code int
}

// Error names the status.
func (e *StatusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("breakerhttp: status %d %s", e.Code, http.StatusText(e.Code)))
}

// The Cause of openings that no error explains.
var (
	errAborted = errors.New("breakerhttp: the round trip panicked or exited its goroutine")
	errServing = errors.New("breakerhttp: the handler panicked or exited its goroutine")
)

// Misuse: told to the caller, counted nowhere.
var (
	errNilBreaker    = errors.New("breakerhttp: nil *breaker.Breaker")
	errNilHandler    = errors.New("breakerhttp: nil http.Handler")
	errNilRequest    = errors.New("breakerhttp: nil *http.Request")
	errNilURL        = errors.New("breakerhttp: nil Request.URL")
	errZeroTransport = errors.New("breakerhttp: zero Transport, use NewTransport")
)

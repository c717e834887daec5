package durable

import (
	"errors"
	"fmt"
	"strings"
)

// The sentinels are what callers decide on.
var (
	// ErrConflict tells that a run is not, or no more, as the call needs it: the ID
	// is taken by another one, somebody else has changed it, or its status does not
	// allow the verb.
	ErrConflict = errors.New("durable: conflict")

	// ErrNotFound tells that there is no such run, or no such step.
	ErrNotFound = errors.New("durable: not found")

	// ErrFenced is the cause with which the contexts of steps end when the engine
	// has lost the lease of their run.
	ErrFenced = errors.New("durable: lease lost")

	// ErrClosed tells that the engine is closed.
	ErrClosed = errors.New("durable: closed")
)

// Misuse that has no field to name.
var (
	errNilContext = errors.New("durable: nil context")
	errNilMemory  = errors.New("durable: nil MemoryStore")
	errNilStore   = errors.New("durable: Open: nil Store")
	errZeroEngine = errors.New("durable: nil or zero Engine, use Open")
	errZeroRun    = errors.New("durable: nil or zero Run, use Start or Find")
	errZeroSaga   = errors.New("durable: nil or zero Saga, use saga.New")
)

// A toldError is an error together with what it is about. Its text has the name of the
// package once.
type toldError struct {
	text string
	err  error
}

// about is err, told with what it is about.
func about(err error, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return &toldError{"durable: " + text + ": " + strings.TrimPrefix(err.Error(), "durable: "), err}
}

// ofRun names the run of which a store says that it is not there, or not so. Whatever else
// it says it has named itself.
func ofRun(id string, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
		return about(err, "run %q", id)
	}
	return err
}

func (e *toldError) Error() string { return e.text }

func (e *toldError) Unwrap() error { return e.err }

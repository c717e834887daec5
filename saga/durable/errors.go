package durable

import "errors"

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

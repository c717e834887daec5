package saga

import (
	"context"
	"time"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// A Saga is the immutable definition of an operation in steps on a state of type
// S. It may run any number of times at once, each run on a state of its own. Make
// it with [New] or [MustNew], as a package-level variable.
type Saga[S any] struct {
	p *program
	handle
}

// A handle has a method by which package durable gets at the program. Nobody else
// has a use for it, so it is on no page of documentation.
type handle = core.Handle[*RunConfig, *Error]

// A Spec is a saga with everything one can say about it.
type Spec[S any] struct {
	// Name is required: 1 to 128 bytes of printable UTF-8 without "/".
	Name string

	// Steps is required. It is copied.
	Steps []Step[S]

	// Timeout is how long the run may take from its start until the pivot is
	// applied, or all steps are; then it goes back. Zero and negative: no limit.
	Timeout time.Duration

	// Clone copies the state for children of Parallel. Nil: assignment, which is
	// refused if copies would share memory: with pointers, slices, maps,
	// channels, functions and interfaces in S.
	Clone func(s *S) S

	// Classify is for steps without their own.
	Classify func(err error) error

	// Codec encodes the state for the engine. Nil: encoding/json.
	Codec Codec

	// Retired are steps that the saga no longer has, for runs that went through
	// them. Of their fields Name, Was, Undo, UndoRetry, UndoTimeout and Classify
	// are used.
	Retired []Step[S]

	// KeepUndoing makes the engine go on with earlier compensations when one has
	// failed for good, and only then be stuck. In memory it is always so.
	KeepUndoing bool

	// MaxRunning is how many runs of this saga one engine executes at once. Zero
	// and negative: as many as the engine executes at all.
	MaxRunning int
}

// New makes a saga. Its error joins all problems of the definition; each names the
// step, the field and what it is. It starts nothing.
func New[S any](name string, steps []Step[S]) (*Saga[S], error) {
	return NewWith(Spec[S]{Name: name, Steps: steps})
}

// MustNew is [New] for package-level variables: it panics with its error.
func MustNew[S any](name string, steps []Step[S]) *Saga[S] {
	return MustNewWith(Spec[S]{Name: name, Steps: steps})
}

// NewWith is [New] with everything one can say about a saga.
func NewWith[S any](spec Spec[S]) (*Saga[S], error) {
	p, err := compile(spec)
	if err != nil {
		return nil, err
	}
	return &Saga[S]{p, handle{P: p}}, nil
}

// MustNewWith is [NewWith] for package-level variables: it panics with its error.
func MustNewWith[S any](spec Spec[S]) *Saga[S] {
	s, err := NewWith(spec)
	if err != nil {
		panic(err)
	}
	return s
}

// Run executes the saga in memory, on this goroutine, and returns nil if all its
// steps are done. Otherwise the error is an [*Error], and what was done is undone;
// if that did not work out, or if nobody knows whether the pivot took effect, it is
// ErrStuck. If ctx has ended before anything was done, it is its cause.
//
// When ctx ends before the pivot is applied the run goes back; compensations are
// not cancelled by it. A panic of a step is a failure, and Run panics with the
// *Error after all compensation. Run waits for every function it has called.
func (s *Saga[S]) Run(ctx context.Context, state *S) error {
	if err := s.misused(ctx, state); err != nil {
		return err
	}
	return s.p.run(ctx, &s.p.usual, state)
}

// RunWith is [Saga.Run] with a config.
func (s *Saga[S]) RunWith(ctx context.Context, cfg RunConfig, state *S) error {
	if err := s.misused(ctx, state); err != nil {
		return err
	}
	if err := cfg.validate(); err != nil {
		return err
	}
	return s.p.run(ctx, &cfg, state)
}

func (s *Saga[S]) misused(ctx context.Context, state *S) error {
	switch {
	case ctx == nil:
		return errNilContext
	case s == nil || s.p == nil:
		return errZeroSaga
	case state == nil:
		return errNilState
	}
	return nil
}

// Name is the name of the saga; "" for a nil one.
func (s *Saga[S]) Name() string {
	if s == nil || s.p == nil {
		return ""
	}
	return s.p.name
}

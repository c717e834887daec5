package saga

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
)

// ErrStuck tells that a run has come to where only an operator can decide: it is
// neither done nor undone. It comes inside an [*Error], which says why.
var ErrStuck = errors.New("saga: stuck")

// An Error is how a run ended that is not completed.
//
// It Is what its Err is, and ErrStuck if Status is Stuck. Failed compensations
// are listed in Undo and are not part of the chain, so that errors.Is tells why
// the saga failed and never how its cleaning up went.
type Error struct {
	Saga    string
	Run     string  // its ID; "" if RunConfig has none and nobody has asked for it in a step or a hook
	Step    string  // the path of the step that failed; "" if the run as a whole was cancelled, out of time or aborted
	Status  Status  // Compensated, Stuck or Abandoned
	Reason  Reason  // why it is stuck
	Outcome Outcome // of the step, as far as it is known
	Err     error   // what ended the forward part; no error of a compensation takes its place

	// Undo are the compensations that failed or were not tried, in the order in
	// which they were due.
	Undo []UndoFailure
}

// An UndoFailure is a compensation that did not succeed.
type UndoFailure struct {
	Step     string  // its path
	Outcome  Outcome // of the action that was to be undone: Applied or Unknown
	Attempts int     // 0: it was not tried
	Err      error   // of the last attempt, or why there was none
}

// Error names the run, the step and the reason, and every compensation that
// failed. It never holds state or keys.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "saga: %s", e.Saga)
	if e.Run != "" {
		fmt.Fprintf(&b, "/%s", e.Run)
	}
	b.WriteString(": ")
	if e.Step != "" {
		fmt.Fprintf(&b, "%s: ", e.Step)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, "%v ", e.Err)
	}
	fmt.Fprintf(&b, "(%s", e.Status)
	if e.Reason != ReasonNone {
		fmt.Fprintf(&b, ", %s", e.Reason)
	}
	b.WriteString(")")
	for _, u := range e.Undo {
		fmt.Fprintf(&b, "; undo %s: ", u.Step)
		if u.Attempts == 0 {
			b.WriteString("not tried: ")
		}
		fmt.Fprintf(&b, "%v", u.Err)
	}
	return b.String()
}

// Is reports whether target is ErrStuck and the run is stuck.
func (e *Error) Is(target error) bool { return target == ErrStuck && e.Status == Stuck }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// A PanicError is a panic, or a call of runtime.Goexit, of a function of the
// saga.
type PanicError struct {
	Value  any    // what it panicked with; nil with Goexit
	Stack  []byte // of the goroutine; nil with Goexit
	Goexit bool   // it ended its goroutine instead
}

// Error tells the value that the function panicked with.
func (e *PanicError) Error() string {
	if e.Goexit {
		return "saga: runtime.Goexit was called"
	}
	return fmt.Sprintf("saga: panic: %v", e.Value)
}

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// holdsPanic reports whether a PanicError is in the tree of an error. By hand, because
// errors.As allocates, and nearly no failure is one.
func holdsPanic(err error) bool {
	switch e := err.(type) { //nolint:errorlint // this is what unwraps
	case *PanicError:
		return true
	case interface{ Unwrap() error }:
		return holdsPanic(e.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(e.Unwrap(), holdsPanic)
	}
	return false
}

// unwound is how a function ended that did not return, by what recover says of it.
func unwound(recovered any) *PanicError {
	if recovered == nil {
		return &PanicError{Goexit: true}
	}
	return &PanicError{Value: recovered, Stack: debug.Stack()}
}

// safely runs a function of the user's and tells how it ended: ended is called
// with nil if it returned. After a Goexit the goroutine ends all the same once its
// deferred functions have run, so what has to follow it belongs into ended.
func safely(fn func(), ended func(*PanicError)) {
	returned := false
	defer func() {
		if returned {
			ended(nil)
			return
		}
		ended(unwound(recover()))
	}()
	fn()
	returned = true
}

// problems collects what is wrong with a definition or a config.
type problems []error

// check notes a problem of a field unless ok.
func (p *problems) check(ok bool, field string, value any, want string) {
	if !ok {
		*p = append(*p, fmt.Errorf("%s is %s, want %s", field, shown(value), want))
	}
}

// invalid is the error for all of them, after what was called.
func (p problems) invalid(what string) error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("saga: %s: %w", what, errors.Join(p...))
}

// words describe a value that has no text of its own.
type words string

func shown(value any) string {
	if s, ok := value.(string); ok {
		return quoted(s)
	}
	return fmt.Sprint(value)
}

// quoted is a string of any length and content, fit for a message.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// Misuse that has no field to name.
var (
	errNilContext = errors.New("saga: nil context")
	errNilState   = errors.New("saga: nil state")
	errZeroSaga   = errors.New("saga: nil or zero Saga, use New")
)

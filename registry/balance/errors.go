package balance

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoInstances tells that no instance could be picked: there is none, none is
// usable, all were excluded, or the gates of all refused. It comes inside an
// [*Error].
var ErrNoInstances = errors.New("balance: no instance available")

// An Error says what could not be picked. It is shared between callers, so it
// must not be changed.
type Error struct {
	Service string
	Kind    error // a sentinel: ErrNoInstances or registry.ErrClosed
	Err     error // the last refusal of a gate, or nil
}

// Error names the service and the reason.
func (e *Error) Error() string {
	kind := e.Kind.Error()
	if _, text, ok := strings.Cut(kind, ": "); ok {
		kind = text
	}
	text := fmt.Sprintf("balance: pick %q: %s", e.Service, kind)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is reports whether target is Kind.
func (e *Error) Is(target error) bool { return e.Kind == target }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Misuse that has no field to name.
var (
	errNilContext  = errors.New("balance: nil context")
	errNilFunc     = errors.New("balance: nil function")
	errNilBalancer = errors.New("balance: nil or zero Balancer, use New")
	errNilService  = errors.New("balance: New: nil or zero *registry.Service, use Registry.Service")
	errNoFailure   = errors.New("balance: Attempts.Next(nil) after the first attempt")
)

// problems collects what is wrong with a config.
type problems []error

func (p *problems) check(ok bool, field string, value any, want string) {
	if !ok {
		*p = append(*p, fmt.Errorf("%s is %v, want %s", field, value, want))
	}
}

func (p problems) invalid(what string) error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("balance: %s: %w", what, errors.Join(p...))
}

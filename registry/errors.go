package registry

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
)

// The sentinels are what callers decide on. They come inside an [*Error], which
// says where.
var (
	// ErrNotFound tells that no such instance is registered.
	ErrNotFound = errors.New("registry: no such instance")

	// ErrExists tells that somebody else has the ID, or the name of the feed.
	ErrExists = errors.New("registry: already registered")

	// ErrLeaseLost tells an owner that it is none any more: its lease expired,
	// somebody registered the same ID, or the instance was taken out by hand.
	ErrLeaseLost = errors.New("registry: lease lost")

	// ErrClosed tells that the registry is closed.
	ErrClosed = errors.New("registry: closed")
)

// An Op is what was attempted.
type Op string

// The operations. [Config].Authorize is asked about OpRegister, OpDeregister,
// OpDrain, OpSetHealth and OpImport. OpWatch is Wait, too, and OpFeed is Sync.
const (
	OpRegister   Op = "register"
	OpRenew      Op = "renew"
	OpUpdate     Op = "update"
	OpDeregister Op = "deregister"
	OpDrain      Op = "drain"
	OpSetHealth  Op = "set health"
	OpWatch      Op = "watch"
	OpImport     Op = "import"
	OpFeed       Op = "feed"
)

// An Error says what was refused and where. It may be shared between callers, so
// it must not be changed.
type Error struct {
	Op      Op
	Service string // "" if it is about no service
	ID      string // "" if it is about no instance
	Field   string // the field or limit that refused, for example "Addr" or "Limits.Services"; else ""
	Kind    error  // a sentinel, or nil
	Err     error  // the cause, or nil
}

// Error names the operation, the service, the instance and the reason.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("registry: ")
	b.WriteString(string(e.Op))
	if e.Service != "" {
		b.WriteString(" " + quoted(e.Service))
	}
	if e.ID != "" {
		b.WriteString(" " + quoted(e.ID))
	}
	if e.Kind != nil {
		b.WriteString(": " + strings.TrimPrefix(e.Kind.Error(), "registry: "))
	}
	if e.Err != nil {
		b.WriteString(": " + strings.TrimPrefix(e.Err.Error(), "registry: "))
	}
	return b.String()
}

// Is reports whether target is Kind.
func (e *Error) Is(target error) bool { return e.Kind != nil && e.Kind == target }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// A PanicError is a panic, or a call of runtime.Goexit, of a function that was
// handed to the registry.
type PanicError struct {
	Value  any    // what it panicked with; nil with Goexit
	Stack  []byte // of the goroutine; nil with Goexit
	Goexit bool   // it ended its goroutine instead
}

// Error tells the value that the function panicked with.
func (e *PanicError) Error() string {
	if e.Goexit {
		return "registry: runtime.Goexit was called"
	}
	return fmt.Sprintf("registry: panic: %v", e.Value)
}

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// safely runs a function of the user's, and tells how it ended if it did not
// return. After a Goexit the goroutine ends all the same once its deferred
// functions have run, so what has to follow it belongs into ended.
func safely(fn func(), ended func(*PanicError)) {
	returned := false
	defer func() {
		if returned {
			ended(nil)
			return
		}
		if v := recover(); v != nil {
			ended(&PanicError{Value: v, Stack: debug.Stack()})
			return
		}
		ended(&PanicError{Goexit: true})
	}()
	fn()
	returned = true
}

// problems collects what is wrong with a config or an instance.
type problems []error

func (p *problems) check(ok bool, field string, value any, want string) {
	if !ok {
		*p = append(*p, &fieldError{field, value, want})
	}
}

// text is check for what is checked with every registration: a text that is fine
// is not made an any of, which would allocate.
func (p *problems) text(ok bool, field, value, want string) {
	if !ok {
		p.check(false, field, value, want)
	}
}

// invalid is the error for a bad call: all its problems, after what was called.
func (p problems) invalid(what string) error {
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("registry: %s: %w", what, errors.Join(p...))
}

// of is the error for a bad instance: an [*Error] for each of its fields.
func (p problems) of(op Op, service, id string) error {
	if len(p) == 0 {
		return nil
	}
	all := make([]error, len(p))
	for i, err := range p {
		e := &Error{Op: op, Service: service, ID: id, Err: err}
		var f *fieldError
		if errors.As(err, &f) {
			e.Field = f.field
		}
		all[i] = e
	}
	return errors.Join(all...)
}

// A fieldError says what is wrong with one field.
type fieldError struct {
	field string
	value any
	want  string
}

func (e *fieldError) Error() string {
	value := fmt.Sprint(e.value)
	if s, ok := e.value.(string); ok {
		value = quoted(s)
	}
	return e.field + " is " + value + ", want " + e.want
}

// words describe a value that has no text of its own.
type words string

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
	errNilContext   = errors.New("registry: nil context")
	errNilSource    = errors.New("registry: nil Source")
	errNilBackend   = errors.New("registry: nil Backend")
	errNilReader    = errors.New("registry: nil Reader")
	errNilWriter    = errors.New("registry: nil Writer")
	errZeroRegistry = errors.New("registry: nil or zero Registry, use New")
	errZeroLease    = errors.New("registry: nil or zero Lease, use Registry.Register")
	errZeroService  = errors.New("registry: nil or zero Service, use Registry.Service")
	errNoInstance   = errors.New("registry: no instance given")
)

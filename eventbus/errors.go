package eventbus

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
)

// The sentinels are what callers decide on. Most come inside an [*Error], which
// says where.
var (
	// ErrClosed tells that the bus is closed, or that the subscription has come
	// to its orderly end.
	ErrClosed = errors.New("eventbus: closed")

	// ErrFull tells that a subscription has no room, and that nobody got the
	// event. As the reason of a subscription's end: it was disconnected.
	ErrFull = errors.New("eventbus: queue full")

	// ErrNoSubscriber tells that nobody is there to take an event or to answer
	// a request.
	ErrNoSubscriber = errors.New("eventbus: no subscriber")

	// ErrTopicType tells that a topic, an answer or what an interceptor passed
	// on has another Go type.
	ErrTopicType = errors.New("eventbus: another type")

	// ErrWouldDeadlock tells that waiting would never end, because what is
	// waited for waits for the caller.
	ErrWouldDeadlock = errors.New("eventbus: would deadlock")
)

// An Error says where something went wrong. It is shared between callers, so it
// must not be changed.
type Error struct {
	Topic        string   // "" if it is about no topic
	Subscription string   // "" if it is about no subscription
	Seq          int64    // of the event; 0 if it has none
	Attempts     int      // calls of the handler; 0 if it is not about those
	Cycle        []string // with ErrWouldDeadlock: the topics, from the one published to
	Err          error    // a sentinel, a cause, or what the handler returned
}

// Error names the topic, the subscription, the event and the reason.
func (e *Error) Error() string {
	var b strings.Builder
	reason := "eventbus"
	if e.Err != nil {
		reason = e.Err.Error()
	}
	if !strings.HasPrefix(reason, "eventbus") {
		b.WriteString("eventbus: ")
	}
	b.WriteString(reason)
	sep := ": "
	add := func(format string, v any) {
		fmt.Fprintf(&b, sep+format, v)
		sep = ", "
	}
	if e.Topic != "" {
		add("topic %q", e.Topic)
	}
	if e.Subscription != "" {
		add("subscription %q", e.Subscription)
	}
	if e.Seq != 0 {
		add("event %d", e.Seq)
	}
	if e.Attempts > 1 {
		add("%d attempts", e.Attempts)
	}
	if len(e.Cycle) > 0 {
		add("cycle %s", strings.Join(e.Cycle, " -> "))
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// A DrainError tells what a Drain or Close had to leave when its context ended.
type DrainError struct {
	// Left are the subscriptions that lost events to it (Discarded) or whose
	// handlers still ran (Running).
	Left []SubscriptionStats

	Err error // the cause of the context; with it, how many bridges are open
}

// Error sums up what was left, and names the first few subscriptions.
func (e *DrainError) Error() string {
	var discarded uint64
	running := 0
	for _, s := range e.Left {
		discarded += s.Discarded
		running += s.Running
	}
	var b strings.Builder
	fmt.Fprintf(&b, "eventbus: not drained: %d events discarded, %d being handled", discarded, running)
	const names = 3
	for i, s := range e.Left {
		if i == names {
			fmt.Fprintf(&b, " and %d more", len(e.Left)-names)
			break
		}
		sep := ", "
		if i == 0 {
			sep = " in "
		}
		fmt.Fprintf(&b, "%s%q", sep, s.Name)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns Err.
func (e *DrainError) Unwrap() error { return e.Err }

// A PanicError is a panic, or a call of runtime.Goexit, of a function that was
// handed to the bus.
type PanicError struct {
	Value  any    // what it panicked with; nil with Goexit
	Stack  []byte // of the goroutine; nil with Goexit
	Goexit bool   // it ended its goroutine instead
}

// Error tells the value that the function panicked with.
func (e *PanicError) Error() string {
	if e.Goexit {
		return "eventbus: runtime.Goexit was called"
	}
	return fmt.Sprintf("eventbus: panic: %v", e.Value)
}

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// newPanic is to be called by the deferred function that recovered.
func newPanic(v any) *PanicError { return &PanicError{Value: v, Stack: debug.Stack()} }

// safely runs a function of the user's and turns its panic into an error. A
// Goexit goes on.
func safely(fn func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = newPanic(v)
		}
	}()
	fn()
	return nil
}

// problem is how a bad field of a config is told.
func problem(field string, value any, want string) error {
	return fmt.Errorf("%s is %s, want %s", field, fmtAny(value), want)
}

// quoted is a string of any length and content, fit for a message.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// words describe a value that has no text of its own.
type words string

// fmtAny is a value in a message.
func fmtAny(v any) string {
	if s, ok := v.(string); ok {
		return quoted(s)
	}
	return fmt.Sprint(v)
}

// typeClash says that a name stands for another type.
func typeClash(has, want reflect.Type) error {
	return fmt.Errorf("%w: it is of %v, not of %v", ErrTopicType, has, want)
}

// invalid is the error for a bad call: all its problems, after what was called.
func invalid(what string, problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("eventbus: %s: %w", what, errors.Join(problems...))
}

// Misuse that has no field to name.
var (
	errNilBus     = errors.New("eventbus: nil *Bus")
	errZeroBus    = errors.New("eventbus: zero Bus, use New")
	errNilTopic   = errors.New("eventbus: nil *Topic")
	errZeroTopic  = errors.New("eventbus: zero Topic, use NewTopic")
	errZeroQueue  = errors.New("eventbus: zero Queue, use Topic.Queue")
	errNilContext = errors.New("eventbus: nil context")
	errNilFunc    = errors.New("eventbus: nil function")
	errNilBridge  = errors.New("eventbus: nil Bridge")
	errNoAnswer   = errors.New("eventbus: no answer, because of an interceptor")
)

package eventbus

import (
	"context"
	"fmt"
	"reflect"
	"time"
)

// A caller is how the handler of a subscription is called. Immutable.
type caller[T any] struct {
	// One of these is the user's.
	data  func(context.Context, T) error
	event func(context.Context, Event[T]) error

	wrapped Handler // with the interceptors around it; nil without any

	sub   *Subscription
	retry Retry
	dead  *Topic[Failure]

	timeout time.Duration
	plain   bool // an attempt is nothing but the call
	clocked bool // attempts are timed, for a hook
	bare    bool // nothing but the data and the context is looked at
}

func newCaller[T any](s *Subscription, retry Retry, timeout time.Duration, dead *Topic[Failure],
	data func(context.Context, T) error, event func(context.Context, Event[T]) error,
) (*caller[T], error) {
	b := s.bus
	c := &caller[T]{
		data: data, event: event, sub: s, retry: retry, timeout: timeout, dead: dead,
		clocked: b.hooks.Handled != nil,
	}
	if len(b.aroundHandle) > 0 {
		var err error
		if c.wrapped, err = chain("AroundHandle", b.aroundHandle, c.innermost); err != nil {
			return nil, err
		}
	}
	c.plain = c.timeout == 0 && c.wrapped == nil && !c.clocked
	c.bare = c.plain && data != nil && c.dead == nil && b.hooks.Failed == nil
	return c, nil
}

// chain puts interceptors around a handler, the first one outermost. They are
// the user's, so anything may happen.
func chain(field string, around []Interceptor, h Handler) (Handler, error) {
	for i := len(around) - 1; i >= 0; i-- {
		inner := h
		err := safely(func() { h = around[i](inner) })
		if err == nil && h == nil {
			err = fmt.Errorf("eventbus: %s[%d] returned a nil Handler", field, i)
		}
		if err != nil {
			return nil, err
		}
	}
	return h, nil
}

// attempt calls the handler once, and turns its panic into an error.
func (c *caller[T]) attempt(ctx context.Context, e *Event[T]) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = newPanic(v)
		}
	}()
	if c.timeout > 0 {
		timed, cancel := c.sub.bus.time.withTimeout(ctx, c.timeout)
		defer cancel()
		ctx = &timedCtx{timed, publishers(ctx)}
	}
	if c.wrapped != nil {
		return c.wrapped(ctx, e.erased())
	}
	return c.direct(ctx, *e)
}

func (c *caller[T]) direct(ctx context.Context, e Event[T]) error {
	if c.data != nil {
		return c.data(ctx, e.Data)
	}
	return c.event(ctx, e)
}

// innermost is what the last interceptor calls.
func (c *caller[T]) innermost(ctx context.Context, e Event[any]) error {
	if ctx == nil {
		return errNilContext
	}
	typed, err := assertEvent[T](e)
	if err != nil {
		return err
	}
	return c.direct(ctx, typed)
}

// assertEvent is the event with its type back, after an interceptor had it.
func assertEvent[T any](e Event[any]) (Event[T], error) {
	data, ok := e.Data.(T)
	if want := reflect.TypeFor[T](); !ok && (e.Data != nil || want.Kind() != reflect.Interface) {
		return Event[T]{}, &Error{Topic: e.Topic(), Seq: e.Seq, Err: fmt.Errorf("%w: an interceptor passed %T instead of %v", ErrTopicType, e.Data, want)}
	}
	return Event[T]{data, e.Seq, e.Lag, e.envelope}, nil
}

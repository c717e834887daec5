package eventbus

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
)

// A responder answers the requests of one type.
type responder struct {
	sub    *Subscription
	bus    *Bus
	query  reflect.Type
	answer reflect.Type
	call   func(context.Context, any) (any, error) // nil unless there are interceptors
	direct any                                     // func(context.Context, Q) (R, error)

	running, handled, failed atomic.Int64

	mu      sync.Mutex
	stopped bool
	gone    bool
}

// Respond has fn answer the requests of type Q. There is at most one responder
// for a type: another is an error. It ends with ctx, by [Subscription.Cancel], or
// with the bus. fn runs on the goroutines of those who ask, so it must be safe
// for concurrent use.
func Respond[Q, R any](ctx context.Context, b *Bus, fn func(context.Context, Q) (R, error)) (*Subscription, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	query := reflect.TypeFor[Q]()
	var p problems
	p.refuse(ctx == nil, errNilContext)
	p.refuse(fn == nil, errNilFunc)
	if err := invalid("respond to "+query.String(), p); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	name := typeName(query)
	s := newSubscription(ctx, b, "", name, Block, 0)
	s.name, s.sync = name+"/"+strconv.FormatInt(s.number, 10), true
	r := &responder{sub: s, bus: b, query: query, answer: reflect.TypeFor[R](), direct: fn}
	s.impl = r
	if len(b.aroundHandle) > 0 {
		call, err := r.intercept(func(ctx context.Context, q any) (any, error) {
			typed, ok := q.(Q)
			if !ok && (q != nil || query.Kind() != reflect.Interface) {
				return nil, &Error{Topic: name, Err: fmt.Errorf("%w: an interceptor passed %T instead of %v", ErrTopicType, q, query)}
			}
			return fn(ctx, typed)
		})
		if err != nil {
			return nil, err
		}
		r.call = call
	}
	b.mu.Lock()
	closed := b.shut != nil
	var taken bool
	if !closed {
		_, taken = b.responders.LoadOrStore(query, r)
	}
	if !closed && !taken {
		b.members.add(s)
	}
	b.mu.Unlock()
	switch {
	case closed:
		return nil, &Error{Topic: name, Err: ErrClosed}
	case taken:
		return nil, fmt.Errorf("eventbus: respond to %v: there is a responder already", query)
	}
	s.start()
	return s, nil
}

// intercept puts the interceptors around calls. They see the request as the data
// of an event without Seq; the answer passes them by, in the context. One that
// succeeds without calling next, or with a context of its own, gives no answer.
func (r *responder) intercept(fn func(context.Context, any) (any, error)) (func(context.Context, any) (any, error), error) {
	type answerKey struct{}
	type slot struct {
		answer any
		given  bool
	}
	h, err := chain("AroundHandle", r.bus.aroundHandle, func(ctx context.Context, e Event[any]) error {
		if ctx == nil {
			return errNilContext
		}
		answer, err := fn(ctx, e.Data)
		if to, ok := ctx.Value(answerKey{}).(*slot); ok {
			*to = slot{answer, true}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	info := &topicInfo{name: r.sub.where, typ: r.sub.where, bus: r.bus}
	return func(ctx context.Context, q any) (any, error) {
		var to slot
		ctx = context.WithValue(ctx, answerKey{}, &to)
		err := h(ctx, Event[any]{Data: q, envelope: envelope{origin{ctx: ctx}, info}})
		if err == nil && !to.given {
			err = &Error{Topic: r.sub.where, Subscription: r.sub.name, Err: errNoAnswer}
		}
		return to.answer, err
	}, nil
}

// Request asks the responder for type Q, on the goroutine of the caller and with
// its context, and returns what it answers. Without a responder the error
// matches ErrNoSubscriber; if it answers with another type, ErrTopicType. A
// panic of the responder is a [*PanicError].
func Request[R, Q any](ctx context.Context, b *Bus, q Q) (answer R, err error) {
	if err := b.usable(); err != nil {
		return answer, err
	}
	if ctx == nil {
		return answer, errNilContext
	}
	query := reflect.TypeFor[Q]()
	found, ok := b.responders.Load(query)
	if !ok {
		return answer, b.noResponder(query)
	}
	r := found.(*responder)
	fn, ok := r.direct.(func(context.Context, Q) (R, error))
	if !ok {
		return answer, &Error{Topic: r.sub.where, Subscription: r.sub.name, Err: typeClash(r.answer, reflect.TypeFor[R]())}
	}
	if !r.enter() {
		return answer, b.noResponder(query)
	}
	returned := false
	defer func() {
		if v := recover(); v != nil {
			err = newPanic(v)
		} else if !returned {
			err = &PanicError{Goexit: true}
		}
		r.exit(err)
	}()
	if r.call != nil {
		var got any
		got, err = r.call(ctx, q)
		answer, _ = got.(R)
	} else {
		answer, err = fn(ctx, q)
	}
	returned = true
	return answer, err
}

func (b *Bus) noResponder(query reflect.Type) error {
	b.mu.Lock()
	shut := b.shut != nil
	b.mu.Unlock()
	e := &Error{Topic: typeName(query), Err: ErrNoSubscriber}
	if shut {
		e.Err = ErrClosed
	}
	return e
}

// enter begins a call, unless the responder has ended. Counting first and
// looking then, against setting first and counting then in stop, leaves no call
// that neither sees.
func (r *responder) enter() bool {
	r.running.Add(1)
	select {
	case <-r.sub.stopping:
		r.leave()
		return false
	default:
		return true
	}
}

func (r *responder) exit(err error) {
	if err != nil {
		r.failed.Add(1)
	} else {
		r.handled.Add(1)
	}
	r.leave()
}

func (r *responder) leave() {
	if r.running.Add(-1) > 0 {
		return
	}
	select {
	case <-r.sub.stopping:
		if r.over() {
			r.sub.finish()
		}
	default:
	}
}

// over reports, once, whether it was stopped and nothing runs any more.
func (r *responder) over() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	over := r.stopped && !r.gone && r.running.Load() == 0
	r.gone = r.gone || over
	return over
}

func (r *responder) stop(err error) aftermath {
	r.mu.Lock()
	if r.stopped {
		r.mu.Unlock()
		return aftermath{}
	}
	r.stopped = true
	r.mu.Unlock()
	r.bus.responders.CompareAndDelete(r.query, r)
	r.sub.stopped(err)
	return aftermath{sub: r.sub, finish: r.over()}
}

func (r *responder) drain() aftermath { return r.stop(nil) }

func (r *responder) stats() SubscriptionStats {
	return SubscriptionStats{
		Running: int(r.running.Load()), Handled: uint64(r.handled.Load()), Failed: uint64(r.failed.Load()),
	}
}

func (r *responder) watch() <-chan struct{}  { return nil }
func (r *responder) unwatch(<-chan struct{}) {}
func (r *responder) forget()                 {}

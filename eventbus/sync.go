package eventbus

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync/atomic"
)

// A syncTopic runs handlers on the goroutines of publishers, without a lock: a
// publish takes the list of handlers that is in force, and a change makes a new
// list. Each list counts the publishes that began and ended with it, so that it
// is known when none is left in one that was retired.
type syncTopic[T any] struct {
	topic  *Topic[T]
	list   atomic.Pointer[syncList[T]]
	queued atomic.Bool // there are mailboxes too, so a publish takes the lock

	// Guarded by the lock of the topic.
	retired []*syncList[T] // with publishes still in them
	special int            // handlers that are more than a call
}

// A syncList is the handlers of a Sync topic for a while.
type syncList[T any] struct {
	calls  []func(context.Context, T) error // nil for those that are more than a call
	subs   []*syncSub[T]
	simple bool // all are just calls
	timed  bool
	closed bool
	base   int64 // Seq of the last event before the list

	started  atomic.Uint64 // publishes that began; with retiredBit they come too late
	finished atomic.Uint64
	final    uint64 // what started was when the list was retired; guarded by the topic's lock
}

const retiredBit uint64 = 1 << 63

// syncOrder is the order of handlers: by Order, then by age.
func syncOrder[T any](a, b *syncSub[T]) int {
	return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.sub.number, b.sub.number))
}

func newSyncTopic[T any](t *Topic[T]) *syncTopic[T] {
	st := &syncTopic[T]{topic: t}
	st.list.Store(new(syncList[T]))
	return st
}

// lastSeq is that of the last event that has begun.
func (st *syncTopic[T]) lastSeq() int64 {
	l := st.list.Load()
	if l.closed {
		return l.base // publishes that are refused take no number
	}
	return l.base + int64(l.started.Load()&^retiredBit)
}

// enter begins a publish: the list that is in force, and the Seq. A list may be
// retired between finding it and entering it; its successor is there soon, as
// soon as the topic's lock is released.
func (st *syncTopic[T]) enter() (*syncList[T], int64) {
	for {
		l := st.list.Load()
		if n := l.started.Add(1); n&retiredBit == 0 {
			return l, l.base + int64(n)
		}
		st.topic.mu.Lock()
		st.topic.mu.Unlock() //nolint:staticcheck // whoever retired the list holds it until there is another
	}
}

// next is enter for those who hold the topic's lock, so that nobody retires.
func (st *syncTopic[T]) next() (*syncList[T], int64) { return st.enter() }

// exit ends a publish.
func (st *syncTopic[T]) exit(l *syncList[T]) {
	// Either this sees that the list was retired, or whoever retires it sees
	// this publish finished.
	l.finished.Add(1)
	if l.started.Load()&retiredBit != 0 {
		st.settle(l)
	}
}

// publish publishes without a lock if it can, and reports whether it did. n is how
// many events were accepted.
func (st *syncTopic[T]) publish(ctx context.Context, data T) (done bool, n int, err error) {
	l := st.list.Load()
	if l.closed || len(l.calls) == 0 || st.queued.Load() {
		return false, 0, nil
	}
	var at stamp
	if l.timed {
		at = st.topic.bus.time.stamp()
	}
	l, seq := st.enter()
	if l.closed {
		st.exit(l)
		return true, 0, &Error{Topic: st.topic.info.name, Err: ErrClosed}
	}
	if l.timed && at == 0 { // the list has changed since
		at = st.topic.bus.time.stamp()
	}
	if l.simple {
		return true, 1, st.runSimple(l, seq, ctx, data)
	}
	return true, 1, st.run(l, st.event(seq, origin{ctx: ctx, at: at}, data))
}

func (st *syncTopic[T]) event(seq int64, o origin, data T) Event[T] {
	return Event[T]{Data: data, Seq: seq, envelope: envelope{o, st.topic.info}}
}

// runSimple calls handlers that are nothing but calls, and leaves the rest to a
// round as soon as there is anything else to do.
func (st *syncTopic[T]) runSimple(l *syncList[T], seq int64, ctx context.Context, data T) (err error) {
	i := 0
	returned := false
	defer func() {
		if !returned {
			err = st.rest(l, st.event(seq, origin{ctx: ctx}, data), i, recover(), nil)
		}
	}()
	for ; i < len(l.calls); i++ {
		var failure error
		if st.list.Load() == l {
			failure = l.calls[i](ctx, data)
		} else {
			failure = errRetired
		}
		if failure != nil {
			returned = true
			return st.rest(l, st.event(seq, origin{ctx: ctx}, data), i, nil, failure)
		}
	}
	returned = true
	st.exit(l)
	return nil
}

// errRetired has the i-th handler not called yet.
var errRetired = errors.New("eventbus: the handlers have changed")

// rest goes on after the i-th handler, which panicked with v, returned err, or
// ended its goroutine.
func (st *syncTopic[T]) rest(l *syncList[T], e Event[T], i int, v any, err error) error {
	r := round[T]{topic: st, list: l, event: e, i: i}
	switch {
	case v != nil:
		r.failed(l.subs[i], newPanic(v))
		r.i++
	case err == nil:
		r.failed(l.subs[i], &PanicError{Goexit: true})
		r.i++
	case err != errRetired: //nolint:errorlint // that very value
		r.failed(l.subs[i], err)
		r.i++
	}
	r.run()
	return errors.Join(r.errs...)
}

// run calls the handlers of a list that was entered, and leaves it.
func (st *syncTopic[T]) run(l *syncList[T], e Event[T]) error {
	r := round[T]{topic: st, list: l, event: e}
	r.run()
	return errors.Join(r.errs...)
}

// A round is one event's way through the handlers.
type round[T any] struct {
	topic *syncTopic[T]
	list  *syncList[T]
	event Event[T]
	i     int      // the handler being called
	trial trial[T] // of a handler that is more than a call
	errs  []error
}

func (r *round[T]) run() {
	for r.i < len(r.list.calls) {
		r.calls()
	}
	r.topic.exit(r.list)
}

// calls goes on with the handlers until one panics, under one recover for all.
func (r *round[T]) calls() {
	returned := false
	defer func() {
		if returned {
			return
		}
		sub, plain := r.list.subs[r.i], r.list.calls[r.i] != nil
		r.i++
		if v := recover(); v != nil {
			r.failed(sub, newPanic(v))
			return
		}
		// runtime.Goexit: the others are called before the goroutine ends.
		var err error = &PanicError{Goexit: true}
		if !plain && r.trial.stage == told { // it was a hook
			err = sub.outcome(&r.event, &r.trial)
		}
		if err != nil {
			r.failed(sub, err)
		}
		r.run()
	}()
	l := r.list
	for r.i < len(l.calls) {
		if r.topic.list.Load() != l && l.subs[r.i].stopped.Load() {
			if s := l.subs[r.i]; !s.once {
				s.discarded.Add(1)
			}
			r.i++
			continue
		}
		var err error
		if call := l.calls[r.i]; call != nil {
			err = call(r.event.ctx, r.event.Data)
		} else {
			r.trial = trial[T]{}
			err = l.subs[r.i].handle(&r.event, &r.trial)
		}
		if err != nil {
			r.failed(l.subs[r.i], err)
		}
		r.i++
	}
	returned = true
}

// failed notes the error of a handler.
func (r *round[T]) failed(s *syncSub[T], err error) {
	var told *Error
	if !errors.As(err, &told) || told.Subscription != s.sub.name || told.Topic != r.event.topic.name || told.Seq != r.event.Seq {
		told = &Error{Topic: r.event.topic.name, Subscription: s.sub.name, Seq: r.event.Seq, Attempts: 1, Err: err}
	}
	s.failed.Add(1)
	r.errs = append(r.errs, told)
}

// with is a list with s added: the one in force must not change.
func (l *syncList[T]) with(s *syncSub[T]) *syncList[T] {
	i, _ := slices.BinarySearchFunc(l.subs, s, syncOrder)
	return &syncList[T]{subs: inserted(l.subs, i, s), calls: inserted(l.calls, i, s.plain)}
}

// without is a list with s removed.
func (l *syncList[T]) without(s *syncSub[T]) *syncList[T] {
	i, found := slices.BinarySearchFunc(l.subs, s, syncOrder)
	if !found {
		return l.copied()
	}
	return &syncList[T]{subs: removed(l.subs, i), calls: removed(l.calls, i)}
}

// copied is a list with the same handlers.
func (l *syncList[T]) copied() *syncList[T] { return &syncList[T]{subs: l.subs, calls: l.calls} }

// inserted is s with e. At the end it may be written behind what s shows: nobody
// looks there, and only the list in force is ever added to.
func inserted[E any](s []E, i int, e E) []E {
	if i == len(s) {
		return append(s, e)
	}
	to := make([]E, len(s)+1)
	copy(to, s[:i])
	to[i] = e
	copy(to[i+1:], s[i:])
	return to
}

// removed is a copy without one, and with room for the next.
func removed[E any](s []E, i int) []E {
	to := make([]E, len(s)-1, len(s)+len(s)/8)
	copy(to, s[:i])
	copy(to[i:], s[i+1:])
	return to
}

// change puts another list in force. The topic's lock is held.
func (st *syncTopic[T]) change(l *syncList[T], end bool) *syncList[T] {
	old := st.list.Load()
	l.closed = old.closed || end
	l.timed = st.topic.timed
	l.simple = st.special == 0
	old.final = old.started.Or(retiredBit)
	l.base = old.base
	if !old.closed {
		l.base += int64(old.final)
	}
	st.list.Store(l)
	if old.finished.Load() != old.final {
		st.retired = append(st.retired, old)
	}
	return l
}

// settle has the subscriptions finish that were waiting for the last publish of
// a retired list.
func (st *syncTopic[T]) settle(l *syncList[T]) {
	t := st.topic
	t.mu.Lock()
	var over []*Subscription
	if i := slices.Index(st.retired, l); i >= 0 && l.finished.Load() == l.final {
		st.retired = slices.Delete(st.retired, i, i+1)
		for _, s := range l.subs {
			if st.overLocked(s) {
				over = append(over, s.sub)
			}
		}
	}
	t.mu.Unlock()
	for _, s := range over {
		s.finish()
	}
}

// overLocked reports, once, whether a subscription that was ended is in no
// publish any more.
func (st *syncTopic[T]) overLocked(s *syncSub[T]) bool {
	if !s.stopped.Load() || s.gone {
		return false
	}
	s.gone = !slices.ContainsFunc(st.retired, func(l *syncList[T]) bool { return slices.Contains(l.subs, s) })
	return s.gone
}

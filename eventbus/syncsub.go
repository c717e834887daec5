package eventbus

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// A syncSub is a handler of a Sync topic.
type syncSub[T any] struct {
	sub   *Subscription
	topic *Topic[T]
	order int
	plain func(context.Context, T) error // nil if handle has more to do

	call   *caller[T]
	filter func(T) bool
	once   bool
	used   atomic.Bool // with once

	stopped                     atomic.Bool // it is out of force
	failed, filtered, discarded atomic.Uint64

	// Guarded by the lock of the topic.
	over   bool // nothing shall start any more
	gone   bool
	joined int64 // Seq of the last event before it
	left   int64 // Seq of the last event it covers; 0 while it is subscribed
}

// handle deals with one event where more than a call is needed.
func (s *syncSub[T]) handle(e *Event[T]) error {
	if s.filter != nil {
		pass := false
		if err := safely(func() { pass = s.filter(e.Data) }); err != nil {
			s.sub.failedEarly(e.ctx, e.topic, &Failure{Event: e.erased(), Subscription: s.sub.name, Final: true, Err: err})
			return err
		}
		if !pass {
			s.filtered.Add(1)
			return nil
		}
	}
	if s.once {
		if !s.used.CompareAndSwap(false, true) {
			return nil // not covered: another publish came first
		}
		// Out of force at once, but not stopped: that would end its retries.
		s.leave(nil, false)
		defer s.end(nil)
	}
	return s.attempts(e)
}

// attempts calls the handler until it succeeds or is given up. A call of
// runtime.Goexit ends it, as the last failure.
func (s *syncSub[T]) attempts(e *Event[T]) (err error) {
	bus := s.sub.bus
	attempt := 1
	returned := false
	defer func() {
		if !returned {
			err := &PanicError{Goexit: true}
			s.observe(e, attempt, 0, 0, err)
			s.tell(e, attempt, -1, err)
		}
	}()
	for ; ; attempt++ {
		var began int64
		var took time.Duration
		if s.call.clocked {
			began = bus.time.now()
		}
		err = s.call.attempt(e.ctx, e)
		if s.call.clocked {
			took = time.Duration(bus.time.now() - began)
		}
		wait := time.Duration(-1)
		if err != nil {
			if perr := safely(func() { wait = s.call.retry.wait(attempt, err) }); perr != nil {
				err = errors.Join(err, perr)
			}
		}
		s.observe(e, attempt, began, took, err)
		s.tell(e, attempt, wait, err)
		if wait < 0 {
			break
		}
		if !bus.time.sleep(wait, s.sub.stopping, e.ctx.Done()) {
			s.tell(e, attempt, -1, err)
			break
		}
		s.sub.retried.Add(1)
	}
	returned = true
	if err == nil {
		return nil
	}
	return &Error{Topic: e.topic.name, Subscription: s.sub.name, Seq: e.Seq, Attempts: attempt, Err: err}
}

// observe tells the attempt.
func (s *syncSub[T]) observe(e *Event[T], attempt int, began int64, took time.Duration, err error) {
	hook := s.sub.bus.hooks.Handled
	if hook == nil {
		return
	}
	e.topic.contain(func() {
		hook(e.ctx, Handling{
			Topic: e.topic.name, Subscription: s.sub.name, Seq: e.Seq, Attempt: attempt,
			Age: s.sub.bus.time.age(e.at, began), Took: took, Err: err,
		})
	})
}

// tell tells the failure, and makes a dead letter of an event that is given up.
func (s *syncSub[T]) tell(e *Event[T], attempt int, wait time.Duration, err error) {
	hooks := &s.sub.bus.hooks
	if err == nil || hooks.Failed == nil && s.call.dead == nil {
		return
	}
	f := Failure{Event: e.erased(), Subscription: s.sub.name, Attempts: attempt, Final: wait < 0, Err: err}
	if hooks.Failed != nil {
		e.topic.contain(func() { hooks.Failed(e.ctx, f) })
	}
	if f.Final && s.call.dead != nil {
		bury(e.ctx, s.call.dead, f)
	}
}

// join puts it in force. The topic's lock is held.
func (s *syncSub[T]) join() {
	st := s.topic.sync
	if s.plain == nil {
		st.special++
	}
	s.topic.attach(s.sub)
	s.joined = st.change(st.list.Load().with(s), false).base
}

func (s *syncSub[T]) stop(err error) { s.end(err) }
func (s *syncSub[T]) drain()         { s.end(nil) }

// end takes it out of force and stops it.
func (s *syncSub[T]) end(err error) { s.leave(err, true) }

// leave takes it out of force, and stops it if so wanted: no further attempt of
// a call that is running, then.
func (s *syncSub[T]) leave(err error, stop bool) {
	t := s.topic
	t.mu.Lock()
	if stop && !s.over {
		s.over = true
		s.sub.stopped(err)
	}
	if s.stopped.Load() {
		t.mu.Unlock()
		return
	}
	s.stopped.Store(true)
	if s.plain == nil {
		t.sync.special--
	}
	s.left = t.sync.change(t.sync.list.Load().without(s), false).base
	t.detached(s.sub)
	over := t.sync.overLocked(s)
	t.mu.Unlock()
	if over {
		s.sub.finish()
	}
}

func (s *syncSub[T]) stats() (st SubscriptionStats) {
	t := s.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	last := s.left
	if !s.stopped.Load() {
		last = t.sync.lastSeq()
	}
	st.Failed, st.Filtered, st.Discarded = s.failed.Load(), s.filtered.Load(), s.discarded.Load()
	if s.once {
		// Publishes that race for the one event are not covered, so what is
		// covered does not follow from Seq.
		if s.used.Load() && st.Failed == 0 {
			st.Handled = 1
		}
		return st
	}
	rest := max(last-s.joined-int64(st.Failed+st.Filtered+st.Discarded), 0)
	running := int64(0)
	for _, l := range append(slices.Clone(t.sync.retired), t.sync.list.Load()) {
		if slices.Contains(l.subs, s) {
			n := l.final
			if l == t.sync.list.Load() {
				n = l.started.Load()
			}
			running += int64(n - l.finished.Load())
		}
	}
	running = min(running, rest)
	st.Running, st.Handled = int(running), uint64(rest-running)
	return st
}

func (s *syncSub[T]) watch() <-chan struct{} { return nil } // there is no queue

func (s *syncSub[T]) forget() { s.topic.forget(s.sub) }

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
	used   atomic.Bool // with once: the event has come
	served atomic.Bool // and was handled

	stopped                     atomic.Bool // it is out of force
	failed, filtered, discarded atomic.Uint64

	// Guarded by the lock of the topic.
	over   bool // nothing shall start any more
	gone   bool
	joined int64 // Seq of the last event before it
	left   int64 // Seq of the last event it covers; 0 while it is subscribed
}

// handle deals with one event where more than a call is needed. What has become of
// it is in tr too, for the case that a hook or the handler ends the goroutine.
func (s *syncSub[T]) handle(e *Event[T], tr *trial[T]) error {
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
		after := s.leave(nil, false)
		after.settle()
		defer s.sub.end(nil)
	}
	tr.attempt = 1
	s.attempts(e, tr)
	return s.outcome(e, tr)
}

// attempts calls the handler until it succeeds or is given up. If something ends
// the goroutine, the rest is done before it does.
func (s *syncSub[T]) attempts(e *Event[T], tr *trial[T]) {
	finished := false
	defer func() {
		if !finished {
			s.attempts(e, tr)
		}
	}()
	bus := s.sub.bus
	for tr.stage != told || tr.wait >= 0 {
		switch tr.stage {
		case idle:
			tr.stage = calling
			if s.call.clocked {
				tr.began = bus.time.now()
			}
			tr.err = s.call.attempt(e.ctx, e)
			tr.stage = called
		case calling: // the handler has ended the goroutine, where it is not called again
			tr.err, tr.wait, tr.stage = &PanicError{Goexit: true}, -1, judged
		case called:
			if s.call.clocked {
				tr.took = time.Duration(bus.time.now() - tr.began)
			}
			tr.wait, tr.stage = -1, judged
			if tr.err != nil {
				if perr := safely(func() { tr.wait = s.call.retry.wait(tr.attempt, tr.err) }); perr != nil {
					tr.err = errors.Join(tr.err, perr)
				}
			}
		case judged:
			tr.stage = observed
			s.observe(e, tr)
		case observed:
			tr.stage = told
			s.tell(e, tr)
		case told:
			if !bus.time.sleep(tr.wait, s.sub.stopping, e.ctx.Done()) {
				tr.wait, tr.stage = -1, observed // Failed has to know
				continue
			}
			s.sub.retried.Add(1)
			tr.attempt++
			tr.stage = idle
		}
	}
	s.served.Store(s.once && tr.err == nil)
	finished = true
}

// outcome is the error of an event that has been dealt with.
func (s *syncSub[T]) outcome(e *Event[T], tr *trial[T]) error {
	if tr.err == nil {
		return nil
	}
	return &Error{Topic: e.topic.name, Subscription: s.sub.name, Seq: e.Seq, Attempts: tr.attempt, Err: tr.err}
}

// observe tells the attempt.
func (s *syncSub[T]) observe(e *Event[T], tr *trial[T]) {
	hook := s.sub.bus.hooks.Handled
	if hook == nil {
		return
	}
	e.topic.contain(func() {
		hook(e.ctx, Handling{
			Topic: e.topic.name, Subscription: s.sub.name, Seq: e.Seq, Attempt: tr.attempt,
			Age: s.sub.bus.time.age(e.at, tr.began), Took: tr.took, Err: tr.err,
		})
	})
}

// tell tells the failure, and makes a dead letter of an event that is given up.
func (s *syncSub[T]) tell(e *Event[T], tr *trial[T]) {
	hooks := &s.sub.bus.hooks
	if tr.err == nil || hooks.Failed == nil && s.call.dead == nil {
		return
	}
	f := Failure{Event: e.erased(), Subscription: s.sub.name, Attempts: tr.attempt, Final: tr.wait < 0, Err: tr.err}
	if f.Final && s.call.dead != nil {
		defer bury(e.ctx, s.call.dead, f) // even if the hook ends the goroutine
	}
	if hooks.Failed != nil {
		e.topic.contain(func() { hooks.Failed(e.ctx, f) })
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

func (s *syncSub[T]) stop(err error) aftermath { return s.leave(err, true) }
func (s *syncSub[T]) drain() aftermath         { return s.leave(nil, true) }

// leave takes it out of force, and stops it if so wanted: no further attempt of
// a call that is running, then.
func (s *syncSub[T]) leave(err error, stop bool) aftermath {
	t := s.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if stop && !s.over {
		s.over = true
		s.sub.stopped(err)
	}
	if s.stopped.Load() {
		return aftermath{}
	}
	s.stopped.Store(true)
	if s.plain == nil {
		t.sync.special--
	}
	s.left = t.sync.change(t.sync.list.Load().without(s), false).base
	t.detached(s.sub)
	return aftermath{sub: s.sub, finish: t.sync.overLocked(s)}
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
		if s.served.Load() {
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

func (s *syncSub[T]) watch() <-chan struct{}  { return nil } // there is no queue
func (s *syncSub[T]) unwatch(<-chan struct{}) {}

func (s *syncSub[T]) forget() { s.topic.forget(s.sub) }

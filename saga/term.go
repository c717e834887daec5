package saga

import (
	"context"
	"sync"
	"time"
)

// A term is a context that ends when some time has passed, or its parent has ended.
//
// Most steps are over before they could ask for Done, so the channel and the timer that
// closes it are made when somebody does. Who does not is told the same by Err, which looks
// at the clock.
type term struct {
	origin                 // of the contexts of attempts
	parent context.Context //nolint:containedctx // it has the values
	source source
	limit  time.Duration // 0 and less: none
	dated  bool          // it has a Deadline

	// mu guards the fields below.
	mu      sync.Mutex
	started bool
	begun   time.Time       // when it was
	closed  bool            // it is not needed any more
	full    context.Context //nolint:containedctx // a context with a channel; nil: nobody has asked
	cancel  context.CancelCauseFunc
	stop    func() bool // of the timer; nil: there is none
}

// newTerm makes a term that has begun, for the steps of a frame. The cause of its end is
// context.DeadlineExceeded. With a Clock it has no Deadline: one of a Mock lies in 1970, and
// real I/O would fail at once.
func (r *run) newTerm(parent context.Context, f *frame, limit time.Duration) *term {
	t := &term{parent: parent, source: r.time.source, limit: limit, dated: r.time.clock == nil, started: true}
	t.begun = t.source.now()
	t.origin = origin{Context: t, identity: r.self, f: r.lasting(f)}
	return t
}

// newGrace makes the term of work that no longer listens to the caller's context, with the
// values of that, which has not begun. In the engine, whose context is not that of a
// caller, it goes by that.
func (r *run) newGrace() *term {
	t := &term{parent: r.ctx, source: r.time.source, limit: r.cfg.grace()}
	if r.journal == nil {
		t.parent = context.WithoutCancel(r.ctx)
	}
	t.origin = origin{Context: t, identity: r.self, f: r.lasting(&r.frame)}
	return t
}

// of is it for the steps of a frame.
func (t *term) of(f *frame) *origin {
	if f == &f.run.frame {
		return &t.origin
	}
	return f.run.origin(t, f)
}

// start begins to count, unless that has happened.
func (t *term) start() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.limit <= 0 || t.closed || t.started {
		return
	}
	t.started, t.begun = true, t.source.now()
	if t.full != nil {
		t.arm(t.limit)
	}
}

// rest is the time that is left.
func (t *term) rest() time.Duration {
	if !t.started {
		return time.Duration(never)
	}
	return time.Duration(after(int64(t.limit), -max(t.source.since(t.begun), -time.Duration(never))))
}

// arm has the channel closed after d.
func (t *term) arm(d time.Duration) {
	cancel := t.cancel
	t.stop = t.source.afterFunc(d, func() { cancel(context.DeadlineExceeded) })
}

// complete makes the context with the channel.
func (t *term) complete() {
	if t.full != nil {
		return
	}
	if t.dated {
		ctx, cancel := withDeadline(t.parent, t.begun.Add(t.limit))
		if t.full, t.cancel = ctx, func(error) { cancel() }; t.closed {
			cancel()
		}
		return
	}
	t.full, t.cancel = context.WithCancelCause(t.parent)
	switch rest := t.rest(); {
	case t.closed:
		t.cancel(context.Canceled)
	case rest <= 0:
		t.cancel(context.DeadlineExceeded)
	case t.started:
		t.arm(rest)
	}
}

// over reports whether the time is up, or was not needed. It looks at the clock, as
// timers may be late.
func (t *term) over() bool { return t.Err() != nil }

// close gives back what it has.
func (t *term) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.stop != nil {
		t.stop()
	}
	if t.full != nil {
		t.cancel(context.Canceled)
	}
}

// Deadline implements context.Context.
func (t *term) Deadline() (time.Time, bool) {
	earlier, ok := t.parent.Deadline()
	if !t.dated {
		return earlier, ok
	}
	if end := t.begun.Add(t.limit); !ok || end.Before(earlier) { // it has begun since it was made
		return end, true
	}
	return earlier, ok
}

// Done implements context.Context.
func (t *term) Done() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.complete()
	return t.full.Done()
}

// Err implements context.Context.
func (t *term) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	late := t.rest() <= 0
	if t.full == nil && !late && !t.closed && t.parent.Err() == nil {
		return nil
	}
	if t.complete(); late && !t.dated {
		t.cancel(context.DeadlineExceeded)
	}
	return t.full.Err()
}

// Value implements context.Context. That of a context with a channel knows the cause.
func (t *term) Value(key any) any {
	t.mu.Lock()
	ctx := t.full
	t.mu.Unlock()
	if ctx == nil {
		ctx = t.parent
	}
	return ctx.Value(key)
}

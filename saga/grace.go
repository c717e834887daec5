package saga

import (
	"context"
	"sync"
	"time"
)

// A grace is the context of work that no longer listens to the caller's, with the
// values of that, and the time which the work has from when start is called.
//
// Most compensations are over before they could ask for Done, so the channel and the
// timer that closes it are made when somebody does. Who does not is told the same by
// Err, which looks at the clock.
type grace struct {
	origin                 // of the contexts on the first level of the run
	parent context.Context //nolint:containedctx // it has the values
	source source
	limit  time.Duration // 0 and less: none

	// mu guards the fields below.
	mu      sync.Mutex
	started bool
	begun   time.Time       // when it was
	closed  bool            // it is not needed any more
	full    context.Context //nolint:containedctx // a context with a channel; nil: nobody has asked
	cancel  context.CancelCauseFunc
	stop    func() bool // of the timer; nil: there is none
}

// newGrace makes one. In the engine, whose context is not that of a caller, it goes
// by that.
func (r *run) newGrace() *grace {
	g := &grace{parent: r.ctx, source: r.time.source, limit: r.cfg.grace()}
	if r.journal == nil {
		g.parent = context.WithoutCancel(r.ctx)
	}
	g.origin = origin{Context: g, identity: r.self, f: r.lasting(&r.frame)}
	return g
}

// of is it for the steps of a frame.
func (g *grace) of(f *frame) *origin {
	if f == &f.run.frame {
		return &g.origin
	}
	return f.run.origin(g, f)
}

// start begins to count, unless that has happened.
func (g *grace) start() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.limit <= 0 || g.closed || g.started {
		return
	}
	g.started, g.begun = true, g.source.now()
	if g.full != nil {
		g.arm(g.limit)
	}
}

// rest is the time that is left.
func (g *grace) rest() time.Duration {
	if !g.started {
		return time.Duration(never)
	}
	return g.limit - g.source.since(g.begun)
}

// arm has the channel closed after d.
func (g *grace) arm(d time.Duration) {
	cancel := g.cancel
	g.stop = g.source.afterFunc(d, func() { cancel(context.DeadlineExceeded) })
}

// complete makes the context with the channel.
func (g *grace) complete() {
	if g.full != nil {
		return
	}
	g.full, g.cancel = context.WithCancelCause(g.parent)
	switch rest := g.rest(); {
	case g.closed:
		g.cancel(context.Canceled)
	case rest <= 0:
		g.cancel(context.DeadlineExceeded)
	case g.started:
		g.arm(rest)
	}
}

// over reports whether the time is up, or was not needed. It looks at the clock, as
// timers may be late.
func (g *grace) over() bool { return g.Err() != nil }

// close gives back what it has.
func (g *grace) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	if g.stop != nil {
		g.stop()
	}
	if g.full != nil {
		g.cancel(context.Canceled)
	}
}

// Deadline implements context.Context. There is none that I/O could go by.
func (g *grace) Deadline() (time.Time, bool) { return g.parent.Deadline() }

// Done implements context.Context.
func (g *grace) Done() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.complete()
	return g.full.Done()
}

// Err implements context.Context.
func (g *grace) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	late := g.rest() <= 0
	if g.full == nil && !late && !g.closed && g.parent.Err() == nil {
		return nil
	}
	if g.complete(); late {
		g.cancel(context.DeadlineExceeded)
	}
	return g.full.Err()
}

// Value implements context.Context. That of a context with a channel knows the cause.
func (g *grace) Value(key any) any {
	g.mu.Lock()
	ctx := g.full
	g.mu.Unlock()
	if ctx == nil {
		ctx = g.parent
	}
	return ctx.Value(key)
}

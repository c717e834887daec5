package saga

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A grace is the context of work that no longer listens to the caller's, with the
// values of that, and the time which the work has from when start is called.
type grace struct {
	context.Context //nolint:containedctx // it is one
	cancel          context.CancelCauseFunc
	time            *timeline
	limit           time.Duration // 0 and less: none
	end             atomic.Int64  // never before it is started
	once            sync.Once
	stop            func() bool // of the timer; nil before
}

// newGrace makes one. In the engine, whose context is not that of a caller, it goes
// by that.
func (r *run) newGrace() *grace {
	g := &grace{time: &r.time, limit: r.cfg.grace()}
	g.end.Store(never)
	ctx := r.ctx
	if r.journal == nil {
		ctx = context.WithoutCancel(ctx)
	}
	g.Context, g.cancel = context.WithCancelCause(ctx)
	return g
}

// start begins to count, unless that has happened.
func (g *grace) start() {
	if g.limit <= 0 {
		return
	}
	g.once.Do(func() {
		g.end.Store(after(g.time.now(), g.limit))
		g.stop = g.time.afterFunc(g.limit, func() { g.cancel(context.DeadlineExceeded) })
	})
}

// over reports whether the time is up. It looks at the clock, as timers may be
// late.
func (g *grace) over() bool {
	if end := g.end.Load(); end != never && g.time.now() >= end {
		g.cancel(context.DeadlineExceeded)
	}
	return g.Err() != nil
}

// close gives back what it has. Nobody may call start any more.
func (g *grace) close() {
	g.once.Do(func() {})
	if g.stop != nil {
		g.stop()
	}
	g.cancel(context.Canceled)
}

package breaker

import "context"

// A call is one admitted call: what was true when it began.
type call struct {
	e       *epoch          // that admitted it
	ctx     context.Context //nolint:containedctx // a call is an argument spread over two functions
	start   int64           // timed settings only
	ticket  ticket          // half-open only
	hurried bool            // began with less than MinBudget
}

// admit decides about a call of a breaker that is not plainly closed. It fills
// in c, or returns the rejection.
//
// What needs no change of state is decided without the lock: calls of closed
// stays, rejections, and the share of a ramp.
func (b *Breaker) admit(ctx context.Context, c *call) error {
	e := b.cur.Load()
	var now int64
	for {
		if e.pass != closely {
			c.begin(e, ctx)
			return nil
		}
		now = b.time.now()
		again := b.cur.Load()
		if again == e {
			break
		}
		e = again // and the time is not that of e's stay
	}
	switch {
	case e.state == ForcedOpen:
		return b.reject(ctx, e, now)
	case e.state == HalfOpen:
		if e.stay.half.full(now) {
			return b.reject(ctx, e, now)
		}
	case e.span.over(now) || e.span.ahead(now):
	case e.state == Open:
		return b.reject(ctx, e, now)
	case e.stay.ramp.admit(rampShare(e.span, e.set.RampFrom, now)):
		c.begin(e, ctx)
		return nil
	default:
		return b.reject(ctx, e, now)
	}
	return b.admitLocked(ctx, c)
}

// admitLocked is admit with the lock, after everything that was due. Events are
// delivered before the call runs.
func (b *Breaker) admitLocked(ctx context.Context, c *call) error {
	m := b.look()
	b.advance(ctx, m)
	e := b.cur.Load()
	admitted := true
	switch e.state {
	case HalfOpen:
		c.ticket, admitted = e.stay.half.admit(m.now, e.set.Probes)
		e.stay.half.publish(e.set)
		b.changes.Add(1)
	case Recovering:
		admitted = e.stay.ramp.admit(rampShare(e.span, e.set.RampFrom, m.now))
	case Open, ForcedOpen:
		admitted = false
	case Closed, ForcedClosed:
	}
	if admitted {
		c.e, c.ctx = e, ctx
	}
	owed := b.unlock()
	if admitted {
		c.launch(owed)
		return nil
	}
	if owed {
		b.deliver()
	}
	return b.reject(ctx, e, m.now)
}

// launch delivers what is owed before the call runs, and notes its begin. If a
// hook ends this goroutine, or a clock or context of somebody's panics, the call
// never will run: its slot goes back.
func (c *call) launch(owed bool) {
	launched := false
	defer func() {
		if !launched {
			c.report(report{outcome: Ignored, unborn: true})
		}
	}()
	if owed {
		c.e.b.deliver()
	}
	c.note()
	launched = true
}

// begin makes c a call that e has admitted.
func (c *call) begin(e *epoch, ctx context.Context) {
	c.e, c.ctx = e, ctx
	c.note()
}

// note keeps what the settings want to know about the begin of a call.
func (c *call) note() {
	set := c.e.set
	if set.timed {
		c.start = c.e.b.time.now()
	}
	if set.MinBudget > 0 {
		if deadline, ok := c.ctx.Deadline(); ok {
			c.hurried = untilDeadline(deadline) < set.MinBudget
		}
	}
}

func (b *Breaker) reject(ctx context.Context, e *epoch, now int64) error {
	b.memory().rejected.add(now)
	if hook := e.set.Hooks.Rejected; hook != nil {
		b.contain(func() { hook(ctx, e.refusal) })
	}
	return e.refusal
}

// misuse is the error for what only a programmer can have meant to pass, or nil.
func misuse(ctx context.Context, b *Breaker, noFunc bool) error {
	switch {
	case b == nil:
		return errNilBreaker
	case ctx == nil:
		return errNilContext
	case noFunc:
		return errNilFunc
	case b.cur.Load() == nil:
		return errZeroBreaker
	}
	return nil
}

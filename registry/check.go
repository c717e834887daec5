package registry

import (
	"context"
	"errors"
	"time"
)

// A checker runs the check of one member. It belongs to the member as long as
// that has a check and keeps its address. Its fields are guarded by the lock of
// the roster.
type checker struct {
	r     *roster
	m     *member
	in    *Instance // with the function and the settings of the next run
	word  word
	judge threshold

	due      int64 // when the next run is, on the clock
	critical int64 // since when, on the clock
	next     appointment
	removal  appointment
	run      *run // under way, or nil
}

// A run is one call of the function. It is guarded as its checker is.
type run struct {
	ctx    context.Context //nolint:containedctx // of the call: ends when the checker stops
	cancel context.CancelCauseFunc
	slot   bool  // it holds one of Config.MaxChecks
	due    int64 // when its Timeout is over, on the clock
	hung   bool  // its Timeout is over: it was judged, but has not returned
	owed   bool  // the next run was due at about that instant, and waits for it
}

// supervise gives a member the check that its first claim asks for. It has to
// come before refresh, because it looks at what was shown before.
func (r *roster) supervise(m *member) {
	in := m.claims[0].in
	switch {
	case in.Check.Func == nil:
		m.check.stop()
		m.check = nil
	case m.check != nil && m.check.in.Addr == in.Addr:
		m.check.adopt(in)
	default:
		m.check.stop()
		m.check = newChecker(r, m, in)
	}
}

func newChecker(r *roster, m *member, in *Instance) *checker {
	c := &checker{r: r, m: m}
	if m.ep == nil || m.ep.in.Addr != in.Addr {
		// Who was there without a check stays as it is until a run tells more.
		c.judge.health, c.word = Starting, word{Starting, "not checked yet"}
	}
	c.due = after(r.reg.time.now(), max(0, in.Check.InitialDelay))
	c.adopt(in)
	r.reg.checkers.Add(1)
	return c
}

// adopt takes function and settings over for the next run.
func (c *checker) adopt(in *Instance) {
	other := c.in == nil || c.in.Check.Interval != in.Check.Interval || c.in.Check.RemoveAfter != in.Check.RemoveAfter
	if c.in != nil && c.in.Check.Interval > in.Check.Interval {
		c.due = min(c.due, after(c.r.reg.time.now(), in.Check.Interval))
	}
	c.in = in
	c.judge.failures, c.judge.successes = in.Check.FailuresBeforeCritical, in.Check.SuccessesBeforePassing
	if other { // else the timers are right as they are, however often it is registered
		c.arm()
		c.countdown()
	}
}

// stop ends the checks of a member. What runs is cancelled, and judged no more.
func (c *checker) stop() {
	if c == nil {
		return
	}
	c.next.cancel()
	c.removal.cancel()
	if c.run != nil {
		c.run.cancel(context.Canceled)
		c.run = nil
	}
	c.r.reg.checkers.Add(-1)
}

// arm sets the timer of the next run.
func (c *checker) arm() {
	c.next.set(c.r, time.Duration(c.due-c.r.reg.time.now()), c.tick)
}

// tick is what happens when a run is due. The next one is due an interval after
// this one was, however long it takes; what was missed is not made up for.
func (c *checker) tick() (then func()) {
	tm := &c.r.reg.time
	now := tm.now()
	if missed := (now - c.due) / int64(c.in.Check.Interval); missed > 0 {
		c.due += missed * int64(c.in.Check.Interval)
	}
	for c.due <= now {
		c.due = after(c.due, max(1, tm.jitter(c.in.Check.Interval, c.in.Check.Jitter)))
	}
	c.arm()
	slack := int64(c.in.Check.Interval) / 10
	switch u := c.run; {
	case u == nil:
		return c.start()
	case !u.owed && u.due != never && now-slack <= u.due && u.due <= now+slack:
		// With a Timeout as long as the Interval both timers ring at about the
		// same time. A function that obeys returns by then, and the run that is
		// due follows at once.
		u.owed = true
	case u.hung:
		if u.owed {
			u.owed = false
			c.record(failed, textHung)
		}
		c.record(failed, textHung)
	}
	return nil // one that waits for its turn has not failed
}

const (
	textLate = "check timed out"
	textHung = "check timed out and has not returned"
)

// start begins a run, and returns what makes it.
func (c *checker) start() (then func()) {
	u := &run{due: never}
	u.ctx, u.cancel = context.WithCancelCause(context.Background())
	c.run = u
	c.r.reg.crew.join()
	return func() { c.execute(u) }
}

// execute makes a run. It is not called under the lock.
func (c *checker) execute(u *run) {
	reg := c.r.reg
	defer reg.crew.leave()
	defer u.cancel(context.Canceled)
	if reg.checks != nil && reg.checks.Acquire(u.ctx, 1) != nil {
		return // stopped before its turn
	}
	u.slot = true // nobody else looks at it before it has begun
	fn, in, timeout := c.begin(u)
	if fn == nil {
		c.judged(u, nil)
		return
	}
	ctx := u.ctx
	if timeout > 0 {
		var free context.CancelCauseFunc
		ctx, free = reg.time.withTimeout(ctx, timeout)
		defer free(context.Canceled)
		defer context.AfterFunc(ctx, func() { c.expired(ctx, u) })()
	}
	o, text := failed, ""
	safely(func() {
		// What the text of an error does is up to the user as well.
		o, text = judgement(fn(ctx, in))
	}, func(p *PanicError) {
		switch {
		case p != nil:
			reg.fault(p)
			o, text = failed, p.Error()
		case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
			o, text = failed, textLate // it came back because its time was over
		}
		if then := c.finished(u, o, text); then != nil {
			go then() // not from here, where runs would nest
		}
	})
}

// judgement is what a run came to that has returned in time.
func judgement(err error) (outcome, string) {
	var w *warning
	switch {
	case err == nil:
		return passed, ""
	case errors.As(err, &w):
		return warned, err.Error()
	}
	return failed, err.Error()
}

// begin tells what to call, nothing if the checker was stopped meanwhile.
func (c *checker) begin(u *run) (func(context.Context, Instance) error, Instance, time.Duration) {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if c.run != u {
		return nil, Instance{}, 0
	}
	if c.in.Check.Timeout > 0 {
		u.due = after(c.r.reg.time.now(), c.in.Check.Timeout)
	}
	return c.in.Check.Func, c.in.clone(), c.in.Check.Timeout
}

// expired judges a run that has taken too long. It also gives its slot to others:
// a function that does not look at its context must not keep these from being
// checked.
func (c *checker) expired(ctx context.Context, u *run) {
	if !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return
	}
	c.judged(u, func() func() {
		u.hung = true
		c.record(failed, textLate)
		return nil
	})
}

// finished judges a run that has returned.
func (c *checker) finished(u *run, o outcome, text string) (then func()) {
	return c.judged(u, func() func() {
		c.run = nil
		if !u.hung {
			c.record(o, text)
		}
		if u.owed {
			return c.start()
		}
		return nil
	})
}

// judged does something under the lock if the run still counts, and takes its
// slot back.
func (c *checker) judged(u *run, do func() (then func())) (then func()) {
	if !c.r.lock() {
		c.r.mu.Lock()
		defer c.r.mu.Unlock()
		c.freeSlot(u)
		return nil
	}
	c.freeSlot(u)
	if c.run == u && do != nil {
		then = do()
	}
	c.r.unlock(another)
	return then
}

// freeSlot gives back one of Config.MaxChecks.
func (c *checker) freeSlot(u *run) {
	if u.slot && c.r.reg.checks != nil {
		c.r.reg.checks.Release(1)
	}
	u.slot = false
}

// record takes an outcome into account.
func (c *checker) record(o outcome, text string) {
	before := c.judge.health
	c.word = word{c.judge.next(o), legible(text)}
	if c.judge.health != before {
		c.critical = c.r.reg.time.now()
		c.countdown()
	}
	var b batch
	b.refresh(c.m)
	c.r.publish(b)
}

// countdown sets the timer that removes a critical instance.
func (c *checker) countdown() {
	wait := c.in.Check.RemoveAfter
	if wait <= 0 || c.judge.health != Critical {
		c.removal.cancel()
		return
	}
	c.removal.set(c.r, time.Duration(after(c.critical, wait)-c.r.reg.time.now()), func() func() {
		var b batch
		c.r.expel(c.m, ErrLeaseLost, &b, ReasonUnhealthy)
		c.r.publish(b)
		return nil
	})
}

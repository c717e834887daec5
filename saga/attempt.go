package saga

import (
	"context"
	"errors"
	"time"
)

// attempt makes one attempt of an action or of its compensation. Whatever the
// function does, it is waited for, and what it has come to is noted before
// anything else happens: after a Goexit the answer is lost with the goroutine, but
// the mark tells that nobody knows what came of it.
func (r *run) attempt(ctx *origin, f *frame, i int, undo bool) (a answer) {
	n, m := &f.nodes[i], &f.marks[i]
	if a = r.pending; a.err != nil { // it was made
		r.pending, m.attempt, m.tries = answer{}, 1, 1
		return a
	}
	c := r.context(ctx, f, i)
	fn := n.do
	if undo {
		m.undoAttempt++
		m.undoTries++
		c.attempt, c.undoing, c.outcome = m.undoAttempt, true, m.outcome()
		fn = n.undo
	} else {
		m.attempt++
		m.tries++
		c.attempt = m.attempt
	}
	if n.kind == KindAwait && !undo { // whose Timeout is for the wait
		fn = func(ctx context.Context, s any) error { return n.special.apply(ctx, s, m.more.signal) }
	}
	if timeout := r.timeout(n, undo); timeout > 0 {
		t := r.newTerm(ctx, f, timeout)
		defer t.close()
		c.origin = &t.origin
	}
	if hook := r.cfg.Hooks.StepStart; hook != nil {
		r.observe(ctx, "step start", func() { hook(ctx, c.info()) })
	}
	returned := false
	defer func() {
		if returned {
			return
		}
		p := unwound(recover())
		if a = panicked(p); p.Goexit {
			r.exited(f, i, undo, a)
		}
	}()
	if r.cfg.Around == nil {
		a = c.answer(fn(c, f.state), n.classify)
	} else {
		state := f.state // whoever keeps next does not keep the frame
		a = c.answer(r.cfg.Around(c, c.info(), func(ctx context.Context) error { return fn(ctx, state) }), n.classify)
	}
	returned = true
	return a
}

// timeout is how long one attempt may take; 0 and less: there is no limit. The Timeout of an
// Await is for the wait.
func (r *run) timeout(n *node, undo bool) time.Duration {
	var d time.Duration
	if n.kind != KindAwait {
		d = n.timeout
	}
	if undo && n.undoTimeout != 0 {
		d = n.undoTimeout
	}
	if d == 0 {
		d = r.stepTimeout
	}
	return d
}

// exited does what would follow an attempt that ends its goroutine, and with it what goes on
// with its answer.
func (r *run) exited(f *frame, i int, undo bool, a answer) {
	switch {
	case !undo:
		r.taint(&f.nodes[i], &f.marks[i])
		r.fail(f.path(i), Unknown, a.err)
	case r.stopping():
		r.interrupted(f, i, true)
	default:
		r.missed(f, i, a)
	}
}

// answer judges what a function has returned to which it was given.
func (c *stepContext) answer(err error, classify func(error) error) answer {
	a := answerTo(err, classify)
	if (a.outcome == Rejected || a.again) && c.Err() != nil {
		cause := context.Cause(c)
		if _, told := verdictOf(cause); told && errors.Is(a.err, cause) {
			return answer{err: a.err} // it is that of a sibling, or of the caller, about something else
		}
	}
	return a
}

// context is a new stepContext, one of those that came with the run if it is the
// goroutine of the run that asks.
func (r *run) context(o *origin, f *frame, i int) *stepContext {
	if f != &r.frame {
		return &stepContext{origin: o, i: int32(i)}
	}
	if len(r.contexts) == 0 {
		r.contexts = make([]stepContext, min(len(f.nodes), many))
	}
	c := &r.contexts[0]
	r.contexts = r.contexts[1:]
	c.origin, c.i = o, int32(i)
	return c
}

// outcome is what is known about an action that is to be undone.
func (m *mark) outcome() Outcome {
	if m.stage == applied {
		return Applied
	}
	return Unknown
}

// A measure is the time of an attempt, taken only if somebody wants to know.
type measure struct {
	r     *run
	from  int64
	taken bool
}

func (r *run) measure() measure {
	if r.cfg.Hooks.StepDone == nil {
		return measure{}
	}
	return measure{r, r.time.now(), true}
}

// done tells how an attempt ended. wait is the time to the next one, negative if
// there is none.
func (t measure) done(o *origin, f *frame, i int, undo bool, a answer, wait time.Duration) {
	if !t.taken {
		return
	}
	m := &f.marks[i]
	c := &stepContext{origin: o, i: int32(i), attempt: m.attempt}
	if undo {
		c.attempt, c.undoing, c.outcome = m.undoAttempt, true, m.outcome()
	}
	e := StepEvent{Info: c.info(), Result: a.outcome, Err: a.err, Took: time.Duration(t.r.time.now() - t.from), Wait: wait}
	f.tell(func() { t.r.observe(o, "step done", func() { t.r.cfg.Hooks.StepDone(o, e) }) })
}

// probe asks whether an action took effect. What goes wrong with that changes
// nothing.
func (r *run) probe(ctx context.Context, f *frame, i int) (o Outcome) {
	n, m := &f.nodes[i], &f.marks[i]
	c := &stepContext{origin: r.origin(ctx, f), i: int32(i), attempt: m.attempt}
	if timeout := r.timeout(n, false); timeout > 0 {
		t := r.newTerm(ctx, f, timeout)
		defer t.close()
		c.origin = &t.origin
	}
	safely(func() {
		answered, err := n.probe(c, f.state)
		if err == nil && answered <= Rejected {
			o = answered
		}
	}, func(*PanicError) {})
	return o
}

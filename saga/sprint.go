package saga

import (
	"context"
	"fmt"
)

// A birth is what a run in memory begins with, and what outlives it if one of its
// contexts does: one piece of memory, as long as the saga is short.
type birth struct {
	identity
	origin
	contexts [few]stepContext
}

const few = 5

// run runs a saga in memory.
//
// Most runs have no more than a few steps that are called one after another and
// succeed. So that is what is done first: what it takes to try again, to wait and to go
// back is set up when something needs it, with the steps so far as done.
func (p *program) run(ctx context.Context, cfg *RunConfig, state any) (err error) {
	if p.awaits {
		return fmt.Errorf("saga: %s has an Await, for which there is no signal in memory: start it in an engine", quoted(p.name))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	b := &birth{}
	b.identity.prog, b.cfg, b.id = p, cfg, cfg.ID
	b.origin = origin{Context: ctx, identity: &b.identity}
	if !cfg.bare() {
		return p.goOn(b, b.contexts[:], state, 0, answer{})
	}
	i, contexts := 0, b.contexts[:]
	returned := false
	defer func() {
		if returned {
			return
		}
		err = p.goOn(b, contexts, state, i, panicked(unwound(recover())))
	}()
	var pending answer
	for ; i < p.plain && ctx.Err() == nil; i++ {
		if len(contexts) == 0 {
			contexts = make([]stepContext, min(p.plain-i, many))
		}
		c := &contexts[0]
		contexts = contexts[1:]
		c.origin, c.i, c.attempt = &b.origin, int32(i), 1
		n := &p.nodes[i]
		if err = n.do(c, state); err == nil {
			continue
		}
		if pending = c.answer(err, n.classify); pending.outcome != Applied {
			break
		}
	}
	returned = true
	if i == len(p.nodes) {
		return nil
	}
	return p.goOn(b, contexts, state, i, pending)
}

// many is how many contexts of a long saga share a piece of memory at most.
const many = 16

// bare reports whether nobody watches the attempts of a run.
func (c *RunConfig) bare() bool {
	return c.Around == nil && c.Hooks.Status == nil && c.Hooks.StepStart == nil && c.Hooks.StepDone == nil
}

// goOn brings a run to its end whose first steps, so many, are done. pending is how the
// first attempt of the next one has failed; without an error there was none.
func (p *program) goOn(b *birth, contexts []stepContext, state any, done int, pending answer) error {
	r, _ := p.idle.Get().(*run)
	if r == nil {
		r = p.newRun()
	}
	r.born(b, state)
	r.contexts = contexts
	for i := range r.marks[:done] {
		r.marks[i] = mark{stage: applied}
	}
	if pending.panic != nil && pending.panic.Goexit {
		r.exited(&r.frame, done, false, pending)
		r.conclude(back)
		return nil // to nobody: the goroutine is about to end
	}
	r.pending = pending
	r.execute()
	failure, panicked := r.failure, r.panicked
	p.recycle(r)
	if failure == nil {
		return nil
	}
	failure.Run = b.known() // somebody may have asked only then
	if panicked {
		panic(failure)
	}
	return failure
}

// recycle keeps a run that is over for another one, if nothing that outlives it knows
// of it.
func (p *program) recycle(r *run) {
	if p.flat {
		clear(r.marks)
		r.life, r.state, r.deadline, r.beyond = life{}, nil, never, false
		p.idle.Put(r)
	}
}

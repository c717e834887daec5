package eventbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Flush waits until every event that was accepted before the call has been
// handled, given up or lost by every subscription, retries included; of a Queue,
// until its reader has come back for more, which is also when it may notice that
// events were lost. Events that handlers publish meanwhile are not waited for, nor
// is what history has for a Subscribe that has not returned. If ctx ends first the
// error is its cause. With the context of a handler it returns ErrWouldDeadlock,
// because it would wait for itself.
func (b *Bus) Flush(ctx context.Context) error {
	if err := b.usable(); err != nil {
		return err
	}
	if ctx == nil {
		return errNilContext
	}
	if handOf(ctx, b) != nil {
		return &Error{Err: ErrWouldDeadlock}
	}
	members := b.members.list()
	settled := make([]<-chan struct{}, len(members))
	for i, s := range members {
		settled[i] = s.impl.watch()
	}
	for i, c := range settled {
		if c == nil {
			continue
		}
		select {
		case <-c:
		case <-ctx.Done():
			for j, c := range settled[i:] {
				members[i+j].impl.unwatch(c)
			}
			return context.Cause(ctx)
		}
	}
	return nil
}

// A shutdown is the closing of a bus, the same for all who called Close.
type shutdown struct {
	done   chan struct{} // closed when all is done, or was halted
	halted chan struct{} // closed when the first context ended

	once sync.Once // of the halt
	mu   sync.Mutex
	err  error // set before done or halted is closed
}

// Close ends the bus. At once, publishes and new subscriptions get ErrClosed,
// also those publishes that wait, and imports stop. Then the queues are worked
// off, those of dead letters last, which are still accepted until then; queues
// stay readable, and are waited for until they have been read; bridges are closed,
// and their errors joined. Nil means that all was handled and no goroutine of the
// bus is left. If ctx ends first the rest is discarded, the contexts of running
// calls are cancelled and nothing starts any more. If that leaves anything undone,
// there is a [*DrainError] that counts it for every subscription.
//
// Calls that overlap or repeat get the same result; the first of their contexts
// to end decides for all. With the context of a handler it begins the closing
// and returns nil, because it would wait for itself. Calls of Sync handlers run
// on their publishers' goroutines and are not waited for.
func (b *Bus) Close(ctx context.Context) error {
	if err := b.usable(); err != nil {
		return err
	}
	if ctx == nil {
		return errNilContext
	}
	inside := handOf(ctx, b) != nil
	b.mu.Lock()
	first := b.shut == nil
	if first {
		b.shut = &shutdown{done: make(chan struct{}), halted: make(chan struct{})}
	}
	s := b.shut
	b.mu.Unlock()
	switch {
	case first && inside:
		go b.run(s, context.Background())
		return nil
	case inside:
		return nil
	case first:
		b.run(s, ctx)
	}
	b.await(s, ctx, s.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// run closes the bus step by step. Events flow from topics to those of dead
// letters and on to bridges, so they end in this order.
func (b *Bus) run(s *shutdown, ctx context.Context) {
	defer close(s.done)
	b.mu.Lock()
	attached := slices.Clone(b.attached)
	topics := b.liveLocked()
	b.mu.Unlock()
	for _, a := range attached {
		a.stopImport(ErrClosed)
	}
	for _, t := range topics {
		state := closed
		if _, dead := t.(*Topic[Failure]); dead {
			state = closing
		}
		t.close(state)
	}
	b.responders.Range(func(_, r any) bool {
		after := r.(impl).stop(nil)
		after.settle()
		return true
	})
	if ctx.Err() != nil {
		b.halt(s, ctx)
	}
	var first, last []*Subscription
	for _, m := range b.members.list() {
		if m.ofFailures {
			last = append(last, m)
		} else {
			first = append(first, m)
		}
	}
	b.drain(s, ctx, first)
	for _, m := range last {
		if m.pattern { // it may have events yet of which dead letters are made, for the others and for itself
			b.await(s, ctx, m.impl.watch())
		}
	}
	b.drain(s, ctx, last)
	for _, t := range topics {
		t.close(closed)
	}
	for _, a := range attached {
		b.await(s, ctx, a.closed)
	}
	s.end(errors.Join(closeErrors(attached)...))
}

// end sets the result, unless there is one.
func (s *shutdown) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// drain waits for subscriptions to finish their queues.
func (b *Bus) drain(s *shutdown, ctx context.Context, list []*Subscription) {
	after := make([]aftermath, len(list))
	for i, m := range list {
		after[i] = m.impl.drain()
		after[i].settle()
	}
	b.await(s, ctx, b.tell(after))
	for _, m := range list {
		if !m.sync {
			b.await(s, ctx, m.done)
		}
	}
}

// await waits for one thing, unless the closing is halted. Nil is nothing.
func (b *Bus) await(s *shutdown, ctx context.Context, done <-chan struct{}) {
	if done == nil {
		return
	}
	select {
	case <-done:
		return
	default:
	}
	select {
	case <-done:
	case <-s.halted:
	case <-ctx.Done():
		b.halt(s, ctx)
	}
}

// halt ends everything now, once, because a context has ended.
func (b *Bus) halt(s *shutdown, ctx context.Context) {
	var after []aftermath
	s.once.Do(func() {
		defer close(s.halted)
		for _, t := range b.live() {
			t.close(closed)
		}
		e := &DrainError{Err: context.Cause(ctx)}
		members := b.members.list()
		after = make([]aftermath, len(members))
		for i, m := range members {
			var left *SubscriptionStats
			if left, after[i] = m.halt(); left != nil && !m.sync {
				e.Left = append(e.Left, *left)
			}
			after[i].settle()
		}
		b.mu.Lock()
		attached := slices.Clone(b.attached)
		b.mu.Unlock()
		open := 0
		for _, a := range attached {
			if a.halt(context.Cause(ctx)) {
				open++
			}
		}
		if open > 0 {
			e.Err = fmt.Errorf("%w; bridges still open: %d", e.Err, open)
		}
		if len(e.Left) > 0 || open > 0 {
			if errs := closeErrors(attached); len(errs) > 0 {
				s.end(errors.Join(append(errs, e)...))
			} else {
				s.end(e)
			}
			return
		}
		for _, m := range members {
			m.awaitEnd()
		}
		s.end(errors.Join(closeErrors(attached)...))
	})
	<-s.halted
	<-b.tell(after)
}

// tell has the hook told of what subscriptions lost by ending. A hook may end its
// goroutine, and the closing must go on, so it has one of its own.
func (b *Bus) tell(after []aftermath) <-chan struct{} {
	after = slices.DeleteFunc(after, func(a aftermath) bool { return a.lagged+a.discarded == 0 })
	if b.hooks.Dropped == nil || len(after) == 0 {
		return closedChan()
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		each(after, func(a *aftermath) { a.tell(context.Background()) })
	}()
	return told
}

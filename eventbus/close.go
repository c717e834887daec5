package eventbus

import (
	"context"
	"sync"
)

// Flush waits until every event that was accepted before the call has been
// handled, given up or lost by every subscription, retries included; of a Queue,
// until its reader has come back for more, which is also when it may notice that
// events were lost. Events that handlers publish meanwhile
// are not waited for. If ctx ends first the error is its cause. With the context
// of a handler it returns ErrWouldDeadlock, because it would wait for itself.
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
	var settled []<-chan struct{}
	for _, s := range b.members.list() {
		if c := s.impl.watch(); c != nil {
			settled = append(settled, c)
		}
	}
	for _, c := range settled {
		select {
		case <-c:
		case <-ctx.Done():
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
	err  error // set before halted is closed
}

// Close ends the bus. At once, publishes and new subscriptions get ErrClosed,
// also those publishes that wait, and imports stop. Then the queues are worked
// off, those of dead letters last, which are still accepted until then; queues
// stay readable; bridges are closed. Nil means that all was handled and no
// goroutine of the bus is left. If ctx ends first the rest is discarded, the
// contexts of running calls are cancelled, nothing starts any more, and the error
// is a [*DrainError] that counts what was left, for every subscription.
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
	select {
	case <-s.done:
	case <-s.halted:
	case <-ctx.Done():
		b.halt(s, ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// run closes the bus step by step. Events flow from topics to those of dead
// letters and on to bridges, so they end in this order.
func (b *Bus) run(s *shutdown, ctx context.Context) {
	defer close(s.done)
	b.mu.Lock()
	attached := b.attached
	topics := b.liveLocked()
	b.mu.Unlock()
	for _, a := range attached {
		a.stopImport()
	}
	for _, t := range topics {
		state := closed
		if _, dead := t.(*Topic[Failure]); dead {
			state = closing
		}
		t.close(state)
	}
	b.responders.Range(func(_, r any) bool {
		r.(impl).stop(nil)
		return true
	})
	if ctx.Err() != nil {
		b.halt(s, ctx)
	}
	for _, stage := range []func(*Subscription) bool{
		func(m *Subscription) bool { return !m.pattern && !m.ofFailures },
		func(m *Subscription) bool { return m.pattern },
		func(m *Subscription) bool { return true },
	} {
		b.drain(s, ctx, stage)
	}
	for _, t := range topics {
		t.close(closed)
	}
	for _, a := range attached {
		b.await(s, ctx, a.imported)
		a.close(ctx)
	}
}

// drain waits for some of the subscriptions to finish their queues.
func (b *Bus) drain(s *shutdown, ctx context.Context, which func(*Subscription) bool) {
	var list []*Subscription
	for _, m := range b.members.list() {
		if which(m) {
			list = append(list, m)
		}
	}
	for _, m := range list {
		m.impl.drain()
	}
	for _, m := range list {
		if !m.sync {
			b.await(s, ctx, m.done)
		}
	}
}

// await waits for one thing, unless the closing is halted.
func (b *Bus) await(s *shutdown, ctx context.Context, done <-chan struct{}) {
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
	s.once.Do(func() {
		for _, t := range b.live() {
			t.close(closed)
		}
		e := &DrainError{Err: context.Cause(ctx)}
		for _, m := range b.members.list() {
			if left := m.halt(); left != nil && !m.sync {
				e.Left = append(e.Left, *left)
			}
		}
		if len(e.Left) > 0 {
			s.mu.Lock()
			s.err = e
			s.mu.Unlock()
		}
		close(s.halted)
	})
	<-s.halted
}

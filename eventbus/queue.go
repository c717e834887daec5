package eventbus

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// A Queue is a subscription without a handler: its owner takes the events. It is
// safe for concurrent use; each event goes to one reader. An event counts as
// handled when a reader comes back for the next one.
//
// A Queue keeps its events until they are read: one with policy Block that
// nobody reads holds up the publishers of its topic.
type Queue[T any] struct {
	*Subscription

	// mu guards batch. While it is being refilled mu is free and others wait
	// for refilled.
	mu        sync.Mutex
	refilled  sync.Cond
	refilling bool
	batch     batch[T]
	readers   int      // calls and loops that read it now
	lone      *lone[T] // that reads batch without mu

	once sync.Once // of ch
	ch   chan Event[T]
}

func newQueue[T any](s *Subscription) *Queue[T] {
	q := &Queue[T]{Subscription: s}
	q.refilled.L = &q.mu
	return q
}

// usable reports misuse of the handle.
func (q *Queue[T]) usable() error {
	if q == nil || q.Subscription == nil {
		return errZeroQueue
	}
	return nil
}

// Next waits for an event. If ctx ends first the error is its cause. At the end
// of the subscription it is what [Subscription.Err] says, or ErrClosed if that is
// nil.
func (q *Queue[T]) Next(ctx context.Context) (Event[T], error) {
	if err := q.usable(); err != nil {
		return Event[T]{}, err
	}
	if ctx == nil {
		return Event[T]{}, errNilContext
	}
	q.enter(1)
	defer q.enter(-1)
	if ctx.Err() == nil {
		if e, ok := q.take(nil); ok {
			return e, nil
		}
	}
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, q.nudge)()
	}
	e, err := q.wait(ctx, nil)
	if err == errOver { //nolint:errorlint // that very value
		if err = q.reason(); err == nil {
			err = ErrClosed
		}
	}
	return e, err
}

// errOver is the end of the subscription.
var errOver = errors.New("eventbus: over")

// enter counts those who read the queue.
func (q *Queue[T]) enter(n int) {
	q.mu.Lock()
	q.readers += n
	q.mu.Unlock()
}

// take is the next event of those at hand. l, if not nil, gets those after it to
// itself if nobody else reads the queue.
func (q *Queue[T]) take(l *lone[T]) (e Event[T], ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.share(l)
	b := &q.batch
	if q.refilling || b.i >= len(b.events) || !b.hand.begin() {
		return e, false
	}
	e = b.events[b.i]
	b.i++
	if l != nil && q.readers == 1 {
		l.own(q)
	}
	return e, true
}

// wait is take when none is at hand. The end of ctx has to nudge it. The error is
// errOver or the cause of ctx.
func (q *Queue[T]) wait(ctx context.Context, l *lone[T]) (Event[T], error) {
	for {
		if ctx.Err() != nil {
			q.settle() // who asks has come back, though it gets nothing
			return Event[T]{}, context.Cause(ctx)
		}
		select {
		case <-q.stopping:
			return Event[T]{}, errOver
		case <-q.done:
			return Event[T]{}, errOver
		default:
		}
		if !q.refill(ctx) && ctx.Err() == nil {
			q.batch.src.leave(&q.batch)
			return Event[T]{}, errOver
		}
		if e, ok := q.take(l); ok {
			return e, nil
		}
	}
}

// nudge has those who wait for events look at their contexts.
func (q *Queue[T]) nudge() {
	q.batch.src.nudge()
	q.mu.Lock()
	q.refilled.Broadcast()
	q.mu.Unlock()
}

// refill has events at hand, or reports false: the subscription is over, or ctx.
// One reader does it for all.
func (q *Queue[T]) refill(ctx context.Context) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.refilling {
		if ctx.Err() != nil {
			return false
		}
		q.refilled.Wait()
	}
	b := &q.batch
	if b.i < len(b.events) && !b.hand.halted() {
		return true
	}
	q.refilling = true
	q.mu.Unlock()
	over := false
	defer func() {
		q.mu.Lock() // also if a hook has ended the goroutine, for the other readers
		if over {
			b.events, b.i = b.events[:0], 0
		}
		q.refilling = false
		q.refilled.Broadcast()
	}()
	b.release()
	over = !b.src.take(b, ctx)
	return !over
}

// back tells that a reader goes away: what it was given has been handled.
func (q *Queue[T]) back() {
	q.enter(-1)
	q.settle()
}

// settle has what was given to readers count as handled.
func (q *Queue[T]) settle() {
	q.mu.Lock()
	q.share(nil)
	if q.refilling {
		q.mu.Unlock()
		q.batch.src.nudge() // another reader is at it, and settles that too
		return
	}
	q.refilling = true
	q.mu.Unlock()
	q.batch.src.back(&q.batch)
	q.mu.Lock()
	q.refilling = false
	q.refilled.Broadcast()
	q.mu.Unlock()
}

// Events are the events as they come, until ctx or the subscription ends. An
// error is always the last pair; there is none if the subscription ends in an
// orderly way, that is if [Subscription.Err] is nil. Leaving the loop keeps the queue, which can be read on.
func (q *Queue[T]) Events(ctx context.Context) iter.Seq2[Event[T], error] {
	return func(yield func(Event[T], error) bool) {
		if err := q.usable(); err != nil {
			yield(Event[T]{}, err)
			return
		}
		if ctx == nil {
			yield(Event[T]{}, errNilContext)
			return
		}
		if ctx.Done() != nil {
			defer context.AfterFunc(ctx, q.nudge)()
		}
		q.enter(1)
		defer q.back()
		var l lone[T]
		for {
			if ctx.Err() == nil {
				if e := l.next(); e != nil {
					if !yield(*e, nil) {
						return
					}
					continue
				}
				if e, ok := q.take(&l); ok {
					if !yield(e, nil) {
						return
					}
					continue
				}
			}
			e, err := q.wait(ctx, &l)
			if err == errOver { //nolint:errorlint // that very value
				if err = q.reason(); err == nil {
					return
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Events are the events from now on, for as long as the loop lasts: leaving it,
// or the end of ctx, ends the subscription. An error is always the last pair.
func (t *Topic[T]) Events(ctx context.Context) iter.Seq2[Event[T], error] {
	return func(yield func(Event[T], error) bool) {
		q, err := t.Queue(ctx, SubscribeConfig[T]{})
		if err != nil {
			yield(Event[T]{}, err)
			return
		}
		defer q.Cancel()
		for e, err := range q.Events(ctx) {
			if !yield(e, err) {
				return
			}
		}
	}
}

// Chan returns the events on a channel without a buffer, always the same one,
// which is closed once the subscription has ended. An event is handled when it
// has been received. The goroutine that this takes ends with the subscription.
func (q *Queue[T]) Chan() <-chan Event[T] {
	if q.usable() != nil {
		c := make(chan Event[T])
		close(c)
		return c
	}
	q.once.Do(func() {
		q.ch = make(chan Event[T])
		go q.feed()
	})
	return q.ch
}

func (q *Queue[T]) feed() {
	defer close(q.ch)
	q.enter(1)
	defer q.back()
	for {
		e, ok := q.reserve()
		switch {
		case ok:
			select {
			case q.ch <- e:
			case <-q.stopping:
				return
			}
			// Only now: an event that nobody received is not handled. If the
			// end came in between, it has been counted as discarded.
			if !q.batch.hand.begin() {
				q.batch.src.received()
				return
			}
			q.settle()
		case !q.refill(context.Background()):
			q.batch.src.leave(&q.batch)
			return
		}
	}
}

// reserve is the next event of those at hand, which is not yet begun.
func (q *Queue[T]) reserve() (e Event[T], ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.share(nil)
	b := &q.batch
	if q.refilling || b.i >= len(b.events) || b.hand.halted() {
		return e, false
	}
	e = b.events[b.i]
	b.i++
	return e, true
}

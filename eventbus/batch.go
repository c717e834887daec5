package eventbus

import "context"

// A batch is what one hand has taken at once, on its way from the queue to the
// handler.
type batch[T any] struct {
	hand hand
	src  source[T]
	bare bool // the handler wants the data alone

	// One of these holds the events, from the oldest on. Both begin small.
	events []Event[T]
	data   []T

	// With data: the context they all came with, if even, else those of each.
	even bool
	ctx  context.Context //nolint:containedctx // on its way to the handler
	ctxs []context.Context

	last *handlerCtx // of the last call; good for more of the same publisher's

	i int // the next to begin; only the hand itself uses it
}

// source is the queue of a subscription.
type source[T any] interface {
	take(b *batch[T], ctx context.Context) bool
	leave(b *batch[T])
	back(b *batch[T])
	nudge() // has those who wait look at their contexts

	// received corrects the account: an event was handled that had been
	// counted as discarded.
	received()
}

// resized is s with n elements, which are to be overwritten.
func resized[E any](s []E, n int) []E {
	if n <= cap(s) {
		return s[:n]
	}
	return make([]E, n, max(n, min(2*cap(s), 64), 8))
}

// copy takes n events from the ring of t. The lock of t is held.
func (b *batch[T]) copy(t *Topic[T], first int64, n int, lag uint64) {
	r := &t.ring
	b.i = 0
	if !b.bare {
		b.events = resized(b.events, n)
		for i := range b.events {
			b.events[i] = r.event(first+int64(i), t.info)
		}
		b.events[0].Lag = lag
		b.hand.took(n)
		return
	}
	b.data = resized(b.data, n)
	r.copyData(b.data, first)
	if b.even = r.even; b.even {
		b.ctx = r.ctx
	} else {
		b.ctxs = resized(b.ctxs, n)
		for i := range b.ctxs {
			b.ctxs[i] = r.slots[(first+int64(i))&r.mask].ctx //nolint:fatcontext // copied, not nested
		}
	}
	b.hand.took(n)
}

// fill takes events that were queued elsewhere. The lock of the queue is held.
func (b *batch[T]) fill(events []Event[T]) {
	n := len(events)
	if n == 0 {
		return
	}
	b.i = 0
	b.hand.took(n)
	if !b.bare {
		b.events = resized(b.events, n)
		copy(b.events, events)
		return
	}
	b.even = false
	b.data = resized(b.data, n)
	b.ctxs = resized(b.ctxs, n)
	for i := range events {
		b.data[i], b.ctxs[i] = events[i].Data, events[i].ctx
	}
}

// release lets go of what was handled, so that no event outlives its handling.
func (b *batch[T]) release() {
	clear(b.events)
	clear(b.data)
	clear(b.ctxs)
	b.ctx = nil
}

// parks lets go of the publisher's context too, which may hold anything. That of
// most publishers is kept, so that a busy handler need not get another.
func (b *batch[T]) parks() {
	if b.last != nil && b.last.values != context.Background() {
		b.last = nil
	}
}

// context is that of the publisher of the i-th event.
func (b *batch[T]) context(i int) context.Context {
	switch {
	case !b.bare:
		return b.events[i].ctx
	case b.even:
		return b.ctx
	}
	return b.ctxs[i]
}

package eventbus

import (
	"context"
	"time"
)

// A handlerCtx is the context of handlers: the values of the publisher's
// context, the lifetime of the subscription. Handlers may keep it, so it is made
// once and never changed or used again for another publisher's.
type handlerCtx struct {
	values context.Context //nolint:containedctx // it is a context
	life   *lifetime
	hand   *hand // whose handler it was made for
}

// A timedCtx is that of one attempt, with the publisher's values at hand.
type timedCtx struct {
	context.Context //nolint:containedctx // it is a context

	values context.Context //nolint:containedctx // those of the handlerCtx it was made from
}

// publishers is the context of which the bus made ctx, or ctx: else a chain of
// handlers that publish would be a chain of contexts.
func publishers(ctx context.Context) context.Context {
	switch c := ctx.(type) {
	case *handlerCtx:
		return c.values
	case *timedCtx:
		return c.values
	}
	return ctx
}

// handKey is the key by which a context tells that it belongs to a handler.
type handKey struct{}

// handOf is the hand whose handler got the context or one that it was made
// from. Nil: none, or one of another bus.
func handOf(ctx context.Context, b *Bus) *hand {
	h, _ := ctx.Value(handKey{}).(*hand)
	if h == nil || h.sub.bus != b {
		return nil
	}
	return h
}

func (c *handlerCtx) Deadline() (time.Time, bool) { return c.life.outer.Deadline() }
func (c *handlerCtx) Done() <-chan struct{}       { return c.life.ctx.Done() }
func (c *handlerCtx) Err() error                  { return c.life.ctx.Err() }

// Value asks the lifetime first. That has no values, but it makes itself known
// to package context: else every context derived from this one would cost a
// goroutine, and context.Cause would tell the publisher's cause.
func (c *handlerCtx) Value(key any) any {
	if key == (handKey{}) {
		return c.hand
	}
	if v := c.life.ctx.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}

// A lifetime is how long calls of a subscription's handler are wanted.
type lifetime struct {
	outer  context.Context //nolint:containedctx // given to Subscribe; asked for its deadline
	ctx    context.Context //nolint:containedctx // without values; ends with the lifetime
	cancel context.CancelCauseFunc
}

func newLifetime(outer context.Context) lifetime {
	ctx, cancel := context.WithCancelCause(context.Background())
	return lifetime{outer, ctx, cancel}
}

package eventbus

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Publish gives data to every subscription of the topic. Nil means that each of
// them has the event in its queue, or has counted a loss that its own policy
// allows; on a Sync topic, that every handler returned nil. Otherwise nobody got
// it, but for Sync topics, where the errors of the handlers are joined.
//
// It waits only for the room of subscriptions with policy Block, and only until
// ctx ends: with room it succeeds even if ctx has ended, because an event about
// a cancelled request is still an event. All subscriptions share data, so treat
// it as immutable. The error matches ErrClosed, ErrFull, ErrWouldDeadlock or is
// the cause of ctx.
func (t *Topic[T]) Publish(ctx context.Context, data T) error {
	if t == nil || t.bus == nil || ctx == nil || t.sync != nil || t.bus.intercepts {
		return t.publish(ctx, nil, data, false)
	}
	t.mu.Lock()
	if r := &t.ring; r.next < t.until && ctx == r.ctx {
		r.data[r.next&r.mask] = data
		r.next++
		r.caught = 0
		t.unparkAndUnlock()
		return nil
	}
	p := t.newPending(ctx)
	p.one[0] = data
	_, err := t.submit(p)
	return err
}

// unparkAndUnlock wakes the readers of the ring if there are any that wait.
func (t *Topic[T]) unparkAndUnlock() {
	parked := t.parked.take()
	t.mu.Unlock()
	t.parked.wake(parked)
}

// PublishWith is Publish with an envelope.
func (t *Topic[T]) PublishWith(ctx context.Context, cfg PublishConfig, data T) error {
	return t.publish(ctx, &cfg, data, false)
}

// TryPublish is Publish for those who cannot wait, such as hooks: where Publish
// would, it returns an error that matches ErrFull and names the subscription.
// Nothing of ctx matters but its values.
func (t *Topic[T]) TryPublish(ctx context.Context, data T) error {
	return t.publish(ctx, nil, data, true)
}

// publish is any publish of one event. cfg may be nil.
func (t *Topic[T]) publish(ctx context.Context, cfg *PublishConfig, data T, try bool) error {
	if err := t.usable(); err != nil {
		return err
	}
	if ctx == nil {
		return errNilContext
	}
	var m *meta
	mandatory := false
	if cfg != nil {
		m, mandatory = newMeta(cfg), cfg.Mandatory
	}
	_, err := t.publishMeta(ctx, m, data, mode{mandatory: mandatory, try: try})
	return err
}

// mode is how one event is published.
type mode struct{ mandatory, try, dead bool }

// publishMeta publishes one event and returns how many were accepted: on a Sync
// topic one, too, whose handlers failed.
func (t *Topic[T]) publishMeta(ctx context.Context, m *meta, data T, how mode) (int, error) {
	if t.bus.intercepts {
		return t.intercepted(ctx, m, []T{data}, how)
	}
	if t.sync != nil && m == nil {
		if done, n, err := t.sync.publish(ctx, data); done {
			return n, err
		}
	}
	t.mu.Lock()
	p := t.newPending(ctx)
	p.one[0] = data
	if m != nil {
		p.envelope(m)
	}
	p.mode = how
	return t.submit(p)
}

// bury publishes a dead letter, unless it is about another: a pattern may cover the
// topic of its own. The bus takes it even while it is closing.
func bury(ctx context.Context, t *Topic[Failure], f Failure) {
	if _, letter := f.Event.Data.(Failure); letter {
		return
	}
	_, err := t.publishMeta(ctx, nil, f, mode{dead: true})
	hook := t.bus.hooks.Failed
	if err == nil || hook == nil {
		return
	}
	f.Final, f.Err = true, errors.Join(f.Err, fmt.Errorf("eventbus: dead letter: %w", err))
	t.info.contain(func() { hook(ctx, f) })
}

// PublishBatch publishes events in one go, as if by as many calls of Publish but
// with one lock and one wake-up. A batch no longer than the smallest Capacity of
// the topic and its subscriptions with Block or Fail is accepted as a whole with
// consecutive Seq, or not at all; a longer one is cut into such pieces. It
// returns how many events were accepted, which is less than len(data) only with
// an error. On a Sync topic the events follow each other; those that handlers
// failed at were accepted, too, and the batch ends at the first that is refused.
func (t *Topic[T]) PublishBatch(ctx context.Context, data []T) (int, error) {
	if err := t.usable(); err != nil {
		return 0, err
	}
	switch {
	case ctx == nil:
		return 0, errNilContext
	case len(data) == 0:
		return 0, nil
	case t.sync != nil:
		return t.oneByOne(ctx, data)
	case t.bus.intercepts:
		return t.intercepted(ctx, nil, data, mode{})
	}
	n := 0
	for n < len(data) {
		t.mu.Lock()
		k := min(len(data)-n, t.longest())
		if t.ring.next+int64(k) <= t.until && ctx == t.ring.ctx {
			t.ring.putEven(data[n : n+k])
			t.unparkAndUnlock()
			n += k
			continue
		}
		p := t.newPending(ctx)
		p.data = data[n : n+k]
		k, err := t.submit(p) // fewer, if a smaller subscription came meanwhile
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// oneByOne publishes a batch on a Sync topic.
func (t *Topic[T]) oneByOne(ctx context.Context, data []T) (int, error) {
	var errs []error
	for i, d := range data {
		n, err := t.publishMeta(ctx, nil, d, mode{})
		if err != nil {
			errs = append(errs, err)
		}
		if n == 0 && err != nil { // refused
			return i, errors.Join(errs...)
		}
	}
	return len(data), errors.Join(errs...)
}

// intercepted publishes through the interceptors: those of the first event
// around those of the second, and so on, with the publish of all that were let
// through inside. So a batch is still accepted as a whole, and every interceptor
// sees what became of it.
func (t *Topic[T]) intercepted(ctx context.Context, m *meta, data []T, how mode) (int, error) {
	piece := len(data)
	if len(data) > 1 {
		t.mu.Lock()
		piece = min(piece, t.longest())
		t.mu.Unlock()
	}
	n := 0
	for n < len(data) {
		k := min(piece, len(data)-n)
		in := interception[T]{topic: t, meta: m, how: how}
		if err := in.publish(ctx, data[n:n+k]); err != nil {
			return n + min(in.accepted, k), err
		}
		n += k
	}
	return n, nil
}

// An interception is one publish on its way through the interceptors.
type interception[T any] struct {
	topic *Topic[T]
	meta  *meta
	how   mode
	data  []T // that was let through
	ctxs  []context.Context

	accepted int // in all
}

// publish sends the rest through the interceptors, and publishes at its end.
func (in *interception[T]) publish(ctx context.Context, rest []T) error {
	if len(rest) == 0 {
		return in.commit()
	}
	t := in.topic
	passed := false
	inner := func(got context.Context, e Event[any]) error {
		if got == nil {
			return errNilContext
		}
		typed, err := assertEvent[T](e)
		if err != nil {
			return err
		}
		kept := len(in.data)
		in.data, in.ctxs = append(in.data, typed.Data), append(in.ctxs, got)
		passed = true
		err = in.publish(ctx, rest[1:])
		in.data, in.ctxs = in.data[:kept], in.ctxs[:kept] // should it be called again
		return err
	}
	h, err := chain("AroundPublish", t.bus.aroundPublish, inner)
	if err != nil {
		return err
	}
	e := Event[any]{Data: rest[0], envelope: envelope{origin{ctx: ctx, meta: in.meta}, t.info}}
	if perr := safely(func() { err = h(ctx, e) }); perr != nil {
		return perr
	}
	if err == nil && !passed {
		return in.publish(ctx, rest[1:]) // it was swallowed, the others were not
	}
	return err
}

func (in *interception[T]) commit() error {
	t := in.topic
	if len(in.data) == 0 {
		return nil
	}
	if t.sync != nil && in.meta == nil {
		if done, n, err := t.sync.publish(in.ctxs[0], in.data[0]); done {
			in.accepted += n
			return err
		}
	}
	data, ctxs := slices.Clone(in.data), slices.Clone(in.ctxs)
	for len(data) > 0 {
		t.mu.Lock()
		p := t.newPending(ctxs[0])
		p.data, p.ctxs = data, ctxs
		if in.meta != nil {
			p.envelope(in.meta)
		}
		p.mode = in.how
		n, err := t.submit(p)
		in.accepted += n
		if err != nil {
			return err
		}
		data, ctxs = data[n:], ctxs[n:]
	}
	return nil
}

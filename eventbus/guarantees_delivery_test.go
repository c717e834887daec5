package eventbus_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestG13_OnceUnlessRetried(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var saw []int
			var mu sync.Mutex
			s := k.subscribe(t, b, x, nil, func(_ context.Context, i int) error {
				mu.Lock()
				defer mu.Unlock()
				saw = append(saw, i)
				if i%2 == 0 {
					return assert.AnError
				}
				return nil
			})
			for i := range 100 {
				_ = x.Publish(bg, i) // on a Sync topic the error is the handler's
			}
			closed(t, b)
			assert.Equal(t, ints(0, 99), saw)
			assert.EqualValues(t, 50, s.Stats().Handled)
			assert.EqualValues(t, 50, s.Stats().Failed)
			assert.Zero(t, s.Stats().Retried)
		})
	}
}

func TestG13_RetriesAreOfTheSameEvent(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var saw []int
			var mu sync.Mutex
			s := k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) {
				c.Retry = eventbus.Retry{Attempts: 3, Wait: time.Second}
			}, func(_ context.Context, i int) error {
				mu.Lock()
				defer mu.Unlock()
				saw = append(saw, i)
				if i == 2 || i == 3 && len(saw) < 7 {
					return assert.AnError
				}
				return nil
			})
			for i := 1; i <= 4; i++ {
				_ = x.Publish(bg, i)
			}
			closed(t, b)
			assert.Equal(t, []int{1, 2, 2, 2, 3, 3, 3, 4}, saw)
			st := s.Stats()
			assert.EqualValues(t, []uint64{3, 1, 4}, []uint64{st.Handled, st.Failed, st.Retried})
			accounted(t, 4, s)
		})
	}
}

// The context of a handler: the values of the publisher's, and an end that is not
// the publisher's.
func TestG15_ValuesWithoutTheEnd(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			calls := 0
			var kept []context.Context
			gate := make(chan struct{})
			s := k.subscribe(t, b, x, nil, func(ctx context.Context, i int) error {
				<-gate
				calls++
				kept = append(kept, ctx)
				assert.Equal(t, i, ctx.Value(ctxKey{}))
				assert.NoError(t, ctx.Err())
				assert.NoError(t, context.Cause(ctx))
				if k.name != "with Timeout" {
					_, has := ctx.Deadline()
					assert.False(t, has)
				}
				return nil
			})
			for i := range 3 {
				ctx, cancel := context.WithTimeout(context.WithValue(bg, ctxKey{}, i), time.Second)
				require.NoError(t, x.Publish(ctx, i))
				cancel()
			}
			close(gate)
			closed(t, b)
			<-s.Done()
			assert.Equal(t, 3, calls)
			for i, ctx := range kept { // the contexts can be kept
				assert.Equal(t, i, ctx.Value(ctxKey{}))
			}
		})
	}
}

func TestG15_WhatEndsTheContext(t *testing.T) {
	ways := map[string]struct {
		end  func(b *eventbus.Bus, s *eventbus.Subscription, cancel context.CancelCauseFunc)
		want error // nil: it does not end
	}{
		"the context of Subscribe": {func(_ *eventbus.Bus, _ *eventbus.Subscription, cancel context.CancelCauseFunc) {
			cancel(assert.AnError)
		}, assert.AnError},
		"Cancel": {func(_ *eventbus.Bus, s *eventbus.Subscription, _ context.CancelCauseFunc) { s.Cancel() }, nil},
		"Drain": {func(_ *eventbus.Bus, s *eventbus.Subscription, _ context.CancelCauseFunc) {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			_ = s.Drain(ctx)
		}, eventbus.ErrClosed},
		"Close": {func(b *eventbus.Bus, _ *eventbus.Subscription, _ context.CancelCauseFunc) {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			_ = b.Close(ctx)
		}, eventbus.ErrClosed},
	}
	for name, way := range ways {
		for _, k := range queuedKinds {
			k.name = name + ": " + k.name
			k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
				ctx, cancel := context.WithCancelCause(bg)
				defer cancel(nil)
				cause := make(chan error, 1)
				s := k.subscribeCtx(ctx, t, b, x, nil, func(ctx context.Context, _ int) error {
					select {
					case <-ctx.Done():
						cause <- context.Cause(ctx)
					case <-time.After(time.Hour):
						cause <- nil
					}
					return nil
				})
				publish(t, x, 1)
				synctest.Wait()
				way.end(b, s, cancel)
				assert.Equal(t, way.want, <-cause)
				<-s.Done()
				switch name {
				case "the context of Subscribe":
					assert.Equal(t, assert.AnError, s.Err())
				case "Cancel":
					assert.NoError(t, s.Err())
				default:
					assert.ErrorIs(t, s.Err(), eventbus.ErrClosed)
				}
				_ = b.Close(bg)
			})
		}
	}
}

// The deadline of the context given to Subscribe is the handler's too.
func TestG15_DeadlineOfSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		ctx, cancel := context.WithTimeout(bg, time.Hour)
		defer cancel()
		want, _ := ctx.Deadline()
		var got time.Time
		_, err := x.Subscribe(ctx, func(ctx context.Context, _ int) error {
			got, _ = ctx.Deadline()
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 1)
		closed(t, b)
		assert.Equal(t, want, got)
	})
}

// Contexts derived in a handler belong to the tree of package context: a foreign
// one would cost a goroutine for each.
func TestG15_DerivedContextsCostNoGoroutine(t *testing.T) {
	for _, k := range queuedKinds[:5] {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var before, after int
			k.subscribe(t, b, x, nil, func(ctx context.Context, _ int) error {
				before = runtime.NumGoroutine()
				for range 100 {
					child, cancel := context.WithCancel(context.WithValue(ctx, ctxKey{}, 1))
					defer cancel()
					defer context.AfterFunc(child, func() {})()
				}
				after = runtime.NumGoroutine()
				return nil
			})
			parent, cancel := context.WithCancel(bg)
			defer cancel()
			require.NoError(t, x.Publish(parent, 1))
			closed(t, b)
			assert.Less(t, after-before, 50)
		})
	}
}

// A Sync handler is called with the publisher's context, unchanged.
func TestG5_G15_ASyncHandlerGetsThePublishersContext(t *testing.T) {
	for _, k := range syncKinds[:3] {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			ctx, cancel := context.WithCancelCause(context.WithValue(bg, ctxKey{}, 1))
			var got []context.Context
			k.subscribe(t, b, x, nil, func(ctx context.Context, _ int) error {
				got = append(got, ctx)
				return nil
			})
			require.NoError(t, x.Publish(ctx, 1))
			cancel(assert.AnError)
			require.NoError(t, x.Publish(ctx, 2))
			assert.Equal(t, []context.Context{ctx, ctx}, got)
			closed(t, b)
		})
	}
}

// The context that an event carries has the values, no end, and belongs to no
// handler any more.
func TestG15_TheContextOfAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{})
		q, err := y.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		_, err = x.Subscribe(bg, y.Publish)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(context.WithValue(bg, ctxKey{}, "v"))
		require.NoError(t, x.Publish(ctx, 1))
		cancel()
		e, err := q.Next(bg)
		require.NoError(t, err)
		assert.Equal(t, "v", e.Context().Value(ctxKey{}))
		assert.NoError(t, e.Context().Err())
		assert.Nil(t, e.Context().Done())
		go q.Cancel()
		require.NoError(t, b.Flush(e.Context()), "not the context of a handler")
		assert.Equal(t, bg, eventbus.Event[int]{}.Context())
		closed(t, b)
	})
}

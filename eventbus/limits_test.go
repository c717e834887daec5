package eventbus_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// The smallest capacity of those that gate counts, whatever room the others have.
func TestG8_TheSmallestCapacityDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Untimed: true})
		small, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 2})
		require.NoError(t, err)
		large, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 100})
		require.NoError(t, err)
		done := 0
		go func() {
			for i := range 4 {
				assert.NoError(t, x.Publish(bg, i))
				done++
			}
		}()
		synctest.Wait()
		assert.Equal(t, 2, done)
		assert.Equal(t, 2, small.Stats().Depth)
		assert.Equal(t, 2, large.Stats().Depth)
		small.Cancel()
		synctest.Wait()
		assert.Equal(t, 4, done)
		large.Cancel()
		closed(t, b)
	})
}

// An aContext is a context that cannot be compared with another of its type.
type aContext struct {
	context.Context //nolint:containedctx // it is a context
	values          []string
}

func (c aContext) Value(key any) any {
	if key == (ctxKey{}) {
		return c.values[0]
	}
	return c.Context.Value(key)
}

// Contexts that == panics for are as good as others.
func TestG15_ContextsThatCannotBeCompared(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var seen []any
			k.subscribe(t, b, x, nil, func(ctx context.Context, _ int) error {
				seen = append(seen, ctx.Value(ctxKey{}))
				return nil
			})
			for _, v := range []string{"a", "b", "c"} {
				require.NoError(t, x.Publish(aContext{bg, []string{v}}, 1))
			}
			n, err := x.PublishBatch(aContext{bg, []string{"d"}}, []int{2, 3})
			require.NoError(t, err)
			require.Equal(t, 2, n)
			closed(t, b)
			assert.Equal(t, []any{"a", "b", "c", "d", "d"}, seen)
		})
	}
}

// What one has taken is not gone for another who is behind, whichever way it was
// published.
func TestG14_OneMayBeBehindTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		ahead := make([]int, 0, 40)
		_, err := x.Subscribe(bg, func(_ context.Context, i int) error {
			ahead = append(ahead, i)
			return nil
		})
		require.NoError(t, err)
		behind := make([]int, 0, 40)
		gate := make(chan struct{})
		_, err = x.Subscribe(bg, func(_ context.Context, i int) error {
			<-gate
			behind = append(behind, i)
			return nil
		})
		require.NoError(t, err)
		for i := 0; i < 40; i += 10 {
			publish(t, x, ints(i+1, i+5)...)
			synctest.Wait()
			n, err := x.PublishBatch(bg, ints(i+6, i+10))
			require.NoError(t, err)
			require.Equal(t, 5, n)
			synctest.Wait()
		}
		assert.Equal(t, ints(1, 40), ahead)
		close(gate)
		closed(t, b)
		assert.Equal(t, ints(1, 40), behind)
	})
}

// A batch waits until there is room for all of it.
func TestG10_ABatchWaitsForRoomForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 4})
		gate := make(chan struct{})
		s, err := x.Subscribe(bg, func(context.Context, int) error {
			<-gate
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 1)
		synctest.Wait()
		publish(t, x, 2)
		ended, cancel := context.WithCancel(bg)
		cancel()
		n, err := x.PublishBatch(ended, ints(3, 6))
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, n)
		accepted := 0
		go func() {
			n, err := x.PublishBatch(bg, ints(3, 6))
			assert.NoError(t, err)
			accepted = n
		}()
		synctest.Wait()
		assert.Equal(t, 1, s.Stats().Depth)
		gate <- struct{}{}
		synctest.Wait()
		assert.Equal(t, 4, accepted)
		assert.Equal(t, 4, s.Stats().Depth)
		close(gate)
		closed(t, b)
	})
}

// All events of a batch that was intercepted are published, each with the context
// that it was passed on with.
func TestG12_BatchesKeepTheirContexts(t *testing.T) {
	marks := func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			return next(context.WithValue(ctx, ctxKey{}, e.Data), e)
		}
	}
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		k.bus.AroundPublish = []eventbus.Interceptor{marks}
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var seen []int
			k.subscribe(t, b, x, nil, func(ctx context.Context, i int) error {
				assert.Equal(t, i, ctx.Value(ctxKey{}))
				seen = append(seen, i)
				return nil
			})
			for i := range 3 {
				n, err := x.PublishBatch(bg, ints(3*i+1, 3*i+3))
				require.NoError(t, err)
				require.Equal(t, 3, n)
			}
			closed(t, b)
			assert.Equal(t, ints(1, 9), seen)
		})
	}
}

package eventbus_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Whoever looks for events time and again, and finds none, leaves nothing behind.
func TestG41_LookingInVainCostsNoMemory(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: q.filter})
				require.NoError(t, err)
				look := func(n int) uint64 {
					for range n {
						ctx, cancel := context.WithTimeout(bg, time.Second)
						_, err := q.Next(ctx)
						require.ErrorIs(t, err, context.DeadlineExceeded)
						cancel()
					}
					var m runtime.MemStats
					for range 3 {
						runtime.GC()
					}
					runtime.ReadMemStats(&m)
					return m.HeapAlloc
				}
				before := look(1000)
				after := look(30_000)
				assert.Less(t, int64(after)-int64(before), int64(64<<10)) //nolint:gosec // far from the limits
				q.Cancel()
				closed(t, b)
			})
		})
	}
}

// A handler that had to wait in a publish is not remembered beyond its end.
func TestG41_HandlersThatWaitedAreLetGoOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{Capacity: 1})
		q, err := y.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		publish(t, y, 0)
		var refs []weak.Pointer[eventbus.Subscription]
		for i := range 3 {
			s, err := x.Subscribe(bg, func(ctx context.Context, i int) error { return y.Publish(ctx, i) })
			require.NoError(t, err)
			refs = append(refs, weak.Make(s))
			publish(t, x, i+1)
			synctest.Wait()
			assert.Equal(t, 1, y.Stats().Waiting)
			e, err := q.Next(bg)
			require.NoError(t, err)
			assert.Equal(t, i, e.Data)
			synctest.Wait()
			s.Cancel()
			<-s.Done()
		}
		_, err = q.Next(bg)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		_, err = q.Next(ctx) // lets go of the last event, which came with the context of a handler
		require.ErrorIs(t, err, context.DeadlineExceeded)
		referredTo(t, 0, refs, "hands")
		runtime.KeepAlive(y)
		q.Cancel()
		closed(t, b)
	})
}

// Waited is the time of the waiting alone.
func TestG8_WaitedIsTheTimeOfTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 1)
		for i := range 3 {
			time.Sleep(time.Hour)
			go publish(t, x, 2+i)
			time.Sleep(2 * time.Second)
			_, err := q.Next(bg)
			require.NoError(t, err)
			synctest.Wait()
		}
		assert.Equal(t, 6*time.Second, x.Stats().Waited)
		q.Cancel()
		closed(t, b)
	})
}

package eventbus_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Subscriptions with and without a queue of their own get the same events, also
// while one of the latter is stuck.
func TestG14_QueuesOfBothKindsOnOneTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Untimed: true})
		gate := make(chan struct{})
		var shared, own []int
		_, err := x.Subscribe(bg, func(_ context.Context, i int) error {
			<-gate
			shared = append(shared, i)
			return nil
		})
		require.NoError(t, err)
		_, err = x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Filter: all}, func(_ context.Context, i int) error {
			own = append(own, i)
			return nil
		})
		require.NoError(t, err)
		for i := range 5 {
			publish(t, x, 4*i+1, 4*i+2)
			n, err := x.PublishBatch(bg, ints(4*i+3, 4*i+4))
			require.NoError(t, err)
			require.Equal(t, 2, n)
		}
		synctest.Wait()
		assert.Equal(t, ints(1, 20), own)
		close(gate)
		closed(t, b)
		assert.Equal(t, ints(1, 20), shared)
	})
}

// Events before From are not covered, so they take no room.
func TestG29_EventsBeforeFromTakeNoRoom(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
			s, err := x.Queue(bg, eventbus.SubscribeConfig[int]{From: 8, Capacity: 2, Filter: q.filter})
			require.NoError(t, err)
			for i := range 9 {
				require.NoError(t, x.TryPublish(bg, i+1))
			}
			require.ErrorIs(t, x.TryPublish(bg, 10), eventbus.ErrFull)
			assert.Equal(t, 2, s.Stats().Depth)
			for i := 8; i <= 9; i++ {
				e, err := s.Next(bg)
				require.NoError(t, err)
				assert.Equal(t, i, e.Data)
				assert.Zero(t, e.Lag)
			}
			s.Cancel()
			accounted(t, 2, s.Subscription)
			closed(t, b)
		})
	}
}

// A dead letter that waits for room when the bus is closed is not refused.
func TestG34_DeadLettersThatWait(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := eventbus.MustNew(eventbus.Config{})
				dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{Capacity: 1})
				x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
				g, _ := stuck(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
				_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Filter: q.filter}, func(context.Context, int) error { return assert.AnError })
				require.NoError(t, err)
				publish(t, x, ints(1, 5)...)
				synctest.Wait()
				assert.Equal(t, 1, dead.Stats().Waiting)
				done := false
				go func() {
					assert.NoError(t, b.Close(bg))
					done = true
				}()
				synctest.Wait()
				assert.False(t, done)
				g.open()
				synctest.Wait()
				assert.True(t, done)
				assert.Len(t, g.data(), 5)
			})
		})
	}
}

// The limit of a subscription that has ended cuts no batches any more.
func TestG10_TheLimitsOfOthersThatWere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 10})
		g, s := stuck(t, x, eventbus.SubscribeConfig[int]{})
		small, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 2})
		require.NoError(t, err)
		n, err := x.PublishBatch(bg, ints(1, 2))
		require.NoError(t, err)
		require.Equal(t, 2, n)
		synctest.Wait()
		small.Cancel()
		<-small.Done()
		publish(t, x, ints(3, 7)...)
		ended, cancel := context.WithCancel(bg)
		cancel()
		n, err = x.PublishBatch(ended, ints(8, 15))
		require.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, n)
		assert.Equal(t, 6, s.Stats().Depth)
		g.open()
		closed(t, b)
		assert.Equal(t, ints(1, 7), g.data())
	})
}

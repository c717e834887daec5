package eventbus_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Dropped is never called twice at a time: whoever comes while it runs leaves what
// there is to tell to those who are at it.
func TestG22_DroppedIsToldOneAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		running, most := 0, 0
		var told uint64
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(d eventbus.Drop) {
			running++
			most = max(most, running)
			<-gate
			running--
			told += d.Lagged
		}}}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropNewest, Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 0)
		go publish(t, x, 1)
		synctest.Wait()
		publish(t, x, 2, 3) // do not wait for the hook
		close(gate)
		synctest.Wait()
		assert.Equal(t, 1, most)
		assert.EqualValues(t, 3, told)
		q.Cancel()
		closed(t, b)
	})
}

// Of the events that a worker took at once none begins after Cancel.
func TestG23_TheRestOfABatchIsDiscarded(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			gate := make(chan struct{})
			var seen []int
			s := k.subscribe(t, b, x, nil, func(_ context.Context, i int) error {
				seen = append(seen, i)
				<-gate
				return nil
			})
			publish(t, x, 1)
			synctest.Wait()
			publish(t, x, ints(2, 10)...)
			gate <- struct{}{}
			synctest.Wait() // it has taken the others
			s.Cancel()
			close(gate)
			<-s.Done()
			assert.Equal(t, ints(1, 2), seen)
			accounted(t, 10, s)
			assert.EqualValues(t, 8, s.Stats().Discarded)
			closed(t, b)
		})
	}
}

// A hook that takes its time holds up a Close in its orderly part no longer than the
// context of that lasts.
func TestG34_ASlowHookDoesNotHoldUpClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		b := eventbus.MustNew(eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(eventbus.Drop) { <-gate }}})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		q, err := dead.Queue(bg, eventbus.SubscribeConfig[eventbus.Failure]{Capacity: 1, OnFull: eventbus.DropOldest})
		require.NoError(t, err)
		publish(t, dead, eventbus.Failure{}, eventbus.Failure{}) // the loss is noticed when it drains
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		began := time.Now()
		var left *eventbus.DrainError
		require.ErrorAs(t, b.Close(ctx), &left)
		assert.Equal(t, time.Second, time.Since(began))
		require.Len(t, left.Left, 1)
		assert.EqualValues(t, 1, left.Left[0].Discarded)
		assert.EqualValues(t, 1, left.Left[0].Lagged)
		close(gate)
		<-q.Done()
	})
}

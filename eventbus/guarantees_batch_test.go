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

// The smallest capacity of the topic and of the gating subscriptions is what is
// accepted as a whole; that of others does not matter.
func TestG10_AsAWholeUpToTheSmallestCapacity(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 8})
				for _, cfg := range []eventbus.SubscribeConfig[int]{
					{Capacity: 5, OnFull: eventbus.Fail},
					{Capacity: 1, OnFull: eventbus.DropOldest},
					{Capacity: 1, OnFull: eventbus.DropNewest},
				} {
					cfg.Filter = q.filter
					q, err := x.Queue(bg, cfg)
					require.NoError(t, err)
					defer q.Cancel()
				}
				n, err := x.PublishBatch(bg, ints(1, 5))
				require.NoError(t, err)
				assert.Equal(t, 5, n)
				assert.EqualValues(t, 5, x.Stats().Seq)
				n, err = x.PublishBatch(bg, ints(6, 7))
				require.ErrorIs(t, err, eventbus.ErrFull)
				assert.Zero(t, n)
				assert.EqualValues(t, 5, x.Stats().Seq, "a refused batch takes no Seq")
				ctx, cancel := context.WithCancel(bg)
				cancel()
				require.ErrorAs(t, b.Close(ctx), new(*eventbus.DrainError))
			})
		})
	}
}

func TestG10_TheTopicsCapacityLimitsBatchesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 3})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 4, Filter: func(int) bool { return true }})
		require.NoError(t, err)
		publish(t, x, 0)
		// There is room for 3, and a batch of 4 is cut into 3 and 1.
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		n, err := x.PublishBatch(ctx, ints(1, 4))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3, n)
		assert.Equal(t, 4, q.Stats().Depth)
		q.Cancel()
		closed(t, b)
	})
}

// One that is longer is cut into pieces, each with consecutive Seq, and the count
// tells how many events were accepted before the end of the context.
func TestG10_LongerOnesInPieces(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 4})
				slow, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: q.filter})
				require.NoError(t, err)
				ctx, cancel := context.WithTimeoutCause(bg, time.Second, assert.AnError)
				defer cancel()
				n, err := x.PublishBatch(ctx, ints(1, 10))
				assert.Equal(t, assert.AnError, err)
				assert.Equal(t, 4, n)

				done := make(chan int)
				go func() {
					n, err := x.PublishBatch(bg, ints(5, 13))
					assert.NoError(t, err)
					done <- n
				}()
				synctest.Wait()
				go func() { assert.NoError(t, x.Publish(bg, 99)) }() // between two pieces
				for i := range 14 {
					synctest.Wait()
					e, err := slow.Next(bg)
					require.NoError(t, err)
					assert.EqualValues(t, i+1, e.Seq)
					if i < 8 {
						assert.Equal(t, i+1, e.Data)
					}
				}
				assert.Equal(t, 9, <-done)
				slow.Cancel()
				closed(t, b)
			})
		})
	}
}

func TestG10_NothingToPublish(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	n, err := x.PublishBatch(bg, nil)
	require.NoError(t, err)
	assert.Zero(t, n)
	assert.Zero(t, x.Stats().Seq)
	closed(t, b)
	n, err = x.PublishBatch(bg, ints(1, 3))
	require.ErrorIs(t, err, eventbus.ErrClosed)
	assert.Zero(t, n)
}

// The batch is the publisher's again once the call has returned.
func TestG10_TheSliceIsNotKept(t *testing.T) {
	for _, q := range queues {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{Filter: q.filter})
		data := ints(1, 5)
		_, err := x.PublishBatch(bg, data)
		require.NoError(t, err)
		clear(data)
		closed(t, b)
		assert.Equal(t, ints(1, 5), j.data())
	}
}

// Event by event: all handlers of the first run before any of the second, and a
// failure is told but holds up nothing.
func TestG10_OnASyncTopicEventByEvent(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
	var saw []int
	for _, factor := range []int{1, 10} {
		_, err := x.Subscribe(bg, func(_ context.Context, i int) error {
			saw = append(saw, i*factor)
			if i == 2 {
				return assert.AnError
			}
			return nil
		})
		require.NoError(t, err)
	}
	n, err := x.PublishBatch(bg, ints(1, 3))
	assert.Equal(t, 3, n, "those refused by handlers were published")
	require.ErrorIs(t, err, assert.AnError)
	assert.Equal(t, []int{1, 10, 2, 20, 3, 30}, saw)
	assert.EqualValues(t, 3, x.Stats().Seq)

	// The end of the bus in the middle of it ends the batch.
	_, err = x.Subscribe(bg, func(ctx context.Context, i int) error {
		if i == 5 {
			return b.Close(bg) // not waited for: this handler runs here
		}
		return nil
	})
	require.NoError(t, err)
	n, err = x.PublishBatch(bg, ints(4, 7))
	assert.Equal(t, 2, n)
	require.ErrorIs(t, err, eventbus.ErrClosed)
}

func TestG11_NobodySubscribed(t *testing.T) {
	var drops []eventbus.Drop
	b, err := eventbus.New(eventbus.Config{Hooks: eventbus.Hooks{
		Dropped: func(d eventbus.Drop) { drops = append(drops, d) },
	}})
	require.NoError(t, err)
	dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
	letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})

	for name, sync := range map[string]bool{"queued": false, "sync": true} {
		drops = nil
		x := eventbus.MustNewTopic[int](b, name, eventbus.TopicConfig{Sync: sync, DeadLetter: dead})
		publish(t, x, 1, 2)
		require.NoError(t, x.TryPublish(bg, 3))
		n, err := x.PublishBatch(bg, ints(4, 5))
		require.NoError(t, err)
		assert.Equal(t, 5, n+3)
		require.ErrorIs(t, x.PublishWith(bg, eventbus.PublishConfig{Mandatory: true}, 6), eventbus.ErrNoSubscriber)
		assert.EqualValues(t, 5, x.Stats().Unrouted, name)
		require.Len(t, drops, 5)
		assert.Equal(t, eventbus.Drop{Topic: name, Unrouted: 1}, drops[0])
	}
	// With history an event is kept for those who come later.
	x := eventbus.MustNewTopic[int](b, "kept", eventbus.TopicConfig{History: 2, DeadLetter: dead})
	publish(t, x, 1)
	assert.Zero(t, x.Stats().Unrouted)
	assert.Equal(t, 1, x.Stats().Retained)

	closed(t, b)
	all := letters.data()
	require.Len(t, all, 10)
	for i, f := range all {
		assert.EqualValues(t, i%5+1, f.Event.Data)
		assert.Empty(t, f.Subscription)
		assert.True(t, f.Final)
		require.ErrorIs(t, f.Err, eventbus.ErrNoSubscriber)
	}
}

func TestG11_MandatoryWithASubscription(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{})
	mandatory := eventbus.PublishConfig{Mandatory: true}
	require.NoError(t, x.PublishWith(bg, mandatory, 1))
	require.NoError(t, s.Drain(bg))
	err := x.PublishWith(bg, mandatory, 2)
	var e *eventbus.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "x", e.Topic)
	closed(t, b)
	assert.Equal(t, []int{1}, j.data())
}

// All subscriptions get the very value that was published.
func TestG11_TheValueIsShared(t *testing.T) {
	b, x := newTopic[*int](t, eventbus.Config{}, eventbus.TopicConfig{})
	var all []*journal[*int]
	for _, filter := range []func(*int) bool{nil, nil, func(*int) bool { return true }} {
		j, _ := subscribe(t, x, eventbus.SubscribeConfig[*int]{Filter: filter})
		all = append(all, j)
	}
	v := new(int)
	publish(t, x, v)
	closed(t, b)
	for _, j := range all {
		assert.Same(t, v, j.data()[0])
	}
}

package eventbus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestS1_EveryEventOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, ints(1, 100)...)
		closed(t, b)
		assert.Equal(t, ints(1, 100), j.data())
		assert.EqualValues(t, 100, s.Stats().Handled)
		accounted(t, 100, s)
	})
}

func TestS2_SubscriptionsMadeConcurrently(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	journals := make([]journal[int], 50)
	var wg sync.WaitGroup
	for i := range journals {
		wg.Go(func() {
			_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, journals[i].handle)
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	publish(t, x, 7)
	closed(t, b)
	for i := range journals {
		assert.Equal(t, []int{7}, journals[i].data(), "subscription %d", i)
	}
}

func TestS3_NoCrossTalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		var topics []*eventbus.Topic[int]
		var journals []*journal[int]
		for i := range 50 {
			x := eventbus.MustNewTopic[int](b, fmt.Sprint("t", i), eventbus.TopicConfig{})
			j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
			topics, journals = append(topics, x), append(journals, j)
		}
		for i, x := range topics {
			publish(t, x, i)
		}
		closed(t, b)
		for i, j := range journals {
			assert.Equal(t, []int{i}, j.data(), "topic %d", i)
		}
	})
}

func TestS8_NoRetryUnlessAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		var saw []int
		s, err := x.Subscribe(bg, func(_ context.Context, i int) error {
			saw = append(saw, i)
			return assert.AnError
		})
		require.NoError(t, err)
		publish(t, x, 1, 2)
		closed(t, b)
		assert.Equal(t, []int{1, 2}, saw)
		st := s.Stats()
		assert.EqualValues(t, 2, st.Failed)
		assert.Zero(t, st.Handled+st.Retried)
	})
}

func TestS13_EndOfTheSubscribersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		ctx, cancel := context.WithCancelCause(bg)
		var left, stays journal[int]
		s, err := x.SubscribeEvents(ctx, eventbus.SubscribeConfig[int]{}, left.handle)
		require.NoError(t, err)
		_, err = x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, stays.handle)
		require.NoError(t, err)
		publish(t, x, 1)
		synctest.Wait()

		cancel(assert.AnError)
		<-s.Done()
		assert.ErrorIs(t, s.Err(), assert.AnError)
		publish(t, x, 2)
		synctest.Wait()
		assert.Equal(t, []int{1}, left.data())
		assert.Equal(t, []int{1, 2}, stays.data())
		closed(t, b)
		// The bubble fails if a goroutine were left.
	})
}

func TestS16_NobodySubscribed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var drops []eventbus.Drop
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
			Dropped: func(d eventbus.Drop) { drops = append(drops, d) },
		}}, eventbus.TopicConfig{})
		publish(t, x, 1)
		assert.Equal(t, []eventbus.Drop{{Topic: "x", Unrouted: 1}}, drops)
		assert.EqualValues(t, 1, x.Stats().Unrouted)

		err := x.PublishWith(bg, eventbus.PublishConfig{Mandatory: true}, 2)
		assert.ErrorIs(t, err, eventbus.ErrNoSubscriber)
		assert.Len(t, drops, 1)
		assert.EqualValues(t, 1, x.Stats().Seq)
		closed(t, b)
	})
}

func TestS16_NobodySubscribedWithDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
		j, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
		publish(t, x, 7)
		closed(t, b)
		letters := j.data()
		require.Len(t, letters, 1)
		assert.Equal(t, 7, letters[0].Event.Data)
		assert.Equal(t, "x", letters[0].Event.Topic())
		assert.ErrorIs(t, letters[0].Err, eventbus.ErrNoSubscriber)
	})
}

func TestS17_OnlyWhatComesAfterSubscribe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		publish(t, x, ints(1, 10)...)
		j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 11, 12)
		closed(t, b)
		assert.Equal(t, []int{11, 12}, j.data())
		assert.Zero(t, j.lags())
		accounted(t, 2, s)
	})
}

func TestS24_CancelTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		gone, s := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		other, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		s.Cancel()
		s.Cancel()
		<-s.Done()
		assert.NoError(t, s.Err())
		publish(t, x, 1)
		closed(t, b)
		assert.Empty(t, gone.data())
		assert.Equal(t, []int{1}, other.data())
	})
}

func TestS25_ConcurrentSubscribe(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	var all journal[int]
	var wg sync.WaitGroup
	for range 10_000 {
		wg.Go(func() {
			_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, all.handle)
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	publish(t, x, 1)
	closed(t, b)
	assert.Len(t, all.data(), 10_000)
}

func TestS26_TwinsAreTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		calls := [2]int{}
		var subs []*eventbus.Subscription
		for i := range calls {
			s, err := x.Subscribe(bg, func(context.Context, int) error {
				calls[i]++
				return nil
			})
			require.NoError(t, err)
			subs = append(subs, s)
		}
		publish(t, x, 1)
		synctest.Wait()
		subs[0].Cancel()
		publish(t, x, 2)
		closed(t, b)
		assert.Equal(t, [2]int{1, 2}, calls)
	})
}

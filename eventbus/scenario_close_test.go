package eventbus_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestS9_ManyCloseAtOnce(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	journals := make([]*journal[int], 50)
	for i := range journals {
		journals[i], _ = subscribe(t, x, eventbus.SubscribeConfig[int]{})
	}
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for x.Publish(bg, 1) == nil {
				accepted.Add(1)
			}
		})
	}
	results := make([]error, 10)
	for i := range results {
		wg.Go(func() { results[i] = b.Close(bg) })
	}
	wg.Wait()
	assert.Equal(t, make([]error, 10), results)
	for i, j := range journals {
		assert.Len(t, j.data(), int(accepted.Load()), "subscription %d", i)
	}
}

func TestS9_ManyCloseAtOnceGetOneDrainError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, _ := stuck(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 1)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		results := make([]error, 10)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() { results[i] = b.Close(ctx) })
		}
		wg.Wait()
		g.open()
		var drain *eventbus.DrainError
		require.ErrorAs(t, results[0], &drain)
		for _, err := range results {
			assert.Same(t, results[0], err)
		}
		assert.Same(t, results[0], b.Close(bg), "and so does a later one")
	})
}

func TestS10_CloseHandlesAllThatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 20_000})
		g, s := stuck(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, ints(1, 10_000)...)
		result := make(chan error, 1)
		go func() { result <- b.Close(bg) }()
		synctest.Wait()
		require.Empty(t, result, "not before all are handled")
		g.open()
		require.NoError(t, <-result)
		assert.Equal(t, ints(1, 10_000), g.data())
		assert.EqualValues(t, 10_000, s.Stats().Handled)
		assert.ErrorIs(t, x.Publish(bg, 1), eventbus.ErrClosed)
	})
}

func TestS11_CloseWithDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		var starts int
		var cause error
		s, err := x.Subscribe(bg, func(ctx context.Context, _ int) error {
			starts++
			<-ctx.Done()
			cause = context.Cause(ctx)
			time.Sleep(time.Second) // the bus does not abandon it
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 0)
		synctest.Wait()
		publish(t, x, ints(1, 100)...)

		ctx, cancel := context.WithTimeout(bg, time.Minute)
		defer cancel()
		began := time.Now()
		err = b.Close(ctx)
		assert.Equal(t, time.Minute, time.Since(began))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		var drain *eventbus.DrainError
		require.ErrorAs(t, err, &drain)
		require.Len(t, drain.Left, 1)
		assert.Equal(t, s.Name(), drain.Left[0].Name)
		assert.EqualValues(t, 100, drain.Left[0].Discarded)
		assert.Equal(t, 1, drain.Left[0].Running)

		<-s.Done()
		assert.ErrorIs(t, cause, eventbus.ErrClosed)
		assert.Equal(t, 1, starts, "nothing starts any more")
		accounted(t, 101, s)
	})
}

func TestS12_ContextOfTheHandler(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		gate, checked := make(chan struct{}), make(chan struct{})
		var last error
		_, err := x.Subscribe(bg, func(ctx context.Context, _ int) error {
			<-gate
			assert.Equal(t, "value", ctx.Value(key{}))
			assert.NoError(t, ctx.Err())
			assert.NoError(t, context.Cause(ctx))
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			assert.NoError(t, context.Cause(child))
			close(checked)
			<-child.Done()
			last = context.Cause(child)
			return nil
		})
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(context.WithValue(bg, key{}, "value"))
		require.NoError(t, x.Publish(ctx, 1))
		cancel(assert.AnError)
		close(gate)
		<-checked

		end, stop := context.WithTimeout(bg, time.Second)
		defer stop()
		var drain *eventbus.DrainError
		require.ErrorAs(t, b.Close(end), &drain)
		synctest.Wait()
		assert.ErrorIs(t, last, eventbus.ErrClosed)
	})
}

func TestS18_QueueIsReadableWhileClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		publish(t, x, 1, 2, 3)
		result := make(chan error, 1)
		go func() { result <- b.Close(bg) }()
		synctest.Wait()
		require.Empty(t, result)
		for i := 1; i <= 3; i++ {
			e, err := q.Next(bg)
			require.NoError(t, err)
			assert.Equal(t, i, e.Data)
		}
		_, err = q.Next(bg)
		assert.ErrorIs(t, err, eventbus.ErrClosed)
		assert.NoError(t, <-result)
		assert.EqualValues(t, 3, q.Stats().Handled)
	})
}

func TestS18_RangeEndsWithoutErrorPair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		publish(t, x, 1, 2, 3)
		result := make(chan error, 1)
		go func() { result <- b.Close(bg) }()
		synctest.Wait()
		var saw []int
		for e, err := range q.Events(bg) {
			require.NoError(t, err)
			saw = append(saw, e.Data)
		}
		assert.Equal(t, []int{1, 2, 3}, saw)
		assert.NoError(t, <-result)
	})
}

func TestS44_DeadLetterOfADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
		letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
		gate := make(chan struct{})
		_, err := x.Subscribe(bg, func(context.Context, int) error {
			<-gate
			return assert.AnError
		})
		require.NoError(t, err)
		publish(t, x, 1, 2)
		result := make(chan error, 1)
		go func() { result <- b.Close(bg) }()
		synctest.Wait()
		require.ErrorIs(t, x.Publish(bg, 3), eventbus.ErrClosed, "it is closing")
		close(gate)
		require.NoError(t, <-result)
		require.Len(t, letters.data(), 2)
		for i, f := range letters.data() {
			assert.Equal(t, i+1, f.Event.Data)
			assert.ErrorIs(t, f.Err, assert.AnError)
			assert.True(t, f.Final)
		}
	})
}

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

func TestS6_OneStuckHandler(t *testing.T) {
	cases := map[string]eventbus.SubscribeConfig[int]{
		"room":       {Capacity: 1000},
		"DropOldest": {Capacity: 10, OnFull: eventbus.DropOldest},
		"DropNewest": {Capacity: 10, OnFull: eventbus.DropNewest},
	}
	bubbles(t, cases, func(t *testing.T, cfg eventbus.SubscribeConfig[int]) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, s := stuck(t, x, cfg)
		j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		for i := range 500 {
			publish(t, x, i)
		}
		synctest.Wait()
		assert.Equal(t, ints(0, 499), j.data())
		g.open()
		closed(t, b)
		accounted(t, 500, s)
	})
}

func TestS15_LagIsThatOfTheSlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 4})
		slow, s := stuck(t, x, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest})
		fast, f := subscribe(t, x, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest})
		for i := range 100 {
			publish(t, x, i+1)
			synctest.Wait()
		}
		slow.open()
		closed(t, b)
		assert.Equal(t, ints(1, 100), fast.data())
		assert.Zero(t, fast.lags())
		assert.Zero(t, f.Stats().Lagged)
		assert.Equal(t, []int{1, 97, 98, 99, 100}, slow.data())
		assert.EqualValues(t, 95, slow.all()[1].Lag)
		assert.EqualValues(t, 95, s.Stats().Lagged)
	})
}

func TestS30_RefusedByTheEndOfContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		full, _ := stuck(t, x, eventbus.SubscribeConfig[int]{})
		roomy, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 1)
		synctest.Wait()
		publish(t, x, 2)

		ctx, cancel := context.WithTimeoutCause(bg, 50*time.Millisecond, assert.AnError)
		defer cancel()
		began := time.Now()
		assert.ErrorIs(t, x.Publish(ctx, 3), assert.AnError)
		assert.Equal(t, 50*time.Millisecond, time.Since(began))
		full.open()
		synctest.Wait()
		publish(t, x, 4)
		closed(t, b)
		for _, j := range []*journal[int]{&full.journal, roomy} {
			assert.Equal(t, []int{1, 2, 4}, j.data())
			assert.Equal(t, []int64{1, 2, 3}, j.seqs())
		}
	})
}

func TestS31_EndedContextAndRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		ctx, cancel := context.WithCancel(bg)
		cancel()
		require.NoError(t, x.Publish(ctx, 1))
		n, err := x.PublishBatch(ctx, []int{2, 3})
		require.NoError(t, err)
		assert.Equal(t, 2, n)
		closed(t, b)
		assert.Equal(t, []int{1, 2, 3}, j.data())
	})
}

// Ten publishers of 100 events each meet a worker that holds one event and has
// room for 20 more: whatever the interleaving, the counts are these.
func TestS32_ExactCounts(t *testing.T) {
	type outcome struct {
		cfg               eventbus.SubscribeConfig[int]
		refused           int64
		lagged, discarded uint64
		handled           uint64
		ends              bool
	}
	cases := map[string]outcome{
		"DropNewest": {cfg: eventbus.SubscribeConfig[int]{OnFull: eventbus.DropNewest, Capacity: 20}, lagged: 980, handled: 21},
		"Fail":       {cfg: eventbus.SubscribeConfig[int]{OnFull: eventbus.Fail, Capacity: 20}, refused: 980, handled: 21},
		"Disconnect": {cfg: eventbus.SubscribeConfig[int]{OnFull: eventbus.Disconnect, Capacity: 20}, handled: 1, discarded: 20, ends: true},
		"Unbounded":  {cfg: eventbus.SubscribeConfig[int]{OnFull: eventbus.Unbounded, Capacity: 20}, handled: 1, discarded: 20, ends: true},
	}
	bubbles(t, cases, func(t *testing.T, c outcome) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, s := stuck(t, x, c.cfg)
		publish(t, x, -1)
		synctest.Wait()
		var refused atomic.Int64
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				for i := range 100 {
					if err := x.Publish(bg, i); err != nil {
						assert.ErrorIs(t, err, eventbus.ErrFull)
						var e *eventbus.Error
						if assert.ErrorAs(t, err, &e) {
							assert.Equal(t, s.Name(), e.Subscription)
						}
						refused.Add(1)
					}
				}
			})
		}
		wg.Wait()
		assert.Equal(t, c.refused, refused.Load())
		assert.EqualValues(t, 1001-c.refused, x.Stats().Seq)
		g.open()
		if c.ends {
			<-s.Done()
			assert.ErrorIs(t, s.Err(), eventbus.ErrFull)
		}
		closed(t, b)
		st := s.Stats()
		assert.Equal(t, c.handled, st.Handled)
		assert.Equal(t, c.lagged, st.Lagged)
		assert.Equal(t, c.discarded, st.Discarded)
	})
}

func TestS33_WaitingPublisherHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{})
		g, full := stuck(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 1)
		synctest.Wait()
		publish(t, x, 2)
		result := make(chan error, 1)
		go func() { result <- x.Publish(bg, 3) }()
		synctest.Wait()
		require.Empty(t, result)

		j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		assert.Equal(t, 1, x.Stats().Waiting)
		publish(t, y, 1)
		full.Cancel()
		require.NoError(t, <-result)
		synctest.Wait()
		assert.Equal(t, []int{3}, j.data(), "accepted after it had subscribed")
		assert.Zero(t, x.Stats().Waiting)
		g.open()
		<-full.Done()
		assert.EqualValues(t, 1, full.Stats().Discarded)
		closed(t, b)
	})
}

func TestS34_BatchIsNoneOrAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 4})
		g, _ := stuck(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 1)
		synctest.Wait()
		publish(t, x, 2)
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		n, err := x.PublishBatch(ctx, []int{3, 4, 5, 6})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, n)
		assert.EqualValues(t, 2, x.Stats().Seq)

		ctx, cancel = context.WithTimeout(bg, time.Second)
		defer cancel()
		result := make(chan int, 1)
		go func() {
			n, err := x.PublishBatch(ctx, ints(7, 16)) // pieces of 4, 4 and 2
			assert.NoError(t, err)
			result <- n
		}()
		synctest.Wait()
		g.open()
		assert.Equal(t, 10, <-result)
		closed(t, b)
		assert.Equal(t, append([]int{1, 2}, ints(7, 16)...), g.data())
	})
}

func TestS34_LongBatchCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 4})
		g, _ := stuck(t, x, eventbus.SubscribeConfig[int]{})
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		n, err := x.PublishBatch(ctx, ints(1, 10))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 4, n, "the second piece found three places")
		assert.EqualValues(t, 4, x.Stats().Seq)
		g.open()
		closed(t, b)
		assert.Equal(t, ints(1, 4), g.data())
	})
}

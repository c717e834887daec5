package eventbus_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// An event that Filter refuses is as if it had not been, but for Filtered: it
// takes no room, evicts nothing and makes nobody wait.
func TestG20_RefusedByFilter(t *testing.T) {
	even := func(i int) bool { return i%2 == 0 }
	for _, p := range []eventbus.Overflow{eventbus.Block, eventbus.DropOldest, eventbus.DropNewest, eventbus.Fail, eventbus.Disconnect, eventbus.Unbounded} {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: p, Capacity: 2, Filter: even})
				require.NoError(t, err)
				publish(t, x, 2, 4) // it is full
				for i := range 100 {
					require.NoError(t, x.TryPublish(bg, 2*i+1))
				}
				n, err := x.PublishBatch(bg, []int{1, 3, 5})
				require.NoError(t, err)
				assert.Equal(t, 3, n)
				st := q.Stats()
				assert.EqualValues(t, 103, st.Filtered)
				assert.Zero(t, st.Lagged)
				assert.Equal(t, 2, st.Depth)
				for _, want := range []int{2, 4} {
					e, err := q.Next(bg)
					require.NoError(t, err)
					assert.Equal(t, want, e.Data)
					assert.Zero(t, e.Lag)
				}
				q.Cancel()
				closed(t, b)
				accounted(t, 105, q.Subscription)
			})
		})
	}
}

func TestG20_FilterOfASyncTopic(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
	j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{Filter: func(i int) bool { return i > 2 }})
	publish(t, x, 1, 2, 3, 4)
	assert.Equal(t, []int{3, 4}, j.data())
	assert.EqualValues(t, 2, s.Stats().Filtered)
	assert.EqualValues(t, 2, s.Stats().Handled)
	closed(t, b)
	accounted(t, 4, s)
}

// However many publishers race, one event is handled, retries included, and then
// the subscription is over.
func TestG20_OnceIsOnce(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:6], syncKinds[:]) {
		for _, filtered := range []bool{false, true} {
			k.name = fmt.Sprintf("%s, filter %v", k.name, filtered)
			k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
				var calls atomic.Int32
				var first atomic.Int64
				s := k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) {
					c.Once = true
					c.Retry = eventbus.Retry{Attempts: 2, Wait: time.Second}
					if filtered {
						c.Filter = func(i int) bool { return i%2 == 1 }
					}
				}, func(_ context.Context, i int) error {
					if calls.Add(1) == 1 {
						first.Store(int64(i))
						return assert.AnError
					}
					assert.EqualValues(t, first.Load(), i)
					return nil
				})
				var wg sync.WaitGroup
				for p := range 8 {
					wg.Go(func() {
						for i := range 50 {
							assert.NoError(t, x.Publish(bg, 100*p+i))
						}
					})
				}
				wg.Wait()
				<-s.Done()
				require.NoError(t, s.Err())
				assert.EqualValues(t, 2, calls.Load())
				if filtered {
					assert.EqualValues(t, 1, first.Load()%2)
				}
				st := s.Stats()
				assert.EqualValues(t, 1, st.Handled)
				assert.Zero(t, st.Failed+st.Discarded+st.Lagged)
				assert.False(t, x.HasSubscribers())
				closed(t, b)
			})
		}
	}
}

// Coverage ends with the one event: what comes then waits for nothing and is
// nowhere counted, even while the handler is still at it.
func TestG20_OnceCoversNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, s := stuck(t, x, eventbus.SubscribeConfig[int]{Once: true, Capacity: 1, OnFull: eventbus.Fail})
		publish(t, x, 1, 2, 3)
		synctest.Wait()
		publish(t, x, 4, 5)
		assert.EqualValues(t, 4, x.Stats().Unrouted)
		g.open()
		<-s.Done()
		assert.Equal(t, []int{1}, g.data())
		accounted(t, 1, s)
		closed(t, b)
	})
}

func TestG20_OnceFromAQueueAndFromHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 3})
		publish(t, x, 1, 2, 3)
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Once: true, From: -2})
		require.NoError(t, err)
		publish(t, x, 4)
		var saw []int
		for e, err := range q.Events(bg) {
			require.NoError(t, err)
			saw = append(saw, e.Data)
		}
		assert.Equal(t, []int{2}, saw)
		require.NoError(t, q.Err())
		j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{Once: true, From: eventbus.Oldest, Filter: func(i int) bool { return i == 4 }})
		<-s.Done()
		assert.Equal(t, []int{4}, j.data())
		closed(t, b)
	})
}

// A failed once is over too.
func TestG20_OnceThatFails(t *testing.T) {
	for _, k := range []kind{queuedKinds[0], queuedKinds[4], syncKinds[0]} {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			calls := 0
			s := k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.Once = true }, func(context.Context, int) error {
				calls++
				return assert.AnError
			})
			_ = x.Publish(bg, 1)
			_ = x.Publish(bg, 2)
			<-s.Done()
			assert.Equal(t, 1, calls)
			assert.EqualValues(t, 1, s.Stats().Failed)
			assert.Zero(t, s.Stats().Handled)
			closed(t, b)
		})
	}
}

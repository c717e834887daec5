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

// The capacity is the number asked for, whatever the kind of queue: so many events
// wait, and the next one meets the policy.
func TestG21_ExactlyTheCapacityAskedFor(t *testing.T) {
	for _, capacity := range []int{1, 2, 3, 5, 7, 16, 31, 33, 63, 64, 65, 100, 1000, 1024, 1025, 5000} {
		for _, own := range []bool{false, true} {
			for _, q := range queues {
				t.Run(fmt.Sprintf("%d %v %s", capacity, own, q.name), func(t *testing.T) {
					topic, cfg := eventbus.TopicConfig{Capacity: capacity}, eventbus.SubscribeConfig[int]{OnFull: eventbus.Fail, Filter: q.filter}
					if own {
						topic, cfg.Capacity = eventbus.TopicConfig{Capacity: 64}, capacity
					}
					b, x := newTopic[int](t, eventbus.Config{}, topic)
					q, err := x.Queue(bg, cfg)
					require.NoError(t, err)
					n := 0
					for x.Publish(bg, n) == nil {
						n++
					}
					assert.Equal(t, capacity, n)
					assert.Equal(t, capacity, q.Stats().Depth)
					assert.Equal(t, capacity, q.Stats().Capacity)
					q.Cancel()
					closed(t, b)
					assert.EqualValues(t, capacity, q.Stats().Discarded)
				})
			}
		}
	}
}

// The default is 1024, of Unbounded 1,000,000, and negative is no limit at all.
func TestG21_CapacityByDefault(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	for _, c := range []struct {
		cfg  eventbus.SubscribeConfig[int]
		want int
	}{
		{eventbus.SubscribeConfig[int]{}, 1024},
		{eventbus.SubscribeConfig[int]{OnFull: eventbus.DropNewest}, 1024},
		{eventbus.SubscribeConfig[int]{OnFull: eventbus.Unbounded}, 1_000_000},
		{eventbus.SubscribeConfig[int]{Capacity: -5}, -1},
		{eventbus.SubscribeConfig[int]{Capacity: -1, OnFull: eventbus.Disconnect}, -1},
	} {
		q, err := x.Queue(bg, c.cfg)
		require.NoError(t, err)
		assert.Equal(t, c.want, q.Stats().Capacity)
		q.Cancel()
	}
	for _, p := range []eventbus.Overflow{eventbus.Block, eventbus.DropOldest, eventbus.DropNewest, eventbus.Fail, eventbus.Disconnect, eventbus.Unbounded} {
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: -1, OnFull: p})
		require.NoError(t, err)
		for i := range 3000 {
			require.NoError(t, x.TryPublish(bg, i))
		}
		assert.Equal(t, 3000, q.Stats().Depth)
		assert.Zero(t, q.Stats().Lagged)
		q.Cancel()
	}
	unlimited, err := eventbus.NewTopic[int](b, "unlimited", eventbus.TopicConfig{Capacity: -1})
	require.NoError(t, err)
	q, err := unlimited.Queue(bg, eventbus.SubscribeConfig[int]{})
	require.NoError(t, err)
	assert.Equal(t, -1, q.Stats().Capacity)
	q.Cancel()
	closed(t, b)
}

// What a worker takes at once has left the queue, so a stuck one makes room for
// as many more: one below a capacity of 32, at most 64 above.
func TestG21_TakenAtOnce(t *testing.T) {
	for _, q := range queues {
		for _, c := range []struct{ capacity, atOnce int }{{1, 1}, {16, 1}, {31, 1}, {32, 2}, {100, 6}, {1024, 64}, {5000, 64}, {-1, 64}} {
			t.Run(fmt.Sprint(q.name, c.capacity), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 6000})
					g, s := stuck(t, x, eventbus.SubscribeConfig[int]{Capacity: c.capacity, OnFull: eventbus.Fail, Filter: q.filter})
					// All before the worker gets to run, so that it finds a full queue.
					full := c.capacity
					if full < 0 {
						full = 500
					}
					n, err := x.PublishBatch(bg, ints(1, full))
					require.NoError(t, err)
					synctest.Wait() // it is inside the first
					st := s.Stats()
					assert.Equal(t, 1, st.Running)
					assert.Equal(t, n-1, st.Depth, "what was taken and not started waits, too")
					if c.capacity > 0 {
						more := 0
						for x.Publish(bg, 0) == nil {
							more++
						}
						assert.LessOrEqual(t, more, c.atOnce)
						assert.Positive(t, more)
						n += more
					}
					g.open()
					closed(t, b)
					accounted(t, n, s)
				})
			})
		}
	}
}

// Losses add up until they are on the next event, and are never anybody else's.
func TestG22_LagAddsUp(t *testing.T) {
	for _, q := range queues {
		for _, p := range []eventbus.Overflow{eventbus.DropOldest, eventbus.DropNewest} {
			t.Run(fmt.Sprint(q.name, p), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					told := make(map[string]uint64)
					b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(d eventbus.Drop) {
						mu.Lock()
						defer mu.Unlock()
						assert.Equal(t, "x", d.Topic)
						if d.Lagged > 0 {
							assert.Zero(t, d.Discarded+d.Unrouted)
							told[d.Subscription] += d.Lagged
						}
					}}}, eventbus.TopicConfig{})
					q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: "slow", OnFull: p, Capacity: 3, Filter: q.filter})
					require.NoError(t, err)
					fast, f := subscribe(t, x, eventbus.SubscribeConfig[int]{Name: "fast", OnFull: p})
					next := func() eventbus.Event[int] {
						synctest.Wait()
						e, err := q.Next(bg)
						require.NoError(t, err)
						return e
					}
					send := func(first, last int) {
						for i := first; i <= last; i++ {
							publish(t, x, i)
							synctest.Wait()
						}
					}
					send(1, 10)
					if p == eventbus.DropOldest {
						e := next() // 8, 9, 10 wait
						assert.Equal(t, []any{8, uint64(7)}, []any{e.Data, e.Lag})
						send(11, 12)
						e = next()
						assert.Equal(t, []any{10, uint64(1)}, []any{e.Data, e.Lag})
						e = next()
						assert.Equal(t, []any{11, uint64(0)}, []any{e.Data, e.Lag})
					} else {
						e := next() // 1, 2, 3 wait
						assert.Equal(t, []any{1, uint64(0)}, []any{e.Data, e.Lag})
						send(11, 12) // 11 has room, 12 is lost
						for _, want := range []int{2, 3} {
							e = next()
							assert.Equal(t, []any{want, uint64(0)}, []any{e.Data, e.Lag})
						}
						e = next()
						assert.Equal(t, []any{11, uint64(7)}, []any{e.Data, e.Lag})
						send(13, 13)
						e = next()
						assert.Equal(t, []any{13, uint64(1)}, []any{e.Data, e.Lag})
					}
					lagged := q.Stats().Lagged
					assert.EqualValues(t, 8, lagged)
					q.Cancel()
					select {
					case <-q.Done():
					default:
						t.Error("a Queue that nobody reads is done at once")
					}
					closed(t, b)
					assert.Equal(t, map[string]uint64{"slow": 8}, told)
					assert.Zero(t, fast.lags())
					assert.Zero(t, f.Stats().Lagged)
				})
			})
		}
	}
}

// Lag is no error, and an error is always the last pair of a loop.
func TestG22_LagIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 1, 2, 3)
		ctx, cancel := context.WithCancelCause(bg)
		defer cancel(nil)
		pairs := 0
		for e, err := range q.Events(ctx) {
			pairs++
			if pairs == 1 {
				require.NoError(t, err)
				assert.EqualValues(t, 2, e.Lag)
				cancel(assert.AnError)
				continue
			}
			assert.Equal(t, assert.AnError, err)
			assert.Zero(t, e)
		}
		assert.Equal(t, 2, pairs)
		q.Cancel()
		pairs = 0
		for _, err := range q.Events(bg) {
			require.NoError(t, err)
			pairs++
		}
		assert.Zero(t, pairs, "an orderly end is none either")
		closed(t, b)
	})
}

// The order in which the hook is told is that of the losses, never two at a time.
func TestG22_DroppedInOrder(t *testing.T) {
	var mu sync.Mutex
	inside := 0
	var total uint64
	b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(d eventbus.Drop) {
		mu.Lock()
		inside++
		assert.Equal(t, 1, inside)
		total += d.Lagged
		mu.Unlock()
		mu.Lock()
		inside--
		mu.Unlock()
	}}}, eventbus.TopicConfig{})
	q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropNewest, Capacity: 1})
	require.NoError(t, err)
	publish(t, x, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 500 {
				assert.NoError(t, x.Publish(bg, i))
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 2000, q.Stats().Lagged)
	mu.Lock()
	assert.EqualValues(t, 2000, total)
	mu.Unlock()
	_, err = q.Next(bg)
	require.NoError(t, err)
	q.Cancel()
	closed(t, b)
}

package eventbus_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Where From begins, what the first event's Lag is, and that new events follow
// without gap or duplicate, for every place in a history of 5 after 12 events.
func TestG29_WhereFromBegins(t *testing.T) {
	for _, q := range queues {
		for _, c := range []struct {
			from  int64
			first int
			lag   uint64
		}{
			{0, 13, 0},
			{eventbus.Oldest, 8, 0},
			{1, 8, 7},
			{7, 8, 1},
			{8, 8, 0},
			{10, 10, 0},
			{12, 12, 0},
			{13, 13, 0},
			{14, 14, 0},
			{20, 20, 0},
			{-1, 12, 0},
			{-3, 10, 0},
			{-5, 8, 0},
			{-6, 8, 0},
			{-100, 8, 0},
			{math.MinInt64 + 1, 8, 0},
		} {
			t.Run(fmt.Sprint(q.name, c.from), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 5})
					publish(t, x, ints(1, 12)...)
					assert.Equal(t, 5, x.Stats().Retained)
					j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{From: c.from, Filter: q.filter})
					publish(t, x, ints(13, 25)...)
					closed(t, b)
					assert.Equal(t, ints(c.first, 25), j.data())
					for i, e := range j.all() {
						assert.EqualValues(t, e.Data, e.Seq)
						want := uint64(0)
						if i == 0 {
							want = c.lag
						}
						assert.Equal(t, want, e.Lag)
						assert.False(t, e.Time().IsZero())
					}
					st := s.Stats()
					assert.Equal(t, c.lag, st.Lagged)
					assert.EqualValues(t, 25-c.first+1, st.Handled)
					assert.Zero(t, st.Depth+st.Running)
				})
			})
		}
	}
}

// So a subscription resumes where another one ended.
func TestG29_Resuming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 100})
		var saw []int
		var last int64
		for round := range 10 {
			s, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{From: last + 1, Capacity: 1}, func(_ context.Context, e eventbus.Event[int]) error {
				saw, last = append(saw, e.Data), e.Seq
				return nil
			})
			require.NoError(t, err)
			publish(t, x, ints(10*round, 10*round+4)...)
			require.NoError(t, s.Drain(bg))
			publish(t, x, ints(10*round+5, 10*round+9)...)
		}
		closed(t, b)
		assert.Equal(t, ints(0, 94), saw)
	})
}

// Replayed events do not count against the capacity: they hold up nobody, and
// evict nothing.
func TestG29_ReplayedEventsTakeNoRoom(t *testing.T) {
	for _, q := range queues {
		for _, p := range []eventbus.Overflow{eventbus.Block, eventbus.Fail, eventbus.Disconnect, eventbus.DropNewest} {
			t.Run(fmt.Sprint(q.name, p), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 10})
					publish(t, x, ints(1, 10)...)
					q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Capacity: 3, OnFull: p, Filter: q.filter})
					require.NoError(t, err)
					assert.Equal(t, 10, q.Stats().Depth)
					publish(t, x, 11, 12, 13) // room for three
					assert.Equal(t, 13, q.Stats().Depth)
					switch p {
					case eventbus.Block, eventbus.Fail:
						require.ErrorIs(t, x.TryPublish(bg, 14), eventbus.ErrFull)
					case eventbus.DropNewest:
						publish(t, x, 14)
						assert.EqualValues(t, 1, q.Stats().Lagged)
					default: // Disconnect
						publish(t, x, 14)
						<-q.Done()
						require.ErrorIs(t, q.Err(), eventbus.ErrFull)
						assert.EqualValues(t, 13, q.Stats().Discarded)
						closed(t, b)
						return
					}
					for i := 1; i <= 13; i++ {
						e, err := q.Next(bg)
						require.NoError(t, err)
						assert.Equal(t, i, e.Data)
						assert.Zero(t, e.Lag)
					}
					q.Cancel()
					closed(t, b)
				})
			})
		}
	}
}

// A replay that overflows under DropOldest loses what is left of the replay first.
func TestG22_G29_AReplayThatOverflows(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 10})
				publish(t, x, ints(1, 10)...)
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Capacity: 3, OnFull: eventbus.DropOldest, Filter: q.filter})
				require.NoError(t, err)
				e, err := q.Next(bg)
				require.NoError(t, err)
				assert.Equal(t, 1, e.Data)
				publish(t, x, ints(11, 15)...)
				for i, want := range []int{13, 14, 15} {
					e, err := q.Next(bg)
					require.NoError(t, err)
					assert.Equal(t, want, e.Data)
					if i == 0 {
						assert.EqualValues(t, 11, e.Lag)
					}
				}
				q.Cancel()
				closed(t, b)
				accounted(t, 15, q.Subscription)
			})
		})
	}
}

// With keys and with one event, from history too.
func TestG4_G29_KeyedFromHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 100})
		publish(t, x, ints(0, 49)...)
		j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{
			From: 11, Workers: 4, Key: func(i int) string { return fmt.Sprint(i % 5) },
			Filter: func(i int) bool { return i%7 != 0 },
		})
		publish(t, x, ints(50, 99)...)
		closed(t, b)
		last := make(map[int]int)
		for _, i := range j.data() {
			assert.GreaterOrEqual(t, i, 10)
			assert.NotZero(t, i%7)
			if prev, ok := last[i%5]; ok {
				assert.Greater(t, i, prev)
			}
			last[i%5] = i
		}
		assert.EqualValues(t, 13, s.Stats().Filtered)
		accounted(t, 90, s)
	})
}

// With keys it is the same.
func TestG22_G29_AReplayThatOverflowsWithKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 10})
		publish(t, x, ints(1, 10)...)
		g, s := stuck(t, x, eventbus.SubscribeConfig[int]{
			From: eventbus.Oldest, Capacity: 3, OnFull: eventbus.DropOldest, Workers: 2, Key: func(int) string { return "k" },
		})
		synctest.Wait()
		publish(t, x, ints(11, 15)...)
		g.open()
		closed(t, b)
		assert.Equal(t, []int{1, 13, 14, 15}, g.data())
		assert.EqualValues(t, 11, g.all()[1].Lag)
		assert.EqualValues(t, 11, s.Stats().Lagged)
		accounted(t, 15, s)
	})
}

// What is asked for of a topic without history is lost, and told.
func TestG29_WhereThereIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		publish(t, x, 1, 2, 3)
		j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{From: 2})
		publish(t, x, 4)
		closed(t, b)
		assert.Equal(t, []int{4}, j.data())
		assert.EqualValues(t, 2, j.all()[0].Lag)
		assert.EqualValues(t, 2, s.Stats().Lagged)
	})
}

// The last value, as many want it.
func TestG29_TheLastValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[string](t, eventbus.Config{}, eventbus.TopicConfig{History: 1})
		publish(t, x, "closed", "open")
		for e, err := range must(x.Queue(bg, eventbus.SubscribeConfig[string]{From: eventbus.Oldest})).Events(bg) {
			require.NoError(t, err)
			assert.Equal(t, "open", e.Data)
			break
		}
		ctx, cancel := context.WithCancel(bg)
		cancel()
		_ = b.Close(ctx)
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

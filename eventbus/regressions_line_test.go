package eventbus_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// waitsAt is a Filter that passes all, and waits for the gate when it is asked about
// one of these.
func waitsAt(gate chan struct{}, these ...int) func(int) bool {
	return func(i int) bool {
		for _, at := range these {
			if i == at {
				<-gate
			}
		}
		return true
	}
}

// A batch that was let in while its publisher asked a filter was shortened for a
// smaller subscription that had come meanwhile, and the rest published twice.
func TestRegression_G10_ABatchThatWasLetInIsNotCut(t *testing.T) {
	bubbles(t, map[string][]eventbus.Interceptor{"direct": nil, "intercepted": {through}}, func(t *testing.T, around []eventbus.Interceptor) {
		b, x := newTopic[int](t, eventbus.Config{AroundPublish: around}, eventbus.TopicConfig{})
		j, s := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		read, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 4})
		require.NoError(t, err)
		publish(t, x, 1)
		n := make(chan int, 1)
		go func() {
			accepted, err := x.PublishBatch(bg, ints(2, 5))
			assert.NoError(t, err)
			n <- accepted
		}()
		synctest.Wait()
		gate := make(chan struct{})
		asks, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: waitsAt(gate, ints(2, 5)...)})
		require.NoError(t, err)
		synctest.Wait()
		asks.Cancel()
		_, err = read.Next(bg) // there is room for four
		require.NoError(t, err)
		small, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 2})
		require.NoError(t, err)
		close(gate)
		synctest.Wait()
		require.Len(t, n, 1)
		assert.Equal(t, 4, <-n)
		for i := 2; i <= 5; i++ {
			e, err := read.Next(bg)
			require.NoError(t, err)
			assert.Equal(t, i, e.Data)
		}
		assert.EqualValues(t, 5, x.Stats().Seq)
		assert.Zero(t, small.Stats().Depth, "it came later")
		read.Cancel()
		small.Cancel()
		closed(t, b)
		assert.Equal(t, ints(1, 5), j.data())
		accounted(t, 5, s)
	})
}

// Mandatory went by a subscription that the event would have ended.
func TestRegression_G11_MandatoryEndsNobody(t *testing.T) {
	cases := make(map[string]eventbus.SubscribeConfig[int])
	for _, kind := range queues {
		for _, p := range []eventbus.Overflow{eventbus.Disconnect, eventbus.Unbounded} {
			cases[kind.name+" "+p.String()] = eventbus.SubscribeConfig[int]{Capacity: 1, OnFull: p, Filter: kind.filter}
		}
	}
	bubbles(t, cases, func(t *testing.T, cfg eventbus.SubscribeConfig[int]) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, cfg)
		require.NoError(t, err)
		publish(t, x, 1)
		require.ErrorIs(t, mandatory(x, 2), eventbus.ErrNoSubscriber)
		assert.False(t, isOver(q.Done()))
		require.NoError(t, q.Err())
		assert.EqualValues(t, 1, x.Stats().Seq)
		assert.Zero(t, x.Stats().Unrouted)
		e, err := q.Next(bg)
		require.NoError(t, err)
		assert.Equal(t, 1, e.Data)
		require.NoError(t, mandatory(x, 3), "there is room")
		// Another has room; then the event is accepted, and ends the first.
		another, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		require.NoError(t, mandatory(x, 4))
		require.ErrorIs(t, q.Err(), eventbus.ErrFull)
		assert.Equal(t, 1, another.Stats().Depth)
		another.Cancel()
		closed(t, b)
		assert.Zero(t, x.Stats().Unrouted)
	})
	for _, p := range []eventbus.Overflow{eventbus.Disconnect, eventbus.Unbounded} {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1, OnFull: p, Filter: func(i int) bool {
			if i == 3 {
				panic("three")
			}
			return i == 1
		}})
		require.NoError(t, err)
		publish(t, x, 1)
		require.NoError(t, mandatory(x, 2), "what Filter refuses does not end it")
		require.NoError(t, mandatory(x, 3), "nor what it fails at")
		require.ErrorIs(t, mandatory(x, 1), eventbus.ErrNoSubscriber)
		require.NoError(t, q.Err())
		st := q.Stats()
		assert.Equal(t, []uint64{1, 1, 1}, []uint64{uint64(st.Depth), st.Filtered, st.Failed}) //nolint:gosec // it is one
		q.Cancel()
		closed(t, b)
	}
}

// TryPublish behind a publisher that was asking functions named nobody.
func TestRegression_G9_WhoIsInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		subscribe(t, x, eventbus.SubscribeConfig[int]{Filter: all})
		full, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 1)
		go publish(t, x, 2)
		synctest.Wait()
		gate := make(chan struct{})
		asks, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: waitsAt(gate, 2)})
		require.NoError(t, err)
		_, err = x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropNewest}) // the newest of all has no functions
		require.NoError(t, err)
		synctest.Wait()
		inTheWay := func(s *eventbus.Subscription) {
			var e *eventbus.Error
			err := x.TryPublish(bg, 3)
			require.ErrorAs(t, err, &e)
			require.ErrorIs(t, err, eventbus.ErrFull)
			assert.Equal(t, []string{"x", s.Name()}, []string{e.Topic, e.Subscription})
			allocs := testing.AllocsPerRun(100, func() { _ = x.TryPublish(bg, 3) })
			assert.True(t, raceEnabled || allocs == 0, "%v allocations", allocs)
		}
		inTheWay(full.Subscription)
		_, err = full.Next(bg)
		require.NoError(t, err)
		inTheWay(asks.Subscription) // there is room, but the one in front is not ready
		close(gate)
		synctest.Wait()
		require.ErrorIs(t, x.TryPublish(bg, 3), eventbus.ErrFull)
		inTheWay(full.Subscription)
		_, err = full.Next(bg)
		require.NoError(t, err)
		require.NoError(t, x.TryPublish(bg, 3))
		assert.EqualValues(t, 3, x.Stats().Seq)
		for _, s := range x.Stats().Subscriptions {
			assert.Zero(t, s.Failed+s.Filtered)
		}
		_ = b.Close(endedCtx)
	})
}

// Once was disconnected by events that came while a filter looked at history, where
// it found its event. Others had to wait, or were refused, for its sake.
func TestRegression_G20_OnceFromHistoryMeanwhile(t *testing.T) {
	type once struct {
		policy eventbus.Overflow
		gets   int // 1 is of history, 2 the first that came meanwhile
	}
	cases := make(map[string]once)
	for _, p := range []eventbus.Overflow{
		eventbus.Block, eventbus.DropOldest, eventbus.DropNewest, eventbus.Fail, eventbus.Disconnect, eventbus.Unbounded,
	} {
		for gets := 1; gets <= 2; gets++ {
			cases[fmt.Sprint(p, " ", gets)] = once{p, gets}
		}
	}
	bubbles(t, cases, func(t *testing.T, c once) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 1})
		publish(t, x, 1)
		gate := make(chan struct{})
		pass := waitsAt(gate, 1)
		j := new(journal[int])
		var s *eventbus.Subscription
		go func() {
			var err error
			s, err = x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{
				From: eventbus.Oldest, Once: true, Capacity: 1, OnFull: c.policy,
				Filter: func(i int) bool { return pass(i) && i >= c.gets },
			}, j.handle)
			assert.NoError(t, err)
		}()
		synctest.Wait()
		inTime(t, 0, func() { publish(t, x, 2, 3, 4) })
		close(gate)
		synctest.Wait()
		assert.True(t, isOver(s.Done()))
		require.NoError(t, s.Err())
		assert.Equal(t, []int{c.gets}, j.data())
		assert.Zero(t, j.lags())
		accounted(t, c.gets, s)
		st := s.Stats()
		assert.Zero(t, st.Lagged+st.Discarded)
		assert.Empty(t, x.Stats().Subscriptions)
		closed(t, b)
	})
}

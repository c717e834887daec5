package eventbus_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// What From asked for and history no longer had was lost without a word to Dropped.
func TestRegression_G29_WhatHistoryNoLongerHas(t *testing.T) {
	for _, kind := range queues {
		synctest.Test(t, func(t *testing.T) {
			var told, seen []string
			var sum uint64
			b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(d eventbus.Drop) {
				told = append(told, fmt.Sprint(d.Subscription, d.Lagged))
				sum += d.Lagged
			}}}, eventbus.TopicConfig{History: 3})
			publish(t, x, ints(1, 10)...)
			cfg := eventbus.SubscribeConfig[int]{Name: "s", From: 2, Filter: kind.filter}
			s, err := x.SubscribeEvents(bg, cfg, func(_ context.Context, e eventbus.Event[int]) error {
				seen = append(seen, fmt.Sprint(e.Data, e.Lag))
				return nil
			})
			require.NoError(t, err)
			synctest.Wait()
			assert.Equal(t, []string{"s6"}, told)
			assert.Equal(t, []string{"8 6", "9 0", "10 0"}, seen)
			assert.EqualValues(t, sum, s.Stats().Lagged)
			s.Cancel()

			told, sum = nil, 0
			cfg.Name, cfg.OnFull, cfg.Capacity = "q", eventbus.DropOldest, 2
			q, err := x.Queue(bg, cfg)
			require.NoError(t, err)
			assert.Equal(t, []string{"q6"}, told)
			e, err := q.Next(bg)
			require.NoError(t, err)
			assert.EqualValues(t, 6, e.Lag)
			publish(t, x, 11, 12, 13)
			go closed(t, b)
			for e, err := range q.Events(bg) {
				require.NoError(t, err)
				sum -= e.Lag // it was told before
			}
			assert.EqualValues(t, 6, sum)
			assert.EqualValues(t, 9, q.Stats().Lagged, "two of history and one more")
			accounted(t, 12, q.Subscription)
		})
	}
}

// If the hook that is told so ends the goroutine of the subscriber, there is no
// subscription.
func TestRegression_G18_TheHookEndsTheSubscriber(t *testing.T) {
	for _, kind := range queues {
		synctest.Test(t, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(d eventbus.Drop) {
				if d.Lagged > 0 {
					runtime.Goexit()
				}
			}}}, eventbus.TopicConfig{History: 3})
			publish(t, x, ints(1, 10)...)
			cfg := eventbus.SubscribeConfig[int]{From: 2, Filter: kind.filter}
			go subscribe(t, x, cfg)
			go func() { _, _ = x.Queue(bg, cfg) }()
			synctest.Wait()
			assert.False(t, x.HasSubscribers())
			assert.Empty(t, x.Stats().Subscriptions)
			assert.EqualValues(t, 2, x.Stats().HookPanics)
			closed(t, b)
		})
	}
}

// judged are subscriptions that ask a Filter about history.
var judged = map[string]eventbus.SubscribeConfig[int]{
	"plain": {}, "keyed": {Workers: 2, Key: func(int) string { return "k" }},
}

// Events of history that a Filter was being asked about were in no account, and
// newer ones were lost instead of them.
func TestRegression_G22_HistoryIsLostFirst(t *testing.T) {
	for _, c := range []struct {
		newest, refused int
		seen            []int
		lag, lagged     uint64
	}{
		{5, 0, ints(1, 5), 0, 0},
		{7, 0, ints(6, 7), 5, 5},
		{7, 2, ints(6, 7), 4, 4},
		{6, 6, ints(1, 5), 0, 0},
	} {
		bubbles(t, judged, func(t *testing.T, cfg eventbus.SubscribeConfig[int]) {
			var told uint64
			b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
				Dropped: func(d eventbus.Drop) { told += d.Lagged },
			}}, eventbus.TopicConfig{History: 3})
			publish(t, x, 1, 2, 3)
			meanwhile := first(func() {
				assert.Equal(t, 3, x.Stats().Subscriptions[0].Depth)
				for i := 4; i <= c.newest; i++ {
					publish(t, x, i)
					st := x.Stats().Subscriptions[0]
					assert.Equal(t, i, st.Depth+int(st.Lagged+st.Filtered)) //nolint:gosec // small
				}
			})
			cfg.From, cfg.OnFull, cfg.Capacity = eventbus.Oldest, eventbus.DropOldest, 2
			cfg.Filter = func(i int) bool { return meanwhile(i) && i != c.refused }
			j, s := subscribe(t, x, cfg)
			closed(t, b)
			assert.Equal(t, c.seen, j.data())
			assert.Equal(t, c.lag, j.all()[0].Lag)
			assert.Equal(t, c.lag, j.lags())
			assert.Equal(t, c.lagged, s.Stats().Lagged)
			assert.Equal(t, c.lagged, told)
			accounted(t, c.newest, s)
		})
	}
}

// A Close that was cut short meanwhile did not count them among what it left.
func TestRegression_G34_HistoryIsLeft(t *testing.T) {
	bubbles(t, judged, func(t *testing.T, cfg eventbus.SubscribeConfig[int]) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 3})
		publish(t, x, 1, 2, 3)
		var err error
		cfg.From, cfg.Filter = eventbus.Oldest, first(func() {
			publish(t, x, 4)
			err = b.Close(endedCtx)
		})
		j, s := subscribe(t, x, cfg)
		<-s.Done()
		var drain *eventbus.DrainError
		require.ErrorAs(t, err, &drain)
		require.Len(t, drain.Left, 1)
		assert.EqualValues(t, 4, drain.Left[0].Discarded)
		assert.Equal(t, drain.Left[0], s.Stats())
		assert.Empty(t, j.data())
		accounted(t, 4, s)
	})
}

// What came while history was looked at was queued in the order of turns, and what
// was lost of it later was not the oldest.
func TestRegression_G22_TheOldestOfSeveralKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 2})
		publish(t, x, 1, 2)
		g, s := stuck(t, x, eventbus.SubscribeConfig[int]{
			From: eventbus.Oldest, OnFull: eventbus.DropOldest, Capacity: 4, Workers: 2,
			Key:    func(i int) string { return string("-xyabbacde"[i]) },
			Filter: first(func() { publish(t, x, 3, 4, 5, 6) }),
		})
		synctest.Wait() // with 1 and 2
		publish(t, x, 7, 8, 9)
		g.open()
		closed(t, b)
		seen := g.data()
		slices.Sort(seen)
		assert.Equal(t, []int{1, 2, 6, 7, 8, 9}, seen)
		assert.EqualValues(t, 3, g.lags())
		accounted(t, 9, s)
	})
}

type (
	keptNew   struct{}
	keptFound struct{}
)

// A topic that NewTopic made without a name vanished with its handle.
func TestRegression_G32_TopicsOfTypesLive(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{})
	cfg := eventbus.TopicConfig{History: 2}
	func() {
		eventbus.MustNewTopic[keptNew](b, "", cfg)
		const name = "github.com/mainstay-go/mainstay/eventbus_test.keptFound"
		byName := eventbus.MustNewTopic[keptFound](b, name, cfg)
		assert.Same(t, byName, eventbus.MustNewTopic[keptFound](b, "", eventbus.TopicConfig{}))
	}()
	for range 3 {
		runtime.GC()
	}
	require.NoError(t, eventbus.Publish(bg, b, keptNew{}))
	require.NoError(t, eventbus.Publish(bg, b, keptFound{}))
	n := 0
	for st := range b.Topics() {
		assert.Equal(t, 1, st.Retained, st.Name)
		n++
	}
	assert.Equal(t, 2, n)
	closed(t, b)
}

// A topic made again under a name vanished when the garbage collector got to the
// one before. Here it is at work all the time, and topics come and go.
func TestRegression_G32_TheNameOfANewTopicStays(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{})
	ctx, stop := context.WithCancel(bg)
	var collector sync.WaitGroup
	collector.Go(func() {
		for ctx.Err() == nil {
			runtime.GC()
		}
	})
	steps := 60_000
	if raceEnabled || testing.Short() {
		steps = 5_000
	}
	held, again := make([]*eventbus.Topic[int], 500), 0
	for i := range steps {
		x, name := &held[i%len(held)], fmt.Sprint(i%(2*len(held)))
		if *x != nil && *x != eventbus.MustNewTopic[int](b, (*x).Name(), eventbus.TopicConfig{}) {
			again++
		}
		*x = eventbus.MustNewTopic[int](b, name, eventbus.TopicConfig{})
	}
	stop()
	collector.Wait()
	assert.Zero(t, again)
	closed(t, b)
}

func mandatory[T any](x *eventbus.Topic[T], data T) error {
	return x.PublishWith(bg, eventbus.PublishConfig{Mandatory: true}, data)
}

// Mandatory went by subscriptions that were at their end, or did not take the event.
func TestRegression_G11_MandatoryAtTheEnd(t *testing.T) {
	for _, kind := range queues {
		for name, end := range map[string]func(*eventbus.Subscription) error{
			"Cancel": func(s *eventbus.Subscription) error { s.Cancel(); return nil },
			"Drain":  func(s *eventbus.Subscription) error { return s.Drain(bg) },
		} {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1, Filter: kind.filter})
				require.NoError(t, err)
				publish(t, x, 1)
				refused := make(chan error, 1)
				go func() { refused <- mandatory(x, 2) }() // it has to wait
				synctest.Wait()
				require.Empty(t, refused)
				go func() { assert.NoError(t, end(q.Subscription)) }()
				synctest.Wait()
				require.ErrorIs(t, <-refused, eventbus.ErrNoSubscriber, name)
				require.ErrorIs(t, mandatory(x, 3), eventbus.ErrNoSubscriber, name)
				for _, err := range q.Events(bg) {
					require.NoError(t, err)
				}
				accounted(t, 1, q.Subscription)
				closed(t, b)
			})
		}
	}
}

// A Once that has its event takes no other, read or not.
func TestRegression_G11_MandatoryAndOnce(t *testing.T) {
	var x *eventbus.Topic[int]
	var nested error
	asked := false
	b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(d eventbus.Drop) {
		if !asked && d.Discarded > 0 {
			asked, nested = true, mandatory(x, 3) // between the event and what follows from it for the others
		}
	}}}, eventbus.TopicConfig{})
	_, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.Disconnect, Capacity: 1})
	require.NoError(t, err)
	publish(t, x, 1)
	once, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Once: true})
	require.NoError(t, err)
	require.NoError(t, mandatory(x, 2))
	require.True(t, asked)
	require.ErrorIs(t, nested, eventbus.ErrNoSubscriber)
	require.ErrorIs(t, mandatory(x, 4), eventbus.ErrNoSubscriber)
	assert.Equal(t, 1, once.Stats().Depth, "it is not read yet")

	s := eventbus.MustNewTopic[int](b, "sync", eventbus.TopicConfig{Sync: true})
	_, err = s.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Once: true}, func(context.Context, int) error { return mandatory(s, 2) })
	require.NoError(t, err)
	require.ErrorIs(t, mandatory(s, 1), eventbus.ErrNoSubscriber, "what the handler returned")
	assert.EqualValues(t, 1, s.Stats().Seq)
	once.Cancel()
	closed(t, b)
}

// Nor does a pattern take what is of another type.
func TestRegression_G11_MandatoryAndWhoTakesIt(t *testing.T) {
	b, x := newTopic[any](t, eventbus.Config{}, eventbus.TopicConfig{})
	j := new(journal[error])
	_, err := eventbus.SubscribePattern(bg, b, "x", eventbus.SubscribeConfig[error]{}, j.handle)
	require.NoError(t, err)
	require.ErrorIs(t, mandatory[any](x, 1), eventbus.ErrNoSubscriber)
	publish[any](t, x, 2)
	assert.EqualValues(t, 1, x.Stats().Unrouted)
	require.NoError(t, mandatory[any](x, assert.AnError))

	// One that Filter refuses has reached somebody.
	refuses := eventbus.SubscribeConfig[any]{Filter: func(any) bool { return false }}
	_, filtered := subscribe(t, x, refuses)
	require.NoError(t, mandatory[any](x, 3))
	direct := eventbus.MustNewTopic[any](b, "sync", eventbus.TopicConfig{Sync: true})
	require.ErrorIs(t, mandatory[any](direct, 1), eventbus.ErrNoSubscriber)
	subscribe(t, direct, refuses)
	require.NoError(t, mandatory[any](direct, 2))
	closed(t, b)
	assert.EqualValues(t, 1, filtered.Stats().Filtered)
	assert.Equal(t, []error{assert.AnError}, j.data())
	assert.EqualValues(t, 1, x.Stats().Unrouted)
	assert.Zero(t, direct.Stats().Unrouted)
}

// Batches were cut by the capacity of a subscription that took no more events, as
// long as its last call ran.
func TestRegression_G10_TheCapacityOfWhatHasEnded(t *testing.T) {
	for _, kind := range queues {
		synctest.Test(t, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 10})
			g, small := stuck(t, x, eventbus.SubscribeConfig[int]{Capacity: 2, Filter: kind.filter})
			publish(t, x, 0)
			synctest.Wait()
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
			require.NoError(t, err)
			publish(t, x, 1)
			n, err := x.PublishBatch(endedCtx, ints(2, 4))
			require.ErrorIs(t, err, assert.AnError)
			assert.Zero(t, n, "there is room for one")
			small.Cancel()
			n, err = x.PublishBatch(endedCtx, ints(2, 11))
			require.ErrorIs(t, err, assert.AnError)
			assert.Zero(t, n, "all or nothing")
			g.open()
			<-small.Done()
			q.Cancel()
			closed(t, b)
		})
	}
}

// A responder that ended its goroutine was counted as having answered.
func TestRegression_G36_AResponderThatEndsItsGoroutine(t *testing.T) {
	bubbles(t, map[string]eventbus.Config{"bare": {}, "around": {AroundHandle: []eventbus.Interceptor{through}}}, func(t *testing.T, cfg eventbus.Config) {
		b := eventbus.MustNew(cfg)
		s, err := eventbus.Respond(bg, b, func(_ context.Context, i int) (int, error) {
			if i == 0 {
				runtime.Goexit()
			}
			return i, nil
		})
		require.NoError(t, err)
		go func() {
			_, _ = eventbus.Request[int](bg, b, 0)
			assert.Fail(t, "it has returned")
		}()
		synctest.Wait()
		_, err = eventbus.Request[int](bg, b, 1)
		require.NoError(t, err)
		st := s.Stats()
		assert.Equal(t, []int{1, 1, 0}, []int{int(st.Failed), int(st.Handled), st.Running}) //nolint:gosec // small
		closed(t, b)
		<-s.Done()
	})
}

type asked struct{}

var timesAsked atomic.Int64

func (asked) EventType() string {
	timesAsked.Add(1)
	return "asked"
}

// A type was asked for its name with every call of NewTopic.
func TestRegression_G38_ATypeIsAskedOnce(t *testing.T) {
	for range 2 {
		before := timesAsked.Load()
		b := eventbus.MustNew(eventbus.Config{})
		for _, name := range []string{"a", "b", "", "a", ""} {
			x := eventbus.MustNewTopic[asked](b, name, eventbus.TopicConfig{})
			assert.Equal(t, "asked", x.Stats().Type)
		}
		require.NoError(t, eventbus.Publish(bg, b, asked{}))
		assert.EqualValues(t, 1, timesAsked.Load()-before)
		closed(t, b)
	}
}

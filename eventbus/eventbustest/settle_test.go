package eventbustest_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

// countdown has each event n of a topic lead to n-1, down to 0, on two topics in
// turn, and returns the first of them and how many were handled.
func countdown(tb testing.TB, bus *eventbus.Bus) (*eventbus.Topic[int], *int) {
	tb.Helper()
	topics := []*eventbus.Topic[int]{
		topicOf[int](tb, bus, "even", eventbus.TopicConfig{}),
		topicOf[int](tb, bus, "odd", eventbus.TopicConfig{}),
	}
	handled := 0 // by one at a time, each published by the one before
	for i := range topics {
		_, err := topics[i].Subscribe(bg, func(ctx context.Context, n int) error {
			handled++
			if n == 0 {
				return nil
			}
			return topics[1-i].Publish(ctx, n-1)
		})
		require.NoError(tb, err)
	}
	return topics[0], &handled
}

// K3: chains of events come to rest, in a bubble and outside.
func TestSettleWaitsForChains(t *testing.T) {
	settles := func(t *testing.T) {
		bus := eventbustest.NewBus(t, eventbus.Config{})
		first, handled := countdown(t, bus)
		for range 20 {
			*handled = 0
			publish(t, first, 500)
			eventbustest.Settle(t, bus)
			assert.Equal(t, 501, *handled)
		}
	}
	t.Run("outside", settles)
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, settles) })
}

// K3: retries belong to what is waited for, and dead letters.
func TestSettleWaitsForRetriesAndDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := eventbustest.NewBus(t, eventbus.Config{})
		dead := topicOf[eventbus.Failure](t, bus, "dead", eventbus.TopicConfig{})
		x := topicOf[int](t, bus, "x", eventbus.TopicConfig{DeadLetter: dead})
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: 9}},
			func(context.Context, int) error { return errors.New("no") })
		require.NoError(t, err)
		letters := 0
		_, err = dead.Subscribe(bg, func(context.Context, eventbus.Failure) error {
			time.Sleep(time.Second)
			letters++
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 1)
		eventbustest.Settle(t, bus)
		assert.Equal(t, 1, letters)
	})
}

// K3: what replays history is busy although no topic has a new event.
func TestSettleWaitsForReplays(t *testing.T) {
	for _, n := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			bus := eventbustest.NewBus(t, eventbus.Config{})
			x := topicOf[int](t, bus, "x", eventbus.TopicConfig{History: n})
			y := topicOf[int](t, bus, "y", eventbus.TopicConfig{})
			publish(t, x, 1, 2, 3)
			seen := 0
			_, err := y.Subscribe(bg, func(context.Context, int) error {
				_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{From: eventbus.Oldest}, func(context.Context, int) error {
					time.Sleep(time.Second)
					seen++
					return nil
				})
				return err
			})
			require.NoError(t, err)
			publish(t, y, 1)
			eventbustest.Settle(t, bus)
			assert.Equal(t, n, seen)
		})
	}
}

// K3: a publisher that waits for room is not at rest.
func TestSettleWaitsForPublishersInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := eventbustest.NewBus(t, eventbus.Config{})
		x := topicOf[int](t, bus, "x", eventbus.TopicConfig{})
		seen := 0
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Capacity: 1}, func(context.Context, int) error {
			time.Sleep(time.Second)
			seen++
			return nil
		})
		require.NoError(t, err)
		for i := range 5 {
			go func() { _ = x.Publish(bg, i) }()
		}
		synctest.Wait()
		eventbustest.Settle(t, bus)
		assert.Equal(t, 5, seen)
	})
}

// K3: a topic that nobody refers to any more may go away meanwhile, and a bus
// that is closed has come to rest.
func TestSettleWithoutTopics(t *testing.T) {
	bus := eventbustest.NewBus(t, eventbus.Config{})
	eventbustest.Settle(t, bus)
	gone := topicOf[int](t, bus, "gone", eventbus.TopicConfig{})
	x := topicOf[int](t, bus, "x", eventbus.TopicConfig{})
	publish(t, gone, 1)
	_, err := x.Subscribe(bg, func(context.Context, int) error {
		runtime.GC()
		return nil
	})
	require.NoError(t, err)
	publish(t, x, 1)
	eventbustest.Settle(t, bus)
	require.NoError(t, bus.Close(bg))
	eventbustest.Settle(t, bus)
}

// K3: a call of a Sync handler belongs to its publisher.
func TestSettleLeavesSyncCallsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := eventbustest.NewBus(t, eventbus.Config{})
		x := topicOf[int](t, bus, "x", eventbus.TopicConfig{Sync: true})
		gate := make(chan struct{})
		_, err := x.Subscribe(bg, func(context.Context, int) error {
			<-gate
			return nil
		})
		require.NoError(t, err)
		go func() { _ = x.Publish(bg, 1) }()
		synctest.Wait()
		eventbustest.Settle(t, bus)
		close(gate)
	})
}

// K4: a handler that hangs fails the test, and is named.
func TestSettleNamesWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		began := time.Now()
		var took time.Duration
		tried := try(t, func(tb *trial) {
			bus := eventbustest.NewBus(tb, eventbus.Config{})
			x := topicOf[int](tb, bus, "x", eventbus.TopicConfig{})
			_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Name: "stuck"}, func(context.Context, int) error {
				<-gate
				return nil
			})
			require.NoError(tb, err)
			publish(tb, x, 1)
			synctest.Wait()
			publish(tb, x, 2)
			tb.Cleanup(func() {
				took = time.Since(began)
				close(gate)
			})
			eventbustest.Settle(tb, bus)
			tb.Errorf("went on")
		})
		assert.Equal(t, `eventbustest: the bus does not settle: context deadline exceeded
	subscription "stuck" of "x": 1 waiting, 1 being handled, capacity 1024, Block`, tried.said())
		assert.Equal(t, 30*time.Second, took)
	})
}

// K4: so does a Queue that nobody reads.
func TestSettleNamesQueues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := try(t, func(tb *trial) {
			bus := eventbustest.NewBus(tb, eventbus.Config{})
			x := topicOf[int](tb, bus, "x", eventbus.TopicConfig{})
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: "unread", Capacity: 1, OnFull: eventbus.Fail})
			require.NoError(tb, err)
			tb.Cleanup(q.Cancel)
			publish(tb, x, 1)
			eventbustest.Settle(tb, bus)
		})
		assert.Contains(t, tried.said(), `subscription "unread" of "x": 1 waiting, 0 being handled, capacity 1, Fail`)
	})
}

// K4: a pattern subscription is named once, however many topics it covers.
func TestSettleNamesAPatternOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := try(t, func(tb *trial) {
			bus := eventbustest.NewBus(tb, eventbus.Config{})
			gate := make(chan struct{})
			tb.Cleanup(func() { close(gate) })
			topics := []*eventbus.Topic[int]{
				topicOf[int](tb, bus, "x.a", eventbus.TopicConfig{}),
				topicOf[int](tb, bus, "x.b", eventbus.TopicConfig{}),
			}
			_, err := eventbus.SubscribePattern(bg, bus, "x.*", eventbus.SubscribeConfig[int]{Name: "stuck", Capacity: 7},
				func(context.Context, eventbus.Event[int]) error {
					<-gate
					return nil
				})
			require.NoError(tb, err)
			publish(tb, topics[0], 1)
			eventbustest.Settle(tb, bus)
		})
		assert.Equal(t, `eventbustest: the bus does not settle: context deadline exceeded
	subscription "stuck" of "x.*": 0 waiting, 1 being handled, capacity 7, Block`, tried.said())
	})
}

// endless has the handlers of two topics answer each other until it is stopped.
func endless(tb testing.TB, bus *eventbus.Bus, delay time.Duration) (stop context.CancelFunc) {
	tb.Helper()
	ctx, stop := context.WithCancel(bg)
	topics := []*eventbus.Topic[int]{
		topicOf[int](tb, bus, "ping", eventbus.TopicConfig{}),
		topicOf[int](tb, bus, "pong", eventbus.TopicConfig{}),
	}
	for i := range topics {
		_, err := topics[i].Subscribe(bg, func(own context.Context, n int) error {
			if ctx.Err() == nil {
				time.Sleep(delay)
				return topics[1-i].Publish(own, n+1)
			}
			return nil
		})
		require.NoError(tb, err)
	}
	publish(tb, topics[0], 1)
	return stop
}

// K4: handlers that answer each other for ever fail the test, whether that takes
// time or, in a bubble, none.
func TestSettleGivesUpOnEndlessChains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for delay, says := range map[time.Duration]string{
			0:           "after 131072 rounds events still lead to others",
			time.Second: "the bus does not settle: context deadline exceeded",
		} {
			tried := try(t, func(tb *trial) {
				bus := eventbustest.NewBus(tb, eventbus.Config{})
				tb.Cleanup(endless(tb, bus, delay))
				eventbustest.Settle(tb, bus)
			})
			assert.True(t, tried.stopped)
			assert.Contains(t, tried.said(), says)
		}
	})
}

func TestSettleOfNoBus(t *testing.T) {
	tried := try(t, func(tb *trial) { eventbustest.Settle(tb, nil) })
	assert.True(t, tried.stopped)
	assert.Contains(t, tried.said(), "nil *Bus")
}

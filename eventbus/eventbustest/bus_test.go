package eventbustest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

// K1: the bus is closed after the test, and its queues are worked off.
func TestNewBusClosesAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bus *eventbus.Bus
		handled := 0
		tried := try(t, func(tb *trial) {
			bus = eventbustest.NewBus(tb, eventbus.Config{Name: "shop"})
			x := topicOf[int](tb, bus, "x", eventbus.TopicConfig{})
			_, err := x.Subscribe(bg, func(context.Context, int) error {
				time.Sleep(time.Second)
				handled++
				return nil
			})
			require.NoError(tb, err)
			publish(tb, x, 1, 2, 3)
		})
		assert.Empty(t, tried.said())
		assert.Equal(t, 3, handled)
		require.ErrorIs(t, eventbus.Publish(bg, bus, 4), eventbus.ErrClosed)
	})
}

// K1: outside a bubble too.
func TestNewBusOutsideBubbles(t *testing.T) {
	var bus *eventbus.Bus
	t.Run("test", func(t *testing.T) {
		bus = eventbustest.NewBus(t, eventbus.Config{})
		publish(t, topicOf[int](t, bus, "x", eventbus.TopicConfig{}), 1)
		eventbustest.Settle(t, bus)
	})
	require.ErrorIs(t, eventbus.Publish(bg, bus, 4), eventbus.ErrClosed)
}

func TestNewBusRefusesABadConfig(t *testing.T) {
	tried := try(t, func(tb *trial) {
		eventbustest.NewBus(tb, eventbus.Config{Name: "\x00"})
		tb.Errorf("went on")
	})
	assert.True(t, tried.stopped)
	assert.Contains(t, tried.said(), `eventbustest: eventbus: New: Name is "\x00"`)
	assert.NotContains(t, tried.said(), "went on")
}

// K1: what cannot be drained fails the test, and the wait for it is bounded.
func TestNewBusFailsWhatCannotBeDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		gate := make(chan struct{})
		defer close(gate)
		tried := try(t, func(tb *trial) {
			x := topicOf[int](tb, eventbustest.NewBus(tb, eventbus.Config{}), "x", eventbus.TopicConfig{})
			_, err := x.Subscribe(bg, func(context.Context, int) error {
				<-gate
				return nil
			})
			require.NoError(tb, err)
			publish(tb, x, 1)
			synctest.Wait()
			publish(tb, x, 2, 3)
		})
		assert.Contains(t, tried.said(), "at the end of the test: eventbus: not drained: 2 events discarded, 1 being handled")
		assert.Equal(t, 30*time.Second, time.Since(began))
	})
}

// K1: a bus that the test closed itself, in a hurry, fails it as well.
func TestNewBusFailsWhatTheTestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := try(t, func(tb *trial) {
			bus := eventbustest.NewBus(tb, eventbus.Config{})
			x := topicOf[int](tb, bus, "x", eventbus.TopicConfig{})
			_, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
			require.NoError(tb, err)
			publish(tb, x, 1)
			ended, cancel := context.WithCancel(bg)
			cancel()
			require.Error(tb, bus.Close(ended))
		})
		assert.Contains(t, tried.said(), "not drained: 1 events discarded")
	})
}

// K2: a stall fails the test and is told to the hook of the test.
func TestNewBusFailsStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stalls []eventbus.Stall
		tried := try(t, func(tb *trial) {
			bus := eventbustest.NewBus(tb, eventbus.Config{
				StallAfter: time.Second,
				Hooks:      eventbus.Hooks{Stalled: func(s eventbus.Stall) { stalls = append(stalls, s) }},
			})
			x := topicOf[int](tb, bus, "x", eventbus.TopicConfig{})
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: "slow", Capacity: 1})
			require.NoError(tb, err)
			publish(tb, x, 1)
			short, cancel := context.WithTimeout(bg, 1500*time.Millisecond)
			defer cancel()
			require.ErrorIs(tb, x.Publish(short, 2), context.DeadlineExceeded)
			q.Cancel()
		})
		require.Len(t, stalls, 1)
		assert.Equal(t, "x", stalls[0].Topic)
		assert.Equal(t, `eventbustest: 1 publishers of topic "x" wait for room, the first for 1s
	subscription "slow" of "x": 1 waiting, 0 being handled, capacity 1, Block`, tried.said())
	})
}

// K2: without a hook of its own, and not before StallAfter.
func TestNewBusLeavesShortWaitsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(d time.Duration) string {
			return try(t, func(tb *trial) {
				x := topicOf[int](tb, eventbustest.NewBus(tb, eventbus.Config{}), "x", eventbus.TopicConfig{})
				_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Capacity: 1}, func(context.Context, int) error {
					time.Sleep(d)
					return nil
				})
				require.NoError(tb, err)
				publish(tb, x, 1, 2, 3)
			}).said()
		}
		assert.Empty(t, wait(4999*time.Millisecond))
		assert.Contains(t, wait(5001*time.Millisecond), "wait for room, the first for 5s")
	})
}

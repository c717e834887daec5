package eventbustest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

// seqs are the numbers of events.
func seqs[T any](events []eventbus.Event[T]) []int64 {
	var all []int64
	for _, e := range events {
		all = append(all, e.Seq)
	}
	return all
}

// K5: a recorder has the events from Record on, in their order, and what led to
// them has come to rest.
func TestRecorderRecords(t *testing.T) {
	records := func(t *testing.T) {
		bus := eventbustest.NewBus(t, eventbus.Config{})
		first, _ := countdown(t, bus)
		publish(t, first, 1)
		eventbustest.Settle(t, bus)
		r := eventbustest.Record(t, bus, first)
		assert.Empty(t, r.Events())
		r.Expect()

		publish(t, first, 8)
		assert.Equal(t, []int{8, 6, 4, 2, 0}, r.Data())
		assert.Equal(t, []int64{2, 3, 4, 5, 6}, seqs(r.Events()))
		r.Expect(8, 6, 4, 2, 0)
		r.ExpectSome(6, 0)

		r.Reset()
		assert.Empty(t, r.Data())
		publish(t, first, 2)
		r.Expect(2, 0)
	}
	t.Run("outside", records)
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, records) })
}

// What a method returns is the caller's.
func TestRecorderReturnsCopies(t *testing.T) {
	bus := eventbustest.NewBus(t, eventbus.Config{})
	x := topicOf[int](t, bus, "x", eventbus.TopicConfig{})
	r := eventbustest.Record(t, bus, x)
	publish(t, x, 1, 2)
	r.Events()[0].Data = 7
	r.Data()[1] = 7
	r.Expect(1, 2)
}

// K5: whatever the capacity of the topic, a recorder holds up nobody, and on a
// Sync topic neither does it run on the goroutine of the publisher.
func TestRecorderHoldsUpNobody(t *testing.T) {
	for name, cfg := range map[string]eventbus.TopicConfig{
		"small":   {Capacity: 1},
		"default": {},
		"endless": {Capacity: -1},
		"sync":    {Sync: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := eventbustest.NewBus(t, eventbus.Config{})
				x := topicOf[int](t, bus, "x", cfg)
				r := eventbustest.Record(t, bus, x)
				var want []int
				for i := range 3000 {
					require.NoError(t, x.TryPublish(bg, i))
					want = append(want, i)
				}
				r.Expect(want...)
				assert.Zero(t, x.Stats().Waited)
			})
		})
	}
}

// K5: a recorder is not seen by interceptors of handlers, nor by the hooks of
// attempts, and sees what interceptors of publishes make of an event.
func TestRecorderIsNotIntercepted(t *testing.T) {
	calls := 0
	count := func(eventbus.Handler) eventbus.Handler {
		return func(context.Context, eventbus.Event[any]) error {
			calls++
			return errors.New("no")
		}
	}
	double := func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			e.Data = 2 * e.Data.(int)
			return next(ctx, e)
		}
	}
	bus := eventbustest.NewBus(t, eventbus.Config{
		AroundHandle:  []eventbus.Interceptor{count},
		AroundPublish: []eventbus.Interceptor{double},
		Hooks: eventbus.Hooks{
			Handled: func(context.Context, eventbus.Handling) { calls++ },
			Failed:  func(context.Context, eventbus.Failure) { calls++ },
		},
	})
	x := topicOf[int](t, bus, "x", eventbus.TopicConfig{})
	r := eventbustest.Record(t, bus, x)
	publish(t, x, 1, 2)
	r.Expect(2, 4)
	assert.Zero(t, calls)
}

// A recorder answers after the end of the bus too, orderly or not.
func TestRecorderOfAClosedBus(t *testing.T) {
	for _, hurry := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			bus := eventbus.MustNew(eventbus.Config{})
			x := topicOf[int](t, bus, "x", eventbus.TopicConfig{})
			r := eventbustest.Record(t, bus, x)
			publish(t, x, 1, 2)
			synctest.Wait()
			ctx, cancel := context.WithCancel(bg)
			defer cancel()
			if hurry {
				cancel()
			}
			require.NoError(t, bus.Close(ctx))
			r.Expect(1, 2)
		})
	}
}

func TestRecordRefusesMisuse(t *testing.T) {
	bus := eventbustest.NewBus(t, eventbus.Config{})
	x := topicOf[int](t, bus, "x", eventbus.TopicConfig{})
	other := eventbustest.NewBus(t, eventbus.Config{})
	closed := eventbus.MustNew(eventbus.Config{})
	late := topicOf[int](t, closed, "late", eventbus.TopicConfig{})
	require.NoError(t, closed.Close(bg))
	for name, c := range map[string]struct {
		bus   *eventbus.Bus
		topic *eventbus.Topic[int]
		says  string
	}{
		"no bus":      {nil, x, "nil *Bus"},
		"no topic":    {bus, nil, "is not one of this bus"},
		"another bus": {other, x, `eventbustest: record: topic "x" is not one of this bus`},
		"closed bus":  {closed, late, "eventbus: closed"},
	} {
		t.Run(name, func(t *testing.T) {
			tried := try(t, func(tb *trial) { eventbustest.Record(tb, c.bus, c.topic) })
			assert.True(t, tried.stopped)
			assert.Contains(t, tried.said(), c.says)
		})
	}
}

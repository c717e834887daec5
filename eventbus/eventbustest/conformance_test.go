package eventbustest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

// K7: the core, without any bridge, and bridges without fault conform.
func TestConformance(t *testing.T) {
	for name, factory := range conforming() {
		t.Run(name, func(t *testing.T) { eventbustest.TestBridge(t, factory) })
	}
}

// conforming are pairs that pass.
func conforming() map[string]func(testing.TB) eventbustest.Pair {
	flaky := func(lost bool) func(context.Context, *wire, eventbus.Encoded) error {
		return func(_ context.Context, w *wire, e eventbus.Encoded) error {
			fails := w.sent%3 == 0
			if !fails || !lost {
				w.send(e)
			}
			if fails {
				return errors.New("connection reset")
			}
			return nil
		}
	}
	again := eventbus.SubscribeConfig[any]{Retry: eventbus.Retry{Attempts: -1, Wait: -1}}
	return map[string]func(testing.TB) eventbustest.Pair{
		"same bus":                              same,
		"joined":                                joined(fault{}),
		"one way":                               oneWay,
		"small queues":                          joined(fault{queue: eventbus.SubscribeConfig[any]{Capacity: 1}}),
		"forward fails, and is repeated":        joined(fault{queue: again, forward: flaky(true)}),
		"forward fails, although it is sent":    joined(fault{queue: again, forward: flaky(false)}),
		"more than once, under one ID":          joined(fault{forward: twice("", "")}),
		"more than once, as is admitted":        joined(fault{forward: twice("elsewhere", ""), atLeastOnce: true}),
		"no bridge, and more than once allowed": allowing(same),
		"more than once is allowed, not done":   allowing(oneWay),
	}
}

// allowing admits duplicates of a pair.
func allowing(factory func(testing.TB) eventbustest.Pair) func(testing.TB) eventbustest.Pair {
	return func(tb testing.TB) eventbustest.Pair {
		tb.Helper()
		p := factory(tb)
		p.AtLeastOnce = true
		return p
	}
}

// twice sends every event twice, the second time from that origin and with that
// added to its ID.
func twice(origin, id string) func(context.Context, *wire, eventbus.Encoded) error {
	return func(_ context.Context, w *wire, e eventbus.Encoded) error {
		w.send(e)
		if origin != "" {
			e.Origin = origin
		}
		e.ID += id
		w.send(e)
		return nil
	}
}

// K7: what conforms does so in a bubble too, where a check can be run on its own.
func TestConformanceInBubbles(t *testing.T) {
	for name, factory := range conforming() {
		t.Run(name, func(t *testing.T) {
			for check, run := range eventbustest.Checks() {
				t.Run(check, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { run(t, factory) })
				})
			}
		})
	}
}

func TestConformanceRefusesMisuse(t *testing.T) {
	for name, c := range map[string]struct {
		factory func(testing.TB) eventbustest.Pair
		says    string
	}{
		"no factory": {nil, "eventbustest: the factory is nil"},
		"no In": {func(tb testing.TB) eventbustest.Pair {
			tb.Helper()
			return eventbustest.Pair{Out: same(tb).Out}
		}, "eventbustest: a bus of the pair is nil"},
		"no Out": {func(tb testing.TB) eventbustest.Pair {
			tb.Helper()
			return eventbustest.Pair{In: same(tb).In}
		}, "eventbustest: a bus of the pair is nil"},
		"closed": {func(tb testing.TB) eventbustest.Pair {
			tb.Helper()
			p := same(tb)
			assert.NoError(tb, p.In.Close(bg))
			return p
		}, "eventbus: closed"},
	} {
		t.Run(name, func(t *testing.T) {
			for check, run := range eventbustest.Checks() {
				tried := try(t, func(tb *trial) { run(tb, c.factory) })
				assert.True(t, tried.stopped, check)
				assert.Contains(t, tried.said(), c.says, check)
			}
		})
	}
}

// K7: the suite is all of the checks, each with a pair of its own.
func TestBridgeRunsAllChecks(t *testing.T) {
	made := 0
	eventbustest.TestBridge(t, func(tb testing.TB) eventbustest.Pair {
		tb.Helper()
		made++
		return same(tb)
	})
	assert.Equal(t, everyone(), []string{"close", "data", "echo", "envelope", "once", "order", "retry", "topics"})
	assert.Equal(t, len(everyone()), made)
}

// K7: a pattern subscription on In is not taken for a bridge for ever.
func TestConformanceWithPatterns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		eventbustest.Checks()["echo"](t, func(tb testing.TB) eventbustest.Pair {
			tb.Helper()
			p := oneWay(tb)
			_, err := eventbus.SubscribePattern(bg, p.In, ">", eventbus.SubscribeConfig[any]{}, func(context.Context, eventbus.Event[any]) error { return nil })
			assert.NoError(tb, err)
			return p
		})
	})
}

package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/saga"
)

// What the hooks are told comes to the topics, in order, and hooks go on doing nothing
// when the bus is closed.
func TestTopics_hooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topics := newTopics()
		var all []string
		_, err := eventbus.SubscribePattern(t.Context(), topics.bus, ">", eventbus.SubscribeConfig[any]{},
			func(_ context.Context, e eventbus.Event[any]) error {
				all = append(all, e.Topic()+" "+describe(e.Data))
				return nil
			})
		require.NoError(t, err)
		left := 0
		reg := registry.MustNew(registry.Config{Hooks: topics.registryHooks(func() { left++ })})
		b := breaker.MustNew("b", breaker.Config{Hooks: topics.breakerHooks()})
		var ends []saga.Status
		hooks := topics.sagaHooks(func(_ context.Context, run string, end saga.Status) {
			assert.Equal(t, "r", run)
			ends = append(ends, end)
		})
		tellAll := func() {
			lease, err := reg.Register(t.Context(), registry.Instance{ID: "a-1", Service: "a", Addr: "1.2.3.4:5", TTL: -1})
			require.NoError(t, err)
			b.Trip(time.Minute, errors.New("oops"))
			for _, s := range []saga.Status{saga.Running, saga.Stuck, saga.Compensating, saga.Compensated, saga.Completed} {
				hooks.Status(t.Context(), saga.StatusEvent{Run: "r", To: s})
			}
			hooks.StepStart(t.Context(), saga.StepInfo{Run: "r", Step: "ship", Attempt: 1})
			hooks.StepDone(t.Context(), saga.StepEvent{Info: saga.StepInfo{Run: "r", Step: "ship", Attempt: 1}, Result: saga.Applied})
			topics.tell("news", false)
			require.NoError(t, lease.Deregister())
			b.Reset()
			synctest.Wait()
		}
		tellAll()
		assert.Equal(t, []string{
			"registry.changed a-1: registered",
			"breaker.moved b: breaker open, was closed: oops",
			"saga.status r: running", "saga.status r: stuck", "saga.status r: compensating",
			"saga.status r: compensated", "saga.status r: completed",
			"saga.step.began r: ship, attempt 1",
			"saga.step.ended r: ship, attempt 1: applied",
			"shop.news news",
			"registry.changed a-1: gone: deregistered",
			"breaker.moved b: breaker closed, was open",
		}, all)
		assert.Equal(t, 1, left, "connections to who is gone are closed")
		assert.Equal(t, []saga.Status{saga.Stuck, saga.Compensated, saga.Completed}, ends)

		require.NoError(t, topics.bus.Close(t.Context()))
		tellAll()
		assert.Len(t, all, 12)
		require.NoError(t, reg.Close(t.Context()))
	})
}

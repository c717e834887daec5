package main

import (
	"context"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/saga"
)

// Ended tells that an order has come to its end, or that it is stuck.
type Ended struct {
	Order  Order
	Status saga.Status
	// Again is set after a restart, when nobody knows who has been told. Whoever
	// listens knows orders by their IDs.
	Again bool
}

// Topics are what is told on the bus: what the hooks of the packages tell, and what
// the shop itself has to say.
type topics struct {
	bus      *eventbus.Bus
	moved    *eventbus.Topic[breaker.Transition]
	changed  *eventbus.Topic[registry.Change]
	status   *eventbus.Topic[saga.StatusEvent]
	began    *eventbus.Topic[saga.StepInfo]
	finished *eventbus.Topic[saga.StepEvent]
	placed   *eventbus.Topic[Order]
	ended    *eventbus.Topic[Ended]
	news     *eventbus.Topic[News]
	returned *eventbus.Topic[eventbus.Failure] // mails that could not be delivered
}

// News is what somebody does to the shop: a fault begins or ends.
type News struct {
	Text string
	Bad  bool
}

func newTopics() *topics {
	bus := eventbus.MustNew(eventbus.Config{})
	return &topics{
		bus:      bus,
		moved:    eventbus.MustNewTopic[breaker.Transition](bus, "breaker.moved", eventbus.TopicConfig{}),
		changed:  eventbus.MustNewTopic[registry.Change](bus, "registry.changed", eventbus.TopicConfig{}),
		status:   eventbus.MustNewTopic[saga.StatusEvent](bus, "saga.status", eventbus.TopicConfig{}),
		began:    eventbus.MustNewTopic[saga.StepInfo](bus, "saga.step.began", eventbus.TopicConfig{}),
		finished: eventbus.MustNewTopic[saga.StepEvent](bus, "saga.step.ended", eventbus.TopicConfig{}),
		placed:   eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{}),
		ended:    eventbus.MustNewTopic[Ended](bus, "orders.ended", eventbus.TopicConfig{}),
		news:     eventbus.MustNewTopic[News](bus, "shop.news", eventbus.TopicConfig{}),
		returned: eventbus.MustNewTopic[eventbus.Failure](bus, "mails.returned", eventbus.TopicConfig{}),
	}
}

// Hooks run on the goroutine that makes a call or executes a step, so they must not
// wait: TryPublish gives up instead. Nobody is missed for that, as those who listen
// either have no limit or would rather lose old events (see subscribers.go). The only
// error is then that the bus is closed, and nobody listens any more.

func (t *topics) breakerHooks() breaker.Hooks {
	return breaker.Hooks{Transition: func(ctx context.Context, e breaker.Transition) { _ = t.moved.TryPublish(ctx, e) }}
}

// gone is called when an instance is there no more.
func (t *topics) registryHooks(gone func()) registry.Hooks {
	return registry.Hooks{Change: func(e registry.Change) {
		_ = t.changed.TryPublish(context.Background(), e)
		if e.After == nil {
			gone()
		}
	}}
}

func (t *topics) sagaHooks(over func(ctx context.Context, run string, end saga.Status)) saga.Hooks {
	return saga.Hooks{
		Status: func(ctx context.Context, e saga.StatusEvent) {
			_ = t.status.TryPublish(ctx, e)
			if final(e.To) {
				over(ctx, e.Run, e.To)
			}
		},
		StepStart: func(ctx context.Context, e saga.StepInfo) { _ = t.began.TryPublish(ctx, e) },
		StepDone:  func(ctx context.Context, e saga.StepEvent) { _ = t.finished.TryPublish(ctx, e) },
	}
}

// tell publishes news.
func (t *topics) tell(text string, bad bool) {
	_ = t.news.TryPublish(context.Background(), News{text, bad})
}

// final reports whether a run that has this status does nothing any more by itself.
func final(s saga.Status) bool {
	return s.Ended() || s == saga.Stuck
}

package eventbus_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A kind is a way for a handler to get its events. What is guaranteed of handlers
// holds for each, though what runs is different.
type kind struct {
	name  string
	bus   eventbus.Config
	topic eventbus.TopicConfig
	sub   eventbus.SubscribeConfig[int]
	with  func(b *eventbus.Bus, x *eventbus.Topic[int], ctx context.Context, cfg eventbus.SubscribeConfig[int], fn func(context.Context, int) error) (*eventbus.Subscription, error)
}

func onData(_ *eventbus.Bus, x *eventbus.Topic[int], ctx context.Context, cfg eventbus.SubscribeConfig[int], fn func(context.Context, int) error) (*eventbus.Subscription, error) {
	return x.SubscribeWith(ctx, cfg, fn)
}

func onEvents(_ *eventbus.Bus, x *eventbus.Topic[int], ctx context.Context, cfg eventbus.SubscribeConfig[int], fn func(context.Context, int) error) (*eventbus.Subscription, error) {
	return x.SubscribeEvents(ctx, cfg, func(ctx context.Context, e eventbus.Event[int]) error { return fn(ctx, e.Data) })
}

func onPattern(b *eventbus.Bus, _ *eventbus.Topic[int], ctx context.Context, cfg eventbus.SubscribeConfig[int], fn func(context.Context, int) error) (*eventbus.Subscription, error) {
	return eventbus.SubscribePattern(ctx, b, "*", cfg, func(ctx context.Context, e eventbus.Event[int]) error { return fn(ctx, e.Data) })
}

func onAny(b *eventbus.Bus, _ *eventbus.Topic[int], ctx context.Context, cfg eventbus.SubscribeConfig[int], fn func(context.Context, int) error) (*eventbus.Subscription, error) {
	return eventbus.SubscribePattern(ctx, b, ">", eventbus.SubscribeConfig[any]{
		Name: cfg.Name, OnFull: cfg.OnFull, Capacity: cfg.Capacity, Once: cfg.Once, Workers: cfg.Workers,
		Timeout: cfg.Timeout, Retry: cfg.Retry, DeadLetter: cfg.DeadLetter,
		Filter: func(v any) bool {
			i, ok := v.(int)
			return ok && (cfg.Filter == nil || cfg.Filter(i))
		},
	}, func(ctx context.Context, e eventbus.Event[any]) error { return fn(ctx, e.Data.(int)) })
}

func all(int) bool { return true }

// through passes everything on.
func through(next eventbus.Handler) eventbus.Handler {
	return func(ctx context.Context, e eventbus.Event[any]) error { return next(ctx, e) }
}

var handled = eventbus.Hooks{Handled: func(context.Context, eventbus.Handling) {}}

// kinds of queued handlers with one worker, and of those on Sync topics.
var (
	queuedKinds = [...]kind{
		{name: "data, ring", with: onData},
		{name: "data, mailbox", with: onData, sub: eventbus.SubscribeConfig[int]{Filter: all}},
		{name: "events, ring", with: onEvents},
		{name: "events, mailbox", with: onEvents, sub: eventbus.SubscribeConfig[int]{OnFull: eventbus.Unbounded}},
		{name: "pattern", with: onPattern},
		{name: "pattern of any", with: onAny},
		{name: "two workers, one key", with: onData, sub: eventbus.SubscribeConfig[int]{Workers: 2, Key: func(int) string { return "k" }}},
		{name: "with Failed", with: onData, bus: eventbus.Config{Hooks: eventbus.Hooks{Failed: func(context.Context, eventbus.Failure) {}}}},
		{name: "with Handled", with: onData, bus: eventbus.Config{Hooks: handled}},
		{name: "around handlers", with: onData, bus: eventbus.Config{AroundHandle: []eventbus.Interceptor{through}}},
		{name: "around publishes", with: onData, bus: eventbus.Config{AroundPublish: []eventbus.Interceptor{through}}},
		{name: "with Timeout", with: onEvents, sub: eventbus.SubscribeConfig[int]{Timeout: 1000 * time.Hour}},
		{name: "from history", with: onData, topic: eventbus.TopicConfig{History: 4}, sub: eventbus.SubscribeConfig[int]{From: eventbus.Oldest}},
	}
	syncKinds = [...]kind{
		{name: "sync, data", with: onData, topic: eventbus.TopicConfig{Sync: true}},
		{name: "sync, events", with: onEvents, topic: eventbus.TopicConfig{Sync: true}},
		{name: "sync, Filter", with: onData, topic: eventbus.TopicConfig{Sync: true}, sub: eventbus.SubscribeConfig[int]{Filter: all}},
		{name: "sync, with Handled", with: onData, topic: eventbus.TopicConfig{Sync: true}, bus: eventbus.Config{Hooks: handled}},
		{name: "sync, around handlers", with: onData, topic: eventbus.TopicConfig{Sync: true}, bus: eventbus.Config{AroundHandle: []eventbus.Interceptor{through}}},
	}
)

// run makes the topic in a bubble and hands it to f.
func (k *kind) run(t *testing.T, f func(*testing.T, *eventbus.Bus, *eventbus.Topic[int])) {
	t.Run(k.name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, x := newTopic[int](t, k.bus, k.topic)
			f(t, b, x)
		})
	})
}

// subscribe adds fn, with the config of the kind but for what set changes.
func (k *kind) subscribe(tb testing.TB, b *eventbus.Bus, x *eventbus.Topic[int], set func(*eventbus.SubscribeConfig[int]), fn func(context.Context, int) error) *eventbus.Subscription {
	tb.Helper()
	return k.subscribeCtx(bg, tb, b, x, set, fn)
}

func (k *kind) subscribeCtx(ctx context.Context, tb testing.TB, b *eventbus.Bus, x *eventbus.Topic[int], set func(*eventbus.SubscribeConfig[int]), fn func(context.Context, int) error) *eventbus.Subscription {
	tb.Helper()
	cfg := k.sub
	if set != nil {
		set(&cfg)
	}
	s, err := k.with(b, x, ctx, cfg, fn)
	require.NoError(tb, err)
	return s
}

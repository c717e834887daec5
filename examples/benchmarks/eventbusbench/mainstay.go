package eventbusbench

import (
	"context"
	"sync"

	"github.com/mainstay-go/mainstay/eventbus"
)

// ours is a bus with one topic, and a handler for each subscription.
func ours[T any](cfg eventbus.TopicConfig, handlers []handler[T]) (*eventbus.Bus, *eventbus.Topic[T]) {
	b := eventbus.MustNew(eventbus.Config{})
	t := eventbus.MustNewTopic[T](b, "x", cfg)
	for _, fn := range handlers {
		got(t.Subscribe(background, fn))
	}
	return b, t
}

// closes is how each bus of ours ends.
func closes(b *eventbus.Bus) func() { return func() { must(b.Close(background)) } }

// oursQueued is the zero TopicConfig.
func oursQueued[T any](data *[distinct]T, handlers []handler[T]) (feed, func()) {
	b, t := ours(eventbus.TopicConfig{}, handlers)
	return publishing(t, data), closes(b)
}

func oursSync[T any](data *[distinct]T, handlers []handler[T]) (feed, func()) {
	b, t := ours(eventbus.TopicConfig{Sync: true}, handlers)
	return publishing(t, data), closes(b)
}

func publishing[T any](t *eventbus.Topic[T], data *[distinct]T) feed {
	return func(n int) (failed int) {
		next := 0
		for range n {
			if err := t.Publish(background, data[next]); err != nil {
				failed++
			}
			if next++; next == distinct {
				next = 0
			}
		}
		return failed
	}
}

// oursContexts publishes every event with another context than the one before.
func oursContexts[T any](data *[distinct]T, handlers []handler[T]) (feed, func()) {
	b, t := ours(eventbus.TopicConfig{}, handlers)
	ctxs := contexts()
	return func(n int) (failed int) {
		next := 0
		for range n {
			if err := t.Publish(ctxs[next], data[next]); err != nil {
				failed++
			}
			if next++; next == distinct {
				next = 0
			}
		}
		return failed
	}, closes(b)
}

type requestKey struct{}

// contexts are made beforehand: who publishes has one anyway.
func contexts() (all [distinct]context.Context) {
	for i := range all {
		all[i] = context.WithValue(background, requestKey{}, i) //nolint:fatcontext // none is made from another
	}
	return all
}

// batchSize is how many events are published at once.
const batchSize = 32

// oursBatches publishes in batches. n has to be a multiple of their size.
func oursBatches[T any](data *[distinct]T, handlers []handler[T]) (feed, func()) {
	b, t := ours(eventbus.TopicConfig{}, handlers)
	return func(n int) (failed int) {
		next := 0
		for range n / batchSize {
			accepted, err := t.PublishBatch(background, data[next:next+batchSize])
			if err != nil {
				failed += batchSize - accepted
			}
			next = (next + batchSize) % distinct
		}
		return failed
	}, closes(b)
}

// oursRead has a goroutine for each subscription that ranges over the events of
// a Queue.
func oursRead[T any](cfg eventbus.TopicConfig) maker[T] {
	return func(data *[distinct]T, handlers []handler[T]) (feed, func()) {
		b, t := ours[T](cfg, nil)
		var readers sync.WaitGroup
		for _, fn := range handlers {
			q := got(t.Queue(background, eventbus.SubscribeConfig[T]{}))
			readers.Go(func() {
				for e, err := range q.Events(background) {
					must(err)
					must(fn(background, e.Data))
				}
			})
		}
		return publishing(t, data), func() {
			must(b.Close(background))
			readers.Wait()
		}
	}
}

package eventbus_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Whatever a function handed to the bus does with the bus, it returns.
func TestS29_G26_EverythingFromEverywhere(t *testing.T) {
	type call struct {
		name string
		// waits: it would wait for its caller if the context did not tell it.
		waits bool
		do    func(ctx context.Context, w *world) error
	}
	calls := []call{
		{"publish", false, func(ctx context.Context, w *world) error { return w.other.Publish(ctx, 1) }},
		{"publish to itself", false, func(ctx context.Context, w *world) error { return w.topic.TryPublish(ctx, 9) }},
		{"batch", false, func(ctx context.Context, w *world) error {
			_, err := w.other.PublishBatch(ctx, ints(1, 3))
			return err
		}},
		{"subscribe", false, func(_ context.Context, w *world) error {
			_, err := w.topic.Subscribe(bg, func(context.Context, int) error { return nil })
			return err
		}},
		{"cancel itself", false, func(_ context.Context, w *world) error { w.self.Cancel(); return nil }},
		{"cancel another", false, func(_ context.Context, w *world) error { w.sibling.Cancel(); return nil }},
		{"stats", false, func(_ context.Context, w *world) error {
			for s := range w.bus.Topics() {
				_ = s
			}
			_ = w.self.Stats()
			return nil
		}},
		{"request", false, func(ctx context.Context, w *world) error {
			_, err := eventbus.Request[string](ctx, w.bus, 7)
			return err
		}},
		{"new topic", false, func(_ context.Context, w *world) error {
			_, err := eventbus.NewTopic[string](w.bus, "made.inside", eventbus.TopicConfig{})
			return err
		}},
		{"flush", true, func(ctx context.Context, w *world) error {
			if err := w.bus.Flush(ctx); err != nil {
				assert.ErrorIs(w.t, err, eventbus.ErrWouldDeadlock)
			}
			return nil
		}},
		{"drain itself", true, func(ctx context.Context, w *world) error { return w.self.Drain(ctx) }},
		{"drain another", true, func(ctx context.Context, w *world) error { return w.sibling.Drain(ctx) }},
		{"close", true, func(ctx context.Context, w *world) error { return w.bus.Close(ctx) }},
	}
	// places where it may be done: at most once each.
	places := []string{
		"queued handler", "mailbox handler", "sync handler", "pattern handler", "Handled", "Failed", "Dropped",
		"Filter", "Key", "AroundPublish", "AroundHandle", "responder",
	}
	for _, c := range calls {
		for _, place := range places {
			withCtx := place != "Dropped" && place != "Filter" && place != "Key"
			if c.waits && (!withCtx || place == "AroundPublish" || place == "responder") {
				continue // without a handler's context these would wait for their caller, as is documented
			}
			if c.waits && place == "sync handler" {
				continue // the publisher's context is not that of a handler: see the test below
			}
			t.Run(fmt.Sprintf("%s from %s", c.name, place), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { newWorld(t, place, c.do).run() })
			})
		}
	}
}

// A world is a bus with one of everything, in which one function does something.
type world struct {
	t             *testing.T
	bus           *eventbus.Bus
	topic, other  *eventbus.Topic[int]
	self, sibling *eventbus.Subscription
	did           atomic.Bool
	ready         atomic.Bool
	place         string
}

func newWorld(t *testing.T, place string, do func(context.Context, *world) error) *world {
	w := &world{t: t, place: place}
	at := func(here string, ctx context.Context) {
		if here == w.place && w.ready.Load() && w.did.CompareAndSwap(false, true) {
			assert.NoError(t, do(ctx, w))
		}
	}
	around := func(here string) []eventbus.Interceptor {
		return []eventbus.Interceptor{func(next eventbus.Handler) eventbus.Handler {
			return func(ctx context.Context, e eventbus.Event[any]) error {
				if e.Topic() == "x" {
					at(here, ctx)
				}
				return next(ctx, e)
			}
		}}
	}
	cfg := eventbus.Config{Hooks: eventbus.Hooks{
		Handled: func(ctx context.Context, h eventbus.Handling) {
			if h.Topic == "x" {
				at("Handled", ctx)
			}
		},
		Failed:  func(ctx context.Context, _ eventbus.Failure) { at("Failed", ctx) },
		Dropped: func(eventbus.Drop) { at("Dropped", bg) },
	}}
	switch place {
	case "AroundPublish":
		cfg.AroundPublish = around(place)
	case "AroundHandle":
		cfg.AroundHandle = around(place)
	}
	var err error
	topic := eventbus.TopicConfig{Capacity: 5}
	if place == "sync handler" {
		topic = eventbus.TopicConfig{Sync: true}
	}
	w.bus, w.topic = newTopic[int](t, cfg, topic)
	w.other = eventbus.MustNewTopic[int](w.bus, "y", eventbus.TopicConfig{})
	_, _ = subscribe(t, w.other, eventbus.SubscribeConfig[int]{})
	_, w.sibling = subscribe(t, w.topic, eventbus.SubscribeConfig[int]{})
	fn := func(ctx context.Context, e eventbus.Event[int]) error {
		at("queued handler", ctx)
		at("mailbox handler", ctx)
		at("sync handler", ctx)
		at("pattern handler", ctx)
		if e.Data == 1 {
			return assert.AnError
		}
		return nil
	}
	sub := eventbus.SubscribeConfig[int]{}
	switch place {
	case "mailbox handler", "Filter":
		sub.Filter = func(int) bool { at("Filter", bg); return true }
	case "Key":
		sub.Workers, sub.Key = 2, func(int) string { at("Key", bg); return "k" }
	case "Dropped":
		sub.OnFull, sub.Capacity = eventbus.DropNewest, 1
	}
	if place == "pattern handler" {
		w.self, err = eventbus.SubscribePattern(bg, w.bus, "x", sub, fn)
	} else {
		w.self, err = w.topic.SubscribeEvents(bg, sub, fn)
	}
	require.NoError(t, err)
	_, err = eventbus.Respond(bg, w.bus, func(ctx context.Context, q int) (string, error) {
		if q != 7 {
			at("responder", ctx)
		}
		return fmt.Sprint(q), nil
	})
	require.NoError(t, err)
	return w
}

func (w *world) run() {
	w.ready.Store(true)
	for i := 1; i <= 4; i++ {
		if err := w.topic.Publish(bg, i); err != nil && w.place != "sync handler" {
			require.ErrorIs(w.t, err, eventbus.ErrClosed)
		}
	}
	if w.place == "responder" {
		_, err := eventbus.Request[string](bg, w.bus, 8)
		require.NoError(w.t, err)
	}
	synctest.Wait()
	assert.True(w.t, w.did.Load(), "it was done")
	require.NoError(w.t, w.bus.Close(bg))
}

// In a Sync handler the context is the publisher's. If that is a handler's, all
// is as in that handler.
func TestG26_ASyncHandlerWithAHandlersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		s := eventbus.MustNewTopic[int](b, "sync", eventbus.TopicConfig{Sync: true})
		ran := false
		_, err := s.Subscribe(bg, func(ctx context.Context, _ int) error {
			ran = true
			require.ErrorIs(t, b.Flush(ctx), eventbus.ErrWouldDeadlock)
			return b.Close(ctx)
		})
		require.NoError(t, err)
		_, err = x.Subscribe(bg, s.Publish)
		require.NoError(t, err)
		publish(t, x, 1)
		synctest.Wait()
		closed(t, b)
		assert.True(t, ran)
	})
}

// A context derived in the handler is a handler's too, as is one of a timeout; on
// another bus it is not.
func TestG26_DerivedAndForeignContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		other, y := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		_, err := y.Subscribe(bg, func(context.Context, int) error { return nil })
		require.NoError(t, err)
		ran := false
		_, err = x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Timeout: time.Hour}, func(ctx context.Context, _ int) error {
			ran = true
			child, cancel := context.WithCancel(context.WithoutCancel(ctx))
			defer cancel()
			require.ErrorIs(t, b.Flush(child), eventbus.ErrWouldDeadlock)
			require.NoError(t, y.Publish(ctx, 1))
			require.NoError(t, other.Flush(ctx))
			return other.Close(ctx)
		})
		require.NoError(t, err)
		publish(t, x, 1)
		closed(t, b)
		assert.True(t, ran)
		require.ErrorIs(t, y.Publish(bg, 1), eventbus.ErrClosed)
	})
}

// Close from a handler begins the closing, which another caller can wait for.
func TestG26_CloseFromAHandlerClosesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		var saw []int
		s, err := x.Subscribe(bg, func(ctx context.Context, i int) error {
			saw = append(saw, i)
			if i == 1 {
				return b.Close(ctx)
			}
			return nil
		})
		require.NoError(t, err)
		n, err := x.PublishBatch(bg, ints(1, 5))
		require.NoError(t, err)
		assert.Equal(t, 5, n)
		<-s.Done()
		assert.Equal(t, ints(1, 5), saw)
		require.ErrorIs(t, x.Publish(bg, 6), eventbus.ErrClosed)
		closed(t, b)
	})
}

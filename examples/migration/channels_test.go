package migration

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

type Hub struct {
	mu      sync.Mutex
	subs    map[chan Order]bool
	dropped atomic.Int64
}

func (h *Hub) Subscribe(n int) (<-chan Order, func()) {
	ch := make(chan Order, n)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[ch] = true
	return ch, sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, ch)
		close(ch) // what waits in it can still be read
	})
}

func (h *Hub) Publish(o Order) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.subs {
		select {
		case ch <- o:
		default:
			h.dropped.Add(1) // better to lose one than to wait
		}
	}
}

// startMailer is a reader of the hub. stop returns when it has mailed what waited.
func startMailer(ctx context.Context, hub *Hub, mail func(context.Context, Order) error, log *slog.Logger) (stop func()) {
	var wg sync.WaitGroup
	orders, cancel := hub.Subscribe(100)
	wg.Go(func() {
		for o := range orders {
			if err := mail(ctx, o); err != nil {
				log.ErrorContext(ctx, "not mailed", "order", o.ID, "err", err)
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// subscribeMailer is the same on a bus.
func subscribeMailer(ctx context.Context, bus *eventbus.Bus, mail func(context.Context, Order) error) (*eventbus.Topic[Order], error) {
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{
		Name: "mailer", Capacity: 100, OnFull: eventbus.DropNewest,
		Retry: eventbus.Retry{Attempts: 3, Wait: time.Second},
	}, mail)
	return orders, err
}

func newHub() *Hub { return &Hub{subs: make(map[chan Order]bool)} }

// While the mailer hangs, both keep 100 orders, lose the newest and hold up nobody;
// and at the end both mail what they have kept.
func TestChannelsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		type result struct {
			mailed []int
			lost   int
		}
		mailer := func(r *result, goOn chan struct{}) func(context.Context, Order) error {
			return func(_ context.Context, o Order) error {
				<-goOn
				r.mailed = append(r.mailed, o.ID)
				return nil
			}
		}
		var before, after result
		goOn := make(chan struct{})
		hub, bus := newHub(), eventbus.MustNew(eventbus.Config{})
		stop := startMailer(ctx, hub, mailer(&before, goOn), slog.New(slog.DiscardHandler))
		orders, err := subscribeMailer(ctx, bus, mailer(&after, goOn))
		require.NoError(t, err)
		for id := range 150 {
			hub.Publish(Order{ID: id})
			require.NoError(t, orders.Publish(ctx, Order{ID: id}))
			synctest.Wait()
		}
		before.lost = int(hub.dropped.Load())
		stats := orders.Stats().Subscriptions[0]
		assert.Equal(t, "mailer", stats.Name)
		after.lost = int(stats.Lagged)
		close(goOn)
		stop()
		require.NoError(t, bus.Close(ctx))
		assert.Equal(t, before, after)
		assert.Equal(t, 49, after.lost)
		assert.Len(t, after.mailed, 101)
	})
}

// Close has a deadline, and tells what was left.
func TestChannelsShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := eventbus.MustNew(eventbus.Config{})
		orders, err := subscribeMailer(t.Context(), bus, func(ctx context.Context, _ Order) error {
			<-ctx.Done() // hangs until nobody waits any more
			return context.Cause(ctx)
		})
		require.NoError(t, err)
		for id := range 10 {
			require.NoError(t, orders.Publish(t.Context(), Order{ID: id}))
			synctest.Wait()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var left *eventbus.DrainError
		require.ErrorAs(t, bus.Close(ctx), &left)
		require.Len(t, left.Left, 1)
		assert.EqualValues(t, 9, left.Left[0].Discarded)
	})
}

// The context of a subscription is its life: what waits is discarded when it ends.
func TestChannelsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		bus := eventbus.MustNew(eventbus.Config{})
		mailed := 0
		orders, err := subscribeMailer(ctx, bus, func(ctx context.Context, _ Order) error {
			<-ctx.Done()
			mailed++
			return nil
		})
		require.NoError(t, err)
		for id := range 10 {
			require.NoError(t, orders.Publish(t.Context(), Order{ID: id}))
			synctest.Wait()
		}
		cancel()
		require.NoError(t, bus.Close(t.Context()))
		assert.Equal(t, 1, mailed)
	})
}

// A handler that fails is asked again, and one that panics has failed at one order.
func TestChannelsFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := eventbus.MustNew(eventbus.Config{})
		var asked []int
		orders, err := subscribeMailer(t.Context(), bus, func(_ context.Context, o Order) error {
			asked = append(asked, o.ID)
			if o.ID == 0 {
				panic("no address")
			}
			if len(asked) == 4 {
				return errors.New("no connection")
			}
			return nil
		})
		require.NoError(t, err)
		for id := range 2 {
			require.NoError(t, orders.Publish(t.Context(), Order{ID: id}))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []int{0, 0, 0, 1, 1}, asked)
		stats := orders.Stats().Subscriptions[0]
		assert.EqualValues(t, 1, stats.Failed)
		assert.EqualValues(t, 1, stats.Handled)
		require.NoError(t, bus.Close(t.Context()))
	})
}

// A send on an unbuffered channel waits for the receiver, Publish for room only, and
// on a Sync topic for the handler.
func TestChannelsUnbuffered(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  eventbus.TopicConfig
		want time.Duration
	}{
		"queued": {eventbus.TopicConfig{Capacity: 1}, 0},
		"sync":   {eventbus.TopicConfig{Sync: true}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bus := eventbus.MustNew(eventbus.Config{})
				orders := eventbus.MustNewTopic[Order](bus, "orders.placed", c.cfg)
				_, err := orders.Subscribe(t.Context(), func(context.Context, Order) error {
					time.Sleep(time.Minute)
					return nil
				})
				require.NoError(t, err)
				began := time.Now()
				require.NoError(t, orders.Publish(t.Context(), Order{}))
				assert.Equal(t, c.want, time.Since(began))
				require.NoError(t, bus.Close(t.Context()))
			})
		})
	}
}

// A select goes on with the channel of a Queue.
func TestChannelsSelect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		bus := eventbus.MustNew(eventbus.Config{})
		orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
		queue, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{Capacity: 100})
		require.NoError(t, err)
		require.NoError(t, orders.Publish(ctx, Order{ID: 7}))
		tick := make(chan time.Time)
		select {
		case e := <-queue.Chan():
			assert.Equal(t, 7, e.Data.ID)
		case <-tick:
		}
		queue.Cancel()
		require.NoError(t, bus.Close(ctx))
	})
}

// feedHub has the hub told of what is published on the topic.
func feedHub(ctx context.Context, orders *eventbus.Topic[Order], hub *Hub) error {
	_, err := orders.Subscribe(ctx, func(_ context.Context, o Order) error {
		hub.Publish(o)
		return nil
	})
	return err
}

// Readers of the hub and subscribers of the topic see the same, in one order.
func TestChannelsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		hub, bus := newHub(), eventbus.MustNew(eventbus.Config{})
		var before, after []int
		log := func(to *[]int) func(context.Context, Order) error {
			return func(_ context.Context, o Order) error {
				*to = append(*to, o.ID)
				return nil
			}
		}
		stop := startMailer(ctx, hub, log(&before), slog.New(slog.DiscardHandler))
		orders, err := subscribeMailer(ctx, bus, log(&after))
		require.NoError(t, err)
		require.NoError(t, feedHub(ctx, orders, hub))
		var publishers sync.WaitGroup
		for id := range 50 {
			publishers.Go(func() { assert.NoError(t, orders.Publish(ctx, Order{ID: id})) })
		}
		publishers.Wait()
		require.NoError(t, bus.Close(ctx)) // first: it feeds the hub
		stop()
		assert.Equal(t, before, after)
		assert.Len(t, after, 50)
	})
}

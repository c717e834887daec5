package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	asaskevich "github.com/asaskevich/EventBus"
	"github.com/cskr/pubsub/v2"
	"github.com/samber/ro"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// More of what .github/COMPARED.md says of each bus: the end of a bus and of a
// subscription, types, losses, history.

// How many of ten events are handled, of which one is when the bus is closed.
func TestFactClose(t *testing.T) {
	const n = 10
	for _, tc := range []struct {
		bus  string
		room int
		want int64
	}{
		{"mainstay", n, n},
		{"watermill", 0, 1}, // its default
		{"watermill", n, n},
		{"tailscale", n, 1},
		{async, n, n},
		{"cskr", n, n},
	} {
		t.Run(fmt.Sprint(tc.bus, " ", tc.room), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := media(tc.room)[tc.bus]()
				var handled atomic.Int64
				started, gate := make(chan struct{}, n), make(chan struct{})
				m.subscribe("a", func(int) {
					started <- struct{}{}
					<-gate
					handled.Add(1)
				})
				must(m.publish("a", 1))
				<-started
				for range n - 1 {
					must(m.publish("a", 1))
				}
				if tc.room > 0 { // else watermill's goroutines queue up for a mutex
					synctest.Wait()
				}
				closed := make(chan struct{})
				go func() {
					defer close(closed)
					m.close()
				}()
				synctest.Wait()
				close(gate)
				<-closed
				assert.Equal(t, tc.want, handled.Load())
			})
		})
	}
}

// What a publisher is told once the bus is closed.
func TestFactPublishAfterClose(t *testing.T) {
	eachMedium(t, 10, map[string]string{
		"mainstay": "an error", "watermill": "an error", "tailscale": "nothing", "cskr": "hangs", "ro": "nothing",
	}, func(t *testing.T, m medium, want string) {
		m.subscribe("a", func(int) {})
		m.close()
		var err error
		got := "hangs"
		if returns(want != "hangs", func() { err = m.publish("a", 1) }) {
			got = "nothing"
			if err != nil {
				got = "an error"
			}
		}
		assert.Equal(t, want, got)
	})
}

// Which of two closures is left when the second one is unsubscribed.
func TestFactUnsubscribe(t *testing.T) {
	eachMedium(t, 10, map[string]int{
		"mainstay": 0, "watermill": 0, "tailscale": 0, "cskr": 0, "ro": 0, sync1: 1, async: 1, turns: 1,
	}, func(t *testing.T, m medium, want int) {
		called := make(chan int, 10)
		var cancel func()
		for i := range 2 {
			cancel = m.subscribe("a", func(int) { called <- i })
		}
		cancel()
		must(m.publish("a", 1))
		assert.Equal(t, want, <-called)
		m.close()
		assert.Empty(t, called)
	})
}

// asaskevich finds out about types when it calls the handler.
func TestFactTypes(t *testing.T) {
	b := asaskevich.New()
	require.NoError(t, b.Subscribe("a", func(int) {}))
	assert.NotNil(t, panics(func() { b.Publish("a", "text") }))
	assert.NotNil(t, panics(func() { b.Publish("a", 1, 2) }))
}

// What a slow reader is told of what it lost.
func TestFactLost(t *testing.T) {
	ctx := t.Context()
	bus := eventbus.MustNew(eventbus.Config{})
	x := eventbus.MustNewTopic[int](bus, "x", eventbus.TopicConfig{})
	q, err := x.Queue(ctx, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 1})
	require.NoError(t, err)
	ps := pubsub.New[string, int](1)
	defer ps.Shutdown()
	ch := ps.Sub("x")
	for i := range 4 {
		require.NoError(t, x.Publish(ctx, i))
		ps.TryPub(i, "x")
	}
	e, err := q.Next(ctx)
	require.NoError(t, err)
	assert.Equal(t, 3, e.Data)
	assert.EqualValues(t, 3, e.Lag)

	ps.Close("another") // is done after what came before
	assert.Equal(t, 0, <-ch)
	ps.TryPub(4, "x")
	assert.Equal(t, 4, <-ch, "1, 2 and 3 are lost, and nothing says so")
}

// What a subscriber gets that comes between the fifth event and the sixth.
func TestFactHistory(t *testing.T) {
	ctx := t.Context()
	bus := eventbus.MustNew(eventbus.Config{})
	x := eventbus.MustNewTopic[int](bus, "x", eventbus.TopicConfig{History: 2})
	g := gochannel.NewGoChannel(gochannel.Config{Persistent: true}, nil)
	s := ro.NewReplaySubject[int](2)
	publish := func(v int) {
		require.NoError(t, x.Publish(ctx, v))
		require.NoError(t, g.Publish("x", message.NewMessage("", make([]byte, v))))
		s.Next(v)
	}
	for i := range 5 {
		publish(i)
	}
	ours, ros := newJournal(), newJournal()
	_, err := x.SubscribeWith(ctx, eventbus.SubscribeConfig[int]{From: eventbus.Oldest}, func(_ context.Context, v int) error {
		ours.add(v)
		return nil
	})
	require.NoError(t, err)
	s.Subscribe(ro.OnNext(ros.add))
	messages, err := g.Subscribe(ctx, "x")
	require.NoError(t, err)
	publish(5)

	assert.Equal(t, []int{3, 4, 5}, ours.after(t, 3))
	assert.Equal(t, []int{3, 4, 5}, ros.after(t, 3))
	var all []int
	for range 6 {
		m := <-messages
		all = append(all, len(m.Payload))
		m.Ack()
	}
	assert.ElementsMatch(t, []int{0, 1, 2, 3, 4, 5}, all)
	require.NoError(t, errors.Join(bus.Close(ctx), g.Close()))
}

// A message that is not acknowledged comes again at once, and for ever.
func TestFactNack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gochannel.NewGoChannel(gochannel.Config{}, nil)
		messages, err := g.Subscribe(t.Context(), "x")
		require.NoError(t, err)
		began := time.Now()
		require.NoError(t, g.Publish("x", message.NewMessage("", nil)))
		for range 1000 {
			(<-messages).Nack()
		}
		assert.Equal(t, began, time.Now())
		(<-messages).Ack()
		require.NoError(t, g.Close())
	})
}

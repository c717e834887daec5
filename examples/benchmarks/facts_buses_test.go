package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	asaskevich "github.com/asaskevich/EventBus"
	"github.com/cskr/pubsub/v2"
	"github.com/samber/ro"
	"github.com/stretchr/testify/require"
	"tailscale.com/types/logger"
	tailscale "tailscale.com/util/eventbus"

	"github.com/mainstay-go/mainstay/eventbus"
)

// The buses that .github/COMPARED.md compares, each in its usual form, and how
// their facts are found out. Some of them hang in a mutex, which a bubble cannot
// tell from being busy, so this is real time: what has to come may take long, and
// what has to hang is given a moment.

const (
	patience = 20 * time.Second
	moment   = 5 * time.Millisecond
)

// A medium is a bus of ints with the topics "a" and "b".
type medium struct {
	subscribe func(topic string, fn func(int)) (cancel func())
	publish   func(topic string, v int) error
	close     func()
}

// Their names, where one bus has several forms.
const (
	sync1 = "asaskevich Subscribe"
	async = "asaskevich SubscribeAsync"
	turns = "asaskevich SubscribeAsync, transactional"
)

// media makes them with room for so many events wherever one has a limit.
func media(room int) map[string]func() medium {
	return map[string]func() medium{
		"mainstay":  func() medium { return mainstayMedium(room) },
		"watermill": func() medium { return watermillMedium(room) },
		"tailscale": tailscaleMedium,
		sync1:       func() medium { return asaskevichMedium(asaskevich.Bus.Subscribe) },
		async:       func() medium { return asaskevichMedium(subscribeAsync(false)) },
		turns:       func() medium { return asaskevichMedium(subscribeAsync(true)) },
		"cskr":      func() medium { return cskrMedium(room) },
		"ro":        roMedium,
	}
}

func mainstayMedium(room int) medium {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	topics := make(map[string]*eventbus.Topic[int])
	for _, name := range []string{"a", "b"} {
		topics[name] = eventbus.MustNewTopic[int](bus, name, eventbus.TopicConfig{Capacity: room})
	}
	return medium{
		func(topic string, fn func(int)) func() {
			s, err := topics[topic].Subscribe(ctx, func(_ context.Context, v int) error {
				fn(v)
				return nil
			})
			must(err)
			return func() {
				s.Cancel()
				<-s.Done()
			}
		},
		func(topic string, v int) error { return topics[topic].Publish(ctx, v) },
		func() { must(bus.Close(ctx)) },
	}
}

// watermillMedium has the event in the UUID, to be short.
func watermillMedium(room int) medium {
	ps := gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: int64(room)}, nil)
	var readers sync.WaitGroup
	return medium{
		func(topic string, fn func(int)) func() {
			ctx, cancel := context.WithCancel(context.Background())
			messages, err := ps.Subscribe(ctx, topic)
			must(err)
			done := make(chan struct{})
			readers.Go(func() {
				defer close(done)
				for m := range messages {
					fn(len(m.Payload))
					m.Ack()
				}
			})
			return func() {
				cancel()
				<-done
			}
		},
		func(topic string, v int) error { return ps.Publish(topic, message.NewMessage("", make([]byte, v))) },
		func() {
			must(ps.Close())
			readers.Wait()
		},
	}
}

// A topic of tailscale's is a type.
type (
	eventA int
	eventB int
)

func tailscaleMedium() medium {
	bus := tailscale.NewWithOptions(tailscale.BusOptions{Logf: logger.Discard})
	publisher := bus.Client("publisher")
	a, b := tailscale.Publish[eventA](publisher), tailscale.Publish[eventB](publisher)
	return medium{
		func(topic string, fn func(int)) func() {
			client := bus.Client("subscriber")
			if topic == "a" {
				tailscale.SubscribeFunc(client, func(v eventA) { fn(int(v)) })
			} else {
				tailscale.SubscribeFunc(client, func(v eventB) { fn(int(v)) })
			}
			return client.Close
		},
		func(topic string, v int) error {
			if topic == "a" {
				a.Publish(eventA(v))
			} else {
				b.Publish(eventB(v))
			}
			return nil
		},
		bus.Close,
	}
}

func subscribeAsync(transactional bool) func(asaskevich.Bus, string, any) error {
	return func(b asaskevich.Bus, topic string, fn any) error { return b.SubscribeAsync(topic, fn, transactional) }
}

func asaskevichMedium(subscribe func(b asaskevich.Bus, topic string, fn any) error) medium {
	b := asaskevich.New()
	return medium{
		func(topic string, fn func(int)) func() {
			must(subscribe(b, topic, fn))
			return func() { must(b.Unsubscribe(topic, fn)) }
		},
		func(topic string, v int) error {
			b.Publish(topic, v)
			return nil
		},
		b.WaitAsync,
	}
}

func cskrMedium(room int) medium {
	ps := pubsub.New[string, int](room)
	var readers sync.WaitGroup
	return medium{
		func(topic string, fn func(int)) func() {
			ch := ps.Sub(topic)
			readers.Go(func() {
				for v := range ch {
					fn(v)
				}
			})
			return func() { ps.Unsub(ch, topic) }
		},
		func(topic string, v int) error {
			ps.Pub(v, topic)
			return nil
		},
		func() {
			ps.Shutdown()
			readers.Wait()
		},
	}
}

// roMedium has a subject for each topic.
func roMedium() medium {
	topics := map[string]ro.Subject[int]{"a": ro.NewPublishSubject[int](), "b": ro.NewPublishSubject[int]()}
	return medium{
		func(topic string, fn func(int)) func() { return topics[topic].Subscribe(ro.OnNext(fn)).Unsubscribe },
		func(topic string, v int) error {
			topics[topic].Next(v)
			return nil
		},
		func() {
			topics["a"].Complete()
			topics["b"].Complete()
		},
	}
}

// eachMedium runs a test for each bus that something is known of.
func eachMedium[T any](t *testing.T, room int, want map[string]T, test func(t *testing.T, m medium, want T)) {
	t.Helper()
	made := media(room)
	for name, w := range want {
		require.Contains(t, made, name)
		t.Run(name, func(t *testing.T) { test(t, made[name](), w) })
	}
}

// A journal is what a subscriber has seen.
type journal struct {
	mu   sync.Mutex
	seen []int
	more chan struct{} // one for each
}

func newJournal() *journal { return &journal{more: make(chan struct{}, 1000)} }

func (j *journal) add(v int) {
	j.mu.Lock()
	j.seen = append(j.seen, v)
	j.mu.Unlock()
	j.more <- struct{}{}
}

// after returns what was seen once there are n of it.
func (j *journal) after(t *testing.T, n int) []int {
	t.Helper()
	for range n {
		require.True(t, comes(j.more, true), "%d events have not come", n)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]int(nil), j.seen...)
}

// comes reports whether something comes, and waits as long as is due to what is
// expected.
func comes[T any](ch <-chan T, expected bool) bool {
	wait := moment
	if expected {
		wait = patience
	}
	select {
	case <-ch:
		return true
	case <-time.After(wait):
		return false
	}
}

// returns reports whether a call does.
func returns(expected bool, fn func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	return comes(done, expected)
}

// panics returns what a call panics with.
func panics(fn func()) (v any) {
	defer func() { v = recover() }()
	fn()
	return nil
}

// must is for what is not the fact in question.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

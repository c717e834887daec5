package eventbus_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/mainstay-go/mainstay/eventbus"
)

// BenchmarkPublish is the time of one delivery, end to end: publish b.N events and
// wait until all subscriptions have handled them. It hardly grows with the number
// of subscriptions, because publishing does not depend on it.
func BenchmarkPublish(b *testing.B) {
	kinds := map[string]func(*eventbus.Topic[int]) error{
		"data": func(x *eventbus.Topic[int]) error {
			_, err := x.Subscribe(bg, func(context.Context, int) error { return nil })
			return err
		},
		"events": func(x *eventbus.Topic[int]) error {
			_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, func(context.Context, eventbus.Event[int]) error { return nil })
			return err
		},
		"filter": func(x *eventbus.Topic[int]) error {
			_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Filter: all}, func(context.Context, int) error { return nil })
			return err
		},
	}
	for _, name := range []string{"data", "events", "filter"} {
		for _, n := range []int{1, 10, 100} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				bus, x := newTopic[int](b, eventbus.Config{}, eventbus.TopicConfig{})
				for range n {
					if err := kinds[name](x); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N / n {
					_ = x.Publish(bg, i)
				}
				_ = bus.Flush(bg)
				b.StopTimer()
				closed(b, bus)
			})
		}
	}
}

// BenchmarkPublishSync is the time of one call of a handler of a Sync topic.
func BenchmarkPublishSync(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			bus, x := newTopic[int](b, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
			for range n {
				if _, err := x.Subscribe(bg, func(context.Context, int) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N / n {
				_ = x.Publish(bg, i)
			}
			b.StopTimer()
			closed(b, bus)
		})
	}
}

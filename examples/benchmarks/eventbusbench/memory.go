package eventbusbench

import (
	"context"
	"fmt"

	asaskevich "github.com/asaskevich/EventBus"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// A user of short-lived topics has one with a name of its own, a subscription
// and an event, and leaves it.
type user func(name string) error

// shortLived is what is left of so many topics when a tenth as many have come
// and gone before.
func shortLived(name string, newBus func() (bus any, use user)) bench.MemoryCase {
	return bench.MemoryCase{Name: name, Prepare: func(n int) func() any {
		bus, use := newBus()
		useMany := func(what string, n int) {
			for i := range n {
				must(use(fmt.Sprintf("%s.%07d", what, i)))
			}
		}
		useMany("warmup", n/10)
		return func() any {
			useMany("order", n)
			return bus
		}
	}}
}

func oursShortLived() (any, user) {
	b := eventbus.MustNew(eventbus.Config{})
	return b, func(name string) error {
		t, err := eventbus.NewTopic[int64](b, name, eventbus.TopicConfig{})
		if err != nil {
			return err
		}
		var sum int64
		s, err := t.Subscribe(background, func(_ context.Context, v int64) error {
			sum += v
			return nil
		})
		if err != nil {
			return err
		}
		if err := t.Publish(background, first); err != nil {
			return err
		}
		if err := s.Drain(background); err != nil {
			return err
		}
		return want(sum == first, "%s: the sum of its events is %d", name, sum)
	}
}

func asaskevichShortLived() (any, user) {
	b := asaskevich.New()
	return b, func(name string) error {
		var sum int64
		fn := func(v int64) { sum += v }
		if err := b.SubscribeAsync(name, fn, true); err != nil {
			return err
		}
		b.Publish(name, int64(first))
		b.WaitAsync()
		if err := b.Unsubscribe(name, fn); err != nil {
			return err
		}
		return want(sum == first, "%s: the sum of its events is %d", name, sum)
	}
}

var memoryRows = []bench.Memory{{
	Name: "One of 1,000,000 short-lived topics",
	Note: "Each has a name of its own and a subscription that handles one event and ends. 100,000 have come and gone before, so what is told is what each new one leaves behind. " +
		"watermill and cskr forget their topics too; tailscale and ro have none with names.",
	N:      1_000_000,
	Limit:  1,
	Ours:   shortLived("mainstay", oursShortLived),
	Others: []bench.MemoryCase{shortLived("asaskevich", asaskevichShortLived)},
}}

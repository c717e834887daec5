package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/eventbus"
)

// An Order is what most examples publish.
type Order struct {
	ID    int `json:"id"`
	Total int `json:"total,omitempty"`
}

// The quick start: one part of a program publishes, another one subscribes.
func Example() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})

	_, err := orders.Subscribe(ctx, func(_ context.Context, o Order) error {
		fmt.Println("receipt for order", o.ID)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.Publish(ctx, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx))) // waits until it is handled
	// Output:
	// receipt for order 7
	// <nil>
}

// All that is wrong with a Config is told at once.
func ExampleNew() {
	_, err := eventbus.New(eventbus.Config{Name: "shop\n", Source: "%"})
	fmt.Println(err)

	bus, err := eventbus.New(eventbus.Config{}) // the zero Config is good
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bus.Close(context.Background()))
	// Output:
	// eventbus: New: Name is "shop\n", want valid UTF-8 without control characters
	// Source is "%", want a URI reference
	// <nil>
}

// A bus that lives as long as the program may be a package-level variable.
func ExampleMustNew() {
	bus := eventbus.MustNew(eventbus.Config{Name: "shop"})
	fmt.Println(bus.Close(context.Background()))
	// Output: <nil>
}

// One Config for all programs of a system, copied and changed where they differ.
func ExampleConfig() {
	ctx := context.Background()
	usual := eventbus.Config{
		Clock: clock.NewMock(), // nil in a program: system time
		Hooks: eventbus.Hooks{Failed: func(_ context.Context, f eventbus.Failure) {
			fmt.Println("failed:", f.Event.Source(), f.Err)
		}},
	}
	shop := usual
	shop.Source = "/shop"

	bus := eventbus.MustNew(shop)
	_, err := eventbus.Subscribe(ctx, bus, func(context.Context, Order) error {
		return errors.New("no paper")
	})
	if err != nil {
		log.Fatal(err)
	}
	err = eventbus.Publish(ctx, bus, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// failed: /shop no paper
	// <nil>
}

// Parts of a program that know the bus, and a type, but not each other.
func ExampleBus() {
	ctx := context.Background()
	startBilling := func(bus *eventbus.Bus) error {
		_, err := eventbus.Subscribe(ctx, bus, func(_ context.Context, o Order) error {
			fmt.Println("invoice for order", o.ID)
			return nil
		})
		return err
	}
	placeOrder := func(bus *eventbus.Bus, o Order) error {
		return eventbus.Publish(ctx, bus, o)
	}

	bus := eventbus.MustNew(eventbus.Config{})
	if err := startBilling(bus); err != nil {
		log.Fatal(err)
	}
	err := placeOrder(bus, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// invoice for order 7
	// <nil>
}

// Close waits until all that was accepted has been handled. From then on every
// publish is refused.
func ExampleBus_Close() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	sum := 0
	_, err := orders.Subscribe(ctx, func(_ context.Context, o Order) error {
		sum += o.Total
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for i := range 100 {
		if err := orders.Publish(ctx, Order{ID: i, Total: 5}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(bus.Close(ctx), sum)
	fmt.Println(orders.Publish(ctx, Order{ID: 100}))
	// Output:
	// <nil> 500
	// eventbus: closed: topic "orders.placed"
}

// Flush waits as Close does, and the bus goes on. Tests look at what handlers
// did after it.
func ExampleBus_Flush() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	last := 0
	_, err := eventbus.Subscribe(ctx, bus, func(_ context.Context, o Order) error {
		last = o.ID
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, id := range []int{7, 8} {
		err := eventbus.Publish(ctx, bus, Order{ID: id})
		err = errors.Join(err, bus.Flush(ctx))
		fmt.Println(last, err)
	}
	fmt.Println(bus.Close(ctx))
	// Output:
	// 7 <nil>
	// 8 <nil>
	// <nil>
}

// The numbers of all topics, for a page or for metrics.
func ExampleBus_Topics() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	for _, name := range []string{"orders.placed", "orders.cancelled"} {
		orders := eventbus.MustNewTopic[Order](bus, name, eventbus.TopicConfig{})
		if _, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{Name: "audit"}); err != nil {
			log.Fatal(err)
		}
		if err := orders.Publish(ctx, Order{ID: 7}); err != nil {
			log.Fatal(err)
		}
	}
	for t := range bus.Topics() {
		fmt.Println(t.Name, "has published", t.Seq)
		for _, s := range t.Subscriptions {
			fmt.Println("-", s.Name, "has", s.Depth, "waiting")
		}
	}
	// Output:
	// orders.cancelled has published 1
	// - audit has 1 waiting
	// orders.placed has published 1
	// - audit has 1 waiting
}

package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mainstay-go/mainstay/eventbus"
)

// One name stands for one type; whoever asks for both gets the same topic.
func ExampleNewTopic() {
	bus := eventbus.MustNew(eventbus.Config{})
	a, err := eventbus.NewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	if err != nil {
		log.Fatal(err)
	}
	b, err := eventbus.NewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	fmt.Println(a == b, err)

	_, err = eventbus.NewTopic[string](bus, a.Name(), eventbus.TopicConfig{})
	fmt.Println(errors.Is(err, eventbus.ErrTopicType))
	fmt.Println(err)
	// Output:
	// true <nil>
	// true
	// eventbus: another type: it is of eventbus_test.Order, not of string: topic "orders.placed"
}

// Topics that are known from the start may be package-level variables.
func ExampleMustNewTopic() {
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	fmt.Println(orders.Publish(context.Background(), Order{ID: 7}))
	// Output: <nil>
}

// A Topic is handed to those who publish on it: they need not know its name.
func ExampleTopic() {
	ctx := context.Background()
	place := func(orders *eventbus.Topic[Order], id int) error {
		return orders.Publish(ctx, Order{ID: id})
	}
	bus := eventbus.MustNew(eventbus.Config{})
	for _, shop := range []string{"berlin", "oslo"} {
		orders := eventbus.MustNewTopic[Order](bus, "orders."+shop, eventbus.TopicConfig{})
		fmt.Println(orders.Name(), place(orders, 7))
	}
	// Output:
	// orders.berlin <nil>
	// orders.oslo <nil>
}

// With a History of 1 a late subscription begins with the last value.
func ExampleTopicConfig_history() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	price := eventbus.MustNewTopic[int](bus, "price", eventbus.TopicConfig{History: 1})
	for _, p := range []int{100, 95, 90} {
		if err := price.Publish(ctx, p); err != nil {
			log.Fatal(err)
		}
	}
	_, err := price.SubscribeWith(ctx, eventbus.SubscribeConfig[int]{From: eventbus.Oldest},
		func(_ context.Context, p int) error {
			fmt.Println(p)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	err = price.Publish(ctx, 85)
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// 90
	// 85
	// <nil>
}

// Handlers of a Sync topic run inside Publish, which returns their errors. So
// they can tell the publisher that something is wrong.
func ExampleTopicConfig_sync() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	saving := eventbus.MustNewTopic[Order](bus, "orders.saving", eventbus.TopicConfig{Sync: true})
	_, err := saving.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{Name: "limits"},
		func(_ context.Context, o Order) error {
			if o.Total > 1000 {
				return errors.New("too much for one order")
			}
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(saving.Publish(ctx, Order{ID: 7, Total: 20}))
	fmt.Println(saving.Publish(ctx, Order{ID: 8, Total: 2000}))
	// Output:
	// <nil>
	// eventbus: too much for one order: topic "orders.saving", subscription "limits", event 2
}

// A topic that exists is taken as it is, unless one asks for something else.
func ExampleTopicConfig_agreement() {
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders", eventbus.TopicConfig{Capacity: 64, History: 10})

	_, err := eventbus.NewTopic[Order](bus, "orders", eventbus.TopicConfig{Capacity: 128, History: 10})
	fmt.Println(err)
	same, err := eventbus.NewTopic[Order](bus, "orders", eventbus.TopicConfig{})
	fmt.Println(same == orders, err)
	// Output:
	// eventbus: topic "orders": Capacity is 128, want 64, as the topic has already
	// true <nil>
}

// Without a name of its own a topic is called after its type.
func ExampleTopic_Name() {
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "", eventbus.TopicConfig{})
	fmt.Println(orders.Name())
	// Output: github.com/mainstay-go/mainstay/eventbus_test.Order
}

// What costs much to make need not be made for nobody.
func ExampleTopic_HasSubscribers() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	dumps := eventbus.MustNewTopic[string](bus, "dumps", eventbus.TopicConfig{})
	dump := func() {
		if !dumps.HasSubscribers() {
			fmt.Println("nobody asks for a dump")
			return
		}
		fmt.Println(dumps.Publish(ctx, "a long text"))
	}
	dump()
	if _, err := dumps.Queue(ctx, eventbus.SubscribeConfig[string]{}); err != nil {
		log.Fatal(err)
	}
	dump()
	// Output:
	// nobody asks for a dump
	// <nil>
}

func ExampleTopic_Stats() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{History: 10})
	for id := range 12 {
		if err := orders.Publish(ctx, Order{ID: id}); err != nil {
			log.Fatal(err)
		}
	}
	s := orders.Stats()
	fmt.Println(s.Seq, "published,", s.Retained, "retained,", len(s.Subscriptions), "subscriptions")
	// Output: 12 published, 10 retained, 0 subscriptions
}

// A line for each subscription that does not keep up.
func ExampleTopicStats() {
	behind := func(t eventbus.TopicStats) {
		for _, s := range t.Subscriptions {
			if s.Capacity > 0 && s.Depth > s.Capacity/2 {
				fmt.Printf("%s: %s has %d of %d waiting\n", t.Name, s.Name, s.Depth, s.Capacity)
			}
		}
	}

	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	for name, capacity := range map[string]int{"mailer": 10, "audit": 1000} {
		_, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{Name: name, Capacity: capacity})
		if err != nil {
			log.Fatal(err)
		}
	}
	for id := range 9 {
		if err := orders.Publish(ctx, Order{ID: id}); err != nil {
			log.Fatal(err)
		}
	}
	behind(orders.Stats())
	// Output: orders.placed: mailer has 9 of 10 waiting
}

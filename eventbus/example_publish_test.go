package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Where the type says it all, nobody needs a topic.
func ExamplePublish() {
	type orderPlaced struct{ ID int }

	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	_, err := eventbus.Subscribe(ctx, bus, func(_ context.Context, e orderPlaced) error {
		fmt.Println("placed:", e.ID)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = eventbus.Publish(ctx, bus, orderPlaced{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// placed: 7
	// <nil>
}

// Nil means that every subscription has the event, not that it is handled: how
// the handlers fare is no affair of the publisher.
func ExampleTopic_Publish() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	mailer, err := orders.Subscribe(ctx, func(context.Context, Order) error {
		return errors.New("mail server down")
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(orders.Publish(ctx, Order{ID: 7}))
	fmt.Println(bus.Close(ctx), mailer.Stats().Failed)
	// Output:
	// <nil>
	// <nil> 1
}

// Where a subscription has no room Publish waits, and ctx bounds that.
func ExampleTopic_Publish_deadline() {
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{Capacity: 1})
	if _, err := orders.Queue(context.Background(), eventbus.SubscribeConfig[Order]{}); err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	fmt.Println(orders.Publish(ctx, Order{ID: 7}))
	fmt.Println(orders.Publish(ctx, Order{ID: 8})) // nobody reads the queue
	// Output:
	// <nil>
	// context deadline exceeded
}

func ExampleTopic_PublishWith() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			fmt.Println(e.ID(), e.Key(), e.Subject(), e.Header("tenant"))
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.PublishWith(ctx, eventbus.PublishConfig{
		ID:      "order-7-placed",
		Key:     "customer-12",
		Subject: "orders/7",
		Header:  map[string]string{"tenant": "acme"},
	}, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// order-7-placed customer-12 orders/7 acme
	// <nil>
}

// TryPublish is for those who cannot wait. The error says who had no room.
func ExampleTopic_TryPublish() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	ticks := eventbus.MustNewTopic[int](bus, "ticks", eventbus.TopicConfig{Capacity: 2})
	if _, err := ticks.Queue(ctx, eventbus.SubscribeConfig[int]{Name: "display"}); err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		err := ticks.TryPublish(ctx, i)
		if errors.Is(err, eventbus.ErrFull) {
			fmt.Println("skipped:", err)
			continue
		}
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// skipped: eventbus: queue full: topic "ticks", subscription "display"
}

// The events of a batch follow each other: none of another publisher comes in
// between.
func ExampleTopic_PublishBatch() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			fmt.Println("event", e.Seq, "order", e.Data.ID)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	n, err := orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}, {ID: 9}})
	err = errors.Join(err, bus.Close(ctx))
	fmt.Println(n, err)
	// Output:
	// event 1 order 7
	// event 2 order 8
	// event 3 order 9
	// 3 <nil>
}

// Events are published whether or not somebody subscribes, unless they are
// Mandatory.
func ExamplePublishConfig() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	fmt.Println(orders.Publish(ctx, Order{ID: 7}))

	err := orders.PublishWith(ctx, eventbus.PublishConfig{Mandatory: true}, Order{ID: 8})
	fmt.Println(errors.Is(err, eventbus.ErrNoSubscriber))
	fmt.Println(err)
	fmt.Println(orders.Stats().Unrouted)
	// Output:
	// <nil>
	// true
	// eventbus: no subscriber: topic "orders.placed"
	// 1
}

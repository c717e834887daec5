package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"slices"
	"sync"

	"github.com/mainstay-go/mainstay/eventbus"
)

func ExampleSubscribe() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	_, err := eventbus.Subscribe(ctx, bus, func(_ context.Context, o Order) error {
		fmt.Println("order", o.ID)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = eventbus.Publish(ctx, bus, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// order 7
	// <nil>
}

// Several subscriptions do not hold each other up: each has a queue and, for
// its handler, a goroutine of its own.
func ExampleTopic_Subscribe() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	for _, what := range []string{"invoice", "parcel"} {
		_, err := orders.Subscribe(ctx, func(_ context.Context, o Order) error {
			fmt.Println(what, "for order", o.ID)
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	err := orders.Publish(ctx, Order{ID: 7})
	if err := errors.Join(err, bus.Close(ctx)); err != nil {
		log.Fatal(err)
	}
	// Unordered output:
	// invoice for order 7
	// parcel for order 7
}

// The handler gets the values of the publisher's context, such as who asks.
func ExampleTopic_Subscribe_values() {
	type userKey struct{}

	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.Subscribe(context.Background(), func(ctx context.Context, o Order) error {
		fmt.Println("order", o.ID, "by", ctx.Value(userKey{}), ctx.Err())
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), userKey{}, "ann"))
	err = orders.Publish(ctx, Order{ID: 7})
	cancel() // the request is over, what follows from it is not
	fmt.Println(errors.Join(err, bus.Close(context.Background())))
	// Output:
	// order 7 by ann <nil>
	// <nil>
}

func ExampleTopic_SubscribeWith() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	review := eventbus.SubscribeConfig[Order]{
		Name:   "review",
		Filter: func(o Order) bool { return o.Total >= 1000 },
	}
	s, err := orders.SubscribeWith(ctx, review, func(_ context.Context, o Order) error {
		fmt.Println("to be looked at: order", o.ID)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = orders.PublishBatch(ctx, []Order{{ID: 7, Total: 20}, {ID: 8, Total: 2000}})
	err = errors.Join(err, bus.Close(ctx))
	fmt.Println(s.Stats().Filtered, err)
	// Output:
	// to be looked at: order 8
	// 1 <nil>
}

// With the envelope a handler sees what it lost, among other things.
func ExampleTopic_SubscribeEvents() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	prices := eventbus.MustNewTopic[int](bus, "prices", eventbus.TopicConfig{History: 2})
	for _, p := range []int{100, 95, 90, 85} {
		if err := prices.Publish(ctx, p); err != nil {
			log.Fatal(err)
		}
	}
	_, err := prices.SubscribeEvents(ctx, eventbus.SubscribeConfig[int]{From: 1},
		func(_ context.Context, e eventbus.Event[int]) error {
			fmt.Println("event", e.Seq, "price", e.Data, "lost before it", e.Lag)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(bus.Close(ctx))
	// Output:
	// event 3 price 90 lost before it 2
	// event 4 price 85 lost before it 0
	// <nil>
}

// A pattern spans topics, also those made later: * is one token, > the rest.
func ExampleSubscribePattern() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	_, err := eventbus.SubscribePattern(ctx, bus, "orders.>", eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			fmt.Println(e.Topic(), e.Data.ID)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"orders.placed", "parcels.sent", "orders.eu.cancelled"} {
		topic := eventbus.MustNewTopic[Order](bus, name, eventbus.TopicConfig{})
		if err := topic.Publish(ctx, Order{ID: 7}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(bus.Close(ctx))
	// Output:
	// orders.placed 7
	// orders.eu.cancelled 7
	// <nil>
}

// An audit log takes everything, whatever its type.
func ExampleSubscribePattern_any() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	_, err := eventbus.SubscribePattern(ctx, bus, ">", eventbus.SubscribeConfig[any]{Name: "audit"},
		func(_ context.Context, e eventbus.Event[any]) error {
			fmt.Printf("%s: %+v\n", e.Topic(), e.Data)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	logins := eventbus.MustNewTopic[string](bus, "logins", eventbus.TopicConfig{})
	err = errors.Join(orders.Publish(ctx, Order{ID: 7, Total: 20}), logins.Publish(ctx, "ann"))
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// orders.placed: {ID:7 Total:20}
	// logins: ann
	// <nil>
}

// Several workers handle events at the same time, those of one key in order.
func ExampleSubscribeConfig() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	type payment struct {
		customer string
		n        int
	}
	payments := eventbus.MustNewTopic[payment](bus, "payments", eventbus.TopicConfig{})

	var mu sync.Mutex
	booked := make(map[string][]int)
	_, err := payments.SubscribeWith(ctx, eventbus.SubscribeConfig[payment]{
		Workers: 4,
		Key:     func(p payment) string { return p.customer },
	}, func(_ context.Context, p payment) error {
		mu.Lock()
		defer mu.Unlock()
		booked[p.customer] = append(booked[p.customer], p.n)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = payments.PublishBatch(ctx, []payment{{"ann", 1}, {"bob", 2}, {"ann", 3}, {"eve", 4}, {"ann", 5}})
	if err := errors.Join(err, bus.Close(ctx)); err != nil {
		log.Fatal(err)
	}
	for _, customer := range slices.Sorted(maps.Keys(booked)) {
		fmt.Println(customer, booked[customer])
	}
	// Output:
	// ann [1 3 5]
	// bob [2]
	// eve [4]
}

// With Once the subscription ends by itself.
func ExampleSubscribeConfig_once() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	ready := eventbus.MustNewTopic[string](bus, "ready", eventbus.TopicConfig{})
	s, err := ready.SubscribeWith(ctx, eventbus.SubscribeConfig[string]{
		Once:   true,
		Filter: func(part string) bool { return part == "database" },
	}, func(_ context.Context, part string) error {
		fmt.Println("the", part, "is ready")
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, part := range []string{"cache", "database", "database"} {
		if err := ready.Publish(ctx, part); err != nil {
			log.Fatal(err)
		}
	}
	<-s.Done()
	fmt.Println(s.Err())
	// Output:
	// the database is ready
	// <nil>
}

// From resumes where an earlier subscription ended.
func ExampleSubscribeConfig_from() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{History: 100})
	var handled int64
	subscribe := func(from int64) *eventbus.Subscription {
		s, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{From: from},
			func(_ context.Context, e eventbus.Event[Order]) error {
				fmt.Println("event", e.Seq, "order", e.Data.ID)
				handled = e.Seq
				return nil
			})
		if err != nil {
			log.Fatal(err)
		}
		return s
	}

	s := subscribe(0) // new events only
	err := orders.Publish(ctx, Order{ID: 7})
	err = errors.Join(err, s.Drain(ctx))
	err = errors.Join(err, orders.Publish(ctx, Order{ID: 8})) // nobody is there
	subscribe(handled + 1)
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// event 1 order 7
	// event 2 order 8
	// <nil>
}

// On a Sync topic Order says who comes first: what may refuse, before what acts.
func ExampleSubscribeConfig_order() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	saving := eventbus.MustNewTopic[Order](bus, "orders.saving", eventbus.TopicConfig{Sync: true})
	for step, order := range map[string]int{"write": 2, "check": 1, "log": 3} {
		_, err := saving.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{Order: order},
			func(_ context.Context, o Order) error {
				fmt.Println(step, "order", o.ID)
				return nil
			})
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(saving.Publish(ctx, Order{ID: 7}))
	// Output:
	// check order 7
	// write order 7
	// log order 7
	// <nil>
}

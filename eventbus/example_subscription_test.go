package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mainstay-go/mainstay/eventbus"
)

// What subscribes keeps its Subscription, and ends it when it ends itself.
func ExampleSubscription() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	var subs []*eventbus.Subscription
	for _, name := range []string{"a", "b"} {
		s, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{Name: name},
			func(context.Context, Order) error { return nil })
		if err != nil {
			log.Fatal(err)
		}
		subs = append(subs, s)
	}
	if err := subs[0].Drain(ctx); err != nil {
		log.Fatal(err)
	}
	err := orders.Publish(ctx, Order{ID: 7})
	err = errors.Join(err, bus.Close(ctx))
	for _, s := range subs {
		fmt.Println(s.Name(), "handled", s.Stats().Handled)
	}
	fmt.Println(err)
	// Output:
	// a handled 0
	// b handled 1
	// <nil>
}

// Cancel returns at once. After Done no call of the handler runs or starts.
func ExampleSubscription_Cancel() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	s, err := orders.Subscribe(ctx, func(_ context.Context, o Order) error {
		fmt.Println("order", o.ID)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.Publish(ctx, Order{ID: 7})
	err = errors.Join(err, bus.Flush(ctx))
	s.Cancel()
	<-s.Done()
	err = errors.Join(err, orders.Publish(ctx, Order{ID: 8}))
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// order 7
	// <nil>
}

// A handler ends its own subscription by the context that was given to Subscribe.
// Done is closed when its last call has returned.
func ExampleSubscription_Done() {
	ctx, cancel := context.WithCancelCause(context.Background())
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	s, err := orders.Subscribe(ctx, func(_ context.Context, o Order) error {
		if o.ID == 8 {
			cancel(errors.New("seen enough"))
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}, {ID: 9}}); err != nil {
		log.Fatal(err)
	}
	<-s.Done()
	fmt.Println(s.Err())
	// Output: seen enough
}

// Drain ends one subscription when it has handled what it has.
func ExampleSubscription_Drain() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	s, err := orders.Subscribe(ctx, func(context.Context, Order) error { return nil })
	if err != nil {
		log.Fatal(err)
	}
	for id := range 100 {
		if err := orders.Publish(ctx, Order{ID: id}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(s.Drain(ctx), s.Stats().Handled)
	// Output: <nil> 100
}

// Err tells a subscription that was ended from one that came to an orderly end.
func ExampleSubscription_Err() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{
		Name: "browser", Capacity: 1, OnFull: eventbus.Disconnect,
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}}); err != nil {
		log.Fatal(err)
	}
	<-q.Done()
	switch err := q.Err(); {
	case err == nil:
		fmt.Println("an orderly end")
	case errors.Is(err, eventbus.ErrFull):
		fmt.Println("too slow:", err)
	default:
		fmt.Println("its context ended:", err)
	}
	// Output: too slow: eventbus: queue full: topic "orders.placed", subscription "browser", event 2
}

// Without a name in its config a subscription is called after its topic.
func ExampleSubscription_Name() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	for _, name := range []string{"", "mailer"} {
		q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{Name: name})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(q.Name())
	}
	// Output:
	// orders.placed/1
	// mailer
}

func ExampleSubscription_Stats() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	s, err := orders.Subscribe(ctx, func(_ context.Context, o Order) error {
		if o.Total == 0 {
			return errors.New("nothing to pay")
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = orders.PublishBatch(ctx, []Order{{ID: 7, Total: 20}, {ID: 8}, {ID: 9, Total: 30}})
	if err := errors.Join(err, bus.Flush(ctx)); err != nil {
		log.Fatal(err)
	}
	stats := s.Stats()
	fmt.Println(stats.Handled, "handled,", stats.Failed, "failed,", stats.Depth, "waiting")
	// Output: 2 handled, 1 failed, 0 waiting
}

// The account of a subscription adds up: no event is lost without a word.
func ExampleSubscriptionStats() {
	covered := func(s eventbus.SubscriptionStats) uint64 {
		return s.Handled + s.Failed + s.Filtered + s.Lagged + s.Discarded + uint64(s.Depth+s.Running)
	}

	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{
		Capacity: 10, OnFull: eventbus.DropOldest,
		Filter: func(o Order) bool { return o.ID%2 == 0 },
	})
	if err != nil {
		log.Fatal(err)
	}
	for id := range 100 {
		if err := orders.Publish(ctx, Order{ID: id}); err != nil {
			log.Fatal(err)
		}
	}
	q.Cancel()
	<-q.Done()
	s := q.Stats()
	fmt.Println(s.Filtered, "filtered,", s.Lagged, "lagged,", s.Discarded, "discarded, in all", covered(s))
	// Output: 50 filtered, 40 lagged, 10 discarded, in all 100
}

package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Each subscription says for itself what happens when it falls behind.
func ExampleOverflow() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	prices := eventbus.MustNewTopic[int](bus, "prices", eventbus.TopicConfig{})
	chart, err := prices.Queue(ctx, eventbus.SubscribeConfig[int]{
		OnFull: eventbus.Unbounded, // has to have all of them
	})
	if err != nil {
		log.Fatal(err)
	}
	display, err := prices.Queue(ctx, eventbus.SubscribeConfig[int]{
		OnFull: eventbus.DropOldest, Capacity: 1, // wants the newest
	})
	if err != nil {
		log.Fatal(err)
	}
	for p := range 100 {
		if err := prices.Publish(ctx, p); err != nil {
			log.Fatal(err)
		}
	}
	for _, q := range []*eventbus.Queue[int]{chart, display} {
		s := q.Stats()
		fmt.Println(s.OnFull, "has", s.Depth, "waiting and lost", s.Lagged)
	}
	// Output:
	// Unbounded has 100 waiting and lost 0
	// DropOldest has 1 waiting and lost 99
}

// Block is the default: the publisher waits, and nothing is lost.
func ExampleOverflow_block() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{Capacity: 2})
	q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{OnFull: eventbus.Block})
	if err != nil {
		log.Fatal(err)
	}
	published := make(chan error, 1)
	go func() {
		var err error
		for id := range 5 {
			err = errors.Join(err, orders.Publish(ctx, Order{ID: id})) // as fast as they are read
		}
		published <- errors.Join(err, bus.Close(ctx))
	}()
	for e, err := range q.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print("order ", e.Data.ID, ", lost before it ", e.Lag, "\n")
	}
	fmt.Println(<-published)
	// Output:
	// order 0, lost before it 0
	// order 1, lost before it 0
	// order 2, lost before it 0
	// order 3, lost before it 0
	// order 4, lost before it 0
	// <nil>
}

// DropOldest is for those whom the newest interests most.
func ExampleOverflow_dropOldest() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	prices := eventbus.MustNewTopic[int](bus, "prices", eventbus.TopicConfig{})
	q, err := prices.Queue(ctx, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 2})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := prices.PublishBatch(ctx, []int{100, 95, 90, 85, 80}); err != nil {
		log.Fatal(err)
	}
	for range 2 {
		e, err := q.Next(ctx)
		fmt.Println("price", e.Data, "lost before it", e.Lag, err)
	}
	// Output:
	// price 85 lost before it 3 <nil>
	// price 80 lost before it 0 <nil>
}

// DropNewest keeps what it has: the events that come while it is full are lost.
func ExampleOverflow_dropNewest() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	samples := eventbus.MustNewTopic[int](bus, "samples", eventbus.TopicConfig{})
	q, err := samples.Queue(ctx, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropNewest, Capacity: 2})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := samples.PublishBatch(ctx, []int{1, 2, 3, 4}); err != nil {
		log.Fatal(err)
	}
	next := func() {
		e, err := q.Next(ctx)
		fmt.Println("sample", e.Data, "lost before it", e.Lag, err)
	}
	next()
	if err := samples.Publish(ctx, 5); err != nil { // there is room again
		log.Fatal(err)
	}
	next()
	next()
	// Output:
	// sample 1 lost before it 0 <nil>
	// sample 2 lost before it 0 <nil>
	// sample 5 lost before it 2 <nil>
}

// Fail has the publisher decide: nobody gets the event.
func ExampleOverflow_fail() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	jobs := eventbus.MustNewTopic[int](bus, "jobs", eventbus.TopicConfig{})
	for name, policy := range map[string]eventbus.Overflow{"worker": eventbus.Fail, "audit": eventbus.Unbounded} {
		_, err := jobs.Queue(ctx, eventbus.SubscribeConfig[int]{Name: name, OnFull: policy, Capacity: 2})
		if err != nil {
			log.Fatal(err)
		}
	}
	for i := range 3 {
		err := jobs.Publish(ctx, i)
		if full := (*eventbus.Error)(nil); errors.Is(err, eventbus.ErrFull) && errors.As(err, &full) {
			fmt.Println("503: too busy is", full.Subscription)
			continue
		}
		fmt.Println("202:", err)
	}
	for _, s := range jobs.Stats().Subscriptions {
		fmt.Println(s.Depth, "waiting")
	}
	// Output:
	// 202: <nil>
	// 202: <nil>
	// 503: too busy is worker
	// 2 waiting
	// 2 waiting
}

// Disconnect ends a subscription that must not lose anything but may begin
// again, such as that of a browser which then loads the page anew.
func ExampleOverflow_disconnect() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{
		Name: "browser", OnFull: eventbus.Disconnect, Capacity: 2,
	})
	if err != nil {
		log.Fatal(err)
	}
	for id := range 5 {
		if err := orders.Publish(ctx, Order{ID: id}); err != nil {
			log.Fatal(err)
		}
	}
	for _, err := range q.Events(ctx) {
		if errors.Is(err, eventbus.ErrFull) {
			fmt.Println(err)
		}
	}
	fmt.Println(q.Stats().Discarded, "discarded")
	// Output:
	// eventbus: queue full: topic "orders.placed", subscription "browser", event 3
	// 2 discarded
}

// Unbounded takes a burst of any size: up to its Capacity, which is a million if
// nothing else is said.
func ExampleOverflow_unbounded() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	lines := eventbus.MustNewTopic[string](bus, "lines", eventbus.TopicConfig{Capacity: 16})
	q, err := lines.Queue(ctx, eventbus.SubscribeConfig[string]{OnFull: eventbus.Unbounded})
	if err != nil {
		log.Fatal(err)
	}
	for range 5000 {
		if err := lines.Publish(ctx, "a line"); err != nil {
			log.Fatal(err)
		}
	}
	s := q.Stats()
	fmt.Println(s.Depth, "of", s.Capacity)
	// Output: 5000 of 1000000
}

package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"
	"sync"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/eventbus"
)

// What goes wrong, as log lines. Nothing of it is told to publishers.
func ExampleHooks() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{Hooks: eventbus.Hooks{
		Failed: func(_ context.Context, f eventbus.Failure) {
			fmt.Println(f.Subscription, "failed at", f.Event.Topic(), f.Event.Seq, "-", f.Err)
		},
		Dropped: func(d eventbus.Drop) {
			fmt.Println("nobody subscribed to", d.Topic)
		},
	}})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	if err := orders.Publish(ctx, Order{ID: 7}); err != nil {
		log.Fatal(err)
	}
	_, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{Name: "mailer"},
		func(context.Context, Order) error { return errors.New("mail server down") })
	if err != nil {
		log.Fatal(err)
	}
	err = orders.Publish(ctx, Order{ID: 8})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// nobody subscribed to orders.placed
	// mailer failed at orders.placed 2 - mail server down
	// <nil>
}

// How long events wait, and how long handlers take, for a histogram of each.
func ExampleHandling() {
	ctx := context.Background()
	mock := clock.NewMock() // nil in a program: system time
	bus := eventbus.MustNew(eventbus.Config{Clock: mock, Hooks: eventbus.Hooks{
		Handled: func(_ context.Context, h eventbus.Handling) {
			fmt.Println(h.Subscription, h.Seq, "waited", h.Age, "took", h.Took, h.Err)
		},
	}})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{Name: "mailer"},
		func(context.Context, Order) error {
			mock.Add(2 * time.Second) // a slow mail server
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	_, err = orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// mailer 1 waited 0s took 2s <nil>
	// mailer 2 waited 2s took 2s <nil>
	// <nil>
}

// Every loss is told, and how it came about.
func ExampleDrop() {
	why := func(d eventbus.Drop) {
		switch {
		case d.Lagged > 0:
			fmt.Println(d.Subscription, "was too slow for", d.Lagged)
		case d.Discarded > 0:
			fmt.Println(d.Subscription, "ended before", d.Discarded)
		case d.Unrouted > 0:
			fmt.Println("nobody subscribed to", d.Topic)
		}
	}

	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{Hooks: eventbus.Hooks{Dropped: why}})
	prices := eventbus.MustNewTopic[int](bus, "prices", eventbus.TopicConfig{})
	q, err := prices.Queue(ctx, eventbus.SubscribeConfig[int]{
		Name: "display", OnFull: eventbus.DropNewest, Capacity: 2,
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = prices.PublishBatch(ctx, []int{100, 95, 90})
	q.Cancel()
	err = errors.Join(err, prices.Publish(ctx, 85))
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// display was too slow for 1
	// display ended before 2
	// nobody subscribed to prices
	// <nil>
}

// A publisher that waits for long is told about, with those it waits for.
func ExampleStall() {
	const patience = time.Millisecond // 5s by default

	ctx := context.Background()
	told := make(chan struct{})
	bus := eventbus.MustNew(eventbus.Config{
		StallAfter: patience,
		Hooks: eventbus.Hooks{Stalled: func(s eventbus.Stall) {
			if s.For > patience {
				return // told already: it is called again at twice, four times ... that
			}
			for _, sub := range s.Subscriptions {
				fmt.Println(s.Waiting, "publisher of", s.Topic, "waits for", sub.Name, "with", sub.Depth, "waiting")
			}
			close(told)
		}},
	})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{Name: "export", Capacity: 2})
	if err != nil {
		log.Fatal(err)
	}
	published := make(chan error)
	go func() {
		_, err := orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}, {ID: 9}, {ID: 10}})
		published <- err
	}()
	<-told
	q.Cancel() // it is stuck, the others are not to suffer
	fmt.Println(<-published)
	// Output:
	// 1 publisher of orders.placed waits for export with 2 waiting
	// <nil>
}

// An interceptor around publishes refuses what must not be published.
func ExampleInterceptor() {
	refuseFree := func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			if o, ok := e.Data.(Order); ok && o.Total == 0 {
				return fmt.Errorf("%s: order %d is free of charge", e.Topic(), o.ID)
			}
			return next(ctx, e)
		}
	}

	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{AroundPublish: []eventbus.Interceptor{refuseFree}})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	fmt.Println(orders.Publish(ctx, Order{ID: 7, Total: 20}))
	fmt.Println(orders.Publish(ctx, Order{ID: 8}))
	// Output:
	// <nil>
	// orders.placed: order 8 is free of charge
}

// One around handlers sees every attempt: for spans, metrics, or a limit.
func ExampleInterceptor_handle() {
	span := func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			fmt.Println("begin", e.Topic(), e.Seq)
			err := next(ctx, e)
			fmt.Println("end", e.Topic(), e.Seq, err)
			return err
		}
	}

	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{AroundHandle: []eventbus.Interceptor{span}})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	attempts := 0
	_, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{
		Retry: eventbus.Retry{Attempts: 2, Wait: -1},
	}, func(context.Context, Order) error {
		if attempts++; attempts == 1 {
			return errors.New("mail server down")
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.Publish(ctx, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// begin orders.placed 1
	// end orders.placed 1 mail server down
	// begin orders.placed 1
	// end orders.placed 1 <nil>
	// <nil>
}

// An interceptor may pass on a changed event, here one of all strings.
func ExampleHandler() {
	trim := func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			if s, ok := e.Data.(string); ok {
				e.Data = strings.TrimSpace(s)
			}
			return next(ctx, e)
		}
	}

	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{AroundPublish: []eventbus.Interceptor{trim}})
	lines := eventbus.MustNewTopic[string](bus, "lines", eventbus.TopicConfig{})
	_, err := lines.Subscribe(ctx, func(_ context.Context, line string) error {
		fmt.Printf("%q\n", line)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = lines.Publish(ctx, "  a line \n")
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// "a line"
	// <nil>
}

// Counters from hooks: what is told by several goroutines takes a lock.
func ExampleHooks_metrics() {
	var mu sync.Mutex
	attempts := make(map[string]int)
	count := func(_ context.Context, h eventbus.Handling) {
		mu.Lock()
		defer mu.Unlock()
		attempts[fmt.Sprintf("%s ok=%v", h.Topic, h.Err == nil)]++
	}

	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{Hooks: eventbus.Hooks{Handled: count}})
	orders := eventbus.MustNewTopic[Order](bus, "orders", eventbus.TopicConfig{})
	for range 3 {
		_, err := orders.Subscribe(ctx, func(_ context.Context, o Order) error {
			if o.Total == 0 {
				return errors.New("nothing to pay")
			}
			return nil
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	_, err := orders.PublishBatch(ctx, []Order{{ID: 7, Total: 20}, {ID: 8}})
	err = errors.Join(err, bus.Close(ctx))
	fmt.Println(attempts, err)
	// Output: map[orders ok=false:3 orders ok=true:3] <nil>
}

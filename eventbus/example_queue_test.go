package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A Queue may have several readers; each event goes to one of them.
func ExampleQueue() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	images := eventbus.MustNewTopic[int](bus, "images.uploaded", eventbus.TopicConfig{})
	q, err := images.Queue(ctx, eventbus.SubscribeConfig[int]{})
	if err != nil {
		log.Fatal(err)
	}
	var pixels atomic.Int64
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for e, err := range q.Events(ctx) {
				if err != nil {
					fmt.Println(err)
					return
				}
				pixels.Add(int64(e.Data))
			}
		})
	}
	for i := range 100 {
		if err := images.Publish(ctx, i); err != nil {
			log.Fatal(err)
		}
	}
	err = bus.Close(ctx) // waits until all is read
	readers.Wait()
	fmt.Println(pixels.Load(), err)
	// Output: 4950 <nil>
}

// A Queue is for those who decide themselves when to take the next event.
func ExampleTopic_Queue() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{Name: "export"})
	if err != nil {
		log.Fatal(err)
	}
	for id := range 3 {
		if err := orders.Publish(ctx, Order{ID: id}); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(q.Stats().Depth, "waiting")
	e, err := q.Next(ctx)
	fmt.Println("order", e.Data.ID, err)
	fmt.Println(q.Stats().Depth, "waiting")
	// Output:
	// 3 waiting
	// order 0 <nil>
	// 2 waiting
}

// An orderly end of the subscription is ErrClosed, after the last event.
func ExampleQueue_Next() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}}); err != nil {
		log.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- bus.Close(ctx) }()
	for {
		e, err := q.Next(ctx)
		if errors.Is(err, eventbus.ErrClosed) {
			fmt.Println("that was all")
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("order", e.Data.ID)
	}
	fmt.Println(<-closed)
	// Output:
	// order 7
	// order 8
	// that was all
	// <nil>
}

// The loop may be left and begun again: the queue is kept.
func ExampleQueue_Events() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}, {ID: 9}}); err != nil {
		log.Fatal(err)
	}
	for _, last := range []int{7, 9} {
		for e, err := range q.Events(ctx) {
			if err != nil {
				log.Fatal(err)
			}
			fmt.Print("order ", e.Data.ID, " ")
			if e.Data.ID == last {
				break
			}
		}
		fmt.Println("and a pause")
	}
	// Output:
	// order 7 and a pause
	// order 8 order 9 and a pause
}

// A channel goes into a select, beside whatever else there is to wait for.
func ExampleQueue_Chan() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	q, err := orders.Queue(ctx, eventbus.SubscribeConfig[Order]{})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}}); err != nil {
		log.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- bus.Close(ctx) }()
	for open := true; open; {
		select {
		case e, ok := <-q.Chan():
			if open = ok; ok {
				fmt.Println("order", e.Data.ID)
			}
		case <-ctx.Done():
			open = false
		}
	}
	fmt.Println(<-closed)
	// Output:
	// order 7
	// order 8
	// <nil>
}

// The subscription lives as long as the loop.
func ExampleTopic_Events() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	go func() {
		for !orders.HasSubscribers() {
			runtime.Gosched()
		}
		if _, err := orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}, {ID: 9}}); err != nil {
			fmt.Println(err)
		}
	}()
	for e, err := range orders.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("order", e.Data.ID)
		if e.Data.ID == 8 {
			break
		}
	}
	fmt.Println(orders.HasSubscribers())
	// Output:
	// order 7
	// order 8
	// false
}

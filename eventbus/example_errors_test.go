package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A sentinel is what one decides on, an Error says where.
func ExampleError() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	jobs := eventbus.MustNewTopic[int](bus, "jobs", eventbus.TopicConfig{})
	_, err := jobs.Queue(ctx, eventbus.SubscribeConfig[int]{Name: "worker", OnFull: eventbus.Fail, Capacity: 1})
	if err != nil {
		log.Fatal(err)
	}
	submit := func(job int) {
		err := jobs.Publish(ctx, job)
		var where *eventbus.Error
		switch {
		case err == nil:
			fmt.Println("job", job, "accepted")
		case errors.Is(err, eventbus.ErrClosed):
			fmt.Println("job", job, "refused: we are closing")
		case errors.Is(err, eventbus.ErrFull) && errors.As(err, &where):
			fmt.Println("job", job, "refused:", where.Subscription, "is busy")
		default:
			fmt.Println("job", job, "refused:", err)
		}
	}
	submit(1)
	submit(2)
	stop, cancel := context.WithCancel(ctx)
	cancel()
	if err := bus.Close(stop); err != nil {
		fmt.Println(err)
	}
	submit(3)
	// Output:
	// job 1 accepted
	// job 2 refused: worker is busy
	// eventbus: not drained: 1 events discarded, 0 being handled in "worker": context canceled
	// job 3 refused: we are closing
}

// A handler that publishes to its own topic may come to wait for itself. Then
// it is told, with the cycle of topics, instead of waiting for ever.
func ExampleError_deadlock() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	steps := eventbus.MustNewTopic[int](bus, "steps", eventbus.TopicConfig{Capacity: 1})
	_, err := steps.Subscribe(ctx, func(ctx context.Context, n int) error {
		if n > 0 {
			return nil
		}
		fmt.Println(steps.Publish(ctx, 1)) // with the context of the handler
		err := steps.Publish(ctx, 2)
		fmt.Println(errors.Is(err, eventbus.ErrWouldDeadlock))
		fmt.Println(err)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = steps.Publish(ctx, 0)
	err = errors.Join(err, bus.Flush(ctx)) // Close would have what follows refused
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// <nil>
	// true
	// eventbus: would deadlock: topic "steps", cycle steps
	// <nil>
}

// The errors of all handlers of a Sync topic come back joined.
func ExampleError_sync() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	saving := eventbus.MustNewTopic[Order](bus, "orders.saving", eventbus.TopicConfig{Sync: true})
	for _, name := range []string{"limits", "stock"} {
		_, err := saving.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{Name: name},
			func(context.Context, Order) error { return errors.New("no") })
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(saving.Publish(ctx, Order{ID: 7}))
	// Output:
	// eventbus: no: topic "orders.saving", subscription "limits", event 1
	// eventbus: no: topic "orders.saving", subscription "stock", event 1
}

// Close with a context that ends says exactly what it had to leave.
func ExampleDrainError() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	started, hang := make(chan struct{}), make(chan struct{})
	s, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{Name: "mailer", Capacity: 10},
		func(context.Context, Order) error {
			close(started)
			<-hang // a handler that does not look at its context
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}, {ID: 9}}); err != nil {
		log.Fatal(err)
	}
	<-started
	deadline, cancel := context.WithCancelCause(ctx)
	cancel(errors.New("10s are over")) // in a program: context.WithTimeout
	err = bus.Close(deadline)
	fmt.Println(err)
	if left := (*eventbus.DrainError)(nil); errors.As(err, &left) {
		for _, s := range left.Left {
			fmt.Println(s.Name, "-", s.Discarded, "discarded,", s.Running, "running")
		}
	}
	close(hang)
	<-s.Done()
	// Output:
	// eventbus: not drained: 2 events discarded, 1 being handled in "mailer": 10s are over
	// mailer - 2 discarded, 1 running
}

// A handler that panics fails at one event; the program goes on.
func ExamplePanicError() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{Hooks: eventbus.Hooks{
		Failed: func(_ context.Context, f eventbus.Failure) {
			fmt.Println("order", f.Event.Data.(Order).ID, "-", f.Err)
			if p := (*eventbus.PanicError)(nil); errors.As(f.Err, &p) {
				fmt.Println("with a stack:", len(p.Stack) > 0)
			}
		},
	}})
	s, err := eventbus.Subscribe(ctx, bus, func(_ context.Context, o Order) error {
		fmt.Println("order", o.ID, "- share", 100/o.Total)
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, o := range []Order{{ID: 7}, {ID: 8, Total: 20}} {
		if err := eventbus.Publish(ctx, bus, o); err != nil {
			log.Fatal(err)
		}
	}
	err = bus.Close(ctx)
	fmt.Println(s.Stats().Handled, "handled,", s.Stats().Failed, "failed,", err)
	// Output:
	// order 7 - eventbus: panic: runtime error: integer divide by zero
	// with a stack: true
	// order 8 - share 5
	// 1 handled, 1 failed, <nil>
}

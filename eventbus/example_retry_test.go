package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A hastyClock does not wait: it goes forward to whatever is to happen next. It
// serves one timer at a time.
type hastyClock struct{ *clock.Mock }

func (c hastyClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	t := c.Mock.AfterFunc(d, f)
	c.Add(d)
	return t
}

// sinceStart is the time on a Mock that began at zero.
func (c hastyClock) sinceStart() time.Duration { return c.Since(time.Unix(0, 0)) }

// A handler that fails is called again, after a wait that doubles.
func ExampleRetry() {
	ctx := context.Background()
	hasty := hastyClock{clock.NewMock()} // nil in a program: system time
	bus := eventbus.MustNew(eventbus.Config{Clock: hasty})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	attempt := 0
	s, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{
		Retry: eventbus.Retry{Attempts: 5, Wait: time.Second, MaxWait: 3 * time.Second},
	}, func(context.Context, Order) error {
		attempt++
		fmt.Println("attempt", attempt, "after", hasty.sinceStart())
		if attempt < 4 {
			return errors.New("mail server down")
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.Publish(ctx, Order{ID: 7})
	err = errors.Join(err, bus.Close(ctx))
	fmt.Println(s.Stats().Handled, "handled,", s.Stats().Retried, "retried,", err)
	// Output:
	// attempt 1 after 0s
	// attempt 2 after 1s
	// attempt 3 after 3s
	// attempt 4 after 6s
	// 1 handled, 3 retried, <nil>
}

// A BusyError knows when to come again.
type BusyError time.Duration

func (e BusyError) Error() string { return "busy for " + time.Duration(e).String() }

// Delay decides by the error: whether there is another attempt, and when.
func ExampleRetry_delay() {
	ctx := context.Background()
	hasty := hastyClock{clock.NewMock()} // nil in a program: system time
	bus := eventbus.MustNew(eventbus.Config{Clock: hasty})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	answers := []error{BusyError(time.Minute), errors.New("no such customer")}
	s, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{
		Retry: eventbus.Retry{
			Attempts: 10,
			Delay: func(_ int, err error) time.Duration {
				if busy := BusyError(0); errors.As(err, &busy) {
					return time.Duration(busy)
				}
				return -1 // pointless
			},
		},
	}, func(context.Context, Order) error {
		err := answers[0]
		answers = answers[1:]
		fmt.Println("after", hasty.sinceStart(), "-", err)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.Publish(ctx, Order{ID: 7})
	err = errors.Join(err, bus.Close(ctx))
	fmt.Println(s.Stats().Failed, "given up,", err)
	// Output:
	// after 0s - busy for 1m0s
	// after 1m0s - no such customer
	// 1 given up, <nil>
}

// Timeout bounds each attempt. What the handler returns then is what counts, so
// it has to look at its context.
func ExampleSubscribeConfig_timeout() {
	hasty := hastyClock{clock.NewMock()} // nil in a program: system time
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{Clock: hasty})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	s, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{Timeout: 5 * time.Second},
		func(ctx context.Context, _ Order) error {
			<-ctx.Done() // a call that hangs
			fmt.Println("after", hasty.sinceStart(), "-", context.Cause(ctx))
			return context.Cause(ctx)
		})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.Publish(ctx, Order{ID: 7})
	err = errors.Join(err, bus.Close(ctx))
	fmt.Println(s.Stats().Failed, "failed,", err)
	// Output:
	// after 5s - context deadline exceeded
	// 1 failed, <nil>
}

// Events that were given up go to a topic of their own, where somebody stores
// them, tells a person, or publishes them again later.
func ExampleFailure() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	dead := eventbus.MustNewTopic[eventbus.Failure](bus, "dead", eventbus.TopicConfig{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{DeadLetter: dead})

	_, err := dead.Subscribe(ctx, func(_ context.Context, f eventbus.Failure) error {
		fmt.Printf("%s gave up %s %d after %d attempts: %v\n",
			f.Subscription, f.Event.Topic(), f.Event.Seq, f.Attempts, f.Err)
		if o, ok := f.Event.Data.(Order); ok {
			fmt.Println("to be looked at: order", o.ID)
		}
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	_, err = orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{
		Name:  "mailer",
		Retry: eventbus.Retry{Attempts: 3, Wait: -1}, // at once
	}, func(context.Context, Order) error {
		return errors.New("no such address")
	})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.Publish(ctx, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// mailer gave up orders.placed 1 after 3 attempts: no such address
	// to be looked at: order 7
	// <nil>
}

// Dead letters also tell what nobody subscribed to.
func ExampleFailure_unrouted() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	dead := eventbus.MustNewTopic[eventbus.Failure](bus, "dead", eventbus.TopicConfig{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{DeadLetter: dead})
	_, err := dead.Subscribe(ctx, func(_ context.Context, f eventbus.Failure) error {
		fmt.Println(f.Event.Topic(), f.Event.Data, errors.Is(f.Err, eventbus.ErrNoSubscriber))
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.Publish(ctx, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// orders.placed {7 0} true
	// <nil>
}

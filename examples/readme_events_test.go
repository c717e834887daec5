package examples

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

type Payment struct{ Order, Cents int }

func sendReceipt(_ context.Context, o Order) error {
	fmt.Println("receipt for order", o.ID)
	return nil
}

func sell(ctx context.Context) error {
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})

	_, err := orders.Subscribe(ctx, func(ctx context.Context, o Order) error {
		return sendReceipt(ctx, o)
	})
	if err != nil {
		return err
	}
	err = orders.Publish(ctx, Order{ID: 7})
	return errors.Join(err, bus.Close(ctx)) // waits until it is handled
}

// The quick start of package eventbus.
func Example_events() {
	fmt.Println(sell(context.Background()))
	// Output:
	// receipt for order 7
	// <nil>
}

type Order struct{ ID, Cents int }

func shop(ctx context.Context) error {
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})

	_, err := orders.Subscribe(ctx, func(_ context.Context, o Order) error {
		fmt.Println("receipt for order", o.ID)
		return nil
	})
	if err != nil {
		return err
	}
	err = orders.Publish(ctx, Order{ID: 7, Cents: 1999})
	return errors.Join(err, bus.Close(ctx)) // waits until it is handled
}

func Example_shop() {
	fmt.Println(shop(context.Background()))
	// Output:
	// receipt for order 7
	// <nil>
}

// mailer has mails sent by a function that may fail, hang, or be slow.
func mailer(ctx context.Context, orders *eventbus.Topic[Order], undelivered *eventbus.Topic[eventbus.Failure],
	mail func(context.Context, Order) error,
) error {
	_, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{
		Name:     "mailer",
		Capacity: 100, OnFull: eventbus.DropOldest, // never holds up a publisher
		Timeout:    10 * time.Second, // of each attempt
		Retry:      eventbus.Retry{Attempts: 5, Wait: time.Second},
		DeadLetter: undelivered, // a topic of eventbus.Failure
	}, mail)
	return err
}

// The mailer tries five times, each attempt ends in time, and what it gives up
// is not lost; a publisher gets by while it hangs.
func TestREADME_mailer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := eventbustest.NewBus(t, eventbus.Config{})
		orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
		undelivered := eventbus.MustNewTopic[eventbus.Failure](bus, "undelivered", eventbus.TopicConfig{})
		dead := eventbustest.Record(t, bus, undelivered)
		var at []time.Duration
		began := time.Now()
		err := mailer(t.Context(), orders, undelivered, func(ctx context.Context, o Order) error {
			if o.ID != 7 {
				return nil
			}
			at = append(at, time.Since(began))
			<-ctx.Done()
			return context.Cause(ctx)
		})
		assert.NoError(t, err)
		assert.NoError(t, orders.Publish(t.Context(), Order{ID: 7}))
		synctest.Wait()
		for range 150 {
			assert.NoError(t, orders.Publish(t.Context(), Order{ID: 8}))
		}
		assert.Equal(t, began, time.Now())
		assert.EqualValues(t, 50, orders.Stats().Subscriptions[0].Lagged)

		time.Sleep(2 * time.Minute)
		failures := dead.Data()
		if assert.Len(t, failures, 1) {
			assert.Equal(t, 5, failures[0].Attempts)
			assert.Equal(t, "mailer", failures[0].Subscription)
			assert.ErrorIs(t, failures[0].Err, context.DeadlineExceeded)
		}
		const s = time.Second
		assert.Equal(t, []time.Duration{0, 11 * s, 23 * s, 37 * s, 55 * s}, at)
	})
}

// startCashier turns orders into payments; the first attempt fails.
func startCashier(bus *eventbus.Bus) {
	ctx := context.Background()
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	payments := eventbus.MustNewTopic[Payment](bus, "payments", eventbus.TopicConfig{})
	attempts := 0
	_, err := orders.SubscribeWith(ctx, eventbus.SubscribeConfig[Order]{Retry: eventbus.Retry{Attempts: 2}},
		func(ctx context.Context, o Order) error {
			if attempts++; attempts == 1 {
				return errors.New("no connection")
			}
			return payments.Publish(ctx, Payment{Order: o.ID, Cents: o.Cents})
		})
	if err != nil {
		panic(err)
	}
}

func TestREADME_cashier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := eventbustest.NewBus(t, eventbus.Config{}) // has to be drained at the end
		orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
		payments := eventbus.MustNewTopic[Payment](bus, "payments", eventbus.TopicConfig{})
		paid := eventbustest.Record(t, bus, payments)
		startCashier(bus) // what is tested
		assert.NoError(t, orders.Publish(t.Context(), Order{ID: 7, Cents: 1999}))
		paid.Expect(Payment{Order: 7, Cents: 1999})
	})
}

package eventbus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/eventbus"
)

// noon is when the events of the examples are published.
func noon() eventbus.Clock {
	mock := clock.NewMock()
	mock.Set(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	return mock
}

// seven makes the IDs of the examples the same each time.
func seven() uint64 { return 7 }

// An Event is data and an envelope: its number in the topic, how many this
// subscription lost before it, and more if one asks for it.
func ExampleEvent() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	prices := eventbus.MustNewTopic[int](bus, "prices", eventbus.TopicConfig{})
	q, err := prices.Queue(ctx, eventbus.SubscribeConfig[int]{Capacity: 1, OnFull: eventbus.DropOldest})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := prices.PublishBatch(ctx, []int{100, 95, 90}); err != nil {
		log.Fatal(err)
	}
	e, err := q.Next(ctx)
	fmt.Println(e.Seq, e.Data, e.Lag, err)
	// Output: 3 90 2 <nil>
}

// What a handler does later, or elsewhere, keeps the values of the publisher's
// context, such as those of a trace, and outlives the call.
func ExampleEvent_Context() {
	type traceKey struct{}

	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	q, err := orders.Queue(context.Background(), eventbus.SubscribeConfig[Order]{})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), traceKey{}, "4bf92f"))
	if err := orders.Publish(ctx, Order{ID: 7}); err != nil {
		log.Fatal(err)
	}
	cancel()
	e, err := q.Next(context.Background())
	fmt.Println(e.Context().Value(traceKey{}), e.Context().Err(), err)
	// Output: 4bf92f <nil> <nil>
}

func ExampleEvent_Header() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			fmt.Printf("%q %q\n", e.Header("tenant"), e.Header("region"))
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.PublishWith(ctx, eventbus.PublishConfig{
		Header: map[string]string{"tenant": "acme"},
	}, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// "acme" ""
	// <nil>
}

// Headers come in the order of their names.
func ExampleEvent_Headers() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			for name, value := range e.Headers() {
				fmt.Println(name, "=", value)
			}
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.PublishWith(ctx, eventbus.PublishConfig{
		Header: map[string]string{"tenant": "acme", "region": "eu"},
	}, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// region = eu
	// tenant = acme
	// <nil>
}

// The ID tells whether an event has been dealt with before, perhaps by a
// program that ran earlier. It is made when it is asked for.
func ExampleEvent_ID() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{Rand: seven}) // nil in a program
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	paid := map[string]bool{"7-1-1": true} // from a database
	_, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			if paid[e.ID()] {
				return nil
			}
			fmt.Println("charge for order", e.Data.ID, "once, by", e.ID())
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	_, err = orders.PublishBatch(ctx, []Order{{ID: 7}, {ID: 8}})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// charge for order 8 once, by 7-1-2
	// <nil>
}

// Events of one key are handled in order, however many Workers there are.
func ExampleEvent_Key() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{Workers: 8},
		func(_ context.Context, e eventbus.Event[Order]) error {
			fmt.Println(e.Key(), "order", e.Data.ID)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	for id := range 3 {
		err := orders.PublishWith(ctx, eventbus.PublishConfig{Key: "customer-12"}, Order{ID: id})
		if err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(bus.Close(ctx))
	// Output:
	// customer-12 order 0
	// customer-12 order 1
	// customer-12 order 2
	// <nil>
}

// As JSON an event is a CloudEvent, for webhooks and logs.
func ExampleEvent_MarshalJSON() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{Source: "/shop", Clock: noon(), Rand: seven})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{Type: "com.example.order.placed"})
	_, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			text, err := json.MarshalIndent(e, "", "  ")
			fmt.Println(string(text))
			return err
		})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.PublishWith(ctx, eventbus.PublishConfig{
		Key: "customer-12", Header: map[string]string{"tenant": "acme"},
	}, Order{ID: 7, Total: 20})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// {
	//   "specversion": "1.0",
	//   "id": "7-1-1",
	//   "source": "/shop",
	//   "type": "com.example.order.placed",
	//   "time": "2026-03-01T12:00:00Z",
	//   "datacontenttype": "application/json",
	//   "partitionkey": "customer-12",
	//   "sequence": "1",
	//   "topic": "orders.placed",
	//   "tenant": "acme",
	//   "data": {
	//     "id": 7,
	//     "total": 20
	//   }
	// }
	// <nil>
}

// Source is the program, Type the kind of event, Subject what it is about: the
// words of CloudEvents.
func ExampleEvent_Source() {
	ctx := context.Background()
	for _, cfg := range []eventbus.Config{{}, {Name: "shop"}, {Source: "https://example.com/shop"}} {
		bus := eventbus.MustNew(cfg)
		_, err := eventbus.SubscribePattern(ctx, bus, ">", eventbus.SubscribeConfig[any]{},
			func(_ context.Context, e eventbus.Event[any]) error {
				fmt.Println(e.Source())
				return nil
			})
		if err != nil {
			log.Fatal(err)
		}
		err = eventbus.Publish(ctx, bus, Order{ID: 7})
		if err := errors.Join(err, bus.Close(ctx)); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// /bus
	// /shop
	// https://example.com/shop
}

func ExampleEvent_Subject() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			fmt.Println(e.Subject())
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	err = orders.PublishWith(ctx, eventbus.PublishConfig{Subject: "orders/7"}, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// orders/7
	// <nil>
}

// Time is when it was published, unless the publisher knows better.
func ExampleEvent_Time() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{Clock: noon()}) // nil in a program
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	_, err := orders.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			fmt.Println("order", e.Data.ID, "at", e.Time().Format(time.TimeOnly))
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	yesterday := time.Date(2026, 2, 28, 17, 30, 0, 0, time.UTC)
	err = errors.Join(
		orders.Publish(ctx, Order{ID: 7}),
		orders.PublishWith(ctx, eventbus.PublishConfig{Time: yesterday}, Order{ID: 8}),
	)
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// order 7 at 12:00:00
	// order 8 at 17:30:00
	// <nil>
}

// A pattern subscription learns from the event which topic it is of.
func ExampleEvent_Topic() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	_, err := eventbus.SubscribePattern(ctx, bus, "orders.*", eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			fmt.Println(e.Topic())
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	cancelled := eventbus.MustNewTopic[Order](bus, "orders.cancelled", eventbus.TopicConfig{})
	err = cancelled.Publish(ctx, Order{ID: 7})
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// orders.cancelled
	// <nil>
}

// OrderPlaced says itself what its CloudEvents type is.
type OrderPlaced struct{ Order }

func (OrderPlaced) EventType() string { return "com.example.order.placed" }

func ExampleEvent_Type() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	_, err := eventbus.SubscribePattern(ctx, bus, ">", eventbus.SubscribeConfig[any]{},
		func(_ context.Context, e eventbus.Event[any]) error {
			fmt.Println(e.Type())
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	err = errors.Join(
		eventbus.Publish(ctx, bus, Order{ID: 7}),
		eventbus.Publish(ctx, bus, OrderPlaced{Order{ID: 7}}),
	)
	fmt.Println(errors.Join(err, bus.Close(ctx)))
	// Output:
	// github.com/mainstay-go/mainstay/eventbus_test.Order
	// com.example.order.placed
	// <nil>
}

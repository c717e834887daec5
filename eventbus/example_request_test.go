package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A GetOrder asks for an Order: the type of a request says who is to answer.
type GetOrder struct{ ID int }

// Where an event tells, a request asks. It is called like a function, by those
// who need not know who has the answer.
func ExampleRequest() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	_, err := eventbus.Respond(ctx, bus, func(_ context.Context, q GetOrder) (Order, error) {
		return Order{ID: q.ID, Total: 20}, nil
	})
	if err != nil {
		log.Fatal(err)
	}
	order, err := eventbus.Request[Order](ctx, bus, GetOrder{ID: 7})
	fmt.Printf("%+v %v\n", order, err)
	// Output: {ID:7 Total:20} <nil>
}

// A program without the part that answers works on, and can tell why it cannot
// say.
func ExampleRequest_noResponder() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	_, err := eventbus.Request[Order](ctx, bus, GetOrder{ID: 7})
	if errors.Is(err, eventbus.ErrNoSubscriber) {
		fmt.Println("orders are switched off")
	}
	fmt.Println(err)
	// Output:
	// orders are switched off
	// eventbus: no subscriber: topic "github.com/mainstay-go/mainstay/eventbus_test.GetOrder"
}

// There is one responder for a type, until it ends.
func ExampleRespond() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	notFound := func(_ context.Context, q GetOrder) (Order, error) {
		return Order{}, fmt.Errorf("no order %d", q.ID)
	}
	s, err := eventbus.Respond(ctx, bus, notFound)
	if err != nil {
		log.Fatal(err)
	}
	_, err = eventbus.Respond(ctx, bus, notFound)
	fmt.Println(err)
	_, err = eventbus.Request[Order](ctx, bus, GetOrder{ID: 7})
	fmt.Println(err)

	s.Cancel()
	_, err = eventbus.Respond(ctx, bus, notFound)
	fmt.Println(err)
	// Output:
	// eventbus: respond to eventbus_test.GetOrder: there is a responder already
	// no order 7
	// <nil>
}

package eventbus_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"log"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A Loop is one of two ends of the simplest bridge there is: what one of them
// forwards the other receives, in the same process. Real ones have a broker in
// between.
type Loop struct {
	out chan<- eventbus.Encoded
	in  <-chan eventbus.Encoded
}

// NewLoop has room for as many events as may be on their way.
func NewLoop(room int) (near, far Loop) {
	there, back := make(chan eventbus.Encoded, room), make(chan eventbus.Encoded, room)
	return Loop{there, back}, Loop{back, there}
}

// Forward returns when the event is on its way.
func (l Loop) Forward(ctx context.Context, e eventbus.Encoded) error {
	select {
	case l.out <- e:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Receive does not look at the pattern: what one end exports the other imports.
func (l Loop) Receive(ctx context.Context, _ string, deliver func(context.Context, eventbus.Encoded) error) error {
	for {
		select {
		case e := <-l.in:
			if err := deliver(ctx, e); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

var _ eventbus.Bridge = Loop{}

// Close has nothing to close.
func (l Loop) Close(context.Context) error { return nil }

// Two buses, one bridge: what is published on one is handled on the other. The
// parts of the program do not notice.
func ExampleBridge() {
	ctx := context.Background()
	shop := eventbus.MustNew(eventbus.Config{Name: "shop"})
	store := eventbus.MustNew(eventbus.Config{Name: "store"})
	near, far := NewLoop(16)

	handled := make(chan struct{})
	placed := eventbus.MustNewTopic[Order](store, "orders.placed", eventbus.TopicConfig{})
	_, err := placed.SubscribeEvents(ctx, eventbus.SubscribeConfig[Order]{},
		func(_ context.Context, e eventbus.Event[Order]) error {
			fmt.Println("order", e.Data.ID, "of", e.Source(), e.Subject())
			close(handled)
			return nil
		})
	if err != nil {
		log.Fatal(err)
	}
	_, err = shop.Attach(ctx, near, eventbus.BridgeConfig{Export: []string{"orders.>"}})
	if err != nil {
		log.Fatal(err)
	}
	_, err = store.Attach(ctx, far, eventbus.BridgeConfig{Import: []string{"orders.>"}})
	if err != nil {
		log.Fatal(err)
	}

	orders := eventbus.MustNewTopic[Order](shop, "orders.placed", eventbus.TopicConfig{})
	err = orders.PublishWith(ctx, eventbus.PublishConfig{Subject: "orders/7"}, Order{ID: 7})
	if err != nil {
		log.Fatal(err)
	}
	<-handled
	fmt.Println(errors.Join(shop.Close(ctx), store.Close(ctx)))
	// Output:
	// order 7 of /shop orders/7
	// <nil>
}

// What is sent waits in a queue of its own, so a broker that is down or slow
// does not stall publishers. The subscription that Attach returns has its
// numbers.
func ExampleBus_Attach() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	near, _ := NewLoop(16)
	out, err := bus.Attach(ctx, near, eventbus.BridgeConfig{
		Export: []string{"orders.*", "parcels.*"},
		Queue: eventbus.SubscribeConfig[any]{
			Name:   "broker",
			OnFull: eventbus.Unbounded,
			Retry:  eventbus.Retry{Attempts: -1}, // until it is there
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{})
	secrets := eventbus.MustNewTopic[Order](bus, "secrets", eventbus.TopicConfig{})
	err = errors.Join(orders.Publish(ctx, Order{ID: 7}), secrets.Publish(ctx, Order{ID: 8}))
	err = errors.Join(err, bus.Close(ctx)) // waits until all is forwarded
	fmt.Println(out.Name(), "got", out.Stats().Handled, err)
	// Output: broker got 1 <nil>
}

// Data goes as JSON unless one says otherwise.
func ExampleBridgeConfig() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	near, far := NewLoop(16)
	_, err := bus.Attach(ctx, near, eventbus.BridgeConfig{
		Export:      []string{">"},
		ContentType: "application/x-gob",
		Marshal: func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
		Unmarshal: func(data []byte, to any) error {
			return gob.NewDecoder(bytes.NewReader(data)).Decode(to)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	prices := eventbus.MustNewTopic[int](bus, "prices", eventbus.TopicConfig{})
	err = prices.Publish(ctx, 95)
	if err := errors.Join(err, bus.Close(ctx)); err != nil {
		log.Fatal(err)
	}
	e := <-far.in
	var price int
	err = gob.NewDecoder(bytes.NewReader(e.Data)).Decode(&price)
	fmt.Println(e.ContentType, price, err)
	// Output: application/x-gob 95 <nil>
}

// What a bridge has to carry.
func ExampleEncoded() {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{Name: "shop", Clock: noon(), Rand: seven})
	near, far := NewLoop(16)
	if _, err := bus.Attach(ctx, near, eventbus.BridgeConfig{Export: []string{">"}}); err != nil {
		log.Fatal(err)
	}
	orders := eventbus.MustNewTopic[Order](bus, "orders.placed", eventbus.TopicConfig{Type: "com.example.order"})
	err := orders.PublishWith(ctx, eventbus.PublishConfig{
		Key: "customer-12", Subject: "orders/7", Header: map[string]string{"tenant": "acme"},
	}, Order{ID: 7, Total: 20})
	if err := errors.Join(err, bus.Close(ctx)); err != nil {
		log.Fatal(err)
	}
	e := <-far.in
	fmt.Println(e.ID, e.Source, e.Type, e.Subject)
	fmt.Println(e.Topic, e.Seq, e.Key, e.Header, e.Time.UTC().Format("15:04"))
	fmt.Println(e.ContentType, string(e.Data))
	// Output:
	// 7-1-1 /shop com.example.order orders/7
	// orders.placed 1 customer-12 map[tenant:acme] 12:00
	// application/json {"id":7,"total":20}
}

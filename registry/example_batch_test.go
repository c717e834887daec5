package registry_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/mainstay-go/mainstay/registry"
)

// A stream is a source that is told what changes, instead of asking. It ends
// when the connection breaks; Feed runs it again then.
type stream <-chan registry.Batch

func (s stream) Run(ctx context.Context, deliver func(registry.Batch) error) error {
	for {
		select {
		case b, ok := <-s:
			if !ok {
				return errors.New("connection closed")
			}
			_ = deliver(b) // Hooks.FeedState tells what is refused
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// The first batch is the complete membership, those after it are changes.
func ExampleBatch() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	reg := registry.MustNew(registry.Config{})
	news := make(chan registry.Batch)
	go func() { _ = reg.Feed(ctx, "inventory", stream(news)) }()

	orders := reg.Service("orders")
	record := func(id, addr string) registry.Record {
		return registry.Record{Instance: registry.Instance{Service: "orders", ID: id, Addr: addr}}
	}
	for _, b := range []registry.Batch{
		{Reset: true, Put: []registry.Record{record("a", "10.0.0.7:8080"), record("b", "10.0.0.8:8080")}},
		{Put: []registry.Record{record("c", "10.0.0.9:8080")}, Remove: []registry.Ref{{Service: "orders", ID: "a"}}},
	} {
		before := orders.Snapshot().Index()
		news <- b
		snap, err := orders.Wait(ctx, before)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(snap.Len(), "instances, the first is", snap.At(0).ID())
	}
	// Output:
	// 2 instances, the first is a
	// 2 instances, the first is b
}

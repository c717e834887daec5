package durable_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// An audit is a store that says what is written to the one it stands before.
type audit struct{ durable.Store }

func (a audit) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	err := a.Store.Create(ctx, h, ttl, events)
	fmt.Println("create", h.ID, h.Status, len(events), err)
	return err
}

func (a audit) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	err := a.Store.Append(ctx, at, h, ttl, events)
	fmt.Println("append", h.ID, h.Status, len(events), err)
	return err
}

// A run of two steps is written three times. The audit has no Watch, so the engine
// asks it for work every Poll.
func ExampleStore() {
	ctx := context.Background()
	var store durable.Store = audit{&durable.MemoryStore{}}
	_, watches := store.(durable.Watcher)
	fmt.Println("watches:", watches)
	engine, err := durable.Open(store, durable.Config{Poll: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	def := saga.MustNew("checkout", []saga.Step[Order]{calls("reserve", "release"), calls("charge", "refund")})
	if err := durable.Register(engine, def); err != nil {
		log.Fatal(err)
	}
	run, err := durable.Start(ctx, engine, def, "order-42", Order{Total: 70})
	if err != nil {
		log.Fatal(err)
	}
	_, err = run.Wait(ctx)
	fmt.Println(errors.Join(err, engine.Close(ctx)))
	// Output:
	// watches: false
	// create order-42 running 2 <nil>
	// reserve
	// append order-42 running 2 <nil>
	// charge
	// append order-42 completed 2 <nil>
	// <nil>
}

// Claim is how engines share the runs of a store: each is given to one of them.
func ExampleClaimRequest() {
	ctx := context.Background()
	store := &durable.MemoryStore{}
	head := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Running, WakeAt: time.Now()}
	if err := store.Create(ctx, head, 0, nil); err != nil {
		log.Fatal(err)
	}
	for _, owner := range []string{"a", "b"} {
		heads, _, err := store.Claim(ctx, durable.ClaimRequest{Owner: owner, TTL: time.Minute, Limit: 10, Sagas: []string{"checkout"}})
		fmt.Println(owner, len(heads), err)
	}
	fmt.Println(errors.Is(store.Append(ctx, 1, head, 0, nil), durable.ErrConflict)) // Rev has changed
	// Output:
	// a 1 <nil>
	// b 0 <nil>
	// true
}

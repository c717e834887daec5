package durable_test

import (
	"context"
	"fmt"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A store hands a run that is due to one owner, and to another one when the lease
// is over.
func ExampleMemoryStore() {
	ctx := context.Background()
	mock := clock.NewMock()
	store := &durable.MemoryStore{Clock: mock}
	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Waiting, WakeAt: mock.Now()}
	if err := store.Create(ctx, run, 0, [][]byte{[]byte("created")}); err != nil {
		panic(err)
	}
	for _, owner := range []string{"a", "b"} {
		heads, next, err := store.Claim(ctx, durable.ClaimRequest{Owner: owner, TTL: 30 * time.Second, Limit: 1, Sagas: []string{"checkout"}})
		fmt.Println(owner, len(heads), next, err)
	}
	mock.Add(30 * time.Second)
	heads, _, err := store.Claim(ctx, durable.ClaimRequest{Owner: "b", TTL: -1, Limit: 1, Sagas: []string{"checkout"}})
	fmt.Println("b", len(heads), heads[0].Epoch, err)
	// Output:
	// a 1 30s <nil>
	// b 0 30s <nil>
	// b 1 3 <nil>
}

// A hint tells that Claim may have something, or may have another time to tell.
func ExampleMemoryStore_Watch() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	store := new(durable.MemoryStore)
	hints, err := store.Watch(ctx)
	if err != nil {
		panic(err)
	}
	err = store.Create(ctx, durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Waiting, WakeAt: time.Unix(0, 0)}, 0, nil)
	<-hints
	fmt.Println("there is work", err)
	// Output: there is work <nil>
}

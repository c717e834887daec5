package durable_test

import (
	"context"
	"fmt"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// due is the head of a run that is due.
func due(id string) durable.Head {
	return durable.Head{ID: id, Saga: "checkout", Status: saga.Running, WakeAt: time.Unix(1, 0)}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

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

// An ID stands for one run.
func ExampleMemoryStore_Create() {
	var store durable.MemoryStore
	fmt.Println(store.Create(context.Background(), due("order-42"), 0, nil))
	fmt.Println(store.Create(context.Background(), due("order-42"), 0, nil))
	// Output:
	// <nil>
	// durable: conflict
}

// Append is for who knows the present Rev.
func ExampleMemoryStore_Append() {
	ctx, store := context.Background(), &durable.MemoryStore{}
	must(store.Create(ctx, due("order-42"), 0, [][]byte{[]byte("created")}))
	fmt.Println(store.Append(ctx, 1, due("order-42"), 0, [][]byte{[]byte("started")}))
	fmt.Println(store.Append(ctx, 1, due("order-42"), 0, [][]byte{[]byte("started")}))
	// Output:
	// <nil>
	// durable: conflict
}

// Load gives the journal as it was written.
func ExampleMemoryStore_Load() {
	ctx, store := context.Background(), &durable.MemoryStore{}
	must(store.Create(ctx, due("order-42"), 0, [][]byte{[]byte("created")}))
	h, events, err := store.Load(ctx, "order-42")
	fmt.Println(h.Rev, string(events[0]), err)
	// Output: 1 created <nil>
}

// A run is claimed by one owner at a time.
func ExampleMemoryStore_Claim() {
	ctx, store := context.Background(), &durable.MemoryStore{}
	must(store.Create(ctx, due("order-42"), 0, nil))
	for _, owner := range []string{"first", "second"} {
		heads, _, err := store.Claim(ctx, durable.ClaimRequest{Owner: owner, TTL: time.Minute, Limit: 10, Sagas: []string{"checkout"}})
		fmt.Println(owner, len(heads), err)
	}
	// Output:
	// first 1 <nil>
	// second 0 <nil>
}

// List gives pages; the cursor of the last one is empty.
func ExampleMemoryStore_List() {
	ctx, store := context.Background(), &durable.MemoryStore{}
	for _, id := range []string{"a", "b", "c"} {
		must(store.Create(ctx, due(id), 0, nil))
	}
	q := durable.Query{Limit: 2}
	for {
		heads, cursor, err := store.List(ctx, q)
		must(err)
		for _, h := range heads {
			fmt.Print(h.ID, " ")
		}
		if q.Cursor = cursor; cursor == "" {
			break
		}
		fmt.Print("| ")
	}
	fmt.Println()
	// Output: a b | c
}

// Delete takes runs that have ended alone.
func ExampleMemoryStore_Delete() {
	ctx, store := context.Background(), &durable.MemoryStore{}
	must(store.Create(ctx, due("order-42"), 0, nil))
	fmt.Println(store.Delete(ctx, "order-42", 1))
	h := due("order-42")
	h.Status = saga.Completed
	must(store.Append(ctx, 1, h, 0, nil))
	fmt.Println(store.Delete(ctx, "order-42", 2))
	// Output:
	// durable: conflict
	// <nil>
}

package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// failing is a store with one run, on which the first call of a method fails.
func failing(method string) (*sagatest.FaultStore, durable.Head) {
	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Completed, WakeAt: time.Unix(1, 0)}
	store := &durable.MemoryStore{}
	if method != "Create" {
		_ = store.Create(context.Background(), run, 0, nil)
	}
	return &sagatest.FaultStore{Store: store, Before: func(op string, call int) error {
		if op == method && call == 1 {
			return errors.New("connection reset")
		}
		return nil
	}}, run
}

func last[A, B any](_ A, _ B, err error) error { return err }

// The first Create fails, the second does not.
func ExampleFaultStore_Create() {
	ctx := context.Background()
	store, run := failing("Create")
	fmt.Println(store.Create(ctx, run, 0, nil))
	fmt.Println(store.Create(ctx, run, 0, nil))
	// Output:
	// connection reset
	// <nil>
}

// The first Append fails, the second does not.
func ExampleFaultStore_Append() {
	ctx := context.Background()
	store, run := failing("Append")
	fmt.Println(store.Append(ctx, 1, run, 0, nil))
	fmt.Println(store.Append(ctx, 1, run, 0, nil))
	// Output:
	// connection reset
	// <nil>
}

// The first Load fails, the second does not.
func ExampleFaultStore_Load() {
	ctx := context.Background()
	store, _ := failing("Load")
	fmt.Println(last(store.Load(ctx, "order-42")))
	fmt.Println(last(store.Load(ctx, "order-42")))
	// Output:
	// connection reset
	// <nil>
}

// The first Claim fails, the second does not.
func ExampleFaultStore_Claim() {
	ctx := context.Background()
	store, _ := failing("Claim")
	fmt.Println(last(store.Claim(ctx, durable.ClaimRequest{Owner: "me", TTL: time.Minute, Limit: 1, Sagas: []string{"checkout"}})))
	fmt.Println(last(store.Claim(ctx, durable.ClaimRequest{Owner: "me", TTL: time.Minute, Limit: 1, Sagas: []string{"checkout"}})))
	// Output:
	// connection reset
	// <nil>
}

// The first List fails, the second does not.
func ExampleFaultStore_List() {
	ctx := context.Background()
	store, _ := failing("List")
	fmt.Println(last(store.List(ctx, durable.Query{})))
	fmt.Println(last(store.List(ctx, durable.Query{})))
	// Output:
	// connection reset
	// <nil>
}

// The first Delete fails, the second does not.
func ExampleFaultStore_Delete() {
	ctx := context.Background()
	store, _ := failing("Delete")
	fmt.Println(store.Delete(ctx, "order-42", 1))
	fmt.Println(store.Delete(ctx, "order-42", 1))
	// Output:
	// connection reset
	// <nil>
}

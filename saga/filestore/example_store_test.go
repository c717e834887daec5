package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A run is created once. These are calls that an engine makes; programs seldom do.
func ExampleStore_Create() {
	store, remove := tempStore()
	defer remove()
	ctx := context.Background()

	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Running, WakeAt: time.Now()}
	fmt.Println(store.Create(ctx, run, 0, [][]byte{[]byte("created")}))
	err := store.Create(ctx, run, 0, nil)
	fmt.Println(err, errors.Is(err, durable.ErrConflict))
	// Output:
	// <nil>
	// filestore: Create: durable: conflict true
}

// Only who knows the latest Rev can write.
func ExampleStore_Append() {
	store, remove := tempStore()
	defer remove()
	ctx := context.Background()

	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Running, WakeAt: time.Now()}
	fmt.Println(store.Create(ctx, run, 0, nil))
	fmt.Println(store.Append(ctx, 1, run, 0, [][]byte{[]byte("reserved")}))
	fmt.Println(store.Append(ctx, 1, run, 0, [][]byte{[]byte("charged")}))
	// Output:
	// <nil>
	// <nil>
	// filestore: Append: durable: conflict
}

// A run comes with its events, in order.
func ExampleStore_Load() {
	store, remove := tempStore()
	defer remove()
	ctx := context.Background()

	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Running, Step: "reserve"}
	err := store.Create(ctx, run, 0, [][]byte{[]byte("created")})
	run.Step = "charge"
	err = errors.Join(err, store.Append(ctx, 1, run, 0, [][]byte{[]byte("reserved"), []byte("charging")}))
	fmt.Println(err)

	head, events, err := store.Load(ctx, "order-42")
	fmt.Printf("at %s, rev %d: %s %v\n", head.Step, head.Rev, events, err)
	_, _, err = store.Load(ctx, "order-43")
	fmt.Println(errors.Is(err, durable.ErrNotFound))
	// Output:
	// <nil>
	// at charge, rev 2: [created reserved charging] <nil>
	// true
}

// Whoever executes runs claims those that are due. Nobody else gets them while the
// lease holds.
func ExampleStore_Claim() {
	store, remove := tempStore()
	defer remove()
	ctx := context.Background()

	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Waiting, WakeAt: time.Unix(1, 0)}
	fmt.Println(store.Create(ctx, run, 0, nil))
	for _, owner := range []string{"one", "two"} {
		heads, _, err := store.Claim(ctx, durable.ClaimRequest{
			Owner: owner, TTL: time.Minute, Limit: 10, Sagas: []string{"checkout"},
		})
		fmt.Println(owner, "gets", len(heads), err)
	}
	// Output:
	// <nil>
	// one gets 1 <nil>
	// two gets 0 <nil>
}

// Runs are listed page by page, in the order in which they were created.
func ExampleStore_List() {
	store, remove := tempStore()
	defer remove()
	ctx := context.Background()
	var err error
	for i := range 5 {
		run := durable.Head{ID: fmt.Sprintf("order-%d", i), Saga: "checkout", Status: saga.Stuck}
		err = errors.Join(err, store.Create(ctx, run, 0, nil))
	}
	fmt.Println(err)

	query := durable.Query{Status: []saga.Status{saga.Stuck}, Limit: 2}
	for {
		heads, cursor, err := store.List(ctx, query)
		for _, head := range heads {
			fmt.Print(head.ID, " ")
		}
		fmt.Println(err)
		if cursor == "" {
			break
		}
		query.Cursor = cursor
	}
	// Output:
	// <nil>
	// order-0 order-1 <nil>
	// order-2 order-3 <nil>
	// order-4 <nil>
}

// A run can be deleted when it has ended.
func ExampleStore_Delete() {
	store, remove := tempStore()
	defer remove()
	ctx := context.Background()

	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Running}
	fmt.Println(store.Create(ctx, run, 0, nil))
	fmt.Println(store.Delete(ctx, "order-42", 1))
	run.Status = saga.Completed
	fmt.Println(store.Append(ctx, 1, run, 0, nil))
	fmt.Println(store.Delete(ctx, "order-42", 2))
	// Output:
	// <nil>
	// filestore: Delete: durable: conflict
	// <nil>
	// <nil>
}

// Whoever waits for work need not ask again and again.
func ExampleStore_Watch() {
	store, remove := tempStore()
	defer remove()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	work, err := store.Watch(ctx)
	fmt.Println(err)
	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Running, WakeAt: time.Now()}
	fmt.Println(store.Create(ctx, run, 0, nil))
	<-work
	fmt.Println("there may be work")
	// Output:
	// <nil>
	// <nil>
	// there may be work
}

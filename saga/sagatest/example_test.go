package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// passes runs a test, without what it prints, and reports whether it passed. It
// stands in for the go command.
func passes(name string, test func(*testing.T)) bool {
	stdout := os.Stdout
	defer func() { os.Stdout = stdout }()
	os.Stdout = nil
	all := func(string, string) (bool, error) { return true, nil }
	return testing.RunTests(all, []testing.InternalTest{{Name: name, F: test}})
}

// A test of a store is one call. This one keeps nothing when it is opened again, and
// goes by a clock that the test moves, so that no lease has to be waited for.
func ExampleTestStore() {
	conforms := func(t *testing.T) {
		mock := clock.NewMock()
		sagatest.TestStore(t, sagatest.Harness{
			Open:     func(string) (durable.Store, error) { return &durable.MemoryStore{Clock: mock}, nil },
			Volatile: true,
			Advance:  mock.Add,
		})
	}
	fmt.Println(passes("TestStore", conforms))
	// Output: true
}

// The first Create is done, and the caller cannot know: a second one tells.
func ExampleFaultStore() {
	ctx := context.Background()
	store := &sagatest.FaultStore{
		Store: new(durable.MemoryStore),
		After: func(op string, call int) error {
			if op == "Create" && call == 1 {
				return errors.New("connection reset")
			}
			return nil
		},
	}
	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Waiting, WakeAt: time.Unix(0, 0)}
	fmt.Println(store.Create(ctx, run, 0, nil))
	fmt.Println(store.Create(ctx, run, 0, nil))
	// Output:
	// connection reset
	// durable: conflict
}

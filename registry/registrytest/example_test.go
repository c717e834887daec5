package registrytest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
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

// orders is an instance of the service "orders".
func orders(id string) registry.Instance {
	return registry.Instance{Service: "orders", ID: id, Addr: "10.0.0.7:8080"}
}

// The quick start: what one machine registers the other one sees.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cluster := registrytest.NewBackend(registrytest.BackendConfig{})
	here, there := registry.MustNew(registry.Config{}), registry.MustNew(registry.Config{})
	go func() { _ = here.Sync(ctx, "cluster", cluster, registry.SyncConfig{}) }()
	go func() { _ = there.Sync(ctx, "cluster", cluster.Machine(), registry.SyncConfig{}) }()

	if _, err := here.Register(ctx, orders("a")); err != nil {
		panic(err)
	}
	for u, err := range there.Service("orders").Watch(ctx) {
		if err != nil || u.Snapshot.Len() > 0 {
			fmt.Println(u.Snapshot.At(0).ID(), u.Snapshot.At(0).Origin(), err)
			break
		}
	}
	// Output: a cluster <nil>
}

// Without a Config.Clock a backend goes by system time, and so it does in a
// synctest bubble, where a TTL takes no time.
func ExampleNewBackend() {
	b := registrytest.NewBackend(registrytest.BackendConfig{})
	in := orders("a")
	in.TTL = 15 * time.Second
	fmt.Println(b.Put(context.Background(), registry.Record{Instance: in}))
	// Output: <nil>
}

// Remove leaves alone what another machine put.
func ExampleBackend_Machine() {
	ctx := context.Background()
	a := registrytest.NewBackend(registrytest.BackendConfig{})
	b := a.Machine()
	err := errors.Join(
		a.Put(ctx, registry.Record{Instance: orders("1")}),
		b.Put(ctx, registry.Record{Instance: orders("2")}),
		a.Remove(ctx, registry.Ref{Service: "orders", ID: "1"}),
		a.Remove(ctx, registry.Ref{Service: "orders", ID: "2"}),
	)
	print1(ctx, b)
	fmt.Println(err)
	// Output:
	// reset true put [2] remove []
	// <nil>
}

// print1 prints the first batch.
func print1(ctx context.Context, b registry.Backend) {
	ctx, stop := context.WithCancel(ctx)
	_ = b.Run(ctx, func(batch registry.Batch) error {
		stop()
		var ids []string
		for _, rec := range batch.Put {
			ids = append(ids, rec.Instance.ID)
		}
		fmt.Println("reset", batch.Reset, "put", ids, "remove", batch.Remove)
		return nil
	})
}

// What is there is the first batch.
func ExampleBackend_Run() {
	b := registrytest.NewBackend(registrytest.BackendConfig{})
	print1(context.Background(), b)
	// Output: reset true put [] remove []
}

// Put works whether Run does or not, as a machine that the test plays itself.
func ExampleBackend_Put() {
	b := registrytest.NewBackend(registrytest.BackendConfig{})
	fmt.Println(b.Put(context.Background(), registry.Record{Instance: orders("a"), Health: registry.Warning}))
	print1(context.Background(), b)
	// Output:
	// <nil>
	// reset true put [a] remove []
}

// What is not there is no error.
func ExampleBackend_Remove() {
	b := registrytest.NewBackend(registrytest.BackendConfig{})
	fmt.Println(b.Remove(context.Background(), registry.Ref{Service: "orders", ID: "a"}))
	// Output: <nil>
}

// A machine that is cut off fails; the others do not.
func ExampleBackend_Disconnect() {
	ctx := context.Background()
	a := registrytest.NewBackend(registrytest.BackendConfig{})
	b := a.Machine()
	a.Disconnect(errors.New("no route to host"))
	fmt.Println(a.Put(ctx, registry.Record{Instance: orders("a")}))
	fmt.Println(a.Run(ctx, func(registry.Batch) error { return nil }))
	fmt.Println(b.Put(ctx, registry.Record{Instance: orders("b")}))
	// Output:
	// no route to host
	// no route to host
	// <nil>
}

// After Reconnect all is well again.
func ExampleBackend_Reconnect() {
	ctx := context.Background()
	b := registrytest.NewBackend(registrytest.BackendConfig{})
	b.Disconnect(nil)
	fmt.Println(b.Put(ctx, registry.Record{Instance: orders("a")}))
	b.Reconnect()
	fmt.Println(b.Put(ctx, registry.Record{Instance: orders("a")}))
	// Output:
	// registrytest: disconnected
	// <nil>
}

// A test of an adapter is one call. Here the origin is in memory; the one of a
// real adapter is a server, to which each call of the function connects anew.
func ExampleTestBackend() {
	conforms := func(t *testing.T) {
		server := registrytest.NewBackend(registrytest.BackendConfig{})
		registrytest.TestBackend(t, func(*testing.T) registry.Backend { return server.Machine() })
	}
	fmt.Println(passes("TestAdapter", conforms))
	// Output: true
}

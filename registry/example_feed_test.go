package registry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

// show prints the instances of a service once there are as many.
func show(ctx context.Context, s *registry.Service, n int) {
	for u, err := range s.Watch(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if u.Snapshot.Len() != n {
			continue
		}
		for e := range u.Snapshot.All() {
			fmt.Printf("%s %s from %q\n", e.ID(), e.Health(), e.Origin())
		}
		return
	}
}

// A list that does not change is the simplest source.
func ExampleStatic() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	reg := registry.MustNew(registry.Config{})
	go func() {
		_ = reg.Feed(ctx, "config", registry.Static(
			registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"},
			registry.Instance{Service: "orders", ID: "b", Addr: "10.0.0.8:8080"},
		))
	}()
	show(ctx, reg.Service("orders"), 2)
	// Output:
	// a passing from "config"
	// b passing from "config"
}

// inventory is a source that asks somebody else for all instances.
type inventory func(ctx context.Context) ([]registry.Record, error)

// Run returns an error when it cannot ask: the instances stay, and Feed calls it
// again later.
func (ask inventory) Run(ctx context.Context, deliver func(registry.Batch) error) error {
	for {
		recs, err := ask(ctx)
		if err != nil {
			return err
		}
		_ = deliver(registry.Batch{Reset: true, Put: recs}) // Hooks.FeedState tells what is refused
		select {
		case <-time.After(30 * time.Second):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Feed takes what a source of one's own delivers. A Reset is the complete
// membership; what is unchanged in it stays untouched.
func ExampleRegistry_Feed() {
	ctx, stop := context.WithCancelCause(context.Background())
	reg := registry.MustNew(registry.Config{})
	ended := make(chan error)
	go func() {
		ended <- reg.Feed(ctx, "inventory", inventory(func(context.Context) ([]registry.Record, error) {
			a := registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}
			b := registry.Instance{Service: "orders", ID: "b", Addr: "10.0.0.8:8080"}
			return []registry.Record{{Instance: a}, {Instance: b, Health: registry.Draining}}, nil
		}))
	}()
	show(ctx, reg.Service("orders"), 2)
	stop(errors.New("shutting down"))
	fmt.Println(<-ended, reg.Stats().Instances)
	// Output:
	// a passing from "inventory"
	// b draining from "inventory"
	// shutting down 0
}

// Sync makes two processes know each other's instances. Here the backend is in
// memory.
func ExampleRegistry_Sync() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	cluster := registrytest.NewBackend(registrytest.BackendConfig{})
	here, there := registry.MustNew(registry.Config{}), registry.MustNew(registry.Config{})
	go func() { _ = here.Sync(ctx, "cluster", cluster, registry.SyncConfig{}) }()
	go func() { _ = there.Sync(ctx, "cluster", cluster.Machine(), registry.SyncConfig{}) }()

	a := registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}
	b := registry.Instance{Service: "orders", ID: "b", Addr: "10.0.0.8:8080"}
	_, err := here.Register(ctx, a)
	_, err2 := there.Register(ctx, b)
	fmt.Println(errors.Join(err, err2))
	show(ctx, here.Service("orders"), 2)
	show(ctx, there.Service("orders"), 2)
	// Output:
	// <nil>
	// a passing from ""
	// b passing from "cluster"
	// a passing from "cluster"
	// b passing from ""
}

// What a process knows can outlive it.
func ExampleRegistry_Export() {
	reg := registry.MustNew(registry.Config{})
	_, err := reg.Register(context.Background(), registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"})
	fmt.Println(err, reg.Export(os.Stdout))
	// Output:
	// {"version":1,"instances":[
	// {"service":"orders","id":"a","addr":"10.0.0.7:8080","weight":100,"health":"passing"}
	// ]}
	// <nil> <nil>
}

// A process that starts while its sources are away begins with what was known
// before, until something better is known, or for five minutes.
func ExampleRegistry_Import() {
	ctx := context.Background()
	file := strings.NewReader(`{"version":1,"instances":[
		{"service":"orders","id":"a","addr":"10.0.0.7:8080","weight":100,"health":"passing"},
		{"service":"orders","id":"b","addr":"nowhere","weight":100,"health":"passing"}
	]}`)
	reg := registry.MustNew(registry.Config{})
	n, err := reg.Import(ctx, file, 0)
	fmt.Println(n, err)
	show(ctx, reg.Service("orders"), 1)
	// Output:
	// 1 registry: import "orders" "b": Addr is "nowhere", want host:port or [v6]:port with a port from 1 to 65535
	// a passing from "import"
}

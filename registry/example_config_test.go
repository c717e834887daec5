package registry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A Config for a process that others call: leases of ten seconds, and time for
// the others to notice that an instance leaves.
func ExampleConfig() {
	reg := registry.MustNew(registry.Config{
		TTL:        10 * time.Second,
		DrainGrace: 3 * time.Second,
		MaxChecks:  16,
	})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(lease.Endpoint().Instance().TTL)
	// Output: 10s
}

// Authorize is where permissions are looked up, here by who is in the context.
func ExampleConfig_authorize() {
	type user struct{}
	reg := registry.MustNew(registry.Config{
		Authorize: func(ctx context.Context, op registry.Op, in registry.Instance) error {
			if op != registry.OpRegister && ctx.Value(user{}) != "operator" {
				return fmt.Errorf("only for operators: %s of %s", op, in.Service)
			}
			return nil
		},
	})
	ctx := context.Background()
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))

	fmt.Println(reg.Deregister(ctx, "orders", "a"))
	fmt.Println(reg.Deregister(context.WithValue(ctx, user{}, "operator"), "orders", "a"))
	// Output:
	// registry: deregister "orders" "a": only for operators: deregister of orders
	// <nil>
}

// An Op is in every error, to log or to count by.
func ExampleOp() {
	reg := registry.MustNew(registry.Config{})
	failed := make(map[registry.Op]int)
	count := func(err error) {
		if e := (*registry.Error)(nil); errors.As(err, &e) {
			failed[e.Op]++
		}
	}
	ctx := context.Background()
	count(reg.Deregister(ctx, "orders", "a"))
	count(reg.SetHealth(ctx, "orders", "a", registry.Down, ""))
	count(reg.Drain(ctx, "orders", "a"))
	fmt.Println(failed)
	// Output: map[deregister:1 drain:1 set health:1]
}

// An Error tells a program what a log line tells a human being.
func ExampleError() {
	reg := registry.MustNew(registry.Config{})
	_, err := reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7"})

	if e := (*registry.Error)(nil); errors.As(err, &e) {
		fmt.Println("refused:", e.Op, e.Service, e.Field)
	}
	fmt.Println(err)
	// Output:
	// refused: register orders Addr
	// registry: register "orders" "10.0.0.7": Addr is "10.0.0.7", want host:port or [v6]:port with a port from 1 to 65535
}

// Limits keep a client that has gone wrong from filling the memory.
func ExampleLimits() {
	reg := registry.MustNew(registry.Config{Limits: registry.Limits{Instances: 2}})
	for port := 8080; port < 8083; port++ {
		_, err := reg.Register(context.Background(), registry.Instance{
			Service: "orders", Addr: fmt.Sprint("10.0.0.7:", port),
		})
		fmt.Println(err)
	}
	// Output:
	// <nil>
	// <nil>
	// registry: register "orders": Limits.Instances is 2, which 3 would exceed
}

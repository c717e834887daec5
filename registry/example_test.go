package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// must keeps what is beside the point out of the examples; a program handles the
// error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The quick start: register under a lease, and see who else is there.
func Example() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	lease, err := reg.Register(ctx, registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8080", TTL: 10 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = lease.KeepAlive(ctx) }() // until the lease ends

	for e := range reg.Service("orders").Snapshot().All() {
		fmt.Println(e.Addr(), e.Health())
	}
	fmt.Println(lease.Drain(ctx), reg.Close(ctx)) // at shutdown
	// Output:
	// 10.0.0.7:8080 passing
	// <nil> <nil>
}

// The error names every bad field.
func ExampleNew() {
	_, err := registry.New(registry.Config{
		Preserve: registry.Preserve{MaxEvict: 15, Window: -time.Minute},
	})
	fmt.Println(err)

	reg, err := registry.New(registry.Config{}) // the zero Config is good
	fmt.Println(reg.Stats().Instances, err)
	// Output:
	// registry: New: Preserve.MaxEvict is 15, want a share of at most 1, or a negative number for no cap
	// Preserve.Window is -1m0s, want 0 or more
	// 0 <nil>
}

// A registry for a whole program is a package-level variable.
func ExampleMustNew() {
	reg := registry.MustNew(registry.Config{TTL: 10 * time.Second})
	fmt.Println(reg.Service("orders").Snapshot().Len())
	// Output: 0
}

// What is left out has a default: the ID is the address, the weight is 100.
func ExampleRegistry_Register() {
	reg := registry.MustNew(registry.Config{})
	lease, err := reg.Register(context.Background(), registry.Instance{
		Service: "orders",
		Addr:    "10.0.0.7:8080",
		Zone:    "eu-1",
		Tags:    []string{"canary"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	e := lease.Endpoint()
	fmt.Println(e.ID(), e.Weight(), e.Zone(), e.Health())
	// Output: 10.0.0.7:8080 100 eu-1 passing
}

// Who registers an ID again takes it over: there is one instance, and the earlier
// owner finds out.
func ExampleRegistry_Register_again() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	before := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	after := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.9:8080"}))

	fmt.Println(before.Deregister())
	fmt.Println(after.Endpoint().Addr(), reg.Stats().Instances)
	// Output:
	// registry: deregister "orders" "a": lease lost
	// 10.0.0.9:8080 1
}

// Several instances come together or not at all, and with IfAbsent only where
// nobody is yet.
func ExampleRegistry_RegisterWith() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	join := func(addrs ...string) error {
		var ins []registry.Instance
		for _, addr := range addrs {
			ins = append(ins, registry.Instance{Service: "orders", Addr: addr})
		}
		_, err := reg.RegisterWith(ctx, registry.RegisterConfig{IfAbsent: true}, ins...)
		return err
	}
	fmt.Println(join("10.0.0.7:8080", "10.0.0.8:8080"))
	err := join("10.0.0.8:8080", "10.0.0.9:8080")
	fmt.Println(errors.Is(err, registry.ErrExists), err)
	fmt.Println(reg.Stats().Instances)
	// Output:
	// <nil>
	// true registry: register "orders" "10.0.0.8:8080": already registered
	// 2
}

// An instance that is not ready yet can say so from its first moment on.
func ExampleRegisterConfig() {
	cfg := registry.RegisterConfig{Health: registry.Starting}
	reg := registry.MustNew(registry.Config{})
	leases, err := reg.RegisterWith(context.Background(), cfg,
		registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(leases[0].Endpoint().Health())
	err = leases[0].SetHealth(registry.Passing, "") // its cache is warm
	fmt.Println(leases[0].Endpoint().Health(), err)
	// Output:
	// starting
	// passing <nil>
}

// A handle is good before there is an instance, and after.
func ExampleRegistry_Service() {
	reg := registry.MustNew(registry.Config{})
	orders := reg.Service("orders")
	fmt.Println(orders.Snapshot().Len())
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(orders.Snapshot().Len(), lease.Deregister(), orders.Snapshot().Len())
	// Output:
	// 0
	// 1 <nil> 0
}

func ExampleRegistry_Services() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(ctx, registry.Instance{Service: "prices", Addr: "10.0.0.9:8080"}))
	must(reg.Register(ctx, registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(slices.Collect(reg.Services()))
	// Output: [orders prices]
}

// Deregister by hand is for what its owner will not take out any more.
func ExampleRegistry_Deregister() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))

	fmt.Println(reg.Deregister(ctx, "orders", "a"), lease.Err())
	err := reg.Deregister(ctx, "orders", "a")
	fmt.Println(errors.Is(err, registry.ErrNotFound), err)
	// Output:
	// <nil> registry: lease lost
	// true registry: deregister "orders" "a": no such instance
}

// Drain by hand: an operator takes an instance out once its calls are over.
func ExampleRegistry_Drain() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))

	fmt.Println(reg.Drain(ctx, "orders", "a"))
	<-lease.Done()
	fmt.Println(lease.Err(), reg.Stats().Instances)
	// Output:
	// <nil>
	// registry: lease lost 0
}

// What an operator says stays, also when the owner registers again.
func ExampleRegistry_SetHealth() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	a := registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}
	must(reg.Register(ctx, a))
	fmt.Println(reg.SetHealth(ctx, "orders", "a", registry.Down, "disk is being replaced"))

	e := must(reg.Register(ctx, a)).Endpoint()
	fmt.Println(e.Health(), e.HealthReason())

	fmt.Println(reg.SetHealth(ctx, "orders", "a", 0, "")) // takes it back
	fmt.Println(reg.Service("orders").Snapshot().At(0).Health())
	// Output:
	// <nil>
	// down disk is being replaced
	// <nil>
	// passing
}

// Numbers for metrics.
func ExampleRegistry_Stats() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(ctx, registry.Instance{Service: "orders", Addr: "10.0.0.7:8080", TTL: time.Minute}))
	must(reg.Register(ctx, registry.Instance{Service: "orders", Addr: "10.0.0.8:8080"}))
	must(reg.Register(ctx, registry.Instance{Service: "prices", Addr: "10.0.0.9:8080"}))
	s := reg.Stats()
	fmt.Println(s.Services, "services,", s.Instances, "instances,", s.Leases, "with a TTL")
	// Output: 2 services, 3 instances, 1 with a TTL
}

// Stats fit what publishes variables, such as package expvar.
func ExampleStats() {
	held := func(s registry.Stats) float64 { // to alert on
		return float64(s.Held) / max(1, float64(s.Leases))
	}
	fmt.Println(held(registry.Stats{Leases: 20, Held: 5}))
	// Output: 0.25
}

// Close comes last: it ends leases, checks, watches and feeds, and waits for
// them.
func ExampleRegistry_Close() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))

	fmt.Println(reg.Close(ctx))
	fmt.Println(lease.Err())
	_, err := reg.Register(ctx, registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"})
	fmt.Println(errors.Is(err, registry.ErrClosed))
	// Output:
	// <nil>
	// registry: closed
	// true
}

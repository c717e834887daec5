package registry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A process joins, serves, and leaves without harm to the calls under way.
func Example_gracefulShutdown() {
	ctx, stop := context.WithCancel(context.Background()) // in a program: signal.NotifyContext
	defer stop()
	reg := registry.MustNew(registry.Config{})
	lease, err := reg.Register(ctx, registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8080", TTL: 10 * time.Second,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	kept := make(chan error)
	go func() { kept <- lease.KeepAlive(context.Background()) }() // until the drain is over

	lb := balance.MustNew(reg.Service("orders"), balance.Config{})
	call, err := lb.Pick(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() {
		<-ctx.Done()
		fmt.Println("the last call ends")
		call.Done(nil)
	}()

	stop() // the signal comes

	patience, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	fmt.Println("drained:", lease.Drain(patience)) // new calls go elsewhere
	fmt.Println("kept alive:", <-kept)
	// here http.Server.Shutdown
	fmt.Println("closed:", reg.Close(patience))
	// Output:
	// the last call ends
	// drained: <nil>
	// kept alive: <nil>
	// closed: <nil>
}

// The owner of a lease has one goroutine that keeps it alive, and looks what the
// end of that means.
func ExampleLease_KeepAlive() {
	ctx, stop := context.WithCancelCause(context.Background())
	reg := registry.MustNew(registry.Config{TTL: 10 * time.Second})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))

	stop(errors.New("shutting down"))
	switch err := lease.KeepAlive(ctx); {
	case err == nil:
		fmt.Println("deregistered or drained")
	case errors.Is(err, registry.ErrLeaseLost):
		fmt.Println("somebody else is", lease.Endpoint().ID())
	default:
		fmt.Println(err) // the lease goes on until its TTL is over
	}
	fmt.Println(lease.Drain(context.Background()))
	// Output:
	// shutting down
	// <nil>
}

// Renew is for owners with a beat of their own. Whoever comes too late is told.
func ExampleLease_Renew() {
	mock := clock.NewMock() // nil in a program: system time
	reg := registry.MustNew(registry.Config{Clock: mock})
	lease := must(reg.Register(context.Background(), registry.Instance{
		Service: "orders", ID: "a", Addr: "10.0.0.7:8080", TTL: 10 * time.Second,
	}))
	mock.Add(9 * time.Second)
	fmt.Println(lease.Renew()) // good for another ten seconds
	mock.Add(10 * time.Second)
	fmt.Println(lease.Renew())
	// Output:
	// <nil>
	// registry: renew "orders" "a": lease lost
}

// Drain takes no new calls, waits for those under way, and takes the instance
// out, at the latest when the context ends.
func ExampleLease_Drain() {
	ctx, giveUp := context.WithCancelCause(context.Background()) // in a program: context.WithTimeout
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	lease.Endpoint().Live().Acquire(registry.Warning) // a call that never ends

	go func() {
		until(ctx, reg.Service("orders"), registry.Draining)
		giveUp(errors.New("no more patience"))
	}()
	fmt.Println(lease.Drain(ctx))
	fmt.Println(reg.Stats().Instances) // it has left all the same
	// Output:
	// registry: drain "orders" "a": no more patience
	// 0
}

func ExampleLease_Deregister() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(lease.Deregister(), reg.Stats().Instances)
	fmt.Println(lease.Err()) // that was its owner's wish
	// Output:
	// <nil> 0
	// <nil>
}

// Done tells an owner to stop acting as one, Err tells why.
func ExampleLease_Done() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	a := registry.Instance{Service: "leader", ID: "only", Addr: "10.0.0.7:8080"}
	lease := must(reg.Register(ctx, a))

	a.Addr = "10.0.0.8:8080"
	must(reg.Register(ctx, a)) // another one takes over

	select {
	case <-lease.Done():
		fmt.Println(lease.Err())
	default:
		fmt.Println("still leading")
	}
	// Output: registry: lease lost
}

// Err is nil while the lease lives.
func ExampleLease_Err() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	fmt.Println(lease.Err())
	fmt.Println(reg.Deregister(ctx, "orders", "a")) // by an operator
	fmt.Println(errors.Is(lease.Err(), registry.ErrLeaseLost))
	// Output:
	// <nil>
	// <nil>
	// true
}

// The owner sees its instance as others do.
func ExampleLease_Endpoint() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	fmt.Println(lease.Endpoint().Health())
	err := reg.SetHealth(ctx, "orders", "a", registry.Down, "stocktaking")
	fmt.Println(lease.Endpoint().Health(), lease.Endpoint().HealthReason(), err)
	// Output:
	// passing
	// down stocktaking <nil>
}

// The owner knows best when it had better be left alone.
func ExampleLease_SetHealth() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))

	err := lease.SetHealth(registry.Critical, "queue is full")
	fmt.Println(lease.Endpoint().Health(), lease.Endpoint().Health().Usable(), err)
	err = lease.SetHealth(0, "") // takes it back
	fmt.Println(lease.Endpoint().Health(), lease.Endpoint().Health().Usable(), err)
	// Output:
	// critical false <nil>
	// passing true <nil>
}

// Update changes what is registered: copy, change, update.
func ExampleLease_Update() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{
		Service: "orders", Addr: "10.0.0.7:8080", Meta: map[string]string{"build": "41"},
	}))
	in := lease.Endpoint().Instance()
	in.Weight = 10
	fmt.Println(lease.Update(in))

	e := lease.Endpoint()
	build, _ := e.Meta("build")
	fmt.Println(e.Weight(), build)
	// Output:
	// <nil>
	// 10 41
}

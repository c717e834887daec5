package registry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// until returns the only instance of a service once it is as wanted.
func until(ctx context.Context, s *registry.Service, want registry.Health) *registry.Endpoint {
	for u, err := range s.Watch(ctx) {
		if err != nil {
			panic(err)
		}
		for e := range u.Snapshot.All() {
			if e.Health() == want {
				return e
			}
		}
	}
	return nil
}

// A check of one's own. Package registryhttp has those for HTTP and TCP.
func ExampleCheck() {
	ctx := context.Background()
	ping := func(_ context.Context, in registry.Instance) error {
		if in.Addr == "10.0.0.8:6379" {
			return errors.New("connection refused")
		}
		return nil
	}
	reg := registry.MustNew(registry.Config{})
	for service, addr := range map[string]string{"cache": "10.0.0.7:6379", "queue": "10.0.0.8:6379"} {
		must(reg.Register(ctx, registry.Instance{
			Service: service, Addr: addr,
			Check: registry.Check{Func: ping, Interval: 5 * time.Second, FailuresBeforeCritical: 1},
		}))
	}
	fmt.Println(until(ctx, reg.Service("cache"), registry.Passing).Health())
	bad := until(ctx, reg.Service("queue"), registry.Critical)
	fmt.Println(bad.Health(), "-", bad.HealthReason())
	fmt.Println(reg.Close(ctx)) // ends the checks
	// Output:
	// passing
	// critical - connection refused
	// <nil>
}

// An instance with a check is not used before the first run of it has passed.
func ExampleCheck_starting() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{
		Service: "cache", Addr: "10.0.0.7:6379",
		Check: registry.Check{
			Func:         func(context.Context, registry.Instance) error { return nil },
			InitialDelay: time.Minute, // it takes long to start
		},
	}))
	e := lease.Endpoint()
	fmt.Println(e.Health(), e.HealthReason(), e.Health().Usable())
	fmt.Println(reg.Close(context.Background()))
	// Output:
	// starting not checked yet false
	// <nil>
}

// A remark is no failure.
func ExampleWarn() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(ctx, registry.Instance{
		Service: "db", Addr: "10.0.0.7:5432",
		Check: registry.Check{Func: func(context.Context, registry.Instance) error {
			used := 0.93 // of the disk
			if used > 0.9 {
				return registry.Warn(fmt.Errorf("disk is %.0f%% full", 100*used))
			}
			return nil
		}},
	}))
	e := until(ctx, reg.Service("db"), registry.Warning)
	fmt.Println(e.Health(), "-", e.HealthReason(), e.Health().Usable())
	fmt.Println(reg.Close(ctx))
	// Output:
	// warning - disk is 93% full true
	// <nil>
}

func ExampleHealth_Usable() {
	for h := registry.Passing; h <= registry.Down; h++ {
		if h.Usable() {
			fmt.Println(h)
		}
	}
	// Output:
	// passing
	// warning
}

// Health is ordered: the worst that anybody says counts.
func ExampleHealth() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	err := errors.Join(
		lease.SetHealth(registry.Warning, "queue is long"),                                // the owner
		reg.SetHealth(ctx, "orders", "a", registry.Draining, "machine is to be rebooted"), // an operator
	)
	fmt.Println(lease.Endpoint().Health(), lease.Endpoint().Health() > registry.Warning, err)
	// Output: draining true <nil>
}

// What chooses endpoints without package balance counts its calls as well, so
// that nobody leaves while one is under way.
func ExampleLive() {
	tracked := func(l *registry.Live, call func() error) error {
		if !l.Acquire(registry.Warning) {
			return errors.New("not fit for calls")
		}
		defer l.Release()
		return call()
	}
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(tracked(lease.Endpoint().Live(), func() error { return nil }))
	fmt.Println(lease.SetHealth(registry.Critical, "queue is full"))
	fmt.Println(tracked(lease.Endpoint().Live(), func() error { return nil }))
	// Output:
	// <nil>
	// <nil>
	// not fit for calls
}

// Acquire is given the worst health that will do.
func ExampleLive_Acquire() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(lease.SetHealth(registry.Critical, "queue is full"))
	live := lease.Endpoint().Live()
	fmt.Println(live.Acquire(registry.Warning))
	fmt.Println(live.Acquire(registry.Critical)) // in need
	live.Release()
	// Output:
	// <nil>
	// false
	// true
}

// A drain goes on when the last call is released.
func ExampleLive_Release() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	live := lease.Endpoint().Live()
	fmt.Println(live.Acquire(registry.Warning))
	go func() {
		until(ctx, reg.Service("orders"), registry.Draining)
		fmt.Println("the call is over")
		live.Release()
	}()
	fmt.Println(lease.Drain(ctx))
	// Output:
	// true
	// the call is over
	// <nil>
}

// A handle that is dropped without being closed must not keep its instance from
// leaving for ever.
func ExampleLive_Abandon() {
	type conn struct {
		live    *registry.Live
		cleanup runtime.Cleanup
	}
	open := func(e *registry.Endpoint) *conn {
		if !e.Live().Acquire(registry.Warning) {
			return nil
		}
		c := &conn{live: e.Live()}
		c.cleanup = runtime.AddCleanup(c, (*registry.Live).Abandon, c.live) // if it is never closed
		return c
	}
	shut := func(c *conn) {
		c.cleanup.Stop()
		c.live.Release()
		runtime.KeepAlive(c) // so that the cleanup did not run before
	}
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	c := open(lease.Endpoint())
	fmt.Println(lease.Endpoint().InFlight())
	shut(c)
	fmt.Println(lease.Endpoint().InFlight())
	// Output:
	// 1
	// 0
}

// The health of a record is as of its snapshot, that of Live is as of now.
func ExampleLive_Health() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	e := lease.Endpoint()
	fmt.Println(lease.Deregister())
	fmt.Println(e.Health(), e.Live().Health())
	// Output:
	// <nil>
	// passing down
}

func ExampleLive_InFlight() {
	reg := registry.MustNew(registry.Config{})
	live := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"})).Endpoint().Live()
	fmt.Println(live.Acquire(registry.Warning), live.InFlight())
	live.Release()
	fmt.Println(live.InFlight())
	// Output:
	// true 1
	// 0
}

// Picks never goes down, so it fits a metric that is a counter.
func ExampleLive_Picks() {
	reg := registry.MustNew(registry.Config{})
	live := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"})).Endpoint().Live()
	for range 2 {
		if live.Acquire(registry.Warning) {
			live.Release()
		}
	}
	fmt.Println(live.Picks(), live.InFlight())
	// Output: 2 0
}

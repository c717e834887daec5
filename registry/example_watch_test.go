package registry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/registry"
)

// A watch keeps something in step with a service: here a set of addresses. Each
// update is what has changed since the one before.
func ExampleService_Watch() {
	ctx, stop := context.WithCancelCause(context.Background())
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	meanwhile := []func(){ // what others do while the loop is at work
		func() { must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "b", Addr: "10.0.0.8:8080"})) },
		func() { _ = lease.SetHealth(registry.Warning, "replica is 3s behind") },
		func() { _ = lease.Deregister() },
		func() { stop(errors.New("shutting down")) },
	}
	for u, err := range reg.Service("orders").Watch(ctx) {
		if err != nil {
			fmt.Println("end:", err)
			break
		}
		for _, e := range u.Added {
			fmt.Println("connect to", e.Addr())
		}
		for _, e := range u.Changed {
			fmt.Println(e.Addr(), "is", e.Health())
		}
		for _, r := range u.Removed {
			fmt.Println("disconnect from", r.Endpoint.Addr(), "-", r.Reason)
		}
		meanwhile[0]()
		meanwhile = meanwhile[1:]
	}
	// Output:
	// connect to 10.0.0.7:8080
	// connect to 10.0.0.8:8080
	// 10.0.0.7:8080 is warning
	// disconnect from 10.0.0.7:8080 - deregistered
	// end: shutting down
}

// At startup: wait until there is an instance to call.
func ExampleService_Watch_untilUsable() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	reg := registry.MustNew(registry.Config{})
	go func() {
		must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	}()
	usable := func() error {
		for u, err := range reg.Service("orders").Watch(ctx) {
			if err != nil {
				return err
			}
			for e := range u.Snapshot.All() {
				if e.Health().Usable() {
					return nil
				}
			}
		}
		return nil
	}
	fmt.Println(usable())
	// Output: <nil>
}

// An update that is applied to a copy of the state before gives the state now.
func ExampleUpdate() {
	apply := func(state map[string]string, u registry.Update) {
		for _, e := range append(u.Added, u.Changed...) {
			state[e.ID()] = e.Addr()
		}
		for _, r := range u.Removed {
			delete(state, r.Endpoint.ID())
		}
	}
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	state := make(map[string]string)
	for u, err := range reg.Service("orders").Watch(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		apply(state, u)
		if !u.Reset {
			break
		}
		// While the loop body is at work changes add up.
		must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.9:8080"}))
		must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "b", Addr: "10.0.0.8:8080"}))
	}
	fmt.Println(state)
	// Output: map[a:10.0.0.9:8080 b:10.0.0.8:8080]
}

// Why an instance left decides what to do about it.
func ExampleRemoval() {
	report := func(r registry.Removal) {
		switch r.Reason {
		case registry.ReasonDeregistered, registry.ReasonDrained, registry.ReasonWithdrawn:
			fmt.Println(r.Endpoint.ID(), "left as it should")
		default:
			fmt.Println(r.Endpoint.ID(), "was lost:", r.Reason)
		}
	}
	ctx := context.Background()
	mock := clock.NewMock() // nil in a program: system time
	reg := registry.MustNew(registry.Config{Clock: mock})
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080", TTL: 10 * time.Second}))
	for u, err := range reg.Service("orders").Watch(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, r := range u.Removed {
			report(r)
		}
		if u.Snapshot.Len() == 0 {
			break
		}
		mock.Add(10 * time.Second)
	}
	// Output: a was lost: expired
}

// Wait is for long polls: the answer comes at once if the caller is behind, else
// with the next change.
func ExampleService_Wait() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	reg := registry.MustNew(registry.Config{})
	orders := reg.Service("orders")
	seen := orders.Snapshot().Index()
	go func() {
		must(reg.Register(ctx, registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	}()
	snap, err := orders.Wait(ctx, seen)
	if err != nil {
		fmt.Println(err) // after 30s without a change
		return
	}
	fmt.Println(snap.Len(), snap.Index() > seen)
	// Output: 1 true
}

func ExampleService_Snapshot() {
	reg := registry.MustNew(registry.Config{})
	_, err := reg.RegisterWith(context.Background(), registry.RegisterConfig{},
		registry.Instance{Service: "orders", Addr: "10.0.0.8:8080"},
		registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"},
	)
	fmt.Println(err)
	for e := range reg.Service("orders").Snapshot().All() {
		fmt.Println(e.Addr(), e.Health())
	}
	// Output:
	// <nil>
	// 10.0.0.7:8080 passing
	// 10.0.0.8:8080 passing
}

// A snapshot is a picture: it does not change, and a new one costs next to
// nothing.
func ExampleSnapshot() {
	reg := registry.MustNew(registry.Config{})
	lease := must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	size := func(s *registry.Snapshot) int { return s.Len() }
	before := reg.Service("orders").Snapshot()
	fmt.Println(lease.Deregister())
	fmt.Println(size(before), size(reg.Service("orders").Snapshot()))
	// Output:
	// <nil>
	// 1 0
}

func ExampleService_Get() {
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(context.Background(), registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	if e, ok := reg.Service("orders").Get("a"); ok {
		fmt.Println(e.Addr())
	}
	_, ok := reg.Service("orders").Get("b")
	fmt.Println(ok)
	// Output:
	// 10.0.0.7:8080
	// false
}

func ExampleService_Name() {
	reg := registry.MustNew(registry.Config{})
	fmt.Println(reg.Service("orders").Name())
	// Output: orders
}

// Who works for a service goes by the clock of its registry.
func ExampleService_Clock() {
	mock := clock.NewMock()
	reg := registry.MustNew(registry.Config{Clock: mock})
	now := time.Now
	if c := reg.Service("orders").Clock(); c != nil { // nil: system time
		now = c.Now
	}
	fmt.Println(now().UTC().Format(time.DateTime))
	// Output: 1970-01-01 00:00:00
}

// A handle tells whether it is worth to go on.
func ExampleService_Err() {
	reg := registry.MustNew(registry.Config{})
	orders := reg.Service("orders")
	fmt.Println(orders.Err())
	fmt.Println(reg.Close(context.Background()), orders.Err())
	// Output:
	// <nil>
	// <nil> registry: closed
}

// The index is what a cache of something that was made of a snapshot goes by.
func ExampleSnapshot_Index() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	orders := reg.Service("orders")
	lease := must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080", TTL: time.Minute}))
	made := orders.Snapshot().Index()

	fmt.Println(lease.Renew(), orders.Snapshot().Index() == made) // nothing to be seen of that
	err := lease.SetHealth(registry.Warning, "replica is 3s behind")
	fmt.Println(err, orders.Snapshot().Index() == made)
	// Output:
	// <nil> true
	// <nil> false
}

func ExampleSnapshot_Len() {
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(context.Background(), registry.Instance{Service: "orders", Addr: "10.0.0.7:8080"}))
	fmt.Println(reg.Service("orders").Snapshot().Len(), reg.Service("prices").Snapshot().Len())
	// Output: 1 0
}

// With At and Len a choice of one's own needs no loop.
func ExampleSnapshot_At() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "b", Addr: "10.0.0.8:8080"}))
	snap := reg.Service("orders").Snapshot()
	for call := range 3 {
		fmt.Println(snap.At(call % snap.Len()).ID())
	}
	// Output:
	// a
	// b
	// a
}

// All is in order of ID.
func ExampleSnapshot_All() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "b", Addr: "10.0.0.8:8080"}))
	must(reg.Register(ctx, registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}))
	for e := range reg.Service("orders").Snapshot().All() {
		fmt.Println(e.ID(), e.Addr())
	}
	// Output:
	// a 10.0.0.7:8080
	// b 10.0.0.8:8080
}

// Of one snapshot several answers fit together.
func ExampleSnapshot_Get() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	must(reg.Register(ctx, registry.Instance{Service: "db", ID: "primary", Addr: "10.0.0.1:5432"}))
	must(reg.Register(ctx, registry.Instance{Service: "db", ID: "replica", Addr: "10.0.0.2:5432"}))
	snap := reg.Service("db").Snapshot()
	e, ok := snap.Get("replica")
	if !ok {
		e, ok = snap.Get("primary")
	}
	if ok {
		fmt.Println(e.Addr())
	}
	// Output: 10.0.0.2:5432
}

// Disconnected is worth a remark where states are shown: the list may be out of
// date, but it is all there is.
func ExampleSnapshot_Disconnected() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	reg := registry.MustNew(registry.Config{})
	news := make(chan registry.Batch)
	go func() { _ = reg.Feed(ctx, "inventory", stream(news)) }()
	news <- registry.Batch{Reset: true, Put: []registry.Record{
		{Instance: registry.Instance{Service: "orders", ID: "a", Addr: "10.0.0.7:8080"}},
	}}
	close(news) // the connection breaks

	for u, err := range reg.Service("orders").Watch(ctx) {
		if err != nil || u.Snapshot.Disconnected() {
			fmt.Println(u.Snapshot.Len(), "instance, perhaps out of date", err)
			break
		}
	}
	// Output: 1 instance, perhaps out of date <nil>
}

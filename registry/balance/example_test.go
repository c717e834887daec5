package balance_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// prices is a registry with instances of the service "prices" at some addresses,
// which are their IDs as well.
func prices(addrs ...string) *registry.Registry {
	reg := registry.MustNew(registry.Config{})
	join(reg, addrs...)
	return reg
}

// join registers more of them.
func join(reg *registry.Registry, addrs ...string) {
	for _, addr := range addrs {
		_, err := reg.Register(context.Background(), registry.Instance{Service: "prices", Addr: addr})
		if err != nil {
			log.Fatal(err)
		}
	}
}

// constant makes what is drawn at random the same with every run.
func constant() uint64 { return 0 }

// The quick start: a call goes to one of the instances, and to another one if it
// fails.
func Example() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	_, err := reg.RegisterWith(ctx, registry.RegisterConfig{},
		registry.Instance{Service: "prices", Addr: "10.0.0.7:8080"},
		registry.Instance{Service: "prices", Addr: "10.0.0.8:8080"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	lb := balance.MustNew(reg.Service("prices"), balance.Config{Outlier: &balance.Outlier{}})

	price, err := balance.Do(ctx, lb, func(_ context.Context, e *registry.Endpoint) (int, error) {
		if e.Addr() == "10.0.0.7:8080" {
			return 0, errors.New("connection refused")
		}
		return 42, nil
	})
	fmt.Println(price, err)
	// Output: 42 <nil>
}

// The service need not have an instance yet.
func ExampleNew() {
	reg := registry.MustNew(registry.Config{})
	_, err := balance.New(reg.Service("prices"), balance.Config{SpillBelow: 70, PanicThreshold: 50})
	fmt.Println(err)

	lb, err := balance.New(reg.Service("prices"), balance.Config{}) // the zero Config is good
	fmt.Println(lb.Stats().Members, err)
	// Output:
	// balance: New: SpillBelow is 70, want a share of at most 1, or a negative number
	// PanicThreshold is 50, want a share of at most 1, or a negative number
	// 0 <nil>
}

// A balancer is made once, for as long as the program runs.
func ExampleMustNew() {
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{})
	fmt.Println(lb.Stats().Usable)
	// Output: 2
}

// Calls stay in the zone of the caller while enough of it works, go to few
// instances of many, and spare those that have only just come.
func ExampleConfig() {
	reg := registry.MustNew(registry.Config{})
	for addr, zone := range map[string]string{"a:80": "eu-1", "b:80": "eu-1", "c:80": "us-1"} {
		_, err := reg.Register(context.Background(), registry.Instance{Service: "prices", Addr: addr, Zone: zone})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy:     balance.PeakEWMA{},
		Zone:       "eu-1",
		SubsetSize: 20,
		SubsetKey:  "shop-3", // the name of this client
		SlowStart:  30 * time.Second,
	})
	zones := make(map[string]bool)
	for range 100 {
		e, err := lb.Next(balance.Query{})
		if err != nil {
			fmt.Println(err)
			return
		}
		zones[e.Zone()] = true
	}
	fmt.Println(zones)
	// Output: map[eu-1:true]
}

// Filter makes a balancer for some of the instances.
func ExampleConfig_filter() {
	reg := registry.MustNew(registry.Config{})
	for addr, version := range map[string]string{"a:80": "1", "b:80": "2"} {
		_, err := reg.Register(context.Background(), registry.Instance{Service: "prices", Addr: addr, Version: version})
		if err != nil {
			fmt.Println(err)
			return
		}
	}
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Filter: func(e *registry.Endpoint) bool { return e.Version() == "2" },
	})
	e, err := lb.Next(balance.Query{})
	fmt.Println(e.Addr(), err)
	// Output: b:80 <nil>
}

// Pick is for calls that do not fit a function: the pick lasts as long as the use
// of the endpoint does.
func ExampleBalancer_Pick() {
	lb := balance.MustNew(prices("a:80").Service("prices"), balance.Config{})
	pick, err := lb.Pick(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("calling", pick.Endpoint().Addr())
	err = errors.New("connection refused") // what came of it
	pick.Done(err)
	for m := range lb.Members() {
		fmt.Println(m.Endpoint.Addr(), "failed", m.Failures, "times")
	}
	// Output:
	// calling a:80
	// a:80 failed 1 times
}

// Without an instance there is nothing to wait for: fall back, or answer 503.
func ExampleBalancer_Pick_none() {
	reg := registry.MustNew(registry.Config{})
	lb := balance.MustNew(reg.Service("prices"), balance.Config{})
	_, err := lb.Pick(context.Background())
	fmt.Println(errors.Is(err, balance.ErrNoInstances), err)
	// Output: true balance: pick "prices": no instance available
}

// All calls of a user go to one instance, whose cache knows him.
func ExampleBalancer_PickWith() {
	lb := balance.MustNew(prices("a:80", "b:80", "c:80").Service("prices"), balance.Config{Policy: balance.ConsistentHash{}})
	for _, user := range []string{"ann", "bob", "ann"} {
		pick, err := lb.PickWith(context.Background(), balance.Query{Key: balance.HashKey(user)})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(user, pick.Endpoint().Addr())
		pick.Done(nil)
	}
	// Output:
	// ann b:80
	// bob a:80
	// ann b:80
}

// Next is for those who only want an address, and report nothing.
func ExampleBalancer_Next() {
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{Policy: balance.RoundRobin{}})
	for range 3 {
		e, err := lb.Next(balance.Query{})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(e.Addr())
	}
	// Output:
	// a:80
	// b:80
	// a:80
}

// How the endpoints look from here, for a page of states.
func ExampleBalancer_Members() {
	ctx := context.Background()
	reg := prices("a:80", "b:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{})
	fmt.Println(reg.SetHealth(ctx, "prices", "b:80", registry.Critical, "disk is full"))

	line := func(m balance.Member) string {
		return fmt.Sprintln(m.Endpoint.Addr(), m.Endpoint.Health(), "usable:", m.Usable, "ejected:", m.Ejected)
	}
	for m := range lb.Members() {
		fmt.Print(line(m))
	}
	// Output:
	// <nil>
	// a:80 passing usable: true ejected: false
	// b:80 critical usable: false ejected: false
}

// Numbers for metrics.
func ExampleBalancer_Stats() {
	line := func(s balance.Stats) string {
		return fmt.Sprintf("%d of %d usable, %d retries", s.Usable, s.Members, s.Retries)
	}
	ctx := context.Background()
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{})
	_, err := balance.Do(ctx, lb, func(context.Context, *registry.Endpoint) (int, error) {
		return 0, errors.New("connection refused")
	})
	fmt.Println(err)
	fmt.Println(line(lb.Stats()))
	// Output:
	// connection refused
	// 2 of 2 usable, 1 retries
}

// Tried grows with a loop of one's own over several endpoints.
func ExampleTried_Add() {
	lb := balance.MustNew(prices("a:80", "b:80", "c:80").Service("prices"), balance.Config{Policy: balance.RoundRobin{}})
	var tried balance.Tried
	for {
		e, err := lb.Next(balance.Query{Exclude: tried})
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println("asking", e.Addr())
		tried.Add(e)
	}
	// Output:
	// asking a:80
	// asking b:80
	// asking c:80
	// balance: pick "prices": no instance available
}

func ExampleTried_Has() {
	var tried balance.Tried
	for e := range prices("a:80", "b:80").Service("prices").Snapshot().All() {
		fmt.Println(e.Addr(), tried.Has(e))
		tried.Add(e)
		fmt.Println(e.Addr(), tried.Has(e))
	}
	// Output:
	// a:80 false
	// a:80 true
	// b:80 false
	// b:80 true
}

// A second opinion: the same question to another instance.
func ExampleQuery() {
	ctx := context.Background()
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{})
	first, err := lb.Pick(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer first.Done(nil)
	q := balance.Query{}
	q.Exclude.Add(first.Endpoint())
	second, err := lb.PickWith(ctx, q)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer second.Done(nil)
	fmt.Println(first.Endpoint() == second.Endpoint())
	// Output: false
}

func ExamplePick_Endpoint() {
	lb := balance.MustNew(prices("a:80").Service("prices"), balance.Config{})
	pick, err := lb.Pick(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pick.Done(nil)
	fmt.Println("http://" + pick.Endpoint().Addr() + "/prices/42")
	fmt.Println(balance.Pick{}.Endpoint() == nil)
	// Output:
	// http://a:80/prices/42
	// true
}

// Done on any copy ends the pick, and once is enough.
func ExamplePick_Done() {
	lb := balance.MustNew(prices("a:80").Service("prices"), balance.Config{})
	call := func() (err error) {
		pick, err := lb.Pick(context.Background())
		if err != nil {
			return err
		}
		defer func() { pick.Done(err) }() // not "defer pick.Done(err)", which takes err as it is now
		return errors.New("connection refused")
	}
	fmt.Println(call())
	for m := range lb.Members() {
		fmt.Println(m.Failures, m.Endpoint.InFlight())
	}
	// Output:
	// connection refused
	// 1 0
}

// The time to the first byte says more about an instance than how long the caller
// takes to read on.
func ExamplePick_DoneAfter() {
	lb := balance.MustNew(prices("a:80").Service("prices"), balance.Config{Policy: balance.PeakEWMA{}})
	pick, err := lb.Pick(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	pick.DoneAfter(nil, 30*time.Millisecond) // measured by the caller
	for m := range lb.Members() {
		fmt.Println(m.Latency.Round(time.Millisecond))
	}
	// Output: 30ms
}

// A pick that was for nothing says nothing about its endpoint.
func ExamplePick_Abandon() {
	mock := clock.NewMock()
	reg := registry.MustNew(registry.Config{Clock: mock})
	join(reg, "a:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{Policy: balance.PeakEWMA{}})
	pick, err := lb.Pick(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	mock.Add(time.Hour)
	pick.Abandon() // what a cleanup does with a response that nobody has closed
	for m := range lb.Members() {
		fmt.Println(m.Endpoint.InFlight(), m.Latency, m.Failures)
	}
	// Output: 0 0s 0
}

// An Error tells which service has nobody, and which gate was the last to
// refuse.
func ExampleError() {
	lb := balance.MustNew(prices("a:80").Service("prices"), balance.Config{
		Gate: func(*registry.Endpoint) balance.Gate {
			return balance.GateFunc(func(context.Context) (func(error), error) { return nil, errors.New("over the limit") })
		},
	})
	_, err := lb.Pick(context.Background())
	if e := (*balance.Error)(nil); errors.As(err, &e) {
		fmt.Println(e.Service, "-", e.Err)
	}
	fmt.Println(err)
	// Output:
	// prices - over the limit
	// balance: pick "prices": no instance available: over the limit
}

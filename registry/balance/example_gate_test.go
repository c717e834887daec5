package balance_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A circuit breaker for each instance: one that is open is passed over, and
// what comes of calls is what its breaker goes by.
func Example_breakerGate() {
	ctx := context.Background()
	reg := registry.MustNew(registry.Config{})
	_, err := reg.RegisterWith(ctx, registry.RegisterConfig{},
		registry.Instance{Service: "prices", Addr: "a:80"},
		registry.Instance{Service: "prices", Addr: "b:80"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	breakers := breaker.MustNewGroup(breaker.GroupConfig[string]{
		Config: breaker.Config{Trip: breaker.ConsecutiveFailures(3)},
	})
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: balance.RoundRobin{},
		Gate: func(e *registry.Endpoint) balance.Gate {
			return balance.GateFunc(func(ctx context.Context) (func(error), error) {
				permit, err := breakers.Get(e.Addr()).Allow(ctx)
				return permit.Done, err
			})
		},
	})
	asked := make(map[string]int)
	for range 20 {
		_, err := balance.Do(ctx, lb, func(_ context.Context, e *registry.Endpoint) (int, error) {
			asked[e.Addr()]++
			if e.Addr() == "a:80" {
				return 0, errors.New("connection refused")
			}
			return 42, nil
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(asked, breakers.Get("a:80").State())
	// Output: map[a:80:3 b:80:20] open
}

// A gate of one's own: at most one call at a time to each instance.
func ExampleGateFunc() {
	single := func(*registry.Endpoint) balance.Gate {
		var busy atomic.Bool
		return balance.GateFunc(func(context.Context) (func(error), error) {
			if !busy.CompareAndSwap(false, true) {
				return nil, errors.New("one call at a time")
			}
			return func(error) { busy.Store(false) }, nil
		})
	}
	lb := balance.MustNew(prices("a:80").Service("prices"), balance.Config{Gate: single})
	first, err := lb.Pick(context.Background())
	fmt.Println(first.Endpoint().Addr(), err)
	_, err = lb.Pick(context.Background())
	fmt.Println(err)
	first.Done(nil)
	again, err := lb.Pick(context.Background())
	fmt.Println(again.Endpoint().Addr(), err)
	again.Done(nil)
	// Output:
	// a:80 <nil>
	// balance: pick "prices": no instance available: one call at a time
	// a:80 <nil>
}

// A gate can be made of another one. Here each call is noted that it admits.
func ExampleGateFunc_Allow() {
	noting := func(addr string, g balance.Gate) balance.Gate {
		return balance.GateFunc(func(ctx context.Context) (func(error), error) {
			done, err := g.Allow(ctx)
			if err != nil {
				return nil, err
			}
			fmt.Println("to", addr)
			return done, nil
		})
	}
	open := balance.GateFunc(func(context.Context) (func(error), error) { return nil, nil }) // done may be nil
	lb := balance.MustNew(prices("a:80").Service("prices"), balance.Config{
		Gate: func(e *registry.Endpoint) balance.Gate { return noting(e.Addr(), open) },
	})
	pick, err := lb.Pick(context.Background())
	fmt.Println(err)
	pick.Done(nil)
	// Output:
	// to a:80
	// <nil>
}

// Not every endpoint needs a gate: nil is none.
func ExampleGate() {
	lb := balance.MustNew(prices("a:80").Service("prices"), balance.Config{
		Gate: func(e *registry.Endpoint) balance.Gate {
			if !e.HasTag("metered") {
				return nil
			}
			return balance.GateFunc(func(context.Context) (func(error), error) { return nil, errors.New("used up") })
		},
	})
	pick, err := lb.Pick(context.Background())
	fmt.Println(err)
	pick.Done(nil)
	// Output: <nil>
}

package balance_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A canary is a policy that gives every n-th call to the instances of a new
// version, and the others to the rest in turn.
type canary struct {
	version string
	every   uint64
}

// NewPicker sorts the candidates once, so that a pick is quick.
func (p canary) NewPicker(c balance.Candidates, old balance.Picker) balance.Picker {
	next := &canaryPicker{every: p.every}
	for i := range c.Len() {
		if c.At(i).Version() == p.version {
			next.fresh = append(next.fresh, i)
		} else {
			next.proven = append(next.proven, i)
		}
	}
	if o, ok := old.(*canaryPicker); ok {
		next.n.Store(o.n.Load()) // go on where the one before was
	}
	return next
}

type canaryPicker struct {
	fresh, proven []int
	every         uint64
	n             atomic.Uint64 // many goroutines pick at a time
}

// Pick moves on with every call, also within one pick, so that it does not insist
// on an endpoint that was turned down.
func (p *canaryPicker) Pick(balance.Query, int) int {
	n := p.n.Add(1)
	from := p.proven
	if n%p.every == 0 {
		from = p.fresh
	}
	if len(from) == 0 {
		return -1 // no answer: the balancer takes any of the candidates
	}
	return from[n%uint64(len(from))]
}

func Example_customPolicy() {
	reg := registry.MustNew(registry.Config{})
	_, err := reg.RegisterWith(context.Background(), registry.RegisterConfig{},
		registry.Instance{Service: "prices", Addr: "a:80", Version: "1.4.0"},
		registry.Instance{Service: "prices", Addr: "b:80", Version: "1.4.0"},
		registry.Instance{Service: "prices", Addr: "c:80", Version: "1.5.0"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: canary{version: "1.5.0", every: 10},
	})
	versions := make(map[string]int)
	for range 100 {
		e, err := lb.Next(balance.Query{})
		if err != nil {
			fmt.Println(err)
			return
		}
		versions[e.Version()]++
	}
	fmt.Println(versions)
	// Output: map[1.4.0:90 1.5.0:10]
}

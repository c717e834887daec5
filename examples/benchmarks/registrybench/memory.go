package registrybench

import (
	"github.com/go-kratos/kratos/v2/selector"
	"github.com/go-kratos/kratos/v2/selector/p2c"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// What one of many instances takes. Its address is there before and not counted.
var memoryRows = []bench.Memory{{
	Name: "One of 100,000 instances of a service, with a balancer",
	Note: "It has no metadata. The strings of the addresses exist before and are not counted. " +
		"Ours keeps the instance, its record, its lease and its counters; go-kit a function and two entries; kratos a node and its statistics.",
	N: 100_000,
	Ours: bench.MemoryCase{Name: "mainstay, LeastLoaded", Prepare: func(n int) func() any {
		ins := instances(fleet{n: n}, 0)
		return func() any {
			r := registry.MustNew(registry.Config{})
			got(r.RegisterWith(background, registry.RegisterConfig{}, ins...))
			lb := balance.MustNew(r.Service(service), balance.Config{})
			got(lb.Pick(background)).Done(nil)
			return []any{r, lb}
		}
	}},
	Others: []bench.MemoryCase{
		{Name: "go-kit Endpointer", Why: "It keeps an address and a function, neither metadata nor a lease nor counters.", Prepare: func(n int) func() any {
			addrs := fleet{n: n}.addrs()
			return func() any {
				e, _ := gokitEndpointer(echoes, addrs)
				return e
			}
		}},
		{Name: "kratos p2c", Prepare: func(n int) func() any {
			addrs := fleet{n: n}.addrs()
			return func() any {
				nodes := make([]selector.Node, n)
				for i, a := range addrs {
					nodes[i] = selector.NewNode("http", a, nil)
				}
				s := p2c.New()
				s.Apply(nodes)
				return s
			}
		}},
	},
}}

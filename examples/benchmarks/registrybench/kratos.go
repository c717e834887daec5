package registrybench

import (
	"strconv"

	kratos "github.com/go-kratos/kratos/v2/registry"
	"github.com/go-kratos/kratos/v2/selector"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

func kratosNodes(f fleet) []selector.Node {
	nodes := make([]selector.Node, f.n)
	for i := range nodes {
		in := &kratos.ServiceInstance{ID: addr(i), Name: service}
		if f.weight != nil {
			in.Metadata = map[string]string{"weight": strconv.Itoa(f.weight(i))}
		}
		nodes[i] = selector.NewNode("http", addr(i), in)
	}
	return nodes
}

// kratosSelect is a choice and its end.
func kratosSelect(b selector.Builder) maker {
	return func(f fleet) target {
		s := b.Build()
		s.Apply(kratosNodes(f))
		return target{
			loop: func(n int) (passed, failed int) {
				for range n {
					node, done, err := s.Select(background)
					if err != nil || node == nil {
						failed++
						continue
					}
					done(background, selector.DoneInfo{})
					passed++
				}
				return passed, failed
			},
			choose: kratosChoice(s),
		}
	}
}

// kratosChange applies a list with one instance more, and the one without.
func kratosChange(name string, b selector.Builder, n int) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		s := b.Build()
		more, less := kratosNodes(fleet{n: n + 1}), kratosNodes(fleet{n: n})
		return bench.Run{
			Loop: func(count int) (passed, failed int) {
				for range count {
					s.Apply(more)
					s.Apply(less)
				}
				return count, 0
			},
			Check: func(int) error { return fleet{n: n}.check(some, kratosChoice(s)) },
		}
	}}
}

func kratosChoice(s selector.Selector) func() (string, error) {
	return func() (string, error) {
		node, done, err := s.Select(background)
		if err != nil {
			return "", err
		}
		done(background, selector.DoneInfo{})
		return node.Address(), nil
	}
}

package balance_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A rule is a function as a policy.
type rule func(c balance.Candidates, old balance.Picker) balance.Picker

func (r rule) NewPicker(c balance.Candidates, old balance.Picker) balance.Picker { return r(c, old) }

// A choice is a function as a picker.
type choice func(q balance.Query, draw int) int

func (c choice) Pick(q balance.Query, draw int) int { return c(q, draw) }

// next prints which endpoints get the next calls.
func next(lb *balance.Balancer, calls int) {
	var addrs []string
	for range calls {
		e, err := lb.Next(balance.Query{})
		if err != nil {
			fmt.Println(err)
			return
		}
		addrs = append(addrs, e.Addr())
	}
	fmt.Println(strings.Join(addrs, " "))
}

// threeToOne is a registry with two instances, of which one can do three times as
// much.
func threeToOne() *registry.Registry {
	reg := registry.MustNew(registry.Config{})
	_, err := reg.RegisterWith(context.Background(), registry.RegisterConfig{},
		registry.Instance{Service: "prices", Addr: "big:80", Weight: 300},
		registry.Instance{Service: "prices", Addr: "small:80", Weight: 100},
	)
	if err != nil {
		fmt.Println(err)
	}
	return reg
}

func ExampleRoundRobin() {
	lb := balance.MustNew(prices("a:80", "b:80", "c:80").Service("prices"), balance.Config{Policy: balance.RoundRobin{}})
	next(lb, 6)
	// Output: a:80 b:80 c:80 a:80 b:80 c:80
}

func ExampleRandom() {
	reg := prices("a:80", "b:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: balance.Random{},
		Rand:   constant, // nil in a program
	})
	next(lb, 3)
	// Output: a:80 a:80 a:80
}

// Smooth is exact: the big instance gets three of four calls, never four in a
// row.
func ExampleWeighted() {
	lb := balance.MustNew(threeToOne().Service("prices"), balance.Config{Policy: balance.Weighted{Smooth: true}})
	next(lb, 8)
	// Output: big:80 small:80 big:80 big:80 big:80 small:80 big:80 big:80
}

// With negative Choices the least loaded of all gets the call.
func ExampleLeastLoaded() {
	ctx := context.Background()
	lb := balance.MustNew(prices("a:80", "b:80", "c:80").Service("prices"), balance.Config{
		Policy: balance.LeastLoaded{Choices: -1},
	})
	calls := make(map[string]int)
	for range 6 {
		pick, err := lb.Pick(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		calls[pick.Endpoint().Addr()]++ // none of them is ever done
	}
	fmt.Println(calls)
	// Output: map[a:80:2 b:80:2 c:80:2]
}

// Of two instances that have nothing to do the quicker one gets the call.
func ExamplePeakEWMA() {
	ctx := context.Background()
	mock := clock.NewMock() // nil in a program: system time
	reg := registry.MustNew(registry.Config{Clock: mock})
	join(reg, "near:80", "far:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{Policy: balance.PeakEWMA{}})
	took := map[string]time.Duration{"near:80": 5 * time.Millisecond, "far:80": 80 * time.Millisecond}

	var tried balance.Tried // each of them once, so that there is something to compare
	for range took {
		pick, err := lb.PickWith(ctx, balance.Query{Exclude: tried})
		if err != nil {
			fmt.Println(err)
			return
		}
		pick.DoneAfter(nil, took[pick.Endpoint().Addr()])
		tried.Add(pick.Endpoint())
	}
	next(lb, 4)
	// Output: near:80 near:80 near:80 near:80
}

// A policy of one's own can be made of others: with few candidates they take
// turns, with many the load decides. With old the position goes on.
func ExampleRoundRobin_NewPicker() {
	reg := prices("a:80", "b:80", "c:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, old balance.Picker) balance.Picker {
			if c.Len() > 100 {
				return balance.LeastLoaded{}.NewPicker(c, old)
			}
			return balance.RoundRobin{}.NewPicker(c, old)
		}),
	})
	next(lb, 1)
	fmt.Println(reg.Deregister(context.Background(), "prices", "c:80"))
	next(lb, 3)
	// Output:
	// a:80
	// <nil>
	// b:80 a:80 b:80
}

// A policy of one's own that changes what another one says: rather an instance
// without a remark.
func ExampleRandom_NewPicker() {
	reg := prices("a:80", "b:80")
	fmt.Println(reg.SetHealth(context.Background(), "prices", "a:80", registry.Warning, "replica is 3s behind"))
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, old balance.Picker) balance.Picker {
			drawn := balance.Random{}.NewPicker(c, old)
			return choice(func(q balance.Query, draw int) int {
				i := drawn.Pick(q, draw)
				if c.At(i).Health() == registry.Warning {
					i = (i + 1) % c.Len()
				}
				return i
			})
		}),
	})
	next(lb, 3)
	// Output:
	// <nil>
	// b:80 b:80 b:80
}

// Weights of a policy of one's own: here they hold only where all instances have
// said what they can do.
func ExampleWeighted_NewPicker() {
	lb := balance.MustNew(threeToOne().Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, old balance.Picker) balance.Picker {
			for i := range c.Len() {
				if c.At(i).HasTag("unmeasured") {
					return balance.RoundRobin{}.NewPicker(c, old)
				}
			}
			return balance.Weighted{Smooth: true}.NewPicker(c, old)
		}),
	})
	next(lb, 4)
	// Output: big:80 small:80 big:80 big:80
}

// A policy around another one can tell what it chooses from.
func ExampleLeastLoaded_NewPicker() {
	reg := prices("a:80", "b:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, old balance.Picker) balance.Picker {
			fmt.Println("candidates:", c.Len())
			return balance.LeastLoaded{}.NewPicker(c, old)
		}),
	})
	fmt.Println(lb.Stats().Usable)
	fmt.Println(reg.Deregister(context.Background(), "prices", "a:80"))
	fmt.Println(lb.Stats().Usable)
	// Output:
	// candidates: 2
	// 2
	// <nil>
	// candidates: 1
	// 1
}

// Until there is a latency of every instance, all take turns.
func ExamplePeakEWMA_NewPicker() {
	lb := balance.MustNew(prices("far:80", "near:80").Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, _ balance.Picker) balance.Picker {
			turns := balance.RoundRobin{}.NewPicker(c, nil)
			quick := balance.PeakEWMA{}.NewPicker(c, nil)
			return choice(func(q balance.Query, draw int) int {
				for i := range c.Len() {
					if _, known := c.Latency(i); !known {
						return turns.Pick(q, draw)
					}
				}
				return quick.Pick(q, draw)
			})
		}),
	})
	took := map[string]time.Duration{"near:80": 5 * time.Millisecond, "far:80": time.Hour}
	for range 4 {
		pick, err := lb.Pick(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(pick.Endpoint().Addr())
		pick.DoneAfter(nil, took[pick.Endpoint().Addr()])
	}
	// Output:
	// far:80
	// near:80
	// near:80
	// near:80
}

// Candidates are what may be picked now, in order of ID: here the first one gets
// all calls, as with a primary and its standby.
func ExampleCandidates_At() {
	ctx := context.Background()
	reg := prices("primary:80", "standby:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, _ balance.Picker) balance.Picker {
			fmt.Println("now in charge:", c.At(0).Addr())
			return choice(func(_ balance.Query, draw int) int { return draw })
		}),
	})
	next(lb, 2)
	fmt.Println(reg.SetHealth(ctx, "prices", "primary:80", registry.Down, "stocktaking"))
	next(lb, 2)
	// Output:
	// now in charge: primary:80
	// primary:80 primary:80
	// <nil>
	// now in charge: standby:80
	// standby:80 standby:80
}

// Only those that can be picked are among the candidates.
func ExampleCandidates_Len() {
	reg := prices("a:80", "b:80", "c:80")
	fmt.Println(reg.SetHealth(context.Background(), "prices", "c:80", registry.Critical, "disk is full"))
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, _ balance.Picker) balance.Picker {
			fmt.Println(c.Len(), "candidates")
			return choice(func(q balance.Query, draw int) int { return (int(q.Key) + draw) % c.Len() })
		}),
	})
	next(lb, 1)
	// Output:
	// <nil>
	// 2 candidates
	// a:80
}

// The quickest of all, for services with few instances and few callers.
func ExampleCandidates_Latency() {
	ctx := context.Background()
	mock := clock.NewMock() // nil in a program: system time
	reg := registry.MustNew(registry.Config{Clock: mock})
	join(reg, "a:80", "b:80", "c:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, _ balance.Picker) balance.Picker {
			return choice(func(_ balance.Query, draw int) int {
				best, least := 0, time.Duration(0)
				for i := range c.Len() {
					d, known := c.Latency(i)
					if !known {
						return i // so that it gets known
					}
					if i == 0 || d < least {
						best, least = i, d
					}
				}
				return (best + draw) % c.Len()
			})
		}),
	})
	took := map[string]time.Duration{"a:80": 30 * time.Millisecond, "b:80": 10 * time.Millisecond, "c:80": 20 * time.Millisecond}
	for range 5 {
		pick, err := lb.Pick(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(pick.Endpoint().Addr(), " ")
		mock.Add(took[pick.Endpoint().Addr()])
		pick.Done(nil)
	}
	// Output: a:80 b:80 c:80 b:80 b:80
}

// A picker that has no answer leaves the choice to the balancer: the instance on
// this machine if there is one, else any.
func ExamplePicker() {
	sameMachine := func(c balance.Candidates) balance.Picker {
		for i := range c.Len() {
			if strings.HasPrefix(c.At(i).Addr(), "127.0.0.1:") {
				return choice(func(_ balance.Query, draw int) int {
					if draw > 0 {
						return -1 // it was turned down
					}
					return i
				})
			}
		}
		return choice(func(balance.Query, int) int { return -1 })
	}
	reg := prices("10.0.0.7:80", "127.0.0.1:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, _ balance.Picker) balance.Picker { return sameMachine(c) }),
	})
	next(lb, 2)
	fmt.Println(reg.Deregister(context.Background(), "prices", "127.0.0.1:80"))
	next(lb, 2)
	// Output:
	// 127.0.0.1:80 127.0.0.1:80
	// <nil>
	// 10.0.0.7:80 10.0.0.7:80
}

// The policy comes from a configuration file.
func ExamplePolicy() {
	policies := map[string]balance.Policy{
		"least loaded": balance.LeastLoaded{},
		"quickest":     balance.PeakEWMA{Decay: 30 * time.Second},
		"in turn":      balance.RoundRobin{},
		"by weight":    balance.Weighted{},
		"by key":       balance.ConsistentHash{Bound: 1.25},
	}
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{Policy: policies["in turn"]})
	next(lb, 3)
	// Output: a:80 b:80 a:80
}

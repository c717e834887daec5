package balance_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// When an instance leaves its users find another one, and nobody else moves.
func ExampleConsistentHash() {
	reg := prices("a:80", "b:80", "c:80")
	lb := balance.MustNew(reg.Service("prices"), balance.Config{
		Policy: balance.ConsistentHash{Kind: balance.Rendezvous},
	})
	homes := func() map[string]string {
		m := make(map[string]string)
		for _, user := range []string{"ann", "cleo", "dan", "eve"} {
			e, err := lb.Next(balance.Query{Key: balance.HashKey(user)})
			if err != nil {
				fmt.Println(err)
				return nil
			}
			m[user] = e.Addr()
		}
		return m
	}
	fmt.Println(homes())
	fmt.Println(reg.Deregister(context.Background(), "prices", "a:80"))
	fmt.Println(homes())
	// Output:
	// map[ann:a:80 cleo:a:80 dan:b:80 eve:c:80]
	// <nil>
	// map[ann:c:80 cleo:b:80 dan:b:80 eve:c:80]
}

// With a Bound a key that everybody wants does not bring its instance down: of ten
// calls to two instances none gets more than 1.25 times five, rounded up.
func ExampleConsistentHash_bound() {
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{
		Policy: balance.ConsistentHash{Bound: 1.25},
	})
	calls := make(map[string]int)
	for range 10 { // at the same time
		pick, err := lb.PickWith(context.Background(), balance.Query{Key: balance.HashKey("ann")})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer pick.Done(nil)
		calls[pick.Endpoint().Addr()]++
	}
	fmt.Println(calls)
	// Output: map[a:80:3 b:80:7]
}

// A policy of one's own: calls without a key go to the least loaded instead of a
// random one.
func ExampleConsistentHash_NewPicker() {
	lb := balance.MustNew(prices("a:80", "b:80").Service("prices"), balance.Config{
		Policy: rule(func(c balance.Candidates, _ balance.Picker) balance.Picker {
			keyed := balance.ConsistentHash{}.NewPicker(c, nil)
			loaded := balance.LeastLoaded{Choices: -1}.NewPicker(c, nil)
			return choice(func(q balance.Query, draw int) int {
				if q.Key == 0 {
					return loaded.Pick(q, draw)
				}
				return keyed.Pick(q, draw)
			})
		}),
	})
	ctx := context.Background()
	hers, err := lb.PickWith(ctx, balance.Query{Key: balance.HashKey("ann")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer hers.Done(nil)
	other, err := lb.Pick(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer other.Done(nil)
	fmt.Println(hers.Endpoint() != other.Endpoint())
	// Output: true
}

// Which algorithm, by the name in a configuration file.
func ExampleHashKind() {
	var policy balance.ConsistentHash
	err := json.Unmarshal([]byte(`{"Kind": "Rendezvous", "Bound": 1.25}`), &policy)
	if err != nil {
		fmt.Println(err)
		return
	}
	lb, err := balance.New(registry.MustNew(registry.Config{}).Service("prices"), balance.Config{Policy: policy})
	fmt.Println(policy.Kind, lb.Stats().Members, err)
	// Output: Rendezvous 0 <nil>
}

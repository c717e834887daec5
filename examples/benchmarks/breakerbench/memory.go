package breakerbench

import (
	eapache "github.com/eapache/go-resiliency/breaker"
	"github.com/sony/gobreaker/v2"
	gozero "github.com/zeromicro/go-zero/core/breaker"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// alone makes breakers that share a name and have nothing else in common.
func alone[B any](name string, newOne func() B) bench.MemoryCase {
	return bench.MemoryCase{Name: name, Prepare: func(n int) func() any {
		all := make([]B, n)
		return func() any {
			for i := range all {
				all[i] = newOne()
			}
			return all
		}
	}}
}

// keyed makes breakers in a map. The keys are there before and serve as names.
func keyed[B any](name string, newOne func(key string) B) bench.MemoryCase {
	return bench.MemoryCase{Name: name, Prepare: func(n int) func() any {
		keys := names(n)
		return func() any {
			m := make(map[string]B)
			for _, key := range keys {
				m[key] = newOne(key)
			}
			return m
		}
	}}
}

func grouped(name string, cfg breaker.GroupConfig[string]) bench.MemoryCase {
	return bench.MemoryCase{Name: name, Prepare: func(n int) func() any {
		keys := names(n)
		return func() any {
			g := breaker.MustNewGroup(cfg)
			for range 3 { // until the group has settled
				for _, key := range keys {
					g.Get(key)
				}
			}
			return g
		}
	}}
}

var memoryRows = []bench.Memory{
	{
		Name:  "One breaker, alone",
		Note:  "Consecutive failures, nothing has happened to it yet. 10,000 are made; their name is shared and not counted.",
		N:     10_000,
		Limit: 768,
		Ours:  alone("mainstay", func() *breaker.Breaker { return breaker.MustNew("db", oursStreak) }),
		Others: []bench.MemoryCase{
			ahead(alone("gobreaker", func() *gobreakerCB { return gobreaker.NewCircuitBreaker[int](gobreakerStreak()) }), whyAlone),
			ahead(alone("failsafe", failsafeStreak.build), whyAlone),
			ahead(alone("eapache", newEapache), "It has neither a name nor settings, and starts a goroutine when it opens."),
			alone("go-zero", func() gozero.Breaker { return gozero.NewBreaker(gozero.WithName("db")) }),
		},
	},
	{
		Name: "One of 1,000,000 keyed breakers",
		Note: "Keys are strings of 14 bytes that exist before; their bytes are not counted, the string headers in the maps are. " +
			"A group of ours makes a name of each key and can forget idle keys; the rivals stand in a plain map without a lock and stay for ever. " +
			"go-zero is left out: its own registry would keep them for the rest of the run.",
		N:     1_000_000,
		Limit: 384,
		Ours:  grouped("mainstay Group", breaker.GroupConfig[string]{Config: oursStreak, Max: -1}),
		Others: []bench.MemoryCase{
			ahead(keyed("gobreaker in a map", func(key string) *gobreakerCB {
				st := gobreakerStreak()
				st.Name = key
				return gobreaker.NewCircuitBreaker[int](st)
			}), whyKeyed),
			keyed("failsafe in a map", func(string) failsafeCB { return failsafeStreak.build() }),
			ahead(keyed("eapache in a map", func(string) *eapache.Breaker { return newEapache() }), "It has neither a name nor settings, and nothing is kept for forgetting idle keys."),
		},
	},
}

const (
	whyAlone = "Each of ours keeps its Config, checked and filled in, besides an immutable view of its state; in a group the Config is shared."
	whyKeyed = "A plain map keeps nothing for forgetting idle keys."
)

func ahead(c bench.MemoryCase, why string) bench.MemoryCase {
	c.Why = why
	return c
}

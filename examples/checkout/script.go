package main

import (
	"cmp"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// A script says what goes wrong. It is a function of the seed, so that it can be
// played again, but for the microseconds.
type script struct{ seed uint64 }

// dice are the same for the same seed and text.
func (s script) dice(text string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// random is for the choices of balancers and the jitter of retries.
func (s script) random(text string) func() uint64 {
	var mu sync.Mutex
	dice := s.dice(text)
	return func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return dice.Uint64()
	}
}

// shuffle is the order in which customers come.
func (s script) shuffle(orders []Order) []Order {
	orders = slices.Clone(orders)
	s.dice("orders").Shuffle(len(orders), func(i, k int) { orders[i], orders[k] = orders[k], orders[i] })
	return orders
}

// A refusal is what a service says no to, and why. It is business, not a fault.
type refusal struct {
	resource resource
	why      string
}

// refusals are by how many of a hundred orders meet them.
var refusals = []struct {
	percent int
	refusal refusal
}{
	{6, refusal{reservations, "out of stock"}},
	{8, refusal{charges, "card declined"}},
	{4, refusal{labels, "no such street"}},
	{4, refusal{parcels, "too heavy"}},
}

// refusal is what an order meets; its resource is "" if all is well.
func (s script) refusal(order string) refusal {
	n := s.dice("order " + order).IntN(100)
	for _, r := range refusals {
		if n -= r.percent; n < 0 {
			return r.refusal
		}
	}
	return refusal{}
}

// A fault is what is wrong with an instance.
type fault string

const (
	well  fault = ""
	slow  fault = "slow"  // requests arrive when nobody waits any more, and have their effect all the same
	late  fault = "late"  // they have it at once, but the answer comes too late
	storm fault = "storm" // 503 with Retry-After, and no effect
	kill  fault = "kill"  // it dies
)

// An act is a fault of some instances for some time. What was killed is started again
// at its end.
type act struct {
	from, to  time.Duration
	fault     fault
	instances []string
}

// acts is the script of faults, in the order of time. Every seed has the same ones,
// of other instances and at other times.
func (s script) acts(length time.Duration) []act {
	dice := s.dice("faults")
	payment := dice.Perm(3)
	shipping := dice.Perm(2)
	of := func(service string, n int) string { return instanceID(service, n+1) }
	acts := []act{
		{fault: slow, instances: []string{of("payment", payment[0])}},
		{fault: storm, instances: []string{of("shipping", shipping[0])}},
		{fault: kill, instances: []string{of("payment", payment[1])}},
		{fault: late, instances: []string{of("stock", 0)}},
		{fault: kill, instances: []string{of("orders", 0)}},
		{fault: storm, instances: []string{of("payment", 0), of("payment", 1), of("payment", 2)}},
	}
	dice.Shuffle(len(acts), func(i, k int) { acts[i], acts[k] = acts[k], acts[i] })
	// Each has its share of the middle of the script, and takes some of that.
	const begin, end = 0.08, 0.92
	share := (end - begin) / float64(len(acts))
	for i := range acts {
		from := begin + share*(float64(i)+0.2*dice.Float64())
		to := from + share*(0.5+0.2*dice.Float64())
		acts[i].from = time.Duration(from * float64(length))
		acts[i].to = time.Duration(to * float64(length))
	}
	slices.SortFunc(acts, func(a, b act) int { return cmp.Compare(a.from, b.from) })
	return acts
}

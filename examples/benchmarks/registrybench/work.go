// Package registrybench measures package registry, registry/balance and
// registry/registryhttp against the discovery and the balancers of other
// libraries.
//
// All of them choose among the same instances: a choice is made and, where there
// is such a thing, ended as a success. That it was made by the rules of its row
// is looked at afterwards.
package registrybench

import (
	"context"
	"fmt"
	"slices"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

const service = "orders"

// background is the context of whatever needs none.
var background = context.Background()

// A fleet is the instances of a service: how many there are, and their weights.
type fleet struct {
	n      int
	weight func(i int) int // nil: all are equal
}

// weighted has weights from 1 to 7.
func weighted(n int) fleet { return fleet{n, func(i int) int { return 1 + i%7 }} }

// skewed has one instance a thousand times as heavy as each of the others.
func skewed(n int) fleet {
	return fleet{n, func(i int) int {
		if i == 0 {
			return 1000
		}
		return 1
	}}
}

func addr(i int) string { return fmt.Sprintf("10.%d.%d.%d:8080", i>>16, i>>8&255, i&255) }

func (f fleet) addrs() []string {
	all := make([]string, f.n)
	for i := range all {
		all[i] = addr(i)
	}
	return all
}

// A target is a balancer that is set up.
type target struct {
	loop    bench.Loop
	choose  func() (addr string, err error) // one choice, by name
	after   func(n int) error               // whether all is right after n choices; may be nil
	closing func()                          // may be nil
}

// A maker sets up a balancer for instances.
type maker func(f fleet) target

// choosing is a case whose operation is one choice. share is how much of the
// fleet has to be chosen at the least.
func choosing(name string, f fleet, share float64, set maker) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		t := set(f)
		// What is made when an instance is chosen for the first time is not
		// part of a choice.
		before, _ := t.loop(2 * f.n)
		return bench.Run{Loop: t.loop, Close: t.closing, Check: func(n int) error {
			if t.after != nil {
				if err := t.after(before + n); err != nil {
					return err
				}
			}
			return f.check(share, t.choose)
		}}
	}}
}

// The least share of a fleet that is chosen: where nothing but chance or turns
// matter, and where latencies of nanoseconds or the places of keys on a ring do.
const (
	nearlyAll = 0.9
	some      = 0.2
)

// check makes choices and compares what was chosen, and how often, with what a
// fair balancer chooses.
func (f fleet) check(share float64, choose func() (string, error)) error {
	index := make(map[string]int, f.n)
	for i := range f.n {
		index[addr(i)] = i
	}
	choices := min(100*f.n, 4000)
	chosen := make(map[string]int)
	sum := 0
	for range choices {
		a, err := choose()
		if err != nil {
			return err
		}
		i, ok := index[a]
		if !ok {
			return fmt.Errorf("%q was chosen, which is not there", a)
		}
		chosen[a]++
		if f.weight != nil {
			sum += f.weight(i)
		}
	}
	if f.weight != nil {
		return f.checkWeights(float64(sum) / float64(choices))
	}
	least := int(share * float64(min(f.n, choices*9/10)))
	return want(len(chosen) >= least, "of %d instances %d were chosen, not %d", f.n, len(chosen), least)
}

// checkWeights compares the mean weight of what was chosen with the one that
// shares by weight have.
func (f fleet) checkWeights(mean float64) error {
	var sum, squares float64
	for i := range f.n {
		w := float64(f.weight(i))
		sum += w
		squares += w * w
	}
	expected := squares / sum
	return want(mean > 0.85*expected && mean < 1.15*expected, "the mean weight of the chosen is %.2f, not %.2f", mean, expected)
}

// parallel shares the operations of a case among goroutines.
func parallel(goroutines int, c bench.Case) bench.Case {
	return bench.Case{Name: c.Name, New: func() bench.Run {
		run := c.New()
		run.Loop = bench.Parallel(goroutines, run.Loop)
		return run
	}}
}

// keys are what calls are about, in an order without a pattern. Most of them are
// chosen once in a check.
func keys() []string {
	all := make([]string, 4096)
	for i := range all {
		all[i] = fmt.Sprintf("customer-%d", i*2654435761%1_000_003)
	}
	return all
}

// inTurn ranges over something again and again.
func inTurn[T any](all []T) func() T {
	next := 0
	return func() T {
		v := all[next]
		next = (next + 1) % len(all)
		return v
	}
}

// same tells whether two lists of addresses are the same, in any order.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// must is for what cannot fail while a case is set up or taken down.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// got is must for what has a result.
func got[T any](v T, err error) T {
	must(err)
	return v
}

// want is an error if a condition does not hold.
func want(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

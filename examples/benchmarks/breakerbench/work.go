// Package breakerbench measures package breaker against other circuit breakers.
//
// All of them do the same work: call a plain top-level function that does
// nothing, use its result, and count how many calls went well. The rivals'
// functions take no context. Where they need one in practice, a closure has to
// carry it; what that costs is not charged here.
package breakerbench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

const (
	openFor = time.Hour // no breaker of ours or theirs leaves open while it is measured

	limit       = 5 // failures in a row
	windowCalls = 100
	windowTime  = 10 * time.Second
	minCalls    = 20
	failureRate = 0.5

	// fewCalls are so few that a test can have as many failures outweigh them.
	fewCalls = 10_000
)

var errFailed = errors.New("failed")

// What is called stays a call: nobody's loop gets it inlined.

//go:noinline
func pass(context.Context) (int, error) { return 1, nil }

//go:noinline
func fail(context.Context) (int, error) { return 0, errFailed }

//go:noinline
func passPlain() (int, error) { return 1, nil }

//go:noinline
func failPlain() (int, error) { return 0, errFailed }

//go:noinline
func passError(context.Context) error { return nil }

//go:noinline
func passErrorPlain() error { return nil }

//go:noinline
func failErrorPlain() error { return errFailed }

// The patterns of mixed calls. Failures are below every limit, wherever a loop
// ends and begins anew.
var (
	fourOfFiveFail = pattern(limit, func(i int) bool { return i == 0 })
	oneOf100Fails  = pattern(windowCalls, func(i int) bool { return i != 0 })
)

func pattern(n int, passes func(i int) bool) []bool {
	p := make([]bool, n)
	for i := range p {
		p[i] = passes(i)
	}
	return p
}

// choose turns a pattern into functions to call in turn.
func choose[F any](pattern []bool, pass, fail F) []F {
	fns := make([]F, len(pattern))
	for i, passes := range pattern {
		fns[i] = fail
		if passes {
			fns[i] = pass
		}
	}
	return fns
}

// opens checks that failures open a breaker: not before least, at most at most.
func opens(least, most int, open func() bool, fail func()) error {
	for i := range most {
		if open() {
			if i < least {
				return fmt.Errorf("opened after %d failures, not %d", i, least)
			}
			return nil
		}
		fail()
	}
	if !open() {
		return fmt.Errorf("still not open after %d failures", most)
	}
	return nil
}

// want is an error if a condition does not hold.
func want(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// keyedOrder is the names of n breakers in an order without a pattern, the same
// in every run.
func keyedOrder(n int) []string {
	keys := names(n)
	rand.New(rand.NewPCG(1, 2)).Shuffle(n, func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys
}

func names(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("tenant-%07d", i)
	}
	return keys
}

// starts tells every loop another key to begin with, so that goroutines do not
// walk through the keys in step.
func starts(keys int) func() int {
	var loops atomic.Uint32
	return func() int { return int(loops.Add(1) * 1237 % uint32(keys)) }
}

// parallel is a case done by several goroutines.
func parallel(goroutines int, c bench.Case) bench.Case {
	return bench.Case{Name: c.Name, New: func() bench.Run {
		run := c.New()
		run.Loop = bench.Parallel(goroutines, run.Loop)
		return run
	}}
}

package main

import (
	"context"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// service is the name that clients know.
const service = "orders"

// The backends, by what is going to happen to them.
const (
	leaver  = "a" // drains
	slacker = "b" // turns slow
	victim  = "c" // dies
)

var backendIDs = []string{leaver, slacker, victim}

// A script is what happens to the backends, and what everybody is set up with.
type script struct {
	phases   []phase
	every    time.Duration // the client begins a call this often,
	crowd    int           // unless that many are under way
	limit    time.Duration // after which it gives a call up
	patience time.Duration // how long anything may take that is waited for

	answer   time.Duration // what a backend takes to answer
	slowness int           // by how much that is more for a slow one
	underWay int           // how many calls a backend has to have for it to die, or to drain
	trust    int           // how many calls to one that was slow show that it is trusted again

	registry registry.Config
	ttl      time.Duration  // of each registration
	check    registry.Check // of each backend, but for the function
	balancer balance.Config // of the gateway, but for the gates
	breaker  breaker.Config // of each instance

	// Parts of the fair share, which is one third while there are three.
	least float64 // that a backend has to get if it is well
	most  float64 // that it may get if it is slow
}

// A phase is a stretch of the script. The next one begins when the last call of
// this one has ended.
type phase struct {
	name  string
	says  string                              // what happens
	calls int                                 // at least; calls go on until act has returned
	act   func(*drive, context.Context) error // what happens, beside the calls; nil: nothing
	kind  kind
}

// A kind is what is expected of a phase.
type kind int

const (
	healthy kind = iota // nothing happens
	slow
	recovering
	dying
	draining
)

// fullScript has good health before and after each of the troubles.
func fullScript() script {
	return script{
		every:    5 * time.Millisecond,
		crowd:    16,
		limit:    5 * time.Second,
		patience: 10 * time.Second,

		answer:   5 * time.Millisecond,
		slowness: 20,
		underWay: 3,
		trust:    5,

		registry: registry.Config{
			// Draining shows this long before an instance is removed, for load
			// balancers outside that ask /readyz.
			DrainGrace: 50 * time.Millisecond,
			// Three instances are fewer than Preserve.MinInstances, so that
			// leases expire exactly. StallAfter is for short leases on a busy
			// machine: if the whole process stands still, nobody could renew.
			Preserve: registry.Preserve{StallAfter: 100 * time.Millisecond},
		},
		ttl: time.Second,
		check: registry.Check{
			Interval:               100 * time.Millisecond,
			FailuresBeforeCritical: 3,
		},
		balancer: balance.Config{
			// Forgetting is quick, so that a recovery is seen within this script,
			// but not much quicker than the slowest answers: while none comes,
			// even a backend that takes long looks better and better.
			Policy: balance.PeakEWMA{Decay: 150 * time.Millisecond},
			// The breakers judge the same failures.
			Outlier: &balance.Outlier{Consecutive: -1},
			Retry:   balance.Retry{Attempts: 3, AttemptTimeout: 2 * time.Second},
		},
		breaker: breaker.Config{
			Trip:       breaker.ConsecutiveFailures(3),
			OpenFor:    150 * time.Millisecond,
			Backoff:    2,
			CloseAfter: 1,
		},
		least: 1.0 / 3, most: 0.5,

		phases: []phase{
			{name: "healthy", says: "three backends are well", calls: 120},
			{name: "slow", says: slacker + " takes 20 times as long", calls: 120, act: (*drive).turnSlow, kind: slow},
			{name: "recovery", says: slacker + " is as quick as before", calls: 60, act: (*drive).turnQuick, kind: recovering},
			{name: "healthy", says: "that is known", calls: 120},
			{name: "death", says: victim + " hangs and dies", calls: 120, act: (*drive).die, kind: dying},
			{name: "drain", says: leaver + " leaves as one should", calls: 60, act: (*drive).leave, kind: draining},
			{name: "alone", says: slacker + " has all to itself", calls: 40},
		},
	}
}

package balance_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// Bound while others are at it.
func TestRegression_Starving(t *testing.T) {
	// With a busy registry (index moves all the time) and every gate refusing,
	// how often is a gate asked in one pick?
	r := newRegistry(t, registry.Config{})
	registerAll(t, r, named("a", "b")...)
	var asked atomic.Int64
	i := 0
	b := newBalancer(t, r, balance.Config{Gate: func(*registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(context.Context) (func(error), error) {
			asked.Add(1)
			i++
			register(t, r, registry.Instance{Service: orders, ID: "z", Addr: "10.0.0.9:9", Version: fmt.Sprint(i)})
			return nil, errSick
		})
	}})
	_, err := b.Pick(bg)
	require.Error(t, err)
	t.Log(asked.Load())
	assert.Less(t, asked.Load(), int64(20))
	runtime.KeepAlive(b)
}

// Ejected members and makeshift, Starting while others are not.
func TestRegression_EjectAfterPanicOfGate(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	registerAll(t, r, named("a", "b", "c", "d")...)
	var boom atomic.Bool
	b := newBalancer(t, r, balance.Config{Policy: balance.RoundRobin{}, Outlier: &balance.Outlier{Consecutive: 2}, Gate: func(*registry.Endpoint) balance.Gate {
		if boom.Load() {
			panic("boom")
		}
		return nil
	}})
	p, q := pickOf(t, b, "a"), pickOf(t, b, "a")
	boom.Store(true)
	register(t, r, instance("e"))
	func() { defer func() { _ = recover() }(); _, _ = b.Pick(bg) }()
	deregister(t, r, "e")
	p.Done(errSick)
	q.Done(errSick)
	boom.Store(false)
	assert.True(t, members(b)["a"].Ejected)
}

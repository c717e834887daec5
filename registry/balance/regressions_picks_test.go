package balance_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// G30: the bound holds for the largest weights, also where an int has 32 bits.
func TestG30_BoundOfLargeWeights(t *testing.T) {
	for _, kind := range []balance.HashKind{balance.Rendezvous, balance.Maglev} {
		ins := numbered(2_200)
		for i := range ins {
			ins[i].Weight = 1_000_000
		}
		_, b := with(t, balance.Config{Policy: balance.ConsistentHash{Kind: kind, Bound: 1.25}}, ins...)
		for range 200 {
			require.Equal(t, 1, pickWith(t, b, balance.Query{Key: 7}).Endpoint().InFlight())
		}
	}
}

// around hands a query of its own to a policy of this package.
type around struct{ balance.Picker }

func (around) NewPicker(c balance.Candidates, _ balance.Picker) balance.Picker {
	return around{balance.PeakEWMA{}.NewPicker(c, nil)}
}

func (a around) Pick(q balance.Query, draw int) int {
	return a.Picker.Pick(balance.Query{Key: q.Key}, draw)
}

// G29: latencies decay also if a policy around PeakEWMA passes on a query that
// knows of no time.
func TestG29_DecayWithinAnotherPolicy(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, named("a", "b")...)
	b := newBalancer(t, r, balance.Config{Policy: around{}})
	pickOf(t, b, "a").DoneAfter(nil, time.Second)
	pickOf(t, b, "b").DoneAfter(nil, time.Millisecond)
	require.Equal(t, map[string]int{"b": 50}, counts(sequence(t, b, 50)))
	clk.pass(time.Hour)
	assert.Greater(t, counts(sequence(t, b, 100))["a"], 20)
}

// G29: a latency is never negative, however long.
func TestG29_LongestLatency(t *testing.T) {
	_, b := with(t, balance.Config{}, instance("a"))
	pick(t, b).DoneAfter(nil, math.MaxInt64)
	assert.Greater(t, members(b)["a"].Latency, 290*365*24*time.Hour)
}

// G33: the share of one that ramps in another zone grows, too.
func TestG33_RampElsewhere(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, zoned("sick", "home"), zoned("home", "home"), zoned("old", "away"))
	setHealth(t, r, "sick", registry.Critical)
	clk.pass(time.Hour)
	register(t, r, zoned("new", "away"))
	b := newBalancer(t, r, balance.Config{
		Policy: balance.RoundRobin{}, Zone: "home", SpillBelow: 1, PanicThreshold: -1, SlowStart: ramp, Rand: seeded(1),
	})
	clk.pass(ramp * 9 / 10)
	got := counts(sequence(t, b, many()))
	away := float64(got["old"] + got["new"])
	assert.InDelta(t, away*0.45, got["new"], chance(away, 0.45), "of %v", got)
}

// G33: who has recovered starts slowly, also if it was ejected once, long ago.
func TestG33_RecoveryLongAfterAnEjection(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, named("a", "b")...)
	b := newBalancer(t, r, balance.Config{
		Policy: balance.RoundRobin{}, PanicThreshold: -1, SlowStart: ramp, Rand: seeded(1),
		Outlier: &balance.Outlier{Consecutive: 1, Base: time.Second},
	})
	clk.pass(time.Hour)
	calls(t, b, "a", 1, errSick)
	require.Equal(t, 1, b.Stats().Ejected)
	clk.pass(time.Hour)
	require.Zero(t, b.Stats().Ejected)
	setHealth(t, r, "a", registry.Critical)
	clk.pass(time.Hour)
	require.Equal(t, 1, b.Stats().Usable)
	setHealth(t, r, "a", 0)
	requireShare(t, b, "a", 0.1)
}

// G35: the gate of one that left between the two is told so once, and nothing
// about what the next one does, which has no gate.
func TestG35_DoneOfAnotherGate(t *testing.T) {
	told := []error{}
	var r *registry.Registry
	r, b := with(t, balance.Config{Policy: first{}, Gate: func(e *registry.Endpoint) balance.Gate {
		if e.ID() == "b" {
			return nil
		}
		return balance.GateFunc(func(context.Context) (func(error), error) {
			_ = r.Deregister(bg, orders, "a")
			return func(err error) { told = append(told, err) }, nil
		})
	}}, named("a", "b")...)
	p := pick(t, b)
	require.Equal(t, "b", p.Endpoint().ID())
	p.Done(nil)
	assert.Equal(t, []error{context.Canceled}, told)
}

// first takes the first, and with every draw the next.
type first struct{}

func (first) NewPicker(balance.Candidates, balance.Picker) balance.Picker { return first{} }
func (first) Pick(_ balance.Query, draw int) int                          { return draw }

// G35: if all gates refuse each is asked once, and what that takes grows as their
// number does: it is in an outage that all breakers are open.
func TestG35_AllOfManyRefuse(t *testing.T) {
	for _, n := range []int{10, 1_000, 20_000} {
		asked := 0
		_, b := with(t, balance.Config{Gate: func(*registry.Endpoint) balance.Gate {
			return balance.GateFunc(func(context.Context) (func(error), error) { asked++; return nil, errSick })
		}}, numbered(n)...)
		_, err := b.Pick(bg)
		require.ErrorIs(t, err, balance.ErrNoInstances)
		require.ErrorIs(t, err, errSick)
		require.Equal(t, n, asked)
		if !raceEnabled {
			assert.Less(t, testing.AllocsPerRun(3, func() { _, _ = b.Pick(bg) }), 20.0)
		}
	}
}

// Misuse is an error that names it.
func TestMisuse_Service(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	_, err := balance.New(&registry.Service{}, balance.Config{})
	assert.ErrorContains(t, err, "zero")
	_, err = balance.New(r.Service("not a name/"), balance.Config{})
	var e *registry.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "Service", e.Field)
	assert.ErrorContains(t, err, `"not a name/"`)
	for name, policy := range map[string]balance.Policy{
		"*balance.ConsistentHash": (*balance.ConsistentHash)(nil), "*balance.RoundRobin": (*balance.RoundRobin)(nil),
	} {
		_, err = balance.New(r.Service(orders), balance.Config{Policy: policy})
		assert.ErrorContains(t, err, `Policy is `+name+`(nil), want `)
	}
	require.NoError(t, r.Close(bg))
	_, err = balance.New(r.Service(orders), balance.Config{})
	assert.NoError(t, err, "Pick will say so")
}

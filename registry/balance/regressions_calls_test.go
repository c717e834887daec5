package balance_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// The last usable endpoint of another zone falls sick: no key at home may move.
func TestRegression_HashZoneStable(t *testing.T) {
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			var ins []registry.Instance
			for i := range 5 {
				ins = append(ins, zoned(fmt.Sprint("h", i), "home"))
			}
			for i := range 5 {
				ins = append(ins, zoned(fmt.Sprint("x", i), "away"))
			}
			r, b := with(t, balance.Config{Policy: policy, Zone: "home", PanicThreshold: -1}, ins...)
			keys := userKeys(3000)
			before := homes(t, b, keys)
			for i := range 5 {
				setHealth(t, r, fmt.Sprint("x", i), registry.Critical)
				after := homes(t, b, keys)
				assert.Len(t, differing(before, after), 0, "x%d", i)
			}
		})
	}
}

// The caller cancels with a cause, and fn returns that (as net/http does).
func TestRegression_DoCancelCause(t *testing.T) {
	r, b := with(t, balance.Config{}, instance("a"))
	_ = r
	ctx, cancel := context.WithCancelCause(bg)
	_, err := balance.Do(ctx, b, func(ctx context.Context, _ *registry.Endpoint) (int, error) {
		cancel(errors.New("a sibling failed"))
		return 0, context.Cause(ctx)
	})
	require.Error(t, err)
	assert.Zero(t, members(b)["a"].Failures)
}

// One pick asks a gate once.
func TestRegression_GateAskedOnce(t *testing.T) {
	var asked atomic.Int64
	_, b := with(t, balance.Config{Gate: func(*registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(context.Context) (func(error), error) {
			asked.Add(1)
			return nil, errSick
		})
	}}, instance("a"))
	_, err := b.Pick(bg)
	require.Error(t, err)
	assert.EqualValues(t, 1, asked.Load())
}

// The mean is that of the endpoints, not of the first 64.
func TestRegression_MeanBeyond64(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	for i := range 70 {
		register(t, r, zoned(fmt.Sprintf("a%03d", i), "away"))
	}
	for i := range 5 {
		register(t, r, zoned(fmt.Sprint("h", i), "home"))
	}
	b := newBalancer(t, r, balance.Config{Policy: balance.PeakEWMA{}, Zone: "home"})
	for i := range 4 {
		pickOf(t, b, fmt.Sprint("h", i)).DoneAfter(nil, 100*time.Millisecond)
	}
	pickOf(t, b, "h4").DoneAfter(errSick, time.Microsecond)
	assert.GreaterOrEqual(t, members(b)["h4"].Latency, 90*time.Millisecond)
}

// A retry whose pick panics gives its token back.
func TestRegression_TokenAfterPanic(t *testing.T) {
	n := 0
	_, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Gate: func(*registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(context.Context) (func(error), error) {
			if n++; n == 2 {
				panic("boom")
			}
			return nil, nil
		})
	}}, named("a", "b")...)
	func() {
		defer func() { _ = recover() }()
		_, _ = balance.Do(bg, b, func(context.Context, *registry.Endpoint) (int, error) { return 0, errSick })
	}()
	s := b.Stats()
	assert.EqualValues(t, 10, s.RetryTokens)
	assert.Zero(t, s.Retries)
}

// Picks that last do not keep the candidate lists of their time.
func TestRegression_LongPicksKeepLists(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	registerAll(t, r, numbered(2000)...)
	b := newBalancer(t, r, balance.Config{Policy: balance.RoundRobin{}})
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	var picks []balance.Pick
	for i := range 200 {
		setHealth(t, r, "i000", registry.Warning*registry.Health(i%2))
		picks = append(picks, pick(t, b))
	}
	after := heap()
	t.Logf("%d bytes per pick", (int64(after)-int64(before))/200)
	assert.Less(t, int64(after)-int64(before), int64(4<<20))
	for _, p := range picks {
		p.Done(nil)
	}
}

// What happened long ago ejects nobody.
func TestRegression_StaleInterval(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, numbered(6)...)
	b := newBalancer(t, r, balance.Config{Outlier: &balance.Outlier{Consecutive: -1, FailureRate: 0.5}})
	for i := range 6 {
		calls(t, b, fmt.Sprintf("i%03d", i), 20, nil)
	}
	calls(t, b, "i000", 30, errSick)
	clk.pass(time.Hour)
	calls(t, b, "i001", 1, nil)
	assert.False(t, members(b)["i000"].Ejected)
}

// A next attempt that is not to be is no nil error.
func TestRegression_NextNil(t *testing.T) {
	_, b := with(t, balance.Config{Retry: balance.Retry{Attempts: -1}}, instance("a"))
	a := b.Attempts(bg, balance.Query{})
	p, err := a.Next(nil)
	require.NoError(t, err)
	p.Done(nil)
	p, err = a.Next(nil)
	assert.True(t, err != nil || p.Endpoint() != nil, "neither a pick nor an error")
}

type embedding struct{ balance.RoundRobin }

var sawLatency atomic.Bool

func (embedding) NewPicker(c balance.Candidates, _ balance.Picker) balance.Picker {
	return pickerFunc(func(balance.Query, int) int {
		if _, ok := c.Latency(0); ok {
			sawLatency.Store(true)
		}
		return 0
	})
}

// A policy of the user's that embeds one of the package looks at latencies.
func TestRegression_EmbeddedUntimed(t *testing.T) {
	_, b := with(t, balance.Config{Policy: embedding{}}, instance("a"))
	for range 3 {
		pick(t, b).Done(nil)
	}
	assert.True(t, sawLatency.Load())
}

// An ejection that is over while its endpoint is filtered out is told.
func TestRegression_EjectionEndsOutOfSight(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, named("a", "b", "c", "d")...)
	var j journal
	b := newBalancer(t, r, balance.Config{
		Outlier: &balance.Outlier{Consecutive: 1}, Hooks: j.hooks(),
		Filter: func(e *registry.Endpoint) bool { return !e.HasTag("out") },
	})
	calls(t, b, "a", 1, errSick)
	require.Len(t, j.ejected(), 1)
	in := instance("a")
	in.Tags = []string{"out"}
	register(t, r, in)
	pick(t, b).Done(nil)
	clk.pass(time.Hour)
	pick(t, b).Done(nil)
	assert.Len(t, j.ejected(), 1)
}

package balance_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// The caller gives up: no failure. The attempt runs out of time: one, also when
// fn returns the error of its context, as most do.
func TestS19_WhoGaveUp(t *testing.T) {
	waits := map[string]func(ctx context.Context, _ *registry.Endpoint) (int, error){
		"Cause": func(ctx context.Context, _ *registry.Endpoint) (int, error) {
			<-ctx.Done()
			return 0, context.Cause(ctx)
		},
		"Err": func(ctx context.Context, _ *registry.Endpoint) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
	}
	for name, wait := range waits {
		t.Run("caller/"+name, func(t *testing.T) {
			bothClocks(t, func(t *testing.T, clock registry.Clock, pass func(time.Duration)) {
				b := lone(t, clock)
				ctx, cancel := context.WithCancel(bg)
				result := async(func() error { _, err := balance.Do(ctx, b, wait); return err })
				pass(time.Second)
				cancel()
				require.ErrorIs(t, <-result, context.Canceled)
				m := members(b)["a"]
				assert.Zero(t, m.Failures)
				assert.Zero(t, m.Latency, "no sample either")
				assert.False(t, m.Ejected)
			})
		})
		t.Run("attempt/"+name, func(t *testing.T) {
			bothClocks(t, func(t *testing.T, clock registry.Clock, pass func(time.Duration)) {
				b := lone(t, clock)
				result := async(func() error { _, err := balance.Do(bg, b, wait); return err })
				pass(time.Minute)
				require.Error(t, <-result)
				m := members(b)["a"]
				assert.Equal(t, uint64(1), m.Failures)
				assert.Equal(t, time.Minute, m.Latency)
				assert.True(t, m.Ejected)
			})
		})
	}
}

// lone is a balancer for one instance "a", which one failure ejects.
func lone(t *testing.T, clock registry.Clock) *balance.Balancer {
	t.Helper()
	r := newRegistry(t, registry.Config{Clock: clock})
	register(t, r, instance("a"))
	return newBalancer(t, r, balance.Config{
		Policy:  balance.PeakEWMA{},
		Outlier: &balance.Outlier{Consecutive: 1, MaxEjected: 1},
		Retry:   balance.Retry{AttemptTimeout: time.Minute},
	})
}

func TestS21_RoundRobinWithOneEjected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Outlier: &balance.Outlier{}}, numbered(10)...)
		calls(t, b, "i005", 5, errSick)
		got := counts(sequence(t, b, 1000))
		assert.Len(t, got, 9)
		assert.NotContains(t, got, "i005")
		assert.LessOrEqual(t, spread(got), 1, "%v", got)

		time.Sleep(30 * time.Second)
		assert.Equal(t, each(10, 100), counts(sequence(t, b, 1000)), "it is over")
	})
}

func TestS23_APickEndedByEightGoroutines(t *testing.T) {
	r, b := with(t, balance.Config{}, instance("a"))
	for range 1000 {
		p := pick(t, b)
		require.Equal(t, 1, p.Endpoint().InFlight())
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { p.Done(nil) })
		}
		wg.Wait()
		require.Zero(t, p.Endpoint().InFlight())
	}
	assert.Equal(t, uint64(1000), endpoint(t, r, "a").Picks())
	balance.Pick{}.Done(nil)
	assert.Empty(t, inFlight(r))
}

func TestS26_ARejectingGate(t *testing.T) {
	gates := newGateLog("b")
	r, b := with(t, balance.Config{Gate: gates.gate, Outlier: &balance.Outlier{Consecutive: 1}}, named("a", "b", "c")...)
	for range 100 {
		v, err := balance.Do(bg, b, func(_ context.Context, e *registry.Endpoint) (string, error) { return e.ID(), nil })
		require.NoError(t, err)
		require.NotEqual(t, "b", v)
	}
	assert.Positive(t, gates.asked["b"])
	assert.Zero(t, endpoint(t, r, "b").Picks())
	assert.Zero(t, members(b)["b"].Failures)
	assert.Equal(t, balance.Stats{Members: 3, Usable: 3, RetryTokens: 10}, b.Stats())

	gates.closed["a"], gates.closed["c"] = errGate, errGate
	_, err := balance.Do(bg, b, answer)
	require.ErrorIs(t, err, balance.ErrNoInstances)
	require.ErrorIs(t, err, errGate)
	assert.Empty(t, inFlight(r))
}

package balance_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// S16: given Consecutive 5 and Base 30s, the second ejection lasts 60s, later
// ones stop at Max, and the multiplier falls while all is well.
func TestS16_ejectionsGrow(t *testing.T) {
	bothClocks(t, func(t *testing.T, c registry.Clock, pass func(time.Duration)) {
		var j journal
		r := newRegistry(t, registry.Config{Clock: c})
		registerAll(t, r, numbered(4)...)
		b := newBalancer(t, r, balance.Config{
			Hooks:   j.hooks(),
			Outlier: &balance.Outlier{Consecutive: 5, Base: 30 * time.Second, Max: 100 * time.Second},
		})
		eject := func(want time.Duration) {
			t.Helper()
			calls(t, b, "i002", 4, errSick)
			require.Empty(t, j.ejected())
			calls(t, b, "i002", 1, errSick)
			told := j.ejected()
			require.Len(t, told, 1)
			require.Equal(t, want, told[0].For)
			pass(want - 1)
			require.NotContains(t, counts(sequence(t, b, 100)), "i002")
			pass(1)
			require.Contains(t, counts(sequence(t, b, 100)), "i002")
			require.Len(t, j.ejected(), 1)
		}
		const s = time.Second
		for _, want := range []time.Duration{30 * s, 60 * s, 90 * s, 100 * s, 100 * s} {
			eject(want)
		}
		pass(40 * time.Second) // four Intervals: one of five is left
		eject(60 * time.Second)
	})
}

// S17: given 3 instances and MaxEjected 0.5, at most one is ejected; a service of
// one ejects none, unless AlwaysOne says so.
func TestS17_smallServices(t *testing.T) {
	for _, c := range []struct {
		n         int
		alwaysOne bool
		want      int
	}{{1, false, 0}, {1, true, 1}, {2, false, 1}, {3, false, 1}, {3, true, 1}, {4, false, 2}} {
		t.Run(fmt.Sprint(c.n, c.alwaysOne), func(t *testing.T) {
			_, b, clk, _ := watched(t, c.n, balance.Outlier{MaxEjected: 0.5, AlwaysOne: c.alwaysOne})
			for range 3 {
				for m := range b.Members() {
					if !m.Ejected {
						calls(t, b, m.Endpoint.ID(), 5, errSick)
					}
				}
				assert.Equal(t, c.want, b.Stats().Ejected)
			}
			clk.pass(defaultBase)
			assert.Zero(t, b.Stats().Ejected)
		})
	}
}

// S18: given the usable share below PanicThreshold, picks spread over all that
// were not taken out by hand, and the hook is told once in, once out; with a
// negative threshold it is ErrNoInstances without allocation.
func TestS18_panicMode(t *testing.T) {
	var j journal
	r, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Hooks: j.hooks()}, numbered(6)...)
	closed := newBalancer(t, r, balance.Config{PanicThreshold: -1, Hooks: j.hooks()})
	setHealth(t, r, "i000", registry.Draining)
	setHealth(t, r, "i001", registry.Down)
	for i := 2; i < 6; i++ {
		require.Empty(t, counts(sequence(t, b, 40))["i000"])
		setHealth(t, r, fmt.Sprintf("i%03d", i), registry.Critical)
	}
	assert.Equal(t, map[string]int{"i002": 10, "i003": 10, "i004": 10, "i005": 10}, counts(sequence(t, b, 40)))
	_, err := closed.Pick(bg)
	require.ErrorIs(t, err, balance.ErrNoInstances)
	if !raceEnabled {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = closed.Pick(bg) }))
	}
	for i := range 6 {
		setHealth(t, r, fmt.Sprintf("i%03d", i), 0)
		sequence(t, b, 1)
	}
	told := j.panicModes()
	require.Len(t, told, 2)
	assert.True(t, told[0].Active)
	assert.False(t, told[1].Active)
	assert.Len(t, counts(sequence(t, b, 60)), 6)
}

// S22, of Do: given a first instance that refuses the connection, another one
// answers, and one token is spent.
func TestS22_anotherInstance(t *testing.T) {
	r, b := with(t, balance.Config{Policy: balance.RoundRobin{}}, numbered(3)...)
	for range 3 {
		before, n := b.Stats().Retries, 0
		v, err := balance.Do(bg, b, func(_ context.Context, e *registry.Endpoint) (string, error) {
			assert.Equal(t, map[string]int{e.ID(): 1}, inFlight(r), "only this attempt is under way")
			if n++; n == 1 {
				return "", errSick
			}
			return e.ID(), nil
		})
		require.NoError(t, err)
		assert.NotEmpty(t, v)
		assert.Equal(t, 2, n)
		assert.EqualValues(t, 1, b.Stats().Retries-before)
		assert.Empty(t, inFlight(r))
	}
	assert.InDelta(t, 10-3+0.4, b.Stats().RetryTokens, 1e-9, "the first call found it full")
}

// S25: given no budget left, Do makes one attempt and RetriesDenied grows. Given
// that fn panics or calls Goexit, in flight goes back to 0 and the panic reaches
// the caller.
func TestS25_noBudget(t *testing.T) {
	_, b := with(t, balance.Config{Retry: balance.Retry{Burst: 1, Budget: 1e-6}}, numbered(4)...)
	n := 0
	fail := func(context.Context, *registry.Endpoint) (int, error) { n++; return 0, errSick }
	_, err := balance.Do(bg, b, fail)
	require.Same(t, errSick, err)
	require.Equal(t, 2, n)
	for i := range 5 {
		n = 0
		_, err = balance.Do(bg, b, fail)
		require.Same(t, errSick, err)
		assert.Equal(t, 1, n)
		assert.EqualValues(t, i+1, b.Stats().RetriesDenied)
	}
	assert.EqualValues(t, 1, b.Stats().Retries)
}

func TestS25_unwinding(t *testing.T) {
	r, b := with(t, balance.Config{}, numbered(4)...)
	assert.PanicsWithValue(t, "boom", func() {
		_, _ = balance.Do(bg, b, func(context.Context, *registry.Endpoint) (int, error) { panic("boom") })
	})
	assert.Empty(t, inFlight(r))
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = balance.Do(bg, b, func(context.Context, *registry.Endpoint) (int, error) {
			runtime.Goexit()
			return 0, nil
		})
	})
	wg.Wait()
	assert.Empty(t, inFlight(r))
	failures := 0
	for m := range b.Members() {
		failures += int(m.Failures)
	}
	assert.Equal(t, 2, failures)
}

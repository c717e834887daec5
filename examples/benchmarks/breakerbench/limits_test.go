package breakerbench

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// Breakers that count failures in a row all open after as many as they say.
func TestStreakLimits(t *testing.T) {
	b, _ := streak()
	require.NoError(t, oursOpens(b, limit, limit))

	cb, _ := gobreakerNew(gobreakerStreak())
	require.NoError(t, opens(limit+1, limit+1,
		func() bool { return cb.State() == gobreaker.StateOpen }, func() { _, _ = cb.Execute(failPlain) }),
		"more than five")

	fs := failsafeStreak.build()
	require.NoError(t, opens(limit, limit, fs.IsOpen, fs.RecordFailure))

	require.NoError(t, eapacheOpens(newEapache()))
}

// A success ends a row of failures everywhere but with eapache.
func TestStreakIsEndedBySuccess(t *testing.T) {
	b, _ := streak()
	oursDoMixedOnce(b, fourOfFiveFail, 10)
	assert.Equal(t, breaker.Closed, b.State())

	ea := newEapache()
	for range limit {
		_ = ea.Run(failErrorPlain)
		_ = ea.Run(passErrorPlain)
	}
	assert.ErrorContains(t, ea.Run(passErrorPlain), "open", "why it has no place in the row with failures")
}

func oursDoMixedOnce(b *breaker.Breaker, pattern []bool, times int) {
	for range times {
		for _, fn := range choose(pattern, pass, fail) {
			_, _ = breaker.Do(context.Background(), b, fn)
		}
	}
}

// Rates over the last 100 calls: half of them open, neither less nor later.
func TestCountLimits(t *testing.T) {
	const half = windowCalls / 2
	b, _ := countWindow()
	doLoop(context.Background(), b)(windowCalls)
	require.NoError(t, oursOpens(b, half, half))

	cb := failsafeCount.build()
	recordLoop(cb)(windowCalls)
	require.NoError(t, opens(half, half, cb.IsOpen, cb.RecordFailure))
}

// Rates over 10 seconds: half of at least 20, and what is older is gone.
func TestTimeLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, _ := timeWindow()
		sony, _ := gobreakerNew(gobreakerRolling())
		fs := failsafeTime.build()
		calls := func() []uint64 {
			_ = sony.State() // it rolls on when it is asked something
			_ = fs.TryAcquirePermit()
			return []uint64{ours.Snapshot().Calls, uint64(sony.Counts().Requests), uint64(fs.Metrics().Executions())}
		}

		const n = 15
		doLoop(context.Background(), ours)(n)
		executeLoop(sony)(n)
		recordLoop(fs)(n)
		assert.Equal(t, []uint64{n, n, n}, calls())

		time.Sleep(windowTime / 2)
		assert.Equal(t, []uint64{n, n, n}, calls(), "still inside")
		time.Sleep(windowTime)
		assert.Equal(t, []uint64{0, 0}, calls()[:2], "gone")
		fs.RecordSuccess()
		assert.Equal(t, uint(1), fs.Metrics().Executions(), "gone with the next outcome")

		time.Sleep(2 * windowTime)
		require.NoError(t, oursOpens(ours, minCalls, minCalls))
		require.NoError(t, opens(minCalls, minCalls,
			func() bool { return sony.State() == gobreaker.StateOpen }, func() { _, _ = sony.Execute(failPlain) }))
		require.NoError(t, opens(minCalls, minCalls, fs.IsOpen, fs.RecordFailure))
	})
}

// The slow rule counts what takes long, not what fails.
func TestSlowLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := slowWindow()
		err := opens(minCalls, minCalls, func() bool { return b.State() == breaker.Open }, func() {
			_ = b.Run(context.Background(), func(context.Context) error {
				time.Sleep(2 * time.Second)
				return nil
			})
		})
		require.NoError(t, err)
	})
}

// None of the open breakers turns half-open while it is measured.
func TestOpenTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := open()
		cb, _ := gobreakerOpen()
		fs := failsafeOpen()
		time.Sleep(openFor - time.Second)
		assert.Equal(t, breaker.Open, b.State())
		assert.Equal(t, gobreaker.StateOpen, cb.State())
		assert.False(t, fs.TryAcquirePermit())
	})
}

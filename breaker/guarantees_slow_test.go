package breaker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G14: slow at exactly the threshold, failed or not, in windows of both kinds.
func TestG14_slowCalls(t *testing.T) {
	const threshold = time.Second
	windows := map[string]breaker.Window{"last": breaker.LastN(100), "within": breaker.Within(time.Hour)}
	inBubbles(t, windows, func(t *testing.T, w breaker.Window) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{
			Trip:  breaker.Any(breaker.FailureRate(1, 100, w), breaker.SlowRate(threshold, 1, 100, w)),
			Hooks: breaker.Hooks{Done: r.hooks().Done},
		})
		calls := []struct {
			took time.Duration
			err  error
			slow bool
		}{
			{0, nil, false},
			{threshold - 1, nil, false},
			{threshold - 1, errBoom, false},
			{threshold, nil, true},
			{threshold, errBoom, true},
			{time.Minute, nil, true},
		}
		for _, c := range calls {
			_ = b.Run(t.Context(), lasting(c.took, c.err))
			assert.Equal(t, c.slow, r.completed(t).Slow)
			assert.Equal(t, c.took, r.completed(t).Took)
		}
		s := b.Snapshot()
		assert.EqualValues(t, 6, s.SlowOf)
		assert.EqualValues(t, 3, s.Slow)
		assert.InDelta(t, 0.5, s.SlowRate, 0)
		assert.EqualValues(t, 6, s.Calls)
		assert.EqualValues(t, 2, s.Failures)
		assert.InDelta(t, 2.0/6, s.FailureRate, 1e-9)
	})
}

// G14: of two thresholds each rule goes by its own; Completion by the lower.
func TestG14_twoThresholds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.Any(
				breaker.SlowRate(3*time.Second, 1, 2, breaker.LastN(2)),
				breaker.SlowRate(time.Second, 1, 5, breaker.LastN(5)),
			),
			Hooks: r.hooks(),
		})
		for range 4 {
			require.NoError(t, b.Run(t.Context(), lasting(2*time.Second, nil)))
			assert.True(t, r.completed(t).Slow)
			assertState(t, breaker.Closed, b)
			assert.Zero(t, b.Snapshot().Slow, "the first rule's threshold is 3s")
		}
		require.NoError(t, b.Run(t.Context(), lasting(2*time.Second, nil)))
		assertState(t, breaker.Open, b)
	})
}

// G14: a call given up after the threshold is slow, and in no other window.
func TestG14_givenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.Any(
			breaker.SlowRate(time.Second, 1, 9, breaker.LastN(9)),
			breaker.FailureRate(1, 9, breaker.LastN(9)),
		)})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		assert.Equal(t, context.Canceled, b.Run(ctx, hang))
		s := b.Snapshot()
		assert.EqualValues(t, 1, s.SlowOf)
		assert.EqualValues(t, 1, s.Slow)
		assert.Equal(t, tallies{Ignored: 1}, tally(b))
	})
}

// G14: a slow probe is a failed one, cancelled or not.
func TestG14_slowProbe(t *testing.T) {
	probes := map[string]func(context.Context, context.CancelFunc) error{
		"succeeds": func(context.Context, context.CancelFunc) error { time.Sleep(time.Second); return nil },
		"cancelled": func(ctx context.Context, cancel context.CancelFunc) error {
			time.AfterFunc(time.Second, cancel)
			return hang(ctx)
		},
	}
	inBubbles(t, probes, func(t *testing.T, probe func(context.Context, context.CancelFunc) error) {
		b := halfOpened(t, breaker.Config{Trip: breaker.SlowRate(time.Second, 1, 9, breaker.LastN(9)), CloseAfter: 1})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_ = b.Run(ctx, func(ctx context.Context) error { return probe(ctx, cancel) })
		assertState(t, breaker.Open, b)
		assert.Equal(t, breaker.ReasonProbeFailed, b.Snapshot().Reason)
		assert.Error(t, b.Snapshot().Cause)
	})
}

// G14, G10: a slow probe that is ignored for another reason than that its caller
// gave up has not failed.
func TestG14_slowProbeIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{Trip: breaker.SlowRate(time.Second, 1, 9, breaker.LastN(9))})
		p := issued(t, b)
		time.Sleep(time.Second)
		p.Record(breaker.Ignored, nil)
		assertState(t, breaker.HalfOpen, b)
		assert.Equal(t, tallies{Ignored: 1}, tally(b))
	})
}

// G14, G25: a probe that is slow already when it tells of its progress has
// failed.
func TestG14_slowProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{
			Trip: breaker.SlowRate(time.Second, 1, 9, breaker.LastN(9)), ProbeLease: 2 * time.Second, CloseAfter: 1,
		})
		p := issued(t, b)
		time.Sleep(time.Second)
		p.Progress()
		assertState(t, breaker.Open, b)
		assert.Equal(t, breaker.ReasonProbeFailed, b.Snapshot().Reason)
	})
}

// G15: DoResult's classifier judges every return, and Config's is not asked.
func TestG15_doResult(t *testing.T) {
	newBreaker := func() *breaker.Breaker {
		return breaker.MustNew("b", breaker.Config{
			Trip: breaker.FailureRate(1, 2, breaker.LastN(2)),
			Classify: func(context.Context, error) breaker.Outcome {
				assert.Fail(t, "asked")
				return breaker.Failure
			},
		})
	}
	judge := func(o breaker.Outcome) func(int, error) breaker.Outcome {
		return func(n int, _ error) breaker.Outcome {
			assert.Equal(t, 42, n)
			return o
		}
	}
	for _, err := range []error{nil, errBoom} {
		for o, want := range map[breaker.Outcome]tallies{
			breaker.Success: {Calls: 1},
			breaker.Failure: {Calls: 1, Failures: 1},
			breaker.Ignored: {Ignored: 1},
		} {
			b := newBreaker()
			n, got := breaker.DoResult(t.Context(), b, func(context.Context) (int, error) { return 42, err }, judge(o))
			assert.Equal(t, 42, n)
			assert.Equal(t, err, got)
			assert.Equal(t, want, tally(b))
		}
	}
	b := newBreaker()
	for range 2 {
		_, err := breaker.DoResult(t.Context(), b, func(context.Context) (int, error) { return 42, nil }, judge(breaker.Failure))
		require.NoError(t, err)
	}
	assertState(t, breaker.Open, b)
	require.Error(t, b.Snapshot().Cause)
	assert.Contains(t, b.Snapshot().Cause.Error(), "judged a failure")
}

// G15: without a classifier DoResult is Do.
func TestG15_nilClassifier(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{
		Trip:     breaker.FailureRate(1, 9, breaker.LastN(9)),
		Classify: func(context.Context, error) breaker.Outcome { return breaker.Success },
	})
	n, err := breaker.DoResult(t.Context(), b, func(context.Context) (int, error) { return 42, errBoom }, nil)
	assert.Equal(t, 42, n)
	assert.Equal(t, errBoom, err)
	assert.Equal(t, tallies{Calls: 1}, tally(b))
}

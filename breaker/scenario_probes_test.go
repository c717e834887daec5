package breaker_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G2: the open time ends at exactly its length.
func TestScenario07_openTimeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), OpenFor: openFor})
		failing(t, b, 1)
		opened := time.Now()
		assert.Equal(t, openFor, refusal(t, b).RetryAfter())

		time.Sleep(openFor - 1)
		assert.Equal(t, time.Nanosecond, refusal(t, b).RetryAfter())
		assert.Equal(t, time.Nanosecond, b.Snapshot().RetryAfter)
		assertState(t, breaker.Open, b)

		time.Sleep(time.Nanosecond)
		require.NoError(t, b.Run(t.Context(), func(context.Context) error {
			assert.Equal(t, opened.Add(openFor), time.Now())
			assertState(t, breaker.HalfOpen, b)
			assert.Equal(t, 1, b.Snapshot().Probes)
			return nil
		}))
		assertState(t, breaker.HalfOpen, b)
	})
}

// G1, G3: one probe of a hundred callers, and the others do not wait.
func TestScenario08_oneProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{})
		before := b.Snapshot().Rejected
		began := time.Now()
		var ran, tooMany, waited atomic.Int64
		release := make(chan struct{})
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				err := b.Run(t.Context(), func(context.Context) error {
					ran.Add(1)
					<-release
					return nil
				})
				switch {
				case err == nil:
				case assert.ErrorIs(t, err, breaker.ErrTooManyProbes):
					tooMany.Add(1)
				}
				if time.Since(began) > 0 {
					waited.Add(1)
				}
			})
		}
		// All but the probe have returned as soon as nothing else can happen.
		synctest.Wait()
		assert.EqualValues(t, 1, ran.Load())
		assert.EqualValues(t, 99, tooMany.Load())
		assert.Zero(t, waited.Load())
		close(release)
		callers.Wait()
		assert.EqualValues(t, before+99, b.Snapshot().Rejected)
	})
}

// G23, G24: the report of the last probe closes.
func TestScenario09_probesClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{Probes: 2, CloseAfter: 3, Hooks: r.transition()})
		passing(t, b, 2)
		assertState(t, breaker.HalfOpen, b)
		p := issued(t, b)
		assertState(t, breaker.HalfOpen, b)
		p.Done(nil)
		assertState(t, breaker.Closed, b)
		assert.Equal(t, []string{
			"closed > open: trip",
			"open > half-open: open time over",
			"half-open > closed: probes passed",
		}, r.steps())
	})
}

// G23, G8: one failed probe opens anew, and the others report late.
func TestScenario10_probeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{Probes: 3})
		first, second, third := issued(t, b), issued(t, b), issued(t, b)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		time.Sleep(time.Second)

		first.Done(errBoom)
		s := b.Snapshot()
		assert.Equal(t, breaker.Open, s.State)
		assert.Equal(t, breaker.ReasonProbeFailed, s.Reason)
		assert.Equal(t, errBoom, s.Cause)
		assert.Equal(t, openFor, s.RetryAfter)
		assert.Equal(t, time.Now(), s.Since)

		second.Done(nil)
		third.Done(errOther)
		s.Late = 2
		assert.Equal(t, s, b.Snapshot())
	})
}

// G9: a panic in a probe is a failure and reaches the caller as it was.
func TestScenario11_probePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{Hooks: r.transition(), CloseOf: 4})
		var slots int
		var stack string
		func() {
			defer func() {
				assert.Equal(t, errBoom, recover())
				slots = b.Snapshot().Probes
				trace := make([]byte, 1<<16)
				stack = string(trace[:runtime.Stack(trace, false)])
			}()
			_ = b.Run(t.Context(), explode)
		}()
		assert.Zero(t, slots, "the slot is not free when the panic arrives")
		assert.True(t, strings.Contains(stack, "breaker_test.explode("), "the stack of the panic is lost:\n%s", stack)
		assert.Equal(t, tallies{Calls: 1, Failures: 1}, tally(b))
		passing(t, b, 1) // one may fail out of four, so the next probe runs

		_, _ = exiting(func() { _ = b.Run(context.Background(), explode) })
		assertState(t, breaker.Open, b)
		assert.Equal(t, breaker.ReasonProbeFailed, r.last(t).Reason)
		require.Error(t, r.last(t).Cause)
		assert.Contains(t, r.last(t).Cause.Error(), "panicked")
		assert.NotErrorIs(t, r.last(t).Cause, errBoom, "nobody recovered the value")
	})
}

//go:noinline
func explode(context.Context) error { panic(errBoom) }

// G9: runtime.Goexit in a probe is a failure too.
func TestScenario11_probeExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{})
		panicked, returned := exiting(func() {
			_ = b.Run(context.Background(), func(context.Context) error {
				runtime.Goexit()
				return nil
			})
		})
		assert.Nil(t, panicked)
		assert.False(t, returned)
		s := b.Snapshot()
		assert.Equal(t, breaker.Open, s.State)
		assert.Zero(t, s.Probes)
		require.Error(t, s.Cause)
		assert.Contains(t, s.Cause.Error(), "exited")

		time.Sleep(openFor)
		passing(t, b, 3)
		assertState(t, breaker.Closed, b)
	})
}

// G10, G12: a probe that its caller gives up decides nothing.
func TestScenario12_probeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1})
		ctx, cancel := context.WithCancel(t.Context())
		err := b.Run(ctx, func(ctx context.Context) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		})
		assert.Equal(t, context.Canceled, err)
		s := b.Snapshot()
		assert.Equal(t, breaker.HalfOpen, s.State)
		assert.Zero(t, s.Probes)
		assert.Equal(t, tallies{Ignored: 1}, tally(b))
	})
}

// G10: however many probes are ignored, the next may run.
func TestScenario12_probesIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{
			CloseAfter: 1,
			Classify:   func(context.Context, error) breaker.Outcome { return breaker.Ignored },
		})
		for range 100 {
			failing(t, b, 1)
		}
		assert.Equal(t, tallies{Ignored: 100}, tally(b))
		assertState(t, breaker.HalfOpen, b)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// G5: reads show half-open without changing anything.
func TestScenario28_noTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Hooks: r.transition()})
		failing(t, b, 1)
		end := time.Now().Add(openFor)
		time.Sleep(openFor + time.Hour)

		assert.Equal(t, breaker.HalfOpen, b.State())
		s := b.Snapshot()
		assert.Equal(t, s, b.Snapshot())
		assert.Equal(t, breaker.HalfOpen, s.State)
		assert.Equal(t, end, s.Since)
		assert.Zero(t, s.RetryAfter)
		assert.Len(t, r.all(), 1, "a read sent an event")

		p := issued(t, b)
		assert.Equal(t, []string{"closed > open: failures", "open > half-open: open time over"}, r.steps())
		assert.Equal(t, time.Now(), r.last(t).At)
		assert.Equal(t, end, b.Snapshot().Since)
		p.Done(nil)
		assert.Len(t, r.all(), 2)
	})
}

// G25: progress in the second half of a lease ends a probe well.
func TestScenario29_progress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = 10 * time.Second
		b := halfOpened(t, breaker.Config{CloseAfter: 1, ProbeLease: lease})
		p := issued(t, b)
		time.Sleep(lease * 4 / 10)
		p.Progress()
		assertState(t, breaker.HalfOpen, b)
		assert.Equal(t, 1, b.Snapshot().Probes)

		time.Sleep(lease * 2 / 10)
		p.Progress()
		assertState(t, breaker.Closed, b)

		before := b.Snapshot()
		p.Progress()
		p.Done(errBoom)
		p.Trip(time.Hour, errBoom)
		assert.Equal(t, before, b.Snapshot())
	})
}

package breaker_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

var (
	_ breaker.Clock = (*clock.Mock)(nil)
	_ breaker.Clock = clock.New()
)

// G21, G2: the backoff goes on unless the breaker was closed for StableAfter.
func TestScenario15_stableAfter(t *testing.T) {
	const stable = time.Minute
	cases := map[string]struct{ closedFor, want time.Duration }{
		"at once":          {0, 4 * openFor},
		"just before":      {stable - 1, 4 * openFor},
		"exactly as long":  {stable, openFor},
		"longer than that": {stable + time.Hour, openFor},
		"half of that":     {stable / 2, 4 * openFor},
	}
	inBubbles(t, cases, func(t *testing.T, c struct{ closedFor, want time.Duration }) {
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.ConsecutiveFailures(1), OpenFor: openFor, Backoff: 2, StableAfter: stable,
		})
		failing(t, b, 1)
		require.Equal(t, openFor, refusal(t, b).RetryAfter())
		time.Sleep(openFor)
		failing(t, b, 1)
		require.Equal(t, 2*openFor, refusal(t, b).RetryAfter())
		time.Sleep(2 * openFor)
		passing(t, b, 3)
		require.Equal(t, breaker.Closed, b.State())

		time.Sleep(c.closedFor)
		failing(t, b, 1)
		assert.Equal(t, c.want, refusal(t, b).RetryAfter())
	})
}

// G26: half way up a ramp from 0.1 the share is 0.55, and the same calls make
// it up every time.
func TestScenario20_ramp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := func() (admitted []int) {
			b := halfOpened(t, breaker.Config{
				Trip:       breaker.FailureRate(1, 0, breaker.LastN(thousand)),
				CloseAfter: 1, Ramp: 10 * time.Second, RampFrom: 0.1,
			})
			passing(t, b, 1)
			assertState(t, breaker.Recovering, b)
			time.Sleep(5 * time.Second)
			for i := range 100 {
				if b.Run(t.Context(), returning(nil)) == nil {
					admitted = append(admitted, i)
				}
			}
			assert.EqualValues(t, len(admitted), b.Snapshot().Calls)
			return admitted
		}
		first := run()
		assert.InDelta(t, 55, len(first), 1)
		assert.Equal(t, first, run())
	})
}

// G26: the rules apply while recovering.
func TestScenario20_rampFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{
			Trip: breaker.ConsecutiveFailures(3), CloseAfter: 1, Ramp: 10 * time.Second, Hooks: r.transition(),
		})
		passing(t, b, 1)
		time.Sleep(5 * time.Second)
		failures := 0
		for b.State() == breaker.Recovering {
			if errors.Is(b.Run(t.Context(), returning(errBoom)), errBoom) {
				failures++
			}
		}
		assert.Equal(t, 3, failures)
		assertState(t, breaker.Open, b)
		assert.Equal(t, breaker.ReasonFailures, r.last(t).Reason)
		assert.Equal(t, breaker.Recovering, r.last(t).From)
	})
}

// G26, G8: Recovering and the Closed after it are one stay for the outcomes.
func TestScenario20_rampOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{
			Trip: breaker.ConsecutiveFailures(2), CloseAfter: 1,
			Ramp: 10 * time.Second, RampFrom: 0.9, Hooks: r.transition(),
		})
		passing(t, b, 1)
		time.Sleep(5 * time.Second)
		var p *breaker.Permit
		for p == nil {
			if early, err := b.Allow(t.Context()); err == nil {
				p = &early
			}
		}
		time.Sleep(5*time.Second - 1)
		assertState(t, breaker.Recovering, b)
		time.Sleep(time.Nanosecond)
		failing(t, b, 1)
		assertState(t, breaker.Closed, b)
		assert.Equal(t, breaker.ReasonRamped, r.last(t).Reason)
		p.Done(errBoom)
		assertState(t, breaker.Open, b)
		assert.Zero(t, b.Snapshot().Late)
	})
}

// G4: a call whose ctx is done on entry touches nothing.
func TestScenario21_cancelledCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{Hooks: r.hooks()})
		before, events := b.Snapshot(), len(r.all())
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errOther)

		ran := false
		err := b.Run(ctx, func(context.Context) error {
			ran = true
			return nil
		})
		assert.Equal(t, errOther, err)
		assert.False(t, ran)
		_, err = b.Allow(ctx)
		assert.Equal(t, errOther, err)

		assert.Equal(t, before, b.Snapshot())
		assert.Len(t, r.all(), events)
		passing(t, b, 1) // the slot is free
	})
}

// recoverOnMock opens a breaker at time 0 and has it recover, on a Mock that
// pass moves on.
func recoverOnMock(t *testing.T, mock *clock.Mock, pass func(time.Duration)) {
	t.Helper()
	require.Equal(t, time.Unix(0, 0).UTC(), mock.Now().UTC())
	var r recorder
	b := breaker.MustNew("b", breaker.Config{
		Trip:       breaker.Any(breaker.FailureRate(1, 3, breaker.Within(10*time.Second)), breaker.FailureCount(9, breaker.Within(time.Second))),
		OpenFor:    openFor,
		Backoff:    2,
		ProbeLease: time.Second,
		CloseAfter: 2,
		Ramp:       10 * time.Second,
		RampFrom:   0.5,
		Hooks:      r.hooks(),
		Clock:      mock,
	})
	failing(t, b, 2)
	assert.Equal(t, tallies{Calls: 2, Failures: 2}, tally(b))
	failing(t, b, 1)
	assertState(t, breaker.Open, b)
	assert.Equal(t, openFor, refusal(t, b).RetryAfter())
	assert.Equal(t, time.Unix(0, 0).UTC(), b.Snapshot().Since.UTC())

	pass(openFor - 1)
	assert.Equal(t, time.Nanosecond, refusal(t, b).RetryAfter())
	pass(1)
	issued(t, b)
	pass(time.Second)
	assert.Equal(t, 2*openFor, refusal(t, b).RetryAfter(), "the lost probe")
	pass(2 * openFor)
	passing(t, b, 2)
	assertState(t, breaker.Recovering, b)
	pass(10 * time.Second)
	passing(t, b, 1)
	assertState(t, breaker.Closed, b)
	assert.Equal(t, []string{
		"closed > open: failures",
		"open > half-open: open time over",
		"half-open > open: probe lost",
		"open > half-open: open time over",
		"half-open > recovering: probes passed",
		"recovering > closed: ramped",
	}, r.steps())
	assert.Equal(t, time.Unix(0, 0).Add(3*openFor+11*time.Second).UTC(), r.last(t).At.UTC())
}

// G33: a clock that begins at Unix 0 works.
func TestScenario31_mock(t *testing.T) {
	mock := clock.NewMock()
	recoverOnMock(t, mock, mock.Add)
}

// G33: inside a bubble the two kinds of fake time do not mix.
func TestScenario31_mockInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		recoverOnMock(t, mock, func(d time.Duration) {
			time.Sleep(time.Hour) // means nothing to the breaker
			synctest.Wait()
			mock.Add(d)
			synctest.Wait()
		})
	})
}

// G21: the arithmetic of the open time saturates.
func TestScenario31_noOverflow(t *testing.T) {
	for _, maxOpenFor := range []time.Duration{0, -1, math.MaxInt64} {
		c := newFakeClock()
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.ConsecutiveFailures(1), OpenFor: math.MaxInt64, MaxOpenFor: maxOpenFor,
			Backoff: 2, Jitter: 0.5, Clock: c,
		})
		for range 3 {
			failing(t, b, 1)
			left := refusal(t, b).RetryAfter()
			assert.GreaterOrEqual(t, left, time.Duration(math.MaxInt64/2))
			b.Trip(0, errBoom)
			b.Trip(math.MaxInt64, errBoom)
			assert.Equal(t, time.Duration(math.MaxInt64), refusal(t, b).RetryAfter())
			c.advance(time.Hour)
			assert.Equal(t, math.MaxInt64-time.Hour, refusal(t, b).RetryAfter())
			b.Trip(math.MaxInt64, errBoom)
			assert.Positive(t, refusal(t, b).RetryAfter())
			b.Reset()
		}
	}
}

// G33: a dropped breaker leaves nothing behind that a bubble would wait for.
func TestScenario32_nothingLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{ProbeLease: time.Second, Ramp: time.Second})
		b.Trip(time.Second, errBoom)
		time.Sleep(time.Second)
		issued(t, b) // never reported
		time.Sleep(time.Second)
		refused(t, b)
		time.Sleep(openFor)
		passing(t, b, 3)
		assertState(t, breaker.Recovering, b)
	})
}

// G40: concurrent first Gets make one breaker.
func TestScenario32_firstGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := breaker.MustNewGroup(breaker.GroupConfig[string]{})
		got := make([]*breaker.Breaker, 100)
		start := make(chan struct{})
		var callers sync.WaitGroup
		for i := range got {
			callers.Go(func() {
				<-start
				got[i] = g.Get("key")
			})
		}
		synctest.Wait()
		close(start)
		callers.Wait()
		for _, b := range got {
			assert.Same(t, got[0], b)
		}
		assert.Equal(t, 1, g.Len())
	})
}

package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// Defects, seen in the libraries named, of what counts and what does not.

// sony/gobreaker: done called ten times counts ten failures.
func TestTrap_doneTenTimes(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{})
	p := issued(t, b)
	for range 10 {
		p.Done(errBoom)
	}
	assert.Equal(t, tallies{Calls: 1, Failures: 1}, tally(b))
}

// sony/gobreaker: an outcome counts in the interval in which its call began, so
// slow failures vanish.
func TestTrap_slowFailuresVanish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(1, 10, breaker.Within(time.Second))})
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() { _ = b.Run(t.Context(), lasting(time.Minute, errBoom)) })
		}
		calls.Wait()
		assertState(t, breaker.Open, b)
	})
}

// sony/gobreaker: totals that are never cleared dilute an outage.
func TestTrap_successesDiluteAnOutage(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(0.5, 0, breaker.LastN(20))})
	passing(t, b, 200_000)
	failing(t, b, 10)
	assertState(t, breaker.Open, b)
}

// failsafe-go: threshold 0 is accepted and divides by zero later.
// eapache/go-resiliency: it is accepted and never trips.
func TestTrap_thresholdZero(t *testing.T) {
	for _, rule := range []breaker.Rule{
		breaker.ConsecutiveFailures(0),
		breaker.FailureCount(0, breaker.LastN(10)),
		breaker.FailureCount(1, breaker.LastN(0)),
		breaker.FailureRate(0, 0, breaker.LastN(10)),
		breaker.FailureRate(0, 0, breaker.Within(time.Second)),
	} {
		_, err := breaker.New("b", breaker.Config{Trip: rule})
		assert.Error(t, err, rule.String())
	}
}

// failsafe-go: outcomes of calls that were admitted while closed count in
// half-open and free slots that are not theirs. Polly: outcomes of older
// states count. cep21/circuit: a stale failure spoils a probe.
// resilience4j: a stale release raises the limit above its maximum.
func TestTrap_staleOutcomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{CloseAfter: 2, CloseOf: 3})
		var stale []*breaker.Permit
		for range 8 {
			stale = append(stale, issued(t, b))
		}
		failing(t, b, 5)
		time.Sleep(openFor)
		probe := issued(t, b)
		for i, p := range stale {
			p.Done([]error{nil, errBoom}[i%2])
			assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		}
		assert.Equal(t, tallies{Late: 8}, tally(b))
		assert.Equal(t, 1, b.Snapshot().Probes)
		probe.Done(nil)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// failsafe-go: metrics show buckets that have expired.
func TestTrap_expiredBucketsShown(t *testing.T) {
	c := newFakeClock()
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(1, 100, breaker.Within(time.Second)), Clock: c})
	failing(t, b, 50)
	c.advance(time.Second)
	assert.Equal(t, tallies{}, tally(b))
}

// mercari: a marker error is not recognised when it is wrapped.
func TestTrap_wrappedErrors(t *testing.T) {
	inner := breaker.MustNew("inner", breaker.Config{Initial: breaker.ForcedOpen})
	outer := breaker.MustNew("outer", breaker.Config{Trip: breaker.ConsecutiveFailures(1)})
	err := outer.Run(t.Context(), func(ctx context.Context) error {
		return errors.Join(errOther, fmt.Errorf("1: %w", fmt.Errorf("2: %w", inner.Run(ctx, returning(nil)))))
	})
	assert.ErrorIs(t, err, breaker.ErrOpen)
	assertState(t, breaker.Closed, outer)
}

// mercari, cep21: DeadlineExceeded is ignored, so a dependency that hangs never
// trips. gobreaker, failsafe-go, eapache: the caller's cancel trips.
func TestTrap_deadlineAndCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(2)})
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			require.Equal(t, context.Canceled, b.Run(ctx, hang))
		}
		assertState(t, breaker.Closed, b)
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			require.Equal(t, context.DeadlineExceeded, b.Run(ctx, hang))
			cancel()
		}
		assertState(t, breaker.Open, b)
	})
}

// cep21/circuit: 57 of 100 became 56 percent.
func TestTrap_percentages(t *testing.T) {
	for percent := 1; percent <= 100; percent++ {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(float64(percent)/100, 100, breaker.LastN(100))})
		passing(t, b, 100)
		failing(t, b, percent-1)
		require.Equal(t, breaker.Closed, b.State(), "%d percent", percent)
		failing(t, b, 1)
		require.Equal(t, breaker.Open, b.State(), "%d percent", percent)
	}
}

// cep21: the configuration is read twice in one call.
func TestTrap_configReadTwice(t *testing.T) {
	var asked []string
	cfg := func(name string) breaker.Config {
		return breaker.Config{
			Trip:     breaker.SlowRate(time.Hour, 1, 1, breaker.LastN(1)),
			Classify: func(context.Context, error) breaker.Outcome { asked = append(asked, name); return breaker.Failure },
			Hooks:    breaker.Hooks{Done: func(context.Context, breaker.Completion) { asked = append(asked, name) }},
		}
	}
	b := breaker.MustNew("b", cfg("first"))
	require.Equal(t, errBoom, b.Run(t.Context(), func(context.Context) error {
		require.NoError(t, b.Reconfigure(cfg("second")))
		return errBoom
	}))
	assert.Equal(t, []string{"first", "first"}, asked)
}

// hystrix-go: samples that find a channel full are dropped.
func TestTrap_droppedSamples(t *testing.T) {
	rules := map[string]breaker.Rule{
		"last":   breaker.FailureRate(1, 1<<20, breaker.LastN(1<<20)),
		"within": breaker.FailureRate(1, 1<<20, breaker.Within(time.Hour)),
	}
	for name, rule := range rules {
		b := breaker.MustNew("b", breaker.Config{Trip: rule, Clock: newFakeClock()})
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for i := range 5000 {
					_ = b.Run(context.Background(), returning([]error{nil, errBoom}[i%2]))
				}
			})
		}
		callers.Wait()
		assert.Equal(t, tallies{Calls: 40_000, Failures: 20_000}, tally(b), name)
	}
}

// hystrix-go: a late success closes an open circuit.
func TestTrap_lateSuccessCloses(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), CloseAfter: 1})
	p := issued(t, b)
	failing(t, b, 1)
	p.Done(nil)
	assertState(t, breaker.Open, b)
	refused(t, b)
}

// slok/goresilience: a rejection is recorded as a failure and may reopen.
// zeromicro/go-zero: own rejections count and delay the recovery.
func TestTrap_rejectionsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(0.5, 2, breaker.Within(time.Hour)), CloseAfter: 1})
		failing(t, b, 2)
		for range 1000 {
			refused(t, b)
		}
		time.Sleep(openFor)
		p := issued(t, b)
		for range 1000 {
			refused(t, b)
		}
		p.Done(nil)
		assertState(t, breaker.Closed, b)
		assert.Equal(t, tallies{}, tally(b))

		// The error of its own rejection, handed back to it.
		b.Trip(0, nil)
		rejection := refusal(t, b)
		b.Reset()
		issued(t, b).Done(rejection)
		assert.Equal(t, tallies{Ignored: 1}, tally(b))
	})
}

// goresilience: 0/0 is NaN.
func TestTrap_zeroByZero(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.Any(
		breaker.FailureRate(0.5, -1, breaker.Within(time.Second)), breaker.SlowRate(time.Hour, 0.5, -1, breaker.Within(time.Second)),
	)})
	s := b.Snapshot()
	assert.True(t, s.FailureRate == 0 && s.SlowRate == 0)
	failing(t, b, 1)
	assertState(t, breaker.Open, b)
	s = b.Snapshot()
	assert.True(t, s.FailureRate == 0 && s.SlowRate == 0)
}

// eapache/go-resiliency: now and then one error among millions of successes
// adds up to a trip.
func TestTrap_errorsAddUp(t *testing.T) {
	for _, rule := range []breaker.Rule{
		breaker.ConsecutiveFailures(3),
		breaker.FailureCount(3, breaker.LastN(100)),
		breaker.FailureRate(0.03, 0, breaker.LastN(100)),
	} {
		b := breaker.MustNew("b", breaker.Config{Trip: rule})
		for range 500 {
			passing(t, b, 100)
			failing(t, b, 1)
		}
		assert.Equal(t, breaker.Closed, b.State(), rule.String())
	}
}

// resilience4j: a window reads the system's clock instead of the given one.
func TestTrap_twoClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeClock()
		var r recorder
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.Any(
				breaker.FailureRate(1, 3, breaker.Within(time.Second)), breaker.FailureCount(3, breaker.Within(time.Second)),
				breaker.SlowRate(time.Second, 1, 1, breaker.LastN(1)),
			),
			CloseAfter: 1, Ramp: time.Second, RampFrom: -1, Hooks: r.hooks(), Clock: c,
		})
		for range 2 {
			assert.Equal(t, errBoom, b.Run(t.Context(), lasting(time.Hour, errBoom))) // no time on its clock
		}
		assert.Zero(t, r.completed(t).Took)
		failing(t, b, 1)
		assertState(t, breaker.Open, b)
		time.Sleep(time.Hour)
		refused(t, b)
		c.advance(openFor)
		p := issued(t, b)
		time.Sleep(time.Hour)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		p.Done(nil)
		time.Sleep(time.Hour)
		assert.Equal(t, breaker.Recovering, refusal(t, b).State)
		c.advance(time.Second)
		passing(t, b, 1)
		assert.Equal(t, c.Now(), r.last(t).At)
	})
}

// The article: old failures survive into half-open and closed.
func TestTrap_oldFailuresSurvive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(3, breaker.Within(time.Hour)), CloseAfter: 1, CloseOf: 2})
		failing(t, b, 3)
		time.Sleep(openFor)
		failing(t, b, 1)
		assertState(t, breaker.HalfOpen, b)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
		failing(t, b, 2)
		assertState(t, breaker.Closed, b)
	})
}

// The article: > where >= was meant.
func TestTrap_offByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(3), OpenFor: time.Second, CloseAfter: 1})
		failing(t, b, 3)
		assertState(t, breaker.Open, b)
		time.Sleep(time.Second)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// The article: a call that is dropped leaves no record.
func TestTrap_droppedCallsLeaveARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{ProbeLease: time.Second, CloseAfter: 1, CloseOf: 2})
		issued(t, b)
		time.Sleep(time.Second)
		issued(t, b)
		assert.Equal(t, tallies{Calls: 1, Failures: 1}, tally(b))
		time.Sleep(time.Second)
		assert.Equal(t, breaker.ReasonProbeLost, refusal(t, b).Reason)
	})
}

package breaker_test

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// together runs f on n goroutines, each with numbers of its own, and waits.
func together(n int, f func(i int, rnd *rand.Rand)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i, rand.New(rand.NewPCG(uint64(i), 99))) })
	}
	all.Wait()
}

// G1: never more than the limit in flight, however probes end.
func TestConcurrent_probesInFlight(t *testing.T) {
	for _, limit := range []int{1, 3, 64} {
		b := halfOpened(t, breaker.Config{
			Probes: limit, CloseAfter: math.MaxInt32 / 2, CloseOf: math.MaxInt32, ProbeLease: -1, Clock: newFakeClock(),
		})
		var inFlight, admitted atomic.Int64
		together(8, func(_ int, rnd *rand.Rand) {
			for range 2000 {
				fate := rnd.IntN(6)
				probe := func(context.Context) error {
					admitted.Add(1)
					defer inFlight.Add(-1) // before the slot is free
					if n := inFlight.Add(1); n > int64(limit) {
						assert.LessOrEqual(t, n, int64(limit))
					}
					if rnd.IntN(4) == 0 {
						runtime.Gosched()
					}
					switch fate {
					case 0:
						return errBoom
					case 1:
						return breaker.ErrRejected // ignored
					case 2:
						panic(errBoom)
					case 3:
						runtime.Goexit()
					}
					return nil
				}
				if fate == 2 || fate == 3 {
					_, _ = exiting(func() { _ = b.Run(context.Background(), probe) })
				} else {
					_ = b.Run(context.Background(), probe)
				}
			}
		})
		s := b.Snapshot()
		assert.Equal(t, breaker.HalfOpen, s.State)
		assert.Zero(t, s.Probes)
		assert.EqualValues(t, admitted.Load(), s.Calls+s.Ignored)
		assert.EqualValues(t, 16_000-admitted.Load(), s.Rejected-1) // halfOpened had one
		held := 0
		for range 100 {
			if _, err := b.Allow(t.Context()); err == nil {
				held++
			}
		}
		assert.Equal(t, limit, held, "slots were lost or made")
	}
}

// G5, G1: of all who arrive when the open time is over, as many as there are
// slots get in, and one event is sent.
func TestConcurrent_firstProbes(t *testing.T) {
	for range 300 {
		var r recorder
		b := halfOpened(t, breaker.Config{Probes: 2, Clock: newFakeClock(), Hooks: r.transition()})
		var admitted atomic.Int64
		together(8, func(int, *rand.Rand) {
			if _, err := b.Allow(context.Background()); err == nil {
				admitted.Add(1)
			}
		})
		require.EqualValues(t, 2, admitted.Load())
		require.Equal(t, []string{"closed > open: trip", "open > half-open: open time over"}, r.steps())
	}
}

// G23: of many failures that reach the limit together one opens.
func TestConcurrent_oneOpening(t *testing.T) {
	for name, rule := range map[string]breaker.Rule{
		"consecutive": breaker.ConsecutiveFailures(5),
		"last":        breaker.FailureCount(5, breaker.LastN(10)),
		"within":      breaker.FailureRate(0.5, 5, breaker.Within(time.Hour)),
	} {
		for range 200 {
			var r recorder
			b := breaker.MustNew("b", breaker.Config{Trip: rule, Backoff: 2, Hooks: r.transition()})
			failing(t, b, 3)
			permits := make([]*breaker.Permit, 8)
			for i := range permits {
				permits[i] = issued(t, b)
			}
			together(8, func(i int, _ *rand.Rand) { permits[i].Done(errBoom) })
			require.Equal(t, []string{"closed > open: failures"}, r.steps(), name)
			require.EqualValues(t, 1, b.Snapshot().Trips, name)
			require.LessOrEqual(t, b.Snapshot().Late, uint64(6), name)
		}
	}
}

// G17, G18: no outcome is lost: the last failure opens, the one before does not.
func TestConcurrent_exactLimits(t *testing.T) {
	const n = 8 * 500
	for name, rule := range map[string]breaker.Rule{
		"consecutive": breaker.ConsecutiveFailures(n + 1),
		"last":        breaker.FailureCount(n+1, breaker.LastN(3*n)),
		"rate":        breaker.FailureRate(1, n+1, breaker.LastN(2*n)),
		"within":      breaker.FailureCount(n+1, breaker.Within(time.Hour)),
		"rate within": breaker.FailureRate(1, n+1, breaker.Within(time.Hour)),
	} {
		b := breaker.MustNew("b", breaker.Config{Trip: rule})
		together(8, func(int, *rand.Rand) {
			for range n / 8 {
				_ = b.Run(context.Background(), returning(errBoom))
			}
		})
		require.Equal(t, tallies{Calls: n, Failures: n}, tally(b), name)
		require.Equal(t, breaker.Closed, b.State(), name)
		failing(t, b, 1)
		require.Equal(t, breaker.Open, b.State(), name)
	}
}

// G7: each permit counts once, whoever reports it, and however.
func TestConcurrent_exactlyOnce(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(1, 1<<20, breaker.LastN(1<<20))})
	const n = 3000
	permits := make([]*breaker.Permit, n)
	for i := range permits {
		permits[i] = issued(t, b)
	}
	together(4, func(i int, _ *rand.Rand) {
		for _, p := range permits {
			switch i {
			case 0:
				p.Done(nil)
			case 1:
				p.Done(errBoom)
			case 2:
				p.Record(breaker.Ignored, nil)
			default:
				p.Progress()
				p.Record(breaker.Failure, errBoom)
			}
		}
	})
	got := tally(b)
	assert.EqualValues(t, n, got.Calls+got.Ignored)
	assert.Zero(t, got.Late)
}

// chaos does one thing at random.
func chaos(b *breaker.Breaker, rnd *rand.Rand, configs []breaker.Config) {
	ctx := context.Background()
	switch rnd.IntN(16) {
	case 0:
		b.Trip(time.Duration(rnd.IntN(20_000)), errBoom)
	case 1:
		b.Reset()
	case 2:
		b.ForceOpen(errOther)
	case 3:
		b.ForceClosed()
	case 4, 5:
		b.Auto()
	case 6:
		_ = b.Reconfigure(configs[rnd.IntN(len(configs))])
	case 7:
		if p, err := b.Allow(ctx); err == nil {
			runtime.Gosched()
			p.Progress()
			p.Trip(time.Duration(rnd.IntN(20_000)), errBoom)
		}
	case 8:
		_, _ = b.Allow(ctx)
	case 9, 10, 11:
		_ = b.Run(ctx, returning(errBoom))
	default:
		_ = b.Run(ctx, returning(nil))
	}
}

// G30, G35: with everything going on at once, events are chained, each once,
// never two at a time, and snapshots make sense.
func TestConcurrent_everything(t *testing.T) {
	var b *breaker.Breaker
	var delivering atomic.Int64
	var events []breaker.Transition // guarded by delivery being single-file
	hooks := breaker.Hooks{Transition: func(_ context.Context, tr breaker.Transition) {
		assert.EqualValues(t, 1, delivering.Add(1), "two at a time")
		events = append(events, tr)
		if len(events)%50 == 0 {
			b.Snapshot()
			runtime.Gosched()
		}
		delivering.Add(-1)
	}}
	configs := []breaker.Config{
		{},
		{Trip: breaker.FailureRate(0.5, 4, breaker.LastN(20)), Probes: 3, Ramp: 10 * time.Microsecond},
		{Trip: breaker.FailureRate(0.5, 4, breaker.Within(20*time.Millisecond)), CloseOf: 5, Jitter: 0.5},
		{Trip: breaker.Any(breaker.SlowRate(time.Nanosecond, 1, 4, breaker.LastN(4)), breaker.FailureCount(3, breaker.Within(time.Second)))},
		{Trip: breaker.ConsecutiveFailures(2), MinBudget: time.Second, ProbeLease: 5 * time.Microsecond},
	}
	for i := range configs {
		configs[i].Hooks, configs[i].OpenFor, configs[i].CloseAfter, configs[i].Backoff = hooks, 5*time.Microsecond, 2, 1.5
	}
	b = breaker.MustNew("b", configs[0])
	together(4, func(_ int, rnd *rand.Rand) {
		for range 4000 {
			chaos(b, rnd, configs)
			sensible(t, b.Snapshot())
		}
	})

	assert.Greater(t, len(events), 1000)
	chained(t, events)
	for _, e := range events {
		assert.Equal(t, e.WouldOpen, e.From == e.To, "%+v", e)
		sensible(t, e.Before)
	}
	final := b.State()
	if final == breaker.HalfOpen && events[len(events)-1].To == breaker.Open {
		final = breaker.Open // the next call would tell
	}
	assert.Equal(t, final, events[len(events)-1].To)
	require.NoError(t, b.Reconfigure(breaker.Config{}))
	b.Reset()
	passing(t, b, 10)
}

// sensible checks what holds in every snapshot (G35).
func sensible(t *testing.T, s breaker.Snapshot) {
	t.Helper()
	ok := s.Failures <= s.Calls && s.Slow <= s.SlowOf &&
		s.FailureRate >= 0 && s.FailureRate <= 1 && s.SlowRate >= 0 && s.SlowRate <= 1 &&
		s.Probes >= 0 && s.Probes <= 64 && (s.Probes == 0 || s.State == breaker.HalfOpen) &&
		s.RetryAfter >= 0 && (s.RetryAfter == 0 || s.State == breaker.Open) &&
		(s.State != breaker.HalfOpen || s.SlowOf == 0) &&
		(s.State != breaker.Open && s.State != breaker.ForcedOpen || s.Calls == 0 && s.SlowOf == 0)
	if !ok {
		assert.Fail(t, "a snapshot that makes no sense", "%+v", s)
	}
}

// G30, G32: counts of what callers saw, what hooks were told and what Snapshot
// says are the same.
func TestConcurrent_hooksAndCountsAgree(t *testing.T) {
	var opened, rejections, ignored, late, done, admitted, refusals atomic.Uint64
	b := breaker.MustNew("b", breaker.Config{
		Trip: breaker.ConsecutiveFailures(3), OpenFor: time.Microsecond, CloseAfter: 1, Probes: 2, ProbeLease: time.Microsecond,
		Hooks: breaker.Hooks{
			Transition: func(_ context.Context, tr breaker.Transition) {
				if tr.To == breaker.Open {
					opened.Add(1)
				}
			},
			Rejected: func(context.Context, *breaker.RejectedError) { rejections.Add(1) },
			Done: func(_ context.Context, c breaker.Completion) {
				done.Add(1)
				switch {
				case c.Late:
					late.Add(1)
				case c.Outcome == breaker.Ignored:
					ignored.Add(1)
				}
			},
		},
	})
	together(4, func(_ int, rnd *rand.Rand) {
		for range 4000 {
			p, err := b.Allow(context.Background())
			if err != nil {
				refusals.Add(1)
				continue
			}
			admitted.Add(1)
			if rnd.IntN(8) == 0 {
				runtime.Gosched()
			}
			switch rnd.IntN(8) {
			case 0, 1, 2:
				p.Done(nil)
			case 3:
				p.Record(breaker.Ignored, nil)
			default:
				p.Done(errBoom)
			}
		}
	})
	s := b.Snapshot()
	assert.Equal(t, admitted.Load(), done.Load())
	assert.Equal(t, refusals.Load(), rejections.Load())
	assert.Equal(t, s.Rejected, rejections.Load())
	assert.Equal(t, s.Trips, opened.Load())
	assert.Equal(t, s.Ignored, ignored.Load())
	assert.Equal(t, s.Late, late.Load())
	assert.NotZero(t, s.Trips)
	assert.NotZero(t, s.Ignored)
}

// G35: snapshots of a breaker that only counts, with every kind of window.
func TestConcurrent_snapshots(t *testing.T) {
	for _, rule := range []breaker.Rule{
		breaker.ConsecutiveFailures(1 << 30),
		breaker.FailureCount(1<<10, breaker.LastN(1<<10)),
		breaker.FailureRate(1, 0, breaker.LastN(64)),
		breaker.FailureRate(1, 1<<30, breaker.Within(20*time.Millisecond)),
		breaker.FailureCount(1<<20, breaker.Within(time.Millisecond)),
		breaker.SlowRate(1, 1, 1<<30, breaker.Within(20*time.Millisecond)),
	} {
		b := breaker.MustNew("b", breaker.Config{Trip: rule, Initial: breaker.ForcedClosed})
		together(4, func(i int, rnd *rand.Rand) {
			for range 1500 {
				if i == 0 {
					sensible(t, b.Snapshot())
					continue
				}
				_ = b.Run(context.Background(), returning([]error{nil, errBoom}[rnd.IntN(2)]))
			}
		})
	}
	// Half-open, where all probes fail and none of it opens.
	b := breaker.MustNew("b", breaker.Config{CloseOf: math.MaxInt, Probes: 64})
	b.Trip(1, nil)
	together(4, func(i int, _ *rand.Rand) {
		for range 5000 {
			if i == 0 {
				sensible(t, b.Snapshot())
				continue
			}
			_ = b.Run(context.Background(), returning(errBoom))
		}
	})
	assert.Equal(t, tallies{Calls: 15000, Failures: 15000}, tally(b))
}

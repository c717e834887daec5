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

// G22: the Cause of an opening, by what caused it.
func TestG22_cause(t *testing.T) {
	cases := map[string]struct {
		end  func(context.Context, *breaker.Breaker)
		is   error  // the very error
		text string // ... or what its text says
	}{
		"error": {end: func(ctx context.Context, b *breaker.Breaker) { _ = b.Run(ctx, returning(errOther)) }, is: errOther},
		"panic": {
			end:  func(ctx context.Context, b *breaker.Breaker) { _, _ = exiting(func() { _ = b.Run(ctx, explode) }) },
			text: "panicked",
		},
		"slow success": {
			end:  func(ctx context.Context, b *breaker.Breaker) { _ = b.Run(ctx, lasting(2*time.Second, nil)) },
			text: "took 2s",
		},
		"slow failure": {
			end: func(ctx context.Context, b *breaker.Breaker) { _ = b.Run(ctx, lasting(2*time.Second, errOther)) },
			is:  errOther,
		},
		"result": {
			end: func(ctx context.Context, b *breaker.Breaker) {
				_, _ = breaker.DoResult(ctx, b, func(context.Context) (int, error) { return 0, nil },
					func(int, error) breaker.Outcome { return breaker.Failure })
			},
			text: "no error",
		},
		"Record": {
			end: func(ctx context.Context, b *breaker.Breaker) {
				p, _ := b.Allow(ctx)
				p.Record(breaker.Failure, errOther)
			},
			is: errOther,
		},
		"Permit.Trip": {
			end: func(ctx context.Context, b *breaker.Breaker) {
				p, _ := b.Allow(ctx)
				p.Trip(time.Hour, errOther)
			},
			is: errOther,
		},
		"Permit.Trip of no error": {
			end: func(ctx context.Context, b *breaker.Breaker) {
				p, _ := b.Allow(ctx)
				p.Trip(time.Hour, nil)
			},
		},
		"slow and given up, without error": {
			end: func(ctx context.Context, b *breaker.Breaker) {
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				_, _ = breaker.DoResult(ctx, b, func(ctx context.Context) (int, error) { _ = hang(ctx); return 0, nil },
					func(int, error) breaker.Outcome { return breaker.Ignored })
			},
			text: "took 2s",
		},
		"Trip": {end: func(_ context.Context, b *breaker.Breaker) { b.Trip(time.Hour, errOther) }, is: errOther},
	}
	for name, c := range cases {
		for _, state := range []string{"closed", "half-open"} {
			t.Run(name+" while "+state, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var r recorder
					cfg := breaker.Config{
						Trip:  breaker.Any(breaker.ConsecutiveFailures(1), breaker.SlowRate(time.Second, 1, 1, breaker.LastN(1))),
						Hooks: r.transition(),
					}
					b := breaker.MustNew("b", cfg)
					if state == "half-open" {
						b = halfOpened(t, cfg)
						issued(t, b).Record(breaker.Ignored, nil)
					}
					c.end(t.Context(), b)
					assertState(t, breaker.Open, b)
					cause := b.Snapshot().Cause
					if c.text != "" {
						require.Error(t, cause)
						assert.Contains(t, cause.Error(), c.text)
					} else {
						assert.Equal(t, c.is, cause)
					}
					assert.Equal(t, cause, r.last(t).Cause)
					assert.Equal(t, cause, refusal(t, b).Cause)
				})
			})
		}
	}
}

// G22: a lost probe has a cause that says so.
func TestG22_causeOfLostProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{ProbeLease: time.Second})
		issued(t, b)
		time.Sleep(time.Second)
		cause := refusal(t, b).Cause
		require.Error(t, cause)
		assert.Contains(t, cause.Error(), "unreported for its lease of 1s")
	})
}

// G22: Snapshot keeps the cause until the next opening or Reset.
func TestG22_causeIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Ramp: time.Second})
		require.NoError(t, b.Snapshot().Cause)
		failing(t, b, 1)
		time.Sleep(openFor)
		for _, want := range []breaker.State{breaker.HalfOpen, breaker.HalfOpen, breaker.Recovering} {
			passing(t, b, 1)
			assert.Equal(t, want, b.State())
			assert.Equal(t, errBoom, b.Snapshot().Cause)
		}
		time.Sleep(time.Second)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
		assert.Equal(t, errBoom, b.Snapshot().Cause)

		require.Equal(t, errOther, b.Run(t.Context(), returning(errOther)))
		assert.Equal(t, errOther, b.Snapshot().Cause)
		b.Reset()
		assert.NoError(t, b.Snapshot().Cause)
		b.Trip(time.Hour, nil)
		assert.NoError(t, refusal(t, b).Cause)
	})
}

// G22: rejections of half-open and recovering tell of the opening, not of the
// state they come from.
func TestG22_rejectionsTellOfTheOpening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, state := range []string{"half-open, full", "recovering"} {
			rejection := refusal(t, inState[state](t, breaker.Config{}))
			assert.Equal(t, errBoom, rejection.Cause)
			assert.Equal(t, breaker.ReasonTrip, rejection.Reason)
			assert.Equal(t, "b", rejection.Name)
			assert.Zero(t, rejection.RetryAfter())
		}
	})
}

package breaker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// inState is a breaker in each state, on the time of a bubble. An open time is
// openFor, a ramp lasts as long and begins with no call at all.
var inState = map[string]func(*testing.T, breaker.Config) *breaker.Breaker{
	"closed": func(_ *testing.T, cfg breaker.Config) *breaker.Breaker {
		return breaker.MustNew("b", cfg)
	},
	"open": func(_ *testing.T, cfg breaker.Config) *breaker.Breaker {
		b := breaker.MustNew("b", cfg)
		b.Trip(0, errBoom)
		return b
	},
	"open time over": func(t *testing.T, cfg breaker.Config) *breaker.Breaker {
		return halfOpened(t, cfg)
	},
	"half-open, full": func(t *testing.T, cfg breaker.Config) *breaker.Breaker {
		b := halfOpened(t, cfg)
		issued(t, b)
		return b
	},
	"recovering": func(t *testing.T, cfg breaker.Config) *breaker.Breaker {
		cfg.Ramp, cfg.RampFrom = openFor, -1
		b := halfOpened(t, cfg)
		passing(t, b, 3)
		require.Equal(t, breaker.Recovering, b.State())
		return b
	},
	"ramp over": func(t *testing.T, cfg breaker.Config) *breaker.Breaker {
		cfg.Ramp = openFor
		b := halfOpened(t, cfg)
		passing(t, b, 3)
		time.Sleep(openFor)
		return b
	},
	"forced open": func(_ *testing.T, cfg breaker.Config) *breaker.Breaker {
		b := breaker.MustNew("b", cfg)
		b.ForceOpen(errBoom)
		return b
	},
	"forced closed": func(t *testing.T, cfg breaker.Config) *breaker.Breaker {
		b := halfOpened(t, cfg)
		b.ForceClosed()
		return b
	},
}

func TestG1_admissionByState(t *testing.T) {
	admits := map[string]bool{
		"closed": true, "open time over": true, "ramp over": true, "forced closed": true,
		"open": false, "half-open, full": false, "recovering": false, "forced open": false,
	}
	for form, call := range forms {
		t.Run(form, func(t *testing.T) {
			for state, newBreaker := range inState {
				t.Run(state, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b := newBreaker(t, breaker.Config{CloseAfter: 3})
						for range 3 {
							ran := 0
							err := call(t.Context(), b, func(context.Context) error {
								ran++
								return nil
							})
							if admits[state] {
								require.NoError(t, err)
								require.Equal(t, 1, ran)
							} else {
								require.ErrorIs(t, err, breaker.ErrRejected)
								require.Zero(t, ran)
							}
						}
					})
				})
			}
		})
	}
}

// G1: closed stays that have to note the begin of a call admit every call too.
func TestG1_closedAdmitsWhateverTheRules(t *testing.T) {
	configs := map[string]breaker.Config{
		"slow":   {Trip: breaker.SlowRate(time.Second, 1, 100, breaker.LastN(100))},
		"budget": {MinBudget: time.Second},
		"hook":   {Hooks: breaker.Hooks{Done: func(context.Context, breaker.Completion) {}}},
		"any":    {Trip: breaker.Any(breaker.ConsecutiveFailures(99), breaker.FailureRate(1, 99, breaker.Within(time.Second)))},
	}
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			for form, call := range forms {
				b := breaker.MustNew("b", cfg)
				for range 50 {
					require.NoError(t, call(t.Context(), b, returning(nil)), form)
					require.Equal(t, errBoom, call(t.Context(), b, returning(errBoom)), form)
				}
			}
		})
	}
}

// G1, G24: Probes of each size is the number in flight, and each end of one
// makes room for one.
func TestG1_probesInFlight(t *testing.T) {
	for _, probes := range []int{0, 1, 2, 3, 7, 63, 64} {
		synctest.Test(t, func(t *testing.T) {
			b := halfOpened(t, breaker.Config{Probes: probes, CloseAfter: thousand})
			limit := max(probes, 1)
			held := make([]*breaker.Permit, limit)
			for i := range held {
				held[i] = issued(t, b)
				assert.Equal(t, i+1, b.Snapshot().Probes)
			}
			require.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
			for i := range held {
				held[i].Done(nil)
				held[i] = issued(t, b)
				require.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
			}
			for i, p := range held {
				p.Record(breaker.Ignored, nil)
				assert.Equal(t, limit-1-i, b.Snapshot().Probes)
			}
		})
	}
}

// G2: a lease ends at exactly its length.
func TestG2_lease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lease = time.Second
		b := halfOpened(t, breaker.Config{ProbeLease: lease})
		issued(t, b)
		time.Sleep(lease - 1)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		time.Sleep(time.Nanosecond)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrOpen)
		assert.Equal(t, breaker.ReasonProbeLost, b.Snapshot().Reason)
	})
}

// G2: a ramp ends at exactly its length.
func TestG2_ramp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ramp = time.Second
		b := halfOpened(t, breaker.Config{CloseAfter: 1, Ramp: ramp, RampFrom: -1})
		passing(t, b, 1)
		time.Sleep(ramp - 1)
		assert.Equal(t, breaker.Recovering, refusal(t, b).State) // the share lacks 1e-9 of a whole call
		time.Sleep(time.Nanosecond)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// G2, G19: an outcome exactly W old has left an exact window.
func TestG2_exactWindow(t *testing.T) {
	const w = 10 * time.Second
	cases := map[string]struct {
		after time.Duration
		want  breaker.State
	}{
		"inside":  {w - 1, breaker.Open},
		"outside": {w, breaker.Closed},
	}
	inBubbles(t, cases, func(t *testing.T, c struct {
		after time.Duration
		want  breaker.State
	},
	) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(2, breaker.Within(w))})
		failing(t, b, 1)
		time.Sleep(c.after)
		left := uint64(0)
		if c.want == breaker.Open {
			left = 1
		}
		assert.Equal(t, tallies{Calls: left, Failures: left}, tally(b))
		failing(t, b, 1)
		assertState(t, c.want, b)
	})
}

// G3: where a call is refused it is refused at once: a call that waited for
// time would move the time of the bubble on, one that waited for a slot would
// be a deadlock.
func TestG3_noCallWaits(t *testing.T) {
	for form, call := range forms {
		for _, state := range []string{"open", "half-open, full", "recovering", "forced open"} {
			t.Run(form+" "+state, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := inState[state](t, breaker.Config{})
					began := time.Now()
					for range 10 {
						err := call(t.Context(), b, func(context.Context) error {
							assert.Fail(t, "ran")
							return nil
						})
						require.ErrorIs(t, err, breaker.ErrRejected)
						require.Equal(t, state == "half-open, full", errors.Is(err, breaker.ErrTooManyProbes))
					}
					assert.Equal(t, began, time.Now())
				})
			})
		}
	}
}

// G4: in every state, with every form of call, and with deadlines too.
func TestG4_doneOnEntry(t *testing.T) {
	contexts := map[string]struct {
		make func(context.Context) (context.Context, context.CancelFunc)
		want error
	}{
		"cancelled": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}, context.Canceled},
		"cause": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errOther)
			return ctx, func() { cancel(nil) }
		}, errOther},
		"deadline": {func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, -time.Second)
		}, context.DeadlineExceeded},
	}
	for state, newBreaker := range inState {
		inBubbles(t, contexts, func(t *testing.T, c struct {
			make func(context.Context) (context.Context, context.CancelFunc)
			want error
		},
		) {
			var r recorder
			b := newBreaker(t, breaker.Config{Hooks: r.hooks()})
			before := b.Snapshot()
			transitions, rejections, completions := len(r.transitions), len(r.rejections), len(r.completions)
			ctx, cancel := c.make(t.Context())
			defer cancel()
			for form, call := range forms {
				assert.Equal(t, c.want, call(ctx, b, func(context.Context) error {
					assert.Fail(t, "ran")
					return nil
				}), "%s %s", state, form)
			}
			assert.Equal(t, before, b.Snapshot(), state)
			assert.Len(t, r.transitions, transitions, state)
			assert.Len(t, r.rejections, rejections, state)
			assert.Len(t, r.completions, completions, state)
		})
	}
}

// G4: also where nobody wants to know anything of the call.
func TestG4_doneOnEntryWithoutHooks(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOther)
	for _, rule := range []breaker.Rule{{}, breaker.FailureRate(1, 1, breaker.LastN(1)), breaker.FailureRate(1, 1, breaker.Within(time.Second))} {
		for form, call := range forms {
			b := breaker.MustNew("b", breaker.Config{Trip: rule})
			assert.Equal(t, errOther, call(ctx, b, func(context.Context) error {
				assert.Fail(t, "ran")
				return errBoom
			}), form)
			assert.Equal(t, tallies{}, tally(b), form)
		}
	}
}

// G5, G30: the call that finds the open time over is the first probe, and its
// event comes before fn.
func TestG5_firstProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{Hooks: r.hooks()})
		time.Sleep(time.Hour)
		require.NoError(t, b.Run(t.Context(), func(context.Context) error {
			assert.Equal(t, "open > half-open: open time over", r.steps()[1])
			assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
			return nil
		}))
		assert.True(t, r.completed(t).Probe)
		assert.Equal(t, tallies{Calls: 1}, tally(b))
	})
}

// G5: what else is due is shown as of the last transition: a ramp that is over,
// a lease that is.
func TestG5_readsOtherwiseShowTheLastTransition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := inState["ramp over"](t, breaker.Config{})
		assertState(t, breaker.Recovering, b)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)

		b = inState["half-open, full"](t, breaker.Config{ProbeLease: time.Second})
		time.Sleep(time.Hour)
		assertState(t, breaker.HalfOpen, b)
		assert.Equal(t, 1, b.Snapshot().Probes)
		assert.Equal(t, tallies{}, tally(b))
	})
}

// G5: the half-open stay that reads show is that of the call to come; the rest
// is as of the last transition.
func TestG5_readsAndCallAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{})
		b.Trip(90*time.Second, errOther) // counts from now on
		time.Sleep(90*time.Second - 1)
		assertState(t, breaker.Open, b)
		time.Sleep(time.Minute)
		shown := b.Snapshot()
		p := issued(t, b)
		p.Record(breaker.Ignored, nil)
		assert.Equal(t, errOther, shown.Cause)
		assert.Equal(t, breaker.ReasonTrip, shown.Reason)
		shown.Ignored, shown.Reason = 1, breaker.ReasonOpenTimeOver
		assert.Equal(t, shown, b.Snapshot())
	})
}

// G6: whatever becomes of the probes, callers that go on find the breaker
// half-open again, and closed in the end.
func TestG6_noWedge(t *testing.T) {
	fates := map[string]func(*breaker.Breaker){
		"lost":     func(b *breaker.Breaker) { _, _ = b.Allow(context.Background()) },
		"failed":   func(b *breaker.Breaker) { _ = b.Run(context.Background(), returning(errBoom)) },
		"panicked": func(b *breaker.Breaker) { _, _ = exiting(func() { _ = b.Run(context.Background(), explode) }) },
		"ignored":  func(b *breaker.Breaker) { _ = b.Run(context.Background(), returning(breaker.ErrRejected)) },
	}
	inBubbles(t, fates, func(t *testing.T, fate func(*breaker.Breaker)) {
		b := halfOpened(t, breaker.Config{Probes: 2, CloseAfter: 2, Backoff: 2, ProbeLease: time.Minute})
		for range 50 {
			fate(b)
			time.Sleep(10 * time.Second)
		}
		deadline := time.Now().Add(10*openFor + 2*time.Minute)
		for b.State() != breaker.Closed {
			_ = b.Run(t.Context(), returning(nil))
			time.Sleep(time.Second)
			require.True(t, time.Now().Before(deadline), "wedged: %v", b.Snapshot())
		}
	})
}

// G6: with a lease no probe holds its slot longer; without one it does.
func TestG6_slotHeldNoLongerThanLease(t *testing.T) {
	cases := map[string]struct{ lease, held time.Duration }{
		"own":                      {time.Second, time.Second},
		"default is the open time": {0, openFor},
		"never":                    {-1, -1},
	}
	inBubbles(t, cases, func(t *testing.T, c struct{ lease, held time.Duration }) {
		b := halfOpened(t, breaker.Config{CloseAfter: 1, CloseOf: 2, ProbeLease: c.lease})
		issued(t, b)
		if c.held < 0 {
			time.Sleep(100 * 365 * 24 * time.Hour)
			refused(t, b)
			return
		}
		time.Sleep(c.held - 1)
		refused(t, b)
		time.Sleep(time.Nanosecond)
		passing(t, b, 1) // one lost probe of two leaves enough
		assertState(t, breaker.Closed, b)
	})
}

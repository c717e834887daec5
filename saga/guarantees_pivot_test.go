package saga_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// G20, G22: from the pivot on a run only goes forward, as often as it takes.
func TestG22_AfterThePivot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newScript(), 0
		last := s.bare("c", deed(func(context.Context, *state) error {
			if n++; n <= 100 {
				return errDown
			}
			return nil
		}))
		last.Retry = saga.Retry{Wait: time.Millisecond, MaxWait: time.Millisecond}
		require.NoError(t, run(t, saga.RunConfig{}, s.step("a"), s.pivot("b"), last))
		assert.Equal(t, 101, n)
		assert.NotContains(t, s.trace(), "undo a")
	})
}

// G22: what makes a run stuck after the pivot.
func TestG22_ForwardFailed(t *testing.T) {
	for name, c := range map[string]struct {
		retry   saga.Retry
		answers []any
		dos     int
		is      saga.Outcome
		cause   error
	}{
		"Reject":                         {saga.Retry{Wait: -1}, []any{rejected}, 1, saga.Rejected, errDeclined},
		"Reject after a taint":           {saga.Retry{Wait: -1}, []any{errDown, rejected}, 2, saga.Unknown, errDeclined},
		"its own attempts are used up":   {patient(3), []any{errDown}, 3, saga.Unknown, errDown},
		"RetryAfter is no end by itself": {patient(2), []any{saga.RetryAfter(rejected, 0)}, 2, saga.Rejected, errDeclined},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			last := s.bare("c", c.answers...)
			last.Retry = c.retry
			err := run(t, saga.RunConfig{Retry: patient(1)}, s.step("a"), s.pivot("b"), last, s.bare("d"))
			e := ended(t, err, saga.Stuck, saga.ReasonForwardFailed, "c", c.cause)
			assert.Equal(t, c.is, e.Outcome)
			assert.Empty(t, e.Undo)
			assert.Len(t, s.trace(), 2+c.dos)
		})
	}
}

// G20: what ends a run before the pivot does nothing after it.
func TestG20_NothingIsUndone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), errDown, "kept"))
		last := s.bare("c", deed(func(ctx context.Context, _ *state) error {
			cancel()
			time.Sleep(time.Minute)
			assert.NoError(t, ctx.Err())
			assert.Equal(t, "kept", ctx.Value(errDown))
			return nil
		}))
		def := saga.MustNewWith(saga.Spec[state]{
			Name: "checkout", Timeout: time.Second,
			Steps: []saga.Step[state]{s.step("a"), s.pivot("b"), last, inner("i", s.bare("d")), group("g", s.bare("e")), s.bare("f")},
		})
		require.NoError(t, def.RunWith(ctx, saga.RunConfig{Grace: -1}, &state{}))
		assert.Equal(t, []string{"do a", "do b", "do c", "do d", "do e", "do f"}, s.trace())
	})
}

// G20: it is the same for a pivot within, and what comes after it in the saga
// around it.
func TestG20_PivotWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		ctx, cancel := context.WithCancel(t.Context())
		leave := s.bare("c", deed(func(context.Context, *state) error { cancel(); return nil }))
		around := []saga.Step[state]{s.step("a"), inner("in", s.step("x"), s.pivot("b"), leave), s.bare("d", errDown, nil)}
		require.NoError(t, saga.MustNew("checkout", around).Run(ctx, &state{}))
		assert.Equal(t, []string{"do a", "do x", "do b", "do c", "do d", "do d"}, s.trace())
	})
}

// G21: what becomes of a pivot that fails.
func TestG21_Pivot(t *testing.T) {
	say := func(outcomes ...saga.Outcome) func(*script) func(context.Context, *state) (saga.Outcome, error) {
		return func(s *script) func(context.Context, *state) (saga.Outcome, error) {
			n := 0
			return func(context.Context, *state) (saga.Outcome, error) {
				s.note("probe")
				o := outcomes[min(n, len(outcomes)-1)]
				n++
				return o, nil
			}
		}
	}
	for name, c := range map[string]struct {
		retry   saga.Retry
		answers []any
		probe   func(*script) func(context.Context, *state) (saga.Outcome, error)
		want    []string
		status  saga.Status
	}{
		"rejected": {
			saga.Retry{Wait: -1},
			[]any{rejected},
			nil,
			[]string{"do a", "do b", "undo a"},
			saga.Compensated,
		},
		"tainted, then applied": {
			saga.Retry{Wait: -1},
			[]any{errDown, errDown, nil},
			nil,
			[]string{"do a", "do b", "do b", "do b", "do c"},
			saga.Completed,
		},
		"tainted: a Reject settles nothing": {
			saga.Retry{Wait: -1},
			[]any{errDown, rejected, rejected, nil},
			nil,
			[]string{"do a", "do b", "do b", "do b", "do b", "do c"},
			saga.Completed,
		},
		"tainted, and no attempts left": {
			patient(2),
			[]any{errDown},
			nil,
			[]string{"do a", "do b", "do b"},
			saga.Stuck,
		},
		"Probe says applied": {
			saga.Retry{Wait: -1},
			[]any{errDown},
			say(saga.Applied),
			[]string{"do a", "do b", "probe", "do c"},
			saga.Completed,
		},
		"Probe says rejected, and it was the only attempt": {
			saga.Retry{Wait: -1},
			[]any{errDown},
			say(saga.Rejected),
			[]string{"do a", "do b", "probe", "undo a"},
			saga.Compensated,
		},
		"Probe says rejected, and there are others": {
			patient(2),
			[]any{errDown},
			say(saga.Rejected),
			[]string{"do a", "do b", "probe", "do b", "probe", "undo a"},
			saga.Compensated,
		},
		"Probe does not know": {
			patient(2),
			[]any{errDown},
			say(saga.Unknown),
			[]string{"do a", "do b", "probe", "do b", "probe"},
			saga.Stuck,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			p := s.pivot("b", c.answers...)
			p.Retry = c.retry
			if c.probe != nil {
				p.Probe = c.probe(s)
			}
			err := run(t, saga.RunConfig{}, s.step("a"), p, s.bare("c"))
			assert.Equal(t, c.want, s.trace())
			switch c.status {
			case saga.Completed:
				require.NoError(t, err)
			case saga.Stuck:
				e := ended(t, err, saga.Stuck, saga.ReasonPivotUnknown, "b", errDown)
				assert.Equal(t, saga.Unknown, e.Outcome)
			default:
				assert.Equal(t, c.status, failure(t, err).Status)
			}
		})
	}
}

// G21: a pivot that may be applied is tried again though the caller has left, and
// not once the time of the run is over.
func TestG21_TaintedPivotAndTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		ctx, cancel := context.WithCancel(t.Context())
		p := s.pivot("b", deed(func(ctx context.Context, _ *state) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}), deed(func(ctx context.Context, _ *state) error { return ctx.Err() }))
		p.Retry = saga.Retry{Wait: time.Second, NoJitter: true}
		require.NoError(t, saga.MustNew("checkout", []saga.Step[state]{s.step("a"), p, s.bare("c")}).Run(ctx, &state{}))
		assert.Equal(t, []string{"do a", "do b", "do b", "do c"}, s.trace())
	})
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		p := s.pivot("b", errDown)
		p.Retry = saga.Retry{Wait: time.Second, NoJitter: true, Factor: 1}
		def := saga.MustNewWith(saga.Spec[state]{Name: "checkout", Steps: []saga.Step[state]{s.step("a"), p}, Timeout: 5 * time.Second})
		e := ended(t, def.Run(t.Context(), &state{}), saga.Stuck, saga.ReasonPivotUnknown, "b", context.DeadlineExceeded)
		require.ErrorIs(t, e, errDown)
		assert.Equal(t, 4*time.Second, time.Since(s.begun), "the next attempt would be too late")
	})
}

// G23: how long work goes on that the caller no longer waits for.
func TestG23_Grace(t *testing.T) {
	for _, grace := range []time.Duration{0, time.Second, time.Hour} {
		limit := grace
		if grace == 0 {
			limit = 30 * time.Second
		}
		t.Run(fmt.Sprint(grace), func(t *testing.T) {
			t.Run("compensation", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScript()
					slow := s.step("b")
					slow.Undo = s.acts("undo b", hangs())
					e := ended(t, run(t, saga.RunConfig{Grace: grace}, s.step("a"), slow, s.step("c"), s.step("d", rejected)),
						saga.Stuck, saga.ReasonUndoFailed, "d", errDeclined)
					assert.Equal(t, []saga.UndoFailure{
						{Step: "b", Outcome: saga.Applied, Attempts: 1, Err: context.DeadlineExceeded},
						{Step: "a", Outcome: saga.Applied, Attempts: 0, Err: context.DeadlineExceeded},
					}, e.Undo)
					assert.Equal(t, []string{"do a", "do b", "do c", "do d", "undo c", "undo b"}, s.trace())
					assert.Equal(t, limit, time.Since(s.begun))
				})
			})
			t.Run("after the pivot, from the first failure", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScript()
					slow := s.bare("b", deed(func(context.Context, *state) error { time.Sleep(24 * time.Hour); return errDown }), hangs())
					slow.Retry = saga.Retry{Wait: -1}
					e := ended(t, run(t, saga.RunConfig{Grace: grace}, s.pivot("a"), slow, s.bare("c")),
						saga.Stuck, saga.ReasonForwardFailed, "b", context.DeadlineExceeded)
					assert.Equal(t, saga.Unknown, e.Outcome)
					assert.Equal(t, []string{"do a", "do b", "do b"}, s.trace())
					assert.Equal(t, 24*time.Hour+limit, time.Since(s.begun))
				})
			})
			t.Run("after the pivot, from the end of the context", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScript()
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					defer cancel()
					def := saga.MustNew("checkout", []saga.Step[state]{s.pivot("a"), s.bare("b", hangs())})
					_ = ended(t, def.RunWith(ctx, saga.RunConfig{Grace: grace}, &state{}), saga.Stuck, saga.ReasonForwardFailed, "b", context.DeadlineExceeded)
					assert.Equal(t, time.Minute+limit, time.Since(s.begun))
				})
			})
			t.Run("a pivot that may be applied", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newScript()
					p := s.pivot("b", errDown, hangs())
					p.Retry = saga.Retry{Wait: -1}
					_ = ended(t, run(t, saga.RunConfig{Grace: grace}, s.step("a"), p), saga.Stuck, saga.ReasonPivotUnknown, "b", context.DeadlineExceeded)
					assert.Equal(t, limit, time.Since(s.begun))
				})
			})
		})
	}
}

// G23: without a limit it goes on as long as it takes.
func TestG23_NoLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		slow := s.step("a")
		slow.Undo = s.acts("undo a", deed(func(context.Context, *state) error { time.Sleep(1000 * time.Hour); return nil }))
		_ = ended(t, run(t, saga.RunConfig{Grace: -1}, slow, s.step("b", rejected)), saga.Compensated, saga.ReasonNone, "b", errDeclined)
	})
}

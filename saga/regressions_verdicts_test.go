package saga_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// G5, G8, G14: what a sibling says about itself is nothing about this step. The
// cause of a context is what HTTP clients and the like return.
func TestG8_CauseOfASibling(t *testing.T) {
	for name, end := range map[string]error{
		"Reject":               rejected,
		"wrapped":              fmt.Errorf("bank: %w", rejected),
		"RetryAfter of Reject": saga.RetryAfter(rejected, 0),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				refused := s.bare("refused", deed(func(context.Context, *state) error { time.Sleep(time.Second); return end }))
				e := ended(t, run(t, saga.RunConfig{}, group("g", s.step("x", hangs()), refused)),
					saga.Compensated, saga.ReasonNone, "g/refused", errDeclined)
				assert.Equal(t, saga.Rejected, e.Outcome)
				assert.Contains(t, s.trace(), "undo x", "nobody knows whether it was applied")
			})
		})
	}
}

// G5, G8: a run within a Do that is stuck has certainly had an effect, whatever its
// first failure says.
func TestG8_StuckWithin(t *testing.T) {
	s := newScript()
	bad := s.step("x")
	bad.Undo = s.acts("undo x", saga.Reject(errDown))
	within := saga.MustNew("within", []saga.Step[state]{bad, s.step("y", rejected)})
	outer := s.step("a", deed(func(ctx context.Context, st *state) error { return within.Run(ctx, st) }))
	err := run(t, saga.RunConfig{}, outer)
	require.ErrorIs(t, err, errDeclined)
	assert.Equal(t, []string{"do a", "do x", "do y", "undo x", "undo a"}, s.trace())
}

// G8, G9: what Probe has found out is what is known about the step.
func TestG9_OutcomeAfterProbe(t *testing.T) {
	for name, pivot := range map[string]bool{"step": false, "pivot": true} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			a := s.bare("a", errDown)
			a.Pivot = pivot
			a.Probe = func(context.Context, *state) (saga.Outcome, error) { return saga.Rejected, nil }
			e := ended(t, run(t, saga.RunConfig{}, a), saga.Compensated, saga.ReasonNone, "a", errDown)
			assert.Equal(t, saga.Rejected, e.Outcome)
		})
	}
}

// G20, G23: an attempt of the pivot that had no effect, as Probe has found out, is no
// work from the pivot on: its wait takes nothing from the grace.
func TestG23_PivotWithoutEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		p := s.pivot("b", saga.RetryAfter(errDown, time.Minute), nil)
		p.Retry = saga.Retry{Attempts: 2}
		p.Probe = func(context.Context, *state) (saga.Outcome, error) { return saga.Rejected, nil }
		slow := s.bare("c", deed(func(ctx context.Context, _ *state) error {
			time.Sleep(time.Minute)
			return ctx.Err()
		}))
		require.NoError(t, run(t, saga.RunConfig{Grace: 90 * time.Second}, s.step("a"), p, slow))
		assert.Equal(t, []string{"do a", "do b", "do b", "do c"}, s.trace())
	})
	synctest.Test(t, func(t *testing.T) { // Probe answers at once, the second attempt is slow
		s := newScript()
		p := s.pivot("b", errDown, deed(func(context.Context, *state) error { time.Sleep(time.Minute); return nil }))
		p.Retry = patient(2)
		p.Probe = func(context.Context, *state) (saga.Outcome, error) { return saga.Rejected, nil }
		require.NoError(t, run(t, saga.RunConfig{}, s.step("a"), p, s.bare("c")))
		assert.Equal(t, []string{"do a", "do b", "do b", "do c"}, s.trace())
	})
}

// G7: unlimited is unlimited, also where the growth of a wait of zero overflows.
func TestG7_UndoWithoutLimit(t *testing.T) {
	for name, retry := range map[string]saga.Retry{
		"no wait": {Attempts: -1, Wait: -1},
		"factor":  {Attempts: -1, Wait: -1, Factor: 1e300},
	} {
		t.Run(name, func(t *testing.T) {
			n, waits := 0, map[time.Duration]bool{}
			a := saga.Step[state]{
				Name: "a", UndoRetry: retry,
				Do: func(context.Context, *state) error { return nil },
				Undo: func(context.Context, *state) error {
					if n++; n < 1100 {
						return errDown
					}
					return nil
				},
			}
			hooks := saga.Hooks{StepDone: func(_ context.Context, e saga.StepEvent) {
				if e.Err != nil && e.Info.Undoing {
					waits[e.Wait] = true
				}
			}}
			b := saga.Step[state]{Name: "b", Do: func(context.Context, *state) error { return rejected }}
			assert.Empty(t, ended(t, run(t, saga.RunConfig{Hooks: hooks}, a, b), saga.Compensated, saga.ReasonNone, "b", errDeclined).Undo)
			assert.Equal(t, map[time.Duration]bool{0: true}, waits)
		})
	}
}

// The cause of a context that ended, of the caller's own, says nothing about a step.
func TestG24_CauseOfTheCaller(t *testing.T) {
	s := newScript()
	ctx, cancel := context.WithCancelCause(t.Context())
	a := s.step("a", deed(func(ctx context.Context, _ *state) error {
		cancel(rejected)
		<-ctx.Done()
		return fmt.Errorf("post: %w", context.Cause(ctx))
	}))
	err := saga.MustNew("checkout", []saga.Step[state]{a}).Run(ctx, &state{})
	require.True(t, errors.Is(err, errDeclined))
	assert.Equal(t, []string{"do a", "undo a"}, s.trace())
}

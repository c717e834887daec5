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

// branches are an error with others below it.
type branches []error

func (b branches) Error() string   { return fmt.Sprint([]error(b)) }
func (b branches) Unwrap() []error { return b }

// G5: a verdict is found wherever it is in the tree of an error, the first one first.
func TestG5_VerdictsInTrees(t *testing.T) {
	type want struct {
		outcome saga.Outcome
		waits   []time.Duration // before further attempts; all are in vain
	}
	later := func(err error, d time.Duration) error { return saga.RetryAfter(err, d) }
	for name, c := range map[string]struct {
		err  error
		want want
	}{
		"joined last":          {errors.Join(errDown, rejected), want{saga.Rejected, nil}},
		"joined first":         {errors.Join(rejected, errDown), want{saga.Rejected, nil}},
		"two verbs":            {fmt.Errorf("%w, %w", errDown, later(errOther, time.Hour)), want{saga.Unknown, []time.Duration{time.Hour}}},
		"deep":                 {fmt.Errorf("a: %w", errors.Join(errDown, fmt.Errorf("b: %w", later(errOther, time.Hour)))), want{saga.Unknown, []time.Duration{time.Hour}}},
		"both, apart":          {errors.Join(rejected, later(errDown, time.Minute)), want{saga.Rejected, []time.Duration{time.Minute}}},
		"both, the other way":  {errors.Join(later(errDown, time.Minute), rejected), want{saga.Rejected, []time.Duration{time.Minute}}},
		"the first wait":       {errors.Join(later(errDown, time.Minute), later(errDown, time.Hour)), want{saga.Unknown, []time.Duration{time.Minute}}},
		"the outer wait":       {later(later(rejected, time.Hour), time.Minute), want{saga.Rejected, []time.Duration{time.Minute}}},
		"nil among them":       {branches{nil, errDown, nil, rejected}, want{saga.Rejected, nil}},
		"no branch":            {branches{}, want{saga.Unknown, []time.Duration{time.Second}}},
		"none at all":          {fmt.Errorf("a: %w", errDown), want{saga.Unknown, []time.Duration{time.Second}}},
		"a wait less than one": {later(errDown, -time.Hour), want{saga.Unknown, []time.Duration{time.Second}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				a := s.bare("a", c.err)
				a.Retry = saga.Retry{Attempts: 2, Wait: time.Second, NoJitter: true}
				e := failure(t, run(t, saga.RunConfig{}, a))
				assert.Equal(t, c.want.outcome, e.Outcome)
				times := s.times()
				require.Len(t, times, 1+len(c.want.waits))
				if len(c.want.waits) > 0 {
					assert.Equal(t, c.want.waits[0], times[1])
				}
			})
		})
	}
}

// G5, G8: a run within a Do: one that went back had no effect if it says so, one that
// waits for somebody may have had.
func TestG8_RunsWithin(t *testing.T) {
	for name, c := range map[string]struct {
		steps  func(s *script) []saga.Step[state]
		undone bool
	}{
		"refused":        {func(s *script) []saga.Step[state] { return []saga.Step[state]{s.step("x"), s.step("y", rejected)} }, false},
		"failed":         {func(s *script) []saga.Step[state] { return []saga.Step[state]{s.step("x"), s.step("y", errDown)} }, true},
		"forward failed": {func(s *script) []saga.Step[state] { return []saga.Step[state]{s.pivot("x"), s.bare("y", rejected)} }, true},
		"pivot unknown": {func(s *script) []saga.Step[state] {
			p := s.pivot("x", errDown)
			p.Retry = patient(1)
			return []saga.Step[state]{p}
		}, true},
	} {
		for _, wrap := range []string{"%w", "within: %w"} {
			s := newScript()
			within := saga.MustNew("within", c.steps(s))
			outer := s.step("o", deed(func(ctx context.Context, st *state) error { return fmt.Errorf(wrap, within.Run(ctx, st)) }))
			require.Error(t, run(t, saga.RunConfig{}, outer))
			trace := s.trace()
			assert.Equal(t, c.undone, trace[len(trace)-1] == "undo o", name)
		}
	}
}

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

// G5, G8: what an attempt says, and whether the step is undone after it.
func TestG5_Outcomes(t *testing.T) {
	classify := func(err error) error {
		switch {
		case errors.Is(err, errDown):
			return nil // it is there already
		case errors.Is(err, errOther):
			return rejected
		}
		return err
	}
	for name, c := range map[string]struct {
		answer any
		tweak  func(*saga.Step[state])
		done   bool
		undone bool
		is     saga.Outcome
	}{
		"nil":                      {answer: nil, done: true},
		"an error":                 {answer: errDown, undone: true, is: saga.Unknown},
		"Reject":                   {answer: rejected, is: saga.Rejected},
		"a Reject that is wrapped": {answer: fmt.Errorf("bank: %w", rejected), is: saga.Rejected},
		"RetryAfter":               {answer: saga.RetryAfter(errDown, 0), undone: true, is: saga.Unknown},
		"RetryAfter of Reject":     {answer: saga.RetryAfter(rejected, 0), is: saga.Rejected},
		"Reject of RetryAfter":     {answer: saga.Reject(saga.RetryAfter(errDown, 0)), is: saga.Rejected},
		"ReadOnly": {answer: errDown, is: saga.Unknown, tweak: func(s *saga.Step[state]) {
			s.ReadOnly, s.Undo = true, nil
		}},
		"Classify makes it applied":      {answer: errDown, done: true, tweak: func(s *saga.Step[state]) { s.Classify = classify }},
		"Classify makes it rejected":     {answer: errOther, is: saga.Rejected, tweak: func(s *saga.Step[state]) { s.Classify = classify }},
		"Classify leaves it":             {answer: fmt.Errorf("no"), undone: true, is: saga.Unknown, tweak: func(s *saga.Step[state]) { s.Classify = classify }},
		"Classify is not asked of these": {answer: fmt.Errorf("%w", saga.RetryAfter(errDown, 0)), undone: true, is: saga.Unknown, tweak: func(s *saga.Step[state]) { s.Classify = func(error) error { return nil } }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			step := s.step("a", c.answer)
			if c.tweak != nil {
				c.tweak(&step)
			}
			err := run(t, saga.RunConfig{}, step)
			want := []string{"do a"}
			if c.undone {
				want = append(want, "undo a")
			}
			assert.Equal(t, want, s.trace())
			if c.done {
				require.NoError(t, err)
				return
			}
			assert.Equal(t, c.is, failure(t, err).Outcome)
		})
	}
}

// G5: the Classify of the Spec is for steps without their own, and also for Undo.
func TestG5_ClassifyOfTheSpec(t *testing.T) {
	s := newScript()
	gone := s.step("a")
	gone.Undo = s.acts("undo a", errDown)
	own := s.step("b", errDown)
	own.Classify = func(err error) error { return err }
	def := saga.MustNewWith(saga.Spec[state]{
		Name: "checkout", Steps: []saga.Step[state]{gone, s.step("skipped", errDown), own},
		Classify: func(error) error { return nil },
	})
	e := ended(t, def.Run(bg, &state{}), saga.Compensated, saga.ReasonNone, "b", errDown)
	assert.Empty(t, e.Undo)
	assert.Equal(t, []string{"do a", "do skipped", "do b", "undo b", "undo skipped", "undo a"}, s.trace())
}

// G5: Reject and RetryAfter change nothing about what an error says and is.
func TestG5_Wrappers(t *testing.T) {
	assert.NoError(t, saga.Reject(nil))
	assert.NoError(t, saga.RetryAfter(nil, time.Second))
	for _, err := range []error{saga.Reject(errDown), saga.RetryAfter(errDown, time.Second), saga.RetryAfter(saga.Reject(errDown), -1)} {
		assert.Equal(t, errDown.Error(), err.Error())
		assert.ErrorIs(t, err, errDown)
	}
}

// G5: nil counts as applied, however late it comes.
func TestG5_LateSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		late := s.step("a", deed(func(ctx context.Context, _ *state) error {
			<-ctx.Done()
			time.Sleep(time.Hour)
			return nil
		}))
		late.Timeout = time.Second
		require.NoError(t, run(t, saga.RunConfig{}, late, s.step("b")))
		assert.Equal(t, []string{"do a", "do b"}, s.trace())
		assert.Equal(t, time.Hour+time.Second, time.Since(s.begun))
	})
}

// G6: the n-th wait, exactly, with and without a cap.
func TestG6_Waits(t *testing.T) {
	for name, c := range map[string]struct {
		retry saga.Retry
		rand  uint64
		want  []int // milliseconds from one attempt to the next
	}{
		"defaults":     {saga.Retry{Attempts: 4, NoJitter: true}, 0, []int{100, 200, 400}},
		"no wait":      {saga.Retry{Attempts: 3, Wait: -1}, 1 << 63, []int{0, 0}},
		"cap":          {saga.Retry{Attempts: 5, Wait: time.Second, MaxWait: 3 * time.Second, NoJitter: true}, 0, []int{1000, 2000, 3000, 3000}},
		"cap of all":   {saga.Retry{Attempts: 12, NoJitter: true, Wait: time.Minute}, 0, []int{60000, 60000}},
		"no cap":       {saga.Retry{Attempts: 4, Wait: time.Minute, MaxWait: -1, NoJitter: true}, 0, []int{60000, 120000, 240000}},
		"factor":       {saga.Retry{Attempts: 4, Wait: time.Second, Factor: 1, NoJitter: true}, 0, []int{1000, 1000, 1000}},
		"half of it":   {saga.Retry{Attempts: 3, Wait: time.Second}, 1 << 63, []int{500, 1000}},
		"least jitter": {saga.Retry{Attempts: 3, Wait: time.Second}, 0, []int{0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				step := s.step("a", errDown)
				step.Retry = c.retry
				_ = run(t, saga.RunConfig{Rand: func() uint64 { return c.rand }}, step)
				times := s.times()[:c.retry.Attempts]
				for i, want := range c.want {
					assert.Equal(t, time.Duration(want)*time.Millisecond, times[i+1]-times[i], "after attempt %d", i+1)
				}
			})
		})
	}
}

// G6: Rejected is final, unless there is a RetryAfter, whose wait is exact.
func TestG6_WhatIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		step := s.step("a", errDown, saga.RetryAfter(rejected, 7*time.Second), saga.RetryAfter(errDown, 0), rejected)
		step.Retry = saga.Retry{Attempts: 9, Wait: time.Second, NoJitter: true}
		e := failure(t, run(t, saga.RunConfig{}, step))
		assert.Equal(t, saga.Unknown, e.Outcome, "the first attempt may have been applied")
		assert.Equal(t, []string{"do a", "do a", "do a", "do a", "undo a"}, s.trace())
		assert.Equal(t, []time.Duration{0, time.Second, 8 * time.Second, 12 * time.Second, 12 * time.Second}, s.times())
	})
}

// G7: attempts by default, by the config and by the step.
func TestG7_Attempts(t *testing.T) {
	quick := saga.Retry{Wait: -1}
	for name, c := range map[string]struct {
		cfg      saga.RunConfig
		do, undo saga.Retry
		dos      int
		undos    int
	}{
		"defaults":    {saga.RunConfig{}, quick, quick, 1, 3},
		"of the run":  {saga.RunConfig{Retry: patient(4), UndoRetry: patient(2)}, saga.Retry{}, saga.Retry{}, 4, 2},
		"of the step": {saga.RunConfig{Retry: patient(4), UndoRetry: patient(2)}, patient(2), patient(5), 2, 5},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			step := s.step("a", errDown)
			step.Undo = s.acts("undo a", errOther)
			step.Retry, step.UndoRetry = c.do, c.undo
			e := ended(t, run(t, c.cfg, step), saga.Stuck, saga.ReasonUndoFailed, "a", errDown)
			require.Len(t, e.Undo, 1)
			assert.Equal(t, saga.UndoFailure{Step: "a", Outcome: saga.Unknown, Attempts: c.undos, Err: errOther}, e.Undo[0])
			assert.NotErrorIs(t, e, errOther, "it is no cause")
			assert.Len(t, s.trace(), c.dos+c.undos)
		})
	}
}

// G7: without a limit it goes on until it succeeds.
func TestG7_Unlimited(t *testing.T) {
	s, n := newScript(), 0
	step := s.step("a", deed(func(context.Context, *state) error {
		if n++; n < 1000 {
			return errDown
		}
		return nil
	}))
	step.Retry = patient(-1)
	require.NoError(t, run(t, saga.RunConfig{}, step))
	assert.Equal(t, 1000, n)
}

// G8: a step is undone if it may have been applied, whatever its last error says.
func TestG8_Taint(t *testing.T) {
	for name, c := range map[string]struct {
		answers []any
		undone  bool
	}{
		"unknown, then rejected":     {[]any{errDown, rejected}, true},
		"rejected all along":         {[]any{saga.RetryAfter(rejected, 0)}, false},
		"rejected, then unknown":     {[]any{saga.RetryAfter(rejected, 0), errDown}, true},
		"unknown, rejected, refused": {[]any{errDown, saga.RetryAfter(rejected, 0), rejected}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			step := s.step("a", c.answers...)
			step.Retry = patient(len(c.answers))
			_ = run(t, saga.RunConfig{}, step)
			assert.Len(t, s.trace(), len(c.answers)+map[bool]int{true: 1}[c.undone])
		})
	}
}

// G9: Probe is asked when a decision rests on it, and what it says counts.
func TestG9_Probe(t *testing.T) {
	type reply struct {
		outcome saga.Outcome
		err     error
	}
	for name, c := range map[string]struct {
		answers []any
		replies []reply
		want    []string
		done    bool
	}{
		"applied, before another attempt":     {[]any{errDown}, []reply{{saga.Applied, nil}}, []string{"do a", "probe"}, true},
		"rejected, before another attempt":    {[]any{errDown, nil}, []reply{{saga.Rejected, nil}}, []string{"do a", "probe", "do a"}, true},
		"unknown, before another attempt":     {[]any{errDown, nil}, []reply{{saga.Unknown, nil}}, []string{"do a", "probe", "do a"}, true},
		"applied, before going back":          {[]any{errDown}, []reply{{}, {saga.Applied, nil}}, []string{"do a", "probe", "do a", "probe"}, true},
		"rejected, before going back":         {[]any{errDown}, []reply{{}, {saga.Rejected, nil}}, []string{"do a", "probe", "do a", "probe"}, false},
		"unknown, before going back":          {[]any{errDown}, []reply{{}, {}}, []string{"do a", "probe", "do a", "probe", "undo a"}, false},
		"an error is no answer":               {[]any{errDown}, []reply{{}, {saga.Applied, errOther}}, []string{"do a", "probe", "do a", "probe", "undo a"}, false},
		"an answer that there is not":         {[]any{errDown}, []reply{{}, {7, nil}}, []string{"do a", "probe", "do a", "probe", "undo a"}, false},
		"an old taint, then rejected":         {[]any{errDown, rejected}, []reply{{}, {saga.Rejected, nil}}, []string{"do a", "probe", "do a", "probe"}, false},
		"it is not asked about a errDeclined": {[]any{rejected}, nil, []string{"do a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, n := newScript(), 0
			step := s.step("a", c.answers...)
			step.Retry = patient(2)
			step.Probe = func(ctx context.Context, st *state) (saga.Outcome, error) {
				s.note("probe")
				assert.Equal(t, "a", saga.Info(ctx).Step)
				assert.False(t, saga.Info(ctx).Undoing)
				st.Wrote = "probed"
				r := c.replies[n]
				n++
				return r.outcome, r.err
			}
			st := state{}
			err := saga.MustNew("checkout", []saga.Step[state]{step}).Run(t.Context(), &st)
			assert.Equal(t, c.want, s.trace())
			assert.Equal(t, c.done, err == nil)
			if len(c.replies) > 0 {
				assert.Equal(t, "probed", st.Wrote)
			}
		})
	}
}

// G9: what goes wrong in Probe changes nothing; it has the step's timeout, and when
// going back a context that lives.
func TestG9_ProbeGoesWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		step := s.step("a", errDown)
		step.Timeout, step.Retry = time.Second, patient(2)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		step.Probe = func(ctx context.Context, _ *state) (saga.Outcome, error) {
			s.note("probe")
			switch n++; n {
			case 1:
				panic("boom")
			default:
				cancel()
				assert.NoError(t, ctx.Err())
				<-ctx.Done()
				assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
				return saga.Applied, ctx.Err()
			}
		}
		err := saga.MustNew("checkout", []saga.Step[state]{step}).Run(ctx, &state{})
		_ = ended(t, err, saga.Compensated, saga.ReasonNone, "a", errDown)
		assert.Equal(t, []string{"do a", "probe", "do a", "probe", "undo a"}, s.trace())
		assert.Equal(t, time.Second, time.Since(s.begun))
	})
}

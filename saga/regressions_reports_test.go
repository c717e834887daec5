package saga_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// G28, G30: the error names the function of the definition that panicked, the step, and
// what is known about that: one that never ran had no effect.
func TestG28_WhatIsSaidOfThePanic(t *testing.T) {
	for name, want := range map[string]saga.Outcome{
		"When": saga.Rejected, "in": saga.Rejected, "items": saga.Rejected, "at": saga.Rejected,
		"Merge": saga.Applied, "out": saga.Applied, "out of items": saga.Applied,
	} {
		s := newScript()
		e := unwound(t, s.step("a"), broken(s, func() { panic("boom") })[name])
		step, what := "b", name
		switch name {
		case "Merge":
			step = "b/x"
		case "out of items":
			what = "out"
		}
		assert.Equal(t, want, e.Outcome, name)
		assert.EqualError(t, e, fmt.Sprintf("saga: checkout: %s: %s: saga: panic: boom (compensated)", step, what), name)
	}
	s := newScript()
	failing := s.step("x", errDown)
	failing.Merge = func(_, _ *state) { panic("boom") }
	e := ended(t, run(t, saga.RunConfig{}, group("g", failing)), saga.Compensated, saga.ReasonNone, "g/x", errDown)
	assert.Equal(t, saga.Unknown, e.Outcome, "of the first failure")
}

// G28: Clone is named, too, and the group has not begun.
func TestG28_WhatIsSaidOfClone(t *testing.T) {
	s := newScript()
	def := saga.MustNewWith(saga.Spec[state]{
		Name: "checkout", Steps: []saga.Step[state]{group("g", s.step("x"))},
		Clone: func(*state) state { panic("boom") },
	})
	_, panicked := aside(func() { _ = def.RunWith(bg, saga.RunConfig{ID: "r"}, &state{}) })
	e, ok := panicked.(*saga.Error)
	require.True(t, ok)
	assert.EqualError(t, e, "saga: checkout/r: g: Clone: saga: panic: boom (compensated)")
	assert.Equal(t, saga.Rejected, e.Outcome)
	assert.Empty(t, s.trace())
}

// G23: the grace is over between two steps after the pivot: the error names the one
// that did not begin, and says that it had no effect.
func TestG23_WhatDidNotBegin(t *testing.T) {
	for name, next := range map[string]func(*script) saga.Step[state]{
		"a step": func(s *script) saga.Step[state] { return s.bare("c") },
		"Sleep":  func(*script) saga.Step[state] { return saga.Sleep(saga.Step[state]{Name: "c"}, time.Hour) },
	} {
		s, mock := newScript(), deafClock{clock.NewMock()}
		b := s.bare("b", errDown, passes(mock, time.Minute, nil))
		b.Retry = saga.Retry{Wait: -1}
		err := run(t, saga.RunConfig{Clock: mock, Grace: time.Minute}, s.pivot("a"), b, next(s))
		e := ended(t, err, saga.Stuck, saga.ReasonForwardFailed, "c", context.DeadlineExceeded)
		assert.Equal(t, saga.Rejected, e.Outcome, name)
		assert.Equal(t, []string{"do a", "do b", "do b"}, s.trace(), name)
	}
}

// G23: a Sleep after the pivot ends with the grace.
func TestG23_SleepAfterThePivot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		def := saga.MustNew("checkout", []saga.Step[state]{s.pivot("a"), saga.Sleep(saga.Step[state]{Name: "s"}, time.Hour), s.bare("c")})
		e := ended(t, def.RunWith(ctx, saga.RunConfig{Grace: time.Second}, &state{}), saga.Stuck, saga.ReasonForwardFailed, "s", context.DeadlineExceeded)
		assert.Equal(t, saga.Rejected, e.Outcome)
		assert.Equal(t, time.Minute+time.Second, time.Since(s.begun))
		assert.Equal(t, []string{"do a"}, s.trace())
	})
}

// G20, G26: the Timeout of a Spec is nothing to what comes after the pivot, be it a
// Sleep, a saga within, an item, or a wait.
func TestG26_TimeoutAfterThePivot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		timed := func(steps ...saga.Step[state]) *saga.Saga[state] {
			return saga.MustNewWith(saga.Spec[state]{Name: "timed", Timeout: time.Second, Steps: steps})
		}
		slow := func(name string) saga.Step[state] {
			return s.bare(name, deed(func(ctx context.Context, _ *state) error { time.Sleep(time.Minute); return ctx.Err() }))
		}
		again := s.bare("again", saga.RetryAfter(errDown, time.Minute), nil)
		def := timed(
			s.step("a"), s.pivot("p"), slow("b"), saga.Sleep(saga.Step[state]{Name: "s"}, time.Minute), again,
			saga.Sub(saga.Step[state]{Name: "i"}, timed(slow("c"), s.bare("d")), func(*state) state { return state{} }, nil),
			saga.ForEach(saga.Step[state]{Name: "e"}, func(*state) []state { return make([]state, 1) }, timed(slow("f"), s.bare("g")), nil),
		)
		require.NoError(t, def.RunWith(t.Context(), saga.RunConfig{Grace: -1}, &state{}))
		assert.Equal(t, []string{"do a", "do p", "do b", "do again", "do again", "do c", "do d", "do f", "do g"}, s.trace())
	})
}

// G26: the time of a saga within is at most that of the one around it, and that of
// items counts from the start of each.
func TestG26_TimeoutsWithin(t *testing.T) {
	slow := func(ctx context.Context, _ *state) error {
		select {
		case <-time.After(40 * time.Second):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	within := func(timeout time.Duration) *saga.Saga[state] {
		return saga.MustNewWith(saga.Spec[state]{Name: "in", Timeout: timeout, Steps: []saga.Step[state]{{Name: "x", Do: slow}}})
	}
	items := func(timeout time.Duration) saga.Step[state] {
		return saga.ForEach(saga.Step[state]{Name: "e", Limit: 1}, func(*state) []state { return make([]state, 3) }, within(timeout), nil)
	}
	for name, c := range map[string]struct {
		step   saga.Step[state]
		around time.Duration
		took   time.Duration
		err    error
	}{
		"each item has its own": {items(time.Minute), 0, 2 * time.Minute, nil},
		"an item takes too long": {
			items(30 * time.Second), 0, 30 * time.Second, context.DeadlineExceeded,
		},
		"the run takes too long": {
			items(time.Minute), 90 * time.Second, 90 * time.Second, context.DeadlineExceeded,
		},
		"the one around is the shorter": {
			saga.Sub(saga.Step[state]{Name: "i"}, within(time.Minute), func(*state) state { return state{} }, nil),
			30 * time.Second, 30 * time.Second, context.DeadlineExceeded,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				def := saga.MustNewWith(saga.Spec[state]{Name: "checkout", Timeout: c.around, Steps: []saga.Step[state]{c.step}})
				require.ErrorIs(t, def.Run(t.Context(), &state{}), c.err)
				assert.Equal(t, c.took, time.Since(begun))
			})
		})
	}
}

// G6, G26: it is the same for an attempt of which nobody knows.
func TestG6_NoPointInWaitingWithATaint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		a := s.step("a", saga.RetryAfter(errDown, time.Minute))
		a.Retry = patient(2)
		def := saga.MustNewWith(saga.Spec[state]{Name: "checkout", Timeout: time.Minute, Steps: []saga.Step[state]{a}})
		e := ended(t, def.Run(t.Context(), &state{}), saga.Compensated, saga.ReasonNone, "", context.DeadlineExceeded)
		assert.Equal(t, saga.Unknown, e.Outcome)
		require.ErrorIs(t, e, errDown)
		assert.Zero(t, time.Since(s.begun))
		assert.Equal(t, []string{"do a", "undo a"}, s.trace())
	})
}

// G24, G30: the cause of the end is told once, and beside it what the step said.
func TestG24_TextOfACause(t *testing.T) {
	for answer, want := range map[error]string{
		context.Canceled: "saga: checkout/r: context canceled (compensated)",
		errDown:          "saga: checkout/r: context canceled: a: the other side is down (compensated)",
	} {
		s := newScript()
		ctx, cancel := context.WithCancel(t.Context())
		a := s.step("a", deed(func(context.Context, *state) error { cancel(); return answer }))
		err := saga.MustNew("checkout", []saga.Step[state]{a}).RunWith(ctx, saga.RunConfig{ID: "r"}, &state{})
		assert.EqualError(t, err, want)
	}
}

// G28, G30: a panic that comes after the first failure of a group is in no error, and so it
// is told to the hook.
func TestG28_PanicAfterTheFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		begun := make(chan struct{}) // what has not begun is not merged
		x := s.step("x", deed(func(context.Context, *state) error { <-begun; return errDown }))
		y := s.step("y", deed(func(ctx context.Context, st *state) error { close(begun); return hangs()(ctx, st) }))
		y.Merge = func(_, _ *state) { panic("boom") }
		var told []string
		hooks := saga.Hooks{Fault: func(_ context.Context, f saga.FaultEvent) { told = append(told, f.Op+" "+f.Err.Error()) }}
		e := ended(t, run(t, saga.RunConfig{Hooks: hooks}, group("g", x, y)), saga.Compensated, saga.ReasonNone, "g/x", errDown)
		assert.Empty(t, e.Undo)
		assert.Equal(t, []string{"step g/y: Merge: saga: panic: boom"}, told)
	})
}

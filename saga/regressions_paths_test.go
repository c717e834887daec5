package saga_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// The error says of a compensation for which there was no time that it was not tried.
func TestG23_TextOfWhatWasNotTried(t *testing.T) {
	s, mock := newScript(), deafClock{clock.NewMock()}
	b := s.step("b")
	b.Undo = s.acts("undo b", passes(mock, time.Hour, nil))
	err := run(t, saga.RunConfig{ID: "r", Clock: mock}, s.step("a"), b, s.step("c", rejected))
	assert.EqualError(t, err, "saga: checkout/r: c: card declined (stuck, undo failed); undo a: not tried: context deadline exceeded")
	assert.ErrorIs(t, err, saga.ErrStuck)
	assert.NotErrorIs(t, err, context.DeadlineExceeded, "that is not why the run failed")
}

// G14, G22: after the pivot, too, a child that fails ends its siblings, those in a
// step and those between two.
func TestG22_AChildFailsAfterThePivot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		slow := deed(func(context.Context, *state) error { time.Sleep(time.Minute); return nil })
		refused := s.bare("refused", deed(func(context.Context, *state) error { time.Sleep(time.Second); return rejected }))
		hanging := s.bare("hanging", hangs())
		hanging.Retry = saga.Retry{Wait: -1}
		g := group("g", inner("i", s.bare("x", slow), s.bare("y")), refused, hanging)
		e := ended(t, run(t, saga.RunConfig{Grace: -1}, s.pivot("p"), g, s.bare("z")), saga.Stuck, saga.ReasonForwardFailed, "g/refused", errDeclined)
		assert.Equal(t, saga.Rejected, e.Outcome)
		trace := s.trace()
		slices.Sort(trace)
		assert.Equal(t, []string{"do hanging", "do p", "do refused", "do x"}, trace)
		assert.Equal(t, time.Minute, time.Since(s.begun))
	})
}

// G25, G29: a Merge that exits leaves no child behind: those that run are waited for,
// and undone.
func TestG29_ExitOfMergeWhileOthersRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		x := s.step("x", deed(func(context.Context, *state) error { time.Sleep(time.Second); return nil })) // slow has begun
		x.Merge = func(_, _ *state) { runtime.Goexit() }
		slow := s.step("slow", deed(func(ctx context.Context, _ *state) error {
			<-ctx.Done()
			time.Sleep(time.Minute)
			s.note("slow is back")
			return nil
		}))
		returned, panicked := aside(func() { _ = run(t, saga.RunConfig{}, s.step("a"), group("g", x, slow)) })
		assert.False(t, returned)
		assert.Nil(t, panicked)
		trace := s.trace()
		slices.Sort(trace[1:3])
		slices.Sort(trace[4:6])
		assert.Equal(t, []string{"do a", "do slow", "do x", "slow is back", "undo slow", "undo x", "undo a"}, trace)
	})
}

// G26, G27: the time is over while in makes the state: the saga within does not begin.
func TestG26_OverBeforeTheFirstStepWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, mock := newScript(), clock.NewMock()
		late := func(*state) state { mock.Add(time.Hour); return state{} }
		def := saga.MustNewWith(saga.Spec[state]{Name: "checkout", Timeout: time.Hour, Steps: []saga.Step[state]{
			s.step("a"), saga.Sub(saga.Step[state]{Name: "i"}, saga.MustNewWith(saga.Spec[state]{Name: "i", Timeout: time.Hour, Steps: []saga.Step[state]{s.step("b")}}), late, nil),
		}})
		err := def.RunWith(t.Context(), saga.RunConfig{Clock: mock}, &state{})
		assert.Empty(t, ended(t, err, saga.Compensated, saga.ReasonNone, "", context.DeadlineExceeded).Undo)
		assert.Equal(t, []string{"do a", "undo a"}, s.trace())
	})
}

// G19, G29: what has failed for good before a compensation exits is not tried again,
// and is listed once.
func TestG19_FailedBeforeAnExit(t *testing.T) {
	s := newScript()
	var last saga.StatusEvent
	a, b, c := s.step("a"), s.step("b"), s.step("c")
	a.Undo = s.acts("undo a", exits(), nil)
	b.Undo = s.acts("undo b", exits())
	c.Undo = s.acts("undo c", saga.Reject(errOther))
	b.UndoRetry = patient(2)
	cfg := saga.RunConfig{Hooks: saga.Hooks{Status: func(_ context.Context, e saga.StatusEvent) { last = e }}}
	returned, panicked := aside(func() { _ = run(t, cfg, a, b, c, s.step("d", rejected)) })
	assert.False(t, returned)
	assert.Nil(t, panicked)
	assert.Equal(t, []string{"do a", "do b", "do c", "do d", "undo c", "undo b", "undo b", "undo a", "undo a"}, s.trace())
	assert.Equal(t, saga.ReasonUndoFailed, last.Reason)
}

// G29, G45: a Status hook that exits when the run goes back is told once, and holds up
// no compensation.
func TestG29_ExitOfStatusOnTheWay(t *testing.T) {
	for _, at := range []saga.Status{saga.Running, saga.Compensating} {
		s := newScript()
		hooks := saga.Hooks{Status: func(_ context.Context, e saga.StatusEvent) {
			s.note(e.To.String())
			if e.To == at {
				runtime.Goexit()
			}
		}}
		returned, panicked := aside(func() { _ = run(t, saga.RunConfig{Hooks: hooks}, s.step("a"), s.step("b", rejected)) })
		assert.False(t, returned)
		assert.Nil(t, panicked)
		if at == saga.Running {
			assert.Equal(t, []string{"running", "compensating", "compensated"}, s.trace())
			continue
		}
		assert.Equal(t, []string{"running", "do a", "do b", "compensating", "undo a", "compensated"}, s.trace())
	}
}

// G2: what the caller does with its slices after New is nothing to the saga.
func TestG2_CopiesWhatItIsGiven(t *testing.T) {
	s := newScript()
	children := []saga.Step[state]{child(s.step("x"))}
	steps := []saga.Step[state]{s.step("a"), {Name: "g", Parallel: children}}
	def := saga.MustNew("checkout", steps)
	children[0], steps[0] = child(s.step("y")), s.step("b")
	require.NoError(t, def.Run(t.Context(), &state{}))
	assert.Equal(t, []string{"do a", "do x"}, s.trace())
}

// G52: what is refused has done nothing, whatever it is.
func TestG52_RefusedBeforeAnyEffect(t *testing.T) {
	s := newScript()
	def := saga.MustNew("checkout", []saga.Step[state]{s.step("a")})
	long := string(make([]byte, 257))
	for name, err := range map[string]error{
		"ID":     def.RunWith(bg, saga.RunConfig{ID: long}, &state{}),
		"Factor": def.RunWith(bg, saga.RunConfig{Retry: saga.Retry{Factor: 0.5}, UndoRetry: saga.Retry{Factor: -1}}, &state{}),
	} {
		require.ErrorContains(t, err, name)
		var e *saga.Error
		assert.False(t, errors.As(err, &e), fmt.Sprint(name, " is no end of a run"))
	}
	assert.Empty(t, s.trace())
	require.NoError(t, def.RunWith(bg, saga.RunConfig{ID: long[:256]}, &state{}))
}

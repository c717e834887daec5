package saga_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/saga"
)

// G18, G29, G45: a StepDone that exits, as t.FailNow in it does, loses nothing of what
// was done, and does nothing twice.
func TestG29_ExitOfStepDone(t *testing.T) {
	for name, wrap := range map[string]func(saga.Step[state]) saga.Step[state]{
		"a step":  func(step saga.Step[state]) saga.Step[state] { return step },
		"a child": func(step saga.Step[state]) saga.Step[state] { return group("g", step) },
		"within":  func(step saga.Step[state]) saga.Step[state] { return inner("i", step) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			hooks := saga.Hooks{StepDone: func(_ context.Context, e saga.StepEvent) {
				if e.Result == saga.Applied && !e.Info.Undoing && e.Info.Step != "a" {
					runtime.Goexit()
				}
			}}
			def := saga.MustNew("checkout", []saga.Step[state]{s.step("a"), wrap(s.step("b")), s.step("c")})
			aside(func() { _ = def.RunWith(bg, saga.RunConfig{Hooks: hooks}, &state{}) })
			assert.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, s.trace())
		})
	}
}

// G18, G29, G45: the same of Undo.
func TestG29_ExitOfStepDoneOfUndo(t *testing.T) {
	s := newScript()
	var last saga.StatusEvent
	hooks := saga.Hooks{
		Status: func(_ context.Context, e saga.StatusEvent) { last = e },
		StepDone: func(_ context.Context, e saga.StepEvent) {
			if e.Info.Undoing {
				runtime.Goexit()
			}
		},
	}
	a, b := s.step("a"), s.step("b")
	a.UndoRetry, b.UndoRetry = patient(1), patient(1)
	def := saga.MustNew("checkout", []saga.Step[state]{a, b, s.step("c", rejected)})
	aside(func() { _ = def.RunWith(bg, saga.RunConfig{Hooks: hooks}, &state{}) })
	assert.Equal(t, []string{"do a", "do b", "do c", "undo b", "undo a"}, s.trace())
	assert.Equal(t, saga.Compensated, last.To)
}

// G4, G29, G45: a Status that exits when the run has ended comes too late to change
// how.
func TestG29_ExitOfStatus(t *testing.T) {
	for name, c := range map[string]struct {
		last, bad any
		want      []string
	}{
		"completed":   {nil, nil, []string{"running", "do a", "do b", "completed"}},
		"compensated": {rejected, nil, []string{"running", "do a", "do b", "compensating", "undo a", "compensated"}},
		"stuck":       {rejected, saga.Reject(errDown), []string{"running", "do a", "do b", "compensating", "undo a", "stuck"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			hooks := saga.Hooks{Status: func(_ context.Context, e saga.StatusEvent) {
				s.note(e.To.String())
				if e.To.Ended() || e.To == saga.Stuck {
					runtime.Goexit()
				}
			}}
			a := s.step("a")
			a.Undo = s.acts("undo a", c.bad)
			def := saga.MustNew("checkout", []saga.Step[state]{a, s.step("b", c.last)})
			returned, panicked := aside(func() { _ = def.RunWith(bg, saga.RunConfig{Hooks: hooks}, &state{}) })
			assert.False(t, returned)
			assert.Nil(t, panicked)
			assert.Equal(t, c.want, s.trace())
		})
	}
}

// G20, G29: a StepDone that exits after the pivot leaves nothing that could be undone.
func TestG29_ExitOfStepDoneOfThePivot(t *testing.T) {
	for name, wrap := range map[string]func(saga.Step[state]) saga.Step[state]{
		"a step": func(step saga.Step[state]) saga.Step[state] { return step },
		"within": func(step saga.Step[state]) saga.Step[state] { return inner("i", step) },
	} {
		s := newScript()
		var last saga.StatusEvent
		hooks := saga.Hooks{
			Status: func(_ context.Context, e saga.StatusEvent) { last = e },
			StepDone: func(_ context.Context, e saga.StepEvent) {
				if e.Info.Step != "a" {
					runtime.Goexit()
				}
			},
		}
		aside(func() { _ = run(t, saga.RunConfig{Hooks: hooks}, s.step("a"), wrap(s.pivot("p")), s.bare("c")) })
		assert.Equal(t, []string{"do a", "do p"}, s.trace(), name)
		assert.Equal(t, saga.Stuck, last.To, name)
		assert.Equal(t, saga.ReasonForwardFailed, last.Reason, name)
	}
}

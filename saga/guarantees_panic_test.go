package saga_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// unwound runs a saga that has to panic with an *Error.
func unwound(t *testing.T, steps ...saga.Step[state]) *saga.Error {
	t.Helper()
	returned, panicked := aside(func() { _ = saga.MustNew("checkout", steps).Run(bg, &state{}) })
	require.False(t, returned)
	e, ok := panicked.(*saga.Error)
	require.True(t, ok, "%v", panicked)
	return e
}

// G28: a panic of Do is not tried again; the run goes back and panics with all there
// is to say about it.
func TestG28_PanicOfDo(t *testing.T) {
	s := newScript()
	b := s.step("b", panics(errOther))
	b.Retry = patient(9)
	e := unwound(t, s.step("a"), b, s.step("c"))
	assert.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, s.trace())
	_ = ended(t, e, saga.Compensated, saga.ReasonNone, "b", errOther)
	assert.Equal(t, saga.Unknown, e.Outcome)
	var p *saga.PanicError
	require.ErrorAs(t, e, &p)
	assert.Equal(t, errOther, p.Value)
	assert.Contains(t, string(p.Stack), "panics")
	assert.False(t, p.Goexit)
	assert.ErrorContains(t, p, "panic: something else")
}

// G28: it is the same within groups, whose goroutines are ours.
func TestG28_PanicWithin(t *testing.T) {
	for name, around := range map[string]func(step saga.Step[state]) saga.Step[state]{
		"Parallel": func(step saga.Step[state]) saga.Step[state] { return group("g", step) },
		"Sub":      func(step saga.Step[state]) saga.Step[state] { return inner("g", step) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			e := unwound(t, s.step("a"), around(s.step("b", panics("boom"))))
			assert.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, s.trace())
			assert.Equal(t, "g/b", e.Step)
			assert.ErrorContains(t, e, "panic: boom")
		})
	}
}

// G28: from the pivot on a panic makes the run stuck.
func TestG28_PanicFromThePivotOn(t *testing.T) {
	s := newScript()
	e := unwound(t, s.step("a"), s.pivot("b", panics("boom")), s.bare("c"))
	assert.Equal(t, saga.ReasonPivotUnknown, e.Reason)
	assert.ErrorIs(t, e, saga.ErrStuck)
	assert.Equal(t, []string{"do a", "do b"}, s.trace())

	s = newScript()
	e = unwound(t, s.step("a"), s.pivot("b"), s.bare("c", panics("boom")))
	assert.Equal(t, saga.ReasonForwardFailed, e.Reason)
	assert.Equal(t, []string{"do a", "do b", "do c"}, s.trace())
}

// G28: a pivot that panicked may be found to have no effect: there is a way back.
func TestG28_PanicOfAPivotWithoutEffect(t *testing.T) {
	s := newScript()
	p := s.pivot("b", panics("boom"))
	p.Probe = func(context.Context, *state) (saga.Outcome, error) { return saga.Rejected, nil }
	e := unwound(t, s.step("a"), p)
	assert.Equal(t, saga.Compensated, e.Status)
	assert.Equal(t, []string{"do a", "do b", "undo a"}, s.trace())
}

// broken are steps of which a function of the definition does not return.
func broken(s *script, deed func()) map[string]saga.Step[state] { return brokenWith(s.step, deed) }

func brokenWith(make1 func(string, ...any) saga.Step[state], deed func()) map[string]saga.Step[state] {
	sub := saga.MustNew("sub", []saga.Step[state]{make1("x")})
	b := saga.Step[state]{Name: "b"}
	when := make1("b")
	when.When = func(*state) bool { deed(); return true }
	merged := make1("x")
	merged.Merge = func(_, _ *state) { deed() }
	return map[string]saga.Step[state]{
		"When":         when,
		"Merge":        {Name: "b", Parallel: []saga.Step[state]{merged}},
		"in":           saga.Sub(b, sub, func(*state) state { deed(); return state{} }, nil),
		"out":          saga.Sub(b, sub, func(*state) state { return state{} }, func(*state, state) { deed() }),
		"items":        saga.ForEach(b, func(*state) []state { deed(); return nil }, sub, nil),
		"out of items": saga.ForEach(b, func(*state) []state { return make([]state, 1) }, sub, func(*state, []state) { deed() }),
		"at":           saga.SleepUntil(b, func(*state) time.Time { deed(); return time.Time{} }),
	}
}

// G28: a panic of When and the like ends the way forward; what is done by then is
// undone.
func TestG28_PanicOfTheDefinition(t *testing.T) {
	for name := range broken(newScript(), func() {}) {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			e := unwound(t, s.step("a"), broken(s, func() { panic(errOther) })[name], s.step("c"))
			assert.ErrorIs(t, e, errOther)
			assert.Equal(t, saga.Compensated, e.Status)
			switch name {
			case "Merge":
				assert.Equal(t, "b/x", e.Step)
				assert.Equal(t, []string{"do a", "do x", "undo x", "undo a"}, s.trace())
			case "out", "out of items":
				assert.Equal(t, "b", e.Step)
				assert.Equal(t, []string{"do a", "do x", "undo x", "undo a"}, s.trace())
			default:
				assert.Equal(t, "b", e.Step)
				assert.Equal(t, []string{"do a", "undo a"}, s.trace())
			}
			s = newScript()
			e = unwound(t, s.pivot("a"), brokenWith(s.bare, func() { panic(errOther) })[name])
			assert.Equal(t, saga.ReasonForwardFailed, e.Reason)
		})
	}
}

// G28: a panic of Clone, when the group begins, and when it is undone.
func TestG28_PanicOfClone(t *testing.T) {
	for after, want := range map[int][]string{
		0: {"do a", "undo a"},
		2: {"do a", "do x", "do y", "do c", "undo a"},
	} {
		s, n := newScript(), 0
		def := saga.MustNewWith(saga.Spec[state]{
			Name:  "checkout",
			Steps: []saga.Step[state]{s.step("a"), group("g", s.step("x"), s.bare("y")), s.step("c", rejected)},
			Clone: func(s *state) state {
				if n++; n > after {
					panic("boom")
				}
				return *s
			},
		})
		_, panicked := aside(func() { _ = def.Run(bg, &state{}) })
		e, ok := panicked.(*saga.Error)
		require.True(t, ok)
		assert.Subset(t, want, s.trace())
		assert.Len(t, s.trace(), len(want))
		if after > 0 {
			assert.Equal(t, saga.ReasonUndoFailed, e.Reason)
			require.Len(t, e.Undo, 1)
			assert.Equal(t, "g/x", e.Undo[0].Step)
			assert.Zero(t, e.Undo[0].Attempts)
		}
	}
}

// G28: a panic of Undo is a failed attempt.
func TestG28_PanicOfUndo(t *testing.T) {
	s := newScript()
	b := s.step("b")
	b.Undo = s.acts("undo b", panics("boom"), nil)
	b.UndoRetry = patient(2)
	e := ended(t, run(t, saga.RunConfig{}, s.step("a"), b, s.step("c", rejected)), saga.Compensated, saga.ReasonNone, "c", errDeclined)
	assert.Empty(t, e.Undo)
	assert.Equal(t, []string{"do a", "do b", "do c", "undo b", "undo b", "undo a"}, s.trace())

	s = newScript()
	b = s.step("b")
	b.Undo = s.acts("undo b", panics("boom"))
	b.UndoRetry = patient(2)
	e = unwound(t, s.step("a"), b, s.step("c", rejected))
	assert.Equal(t, []string{"do a", "do b", "do c", "undo b", "undo b", "undo a"}, s.trace())
	require.Len(t, e.Undo, 1)
	var p *saga.PanicError
	assert.ErrorAs(t, e.Undo[0].Err, &p)
}

// G29: a goroutine that exits in Do, as t.FailNow does, compensates first.
func TestG29_Goexit(t *testing.T) {
	for name, steps := range map[string]func(s *script) []saga.Step[state]{
		"in a step": func(s *script) []saga.Step[state] { return []saga.Step[state]{s.step("a"), s.step("b", exits())} },
		"in a step within": func(s *script) []saga.Step[state] {
			return []saga.Step[state]{s.step("a"), inner("i", s.step("b", exits()))}
		},
		"and in Undo": func(s *script) []saga.Step[state] {
			b := s.step("b", exits())
			b.Undo = s.acts("undo b", exits(), nil)
			b.UndoRetry = patient(1)
			return []saga.Step[state]{s.step("a"), b}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			var last saga.StatusEvent
			cfg := saga.RunConfig{Hooks: saga.Hooks{Status: func(_ context.Context, e saga.StatusEvent) { last = e }}}
			returned, panicked := aside(func() { _ = saga.MustNew("checkout", steps(s)).RunWith(bg, cfg, &state{}) })
			assert.False(t, returned)
			assert.Nil(t, panicked)
			assert.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, s.trace())
			assert.True(t, last.To.Ended() || last.To == saga.Stuck)
			var p *saga.PanicError
			require.ErrorAs(t, last.Cause, &p)
			assert.True(t, p.Goexit)

			s = newScript() // and with nobody who watches, which takes another way
			returned, panicked = aside(func() { _ = saga.MustNew("checkout", steps(s)).Run(bg, &state{}) })
			assert.False(t, returned)
			assert.Nil(t, panicked)
			assert.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, s.trace())
		})
	}
}

// G29: with the pivot applied, or when it may be, there is nothing to compensate.
func TestG29_GoexitFromThePivotOn(t *testing.T) {
	for name, steps := range map[string]func(s *script) []saga.Step[state]{
		"of the pivot": func(s *script) []saga.Step[state] { return []saga.Step[state]{s.step("a"), s.pivot("b", exits())} },
		"after it":     func(s *script) []saga.Step[state] { return []saga.Step[state]{s.pivot("a"), s.bare("b", exits())} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			var last saga.StatusEvent
			cfg := saga.RunConfig{Hooks: saga.Hooks{Status: func(_ context.Context, e saga.StatusEvent) { last = e }}}
			returned, _ := aside(func() { _ = saga.MustNew("checkout", steps(s)).RunWith(bg, cfg, &state{}) })
			assert.False(t, returned)
			assert.Equal(t, []string{"do a", "do b"}, s.trace())
			assert.Equal(t, saga.Stuck, last.To)

			s = newScript()
			returned, panicked := aside(func() { _ = saga.MustNew("checkout", steps(s)).Run(bg, &state{}) })
			assert.False(t, returned)
			assert.Nil(t, panicked)
			assert.Equal(t, []string{"do a", "do b"}, s.trace())
		})
	}
}

// G29: of When and the like, too.
func TestG29_GoexitOfTheDefinition(t *testing.T) {
	for name := range broken(newScript(), func() {}) {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			def := saga.MustNew("checkout", []saga.Step[state]{s.step("a"), broken(s, runtime.Goexit)[name], s.step("c")})
			returned, panicked := aside(func() { _ = def.Run(bg, &state{}) })
			assert.False(t, returned)
			assert.Nil(t, panicked)
			trace := s.trace()
			assert.Equal(t, "undo a", trace[len(trace)-1])
			assert.NotContains(t, trace, "do c")
		})
	}
}

// G29: on our goroutines it is a failure like a panic.
func TestG29_GoexitInAGroup(t *testing.T) {
	s := newScript()
	c := s.step("c", exits())
	c.Undo = s.acts("undo c", exits(), nil)
	c.UndoRetry = patient(2)
	e := unwound(t, s.step("a"), group("g", c))
	assert.Equal(t, []string{"do a", "do c", "undo c", "undo c", "undo a"}, s.trace())
	assert.Equal(t, "g/c", e.Step)
	assert.Equal(t, saga.Compensated, e.Status)
	var p *saga.PanicError
	require.ErrorAs(t, e, &p)
	assert.True(t, p.Goexit)
	assert.ErrorContains(t, p, "Goexit")
	assert.NoError(t, errors.Unwrap(p))
}

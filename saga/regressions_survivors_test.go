package saga_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// G8, G9: what has no effect leaves no doubt, so nobody is asked.
func TestG9_ReadOnlyIsNotAskedAbout(t *testing.T) {
	s := newScript()
	a := s.bare("a", errDown)
	a.ReadOnly, a.Retry = true, patient(2)
	a.Probe = func(context.Context, *state) (saga.Outcome, error) { s.note("probe"); return saga.Applied, nil }
	e := ended(t, run(t, saga.RunConfig{}, a), saga.Compensated, saga.ReasonNone, "a", errDown)
	assert.Equal(t, saga.Unknown, e.Outcome)
	assert.Equal(t, []string{"do a", "do a"}, s.trace())
}

// G13: a child that is a saga of its own is merged whatever came of it, and so is one
// that is a group.
func TestG13_MergeOfAGroupThatFailed(t *testing.T) {
	for name, wrap := range map[string]func(saga.Step[state]) saga.Step[state]{
		"Sub":      func(step saga.Step[state]) saga.Step[state] { return inner("c", step) },
		"Parallel": func(step saga.Step[state]) saga.Step[state] { return group("c", step) },
	} {
		s := newScript()
		c := wrap(s.step("x", rejected))
		c.Merge = func(_, _ *state) { s.note("merge") }
		require.ErrorIs(t, run(t, saga.RunConfig{}, group("g", c)), errDeclined, name)
		assert.Equal(t, []string{"do x", "merge"}, s.trace(), name)
	}
}

// G20, G29: a child that exits after the pivot undoes nothing.
func TestG29_ExitOfAChildAfterThePivot(t *testing.T) {
	for name, exit := range map[string]func(s *script) saga.Step[state]{
		"Do": func(s *script) saga.Step[state] { return s.bare("c", exits()) },
		"When": func(s *script) saga.Step[state] {
			c := s.bare("c")
			c.When = func(*state) bool { s.note("do c"); runtime.Goexit(); return true }
			return c
		},
	} {
		s := newScript()
		e := unwound(t, s.step("a"), s.pivot("p"), group("g", exit(s)), s.bare("d"))
		assert.Equal(t, saga.Stuck, e.Status, name)
		assert.Equal(t, saga.ReasonForwardFailed, e.Reason, name)
		assert.Equal(t, "g/c", e.Step, name)
		assert.Equal(t, []string{"do a", "do p", "do c"}, s.trace(), name)
	}
}

// G21, G22, G29: why a run is stuck whose goroutine exits.
func TestG29_ReasonOfAnExit(t *testing.T) {
	for want, steps := range map[saga.Reason]func(s *script) []saga.Step[state]{
		saga.ReasonPivotUnknown:  func(s *script) []saga.Step[state] { return []saga.Step[state]{s.pivot("p", exits())} },
		saga.ReasonForwardFailed: func(s *script) []saga.Step[state] { return []saga.Step[state]{s.pivot("p"), s.bare("c", exits())} },
	} {
		s := newScript()
		var last saga.StatusEvent
		cfg := saga.RunConfig{Hooks: saga.Hooks{Status: func(_ context.Context, e saga.StatusEvent) { last = e }}}
		aside(func() { _ = run(t, cfg, steps(s)...) })
		assert.Equal(t, want, last.Reason)
	}
}

// G5, G14: a errDeclined of its own is one, also when a sibling was refused before.
func TestG14_TwoRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		x := s.step("x", deed(func(ctx context.Context, _ *state) error {
			<-ctx.Done()
			return saga.Reject(errOther)
		}))
		refused := s.step("refused", deed(func(context.Context, *state) error { time.Sleep(time.Second); return rejected }))
		e := ended(t, run(t, saga.RunConfig{}, s.step("a"), group("g", x, refused)), saga.Compensated, saga.ReasonNone, "g/refused", errDeclined)
		assert.Empty(t, e.Undo)
		trace := s.trace()
		slices.Sort(trace)
		assert.Equal(t, []string{"do a", "do refused", "do x", "undo a"}, trace)
	})
}

// G6, G26: within, too, there is no point in a wait beyond the time of the run around,
// however long the saga within might take by itself.
func TestG6_NoPointInWaitingWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		b := s.step("b", saga.RetryAfter(rejected, 2*time.Minute), nil)
		b.Retry = patient(2)
		sub := saga.MustNewWith(saga.Spec[state]{Name: "sub", Timeout: time.Hour, Steps: []saga.Step[state]{b}})
		def := saga.MustNewWith(saga.Spec[state]{Name: "checkout", Timeout: time.Minute, Steps: []saga.Step[state]{
			s.step("a"), saga.Sub(saga.Step[state]{Name: "i"}, sub, func(*state) state { return state{} }, nil),
		}})
		require.ErrorIs(t, def.Run(t.Context(), &state{}), context.DeadlineExceeded)
		assert.Zero(t, time.Since(s.begun))
		assert.Equal(t, []string{"do a", "do b", "undo a"}, s.trace())
	})
}

// approve is a step that waits for a signal.
func approve(name string, tweak func(*saga.Step[state])) saga.Step[state] {
	step := saga.Step[state]{Name: name}
	if tweak != nil {
		tweak(&step)
	}
	return saga.Await(step, func(context.Context, *state, int) error { return nil })
}

// G16: an Await is found wherever it is, also before steps that have none.
func TestG16_AwaitWherever(t *testing.T) {
	s := newScript()
	waits := inner("w", approve("signal", nil))
	for name, steps := range map[string][]saga.Step[state]{
		"within":          {waits},
		"before another":  {waits, inner("i", s.step("x"))},
		"twice within":    {inner("o", waits), s.step("x")},
		"in a group":      {group("g", approve("signal", nil), s.step("x")), inner("i", s.step("x"))},
		"within an items": {saga.ForEach(saga.Step[state]{Name: "e"}, func(*state) []state { return nil }, saga.MustNew("item", []saga.Step[state]{waits}), nil)},
	} {
		require.ErrorContains(t, run(t, saga.RunConfig{}, append([]saga.Step[state]{s.step("first")}, steps...)...), "Await", name)
	}
	assert.Empty(t, s.trace())
}

// G1: what holds for Do and the pivot holds for Await, and for the steps of a saga
// within wherever they stand in it.
func TestG1_IrreversibleWherever(t *testing.T) {
	s := newScript()
	undone := func(step *saga.Step[state]) { step.Undo = s.acts("undo") }
	pivot := func(step *saga.Step[state]) { step.Pivot = true }
	for name, c := range map[string]struct {
		steps []saga.Step[state]
		want  string
	}{
		"Undo of an Await after the pivot":   {[]saga.Step[state]{s.pivot("p"), approve("w", undone)}, `Steps[1] "w".Undo is set, want none after the pivot`},
		"Undo of a pivot that waits":         {[]saga.Step[state]{approve("w", func(step *saga.Step[state]) { undone(step); pivot(step) })}, `Steps[0] "w".Undo is set, want none on the pivot`},
		"two pivots, of which one waits":     {[]saga.Step[state]{approve("w", pivot), s.pivot("p")}, `Steps[1] "p".Pivot is set, want one pivot`},
		"an Await that is ReadOnly and undo": {[]saga.Step[state]{approve("w", func(step *saga.Step[state]) { undone(step); step.ReadOnly = true })}, `Steps[0] "w".ReadOnly is set, want no Undo`},
		"Undo first within":                  {[]saga.Step[state]{s.pivot("p"), inner("i", s.step("x"), s.bare("y"))}, `Steps[1] "i".Undo is set, want none after the pivot`},
		"Undo last within":                   {[]saga.Step[state]{s.pivot("p"), inner("i", s.bare("x"), s.step("y"))}, `Steps[1] "i".Undo is set, want none after the pivot`},
		"Undo in a group within":             {[]saga.Step[state]{s.pivot("p"), inner("i", group("g", s.step("x")), s.bare("y"))}, `Steps[1] "i".Undo is set, want none after the pivot`},
		"after a pivot within":               {[]saga.Step[state]{inner("i", s.pivot("x"), s.bare("y")), s.step("b")}, `Steps[1] "b".Undo is set, want none after the pivot`},
		"a pivot after a pivot within":       {[]saga.Step[state]{inner("i", s.pivot("x")), inner("j", s.pivot("x"))}, `Steps[1] "j".Pivot is set, want one pivot`},
		"a pivot twice within a group":       {[]saga.Step[state]{group("g", inner("o", inner("i", s.pivot("x"))))}, `Steps[0] "g".Parallel[0] "o".Pivot is set, want none within parallel`},
	} {
		_, err := saga.New("checkout", c.steps)
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := saga.New("checkout", []saga.Step[state]{s.pivot("p"), inner("i", s.bare("x")), approve("w", nil), group("g", s.bare("y"))})
	require.NoError(t, err)
}

// G6, G7: all fields of the policies of a RunConfig are for steps that leave them zero,
// each by itself.
func TestG6_PolicyOfTheRun(t *testing.T) {
	policy := saga.Retry{Attempts: 4, Wait: time.Minute, MaxWait: 2 * time.Minute, Factor: 3, NoJitter: true}
	for name, c := range map[string]struct {
		own  saga.Retry
		want []int // seconds from one attempt to the next
	}{
		"none":     {saga.Retry{}, []int{60, 120, 120}},
		"Attempts": {saga.Retry{Attempts: 2}, []int{60}},
		"Wait":     {saga.Retry{Wait: time.Second}, []int{1, 3, 9}},
		"MaxWait":  {saga.Retry{MaxWait: -1}, []int{60, 180, 540}},
		"Factor":   {saga.Retry{Factor: 1}, []int{60, 60, 60}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				a, b := s.step("a"), s.bare("b", errDown)
				a.Undo, a.UndoRetry, b.Retry = s.acts("undo a", errDown), c.own, c.own
				require.Error(t, run(t, saga.RunConfig{Retry: policy, UndoRetry: policy, Grace: -1}, a, b))
				times, n := s.times(), len(c.want)+1
				require.Len(t, times, 1+2*n)
				for i, want := range c.want {
					assert.Equal(t, time.Duration(want)*time.Second, times[i+2]-times[i+1], "of Do")
					assert.Equal(t, time.Duration(want)*time.Second, times[i+2+n]-times[i+1+n], "of Undo")
				}
			})
		})
	}
}

// G10: what is escaped in a key, and how.
func TestG10_Escapes(t *testing.T) {
	assert.Equal(t, "checkout/%00%01%0A%20%7E%25%2F%7F%FF!/a/do", keyOf(t, "checkout", "\x00\x01\n ~%/\x7f\xff!", "a"))
}

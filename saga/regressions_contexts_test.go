package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// A context does not outlive what it is for: an attempt with a timeout, a
// compensation, the work after the pivot, a child.
func TestG25_ContextsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []context.Context
		keep := func(answer error) func(context.Context, *state) error {
			return func(ctx context.Context, _ *state) error {
				assert.NoError(t, ctx.Err())
				kept = append(kept, ctx)
				return answer
			}
		}
		probing := saga.Step[state]{Name: "q", Do: func(context.Context, *state) error { return errDown }, Probe: func(ctx context.Context, s *state) (saga.Outcome, error) {
			return saga.Rejected, keep(nil)(ctx, s)
		}}
		doubtful := probing
		doubtful.Pivot, doubtful.Retry = true, saga.Retry{Attempts: 1}
		sub := saga.MustNewWith(saga.Spec[state]{Name: "sub", Timeout: time.Hour, Steps: []saga.Step[state]{{Name: "x", Do: keep(nil)}}})
		in := saga.Sub(saga.Step[state]{Name: "i"}, sub, func(*state) state { return state{} }, nil)
		for name, steps := range map[string][]saga.Step[state]{
			"timeout":      {{Name: "a", Do: keep(nil), Timeout: time.Hour}},
			"compensation": {{Name: "a", Do: func(context.Context, *state) error { return errDown }, Undo: keep(nil)}},
			"pivot":        {{Name: "p", Do: func(context.Context, *state) error { return nil }, Pivot: true}, {Name: "a", Do: keep(nil)}},
			"child":        {group("g", saga.Step[state]{Name: "a", Do: keep(nil)})},
			"within":       {in},
			"probe":        {probing},
			"doubt":        {doubtful},
		} {
			for _, c := range []saga.Clock{nil, clock.NewMock()} {
				kept = nil
				_ = run(t, saga.RunConfig{Clock: c}, steps...)
				require.Len(t, kept, 1, name)
				assert.Equal(t, context.Canceled, context.Cause(kept[0]), name)
			}
		}
	})
}

// G10, G25: a context knows its own attempt for ever, also beside many others.
func TestG10_InfoOfManyContexts(t *testing.T) {
	var mu sync.Mutex
	var kept []context.Context
	var infos []saga.StepInfo
	keep := func(ctx context.Context, _ *state) error {
		mu.Lock()
		defer mu.Unlock()
		kept, infos = append(kept, ctx), append(infos, saga.Info(ctx))
		return nil
	}
	var steps, children []saga.Step[state]
	for i := range 20 {
		steps = append(steps, saga.Step[state]{Name: fmt.Sprint("s", i), Do: keep, Undo: keep})
		children = append(children, child(saga.Step[state]{Name: fmt.Sprint("c", i), Do: keep, Undo: keep}))
	}
	steps = append([]saga.Step[state]{group("g", children...)}, steps...)
	steps = append(steps, saga.Step[state]{Name: "end", Do: func(context.Context, *state) error { return rejected }})
	require.Error(t, run(t, saga.RunConfig{}, steps...))
	keys := map[string]bool{}
	for i, ctx := range kept {
		assert.Equal(t, infos[i], saga.Info(ctx))
		keys[infos[i].Key] = true
	}
	assert.Len(t, keys, 80)
}

// G9, G23: a Probe of a pivot that may be applied has what is left of the grace, and
// is not asked once that is over.
func TestG23_ProbeWithinTheGrace(t *testing.T) {
	for name, c := range map[string]struct {
		wait time.Duration // before the second attempt
		took time.Duration
		want []string
	}{
		"what is left": {10 * time.Second, 30 * time.Second, []string{"do p", "probe", "do p", "probe"}},
		"nothing":      {time.Minute, 30 * time.Second, []string{"do p"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, n := newScript(), 0
				p := s.pivot("p", saga.RetryAfter(errDown, c.wait), errDown)
				p.Retry = saga.Retry{Attempts: 2}
				p.Probe = func(ctx context.Context, _ *state) (saga.Outcome, error) {
					s.note("probe")
					if n++; n > 1 {
						<-ctx.Done()
					}
					return saga.Unknown, nil
				}
				assert.Equal(t, saga.ReasonPivotUnknown, failure(t, run(t, saga.RunConfig{}, p)).Reason)
				assert.Equal(t, c.want, s.trace())
				assert.Equal(t, c.took, time.Since(s.begun))
			})
		})
	}
}

// G9, G23: before going back a Probe without a Timeout may take the grace, and the
// compensation has as much again.
func TestG9_ProbeThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		b := s.step("b", errDown)
		b.Probe = func(ctx context.Context, _ *state) (saga.Outcome, error) {
			<-ctx.Done()
			assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
			return saga.Unknown, nil
		}
		a := s.step("a")
		a.Undo = s.acts("undo a", deed(func(ctx context.Context, _ *state) error { time.Sleep(time.Second - 1); return ctx.Err() }))
		e := ended(t, run(t, saga.RunConfig{Grace: time.Second}, a, b), saga.Compensated, saga.ReasonNone, "b", errDown)
		assert.Empty(t, e.Undo)
		assert.Equal(t, 2*time.Second-1, time.Since(s.begun))
	})
}

// G14, G20: a pivot that was in doubt and is applied leaves no doubt behind: children
// after it end with their siblings.
func TestG14_ChildrenAfterADoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		p := s.pivot("p", errDown, nil)
		p.Retry = saga.Retry{Wait: -1}
		refused := s.bare("refused", deed(func(context.Context, *state) error { time.Sleep(time.Second); return rejected }))
		e := ended(t, run(t, saga.RunConfig{Grace: time.Hour}, p, group("g", s.bare("x", hangs()), refused)), saga.Stuck, saga.ReasonForwardFailed, "g/refused", errDeclined)
		assert.Equal(t, saga.Rejected, e.Outcome)
		assert.Equal(t, time.Second, time.Since(s.begun))
	})
}

// G13, G18: children of all kinds are merged and undone: a saga within, a group within,
// one that sleeps.
func TestG13_ChildrenOfAllKinds(t *testing.T) {
	build := func(s *script, last any) []saga.Step[state] {
		merging := func(step saga.Step[state]) saga.Step[state] {
			step.Merge = func(_, _ *state) { s.note("merge " + step.Name) }
			return step
		}
		return []saga.Step[state]{
			group("g", merging(inner("i", s.step("x"))), merging(group("n", s.step("y"))), merging(saga.Sleep(saga.Step[state]{Name: "s"}, 0))),
			s.bare("last", last),
		}
	}
	s := newScript()
	require.NoError(t, run(t, saga.RunConfig{}, build(s, nil)...))
	trace := s.trace()
	slices.Sort(trace)
	assert.Equal(t, []string{"do last", "do x", "do y", "merge i", "merge n", "merge s"}, trace)

	s = newScript()
	require.Error(t, run(t, saga.RunConfig{}, build(s, rejected)...))
	trace = s.trace()[6:]
	slices.Sort(trace)
	assert.Equal(t, []string{"undo x", "undo y"}, trace)
}

// G13: the Merge of a child that has not begun is not called.
func TestG13_NoMergeOfNothing(t *testing.T) {
	s := newScript()
	late := s.step("late")
	late.Merge = func(_, _ *state) { s.note("merge late") }
	off := s.step("off")
	off.When, off.Merge = func(*state) bool { return false }, func(_, _ *state) { s.note("merge off") }
	g := group("g", off, s.step("x", rejected), late)
	g.Limit = 1
	require.Error(t, run(t, saga.RunConfig{}, g))
	assert.Equal(t, []string{"do x"}, s.trace())
}

// G18: items are undone at the same time, within Limit, each in its own reverse order.
func TestG18_ItemsAreUndoneTogether(t *testing.T) {
	for limit, want := range map[int]time.Duration{0: 2 * time.Second, 2: 4 * time.Second, 1: 6 * time.Second} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				slow := deed(func(context.Context, *state) error { time.Sleep(time.Second); return nil })
				x, y := s.step("x"), s.step("y")
				x.Undo, y.Undo = s.acts("undo x", slow), s.acts("undo y", slow)
				items := saga.ForEach(saga.Step[state]{Name: "e", Limit: limit}, func(*state) []state { return make([]state, 3) },
					saga.MustNew("item", []saga.Step[state]{x, y}), nil)
				require.Error(t, run(t, saga.RunConfig{}, items, s.bare("c", rejected)))
				assert.Equal(t, want, time.Since(s.begun))
				trace := s.trace()
				assert.Equal(t, "undo y", trace[7])
				assert.Equal(t, "undo x", trace[len(trace)-1])
			})
		})
	}
}

// G19, G28: what is said of compensations that failed, in groups too.
func TestG19_WhatIsSaid(t *testing.T) {
	s := newScript()
	unknown, applied := s.step("b", errDown), s.step("a")
	unknown.Undo = s.acts("undo b", errOther, saga.Reject(errDown))
	applied.Undo = s.acts("undo a", panics("boom"))
	applied.UndoRetry, unknown.UndoRetry = patient(1), patient(5)
	e := unwound(t, applied, unknown)
	require.Len(t, e.Undo, 2)
	assert.Equal(t, saga.UndoFailure{Step: "b", Outcome: saga.Unknown, Attempts: 2, Err: e.Undo[0].Err}, e.Undo[0])
	require.ErrorIs(t, e.Undo[0].Err, errDown)
	assert.Equal(t, saga.UndoFailure{Step: "a", Outcome: saga.Applied, Attempts: 1, Err: e.Undo[1].Err}, e.Undo[1])
	var p *saga.PanicError
	require.ErrorAs(t, e.Undo[1].Err, &p)
	assert.Contains(t, string(p.Stack), "panics")
	assert.False(t, errors.As(e.Err, &p))
}

// G21, G24: a pivot that Probe has found without effect is no longer in doubt: when
// the caller leaves there is no other attempt, and the run goes back.
func TestG21_LeavesAfterProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		ctx, cancel := context.WithCancelCause(t.Context())
		p := s.pivot("p", errDown, deed(func(ctx context.Context, _ *state) error {
			cancel(errOther)
			assert.Equal(t, errOther, context.Cause(ctx), "it follows the caller again")
			return saga.RetryAfter(rejected, time.Second)
		}))
		p.Retry = saga.Retry{Attempts: 9, Wait: -1}
		p.Probe = func(context.Context, *state) (saga.Outcome, error) { return saga.Rejected, nil }
		err := saga.MustNew("checkout", []saga.Step[state]{s.step("a"), p}).Run(ctx, &state{})
		e := ended(t, err, saga.Compensated, saga.ReasonNone, "p", errOther)
		assert.Equal(t, saga.Rejected, e.Outcome)
		assert.Equal(t, []string{"do a", "do p", "do p", "undo a"}, s.trace())
	})
}

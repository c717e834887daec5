package saga_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// merging is a child that adds to its copy, and whose Merge adds that to the group's.
func merging(name string, add int, err error) saga.Step[state] {
	return saga.Step[state]{
		Name:  name,
		Do:    func(_ context.Context, s *state) error { s.Sum += add; return err },
		Undo:  func(_ context.Context, s *state) error { s.Sum = -1000; return nil },
		Merge: func(dst, src *state) { dst.Sum += src.Sum - 1; dst.Wrote += name },
	}
}

// G13: each child has a copy of the state as it was at the start, and what it writes
// is merged once, whatever came of it.
func TestG13_Merge(t *testing.T) {
	begin := saga.Step[state]{Name: "begin", Do: func(_ context.Context, s *state) error { s.Sum = 1; return nil }}
	s := state{}
	quiet := child(merging("quiet", 100, nil))
	quiet.Merge = saga.NoMerge[state]
	off := merging("off", 500, nil)
	off.When = func(*state) bool { return false }
	def := saga.MustNew("checkout", []saga.Step[state]{begin, group("g", merging("a", 10, nil), merging("b", 20, nil), quiet, off)})
	require.NoError(t, def.Run(bg, &s))
	assert.Equal(t, 31, s.Sum)
	assert.Len(t, s.Wrote, 2)

	s = state{}
	def = saga.MustNew("checkout", []saga.Step[state]{begin, group("g", merging("a", 10, rejected))})
	require.ErrorIs(t, def.Run(bg, &s), errDeclined)
	assert.Equal(t, 11, s.Sum, "merged, though it failed, and what Undo wrote is dropped")
}

// G13: the copies are those of Clone.
func TestG13_Clone(t *testing.T) {
	type basket struct{ Items []string }
	def := saga.MustNewWith(saga.Spec[basket]{
		Name:  "checkout",
		Clone: func(b *basket) basket { return basket{slices.Clone(b.Items)} },
		Steps: []saga.Step[basket]{{Name: "g", Parallel: []saga.Step[basket]{
			{Name: "a", Do: func(_ context.Context, b *basket) error { b.Items[0] = "a"; return nil }, Merge: saga.NoMerge[basket]},
			{Name: "b", Do: func(_ context.Context, b *basket) error { b.Items[0] = "b"; return nil }, Merge: func(dst, src *basket) { dst.Items[1] = src.Items[0] }},
		}}},
	})
	b := basket{[]string{"one", "two"}}
	require.NoError(t, def.Run(bg, &b))
	assert.Equal(t, []string{"one", "b"}, b.Items)
}

// G14: when a child fails the contexts of its siblings end, those that have not
// begun do not, and all are waited for before anything is undone.
func TestG14_AChildFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		deaf := s.step("deaf", deed(func(ctx context.Context, _ *state) error {
			<-ctx.Done()
			assert.ErrorIs(t, context.Cause(ctx), errDeclined)
			time.Sleep(time.Minute)
			return nil
		}))
		refused := s.step("refused", deed(func(context.Context, *state) error { time.Sleep(time.Second); return rejected }))
		g := group("g", deaf, refused, s.step("late"))
		g.Limit = 2
		e := ended(t, run(t, saga.RunConfig{}, s.step("a"), g), saga.Compensated, saga.ReasonNone, "g/refused", errDeclined)
		assert.Empty(t, e.Undo)
		assert.Equal(t, []string{"do a", "undo deaf", "undo a"}, slices.DeleteFunc(s.trace(), func(l string) bool { return strings.HasPrefix(l, "do ") && l != "do a" }))
		assert.NotContains(t, s.trace(), "do late")
		times := s.times()
		assert.Equal(t, time.Minute+time.Second, times[len(times)-1])
	})
}

// G14: children are undone at the same time, within Limit, and what was before the
// group after all of them.
func TestG14_UndoneTogether(t *testing.T) {
	for limit, want := range map[int]time.Duration{0: time.Second, 2: 2 * time.Second, 1: 3 * time.Second, -1: time.Second} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				var children []saga.Step[state]
				for _, name := range []string{"x", "y", "z"} {
					c := s.step(name)
					c.Undo = s.acts("undo "+name, deed(func(context.Context, *state) error { time.Sleep(time.Second); return nil }))
					children = append(children, c)
				}
				g := group("g", children...)
				g.Limit = limit
				require.Error(t, run(t, saga.RunConfig{}, s.step("a"), g, s.step("c", rejected)))
				trace, times := s.trace(), s.times()
				assert.Equal(t, "undo a", trace[len(trace)-1])
				assert.Equal(t, want, times[len(times)-1])
			})
		})
	}
}

// G14: the first failure is the one that is told.
func TestG14_FirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		after := func(d time.Duration, err error) deed {
			return func(context.Context, *state) error { time.Sleep(d); return err }
		}
		e := failure(t, run(t, saga.RunConfig{}, group("g", s.step("x", after(2*time.Second, errOther)), s.step("y", after(time.Second, errDown)))))
		assert.Equal(t, "g/y", e.Step)
		assert.ErrorIs(t, e, errDown)
		assert.NotErrorIs(t, e, errOther)
		assert.Subset(t, s.trace(), []string{"undo x", "undo y"})
	})
}

// Limit is how many children run at once, and ForEach has 16 by default.
func TestLimit(t *testing.T) {
	for name, c := range map[string]struct {
		limit   int
		items   bool
		atOnce  int64
		seconds int
	}{
		"group, all": {0, false, 40, 1}, "group, ten": {10, false, 10, 4}, "group, unlimited": {-1, false, 40, 1},
		"items, default": {0, true, 16, 3}, "items, ten": {10, true, 10, 4}, "items, all": {-1, true, 40, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var running, most atomic.Int64
				do := func(context.Context, *state) error {
					if n := running.Add(1); n > most.Load() {
						most.Store(n)
					}
					time.Sleep(time.Second)
					running.Add(-1)
					return nil
				}
				var step saga.Step[state]
				if c.items {
					step = saga.ForEach(saga.Step[state]{Name: "g"}, func(*state) []state { return make([]state, 40) },
						saga.MustNew("item", []saga.Step[state]{{Name: "x", Do: do}}), nil)
				} else {
					step.Name = "g"
					for i := range 40 {
						step.Parallel = append(step.Parallel, child(saga.Step[state]{Name: fmt.Sprint(i), Do: do}))
					}
				}
				step.Limit = c.limit
				begun := time.Now()
				require.NoError(t, run(t, saga.RunConfig{}, step))
				assert.LessOrEqual(t, most.Load(), c.atOnce)
				assert.Equal(t, time.Duration(c.seconds)*time.Second, time.Since(begun))
			})
		})
	}
}

// G15: in and out are called once, and a saga within has a state of its own.
func TestG15_Sub(t *testing.T) {
	s := newScript()
	type inside struct{ N int }
	sub := saga.MustNew("sub", []saga.Step[inside]{
		{Name: "x", Do: func(_ context.Context, in *inside) error { in.N++; return nil }, Undo: func(_ context.Context, in *inside) error { s.note(fmt.Sprint("undo x ", in.N)); return nil }},
	})
	ins, outs := 0, 0
	step := saga.Sub(saga.Step[state]{Name: "in"}, sub, func(s *state) inside { ins++; return inside{s.Sum} }, func(s *state, end inside) { outs++; s.Sum = 10 * end.N })
	st := state{Sum: 4}
	require.NoError(t, saga.MustNew("checkout", []saga.Step[state]{step}).Run(bg, &st))
	assert.Equal(t, 50, st.Sum)
	require.Error(t, saga.MustNew("checkout", []saga.Step[state]{step, s.step("b", rejected)}).Run(bg, &st))
	assert.Equal(t, []string{"do b", "undo x 51"}, s.trace())
	assert.Equal(t, []int{2, 2}, []int{ins, outs})
}

// G15: one saga for each item, with the states at the end in order of the items.
func TestG15_ForEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		item := func(fails int) *saga.Saga[int] {
			return saga.MustNew("item", []saga.Step[int]{
				{
					Name: "reserve",
					Do: func(ctx context.Context, n *int) error {
						s.note("do " + saga.Info(ctx).Step)
						if *n == fails {
							time.Sleep(time.Minute) // so that the others are done
							return rejected
						}
						time.Sleep(time.Duration(10-*n) * time.Second) // later ones end first
						*n *= 10
						return nil
					},
					Undo: func(ctx context.Context, n *int) error {
						s.note(fmt.Sprint("undo ", saga.Info(ctx).Step, " ", *n))
						return nil
					},
				},
			})
		}
		asked := 0
		steps := func(fails int, list ...int) []saga.Step[[]int] {
			return []saga.Step[[]int]{
				saga.ForEach(saga.Step[[]int]{Name: "items"}, func(*[]int) []int { asked++; return list }, item(fails), func(s *[]int, ends []int) { *s = ends }),
				{Name: "b", Do: func(context.Context, *[]int) error {
					if fails == 0 {
						return rejected
					}
					return nil
				}},
			}
		}
		var got []int
		require.NoError(t, saga.MustNew("checkout", steps(-1, 1, 2, 3)).Run(t.Context(), &got))
		assert.Equal(t, []int{10, 20, 30}, got)
		require.NoError(t, saga.MustNew("checkout", steps(-1)).Run(t.Context(), &got))
		assert.Empty(t, got)
		assert.Equal(t, 2, asked)

		s = newScript()
		e := failure(t, saga.MustNew("checkout", steps(2, 1, 2, 3)).Run(t.Context(), &got))
		assert.Equal(t, "items/1/reserve", e.Step)
		assert.Subset(t, s.trace(), []string{"undo items/0/reserve 10", "undo items/2/reserve 30"})

		s = newScript()
		require.Error(t, saga.MustNew("checkout", steps(0, 1, 2)).Run(t.Context(), &got))
		assert.Subset(t, s.trace(), []string{"undo items/0/reserve 10", "undo items/1/reserve 20"})
	})
}

// G19: what cannot be undone holds up nothing, in groups and around them, and all of
// it is told.
func TestG19_AllUndoFailures(t *testing.T) {
	s := newScript()
	bad := func(name string, answer any) saga.Step[state] {
		step := s.step(name)
		step.Undo = s.acts("undo "+name, answer)
		step.UndoRetry = patient(2)
		return step
	}
	e := ended(t, run(t, saga.RunConfig{}, s.step("a"), bad("b", errDown), group("g", bad("x", rejected), s.step("y")), bad("c", saga.RetryAfter(rejected, 1)), s.step("d", errOther)),
		saga.Stuck, saga.ReasonUndoFailed, "d", errOther)
	var failed []string
	for _, u := range e.Undo {
		failed = append(failed, fmt.Sprintf("%s %d %v", u.Step, u.Attempts, u.Outcome))
		assert.NotErrorIs(t, e, u.Err)
	}
	assert.Equal(t, []string{"c 2 applied", "g/x 1 applied", "b 2 applied"}, failed)
	assert.Subset(t, s.trace(), []string{"undo d", "undo y", "undo a"})
	assert.True(t, errors.Is(e.Undo[0].Err, errDeclined))
	assert.EqualError(t, e, "saga: checkout: d: something else (stuck, undo failed); undo c: card declined; undo g/x: card declined; undo b: the other side is down")
}

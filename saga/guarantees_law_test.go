package saga_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// G3, G18: steps run in order, and what is applied is undone in reverse; steps
// without an Undo are left out of that.
func TestG4_Law(t *testing.T) {
	for name, c := range map[string]struct {
		steps func(s *script) []saga.Step[state]
		want  string
		err   error // of the failure; nil: it is completed
		step  string
	}{
		"all succeed": {
			steps: func(s *script) []saga.Step[state] { return []saga.Step[state]{s.step("a"), s.step("b"), s.step("c")} },
			want:  "do a, do b, do c",
		},
		"the last is rejected": {
			steps: func(s *script) []saga.Step[state] {
				return []saga.Step[state]{s.step("a"), s.step("b"), s.step("c", rejected)}
			},
			want: "do a, do b, do c, undo b, undo a", err: errDeclined, step: "c",
		},
		"the first is rejected": {
			steps: func(s *script) []saga.Step[state] { return []saga.Step[state]{s.step("a", rejected), s.step("b")} },
			want:  "do a", err: errDeclined, step: "a",
		},
		"the last is unknown": {
			steps: func(s *script) []saga.Step[state] { return []saga.Step[state]{s.step("a"), s.step("b", errDown)} },
			want:  "do a, do b, undo b, undo a", err: errDown, step: "b",
		},
		"no Undo in the middle": {
			steps: func(s *script) []saga.Step[state] {
				return []saga.Step[state]{s.step("a"), s.bare("b"), s.step("c"), s.step("d", rejected)}
			},
			want: "do a, do b, do c, do d, undo c, undo a", err: errDeclined, step: "d",
		},
		"nothing to undo at all": {
			steps: func(s *script) []saga.Step[state] { return []saga.Step[state]{s.bare("a"), s.bare("b", errDown)} },
			want:  "do a, do b", err: errDown, step: "b",
		},
		"within sagas": {
			steps: func(s *script) []saga.Step[state] {
				return []saga.Step[state]{s.step("a"), inner("i", s.step("b"), inner("j", s.step("c"), s.step("d"))), s.step("e", rejected)}
			},
			want: "do a, do b, do c, do d, do e, undo d, undo c, undo b, undo a", err: errDeclined, step: "e",
		},
		"fails within sagas": {
			steps: func(s *script) []saga.Step[state] {
				return []saga.Step[state]{s.step("a"), inner("i", s.step("b"), inner("j", s.step("c"), s.step("d", errDown)))}
			},
			want: "do a, do b, do c, do d, undo d, undo c, undo b, undo a", err: errDown, step: "i/j/d",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			err := run(t, saga.RunConfig{}, c.steps(s)...)
			assert.Equal(t, c.want, strings.Join(s.trace(), ", "))
			if c.err == nil {
				require.NoError(t, err)
				return
			}
			e := ended(t, err, saga.Compensated, saga.ReasonNone, c.step, c.err)
			assert.Empty(t, e.Undo)
		})
	}
}

// G2: a saga may have any number of steps, and run any number of times at once.
func TestG2_ManySteps(t *testing.T) {
	const n = 10_000
	var steps []saga.Step[state]
	undone := 0
	for i := range n {
		steps = append(steps, saga.Step[state]{
			Name: fmt.Sprint(i),
			Do:   func(_ context.Context, s *state) error { s.Sum++; return nil },
			Undo: func(context.Context, *state) error { undone++; return nil },
		})
	}
	last := saga.Step[state]{Name: "last", Do: func(context.Context, *state) error { return rejected }}
	good, bad := saga.MustNew("good", steps), saga.MustNew("bad", append(steps, last))
	steps[0].Do = nil // it is copied
	var s state
	require.NoError(t, good.Run(bg, &s))
	assert.Equal(t, n, s.Sum)
	require.ErrorIs(t, bad.Run(bg, &s), errDeclined)
	assert.Equal(t, n, undone)
}

// G2: runs at the same time know nothing of each other.
func TestG2_ManyRuns(t *testing.T) {
	def := saga.MustNew("checkout", []saga.Step[state]{
		{Name: "a", Do: func(_ context.Context, s *state) error { s.Sum++; return nil }, Undo: func(_ context.Context, s *state) error { s.Sum--; return nil }},
		{Name: "b", Do: func(_ context.Context, s *state) error {
			if s.Sum%2 == 0 {
				return rejected
			}
			return nil
		}},
	})
	errs := make(chan error)
	for i := range 100 {
		go func() {
			s := state{Sum: i}
			err := def.Run(bg, &s)
			switch {
			case i%2 == 0 && (err != nil || s.Sum != i+1):
				err = fmt.Errorf("%d: %d, %w", i, s.Sum, err)
			case i%2 == 1 && (err == nil || s.Sum != i):
				err = fmt.Errorf("%d: %d, %w", i, s.Sum, err)
			default:
				err = nil
			}
			errs <- err
		}()
	}
	for range 100 {
		assert.NoError(t, <-errs)
	}
}

// G11: there is one state; what Do wrote before it failed is kept, and Undo sees
// what later steps wrote.
func TestG11_OneState(t *testing.T) {
	var seen []string
	write := func(text string, err error) func(context.Context, *state) error {
		return func(_ context.Context, s *state) error {
			s.Wrote += text
			return err
		}
	}
	see := func(_ context.Context, s *state) error {
		seen = append(seen, s.Wrote)
		s.Wrote += "-"
		return nil
	}
	s := state{}
	err := saga.MustNew("checkout", []saga.Step[state]{
		{Name: "a", Do: write("a", nil), Undo: see},
		{Name: "b", Do: write("b", nil), Undo: see},
		{Name: "c", Do: write("c", errDown), Undo: see, Retry: patient(3)},
	}).Run(bg, &s)
	require.ErrorIs(t, err, errDown)
	assert.Equal(t, []string{"abccc", "abccc-", "abccc--"}, seen)
	assert.Equal(t, "abccc---", s.Wrote)
}

// G12: When is asked at most once, before the step starts, and what it leaves out
// is not undone.
func TestG12_When(t *testing.T) {
	s := newScript()
	asked := map[string]int{}
	when := func(step saga.Step[state], yes bool) saga.Step[state] {
		name := step.Name
		step.When = func(*state) bool {
			asked[name]++
			return yes
		}
		return step
	}
	a, b, c := when(s.step("a"), false), when(s.step("b", errDown, nil), true), when(s.step("c"), true)
	b.Retry = patient(2)
	in := inner("in", s.step("i"))
	in.When = func(*state) bool { asked["in"]++; return false }
	g := group("g", s.step("x"), when(s.step("y"), false))
	g.When = func(*state) bool { asked["g"]++; return true }
	never := when(s.step("never"), true)
	err := run(t, saga.RunConfig{}, a, b, in, c, g, s.step("d", rejected), never)
	_ = ended(t, err, saga.Compensated, saga.ReasonNone, "d", errDeclined)
	assert.Equal(t, []string{"do b", "do b", "do c", "do x", "do d", "undo x", "undo c", "undo b"}, s.trace())
	assert.Equal(t, map[string]int{"a": 1, "b": 1, "in": 1, "c": 1, "g": 1, "y": 1}, asked)
}

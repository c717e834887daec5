package sagabench

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Every case does what its row says: each saga ends as it should, and its steps are
// made and undone as often as they should be. Nothing is left behind.
func TestCases(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for _, g := range groups(100) {
		for _, row := range g.Rows {
			for _, c := range cases(row) {
				t.Run(g.Name+"/"+row.Name+"/"+c.Name, func(t *testing.T) {
					if g.Name == "In memory" {
						require.NoError(t, bench.Try(c, 1, 3, 99, 1))
						return
					}
					require.NoError(t, bench.Try(c, 1)) // which is a batch
				})
			}
		}
	}
	assert.Empty(t, got(os.ReadDir(dir)))
}

// A case begins from scratch every time, and may go on as long as it likes.
func TestCasesAgain(t *testing.T) {
	for _, set := range []maker{oursInStore, oursOnFiles, dbosNormal, dbosFull, goWorkflows, temporalTest} {
		c := durably("c", load{inFlight: 2}, 3, set)
		for range 2 {
			require.NoError(t, bench.Try(c, 1, 2))
		}
	}
}

func cases(row bench.Row) []bench.Case {
	all := []bench.Case{row.Ours}
	for _, o := range row.Others {
		all = append(all, o.Case)
	}
	return all
}

func TestMemoryCases(t *testing.T) {
	for _, m := range Subject().Memory {
		for _, c := range append([]bench.MemoryCase{m.Ours}, m.Others...) {
			require.NoError(t, c.Prepare(200)().(io.Closer).Close(), "%s/%s", m.Name, c.Name)
		}
	}
}

// The table has as many cells in each row as there are columns. Runs that were
// left are resumed where they were.
func TestRecovery(t *testing.T) {
	table := recovery(200, 1000)
	rows := table.Rows()
	require.Len(t, rows, 3)
	for _, row := range rows {
		assert.Len(t, row, len(table.Columns))
	}
	assert.Equal(t, "200", rows[2][1])
}

func TestRecordings(t *testing.T) {
	unfinished, finished := recordings()
	assert.Len(t, finished, durableSteps+1)
	require.Len(t, unfinished, 3)
	assert.Equal(t, stepNames[2], unfinished[2].head.Step)
}

// The runner tells cases apart by their names.
func TestNames(t *testing.T) {
	rows := make(map[string]bool)
	for _, g := range Subject().Groups {
		for _, row := range g.Rows {
			require.False(t, rows[row.Name], "two rows %q", row.Name)
			rows[row.Name] = true
			assert.NotEmpty(t, row.Others, row.Name)
			names := make(map[string]bool)
			for _, c := range cases(row) {
				require.False(t, names[c.Name], "%s: two cases %q", row.Name, c.Name)
				names[c.Name] = true
			}
			assert.True(t, strings.HasPrefix(row.Ours.Name, "mainstay"), row.Ours.Name)
			if row.Limit > 0 {
				assert.True(t, hasFloor(row), "%s: a time of ours stands beside a yardstick", row.Name)
			}
		}
	}
}

func hasFloor(row bench.Row) bool {
	for _, o := range row.Others {
		if o.Floor {
			return true
		}
	}
	return false
}

// A case is found out that ends with something else, or leaves steps out, or does
// not undo them, or forgets its sagas.
func TestCheck(t *testing.T) {
	type saga func(m *made) (int, error)
	try := func(l load, run saga) error {
		return bench.Try(durably("c", l, 4, func(_ load, m *made) engine {
			return engine{
				run:   func(string) (int, error) { return run(m) },
				close: func() {},
				saw:   func(sagas int) error { return want(sagas == 12, "%d sagas", sagas) },
			}
		}), 1, 2)
	}
	steps := func(l load, forth, back int) saga {
		return func(m *made) (int, error) {
			n := 0
			var err error
			for i := range forth {
				n, err = m.step(l, i, n)
			}
			for range back {
				m.undo()
			}
			return n, err
		}
	}
	good, no := load{inFlight: 2}, load{inFlight: 2, rejected: true}
	require.NoError(t, try(good, steps(good, 5, 0)))
	require.NoError(t, try(no, steps(no, 5, 4)))
	assert.ErrorContains(t, try(good, steps(good, 4, 0)), "ended with 4")
	assert.ErrorContains(t, try(good, steps(good, 5, 1)), "undone 12")
	assert.ErrorContains(t, try(no, steps(no, 5, 3)), "undone 36")
	assert.ErrorContains(t, try(no, steps(no, 4, 4)), "ended with 4")
	down := errors.New("down")
	assert.ErrorIs(t, try(good, func(*made) (int, error) { return 5, down }), down)
	assert.ErrorIs(t, try(no, func(*made) (int, error) { return 5, down }), down)
	two := durably("c", good, 1, func(_ load, m *made) engine {
		return engine{run: func(string) (int, error) { return steps(good, 5, 0)(m) }, close: func() {}, saw: func(int) error { return down }}
	})
	assert.ErrorIs(t, bench.Try(two, 1), down)
}

// Loops by hand do what Run does.
func TestByHand(t *testing.T) {
	var log []string
	say := func(what string, err error) func(context.Context, *int) error {
		return func(context.Context, *int) error {
			log = append(log, what)
			return err
		}
	}
	panics := func(context.Context, *int) error { panic("!") }
	n := 0
	a, b := handStep{say("a", nil), say("undo a", nil)}, handStep{say("b", nil), say("undo b", errNo)}
	require.NoError(t, handLoop(background, []handStep{a, b}, &n))
	require.ErrorIs(t, handLoop(background, []handStep{a, b, {do: panics}}, &n), errPanic)
	assert.Equal(t, []string{"a", "b", "a", "b", "undo b", "undo a"}, log)
}

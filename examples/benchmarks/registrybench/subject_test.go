package registrybench

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Every case does what its row says: it chooses among all that are there, in the
// shares they should have, and whatever is tracked adds up; a change is seen,
// and by every watcher once.
func TestCases(t *testing.T) {
	for _, g := range Subject().Groups {
		for _, row := range g.Rows {
			for _, c := range cases(row) {
				t.Run(g.Name+"/"+row.Name+"/"+c.Name, func(t *testing.T) {
					if c.Name == "mainstay RegisterWith of 100,000" {
						require.NoError(t, bench.Try(c, 1))
						return
					}
					require.NoError(t, bench.Try(c, 1, 3, 99, 1))
				})
			}
		}
		if g.After != nil {
			g.After()
		}
	}
}

// A case begins from scratch every time.
func TestCasesAgain(t *testing.T) {
	for _, row := range append(calls().Rows, transports().Rows...) {
		for _, c := range cases(row) {
			for range 2 {
				require.NoError(t, bench.Try(c, 7), c.Name)
			}
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
			assert.NotNil(t, c.Prepare(1000)(), "%s/%s", m.Name, c.Name)
		}
	}
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
			assert.True(t, strings.HasPrefix(row.Ours.Name, "mainstay "), row.Ours.Name)
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

// A check of choices finds who leaves some out, or has wrong shares, or makes
// one up.
func TestCheck(t *testing.T) {
	byTurns := func(n int) func() (string, error) {
		next := inTurn(fleet{n: n}.addrs())
		return func() (string, error) { return next(), nil }
	}
	require.NoError(t, fleet{n: 10}.check(nearlyAll, byTurns(10)))
	assert.ErrorContains(t, fleet{n: 10}.check(nearlyAll, byTurns(8)), "8 were chosen")
	assert.ErrorContains(t, fleet{n: 10}.check(nearlyAll, byTurns(11)), "not there")
	assert.ErrorContains(t, weighted(10).check(some, byTurns(10)), "mean weight")
	assert.ErrorContains(t, skewed(1000).check(some, byTurns(1000)), "mean weight")
	refuses := func() (string, error) { return "", errDown }
	assert.Equal(t, errDown, fleet{n: 10}.check(some, refuses))
}

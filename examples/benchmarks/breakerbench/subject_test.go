package breakerbench

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Every case does what its row says: its loop has the outcomes it should have,
// in whatever pieces, and its breaker is in the right state afterwards, has
// counted, rejects with its own error, or opens at its own limit.
func TestCases(t *testing.T) {
	for _, g := range Subject().Groups {
		for _, row := range g.Rows {
			cases := []bench.Case{row.Ours}
			for _, o := range row.Others {
				cases = append(cases, o.Case)
			}
			for _, c := range cases {
				t.Run(g.Name+"/"+row.Name+"/"+c.Name, func(t *testing.T) {
					procs := runtime.GOMAXPROCS(0)
					require.NoError(t, bench.Try(c, 1, 3, 250, 99, 1))
					require.NoError(t, bench.Try(c, 7), "a second time, from scratch")
					assert.Equal(t, procs, runtime.GOMAXPROCS(0))
				})
			}
		}
	}
}

func TestMemoryCases(t *testing.T) {
	for _, m := range Subject().Memory {
		assert.Positive(t, m.Limit)
		for _, c := range append([]bench.MemoryCase{m.Ours}, m.Others...) {
			assert.NotNil(t, c.Prepare(1000)(), "%s/%s", m.Name, c.Name)
		}
	}
}

func TestGroupedKeepsAllKeys(t *testing.T) {
	const n = 5000
	g := oursGroup(names(n))
	assert.Equal(t, n, g.Len())
}

// The runner tells cases apart by their names.
func TestNames(t *testing.T) {
	rows := make(map[string]bool)
	for _, g := range Subject().Groups {
		for _, row := range g.Rows {
			require.False(t, rows[row.Name], "two rows %q", row.Name)
			rows[row.Name] = true
			assert.NotEmpty(t, row.Others, row.Name)
			cases := map[string]bool{row.Ours.Name: true}
			for _, o := range row.Others {
				require.False(t, cases[o.Name], "%s: two cases %q", row.Name, o.Name)
				cases[o.Name] = true
			}
			assert.True(t, strings.HasPrefix(row.Ours.Name, "mainstay "), row.Ours.Name)
			if row.Net {
				assert.NotZero(t, row.Limit, row.Name)
			}
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

func TestPatternsStayBelowTheLimits(t *testing.T) {
	run := 0
	for i := range 10 * len(fourOfFiveFail) {
		if fourOfFiveFail[i%len(fourOfFiveFail)] {
			run = 0
		} else {
			run++
		}
		require.Less(t, run, limit)
	}
	failures := 0
	for _, passes := range oneOf100Fails {
		if !passes {
			failures++
		}
	}
	assert.Equal(t, 1, failures)
}

func TestOpens(t *testing.T) {
	after := func(n int) (func() bool, func()) {
		failures := 0
		return func() bool { return failures >= n }, func() { failures++ }
	}
	open, fail := after(3)
	assert.NoError(t, opens(3, 3, open, fail))
	open, fail = after(2)
	assert.ErrorContains(t, opens(3, 3, open, fail), "opened after 2 failures")
	open, fail = after(4)
	assert.ErrorContains(t, opens(3, 3, open, fail), "still not open")
}

func TestKeyedOrder(t *testing.T) {
	order := keyedOrder(1000)
	assert.Equal(t, order, keyedOrder(1000), "the same in every run")
	assert.ElementsMatch(t, names(1000), order)
	assert.NotEqual(t, names(1000), order)
	start := starts(10)
	first := start()
	assert.NotEqual(t, first, start())
}

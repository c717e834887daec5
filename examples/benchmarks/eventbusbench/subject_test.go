package eventbusbench

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Every case does what its row says: every handler of every subscription has run
// when its loop is over, once for each event and with its data, in whatever
// pieces, and nothing is left running when it is closed. In a bubble pauses take
// no time, and an event that gets lost takes no minute to be missed.
func TestCases(t *testing.T) {
	for _, g := range Subject().Groups {
		for _, row := range g.Rows {
			for _, c := range cases(row) {
				t.Run(g.Name+"/"+row.Name+"/"+c.Name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						require.NoError(t, bench.Try(c, 1, 3, 99, 1))
					})
				})
			}
		}
	}
}

// A case begins from scratch every time.
func TestCasesAgain(t *testing.T) {
	for _, c := range cases(buses().Rows[1]) {
		for range 2 {
			synctest.Test(t, func(t *testing.T) { require.NoError(t, bench.Try(c, 7), c.Name) })
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
		assert.Positive(t, m.Limit)
		for _, c := range append([]bench.MemoryCase{m.Ours}, m.Others...) {
			synctest.Test(t, func(t *testing.T) {
				assert.NotNil(t, c.Prepare(1000)(), "%s/%s", m.Name, c.Name)
			})
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

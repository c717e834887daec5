package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Workers are killed again and again, 50 times over with other faults and at other
// moments, and no effect is lost or had twice.
func TestKill(t *testing.T) {
	rounds := uint64(50)
	if raceEnabled {
		rounds = 10
	}
	orders, err := loadOrders("", nil)
	require.NoError(t, err)
	killed, interrupted := make([]int, rounds), make([]int, rounds)
	t.Run("seeds", func(t *testing.T) {
		for i := range rounds {
			t.Run(fmt.Sprint(i+1), func(t *testing.T) {
				t.Parallel()
				n := int(i) % (len(orders) - 8) // others each time
				var errs bytes.Buffer
				p := plan{orders: orders[n : n+8], script: script{i + 1}, kills: 2 + int(i)%4, dir: t.TempDir(), errs: &errs}
				o, err := p.drive(t.Context())
				require.NoError(t, err)
				for _, v := range judge(o) {
					assert.True(t, v.held, "%s: %s", v.expected, v.found)
				}
				assert.Empty(t, errs.String())
				killed[i] = o.killed()
				for _, e := range o.report.Runs {
					interrupted[i] += e.Interrupted
				}
			})
		}
	})
	total := 0
	for i := range rounds {
		assert.Positive(t, killed[i], i+1)
		total += interrupted[i]
	}
	assert.Positive(t, total, "attempts that were interrupted")
}

package main

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Workers are killed again and again, 50 times over with other faults and at other
// moments, and no effect is lost or had twice. Most of it is waiting for answers that
// do not come, so some go on at the same time on however few cores.
func TestKill(t *testing.T) {
	const abreast = 4
	rounds := 50
	if raceEnabled {
		rounds = 12
	}
	orders, err := loadOrders("", nil)
	require.NoError(t, err)
	type result struct {
		outcome outcome
		err     error
		said    bytes.Buffer
	}
	results := make([]result, rounds)
	dir, ctx := t.TempDir(), t.Context()
	var all sync.WaitGroup
	for lane := range abreast {
		all.Go(func() {
			for i := lane; i < rounds; i += abreast {
				r := &results[i]
				first := i % (len(orders) - 7) // others each time
				p := plan{
					orders: orders[first : first+8], script: script{uint64(i + 1)}, kills: 2 + i%4,
					dir: fmt.Sprintf("%s/%d", dir, i), errs: &r.said,
				}
				r.outcome, r.err = p.drive(ctx)
			}
		})
	}
	all.Wait()
	interrupted := 0
	for i := range results {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			r := &results[i]
			require.NoError(t, r.err)
			for _, v := range judge(r.outcome) {
				assert.True(t, v.held, "%s: %s", v.expected, v.found)
			}
			assert.Empty(t, r.said.String())
			assert.Positive(t, r.outcome.killed())
			for _, e := range r.outcome.report.Runs {
				interrupted += e.Interrupted
			}
		})
	}
	assert.Positive(t, interrupted, "attempts under way when a worker was killed")
}

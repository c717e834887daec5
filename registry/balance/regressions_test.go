package balance_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/balance"
)

// G31: who has been tried everywhere at home tries elsewhere, whatever SpillBelow
// says: a zone is a preference, no reason to fail.
func TestG31_RetriesElsewhere(t *testing.T) {
	for _, spill := range []float64{0, -1, 1} {
		_, b := with(t, balance.Config{Zone: "home", SpillBelow: spill, PanicThreshold: -1}, zoned("h", "home"), zoned("x", "away"))
		first := pickWith(t, b, balance.Query{})
		require.Equal(t, "h", first.Endpoint().ID())
		var q balance.Query
		q.Exclude.Add(first.Endpoint())
		assert.Equal(t, "x", pickWith(t, b, q).Endpoint().ID())
		e, err := b.Next(q)
		require.NoError(t, err)
		assert.Equal(t, "x", e.ID())
	}
}

package balance_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/balance"
)

// G34: the rates are judged when an Interval is over, and about that one alone.
func TestG34_rates(t *testing.T) {
	cases := map[string]struct {
		o     balance.Outlier
		fails map[string]int // of 20 calls each to six
		want  []string
	}{
		"failure rate":      {balance.Outlier{FailureRate: 0.5}, map[string]int{"i001": 10, "i002": 9}, []string{"i001"}},
		"success rate":      {balance.Outlier{StdevFactor: 1.9}, map[string]int{"i001": 6, "i002": 1}, []string{"i001"}},
		"both":              {balance.Outlier{FailureRate: 0.5, StdevFactor: 1}, map[string]int{"i001": 12, "i002": 2}, []string{"i001"}},
		"off":               {balance.Outlier{FailureRate: -1, StdevFactor: -1}, map[string]int{"i001": 20}, nil},
		"too few calls":     {balance.Outlier{FailureRate: 0.5, MinCalls: 21}, map[string]int{"i001": 20}, nil},
		"too few endpoints": {balance.Outlier{FailureRate: 0.5, MinEndpoints: 7}, map[string]int{"i001": 20}, nil},
		"the worst, up to cap": {
			balance.Outlier{FailureRate: 0.5},
			map[string]int{"i000": 11, "i001": 17, "i002": 12, "i003": 18, "i004": 19},
			[]string{"i001", "i003", "i004"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.o.Consecutive = -1
			_, b, clk, j := watched(t, 6, c.o)
			traffic(t, b, 20, c.fails)
			clk.pass(10*time.Second - 1)
			calls(t, b, "i005", 1, nil)
			assert.Empty(t, ejectedIDs(b), "the Interval is not over")
			clk.pass(1)
			calls(t, b, "i005", 1, nil)
			assert.Equal(t, c.want, ejectedIDs(b))
			for _, e := range j.ejected() {
				assert.True(t, e.Active)
				assert.Equal(t, defaultBase, e.For)
			}
		})
	}
}

// G34: what happened in one Interval does not count in the next one.
func TestG34_ratesOfOneInterval(t *testing.T) {
	_, b, clk, _ := watched(t, 6, balance.Outlier{Consecutive: -1, FailureRate: 0.5, MinCalls: 20})
	for range 5 {
		traffic(t, b, 19, map[string]int{"i001": 19})
		clk.pass(10 * time.Second)
	}
	calls(t, b, "i000", 1, nil)
	assert.Empty(t, ejectedIDs(b), "19 calls are too few, however often")
}

// G34: nor does it wait for an endpoint that was no member when the Interval was
// judged.
func TestG34_ratesOfAbsentMember(t *testing.T) {
	r, b, clk, _ := watched(t, 6, balance.Outlier{Consecutive: -1, FailureRate: 0.5, MinEndpoints: 1})
	traffic(t, b, 20, map[string]int{"i001": 20})
	register(t, r, weighted("i001", -1))
	clk.pass(10 * time.Second)
	calls(t, b, "i000", 1, nil)
	register(t, r, instance("i001"))
	calls(t, b, "i001", 1, nil)
	clk.pass(10 * time.Second)
	calls(t, b, "i000", 1, nil)
	assert.Empty(t, ejectedIDs(b), "one good call is all there was in this Interval")
}

// G34: failures that an ejection was for are not held against an endpoint again
// when the Interval is over.
func TestG34_ratesAfterEjection(t *testing.T) {
	_, b, clk, j := watched(t, 6, balance.Outlier{Consecutive: 20, FailureRate: 0.5, MinEndpoints: 1, Interval: time.Minute, Base: time.Second})
	late := pickOf(t, b, "i001")
	calls(t, b, "i001", 20, errSick)
	require.Equal(t, []string{"i001"}, ejectedIDs(b))
	late.Done(errSick)
	clk.pass(time.Second)
	calls(t, b, "i001", 20, nil)
	clk.pass(time.Minute)
	calls(t, b, "i000", 1, nil)
	assert.Empty(t, ejectedIDs(b))
	assert.Len(t, j.ejected(), 2)
}

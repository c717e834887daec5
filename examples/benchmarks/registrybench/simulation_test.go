package registrybench

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kratos/kratos/v2/selector"
	"github.com/go-kratos/kratos/v2/selector/p2c"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/balance"
)

// enough requests for queues to grow that are going to; as many as in the report.
const enough = 300_000

func simulate(slow float64, c chooser) (p99, p999 time.Duration) {
	took, _ := simulation{slow: slow, requests: enough}.run(c)
	return percentile(took, 0.99), percentile(took, 0.999)
}

func TestSimulationOfASlowServer(t *testing.T) {
	turns, _ := simulate(5, oursSimulated(balance.Config{Policy: balance.RoundRobin{}}))
	gokit, _ := simulate(5, gokitSimulated())
	least, _ := simulate(5, oursSimulated(balance.Config{Policy: balance.LeastLoaded{}}))
	assert.Less(t, least, turns/20)
	assert.InEpsilon(t, float64(turns), float64(gokit), 0.2, "by turns is by turns")

	_, least = simulate(20, oursSimulated(balance.Config{Policy: balance.LeastLoaded{}}))
	_, grpc := simulate(20, grpcSimulated())
	_, peak := simulate(20, oursSimulated(balance.Config{Policy: balance.PeakEWMA{}}))
	assert.Less(t, least, grpc/2, "who compares an instance with itself compares nothing")
	assert.Less(t, peak, least/2)
	_, gokit = simulate(20, gokitSimulated())
	for want, p999 := range map[float64]time.Duration{0.08: peak, 0.4: least, 50: gokit} {
		assert.InEpsilon(t, want, p999.Seconds(), 0.2)
	}
	assert.InEpsilon(t, 10, grpc.Seconds(), 0.5, "which draws from the common generator")
}

// kratosSimulated has to be in a bubble.
func kratosSimulated() chooser {
	s := p2c.New()
	s.Apply(kratosNodes(fleet{n: servers}))
	return chooser{pass: time.Sleep, pick: func() (string, func(error)) {
		node, done, err := s.Select(background)
		must(err)
		return node.Address(), func(err error) { done(background, selector.DoneInfo{Err: err}) }
	}}
}

// kratos reads the system's clock, which in a bubble is virtual too. Its weight
// of a node goes by the root of the latency, and is kept for 5 ms.
func TestSimulationOfKratos(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, slow := range slowness {
			p99, p999 := simulate(slow, kratosSimulated())
			ours99, ours999 := simulate(slow, oursSimulated(balance.Config{Policy: balance.PeakEWMA{}}))
			assert.InEpsilon(t, float64(ours99), float64(p99), 0.2, "%v x", slow)
			if slow > 1 {
				assert.Less(t, ours999, p999*4/5, "%v x", slow)
			} else {
				assert.InEpsilon(t, float64(ours999), float64(p999), 0.2)
			}
		}
		_, p999 := simulate(20, kratosSimulated())
		assert.InEpsilon(t, 0.2, p999.Seconds(), 0.25)
	})
}

// The table has a row for each, with as many cells as there are columns, and is
// the same every time but for who draws from the common generator.
func TestQuality(t *testing.T) {
	table := quality(2000)
	rows := table.Rows()
	again := table.Rows()
	require.Len(t, rows, len(simulated))
	for i, row := range rows {
		assert.Len(t, row, len(table.Columns))
		if row[0] != "gRPC least_request" {
			assert.Equal(t, row, again[i])
		}
	}
}

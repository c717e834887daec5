package balance

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newRamp is the ramp of a balancer.
func newRamp(length time.Duration, floor, curve float64) ramp {
	cfg := Config{SlowStart: length, SlowStartFloor: floor, SlowStartCurve: curve}.withDefaults()
	return ramp{int64(cfg.SlowStart), cfg.SlowStartFloor, 1 / cfg.SlowStartCurve}
}

func TestRamp(t *testing.T) {
	const since = 1000
	cases := map[string]struct {
		r    ramp
		at   int64 // after since
		want float64
	}{
		"off":                     {newRamp(0, 0, 0), 0, 1},
		"negative is off":         {newRamp(-time.Second, 0, 0), 0, 1},
		"begins at the floor":     {newRamp(100, 0, 0), 0, 0.1},
		"stays at the floor":      {newRamp(100, 0, 0), 9, 0.1},
		"leaves the floor":        {newRamp(100, 0, 0), 11, 0.11},
		"linear":                  {newRamp(100, 0, 0), 50, 0.5},
		"almost over":             {newRamp(100, 0, 0), 99, 0.99},
		"over":                    {newRamp(100, 0, 0), 100, 1},
		"long over":               {newRamp(100, 0, 0), 1 << 60, 1},
		"before it began":         {newRamp(100, 0, 0), -5, 0.1},
		"negative: from nothing":  {newRamp(100, -1, 0), 0, 0},
		"no floor to stay at":     {newRamp(100, -1, 0), 9, 0.09},
		"own floor":               {newRamp(100, 0.4, 0), 30, 0.4},
		"floor of one":            {newRamp(100, 1, 0), 0, 1},
		"a curve above one: fast": {newRamp(100, 0, 2), 25, 0.5},
		"a curve below one: slow": {newRamp(100, 0, 0.5), 50, 0.25},
		"a steep one":             {newRamp(100, 0.01, 0.01), 99, math.Pow(0.99, 100)},
		"a flat one":              {newRamp(100, 0, 1e300), 1, 1},
		"without end":             {newRamp(math.MaxInt64, 0, 0), 0, 0.1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { assert.InDelta(t, c.want, c.r.share(since, since+c.at), 1e-9) })
	}
}

func TestRamp_over(t *testing.T) {
	assert.EqualValues(t, 150, newRamp(100, 0, 0).over(50))
	assert.EqualValues(t, 50, newRamp(0, 0, 0).over(50), "without one it is over at once")
	assert.Equal(t, never, newRamp(math.MaxInt64, 0, 0).over(1), "no overflow")
	assert.Equal(t, never, newRamp(math.MaxInt64, 0, 0).over(0))
	assert.EqualValues(t, int64(math.MaxInt64-5), newRamp(math.MaxInt64, 0, 0).over(-5))
}

// FuzzRamp: whatever the settings, the share goes from the floor to 1 without
// falling, and it is 1 from the end on.
func FuzzRamp(f *testing.F) {
	f.Add(int64(10), 0.1, 1.0, int64(0), []byte{1, 2, 3})
	f.Add(int64(1e10), 0.01, 0.2, int64(-5e9), []byte{255, 255, 1})
	f.Add(int64(math.MaxInt64), 0.5, 3.0, int64(1), []byte{9})
	f.Add(int64(3), 1e-300, 1e-300, int64(7), []byte{1, 1, 1})
	f.Fuzz(func(t *testing.T, length int64, floor, curve float64, since int64, steps []byte) {
		if !(floor <= 1) || !finite(floor) || !(curve >= 0) || !finite(curve) || length <= 0 || since > 1<<61 || since < -1<<61 {
			return
		}
		r := newRamp(time.Duration(length), floor, curve)
		require.InDelta(t, r.floor, r.share(since, since), 1e-12)
		last, now := 0.0, since
		for _, s := range steps {
			now += max(1, length/512) * int64(s)
			if now < since || now-since > 1<<61 {
				return
			}
			share := r.share(since, now)
			require.GreaterOrEqual(t, share, last, "it fell back")
			require.GreaterOrEqual(t, share, r.floor)
			require.LessOrEqual(t, share, 1.0)
			require.True(t, now < r.over(since) || share == 1)
			last = share
		}
	})
}

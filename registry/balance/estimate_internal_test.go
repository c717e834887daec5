package balance

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// An observation is a sample, or a look if there is none.
type observation struct {
	at     time.Duration
	sample float64 // negative: none
	want   float64 // what the estimate is then
}

func TestEstimate(t *testing.T) {
	const look = -1
	e1, e2 := math.Exp(-1), math.Exp(-2)
	for name, all := range map[string][]observation{
		"the first sample counts as it is": {{0, 100, 100}},
		"none counts for less than 1":      {{0, 0, 1}, {0, look, 1}},
		"it jumps up to a peak at once":    {{0, 100, 100}, {0, 500, 500}, {time.Nanosecond, 5000, 5000}},
		"it comes down slowly": {
			{0, 1000, 1000},
			{0, 1, 1000}, // no time has passed, so the peak is as good as ever
			{10 * time.Second, 100, 1000*e1 + 100*(1-e1)},
		},
		"the same sample changes nothing":  {{0, 100, 100}, {time.Second, 100, 100}, {time.Hour, 100, 100}},
		"it decays while it is only read":  {{0, 1000, 1000}, {10 * time.Second, look, 1000 * e1}, {20 * time.Second, look, 1000 * e2}},
		"reading does not change it":       {{0, 1000, 1000}, {time.Hour, look, 1000 * math.Exp(-360)}, {10 * time.Second, look, 1000 * e1}},
		"a peak above what is left counts": {{0, 1000, 1000}, {10 * time.Second, 1001, 1001}},
		"a sample between what is left and the peak is smoothed": {
			{0, 1000, 1000}, {10 * time.Second, 900, 1000*e1 + 900*(1-e1)},
		},
		"all is forgotten after long": {{0, 1e12, 1e12}, {24 * 365 * time.Hour, 7, 7}},
		"a clock that goes back takes nothing away": {
			{time.Hour, 1000, 1000}, {time.Minute, look, 1000}, {0, 10, 1000}, {time.Hour, look, 1000 * math.Exp(-360)},
		},
		"a clock that goes back, and a peak": {{time.Hour, 1000, 1000}, {0, 2000, 2000}, {10 * time.Second, look, 2000 * e1}},
		"before the base":                    {{-time.Hour, 1000, 1000}, {-time.Hour + 10*time.Second, look, 1000 * e1}},
	} {
		t.Run(name, func(t *testing.T) {
			var e estimate
			_, ok := e.read(0, defaultDecay)
			assert.False(t, ok, "before the first sample")
			for i, o := range all {
				if o.sample >= 0 {
					e.add(o.sample, int64(o.at), defaultDecay)
				}
				got, ok := e.read(int64(o.at), defaultDecay)
				assert.True(t, ok)
				assert.InDelta(t, o.want, got, o.want*1e-9, "observation %d", i)
			}
		})
	}
}

// The longer the decay, the longer a peak is remembered.
func TestEstimate_Decay(t *testing.T) {
	var e estimate
	e.add(1000, 0, time.Second)
	for decay, want := range map[time.Duration]float64{
		time.Second: 1000 * math.Exp(-10), 10 * time.Second: 1000 * math.Exp(-1), time.Hour: 1000 * math.Exp(-1./360),
	} {
		got, _ := e.read(int64(10*time.Second), decay)
		assert.InDelta(t, want, got, 1e-6, "%v", decay)
	}
}

// A peak is not lost, whoever else adds at the same time.
func TestEstimate_APeakIsNeverLost(t *testing.T) {
	for range 200 {
		var e estimate
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 20 {
					e.add(float64(100*g+i), 0, defaultDecay)
				}
			})
		}
		wg.Wait()
		got, ok := e.read(0, defaultDecay)
		assert.True(t, ok)
		assert.InDelta(t, 319, got, 0)
	}
}

func TestRemains(t *testing.T) {
	for passed, want := range map[time.Duration]float64{
		-time.Hour: 1, 0: 1, 10 * time.Second: 1 / math.E, 1: 1, math.MaxInt64: 0, math.MinInt64: 1,
	} {
		assert.InDelta(t, want, remains(int64(passed), defaultDecay), 1e-9, "%v", passed)
	}
}

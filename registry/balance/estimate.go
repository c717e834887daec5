package balance

import (
	"math"
	"sync/atomic"
	"time"
)

// An estimate is a smoothed latency in nanoseconds: an exponentially weighted
// moving average that jumps up to a peak at once. It decays while nobody adds to
// it, since an endpoint that is avoided for being slow would otherwise never be
// tried again.
//
// The two words are not read and written together. Somebody who gets the value
// of one sample with the instant of another decays it by a moment too much or
// too little, which is nothing beside the noise of latencies; a peak is never
// lost.
type estimate struct {
	value atomic.Uint64 // bits of a float64; 0: no sample yet
	at    atomic.Int64
}

// read is the estimate now, or false before the first sample.
func (e *estimate) read(now int64, decay time.Duration) (float64, bool) {
	bits := e.value.Load()
	if bits == 0 {
		return 0, false
	}
	return math.Float64frombits(bits) * remains(now-e.at.Load(), decay), true
}

// add takes a sample into account.
func (e *estimate) add(sample float64, now int64, decay time.Duration) {
	sample = max(sample, 1) // 0 is no sample
	for {
		bits := e.value.Load()
		next := sample
		if bits != 0 {
			old := math.Float64frombits(bits)
			if w := remains(now-e.at.Load(), decay); sample <= old {
				next = old*w + sample*(1-w)
			}
		}
		if e.value.CompareAndSwap(bits, math.Float64bits(next)) {
			e.at.Store(now)
			return
		}
	}
}

// duration is an estimate, however long.
func duration(v float64) time.Duration {
	if v >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(v)
}

// remains is the part that is left of something after a time. A clock that went
// back takes nothing away.
func remains(passed int64, decay time.Duration) float64 {
	if passed <= 0 {
		return 1
	}
	x := float64(passed) / float64(decay)
	if x < 1.0/1024 { // e^-x to nine digits, for those who are asked often
		return 1 - x + x*x/2
	}
	return math.Exp(-x)
}

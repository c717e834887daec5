package breaker

import (
	"math"
	"sync/atomic"
)

// ramp is the pure arithmetic of recovering: which share of the calls is
// admitted, and which calls make up that share.

// one is the share 1 in the fixed-point numbers of a ramp: as many digits as a
// float64 has, so that 0.1 is a tenth and a nanosecond before the end is not it.
const one = 1 << 52

// rampShare is the share at now: linear from `from` to 1 over the span.
func rampShare(s span, from float64, now int64) uint64 {
	done := 1 - float64(s.left(now))/float64(s.length)
	share := from + (1-from)*done
	return uint64(math.Round(min(max(share, 0), 1) * one))
}

// A diffuser admits a share of calls by error diffusion: each arrival adds the
// share to a sum, and the calls that carry the sum over a whole number are
// admitted. At a constant share f, any k arrivals in a row carry floor(kf) or
// ceil(kf) times, and the choice is the same in every run. Rejected: drawing
// lots, which admits runs of calls and differs from run to run.
type diffuser struct{ sum atomic.Uint64 }

// admit is one atomic addition, so concurrent arrivals are some arrivals in a
// row. The sum may wrap: 2^64 is a multiple of one.
func (d *diffuser) admit(share uint64) bool {
	sum := d.sum.Add(share)
	return sum/one != (sum-share)/one
}

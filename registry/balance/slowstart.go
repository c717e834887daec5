package balance

import "math"

// A ramp is SlowStart with its defaults.
type ramp struct {
	length int64   // in nanoseconds; 0: none
	floor  float64 // the share it begins with
	power  float64 // 1 / curve
}

// over is when the ramp of an endpoint ends that became usable at since.
func (r ramp) over(since int64) int64 {
	if r.length == 0 {
		return since
	}
	if since > never-r.length {
		return never
	}
	return since + r.length
}

// share is which part of its fair share an endpoint may have: from floor to 1,
// without ever falling.
func (r ramp) share(since, now int64) float64 {
	if now >= r.over(since) {
		return 1
	}
	t := max(0, float64(now-since)/float64(r.length))
	return max(r.floor, math.Pow(t, r.power))
}

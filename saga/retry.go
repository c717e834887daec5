package saga

import (
	"math"
	"math/rand/v2"
	"time"
)

// Retry says how often something is tried and how long to wait in between. Zero
// fields are those of the runner (RunConfig.Retry and UndoRetry), then the
// defaults.
type Retry struct {
	// Attempts is how many there are in all. Zero: 1 for Do and 3 for Undo in
	// memory, 5 and unlimited in the engine; a pivot of which nobody knows
	// whether it took effect, and steps after it, are tried without limit unless
	// the step itself has one. Negative: unlimited.
	Attempts int

	// Wait is the first wait, MaxWait the longest. Zero: 100ms and 1m.
	// Negative: none, and no cap.
	Wait, MaxWait time.Duration

	// Factor is by what the wait grows. Zero: 2. Below 1, and infinity, is refused.
	Factor float64

	// NoJitter makes the wait exact. By default it is drawn evenly from zero up
	// to it, so that those who failed together do not come back together.
	NoJitter bool
}

func (r Retry) check(p *problems, field string) {
	if r.Factor != 0 && !(r.Factor >= 1 && !math.IsInf(r.Factor, 0)) { // NaN is neither
		p.check(false, field+".Factor", r.Factor, "1 or more, and finite")
	}
}

// or fills the zero fields of r from def.
func (r Retry) or(def Retry) Retry {
	if r.Attempts == 0 {
		r.Attempts = def.Attempts
	}
	if r.Wait == 0 {
		r.Wait = def.Wait
	}
	if r.MaxWait == 0 {
		r.MaxWait = def.MaxWait
	}
	if r.Factor == 0 {
		r.Factor = def.Factor
	}
	r.NoJitter = r.NoJitter || def.NoJitter
	return r
}

// usual are the defaults besides Attempts.
func (r Retry) usual() Retry {
	return r.or(Retry{Wait: 100 * time.Millisecond, MaxWait: time.Minute, Factor: 2})
}

// allows reports whether there may be another attempt after so many, of so many in all.
func allows(attempts int, tries int32) bool { return attempts < 0 || int(tries) < attempts }

// wait is how long to wait after the n-th attempt, n from 1 on.
func (r Retry) wait(n int32, random func() uint64) time.Duration {
	if r.Wait <= 0 {
		return 0
	}
	longest := float64(r.MaxWait)
	if r.MaxWait < 0 {
		longest = math.MaxInt64
	}
	wait := min(float64(r.Wait)*math.Pow(r.Factor, float64(n-1)), longest)
	if !r.NoJitter {
		if random == nil {
			random = rand.Uint64
		}
		const unit = 1 << 53
		wait *= float64(random()>>11) / unit // in [0, 1)
	}
	if wait >= math.MaxInt64 { // it would not fit
		return math.MaxInt64
	}
	return time.Duration(wait)
}

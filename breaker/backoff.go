package breaker

import (
	"math"
	"math/rand/v2"
	"time"
)

// A backoff decides how long an open stay lasts and remembers, over closed
// stays too, how many openings came in a row. Pure: the caller holds the lock
// and tells the time.
type backoff struct {
	level    int           // openings in a row
	openings uint64        // all regular ones; makes jitter repeatable
	closedAt int64         // when the breaker last closed
	lastOpen time.Duration // length of the last open stay
}

// next is the length of one more regular opening in a row.
func (b *backoff) next(set *settings, seed uint64) time.Duration {
	if b.level < math.MaxInt {
		b.level++
	}
	return b.length(set, seed)
}

// length is that of a regular opening at the present level.
func (b *backoff) length(set *settings, seed uint64) time.Duration {
	b.openings++
	d := set.openTime(b.level)
	if d < 0 || set.Jitter <= 0 {
		return d
	}
	u := rand.Float64()
	if set.JitterSeed != 0 {
		u = uniform((set.JitterSeed ^ seed) + b.openings)
	}
	return max(scale(d, 1+set.Jitter*(2*u-1)), 1)
}

// rested reports whether a breaker that has been closed since closedAt, until
// now, has been so for long enough that the backoff starts over.
func (b *backoff) rested(set *settings, now int64) bool {
	if b.level == 0 || set.StableAfter < 0 {
		return true
	}
	stable := set.StableAfter
	if stable == 0 {
		stable = b.lastOpen
	}
	// If the clock went back to before it closed, nobody knows for how long it
	// has been closed: time going backward lengthens nothing.
	closed := span{b.closedAt, stable}
	return closed.over(now) || closed.ahead(now)
}

// openTime is the open time at a level, without jitter: capped and saturated.
func (set *settings) openTime(level int) time.Duration {
	if set.OpenFor < 0 {
		return forever
	}
	if level <= 1 || set.Backoff <= 1 {
		return set.OpenFor
	}
	d := scale(set.OpenFor, math.Pow(set.Backoff, float64(level-1)))
	if set.MaxOpenFor > 0 {
		d = min(d, set.MaxOpenFor)
	}
	return d
}

// scale is d x f, saturated; f is not negative.
func scale(d time.Duration, f float64) time.Duration {
	if x := float64(d) * f; x < math.MaxInt64 { // float64(MaxInt64) is 2^63, one too many
		return time.Duration(x)
	}
	return math.MaxInt64
}

// uniform maps a counter to [0, 1) by the SplitMix64 finaliser
// (Steele, Lea and Flood: Fast Splittable Pseudorandom Number Generators, 2014).
func uniform(x uint64) float64 {
	x *= 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}

// nameSeed is FNV-1a, so that the breakers of a group with one JitterSeed do
// not all open for the same time.
func nameSeed(name string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	return h
}

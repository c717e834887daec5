package breaker

import (
	"math"
	"sync/atomic"
	"time"
)

// Clock tells a breaker the time. A *clock.Mock and a clock.New() of
// github.com/benbjohnson/clock both satisfy it. An implementation must be safe
// for concurrent use. It may start anywhere, stand still, jump and go backward:
// see G33 and G34.
type Clock interface {
	Now() time.Time
	Since(t time.Time) time.Duration
}

// A timeline turns a clock into nanoseconds since a base, which is all that the
// pure parts of this package know of time. The base is read in New, never at
// package initialisation: an instant from outside a synctest bubble is decades
// away from one inside it.
type timeline struct {
	clock  Clock     // nil: system time, at half the cost of an interface
	base   time.Time // of system time
	origin atomic.Pointer[origin]
}

// An origin is where the nanoseconds of a clock are counted from. It moves when
// the clock jumps by more than the 292 years that a Duration can tell, as a fake
// one may between year 1 and today: else time would stand still from then on.
type origin struct {
	at     time.Time
	offset int64
}

func newTimeline(c Clock) *timeline {
	t := &timeline{clock: c}
	t.base = t.date()
	if c != nil {
		t.origin.Store(&origin{at: t.base})
	}
	return t
}

// now is Since(base) rather than Now(): it reads one clock instead of two.
func (t *timeline) now() int64 {
	if t.clock == nil {
		return int64(time.Since(t.base))
	}
	for moved := false; ; moved = true {
		o := t.origin.Load()
		d := int64(t.clock.Since(o.at))
		now := int64(saturated(o.offset, time.Duration(d)))
		if moved || now != maxInstant && d != minInstant {
			return now
		}
		next := &origin{t.clock.Now(), o.offset}
		if now == maxInstant {
			if !o.at.Add(maxInstant).Before(next.at) {
				return maxInstant // just there, not beyond
			}
			// What was counted from the old origin has to look long ago: 73
			// years, and that three times over. Beyond, and for what is older
			// than that itself, it begins anew, as if the clock went back.
			next.offset = min(o.offset+1<<61, 3<<61)
		}
		t.origin.CompareAndSwap(o, next)
	}
}

// A moment is an instant for the machine and for people: Transition.At and
// Snapshot.Since are dates. Changes of state take one, read before the lock.
type moment struct {
	now  int64
	date time.Time
}

func (t *timeline) moment() moment {
	if t.clock == nil {
		d := time.Now()
		return moment{int64(d.Sub(t.base)), d}
	}
	return moment{t.now(), t.clock.Now()}
}

func (t *timeline) date() time.Time {
	if t.clock == nil {
		return time.Now()
	}
	return t.clock.Now()
}

// untilDeadline uses system time whatever Config.Clock says, because the
// deadlines of contexts do.
func untilDeadline(deadline time.Time) time.Duration { return time.Until(deadline) }

const (
	minInstant = math.MinInt64
	maxInstant = math.MaxInt64
)

// forever as the length of a span: it is never over.
const forever time.Duration = -1

// A span is a stretch of time of a given length: an open time, a ramp, a lease.
type span struct {
	began  int64
	length time.Duration // negative: without end
}

// over reports whether now is at or after the end of the span. One without
// length is over even for a clock that went backward.
func (s span) over(now int64) bool {
	return s.length == 0 || s.length > 0 && elapsed(s.began, now) >= int64(s.length)
}

// ahead reports whether now lies before the span's own begin, which only a
// clock that went backward can bring about. Such a span starts over from now,
// so that the time left never exceeds its length (G34).
func (s span) ahead(now int64) bool { return s.length != 0 && now < s.began }

// left is the time until the end, at most the length; 0 without end.
func (s span) left(now int64) time.Duration {
	if s.length < 0 {
		return 0
	}
	return max(s.length-time.Duration(max(elapsed(s.began, now), 0)), 0)
}

// end is the instant of the end, saturated.
func (s span) end() int64 {
	if s.length < 0 {
		return maxInstant
	}
	return int64(saturated(s.began, s.length))
}

// saturated is a+d; a or d is not negative.
func saturated(a int64, d time.Duration) time.Duration {
	if d > 0 && a > maxInstant-int64(d) {
		return maxInstant
	}
	return time.Duration(a) + d
}

// elapsed is to-from, saturated: the clock may jump by centuries.
func elapsed(from, to int64) int64 {
	d := to - from
	switch {
	case to >= from && d < 0:
		return maxInstant
	case to < from && d >= 0:
		return minInstant
	}
	return d
}

// before is the instant d before now, saturated; d is not negative.
func before(now, d int64) int64 {
	if now < minInstant+d {
		return minInstant
	}
	return now - d
}

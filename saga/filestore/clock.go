package filestore

import (
	"math"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

const (
	noLease = math.MinInt64 // of a run that nobody executes
	never   = math.MaxInt64 // an instant that does not come
)

// A timeline reads a clock. Leases are measured from a base, so that setting the
// clock of the system does not end them; wake-ups are dates.
type timeline struct {
	clock saga.Clock // nil: system time
	base  time.Time
}

func newTimeline(c saga.Clock) timeline {
	t := timeline{clock: c}
	t.base = t.date()
	return t
}

// date is the time of day.
func (t *timeline) date() time.Time {
	if t.clock == nil {
		return time.Now()
	}
	return t.clock.Now()
}

// passed is how long ago the base was.
func (t *timeline) passed() int64 {
	if t.clock == nil {
		return int64(time.Since(t.base))
	}
	return int64(t.clock.Since(t.base))
}

// after is the instant d after t; never if that cannot be told any more.
func after(t int64, d time.Duration) int64 {
	if t > never-int64(d) {
		return never
	}
	return t + int64(d)
}

// stamp is a time as it is kept: the same whether it was written and read, or
// only kept in memory.
func stamp(t time.Time) time.Time { return t.Round(0).UTC() }

package balance

import (
	"context"
	"math"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// never is an instant that does not come.
const never int64 = math.MaxInt64

// after is the instant d after t; never if that cannot be told any more.
func after(t int64, d time.Duration) int64 {
	if d > 0 && t > never-int64(d) {
		return never
	}
	return t + int64(d)
}

// A timeline turns the clock of the registry into nanoseconds since a base,
// which is read in New.
type timeline struct {
	clock registry.Clock // nil: system time, at half the cost of an interface
	base  time.Time
}

func newTimeline(c registry.Clock) timeline {
	if c == nil {
		return timeline{base: time.Now()}
	}
	return timeline{clock: c, base: c.Now()}
}

// now is Since(base) rather than Now(): it reads one clock instead of two.
func (t *timeline) now() int64 {
	if t.clock == nil {
		return int64(time.Since(t.base))
	}
	return int64(t.clock.Since(t.base))
}

// of is the instant of a date.
func (t *timeline) of(date time.Time) int64 { return int64(date.Sub(t.base)) }

// date is the instant of a reading of now.
func (t *timeline) date(now int64) time.Time { return t.base.Add(time.Duration(now)) }

// withTimeout is context.WithTimeout on this clock. With a Clock the context
// has no Deadline: one of a Mock lies in 1970, and real I/O would fail at once.
func (t *timeline) withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if t.clock == nil {
		return context.WithTimeoutCause(ctx, d, context.DeadlineExceeded)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := t.clock.AfterFunc(d, func() { cancel(context.DeadlineExceeded) }).Stop
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

package saga

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/benbjohnson/clock"
)

// Clock tells a run the time. A *clock.Mock and a clock.New() of
// github.com/benbjohnson/clock both satisfy it. An implementation must be safe
// for concurrent use.
type Clock interface {
	Now() time.Time
	Since(t time.Time) time.Duration
	AfterFunc(d time.Duration, f func()) *clock.Timer
}

// never is an instant that does not come.
const never int64 = math.MaxInt64

// after is the instant d after t; never if that cannot be told any more.
func after(t int64, d time.Duration) int64 {
	switch {
	case d > 0 && t > never-int64(d):
		return never
	case d < 0 && t < math.MinInt64-int64(d):
		return math.MinInt64
	}
	return t + int64(d)
}

// left is the time from now to an instant, however far that is.
func left(instant, now int64) time.Duration {
	if now < 0 && instant > never+now {
		return time.Duration(never)
	}
	return time.Duration(instant - now)
}

// A source is where the time comes from: a Clock, or with nil the system, at half the
// cost of an interface.
type source struct{ clock Clock }

func (s source) now() time.Time {
	if s.clock == nil {
		return time.Now()
	}
	return s.clock.Now()
}

func (s source) since(t time.Time) time.Duration {
	if s.clock == nil {
		return time.Since(t)
	}
	return s.clock.Since(t)
}

// afterFunc runs f on a goroutine of its own once d has passed. stop reports
// whether it came in time, but a Mock may run f all the same: f has to check that
// it is still wanted, or do no harm.
func (s source) afterFunc(d time.Duration, f func()) (stop func() bool) {
	switch {
	case d <= 0: // a Mock would wait for its next Add
		go f()
		return func() bool { return false }
	case s.clock == nil:
		return time.AfterFunc(d, f).Stop
	default:
		return s.clock.AfterFunc(d, f).Stop
	}
}

// pause waits until d has passed or ctx has ended, and reports whether ctx has
// not.
func (s source) pause(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		over := make(chan struct{})
		stop := s.afterFunc(d, func() { close(over) })
		defer stop()
		select {
		case <-over:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil // of two at once the end counts
}

// withDeadline is a context of system time that ends at an instant, or with its parent.
func withDeadline(parent context.Context, at time.Time) (context.Context, context.CancelFunc) {
	return context.WithDeadlineCause(parent, at, context.DeadlineExceeded)
}

// A timeline turns a clock into nanoseconds since a base, which it reads when it
// is first asked: most runs in memory never look at the clock.
type timeline struct {
	source
	first int64 // the first reading
	once  sync.Once
	base  time.Time
}

func (t *timeline) begin() { t.base = t.source.now().Add(-time.Duration(t.first)) }

// now is Since(base) rather than Now(): it reads one clock instead of two.
func (t *timeline) now() int64 {
	t.once.Do(t.begin)
	return int64(t.since(t.base))
}

// date is an instant as others would read it from the clock, which may have been set since
// the base was read.
func (t *timeline) date(instant int64) time.Time {
	return t.source.now().Add(left(instant, t.now()))
}

package eventbus

import (
	"context"
	"time"

	"github.com/benbjohnson/clock"
)

// Clock tells the bus the time. A *clock.Mock and a clock.New() of
// github.com/benbjohnson/clock both satisfy it. An implementation must be safe
// for concurrent use.
type Clock interface {
	Now() time.Time
	Since(t time.Time) time.Duration
	AfterFunc(d time.Duration, f func()) *clock.Timer
}

// A timeline turns a clock into nanoseconds since a base. The base is read in
// New, never at package initialisation: an instant from outside a synctest
// bubble is decades away from one inside it.
type timeline struct {
	clock Clock // nil: system time, at half the cost of an interface
	base  time.Time
}

func newTimeline(c Clock) timeline {
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

// A stamp is an instant of an event: one more than the nanoseconds since the
// base of its bus, so that zero can say that nobody looked at the clock.
type stamp int64

func (t *timeline) stamp() stamp { return stamp(t.now() + 1) }

func (t *timeline) date(s stamp) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return t.base.Add(time.Duration(s - 1))
}

// age is the time from a stamp to now.
func (t *timeline) age(s stamp, now int64) time.Duration {
	if s == 0 {
		return 0
	}
	return time.Duration(now - int64(s-1))
}

// afterFunc runs f on a goroutine of its own once d has passed. stop reports
// whether it came in time, but a Mock may run f all the same: f has to check
// under a lock that it is still wanted.
func (t *timeline) afterFunc(d time.Duration, f func()) (stop func() bool) {
	switch {
	case d <= 0: // a Mock would wait for its next Add
		go f()
		return func() bool { return false }
	case t.clock == nil:
		return time.AfterFunc(d, f).Stop
	default:
		return t.clock.AfterFunc(d, f).Stop
	}
}

// sleep waits until d has passed, or until one of the channels is closed, and
// reports which: whether the time has passed.
func (t *timeline) sleep(d time.Duration, stop1, stop2 <-chan struct{}) bool {
	if d <= 0 {
		select {
		case <-stop1:
			return false
		case <-stop2:
			return false
		default:
			return true
		}
	}
	over := make(chan struct{})
	cancel := t.afterFunc(d, func() { close(over) })
	defer cancel()
	select {
	case <-over:
		return t.sleep(0, stop1, stop2) // of two at once the end counts
	case <-stop1:
		return false
	case <-stop2:
		return false
	}
}

// withTimeout is context.WithTimeout on this clock. With a Clock the context
// has no Deadline: one of a Mock lies in 1970, and real I/O would fail at once.
func (t *timeline) withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if t.clock == nil {
		return context.WithTimeoutCause(ctx, d, context.DeadlineExceeded)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := t.afterFunc(d, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}

package registry

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/benbjohnson/clock"
)

// Clock tells the registry the time. A *clock.Mock and a clock.New() of
// github.com/benbjohnson/clock both satisfy it. An implementation must be safe
// for concurrent use. It must not call the registry, which reads it under a lock.
type Clock interface {
	Now() time.Time
	Since(t time.Time) time.Duration
	AfterFunc(d time.Duration, f func()) *clock.Timer
}

// never is an instant that does not come.
const never int64 = math.MaxInt64

// after is the instant d after t; never if that cannot be told any more.
func after(t int64, d time.Duration) int64 {
	if d > 0 && t > never-int64(d) {
		return never
	}
	return t + int64(d)
}

// A timeline turns a clock into nanoseconds since a base. The base is read in
// New, never at package initialisation: an instant from outside a synctest
// bubble is decades away from one inside it.
type timeline struct {
	clock  Clock // nil: system time, at half the cost of an interface
	base   time.Time
	random func() uint64
}

func newTimeline(c Clock, random func() uint64) timeline {
	if random == nil {
		random = rand.Uint64
	}
	if c == nil {
		return timeline{base: time.Now(), random: random}
	}
	return timeline{clock: c, base: c.Now(), random: random}
}

// now is Since(base) rather than Now(): it reads one clock instead of two.
func (t *timeline) now() int64 {
	if t.clock == nil {
		return int64(time.Since(t.base))
	}
	return int64(t.clock.Since(t.base))
}

// date is the instant of a reading of now.
func (t *timeline) date(now int64) time.Time { return t.base.Add(time.Duration(now)) }

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

// alarm returns a channel that is closed once d has passed; with never, none.
func (t *timeline) alarm(d time.Duration) (over <-chan struct{}, stop func() bool) {
	if d == time.Duration(never) {
		return nil, func() bool { return true }
	}
	ring := make(chan struct{})
	return ring, t.afterFunc(d, func() { close(ring) })
}

// wait waits until d has passed or ctx has ended, and reports whether ctx has
// not.
func (t *timeline) wait(ctx context.Context, d time.Duration) bool {
	over, stop := t.alarm(d)
	defer stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// withTimeout is context.WithTimeout on this clock. With a Clock the context
// has no Deadline: one of a Mock lies in 1970, and real I/O would fail at once.
func (t *timeline) withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if t.clock == nil {
		timed, free := context.WithTimeoutCause(ctx, d, context.DeadlineExceeded)
		return timed, func(cause error) {
			cancel(cause)
			free()
		}
	}
	stop := t.afterFunc(d, func() { cancel(context.DeadlineExceeded) })
	return ctx, func(cause error) {
		stop()
		cancel(cause)
	}
}

// jitter is d, plus or minus a random part of up to share of it.
func (t *timeline) jitter(d time.Duration, share float64) time.Duration {
	if share <= 0 {
		return d
	}
	const unit = 1 << 53
	f := float64(t.random()>>11) / unit // in [0, 1)
	return time.Duration(min(float64(d)*(1+share*(2*f-1)), math.MaxInt64/2))
}

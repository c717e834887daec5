package registrydns

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A timing is what a source knows of time.
type timing struct {
	clock  registry.Clock // nil: system time
	random func() uint64
}

func newTiming(c registry.Clock, random func() uint64) timing {
	if random == nil {
		random = rand.Uint64
	}
	return timing{c, random}
}

// afterFunc runs f on a goroutine of its own once d has passed. A Mock may run f
// although it was stopped.
func (t *timing) afterFunc(d time.Duration, f func()) (stop func() bool) {
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

// wait waits until d has passed or ctx has ended.
func (t *timing) wait(ctx context.Context, d time.Duration) {
	over := make(chan struct{})
	stop := t.afterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

// withTimeout is context.WithTimeout on this clock, without a timeout if d is
// negative. With a Clock the context has no Deadline: one of a Mock lies in
// 1970, and real I/O would fail at once.
func (t *timing) withTimeout(ctx context.Context, d time.Duration) (timed context.Context, free func()) {
	if d < 0 {
		return ctx, func() {}
	}
	if t.clock == nil {
		return context.WithTimeoutCause(ctx, d, context.DeadlineExceeded)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop := t.afterFunc(d, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// jitter is d, plus or minus a random part of up to share of it.
func (t *timing) jitter(d time.Duration, share float64) time.Duration {
	const unit = 1 << 53
	f := float64(t.random()>>11) / unit // in [0, 1)
	return time.Duration(min(float64(d)*(1+share*(2*f-1)), math.MaxInt64/2))
}

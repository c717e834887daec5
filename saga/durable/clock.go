package durable

import (
	"context"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// A timeline is the clock of an engine, or of a store.
type timeline struct {
	clock saga.Clock // nil: system time
}

// now is an instant that others may have to understand.
func (t timeline) now() time.Time {
	if t.clock == nil {
		return time.Now()
	}
	return t.clock.Now()
}

func (t timeline) since(at time.Time) time.Duration {
	if t.clock == nil {
		return time.Since(at)
	}
	return t.clock.Since(at)
}

// afterFunc runs f on a goroutine of its own once d has passed. A Mock may run f
// although stop reported that it came in time.
func (t timeline) afterFunc(d time.Duration, f func()) (stop func() bool) {
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

// pause waits until d has passed or ctx has ended, and reports whether ctx has
// not.
func (t timeline) pause(ctx context.Context, d time.Duration) bool {
	over := make(chan struct{})
	stop := t.afterFunc(d, func() { close(over) })
	defer stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

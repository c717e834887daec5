package registrytest

import (
	"context"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A timeline is the time of a backend in memory.
type timeline struct {
	clock registry.Clock // nil: system time, which is that of the bubble in one
}

func (t timeline) now() time.Time {
	if t.clock == nil {
		return time.Now()
	}
	return t.clock.Now()
}

// alarm returns a channel that is closed once d, which is more than zero, has
// passed.
func (t timeline) alarm(d time.Duration) (over <-chan struct{}, stop func() bool) {
	ring := make(chan struct{})
	if t.clock == nil {
		return ring, time.AfterFunc(d, func() { close(ring) }).Stop
	}
	return ring, t.clock.AfterFunc(d, func() { close(ring) }).Stop
}

// wait waits for news, for the time when a record lapses, or until ctx ends.
func (t timeline) wait(ctx context.Context, news <-chan struct{}, rest time.Duration) {
	var over <-chan struct{}
	if rest > 0 {
		ring, stop := t.alarm(rest)
		defer stop()
		over = ring
	}
	select {
	case <-news:
	case <-over:
	case <-ctx.Done():
	}
}

// pause lets system time pass, until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	over, stop := timeline{}.alarm(d)
	defer stop()
	select {
	case <-over:
	case <-ctx.Done():
	}
}

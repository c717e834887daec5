package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A hold keeps calls from being answered, so that there are some under way when
// that matters.
type hold struct {
	enough  atomic.Int64  // calls that still have to come
	full    chan struct{} // closed when they have
	open    chan struct{} // closed when all may go on
	release func()
}

func newHold(enough int) *hold {
	h := &hold{full: make(chan struct{}), open: make(chan struct{})}
	h.enough.Store(int64(enough))
	h.release = sync.OnceFunc(func() { close(h.open) })
	return h
}

// wait holds one call, and reports whether anybody still waits for its answer.
func (h *hold) wait(ctx context.Context) bool {
	if h.enough.Add(-1) == 0 {
		close(h.full)
	}
	select {
	case <-h.open:
		return true
	case <-ctx.Done():
		return false
	}
}

// filled waits until enough calls are held.
func (h *hold) filled(ctx context.Context) error {
	select {
	case <-h.full:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pause waits for d and reports whether ctx lasted that long.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package modelcheck

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A caller is the context of a call. The tests decide when and how it ends, and
// its deadline is so far away that system time does not matter.
type caller struct {
	done     chan struct{} // nil: it never ends
	deadline time.Time     // zero: none
	id       int           // of the permit, where that matters

	mu  sync.Mutex
	err error
}

var _ context.Context = (*caller)(nil)

// The deadlines of callers: a hurried one began with less than any budget.
var (
	hurried = time.Unix(1, 0)
	relaxed = time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// never is closed.
var never = make(chan struct{})

func newCaller(deadline time.Time) *caller {
	return &caller{done: make(chan struct{}), deadline: deadline}
}

// end ends the context with context.Canceled or context.DeadlineExceeded, once.
func (c *caller) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && c.done != nil {
		c.err = err
		close(c.done)
	}
}

// is reports whether a hook was given this context. nil is that of explicit
// calls; one that never ends is as good as another.
func (c *caller) is(ctx context.Context) bool {
	if c == nil || c.done == nil {
		return ctx.Done() == nil
	}
	return ctx == c
}

func (c *caller) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }
func (c *caller) Done() <-chan struct{}       { return c.done }
func (c *caller) Value(any) any               { return nil }

func (c *caller) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func isDeadline(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

package modelcheck

import (
	"context"
	"sync"
	"time"
)

// A caller is the context of a call. The tests decide when and how it ends, and
// its deadline is so far away that system time does not matter.
type caller struct {
	done     chan struct{} // nil: it never ends
	deadline time.Time     // zero: none

	mu  sync.Mutex
	err error
}

var _ context.Context = (*caller)(nil)

// The deadlines of callers: a hurried one began with less than any budget.
var (
	hurried = time.Unix(1, 0)
	relaxed = time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC)
)

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

func (c *caller) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }
func (c *caller) Done() <-chan struct{}       { return c.done }
func (c *caller) Value(any) any               { return nil }

func (c *caller) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

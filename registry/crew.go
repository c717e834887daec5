package registry

import "sync"

// A crew counts what runs for a registry, so that Close can wait for it:
// timers that fired, checks, feeds and whoever delivers to hooks.
type crew struct {
	mu     sync.Mutex
	n      int
	sealed bool          // nobody joins any more
	gone   chan struct{} // closed when sealed and empty
}

func newCrew() *crew { return &crew{gone: make(chan struct{})} }

// join has to happen under a lock under which its caller has seen that the
// registry is not closed.
func (c *crew) join() {
	c.mu.Lock()
	c.n++
	c.mu.Unlock()
}

func (c *crew) leave() { c.add(-1, false) }

// seal is called once those locks have all been held after the registry was
// closed.
func (c *crew) seal() { c.add(0, true) }

func (c *crew) add(n int, seal bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	was := c.sealed && c.n-n == 0
	c.sealed = c.sealed || seal
	if c.sealed && c.n == 0 && !was {
		close(c.gone)
	}
}

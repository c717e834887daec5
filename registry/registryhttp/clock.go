package registryhttp

import (
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A stopwatch measures on the clock of the registry; nil: system time. Nothing
// outside this file looks at the time.
type stopwatch struct {
	clock registry.Clock
	from  time.Time
}

func startWatch(c registry.Clock) stopwatch {
	if c == nil {
		return stopwatch{from: time.Now()}
	}
	return stopwatch{c, c.Now()}
}

func (w stopwatch) passed() time.Duration {
	if w.clock == nil {
		return time.Since(w.from)
	}
	return w.clock.Since(w.from)
}

// afterFunc runs f once d has passed. A Mock may run it although stop was
// called in time.
func afterFunc(c registry.Clock, d time.Duration, f func()) (stop func() bool) {
	if c == nil {
		return time.AfterFunc(d, f).Stop
	}
	return c.AfterFunc(d, f).Stop
}

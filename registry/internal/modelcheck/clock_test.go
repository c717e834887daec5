package modelcheck

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/registry"
)

// A handClock shows what it is set to. Its timers ring when they are told to,
// on the goroutine of whoever tells them, so that they race with verbs.
type handClock struct {
	at atomic.Int64 // nanoseconds since base

	// Yielding lets other goroutines in between the steps of an operation, and
	// reading the clock is such a step. Zero: never; n: at every n-th reading.
	yield int64
	reads atomic.Int64

	mock *clock.Mock // makes the timers, and never moves

	mu     sync.Mutex // guards timers
	timers []timer
}

// A timer may have been stopped: it rings all the same, as one of a Mock can.
type timer struct {
	at   int64
	ring func()
}

var _ registry.Clock = (*handClock)(nil)

var base = time.Date(2024, time.February, 29, 23, 59, 59, 999_999_999, time.UTC)

func newClock() *handClock { return &handClock{mock: clock.NewMock()} }

func (c *handClock) Now() time.Time {
	at := c.at.Load()
	if c.yield > 0 && c.reads.Add(1)%c.yield == 0 {
		runtime.Gosched() // with a reading that may be old by then
	}
	return base.Add(time.Duration(at))
}

func (c *handClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *handClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	c.mu.Lock()
	c.timers = append(c.timers, timer{c.at.Load() + int64(d), f})
	c.mu.Unlock()
	return c.mock.AfterFunc(time.Hour, func() {})
}

// ring rings what is due.
func (c *handClock) ring() {
	c.mu.Lock()
	var due, rest []timer
	for _, t := range c.timers {
		if t.at <= c.at.Load() {
			due = append(due, t)
		} else {
			rest = append(rest, t)
		}
	}
	c.timers = rest
	c.mu.Unlock()
	for _, t := range due {
		t.ring()
		runtime.Gosched()
	}
}

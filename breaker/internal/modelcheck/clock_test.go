package modelcheck

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// A handClock shows what it is set to: nanoseconds since the instant it was
// made for. It may go anywhere, backward too.
type handClock struct {
	base time.Time
	at   atomic.Int64

	// Yielding lets other goroutines in between the steps of an operation, and
	// reading the clock is such a step. Zero: never; n: at every n-th reading.
	yield int64
	reads atomic.Int64
}

var _ breaker.Clock = (*handClock)(nil)

func newClock(base time.Time) *handClock { return &handClock{base: base} }

func (c *handClock) Now() time.Time {
	if c.yield > 0 && c.reads.Add(1)%c.yield == 0 {
		runtime.Gosched()
	}
	return c.base.Add(time.Duration(c.at.Load()))
}

func (c *handClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// bases are instants to begin at: none of them may mean "unset" (G33).
var bases = []time.Time{
	time.Unix(0, 0),
	{},
	time.Date(2024, time.February, 29, 23, 59, 59, 999_999_999, time.UTC),
	time.Date(1883, time.November, 18, 12, 0, 0, 0, time.UTC),
}

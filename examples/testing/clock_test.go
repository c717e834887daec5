package shop_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
)

// middle is a Rand for tests: the middle of everything that is drawn. Waits with jitter
// become half of their length, and what is plus or minus a part becomes exact. So the
// code under test keeps the jitter that it needs in production.
func middle() uint64 { return 1 << 63 }

// pass moves a Mock in a bubble, once all goroutines wait for something, which means
// that their timers are set; and returns when all that follows has happened.
func pass(mock *clock.Mock, d time.Duration) {
	synctest.Wait()
	mock.Add(d)
	synctest.Wait()
}

// A toldClock is a Mock that tells of every timer that is set, for tests that cannot be
// in a bubble. Add comes too early if the timer it is meant for is not set yet, and then
// nothing will ever fire it; to sleep for a while before only makes that rare.
type toldClock struct {
	*clock.Mock
	timers chan time.Duration
}

func newToldClock() toldClock {
	return toldClock{clock.NewMock(), make(chan time.Duration, 100)}
}

// AfterFunc is called by what is under test.
func (c toldClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	t := c.Mock.AfterFunc(d, f)
	c.timers <- d // now Add may come
	return t
}

// elapse waits until a timer of this length is set, and moves the clock to its end.
// Timers of other lengths are passed over: most are timeouts of what has ended in time.
func (c toldClock) elapse(t *testing.T, d time.Duration) {
	t.Helper()
	hangs := time.After(10 * time.Second) // of system time, and only if the test fails
	for {
		select {
		case set := <-c.timers:
			if set == d {
				c.Add(d)
				return
			}
		case <-hangs:
			t.Fatalf("nobody has set a timer of %v", d)
		}
	}
}

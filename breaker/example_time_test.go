package breaker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"

	"github.com/mainstay-go/mainstay/breaker"
)

// With a mock clock a test decides what time it is. Only Now and Since are
// asked of it, so Add is all the test needs.
func Example_mockClock() {
	mock := clock.NewMock()
	b := breaker.MustNew("stock", breaker.Config{OpenFor: time.Minute, Clock: mock})
	b.Trip(0, nil)

	mock.Add(59 * time.Second)
	fmt.Println(b.State(), b.Snapshot().RetryAfter)
	mock.Add(time.Second)
	fmt.Println(b.State())
	// Output:
	// open 1s
	// half-open
}

// In a bubble of testing/synctest a breaker without a Clock runs on the
// bubble's time: nothing to inject, and a minute takes no time.
func TestSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("stock", breaker.Config{OpenFor: time.Minute, CloseAfter: 1})
		b.Trip(0, errDown)

		time.Sleep(time.Minute)
		err := b.Run(t.Context(), func(context.Context) error { return nil })
		if err != nil || b.State() != breaker.Closed {
			t.Errorf("after the open time: %v, %v; want a probe that closes", err, b.State())
		}
	})
}

var (
	_ breaker.Clock = (*clock.Mock)(nil)
	_ breaker.Clock = clock.New()
)

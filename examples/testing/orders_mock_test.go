package shop_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	shop "github.com/mainstay-go/mainstay/examples/testing"
	"github.com/mainstay-go/mainstay/saga"
)

// The same with a Mock, outside of a bubble. Run blocks, so it is on another goroutine
// than what moves the clock: on the same one the test would hang. That it waits by now
// is what the clock tells; else Add could come before the timer is set, and the test
// would hang now and then.
//
// It is moved by one timer at a time. A single Add of five seconds would fire the first
// one, and perhaps be at its end before the next is set. And a timeout is set before what
// it is for begins: that the charge hangs is for the fake to tell.
func TestOrder_mock(t *testing.T) {
	told := newToldClock()
	began := told.Now()
	since := func() time.Duration { return told.Since(began) }
	hangs := make(chan struct{})
	w := newWorld(since, func(ctx context.Context) error { close(hangs); return hang(ctx) }, down, down)
	done := make(chan error, 1)
	go func() {
		cfg := saga.RunConfig{Clock: told, Rand: middle}
		done <- shop.Orders(w, w).RunWith(t.Context(), cfg, &shop.Order{Item: "lamp", Cents: 4900})
	}()
	<-hangs
	told.elapse(t, 2*time.Second) // its timeout
	told.elapse(t, 500*time.Millisecond)
	told.elapse(t, time.Second)
	told.elapse(t, 1500*time.Millisecond)
	require.NoError(t, <-done)
	assert.Equal(t, []time.Duration{0, 2500 * time.Millisecond, 3500 * time.Millisecond, 5 * time.Second}, w.charges)
	assert.Equal(t, 4900, w.total())
	assert.Len(t, w.reserved, 1)
}

package shop_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// The same with a Mock, which the engine and its store share: the store decides by its
// own clock what is due. An engine has several goroutines with timers, for what is due,
// for its leases, for a sweep every hour, so the test is in a bubble, where pass waits
// until all are set. Here that is nothing but more lines; a Mock is for tests of code
// that insists on a clock, or that has to begin on a certain day.
func TestDurableOrder_mock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		mock.Set(time.Date(2026, time.February, 28, 23, 59, 58, 0, time.UTC))
		began := mock.Now()
		w := newWorld(func() time.Duration { return mock.Since(began) }, hang, down, down)
		store := &durable.MemoryStore{Clock: mock}
		_, start := openOrders(t, store, durable.Config{Clock: mock, Rand: middle}, w)
		run := start("order-42")

		pass(mock, 2*time.Second) // the timeout of the attempt that hangs
		_, head, err := run.State(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "2026-03-01 00:00:00.5", head.WakeAt.Format("2006-01-02 15:04:05.9"))

		pass(mock, 500*time.Millisecond-1)
		assert.Len(t, w.charges, 1)
		pass(mock, 1)
		assert.Len(t, w.charges, 2)
		pass(mock, time.Second)
		pass(mock, 1500*time.Millisecond)
		_, head, err = run.State(t.Context()) // Wait would hang if it were not over
		require.NoError(t, err)
		assert.Equal(t, saga.Completed, head.Status)
		assert.Equal(t, []time.Duration{0, 2500 * time.Millisecond, 3500 * time.Millisecond, 5 * time.Second}, w.charges)
		assert.Equal(t, 4900, w.total())
	})
}

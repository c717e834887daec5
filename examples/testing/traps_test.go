package shop_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// Add fires what is set. A timer that is set a moment later has missed it, and if
// nobody moves the clock again, whoever waits for it hangs. Hence toldClock, or a
// bubble and synctest.Wait.
func TestTrap_addTooEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock, fired := clock.NewMock(), false
		mock.Add(time.Minute)
		mock.AfterFunc(time.Minute, func() { fired = true })
		time.Sleep(24 * time.Hour) // that of the bubble does not help
		assert.False(t, fired)
		pass(mock, time.Minute)
		assert.True(t, fired)
	})
}

// A Mock moves what was given it, and nothing else: not the contexts of the code under
// test, not its time.Now. In a bubble both move with time.Sleep, which a Mock does not
// notice.
func TestTrap_twoTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		mock := clock.NewMock()
		mock.Add(time.Hour)
		assert.NoError(t, ctx.Err())
		time.Sleep(time.Minute)
		assert.ErrorIs(t, ctx.Err(), context.DeadlineExceeded)
		assert.Equal(t, time.Hour, mock.Since(time.Unix(0, 0)))
	})
}

// An engine and its store need the same clock. Here the second attempt never comes: the
// engine says when it is due, and for the store it is never that late. The other way
// round, with a store that is ahead, the engine asks for it again and again at once.
func TestTrap_twoClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := newWorld(func() time.Duration { return time.Since(began) }, down)
		store := &durable.MemoryStore{Clock: clock.NewMock()}
		_, start := openOrders(t, store, durable.Config{Rand: middle}, w)
		start("order-42")
		time.Sleep(24 * time.Hour)
		synctest.Wait() // to sleep is no synchronisation; without it reading charges is a race
		assert.Equal(t, []time.Duration{0}, w.charges)
	})
}

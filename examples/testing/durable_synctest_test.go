package shop_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	shop "github.com/mainstay-go/mainstay/examples/testing"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// openOrders opens an engine, which is a process that executes orders. It is closed in a
// Cleanup: an engine has goroutines, and a bubble that ends without them panics. After a
// require that has failed nobody would get to a Close at the end of the test.
func openOrders(t *testing.T, store durable.Store, cfg durable.Config, w *world) (*durable.Engine, func(id string) *durable.Run[shop.Order]) {
	t.Helper()
	engine, err := durable.Open(store, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, engine.Close(context.WithoutCancel(t.Context()))) })
	orders := shop.Orders(w, w)
	require.NoError(t, durable.Register(engine, orders))
	return engine, func(id string) *durable.Run[shop.Order] {
		run, err := durable.Start(t.Context(), engine, orders, id, shop.Order{Item: "lamp", Cents: 4900})
		require.NoError(t, err)
		return run
	}
}

// The same saga by an engine. Between two attempts a run is but an entry in the store,
// which an alarm of the engine looks after; in a bubble that is no other case.
func TestDurableOrder_synctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := newWorld(func() time.Duration { return time.Since(began) }, hang, down, down)
		_, start := openOrders(t, new(durable.MemoryStore), durable.Config{Rand: middle}, w)
		_, err := start("order-42").Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{0, 2500 * time.Millisecond, 3500 * time.Millisecond, 5 * time.Second}, w.charges)
		assert.Equal(t, 4900, w.total())
	})
}

// The process ends while a run waits for its second attempt. That is due half a second
// after the first one, and made ten minutes later, when there is a process again; the
// third comes a second after it. A MemoryStore outlives an engine, so it does for that.
func TestDurableOrder_restartSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := newWorld(func() time.Duration { return time.Since(began) }, down, down)
		store := new(durable.MemoryStore)
		engine, start := openOrders(t, store, durable.Config{Rand: middle}, w)
		start("order-42")
		time.Sleep(200 * time.Millisecond)
		require.NoError(t, engine.Close(t.Context()))

		time.Sleep(10*time.Minute - 200*time.Millisecond)
		_, start = openOrders(t, store, durable.Config{Rand: middle}, w)
		_, err := start("order-42").Wait(t.Context()) // the same run
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{0, 10 * time.Minute, 10*time.Minute + time.Second}, w.charges)
		assert.Equal(t, 4900, w.total())
	})
}

package shop_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	shop "github.com/mainstay-go/mainstay/examples/testing"
	"github.com/mainstay-go/mainstay/registry"
)

// The same with a Mock. KeepAlive sets a timer again and again, on a goroutine of its
// own. Add fires the timers that are set, and knows nothing of one that is about to be:
// outside of a bubble the lease expires although its owner lives, if Add is quicker than
// that goroutine. In a bubble pass makes sure that all timers are set, and each that Add
// fires has its effect before the next one.
func TestWorker_mock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		reg := newRegistry(t, registry.Config{Clock: mock, Rand: middle})
		process, kill := context.WithCancel(t.Context())
		_, err := shop.Join(process, reg, "10.0.0.7:8080")
		require.NoError(t, err)
		joined, err := shop.Change(t.Context(), reg, 0)
		require.NoError(t, err)

		pass(mock, time.Hour+25*time.Second)
		assert.Equal(t, []string{"10.0.0.7:8080"}, shop.Workers(reg))
		kill() // it has renewed its lease five seconds ago

		// Change blocks. On the goroutine of the test it would wait for ever, since
		// nobody else moves the clock.
		changed := make(chan error, 1)
		go func() {
			_, err := shop.Change(t.Context(), reg, joined)
			changed <- err
		}()
		pass(mock, 25*time.Second-1)
		assert.Equal(t, []string{"10.0.0.7:8080"}, shop.Workers(reg))
		assert.Empty(t, changed)
		pass(mock, 1)
		if assert.Len(t, changed, 1) { // else there would be nothing to receive, ever
			assert.NoError(t, <-changed)
		}
		assert.Empty(t, shop.Workers(reg))
	})
}

// What only reads the registry needs neither a bubble nor a goroutine: no read returns
// what has expired, whether a timer has noticed it or not. The instances of such a test
// are registered by hand, and renewed by hand if at all.
func TestWorkers_mock(t *testing.T) {
	mock := clock.NewMock()
	reg := newRegistry(t, registry.Config{Clock: mock})
	lease, err := reg.Register(t.Context(), registry.Instance{
		Service: "thumbnails", Addr: "10.0.0.7:8080", TTL: 30 * time.Second,
	})
	require.NoError(t, err)

	require.NoError(t, lease.SetHealth(registry.Critical, "disk full"))
	assert.Empty(t, shop.Workers(reg))
	require.NoError(t, lease.SetHealth(registry.Passing, ""))

	mock.Add(20 * time.Second)
	require.NoError(t, lease.Renew())
	mock.Add(30*time.Second - 1)
	assert.Equal(t, []string{"10.0.0.7:8080"}, shop.Workers(reg))
	mock.Add(1)
	assert.Empty(t, shop.Workers(reg))
	require.ErrorIs(t, lease.Renew(), registry.ErrLeaseLost)
}

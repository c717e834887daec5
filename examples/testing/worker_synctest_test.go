package shop_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	shop "github.com/mainstay-go/mainstay/examples/testing"
	"github.com/mainstay-go/mainstay/registry"
)

// newRegistry has a registry closed when the test is over, also if it fails halfway: a
// bubble does not end well while there are goroutines in it.
func newRegistry(t *testing.T, cfg registry.Config) *registry.Registry {
	t.Helper()
	reg := registry.MustNew(cfg)
	t.Cleanup(func() { assert.NoError(t, reg.Close(context.WithoutCancel(t.Context()))) })
	return reg
}

// A worker is found as long as it renews its lease, and for half a minute more. Leases
// are renewed at random instants; with a Rand that always draws the middle it is every
// ten seconds, and every instant of the test is known.
//
// Nobody has to say when KeepAlive is to renew: in a bubble time goes on by itself when
// all goroutines wait, to the next one that has something to do. So Change, which
// blocks the test, returns at exactly the right instant.
func TestWorker_synctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := newRegistry(t, registry.Config{Rand: middle})
		process, kill := context.WithCancel(t.Context())
		began := time.Now()
		_, err := shop.Join(process, reg, "10.0.0.7:8080")
		require.NoError(t, err)
		joined, err := shop.Change(t.Context(), reg, 0)
		require.NoError(t, err)

		time.Sleep(time.Hour + 25*time.Second)
		assert.Equal(t, []string{"10.0.0.7:8080"}, shop.Workers(reg))
		kill() // it has renewed its lease five seconds ago

		time.Sleep(25*time.Second - 1)
		assert.Equal(t, []string{"10.0.0.7:8080"}, shop.Workers(reg))
		_, err = shop.Change(t.Context(), reg, joined)
		require.NoError(t, err)
		assert.Equal(t, time.Hour+50*time.Second, time.Since(began))
		assert.Empty(t, shop.Workers(reg))
	})
}

// A worker that leaves is gone at once, and its KeepAlive as well, though its context
// does not end: a bubble waits for its goroutines, and panics if one never ends.
func TestWorker_leavesSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := newRegistry(t, registry.Config{})
		w, err := shop.Join(context.WithoutCancel(t.Context()), reg, "10.0.0.7:8080")
		require.NoError(t, err)
		time.Sleep(time.Hour)
		began := time.Now()
		require.NoError(t, w.Leave(t.Context()))
		assert.Zero(t, time.Since(began))
		assert.Empty(t, shop.Workers(reg))
	})
}

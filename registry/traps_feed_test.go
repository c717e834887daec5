package registry_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Elsewhere an empty listing is ignored, so that the last instance never leaves.
func TestTrap_EmptyListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a")))
		require.NoError(t, src.reset())
		assert.Empty(t, origins(r))
		assert.Empty(t, slices.Collect(r.Services()))
	})
}

// Elsewhere listing anew only adds, and keeps what died in between.
func TestTrap_ListingThatOnlyAdds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "cluster")
		require.NoError(t, src.reset(instance("dead"), instance("alive"), instanceOf("dead-service", "x")))
		src.end(errors.New("the watch was compacted"))
		require.NoError(t, src.reset(instance("alive"), instance("new")))
		assert.Equal(t, []string{"alive cluster", "new cluster"}, origins(r))
		assert.Equal(t, 1, r.Stats().Services)
	})
}

// Elsewhere a watch that breaks ends the resolver for good.
func TestTrap_WatchEndsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "cluster")
		for i := range 50 {
			src.end(errors.New("compacted"))
			if i%10 == 9 {
				require.NoError(t, src.reset(instance("a")))
			}
		}
		require.NoError(t, src.reset(instance("b")))
		assert.Equal(t, []string{"b cluster"}, origins(r))
	})
}

// Elsewhere an update rebuilds every endpoint, and load and history are lost.
func TestTrap_UpdateForgetsLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a"), instance("b")))
		e, _ := r.Service("orders").Get("a")
		begin(t, e, 3)
		heavier := instance("a")
		heavier.Weight = 200
		require.NoError(t, src.reset(heavier, instance("c")))
		e, _ = r.Service("orders").Get("a")
		assert.Equal(t, 200, e.Weight())
		assert.Equal(t, 3, e.InFlight())
		assert.EqualValues(t, 3, e.Picks())
	})
}

// Elsewhere comparing two listings sorts the slices of who made them.
func TestTrap_ListingIsSortedInPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "dns")
		in := instance("a")
		in.Tags = []string{"c", "a", "b"}
		b := registry.Batch{Reset: true, Put: records(instance("z"), in, instance("b"))}
		require.NoError(t, src.send(b))
		require.NoError(t, src.send(b))
		assert.Equal(t, records(instance("z"), in, instance("b")), b.Put)
		assert.Equal(t, []string{"c", "a", "b"}, in.Tags)
	})
}

// Elsewhere a record that vanished from the store is never put again.
func TestTrap_VanishedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, bs := machines(t, 2, registry.Config{Rand: half})
		register(t, rs[0], instance("a"))
		synctest.Wait()
		require.NoError(t, bs[0].Remove(bg, refs("a")[0]))
		synctest.Wait()
		assert.Empty(t, origins(rs[1]))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"a cluster"}, origins(rs[1]))
	})
}

// Elsewhere a publisher that cannot reach the store gives up.
func TestTrap_PublisherStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, bs := machines(t, 2, registry.Config{})
		bs[0].Disconnect(errAway)
		register(t, rs[0], instance("a"))
		time.Sleep(24 * time.Hour)
		bs[0].Reconnect()
		time.Sleep(36 * time.Second)
		assert.Equal(t, []string{"a cluster"}, origins(rs[1]))
	})
}

// Elsewhere duplicates make watchers and memory grow.
func TestTrap_DuplicateEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a")))
		j.take()
		before := r.Stats()
		for range 1000 {
			require.NoError(t, src.put(instance("a")))
			require.NoError(t, src.remove("nobody"))
			require.NoError(t, src.reset(instance("a")))
		}
		assert.Empty(t, j.take())
		assert.Equal(t, before, r.Stats())
	})
}

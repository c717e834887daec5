package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

// Given an id that is fed and registered locally, Then the local one wins until it
// leaves, then the fed one takes over; a bad record in a batch is refused alone.
func TestS27_LocalAndFed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Clock: clock.NewMock()})
		src, f := fed(t, r, "dns")
		require.NoError(t, src.reset(at("a", "10.0.0.1:80")))
		l := register(t, r, at("a", "10.0.0.2:80"))
		assert.Equal(t, []string{"a 10.0.0.2:80 "}, addresses(r))
		err := src.reset(at("a", "10.0.0.3:80"), at("bad", "nowhere"), at("b", "10.0.0.4:80"))
		assert.Equal(t, []string{"Addr"}, fields(err))
		assert.Equal(t, []string{"a 10.0.0.2:80 ", "b 10.0.0.4:80 dns"}, addresses(r))
		require.NoError(t, l.Deregister())
		assert.Equal(t, []string{"a 10.0.0.3:80 dns", "b 10.0.0.4:80 dns"}, addresses(r))
		f.over(t, errors.New("enough"))
		assert.Empty(t, addresses(r))
	})
}

// Given two registries on one backend, Then what one registers the other one sees,
// and neither sends back what it got.
func TestS27_NoEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		first := registrytest.NewBackend(registrytest.BackendConfig{Clock: mock})
		puts := newTimes()
		var rs []*registry.Registry
		var leases []*registry.Lease
		for _, name := range []string{"a", "b"} {
			r := newRegistry(t, registry.Config{Clock: mock})
			synced(t, r, &noted{first.Machine(), name, puts}, registry.SyncConfig{})
			rs = append(rs, r)
			leases = append(leases, register(t, r, instance("of "+name)))
		}
		synctest.Wait()
		indexes := []uint64{rs[0].Stats().Index, rs[1].Stats().Index}
		for range 600 {
			mock.Add(time.Second)
			synctest.Wait()
		}
		assert.Equal(t, []string{"of a", "of b cluster"}, origins(rs[0]))
		assert.Equal(t, []string{"of a cluster", "of b"}, origins(rs[1]))
		assert.Equal(t, indexes, []uint64{rs[0].Stats().Index, rs[1].Stats().Index})
		all := puts.take()
		assert.InDelta(t, 2*600/5, len(all), 40, "one Put each in a third of a TTL")
		for _, call := range all {
			call = call[strings.IndexByte(call, ' ')+1:]
			assert.Contains(t, []string{"a puts of a", "b puts of b"}, call)
		}

		require.NoError(t, leases[0].Deregister())
		synctest.Wait()
		for range 600 {
			mock.Add(time.Second)
			synctest.Wait()
		}
		assert.Equal(t, []string{"of b cluster"}, origins(rs[0]))
		assert.Equal(t, []string{"of b"}, origins(rs[1]))
	})
}

// A noted backend notes what is put.
type noted struct {
	registry.Backend
	name string
	puts *times
}

func (n *noted) Put(ctx context.Context, rec registry.Record) error {
	n.puts.note(n.name + " puts " + rec.Instance.ID)
	return n.Backend.Put(ctx, rec)
}

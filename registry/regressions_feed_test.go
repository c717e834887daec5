package registry_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A source is not run again once ctx has ended while Feed waits to try again.
func TestG40_NoRunAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Rand: half})
		src, f := fed(t, r, "dns")
		src.end(errAway)
		f.over(t, errors.New("enough"))
		assert.Equal(t, []string{"0s run"}, src.calls.take())
	})
}

// What Accept refuses is not known any more, also if an earlier version was accepted.
func TestG41_NotAcceptedAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{Accept: func(in registry.Instance) bool { return in.Zone == "z1" }})
		in := instance("a")
		in.Zone = "z1"
		require.NoError(t, b.reset(in))
		in.Zone, in.Addr = "z2", "10.0.0.9:80"
		require.NoError(t, b.put(in))
		assert.Empty(t, addresses(r), "it is at 10.0.0.9, and not acceptable")
	})
}

// A record of another that this process has replaced is not known any more, so it
// does not come up when the local one leaves.
func TestG41_ReplacedByOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		b := newCounter()
		synced(t, r, b, registry.SyncConfig{})
		require.NoError(t, b.reset(instance("a")))
		l := register(t, r, instance("a"))
		require.NoError(t, b.send(registry.Batch{Put: []registry.Record{b.record(t, "a")}}))
		require.NoError(t, l.Deregister())
		assert.Empty(t, origins(r))
	})
}

// While the origin is away its instances stay, also longer than a TTL of theirs.
func TestG41_AwayForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, bs := machines(t, 2, registry.Config{Rand: half})
		register(t, rs[0], instance("a"))
		synctest.Wait()
		require.Equal(t, []string{"a cluster"}, origins(rs[1]))
		bs[1].Disconnect(errAway) // the backend is away; the instance is not
		time.Sleep(time.Minute)
		assert.Equal(t, []string{"a cluster"}, origins(rs[1]))
		assert.True(t, rs[1].Service("orders").Snapshot().Disconnected())
	})
}

// A record of the wrong type is named by its address if it has no ID.
func TestG42_NamedByAddress(t *testing.T) {
	_, err := imports(newRegistry(t, registry.Config{}), document(`{"service":"orders","addr":"10.0.0.1:80","weight":"heavy","health":"passing"}`))
	require.ErrorContains(t, err, `"orders" "10.0.0.1:80"`)
}

// Errors are short, whatever the document holds, and have no raw control characters.
func TestG42_LongErrors(t *testing.T) {
	long := strings.Repeat("9", 1<<20)
	for name, doc := range map[string]string{
		"text for a document": `"` + long + `"`,
		"number for version":  `{"version":` + long + `,"instances":[]}`,
		"number for weight":   document(`{"service":"orders","id":"a","addr":"10.0.0.1:80","weight":` + long + `,"health":"passing"}`),
		"name of a field":     `{"` + long + `":1}`,
		"control":             `"\u001b[2J"`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := imports(newRegistry(t, registry.Config{}), doc)
			require.Error(t, err)
			assert.Less(t, len(err.Error()), 1000)
			assert.NotContains(t, err.Error(), "\x1b")
		})
	}
}

// A document that is cut off before the version ends in the same error as others.
func TestG42_CutShort(t *testing.T) {
	for _, doc := range []string{`{"version":`, `{"version":1,"instances":[` + goodRecord + ","} {
		_, err := imports(newRegistry(t, registry.Config{}), doc)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	}
}

// A closed registry imports nothing, and says so also about an empty document.
func TestG42_ImportClosed(t *testing.T) {
	r := registry.MustNew(registry.Config{})
	require.NoError(t, r.Close(bg))
	_, err := imports(r, document())
	require.ErrorIs(t, err, registry.ErrClosed)
}

// The check of a record that is delivered again is replaced, as by a registration.
func TestG40_CheckReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "dns")
		var ran atomic.Value
		checked := func(name string) registry.Instance {
			in := instance("a")
			in.Check.Func = func(context.Context, registry.Instance) error {
				ran.Store(name)
				return nil
			}
			return in
		}
		require.NoError(t, src.reset(checked("old")))
		require.NoError(t, src.reset(checked("new")))
		time.Sleep(time.Minute)
		assert.Equal(t, "new", ran.Load())
	})
}

// A shadow that has lapsed does not make its service Disconnected.
func TestG40_LapsedShadowDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		register(t, r, instance("a"))
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(leased("a", time.Second)))
		time.Sleep(time.Hour)
		src.end(errAway)
		assert.False(t, r.Service("orders").Snapshot().Disconnected())
	})
}

// A second Sync of the same registry does not take what the first one put.
func TestG41_TwoSyncsOneBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, bs := machines(t, 1, registry.Config{})
		followed(t, func(ctx context.Context) error { return rs[0].Sync(ctx, "second", bs[0], registry.SyncConfig{}) })
		l := register(t, rs[0], instance("a"))
		time.Sleep(time.Minute)
		require.NoError(t, l.Deregister())
		assert.Empty(t, origins(rs[0]), "gone at once")
	})
}

package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// badRecords are refused, with the field that is named.
func badRecords() map[string]struct {
	in    registry.Instance
	field string
} {
	type bad = struct {
		in    registry.Instance
		field string
	}
	with := func(field string, change func(*registry.Instance)) bad {
		in := instance("bad")
		change(&in)
		return bad{in, field}
	}
	return map[string]bad{
		"no service":      with("Service", func(in *registry.Instance) { in.Service = "" }),
		"bad service":     with("Service", func(in *registry.Instance) { in.Service = "a/b" }),
		"no address":      with("Addr", func(in *registry.Instance) { in.Addr = "" }),
		"no port":         with("Addr", func(in *registry.Instance) { in.Addr = "10.0.0.1" }),
		"control in ID":   with("ID", func(in *registry.Instance) { in.ID = "a\x00" }),
		"long ID":         with("ID", func(in *registry.Instance) { in.ID = strings.Repeat("x", 1025) }),
		"bad scheme":      with("Scheme", func(in *registry.Instance) { in.Scheme = "1" }),
		"bad server name": with("ServerName", func(in *registry.Instance) { in.ServerName = "a b" }),
		"bad version":     with("Version", func(in *registry.Instance) { in.Version = "\xff" }),
		"bad zone":        with("Zone", func(in *registry.Instance) { in.Zone = "\n" }),
		"heavy":           with("Weight", func(in *registry.Instance) { in.Weight = 1_000_001 }),
		"bad tag":         with("Tags", func(in *registry.Instance) { in.Tags = []string{"\x7f"} }),
		"bad meta":        with("Meta", func(in *registry.Instance) { in.Meta = map[string]string{"\xff": ""} }),
		"large":           with("Limits.MetaBytes", func(in *registry.Instance) { in.Version = strings.Repeat("x", 20<<10) }),
		"check":           with("Check.Func", func(in *registry.Instance) { in.Check.Interval = time.Second }),
	}
}

// A bad record is refused alone and named, to the source and to the hook.
func TestG40_BadRecordAlone(t *testing.T) {
	bubbles(t, badRecords(), func(t *testing.T, c struct {
		in    registry.Instance
		field string
	},
	) {
		var l feedLog
		r := newRegistry(t, registry.Config{Hooks: l.hooks(registry.Hooks{})})
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("old")))
		l.take()
		err := src.put(instance("a"), c.in, instance("b"))
		assert.Equal(t, []string{c.field}, fields(err))
		var refused *registry.Error
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, registry.OpFeed, refused.Op)
		assert.Equal(t, c.in.Service, refused.Service)
		assert.Equal(t, c.in.ID, refused.ID)
		assert.Less(t, len(err.Error()), 500, "whatever is in the record")
		assert.Equal(t, []string{"a dns", "b dns", "old dns"}, origins(r))
		states := l.take()
		require.Len(t, states, 1)
		assert.True(t, states[0].Connected)
		assert.Equal(t, err, states[0].Err)
		require.NoError(t, src.put(instance("c")))
		assert.Empty(t, l.take())
	})
}

// All bad records of a batch are named, and the rest is taken.
func TestG40_ManyBadRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "dns")
		batch := []registry.Instance{instance("a")}
		for _, bad := range badRecords() {
			batch = append(batch, bad.in)
		}
		err := src.reset(append(batch, instance("b"))...)
		assert.Len(t, fields(err), len(badRecords())+strings.Count(err.Error(), "every one once in a batch"))
		assert.Equal(t, []string{"a dns", "b dns"}, origins(r))
	})
}

// What a feed put before under an ID stays when its new record is refused, also in
// a Reset that complete membership is.
func TestG40_BadRecordKeepsTheOldOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a"), instance("b"), instance("c")))
		j.take()
		err := src.reset(at("a", "nonsense"), instance("c"))
		assert.Equal(t, []string{"Addr"}, fields(err))
		assert.Equal(t, []string{"withdrawn b"}, j.told())
		assert.Equal(t, []string{"a dns", "c dns"}, origins(r))
	})
}

// Of two records with one ID in a batch the second is refused.
func TestG40_DuplicateInBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "dns")
		err := src.reset(at("", "10.0.0.1:80"), at("10.0.0.1:80", "10.0.0.2:80"), instanceOf("other", "10.0.0.1:80"))
		assert.Equal(t, []string{"ID"}, fields(err))
		require.ErrorContains(t, err, `"10.0.0.1:80"`)
		e, ok := r.Service("orders").Get("10.0.0.1:80")
		require.True(t, ok)
		assert.Equal(t, "10.0.0.1:80", e.Addr(), "it is the first one")
		assert.Equal(t, 2, r.Stats().Instances)
	})
}

// Limits refuse the records that are too much, alone. What leaves in a batch makes
// room in it.
func TestG40_LimitsOfFeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Limits: registry.Limits{Services: 2, Instances: 2}})
		src, _ := fed(t, r, "dns")
		err := src.reset(instance("a"), instance("b"), instance("c"), instanceOf("p", "d"), instanceOf("q", "e"))
		breached(t, err, "Limits.Instances")
		breached(t, err, "Limits.Services")
		assert.Len(t, fields(err), 2)
		assert.Equal(t, []string{"a dns", "b dns"}, origins(r))
		assert.Equal(t, 3, r.Stats().Instances)
		register(t, r, instance("a")) // behind the limit, but it is there already
		require.NoError(t, src.send(registry.Batch{Put: records(instance("c"), at("a", "10.0.0.9:80")), Remove: refs("b")}))
		assert.Equal(t, []string{"a", "c dns"}, origins(r))
		require.NoError(t, src.reset(instance("x"), instanceOf("p", "d")), "the local a stays")
		assert.Equal(t, []string{"a", "x dns"}, origins(r))
		breached(t, src.put(instance("y")), "Limits.Instances")
		require.NoError(t, src.reset(instance("x")))
		require.NoError(t, src.put(instanceOf("q", "e")), "there is room for a service again")
	})
}

// Records are copied, in and out.
func TestG40_RecordsAreCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "dns")
		in := instance("a")
		in.Tags, in.Meta = []string{"b", "a"}, map[string]string{"k": "v"}
		require.NoError(t, src.reset(in))
		assert.Equal(t, []string{"b", "a"}, in.Tags, "the source's slices are not sorted")
		in.Tags[0], in.Meta["k"] = "changed", "changed"
		e, _ := r.Service("orders").Get("a")
		assert.Equal(t, []string{"a", "b"}, e.Instance().Tags)
		v, _ := e.Meta("k")
		assert.Equal(t, "v", v)
	})
}

// A source that delivers although the feed has ended changes nothing.
func TestG40_DeliverAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		var deliver func(registry.Batch) error
		enough := errors.New("enough")
		f := followed(t, func(ctx context.Context) error {
			return r.Feed(ctx, "dns", feedFunc(func(ctx context.Context, d func(registry.Batch) error) error {
				deliver = d
				<-ctx.Done()
				assert.Equal(t, enough, d(registry.Batch{Put: records(instance("a"))}))
				return nil
			}))
		})
		require.NoError(t, deliver(registry.Batch{Put: records(instance("b"))}))
		f.over(t, enough)
		assert.Equal(t, enough, deliver(registry.Batch{Put: records(instance("c"))}))
		assert.Empty(t, origins(r))
	})
}

// When the registry is closed Feed ends with ErrClosed, the instances stay as they
// are, and Close waits for Run to return.
func TestG40_CloseDuringFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l feedLog
		var j journal
		r := newRegistry(t, registry.Config{Hooks: l.hooks(j.hooks())})
		release := make(chan struct{})
		var late error
		f := followed(t, func(ctx context.Context) error {
			return r.Feed(ctx, "dns", feedFunc(func(ctx context.Context, deliver func(registry.Batch) error) error {
				_ = deliver(registry.Batch{Put: records(instance("a"))})
				<-ctx.Done()
				late = deliver(registry.Batch{Reset: true, Put: records(instance("b"))})
				<-release
				return nil
			}))
		})
		short, cancel := context.WithTimeoutCause(bg, time.Second, errAway)
		defer cancel()
		assert.Equal(t, errAway, r.Close(short), "Run has not returned")
		synctest.Wait()
		require.ErrorIs(t, late, registry.ErrClosed)
		close(release)
		require.NoError(t, r.Close(bg))
		err := received(t, f.end)
		require.ErrorIs(t, err, registry.ErrClosed)
		var e *registry.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, registry.OpFeed, e.Op)
		assert.Equal(t, []string{"a dns"}, origins(r))
		assert.Equal(t, []string{"registered a"}, j.told())
		require.ErrorIs(t, r.Feed(bg, "new", newTap()), registry.ErrClosed)
		require.ErrorIs(t, r.Sync(bg, "new", newCounter(), registry.SyncConfig{}), registry.ErrClosed)
		states := l.take()
		require.Len(t, states, 2)
		assert.False(t, states[1].Connected)
		require.ErrorIs(t, states[1].Err, registry.ErrClosed)
	})
}

// Close ends a feed that waits to try again, and one that has nothing more to come.
func TestG40_CloseWhileWaiting(t *testing.T) {
	bubbles(t, map[string]error{"fails": errAway, "is over": nil}, func(t *testing.T, end error) {
		r := newRegistry(t, registry.Config{})
		src, f := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a")))
		src.end(end)
		require.NoError(t, r.Close(bg))
		require.ErrorIs(t, received(t, f.end), registry.ErrClosed)
		assert.Equal(t, []string{"a dns"}, origins(r))
	})
}

// Reads and registrations go on while a source is at work, and while hooks are told
// of what it delivered.
func TestG40_HooksMayUseTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *registry.Registry
		var seen []string
		r = newRegistry(t, registry.Config{Hooks: registry.Hooks{
			Change: func(c registry.Change) {
				seen = append(seen, c.ID)
				if c.ID == "a" {
					_, err := r.Register(bg, instance("from hook"))
					assert.NoError(t, err)
				}
			},
			FeedState: func(s registry.FeedState) {
				_, err := r.Register(bg, instanceOf("states", s.Name))
				assert.NoError(t, err)
			},
		}})
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a"), instance("b")))
		assert.Equal(t, []string{"a", "b", "from hook", "dns"}, seen)
	})
}

// Static delivers copies, in one Reset.
func TestG40_Static(t *testing.T) {
	in := instance("a")
	in.Tags, in.Meta = []string{"x"}, map[string]string{"k": "v"}
	src := registry.Static(in, instance("b"))
	in.Tags[0], in.Meta["k"] = "changed", "changed"
	var got []registry.Batch
	for range 2 {
		require.NoError(t, src.Run(bg, func(b registry.Batch) error {
			got = append(got, b)
			return errAway // what is refused is no reason to fail
		}))
	}
	want := instance("a")
	want.Tags, want.Meta = []string{"x"}, map[string]string{"k": "v"}
	batch := registry.Batch{Reset: true, Put: records(want, instance("b"))}
	assert.Equal(t, []registry.Batch{batch, batch}, got)
}

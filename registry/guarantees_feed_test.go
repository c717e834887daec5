package registry_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

var errAway = errors.New("no route to host")

func TestG40_FeedPutsAndRemoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		src, f := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a"), instance("b"), instanceOf("other", "c")))
		assert.Equal(t, []string{"a dns", "b dns"}, origins(r))
		require.NoError(t, src.put(at("a", "10.0.0.9:80")))
		require.NoError(t, src.put(at("", "10.0.0.5:80")))
		require.NoError(t, src.remove("b", "nobody"))
		require.NoError(t, src.send(registry.Batch{Remove: []registry.Ref{{Service: "nothing", ID: "x"}, {Service: "not a name/", ID: "x"}}}))
		assert.Equal(t, []string{"registered a", "registered b", "registered c", "updated a", "registered 10.0.0.5:80", "withdrawn b"}, j.told())
		e, ok := r.Service("orders").Get("a")
		require.True(t, ok)
		assert.Equal(t, "10.0.0.9:80", e.Addr())
		assert.Equal(t, 1, r.Stats().Feeds)

		f.over(t, errors.New("enough"))
		assert.ElementsMatch(t, []string{"withdrawn 10.0.0.5:80", "withdrawn a", "withdrawn c"}, j.told())
		assert.Empty(t, r.Stats().Services)
		assert.Empty(t, r.Stats().Feeds)
	})
}

// What a batch puts and removes of one service becomes visible at once.
func TestG40_BatchAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, f := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a"), instance("b")))
		ctx, stop := context.WithCancel(bg)
		defer stop()
		updates, _ := watch(ctx, r.Service("orders"))
		received(t, updates)
		index := r.Service("orders").Snapshot().Index()
		require.NoError(t, src.send(registry.Batch{Put: records(instance("c"), at("a", "10.0.0.9:80")), Remove: refs("b", "c")}))
		u := received(t, updates)
		assert.Equal(t, []string{"c"}, ids(u.Added), "what is put is not removed in the same batch")
		assert.Equal(t, []string{"a"}, ids(u.Changed))
		assert.Len(t, u.Removed, 1)
		assert.Equal(t, index+1, u.Snapshot.Index())
		f.over(t, errors.New("enough"))
		u = received(t, updates)
		assert.Len(t, u.Removed, 2)
		assert.Equal(t, index+2, u.Snapshot.Index())
	})
}

func TestG40_HealthOfFed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, _ := fed(t, r, "dns")
		for h := registry.Health(0); h < 10; h++ {
			rec := registry.Record{Instance: instance("a"), Health: h}
			err := src.send(registry.Batch{Reset: true, Put: []registry.Record{rec}})
			if h == registry.Stale || h > registry.Down {
				assert.Equal(t, []string{"Health"}, fields(err), h)
				assert.Equal(t, []string{"a"}, present(r.Service("orders")), "what it put before stays")
				continue
			}
			require.NoError(t, err)
			assert.Equal(t, []string{"a"}, withHealth(r.Service("orders"), max(h, registry.Passing)), h)
		}
	})
}

// While the origin is away the instances stay, the snapshots of all services of
// the feed tell, and its losing and regaining are changes.
func TestG40_Disconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var l feedLog
		r := newRegistry(t, registry.Config{Rand: half, Hooks: l.hooks(j.hooks())})
		src, _ := fed(t, r, "dns")
		other, _ := fed(t, r, "other")
		require.NoError(t, src.reset(instance("a"), instanceOf("second", "b")))
		require.NoError(t, other.reset(instanceOf("third", "c")))
		register(t, r, instanceOf("second", "b")) // the feed's is behind it
		register(t, r, instanceOf("fourth", "d"))
		assert.Equal(t, []string{"dns connected", "other connected"}, l.told())
		j.take()
		indexes := make(map[string]uint64)
		expect := func(disconnected bool, changed string) {
			t.Helper()
			for name := range r.Services() {
				s := r.Service(name).Snapshot()
				mine := name == "orders" || name == "second"
				assert.Equal(t, disconnected && mine, s.Disconnected(), name)
				assert.Equal(t, 1, s.Len(), name)
				if before, known := indexes[name]; known {
					assert.Equal(t, mine && changed != "", s.Index() > before, "%s %s", name, changed)
				}
				indexes[name] = s.Index()
			}
		}
		expect(false, "")
		ctx, stop := context.WithCancel(bg)
		defer stop()
		updates, _ := watch(ctx, r.Service("orders"))
		received(t, updates)

		src.end(errAway)
		expect(true, "lost")
		u := received(t, updates)
		assert.True(t, u.Snapshot.Disconnected())
		assert.Empty(t, append(u.Added, u.Changed...))
		assert.Equal(t, []string{"dns disconnected: no route to host"}, l.told())
		for range 5 {
			src.end(errAway) // again and again: no news
			time.Sleep(10 * time.Second)
		}
		expect(true, "")
		assert.Empty(t, l.told())

		require.NoError(t, src.put(instance("a"))) // unchanged, and only one of the services
		expect(false, "regained")
		assert.Equal(t, []string{"dns connected"}, l.told())
		assert.Empty(t, j.told())
		assert.False(t, received(t, updates).Snapshot.Disconnected())
	})
}

// An origin that was never reached is told once, and makes nothing Disconnected.
func TestG40_NeverReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l feedLog
		r := newRegistry(t, registry.Config{Hooks: l.hooks(registry.Hooks{})})
		register(t, r, instance("a"))
		src, f := fed(t, r, "dns")
		for range 3 {
			src.end(errAway)
			time.Sleep(time.Minute)
		}
		assert.Equal(t, []string{"dns disconnected: no route to host"}, l.told())
		assert.False(t, r.Service("orders").Snapshot().Disconnected())
		f.over(t, errors.New("enough"))
		assert.Empty(t, l.told(), "it was not connected")
	})
}

// A service is connected again if what was lost has left it.
func TestG40_DisconnectedEndsWithTheFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		register(t, r, instance("a"))
		src, f := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a"), instance("b")))
		src.end(errAway)
		lost := r.Service("orders").Snapshot()
		require.True(t, lost.Disconnected())
		f.over(t, errors.New("enough"))
		s := r.Service("orders").Snapshot()
		assert.False(t, s.Disconnected())
		assert.Greater(t, s.Index(), lost.Index())
	})
}

// retries are the instants of the first calls of Run that fail at once.
func retries(t *testing.T, cfg registry.Config, pass func(time.Duration)) []string {
	t.Helper()
	r := newRegistry(t, cfg)
	runs := newTimes()
	runs.start = readClock(cfg.Clock)
	f := followed(t, func(ctx context.Context) error {
		return r.Feed(ctx, "dns", feedFunc(func(context.Context, func(registry.Batch) error) error {
			runs.mu.Lock()
			defer runs.mu.Unlock()
			runs.log = append(runs.log, readClock(cfg.Clock).Sub(runs.start).String())
			return errAway
		}))
	})
	for range 130 {
		pass(time.Second)
	}
	defer f.over(t, errors.New("enough"))
	return runs.take()
}

func readClock(c registry.Clock) time.Time {
	if c == nil {
		return time.Now()
	}
	return c.Now()
}

type feedFunc func(ctx context.Context, deliver func(registry.Batch) error) error

func (f feedFunc) Run(ctx context.Context, deliver func(registry.Batch) error) error {
	return f(ctx, deliver)
}

// Run is called again after 1s, 2s and so on up to 30s, plus or minus a fifth.
func TestG40_RetryTimes(t *testing.T) {
	bubbles(t, map[string]struct {
		rand func() uint64
		want []string
	}{
		"half":     {half, []string{"0s", "1s", "3s", "7s", "15s", "31s", "1m1s", "1m31s", "2m1s"}},
		"shortest": {func() uint64 { return 0 }, []string{"0s", "800ms", "2.4s", "5.6s", "12s", "24.8s", "48.8s", "1m12.8s", "1m36.8s", "2m0.8s"}},
	}, func(t *testing.T, c struct {
		rand func() uint64
		want []string
	},
	) {
		assert.Equal(t, c.want, retries(t, registry.Config{Rand: c.rand}, time.Sleep))
		mock := clock.NewMock()
		got := retries(t, registry.Config{Rand: c.rand, Clock: mock}, func(d time.Duration) {
			synctest.Wait()
			mock.Add(d)
			synctest.Wait()
		})
		assert.Len(t, got, len(c.want))
		if c.want[1] == "1s" {
			assert.Equal(t, c.want, got)
		}
	})
}

// With no Rand given, waits differ, and stay within a fifth.
func TestG40_RetryJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		different := make(map[string]bool)
		for range 20 {
			got := retries(t, registry.Config{}, time.Sleep)
			last := time.Duration(0)
			for i, text := range got {
				d, err := time.ParseDuration(text)
				require.NoError(t, err)
				if wait := min(time.Second<<max(0, i-1), 30*time.Second); i > 0 {
					assert.InDelta(t, wait.Seconds(), (d - last).Seconds(), 0.2*wait.Seconds()+1e-6)
				}
				last = d
			}
			different[got[1]] = true
		}
		assert.Greater(t, len(different), 15)
	})
}

// An origin that was reached is tried again after one second.
func TestG40_RetryAfterSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Rand: half})
		src, _ := fed(t, r, "dns")
		for range 3 {
			src.end(errAway)
			src.end(errAway)
			src.end(errAway)
			require.NoError(t, src.reset(instance("a")))
		}
		src.end(errAway)
		src.end(errAway)
		assert.Equal(t, []string{
			"0s run", "1s run", "3s run", "7s run",
			"8s run", "10s run", "14s run",
			"15s run", "17s run", "21s run",
			"22s run",
		}, src.calls.take())
	})
}

// A Run that returns nil is over, and what it delivered stays until ctx ends.
func TestG40_RunReturnsNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l feedLog
		r := newRegistry(t, registry.Config{Hooks: l.hooks(registry.Hooks{})})
		src, f := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a")))
		index := r.Stats().Index
		src.end(nil)
		time.Sleep(time.Hour)
		assert.Equal(t, []string{"0s run"}, src.calls.take())
		assert.Equal(t, []string{"dns connected"}, l.told())
		assert.Equal(t, index, r.Stats().Index)
		assert.False(t, r.Service("orders").Snapshot().Disconnected())
		assert.Equal(t, []string{"a dns"}, origins(r))
		enough := errors.New("enough")
		f.over(t, enough)
		assert.Empty(t, origins(r))
		assert.Equal(t, []string{"dns disconnected: enough"}, l.told())
	})
}

// A panic of Run is an origin lost.
func TestG40_RunPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l feedLog
		r := newRegistry(t, registry.Config{Rand: half, Hooks: l.hooks(registry.Hooks{})})
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a")))
		src.do(func() { panic(errAway) })
		assert.True(t, r.Service("orders").Snapshot().Disconnected())
		assert.EqualValues(t, 1, r.Stats().Panics)
		states := l.take()
		require.Len(t, states, 2)
		var p *registry.PanicError
		require.ErrorAs(t, states[1].Err, &p)
		require.ErrorIs(t, states[1].Err, errAway)
		assert.Equal(t, []*registry.PanicError{p}, l.panicked())
		assert.Contains(t, string(p.Stack), "TestG40_RunPanics")
		require.NoError(t, src.reset(instance("b")))
		assert.Equal(t, []string{"b dns"}, origins(r))
		assert.Equal(t, []string{"0s run", "1s run"}, src.calls.take())
	})
}

// Goexit ends the goroutine that called Feed; nothing of the feed is left.
func TestG40_RunGoexits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l feedLog
		r := newRegistry(t, registry.Config{Hooks: l.hooks(registry.Hooks{})})
		src, f := fed(t, r, "dns")
		require.NoError(t, src.reset(instance("a")))
		src.do(runtime.Goexit)
		_, returned := <-f.end
		assert.False(t, returned)
		assert.Empty(t, origins(r))
		assert.Empty(t, r.Stats().Feeds)
		faults := l.panicked()
		require.Len(t, faults, 1)
		assert.True(t, faults[0].Goexit)
		again, _ := fed(t, r, "dns")
		require.NoError(t, again.reset(instance("b")))
		assert.Equal(t, []string{"b dns"}, origins(r))
	})
}

func TestG40_NameInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		src, f := fed(t, r, "cluster")
		for _, err := range []error{
			r.Feed(bg, "cluster", newTap()),
			r.Sync(bg, "cluster", newCounter(), registry.SyncConfig{}),
		} {
			require.ErrorIs(t, err, registry.ErrExists)
			require.ErrorContains(t, err, `"cluster"`)
		}
		require.NoError(t, src.reset(instance("a")))
		f.over(t, errors.New("enough"))
		again := synced(t, r, newCounter(), registry.SyncConfig{})
		require.ErrorIs(t, r.Feed(bg, "cluster", newTap()), registry.ErrExists)
		again.over(t, errors.New("enough"))
		_, _ = fed(t, r, "cluster")
	})
}

func TestG40_Misuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		var none context.Context
		require.EqualError(t, r.Feed(none, "dns", newTap()), "registry: nil context")
		require.EqualError(t, r.Feed(bg, "dns", nil), "registry: nil Source")
		require.EqualError(t, r.Sync(none, "dns", newCounter(), registry.SyncConfig{}), "registry: nil context")
		require.EqualError(t, r.Sync(bg, "dns", nil, registry.SyncConfig{}), "registry: nil Backend")
		require.ErrorContains(t, r.Sync(bg, "dns", newCounter(), registry.SyncConfig{TTL: -time.Second}), "TTL is -1s")
		for _, name := range []string{"", "import", "a\nb", "\xff", strings.Repeat("x", 256)} {
			assert.Equal(t, []string{"name"}, fields(r.Feed(bg, name, newTap())), name)
			assert.Equal(t, []string{"name"}, fields(r.Sync(bg, name, newCounter(), registry.SyncConfig{})), name)
		}
		ctx, cancel := context.WithCancelCause(bg)
		cancel(errAway)
		assert.Equal(t, errAway, r.Feed(ctx, "dns", newTap()))
		assert.Equal(t, errAway, r.Sync(ctx, "dns", newCounter(), registry.SyncConfig{}))
		assert.Empty(t, r.Stats().Feeds)
		f := followed(t, func(ctx context.Context) error { return r.Feed(ctx, strings.Repeat("x", 255), newTap()) })
		f.over(t, errAway)
	})
}

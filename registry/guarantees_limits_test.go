package registry_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// breached expects that a limit refused, by name.
func breached(tb testing.TB, err error, field string) {
	tb.Helper()
	require.Contains(tb, fields(err), field)
	require.ErrorContains(tb, err, field+" is ")
}

func TestG7_LimitOfServices(t *testing.T) {
	var j journal
	r := newRegistry(t, registry.Config{Limits: registry.Limits{Services: 2}, Hooks: j.hooks()})
	register(t, r, instanceOf("s1", "a"))
	index := r.Stats().Index
	_, err := r.RegisterWith(bg, registry.RegisterConfig{}, instanceOf("s1", "b"), instanceOf("s2", "a"), instanceOf("s3", "a"))
	breached(t, err, "Limits.Services")
	assert.Equal(t, []string{"a"}, present(r.Service("s1")), "nothing of the batch")
	assert.Equal(t, index, r.Stats().Index)
	l := register(t, r, instanceOf("s2", "a"))
	_, err = r.Register(bg, instanceOf("s3", "a"))
	breached(t, err, "Limits.Services")
	assert.Len(t, j.take(), 2)
	register(t, r, instanceOf("s1", "b"))
	register(t, r, instanceOf("s1", "a"))
	require.NoError(t, l.Renew())
	require.NoError(t, l.Deregister())
	register(t, r, instanceOf("s3", "a")) // there is room again
	assert.Equal(t, 2, r.Stats().Services)
}

func TestG7_LimitOfInstances(t *testing.T) {
	r := newRegistry(t, registry.Config{Limits: registry.Limits{Instances: 3}})
	_, err := r.RegisterWith(bg, registry.RegisterConfig{}, append(numbered(4, 0), instanceOf("other", "a"))...)
	breached(t, err, "Limits.Instances")
	require.ErrorContains(t, err, `"orders"`)
	assert.Empty(t, r.Stats().Instances, "nothing of the batch")
	leases, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(3, 0)...)
	require.NoError(t, err)
	_, err = r.Register(bg, instance("more"))
	breached(t, err, "Limits.Instances")
	register(t, r, instance("i001")) // known already
	register(t, r, instanceOf("other", "a"))
	require.NoError(t, leases[0].Deregister())
	register(t, r, instance("more"))
	assert.Equal(t, []string{"i001", "i002", "more"}, present(r.Service("orders")))
}

// All strings of an instance count.
func TestG7_LimitOfMetaBytes(t *testing.T) {
	full := registry.Instance{
		Service: "abcd", ID: "efgh", Addr: "ijkl:1234", Scheme: "http", ServerName: "name", Version: "v", Zone: "z",
		Tags: []string{"t1", "t2"}, Meta: map[string]string{"k": "v"},
	}
	const size = 4 + 4 + 9 + 4 + 4 + 1 + 1 + 4 + 2
	r := newRegistry(t, registry.Config{Limits: registry.Limits{MetaBytes: size}})
	l := register(t, r, full)
	for name, grow := range map[string]func(*registry.Instance){
		"Service":    func(in *registry.Instance) { in.Service += "x" },
		"ID":         func(in *registry.Instance) { in.ID += "x" },
		"Addr":       func(in *registry.Instance) { in.Addr = "x" + in.Addr },
		"Scheme":     func(in *registry.Instance) { in.Scheme += "x" },
		"ServerName": func(in *registry.Instance) { in.ServerName += "x" },
		"Version":    func(in *registry.Instance) { in.Version += "x" },
		"Zone":       func(in *registry.Instance) { in.Zone += "x" },
		"Tags":       func(in *registry.Instance) { in.Tags = []string{"t1", "t2x"} },
		"key":        func(in *registry.Instance) { in.Meta = map[string]string{"kx": "v"} },
		"value":      func(in *registry.Instance) { in.Meta = map[string]string{"k": "vx"} },
	} {
		t.Run(name, func(t *testing.T) {
			in := full
			grow(&in)
			_, err := r.Register(bg, in)
			breached(t, err, "Limits.MetaBytes")
			if name != "Service" && name != "ID" {
				breached(t, l.Update(in), "Limits.MetaBytes")
			}
			assert.Equal(t, 1, r.Stats().Instances)
			require.NoError(t, l.Err())
		})
	}
}

func TestG7_LimitOfWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Limits: registry.Limits{Watchers: 2}})
		register(t, r, instance("a"))
		s := r.Service("orders")
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		_, end := watch(ctx, s)
		waited := async(func() error {
			_, err := s.Wait(ctx, s.Snapshot().Index())
			return err
		})
		synctest.Wait()
		_, err := r.Service("other").Wait(bg, 0)
		breached(t, err, "Limits.Watchers")
		for _, err := range s.Watch(bg) {
			breached(t, err, "Limits.Watchers")
		}
		assert.Equal(t, 2, r.Stats().Watchers)
		cancel()
		require.ErrorIs(t, received(t, waited), context.Canceled)
		require.ErrorIs(t, received(t, end), context.Canceled)
		for range 3 { // who leaves makes room
			for u, err := range s.Watch(bg) {
				require.NoError(t, err)
				assert.True(t, u.Reset)
				break
			}
		}
		assert.Zero(t, r.Stats().Watchers)
	})
}

// Zero is the default, and negative no limit.
func TestG7_LimitsByDefault(t *testing.T) {
	many := make([]registry.Instance, 10_001)
	for i := range many {
		many[i] = instanceOf(fmt.Sprint("s", i), "a")
	}
	big := instance("a")
	big.Version = strings.Repeat("x", 16<<10-len("orders"+"a"+"10.0.0.1:80"))
	bigger := instance("a")
	bigger.Version = big.Version + "x"

	r := newRegistry(t, registry.Config{})
	_, err := r.RegisterWith(bg, registry.RegisterConfig{}, many...)
	breached(t, err, "Limits.Services")
	_, err = r.RegisterWith(bg, registry.RegisterConfig{}, many[1:]...)
	require.NoError(t, err)
	_, err = r.Register(bg, bigger)
	breached(t, err, "Limits.MetaBytes")

	r = newRegistry(t, registry.Config{Limits: registry.Limits{Services: -1, Instances: -1, MetaBytes: -1, Watchers: -1}})
	_, err = r.RegisterWith(bg, registry.RegisterConfig{}, many...)
	require.NoError(t, err)
	register(t, r, bigger)
	assert.Equal(t, 10_002, r.Stats().Services)

	r = newRegistry(t, registry.Config{})
	register(t, r, big)
}

// The limits that take many to reach, by default.
func TestG7_LargeLimitsByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(100_001, 0)...)
		breached(t, err, "Limits.Instances")
		require.ErrorContains(t, err, "Limits.Instances is 100000,")

		ctx, cancel := context.WithCancel(bg)
		s := r.Service("other")
		for range 10_000 {
			go func() { _, _ = s.Wait(ctx, s.Snapshot().Index()) }()
		}
		synctest.Wait()
		assert.Equal(t, 10_000, r.Stats().Watchers)
		_, err = s.Wait(ctx, 0)
		breached(t, err, "Limits.Watchers")
		cancel()
		synctest.Wait()
		_, err = s.Wait(bg, 0)
		require.NoError(t, err)
	})
}

// What others bring counts too, and is refused alone.
func TestG7_LimitsOfFeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states []registry.FeedState
		r := newRegistry(t, registry.Config{
			Limits: registry.Limits{Services: 1, Instances: 2},
			Hooks:  registry.Hooks{FeedState: func(s registry.FeedState) { states = append(states, s) }},
		})
		register(t, r, instance("a"))
		p, _ := feed(t, r, "f")
		p.put(0, instance("b"), instance("c"), instanceOf("other", "d"))
		assert.Equal(t, []string{"a", "b"}, present(r.Service("orders")))
		assert.Empty(t, present(r.Service("other")))
		require.Len(t, states, 1)
		breached(t, states[0].Err, "Limits.Instances")
		breached(t, states[0].Err, "Limits.Services")
		_, err := r.Register(bg, instance("c"))
		breached(t, err, "Limits.Instances")
		register(t, r, instance("b")) // takes the place of the fed one
	})
}

// However many come at once, a limit holds exactly.
func TestG7_LimitsHoldTogether(t *testing.T) {
	const limit, all = 20, 60
	r := newRegistry(t, registry.Config{Limits: registry.Limits{Services: limit, Instances: limit}})
	var services, instances atomic.Int32
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			if _, err := r.Register(bg, instance(fmt.Sprint(i))); err == nil {
				instances.Add(1)
			}
		})
		wg.Go(func() {
			if _, err := r.Register(bg, instanceOf(fmt.Sprint("s", i), "a")); err == nil {
				services.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, limit, instances.Load())
	assert.Len(t, present(r.Service("orders")), limit)
	assert.Equal(t, limit, r.Stats().Services)
	assert.EqualValues(t, limit-1, services.Load(), `and "orders"`)
}

// What is refused is not counted, not even for a moment: it would refuse others
// that fit.
func TestG7_WatchersAreNeverAboveTheLimit(t *testing.T) {
	r := newRegistry(t, registry.Config{Limits: registry.Limits{Watchers: 1}})
	register(t, r, instance("a"))
	s := r.Service("orders")
	for _, err := range s.Watch(bg) { // has the only place
		require.NoError(t, err)
		const calls = 50_000
		var busy sync.WaitGroup
		var admitted, over atomic.Int64
		for range 2 {
			busy.Go(func() {
				defer over.Add(1)
				for range calls {
					if _, err := s.Wait(bg, 0); err == nil {
						admitted.Add(1)
					}
				}
			})
		}
		most := 0
		for over.Load() < 2 {
			most = max(most, r.Stats().Watchers)
		}
		busy.Wait()
		assert.Equal(t, 1, most)
		assert.Zero(t, admitted.Load())
		break
	}
	assert.Zero(t, r.Stats().Watchers)
}

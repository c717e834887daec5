package registrydns_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrydns"
)

// fed begins to feed a registry without jitter from a source. Both end with the
// bubble.
func fed(ctx context.Context, t *testing.T, src *registrydns.Source, hooks registry.Hooks) *registry.Registry {
	t.Helper()
	reg, err := registry.New(registry.Config{Rand: half, Hooks: hooks})
	require.NoError(t, err)
	go func() { _ = reg.Feed(ctx, "dns", src) }()
	t.Cleanup(func() { assert.NoError(t, reg.Close(bg)) })
	synctest.Wait()
	return reg
}

// state is the IDs of the instances of orders, and whether DNS was lost.
func state(reg *registry.Registry) string {
	s := reg.Service("orders").Snapshot()
	var all []string
	for e := range s.All() {
		all = append(all, e.ID())
	}
	if s.Disconnected() {
		all = append(all, "(disconnected)")
	}
	return strings.Join(all, " ")
}

// news is what the hook FeedState was told.
type news struct {
	mu  sync.Mutex
	all []registry.FeedState
}

func (n *news) add(f registry.FeedState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, f)
}

// last is the number of states and the last of them.
func (n *news) last() (int, registry.FeedState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.all), n.all[len(n.all)-1]
}

// later lets time pass.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// G47 in a registry: given DNS answers {1,2}, error, not found, not found, then
// members are {1,2}, {1,2} Disconnected, {1,2} Disconnected, {}.
func TestS28_dns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{replies: []reply{
			ips("10.0.0.1", "10.0.0.2"), broken(), notFound(), notFound(), notFound(), ips("10.0.0.3"),
		}}
		var states news
		reg := fed(t.Context(), t, newSource(t, registrydns.Config{Resolver: s}), registry.Hooks{FeedState: states.add})
		const both = "10.0.0.1:80 10.0.0.2:80"
		assert.Equal(t, both, state(reg))
		later(30 * time.Second)
		assert.Equal(t, both+" (disconnected)", state(reg))
		told, last := states.last()
		assert.Equal(t, 2, told)
		assert.ErrorIs(t, last.Err, errBroken)
		later(time.Second)
		assert.Equal(t, both+" (disconnected)", state(reg))
		assert.Len(t, s.questions(), 3)
		later(2 * time.Second)
		assert.Empty(t, state(reg))
		assert.Empty(t, reg.Stats().Services)
		told, last = states.last()
		assert.Equal(t, 3, told)
		assert.True(t, last.Connected)

		later(30 * time.Second)
		assert.Empty(t, state(reg))
		later(30 * time.Second)
		assert.Equal(t, "10.0.0.3:80", state(reg))
		told, _ = states.last()
		assert.Equal(t, 3, told)
	})
}

// G47: what is in both answers stays untouched.
func TestG47_diff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{replies: []reply{
			ips("10.0.0.1", "10.0.0.2"), ips("10.0.0.2", "10.0.0.3"), broken(), ips("10.0.0.3", "10.0.0.2"),
		}}
		reg := fed(t.Context(), t, newSource(t, registrydns.Config{Resolver: s}), registry.Hooks{})
		before, ok := reg.Service("orders").Get("10.0.0.2:80")
		require.True(t, ok)
		later(30 * time.Second)
		assert.Equal(t, "10.0.0.2:80 10.0.0.3:80", state(reg))
		later(30 * time.Second)
		assert.Equal(t, "10.0.0.2:80 10.0.0.3:80 (disconnected)", state(reg))
		later(time.Second)
		assert.Equal(t, "10.0.0.2:80 10.0.0.3:80", state(reg), "the same answer connects again")
		after, ok := reg.Service("orders").Get("10.0.0.2:80")
		require.True(t, ok)
		assert.Equal(t, before.Generation(), after.Generation())
	})
}

// G47: the instances come out as the config and the records have them.
func TestG47_endpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{replies: []reply{{records: []*net.SRV{
			srv("A.test.", 443, 1, 0), srv("b.test.", 443, 1, 500), srv("c.test.", 0, 1, 1), srv("d.test.", 443, 2, 1),
		}}}}
		var states news
		reg := fed(t.Context(), t, newSource(t, registrydns.Config{
			Name:     "_orders._tcp.test",
			Resolver: s,
			Instance: registry.Instance{Scheme: "https", Zone: "z", Tags: []string{"x"}},
		}), registry.Hooks{FeedState: states.add})
		assert.Equal(t, "a.test:443 b.test:443", state(reg))
		_, last := states.last()
		assert.ErrorContains(t, last.Err, `Addr is "c.test:0"`, "a bad record is refused alone")
		a, _ := reg.Service("orders").Get("a.test:443")
		b, _ := reg.Service("orders").Get("b.test:443")
		assert.Equal(t, 1, a.Weight())
		assert.Equal(t, 500, b.Weight())
		assert.Equal(t, "a.test", a.ServerName())
		assert.Equal(t, "https", a.Scheme())
		assert.Equal(t, "z", a.Zone())
		assert.True(t, a.HasTag("x"))
		assert.Equal(t, "dns", a.Origin())
		assert.Equal(t, registry.Passing, a.Health())
	})
}

// G47: the check of the config runs for every instance.
func TestG47_checks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := registry.Check{Func: func(_ context.Context, in registry.Instance) error {
			if in.Addr == "10.0.0.2:80" {
				return errBroken
			}
			return nil
		}}
		s := &script{replies: []reply{ips("10.0.0.1", "10.0.0.2")}}
		reg := fed(t.Context(), t, newSource(t, registrydns.Config{
			Resolver: s, Interval: time.Hour, Instance: registry.Instance{Check: check},
		}), registry.Hooks{})
		later(time.Minute)
		good, _ := reg.Service("orders").Get("10.0.0.1:80")
		bad, _ := reg.Service("orders").Get("10.0.0.2:80")
		assert.Equal(t, registry.Passing, good.Health())
		assert.Equal(t, registry.Critical, bad.Health())
	})
}

// The end of a feed takes its instances away. Another feed may then have the
// source, and gets all from the start.
func TestFeed_again(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{replies: []reply{ips("10.0.0.1"), ips("10.0.0.1")}}
		src := newSource(t, registrydns.Config{Resolver: s})
		ctx, cancel := context.WithCancel(t.Context())
		reg := fed(ctx, t, src, registry.Hooks{})
		assert.Equal(t, "10.0.0.1:80", state(reg))
		cancel()
		synctest.Wait()
		assert.Empty(t, state(reg))
		assert.Equal(t, "10.0.0.1:80", state(fed(t.Context(), t, src, registry.Hooks{})))
	})
}

// A registry that closes ends a lookup under way, and waits for it.
func TestFeed_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, err := registry.New(registry.Config{})
		require.NoError(t, err)
		r := resolver{srv: func(ctx context.Context) ([]*net.SRV, error) {
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil, ctx.Err()
		}}
		ended := make(chan error, 1)
		src := newSource(t, registrydns.Config{Name: "orders.test", Resolver: r})
		go func() { ended <- reg.Feed(bg, "dns", src) }()
		synctest.Wait()
		start := time.Now()
		require.NoError(t, reg.Close(bg))
		assert.Equal(t, time.Second, time.Since(start))
		assert.ErrorIs(t, <-ended, registry.ErrClosed)
	})
}

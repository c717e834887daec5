package registry_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A quietBackend does nothing.
type quietBackend struct{ registry.Source }

func (quietBackend) Put(context.Context, registry.Record) error { return nil }

func (quietBackend) Remove(context.Context, registry.Ref) error { return nil }

const oneExported = `{"version":1,"instances":[{"service":"orders","id":"i","addr":"h:1","weight":1,"health":"passing"}]}`

// Every verb of a closed registry is ErrClosed, and tells what was attempted.
func TestG39_VerbsAfterClose(t *testing.T) {
	bubbles(t, map[string]struct {
		op registry.Op
		do func(r *registry.Registry, l *registry.Lease) error
	}{
		"Register": {registry.OpRegister, func(r *registry.Registry, _ *registry.Lease) error {
			_, err := r.Register(bg, instance("b"))
			return err
		}},
		"Register, known": {registry.OpRegister, func(r *registry.Registry, _ *registry.Lease) error {
			_, err := r.Register(bg, leased("a", time.Minute))
			return err
		}},
		"RegisterWith": {registry.OpRegister, func(r *registry.Registry, _ *registry.Lease) error {
			_, err := r.RegisterWith(bg, registry.RegisterConfig{IfAbsent: true}, instance("a"), instanceOf("other", "b"))
			return err
		}},
		"Deregister":          {registry.OpDeregister, func(r *registry.Registry, _ *registry.Lease) error { return r.Deregister(bg, "orders", "a") }},
		"Deregister, unknown": {registry.OpDeregister, func(r *registry.Registry, _ *registry.Lease) error { return r.Deregister(bg, "none", "a") }},
		"Drain":               {registry.OpDrain, func(r *registry.Registry, _ *registry.Lease) error { return r.Drain(bg, "orders", "a") }},
		"SetHealth": {registry.OpSetHealth, func(r *registry.Registry, _ *registry.Lease) error {
			return r.SetHealth(bg, "orders", "a", registry.Down, "")
		}},
		"Feed": {registry.OpFeed, func(r *registry.Registry, _ *registry.Lease) error {
			return r.Feed(bg, "f", registry.Static(instance("b")))
		}},
		"Sync": {registry.OpFeed, func(r *registry.Registry, _ *registry.Lease) error {
			return r.Sync(bg, "f", quietBackend{registry.Static()}, registry.SyncConfig{})
		}},
		"Import": {registry.OpImport, func(r *registry.Registry, _ *registry.Lease) error {
			_, err := r.Import(bg, strings.NewReader(strings.ReplaceAll(oneExported, `"i"`, `"new"`)), 0)
			return err
		}},
		"Import, known": {registry.OpImport, func(r *registry.Registry, _ *registry.Lease) error {
			_, err := r.Import(bg, strings.NewReader(oneExported), 0)
			return err
		}},
		"Wait": {registry.OpWatch, func(r *registry.Registry, _ *registry.Lease) error {
			_, err := r.Service("orders").Wait(bg, 0)
			return err
		}},
		"Watch": {registry.OpWatch, func(r *registry.Registry, _ *registry.Lease) (last error) {
			for _, last = range r.Service("orders").Watch(bg) {
			}
			return last
		}},
		"Watch, unknown": {registry.OpWatch, func(r *registry.Registry, _ *registry.Lease) (last error) {
			for _, last = range r.Service("none").Watch(bg) {
			}
			return last
		}},
		"Lease.Renew":      {registry.OpRenew, func(_ *registry.Registry, l *registry.Lease) error { return l.Renew() }},
		"Lease.KeepAlive":  {registry.OpRenew, func(_ *registry.Registry, l *registry.Lease) error { return l.KeepAlive(bg) }},
		"Lease.Update":     {registry.OpUpdate, func(_ *registry.Registry, l *registry.Lease) error { return l.Update(instance("a")) }},
		"Lease.SetHealth":  {registry.OpSetHealth, func(_ *registry.Registry, l *registry.Lease) error { return l.SetHealth(registry.Down, "") }},
		"Lease.Deregister": {registry.OpDeregister, func(_ *registry.Registry, l *registry.Lease) error { return l.Deregister() }},
		"Lease.Drain":      {registry.OpDrain, func(_ *registry.Registry, l *registry.Lease) error { return l.Drain(bg) }},
	}, func(t *testing.T, c struct {
		op registry.Op
		do func(r *registry.Registry, l *registry.Lease) error
	},
	) {
		var j journal
		r := unclosed(t, registry.Config{Hooks: j.hooks()})
		l := register(t, r, leased("a", time.Minute))
		_, err := r.Import(bg, strings.NewReader(oneExported), 0)
		require.NoError(t, err)
		require.NoError(t, r.Close(bg))
		before := r.Service("orders").Snapshot()
		j.take()
		err = c.do(r, l)
		require.ErrorIs(t, err, registry.ErrClosed)
		var e *registry.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, c.op, e.Op)
		assert.Same(t, before, r.Service("orders").Snapshot())
		assert.Empty(t, j.told())
		lost(t, l, registry.ErrClosed)
	})
}

// What is read after Close is the last state, also what would have expired since.
// What was taken from it before can be used as before.
func TestG39_SnapshotsKeepTheLastState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := unclosed(t, registry.Config{})
		s, none := r.Service("orders"), r.Service("none")
		l := register(t, r, leased("a", 10*time.Second))
		register(t, r, leased("gone", time.Second))
		register(t, r, instanceOf("other", "b"))
		require.NoError(t, l.SetHealth(registry.Warning, "slow"))
		live := begin(t, l.Endpoint(), 1)
		time.Sleep(2 * time.Second)
		before := s.Snapshot()
		var exported bytes.Buffer
		require.NoError(t, r.Export(&exported))
		require.NoError(t, s.Err())
		require.NoError(t, r.Close(bg))

		time.Sleep(time.Hour)
		assert.Equal(t, registry.ErrClosed, s.Err())
		assert.Equal(t, registry.ErrClosed, none.Err())
		for _, handle := range []*registry.Service{s, r.Service("orders")} {
			assert.Same(t, before, handle.Snapshot())
			e, ok := handle.Get("a")
			require.True(t, ok)
			assert.Equal(t, registry.Warning, e.Health())
			assert.Equal(t, "slow", e.HealthReason())
			assert.Equal(t, 1, e.InFlight())
		}
		assert.Equal(t, 0, none.Snapshot().Len())
		assert.Equal(t, []string{"orders", "other"}, slices.Collect(r.Services()))
		assert.Zero(t, r.Sweep())
		assert.Equal(t, 2, r.Stats().Instances)
		var again bytes.Buffer
		require.NoError(t, r.Export(&again))
		assert.Equal(t, exported.String(), again.String())

		assert.Equal(t, registry.Down, live.Health(), "no call begins any more")
		assert.False(t, live.Acquire(registry.Warning))
		live.Release()
		assert.Zero(t, live.InFlight())
		assert.Equal(t, registry.Warning, l.Endpoint().Health())
	})
}

// Close does not drain: it does not wait for calls under way.
func TestG39_CloseDoesNotDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := unclosed(t, registry.Config{Hooks: j.hooks(), DrainGrace: time.Hour})
		begin(t, register(t, r, instance("a")).Endpoint(), 1)
		begin := time.Now()
		require.NoError(t, r.Close(bg))
		assert.Zero(t, time.Since(begin))
		assert.Equal(t, []string{"registered a"}, j.told())
	})
}

// A lease that was over before keeps what it ended with.
func TestG39_LeasesThatWereOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := unclosed(t, registry.Config{})
		own := register(t, r, instance("own"))
		require.NoError(t, own.Deregister())
		superseded := register(t, r, instance("a"))
		live := register(t, r, instance("a"))
		expired := register(t, r, leased("expired", time.Second))
		time.Sleep(time.Second)
		synctest.Wait()
		require.NoError(t, r.Close(bg))
		lost(t, own, nil)
		lost(t, superseded, registry.ErrLeaseLost)
		lost(t, expired, registry.ErrLeaseLost)
		lost(t, live, registry.ErrClosed)
		require.ErrorIs(t, superseded.Renew(), registry.ErrClosed, "as all verbs now")
		require.NoError(t, own.KeepAlive(bg))
	})
}

// A lease that had lapsed while its KeepAlive slept ends with ErrClosed too.
func TestG39_ALapsedLeaseIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHandClock()
		r := unclosed(t, registry.Config{Clock: c})
		l := register(t, r, leased("a", 9*time.Second))
		kept := async(func() error { return l.KeepAlive(bg) })
		c.run(time.Second)
		c.sleep(time.Minute)
		require.Equal(t, 1, r.Sweep())
		require.NoError(t, r.Close(bg))
		require.ErrorIs(t, received(t, kept), registry.ErrClosed)
		lost(t, l, registry.ErrClosed)
	})
}

// What a feed has brought stays as it is, though Feed returns.
func TestG39_FedInstancesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states []registry.FeedState
		r := unclosed(t, registry.Config{Hooks: registry.Hooks{FeedState: func(s registry.FeedState) { states = append(states, s) }}})
		causes := make(chan error, 1)
		done := async(func() error {
			return r.Feed(bg, "f", sourceFunc(func(ctx context.Context, deliver func(registry.Batch) error) error {
				_ = deliver(registry.Batch{Reset: true, Put: []registry.Record{{Instance: instance("a")}}})
				<-ctx.Done()
				causes <- deliver(registry.Batch{Reset: true})
				return nil
			}))
		})
		synctest.Wait()
		require.NoError(t, r.Close(bg))
		require.ErrorIs(t, received(t, done), registry.ErrClosed)
		require.ErrorIs(t, received(t, causes), registry.ErrClosed, "late news")
		assert.Equal(t, []string{"a"}, present(r.Service("orders")))
		assert.Zero(t, r.Stats().Feeds)
		require.Len(t, states, 2)
		assert.False(t, states[1].Connected)
		require.ErrorIs(t, states[1].Err, registry.ErrClosed)
	})
}

// A sourceFunc is a source of one function.
type sourceFunc func(ctx context.Context, deliver func(registry.Batch) error) error

func (f sourceFunc) Run(ctx context.Context, deliver func(registry.Batch) error) error {
	return f(ctx, deliver)
}

// A nil context is refused and closes nothing; one that has ended closes all the
// same.
func TestG39_CloseWithABadContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := unclosed(t, registry.Config{})
		l := register(t, r, checked("a", registry.Check{Func: func(ctx context.Context, _ registry.Instance) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			return nil
		}}))
		synctest.Wait()
		//nolint:staticcheck // a nil context is what this is about
		require.ErrorContains(t, r.Close(nil), "nil context")
		require.NoError(t, l.Renew())
		ctx, cancel := context.WithCancelCause(bg)
		cancel(errSick)
		assert.Equal(t, errSick, r.Close(ctx))
		lost(t, l, registry.ErrClosed)
		require.NoError(t, r.Close(bg))
	})
}

package registry_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// said are all words an owner, an operator or a feed may have; 0 takes it back.
var said = []registry.Health{
	0, registry.Passing, registry.Warning, registry.Starting, registry.Critical, registry.Draining, registry.Down,
}

// Of an owner, an operator and a check the worst counts, in every combination,
// whatever was said before.
func TestG19_TheWorstCounts(t *testing.T) {
	bubbles(t, map[string]struct {
		script string
		health registry.Health
	}{
		"check passes": {"P", registry.Passing},
		"check warns":  {"W", registry.Warning},
		"check fails":  {"F", registry.Critical},
		"no check":     {"", registry.Passing},
	}, func(t *testing.T, c struct {
		script string
		health registry.Health
	},
	) {
		r := newRegistry(t, registry.Config{})
		in := instance("a")
		if c.script != "" {
			s := script{left: c.script}
			in = checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 1})
		}
		l := register(t, r, in)
		synctest.Wait()
		require.Equal(t, c.health, healthOf(t, r, "a"))
		for _, owner := range said {
			require.NoError(t, l.SetHealth(owner, "owner"))
			for _, operator := range said {
				require.NoError(t, r.SetHealth(bg, "orders", "a", operator, "operator"))
				want := max(c.health, owner, operator)
				require.Equal(t, want, healthOf(t, r, "a"), "owner %v, operator %v", owner, operator)
				e, _ := r.Service("orders").Get("a")
				assert.Equal(t, want.Usable(), e.Health().Usable())
				assert.Equal(t, e.Health(), l.Endpoint().Health())
			}
		}
		require.NoError(t, r.SetHealth(bg, "orders", "a", 0, ""))
		require.NoError(t, l.SetHealth(0, ""))
		assert.Equal(t, c.health, healthOf(t, r, "a"), "each took back its own")
	})
}

// A feed is a source too, and zero from it is Passing.
func TestG19_AFeedAndAnOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		p, _ := feed(t, r, "f")
		for _, fed := range said {
			p.put(fed, instance("a"))
			for _, operator := range said {
				require.NoError(t, r.SetHealth(bg, "orders", "a", operator, "operator"))
				require.Equal(t, max(registry.Passing, fed, operator), healthOf(t, r, "a"), "feed %v, operator %v", fed, operator)
			}
		}
		require.NoError(t, r.SetHealth(bg, "orders", "a", 0, ""))
		assert.Equal(t, registry.Down, healthOf(t, r, "a"), "what the feed said last")
		p.put(0, instance("a"))
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
	})
}

// Of the sources that say other things at once, each that is taken back shows the
// next worse one, down to Passing.
func TestG19_EachClearsItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{
			Hooks:    j.hooks(),
			Preserve: registry.Preserve{MinInstances: -1, MaxEvict: 0.5},
		})
		s := script{left: "FP"}
		in := checked("b", registry.Check{Func: s.check, FailuresBeforeCritical: 1, SuccessesBeforePassing: 1, Interval: time.Minute})
		in.TTL = 30 * time.Second
		register(t, r, leased("a", 30*time.Second)) // it is the one that may expire
		l := register(t, r, in)
		synctest.Wait()
		require.NoError(t, l.SetHealth(registry.Down, "owner"))
		require.NoError(t, r.SetHealth(bg, "orders", "b", registry.Warning, "operator"))
		time.Sleep(30 * time.Second)
		assert.Equal(t, registry.Down, healthOf(t, r, "b"))
		require.NoError(t, l.SetHealth(0, ""))
		assert.Equal(t, registry.Critical, healthOf(t, r, "b"), "its check")
		time.Sleep(30 * time.Second)
		synctest.Wait()
		assert.Equal(t, registry.Stale, healthOf(t, r, "b"), "its lease")
		require.NoError(t, l.Renew())
		assert.Equal(t, registry.Warning, healthOf(t, r, "b"), "the operator")
		require.NoError(t, r.SetHealth(bg, "orders", "b", 0, ""))
		assert.Equal(t, registry.Passing, healthOf(t, r, "b"))
		var healths []string
		synctest.Wait()
		for _, c := range j.take() {
			if c.ID == "b" && c.Reason == registry.ReasonHealth {
				healths = append(healths, fmt.Sprint(c.After.Health(), " ", c.After.HealthReason()))
			}
		}
		assert.Equal(t, []string{"critical sick", "down owner", "critical sick", "stale lease lapsed, together with too many others", "warning operator", "passing "}, healths)
	})
}

// The owner's word ends with its registration: the next one starts without, also
// one that is equal.
func TestG19_TheOwnersWordEnds(t *testing.T) {
	moved := instance("a")
	moved.Addr = "10.0.0.2:80"
	for name, c := range map[string]struct {
		cfg  registry.RegisterConfig
		in   registry.Instance
		want registry.Health
	}{
		"equal":            {registry.RegisterConfig{}, instance("a"), registry.Passing},
		"other content":    {registry.RegisterConfig{}, moved, registry.Passing},
		"with a word":      {registry.RegisterConfig{Health: registry.Warning}, instance("a"), registry.Warning},
		"with that word":   {registry.RegisterConfig{Health: registry.Down}, instance("a"), registry.Down},
		"new, with a word": {registry.RegisterConfig{Health: registry.Starting}, instance("b"), registry.Starting},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			l := register(t, r, instance("a"))
			require.NoError(t, l.SetHealth(registry.Down, "maintenance"))
			before := r.Service("orders").Snapshot().Index()
			leases, err := r.RegisterWith(bg, c.cfg, c.in)
			require.NoError(t, err)
			assert.Equal(t, c.want, healthOf(t, r, c.in.ID))
			assert.Equal(t, name != "with that word", r.Service("orders").Snapshot().Index() > before)
			if c.in.ID == "b" {
				return
			}
			require.ErrorIs(t, l.SetHealth(registry.Critical, ""), registry.ErrLeaseLost)
			assert.Equal(t, c.want, healthOf(t, r, "a"), "and the old owner has no say")
			require.NoError(t, leases[0].SetHealth(0, ""))
			assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
		})
	}
}

// The owner's word stays as long as its lease, through updates and when KeepAlive
// registers it again.
func TestG19_TheOwnersWordStaysWithItsLease(t *testing.T) {
	in := leased("a", 9*time.Second)
	in.Addr, in.Version = "10.0.0.2:80", "2"
	update := func(l *registry.Lease) error { return l.Update(in) }
	say := func(l *registry.Lease) error { return l.SetHealth(registry.Warning, "slow") }
	bubbles(t, map[string][]func(*registry.Lease) error{
		"update, then word": {update, say},
		"word, then update": {say, update},
	}, func(t *testing.T, verbs []func(*registry.Lease) error) {
		c := newHandClock()
		r := newRegistry(t, registry.Config{Clock: c})
		l := register(t, r, leased("a", 9*time.Second))
		kept := async(func() error { return l.KeepAlive(bg) })
		c.run(time.Second)
		for _, verb := range verbs {
			require.NoError(t, verb(l))
		}
		assert.Equal(t, registry.Warning, healthOf(t, r, "a"))
		generation := l.Endpoint().Generation()
		c.sleep(time.Minute)
		assert.Equal(t, 1, r.Sweep())
		c.run(5 * time.Second)
		assert.Equal(t, registry.Warning, healthOf(t, r, "a"))
		assert.Equal(t, "slow", l.Endpoint().HealthReason())
		assert.Equal(t, "2", l.Endpoint().Version())
		assert.Greater(t, l.Endpoint().Generation(), generation)
		require.NoError(t, l.SetHealth(0, ""))
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
		require.NoError(t, l.Deregister())
		require.NoError(t, received(t, kept))
	})
}

// The reason told is that of the worst health, of several that are as bad that of
// the operator, then of the drain, of the owner and of the check.
func TestG19_TheReasonOfTheWorst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := script{left: "F"}
		l := register(t, r, checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 1}))
		synctest.Wait()
		reason := func(operator, owner registry.Health) string {
			require.NoError(t, r.SetHealth(bg, "orders", "a", operator, "operator"))
			require.NoError(t, l.SetHealth(owner, "owner"))
			in := checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 1})
			in.Version = l.Endpoint().Version() + "x" // shows the reason anew
			require.NoError(t, l.Update(in))
			return l.Endpoint().HealthReason()
		}
		assert.Equal(t, "sick", reason(registry.Passing, registry.Warning))
		assert.Equal(t, "owner", reason(registry.Passing, registry.Critical))
		assert.Equal(t, "operator", reason(registry.Critical, registry.Critical))
		assert.Equal(t, "owner", reason(registry.Draining, registry.Down))
		l.Endpoint().Live().Acquire(registry.Down)
		ctx, cancel := context.WithCancel(bg)
		drained := async(func() error { return l.Drain(ctx) })
		synctest.Wait()
		assert.Equal(t, "draining", reason(registry.Warning, registry.Draining))
		cancel()
		require.ErrorIs(t, received(t, drained), context.Canceled)
	})
}

// The operator's word stays through registrations, whoever makes them, until the
// ID is removed, in whatever way.
func TestG19_TheOperatorsWordStays(t *testing.T) {
	bubbles(t, map[string]func(r *registry.Registry, l *registry.Lease) error{
		"deregistered": func(_ *registry.Registry, l *registry.Lease) error { return l.Deregister() },
		"by hand":      func(r *registry.Registry, _ *registry.Lease) error { return r.Deregister(bg, "orders", "a") },
		"drained":      func(_ *registry.Registry, l *registry.Lease) error { return l.Drain(bg) },
		"expired": func(*registry.Registry, *registry.Lease) error {
			time.Sleep(10 * time.Second)
			return nil
		},
	}, func(t *testing.T, remove func(*registry.Registry, *registry.Lease) error) {
		r := newRegistry(t, registry.Config{})
		register(t, r, instance("a"))
		require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Down, "broken disk"))
		moved := instance("a")
		moved.Addr = "10.0.0.2:80"
		register(t, r, moved)
		register(t, r, moved)
		p, stop := feed(t, r, "f")
		p.put(0, instance("a"))
		l := register(t, r, leased("a", 10*time.Second))
		assert.Equal(t, registry.Down, healthOf(t, r, "a"))
		assert.Equal(t, "broken disk", l.Endpoint().HealthReason())
		require.NoError(t, l.SetHealth(registry.Passing, ""))
		assert.Equal(t, registry.Down, healthOf(t, r, "a"))
		require.NoError(t, l.Deregister())
		assert.Equal(t, registry.Down, healthOf(t, r, "a"), "and when the feed takes over")
		l = register(t, r, leased("a", 10*time.Second))
		stop()
		assert.Equal(t, registry.Down, healthOf(t, r, "a"))
		require.NoError(t, remove(r, l))
		require.Empty(t, present(r.Service("orders")))
		register(t, r, instance("a"))
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
	})
}

// Saying the same again, or the same health for another reason, changes nothing:
// no index, no hook, no update.
func TestG19_TheSameAgainIsNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		l := register(t, r, instance("a"))
		p, _ := feed(t, r, "f")
		p.put(registry.Down, instance("fed"))
		require.NoError(t, l.SetHealth(registry.Down, "one"))
		require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Down, "one"))
		ctx, cancel := context.WithCancel(bg)
		updates, end := watch(ctx, r.Service("orders"))
		received(t, updates)
		j.take()
		before := r.Service("orders").Snapshot()
		for _, reason := range []string{"one", "two"} {
			require.NoError(t, l.SetHealth(registry.Down, reason))
			require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Down, reason))
			require.NoError(t, l.SetHealth(registry.Passing, reason))
			require.NoError(t, l.SetHealth(registry.Critical, reason), "hidden by what is worse")
			require.NoError(t, l.SetHealth(registry.Down, reason))
			p.put(registry.Down, instance("fed"))
		}
		assert.Same(t, before, r.Service("orders").Snapshot())
		assert.Empty(t, j.told())
		nothing(t, updates)
		require.NoError(t, l.SetHealth(0, ""))
		require.NoError(t, r.SetHealth(bg, "orders", "a", 0, ""))
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"), "what was hidden has been taken back")
		assert.Equal(t, []string{"health a"}, j.told())
		assert.Len(t, received(t, updates).Changed, 1)
		cancel()
		require.ErrorIs(t, received(t, end), context.Canceled)
	})
}

// Since moves when an instance becomes usable or ceases to be, and only then. A
// change counts from when its check has returned, not from when it was called.
func TestG19_SinceAndAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		begin := time.Now()
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		l := register(t, r, checked("a", registry.Check{Interval: time.Hour, Timeout: time.Minute, Func: func(context.Context, registry.Instance) error {
			time.Sleep(3 * time.Second)
			return nil
		}}))
		since := func() time.Duration { return l.Endpoint().Since().Sub(begin) }
		assert.Zero(t, since(), "Starting since it came")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, 3*time.Second, since())
		for _, step := range []struct {
			health registry.Health
			since  time.Duration
		}{
			{registry.Warning, 3 * time.Second},
			{registry.Critical, 11 * time.Second},
			{registry.Draining, 11 * time.Second},
			{registry.Down, 11 * time.Second},
			{registry.Warning, 14 * time.Second},
			{registry.Passing, 14 * time.Second},
		} {
			require.NoError(t, l.SetHealth(step.health, ""))
			assert.Equal(t, step.since, since(), "%v", step.health)
			time.Sleep(time.Second)
		}
		in := l.Endpoint().Instance()
		in.Tags = []string{"new"}
		require.NoError(t, l.Update(in))
		assert.Equal(t, 14*time.Second, since(), "another record of the same health")
		var at []time.Duration
		for _, c := range j.take() {
			at = append(at, c.At.Sub(begin))
		}
		s := time.Second
		assert.Equal(t, []time.Duration{0, 3 * s, 10 * s, 11 * s, 12 * s, 13 * s, 14 * s, 15 * s, 16 * s}, at)
	})
}

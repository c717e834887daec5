package registry_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// How many of n expire when all lapse at once, and how many are held.
func TestG13_TheShare(t *testing.T) {
	for name, c := range map[string]struct {
		p       registry.Preserve
		n       int
		expired int
	}{
		"default":                {registry.Preserve{}, 20, 3},
		"rounded up":             {registry.Preserve{}, 21, 4},
		"default minimum":        {registry.Preserve{}, 10, 2},
		"under it":               {registry.Preserve{}, 9, 9},
		"own minimum":            {registry.Preserve{MinInstances: 3}, 3, 1},
		"under the own":          {registry.Preserve{MinInstances: 30}, 20, 20},
		"no minimum":             {registry.Preserve{MinInstances: -1}, 2, 1},
		"no minimum, one":        {registry.Preserve{MinInstances: -1}, 1, 1},
		"half":                   {registry.Preserve{MaxEvict: 0.5}, 11, 6},
		"all":                    {registry.Preserve{MaxEvict: 1}, 30, 30},
		"no cap":                 {registry.Preserve{MaxEvict: -1}, 30, 30},
		"next to none, one goes": {registry.Preserve{MaxEvict: 1e-9}, 30, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				r := newRegistry(t, registry.Config{Preserve: c.p, Hooks: j.hooks()})
				s := r.Service("orders")
				_, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(c.n, 10*time.Second)...)
				require.NoError(t, err)
				register(t, r, leased("without", -1)) // is no leased instance, and not counted
				time.Sleep(10 * time.Second)
				stale := withHealth(s, registry.Stale)
				assert.Len(t, stale, c.n-c.expired)
				assert.Len(t, present(s), c.n-c.expired+1)
				assert.Equal(t, c.n-c.expired, r.Stats().Held)
				for i, id := range stale {
					assert.Equal(t, fmt.Sprintf("i%03d", c.expired+i), id, "ties go by ID")
				}
				synctest.Wait()
				turns := 0
				if c.expired < c.n {
					turns = 1
				}
				require.Len(t, j.preserved(), turns)
			})
		})
	}
}

// What is held still has a lease: Stats counts it among both, until it goes.
func TestG13_HeldOnesCountAsLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		leases, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(20, 10*time.Second)...)
		require.NoError(t, err)
		register(t, r, leased("long", time.Hour))
		register(t, r, leased("without", -1))
		counted := func(instances, leases, held int) {
			t.Helper()
			s := r.Stats()
			assert.Equal(t, []int{instances, leases, held}, []int{s.Instances, s.Leases, s.Held})
		}
		counted(22, 21, 0)
		time.Sleep(10 * time.Second)
		counted(18, 17, 16) // 4 of 21 expire
		require.NoError(t, leases[19].Renew())
		counted(18, 17, 15)
		require.NoError(t, leases[18].Deregister())
		counted(17, 16, 14)
		require.NoError(t, leases[17].Update(leased("", -1)))
		counted(17, 15, 13)
		time.Sleep(24 * time.Hour)
		counted(2, 0, 0)
	})
}

// The earliest deadlines go first, in every window, and who comes back in time
// stays.
func TestG13_EarliestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks(), Preserve: registry.Preserve{MaxHold: time.Hour}})
		s := r.Service("orders")
		var leases []*registry.Lease
		for i := range 20 { // the last one is the first to lapse
			leases = append(leases, register(t, r, leased(fmt.Sprintf("i%03d", i), time.Duration(60-i)*time.Second)))
		}
		begin := time.Now()
		j.take()
		time.Sleep(60*time.Second + 1)
		synctest.Wait()
		gone := func() (all []string) {
			for _, c := range j.take() {
				if c.Reason == registry.ReasonExpired {
					all = append(all, fmt.Sprint(c.ID, " ", c.At.Sub(begin)))
				}
			}
			return all
		}
		assert.Equal(t, []string{"i019 41s", "i018 42s", "i017 43s"}, gone(), "three of twenty in the window from 41 s on")
		assert.Len(t, withHealth(s, registry.Stale), 17)
		require.NoError(t, leases[16].Renew())
		time.Sleep(41 * time.Second) // 101 s: the next window
		synctest.Wait()
		assert.Equal(t, []string{"i015 1m41s", "i014 1m41s", "i013 1m41s"}, gone(), "three of seventeen")
		require.NoError(t, leases[16].Renew())
		require.NoError(t, leases[12].Deregister())
		require.NoError(t, r.Deregister(bg, "orders", "i011"))
		j.take()
		time.Sleep(59 * time.Second) // 160 s, 1 ns
		assert.Contains(t, withHealth(s, registry.Stale), "i016", "it lapsed at 145 s, in a window without room")
		require.NoError(t, leases[16].Renew())
		time.Sleep(time.Second) // 161 s, 1 ns
		synctest.Wait()
		assert.Equal(t, []string{"i010 2m41s", "i009 2m41s"}, gone(), "two of twelve")
		assert.Equal(t, []string{"i016"}, withHealth(s, registry.Passing))
	})
}

// Preservation ends when none is held, and MaxHold after it began at the latest,
// which is once for all.
func TestG13_MaxHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks(), Preserve: registry.Preserve{Window: 10 * time.Second, MaxHold: 25 * time.Second}})
		s := r.Service("orders")
		begin := time.Now()
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(100, 10*time.Second)...)
		require.NoError(t, err)
		left := func(at time.Duration, n int) {
			t.Helper()
			time.Sleep(at - time.Since(begin))
			assert.Len(t, present(s), n, at)
		}
		left(10*time.Second, 85)
		left(20*time.Second-1, 85)
		left(20*time.Second, 72)
		left(30*time.Second, 61)
		left(35*time.Second-1, 61)
		left(35*time.Second, 0)
		synctest.Wait()
		assert.Equal(t, []registry.Preservation{
			{Service: "orders", Active: true, Held: 85, At: begin.Add(10 * time.Second)},
			{Service: "orders", At: begin.Add(35 * time.Second)},
		}, j.preserved())
	})
}

// What is held can leave in every way, and the last one that does is the end.
func TestG13_LeavingWhileHeld(t *testing.T) {
	bubbles(t, map[string]func(r *registry.Registry, l *registry.Lease) error{
		"Deregister": func(_ *registry.Registry, l *registry.Lease) error { return l.Deregister() },
		"by hand": func(r *registry.Registry, l *registry.Lease) error {
			return r.Deregister(bg, "orders", l.Endpoint().ID())
		},
		"Drain":  func(_ *registry.Registry, l *registry.Lease) error { return l.Drain(bg) },
		"Renew":  func(_ *registry.Registry, l *registry.Lease) error { return l.Renew() },
		"Update": func(_ *registry.Registry, l *registry.Lease) error { return l.Update(leased("", -1)) },
		"again": func(r *registry.Registry, l *registry.Lease) error {
			_, err := r.Register(bg, leased(l.Endpoint().ID(), time.Minute))
			return err
		},
		"KeepAlive": func(_ *registry.Registry, l *registry.Lease) error {
			go func() { _ = l.KeepAlive(bg) }()
			synctest.Wait()
			return nil
		},
	}, func(t *testing.T, leave func(*registry.Registry, *registry.Lease) error) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		s := r.Service("orders")
		leases, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(12, 10*time.Second)...)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		for i, l := range leases[2:] {
			assert.Len(t, withHealth(s, registry.Stale), 10-i)
			synctest.Wait()
			assert.Len(t, j.preserved(), 1)
			require.NoError(t, leave(r, l))
			assert.NotEqual(t, registry.Stale, l.Endpoint().Live().Health())
		}
		synctest.Wait()
		assert.Zero(t, r.Stats().Held)
		turns := j.preserved()
		require.Len(t, turns, 2)
		assert.False(t, turns[1].Active)
	})
}

// A held instance is as stale as it is, whatever else is said about it, and
// worse if somebody says worse.
func TestG13_StaleAmongOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		leases, err := r.RegisterWith(bg, registry.RegisterConfig{Health: registry.Warning}, numbered(12, 10*time.Second)...)
		require.NoError(t, err)
		require.NoError(t, leases[11].SetHealth(registry.Critical, "ill"))
		time.Sleep(10 * time.Second)
		assert.Equal(t, []string{"i011"}, withHealth(s, registry.Critical))
		assert.Len(t, withHealth(s, registry.Stale), 9)
		require.NoError(t, leases[11].SetHealth(0, ""))
		assert.Len(t, withHealth(s, registry.Stale), 10)
		require.NoError(t, leases[11].Renew())
		assert.Equal(t, []string{"i011"}, withHealth(s, registry.Passing))
	})
}

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

// stalling is a config whose process stands still when its clock sleeps.
func stalling(clk *handClock) registry.Config {
	return registry.Config{Clock: clk, Preserve: registry.Preserve{StallAfter: 2 * time.Second}}
}

// Time in which the process did not run does not count, whoever notices first.
func TestG12_Stall(t *testing.T) {
	bubbles(t, map[string]func(t *testing.T, r *registry.Registry, due, rest *registry.Lease){
		"Sweep": func(t *testing.T, r *registry.Registry, _, _ *registry.Lease) {
			t.Helper()
			assert.Equal(t, 1, r.Sweep())
		},
		"Snapshot of the other service": func(t *testing.T, r *registry.Registry, _, _ *registry.Lease) {
			t.Helper()
			assert.Equal(t, []string{"rest"}, present(r.Service("orders")))
		},
		"Snapshot": func(t *testing.T, r *registry.Registry, _, _ *registry.Lease) {
			t.Helper()
			assert.Empty(t, present(r.Service("other")))
		},
		"Renew of what was due": func(t *testing.T, _ *registry.Registry, due, _ *registry.Lease) {
			t.Helper()
			require.ErrorIs(t, due.Renew(), registry.ErrLeaseLost)
		},
		"Register": func(t *testing.T, r *registry.Registry, _, _ *registry.Lease) {
			t.Helper()
			register(t, r, instanceOf("new", "x"))
		},
		"Deregister": func(t *testing.T, r *registry.Registry, _, _ *registry.Lease) {
			t.Helper()
			require.ErrorIs(t, r.Deregister(bg, "other", "due"), registry.ErrNotFound)
		},
		"Wait": func(t *testing.T, r *registry.Registry, _, _ *registry.Lease) {
			t.Helper()
			snap, err := r.Service("orders").Wait(bg, 0)
			require.NoError(t, err)
			assert.Equal(t, 1, snap.Len())
		},
		"the timer": nil,
	}, func(t *testing.T, notice func(t *testing.T, r *registry.Registry, due, rest *registry.Lease)) {
		clk := newHandClock()
		r := newRegistry(t, stalling(clk))
		in := leased("due", 10*time.Second)
		in.Service = "other"
		due := register(t, r, in)
		rest := register(t, r, leased("rest", 15*time.Second))
		clk.run(4 * time.Second)
		clk.sleep(time.Hour) // 6 s later something was due
		if notice != nil {
			notice(t, r, due, rest)
		} else {
			clk.wake(6 * time.Second)
		}
		assert.Empty(t, present(r.Service("other")))
		require.ErrorIs(t, due.Err(), registry.ErrLeaseLost)
		clk.sleep(5*time.Second - 1)
		assert.Equal(t, []string{"rest"}, present(r.Service("orders")), "it had five seconds left at the missed instant")
		clk.sleep(1)
		assert.Empty(t, present(r.Service("orders")))
	})
}

// The lateness has to be more than StallAfter, and is not taken out without.
func TestG12_StallAfter(t *testing.T) {
	for name, c := range map[string]struct {
		stallAfter, late time.Duration
		left             []string
	}{
		"just in time":          {2 * time.Second, 2 * time.Second, []string{"c"}},
		"just too late":         {2 * time.Second, 2*time.Second + 1, []string{"b", "c"}},
		"much too late":         {2 * time.Second, time.Hour, []string{"b", "c"}},
		"with a Clock, default": {0, time.Hour, []string{}},
		"never":                 {-1, time.Hour, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			clk := newHandClock()
			r := newRegistry(t, registry.Config{Clock: clk, Preserve: registry.Preserve{StallAfter: c.stallAfter}})
			register(t, r, leased("a", 10*time.Second))
			register(t, r, leased("b", 11*time.Second))
			register(t, r, leased("c", 20*time.Second))
			clk.sleep(10*time.Second + c.late)
			assert.Equal(t, c.left, present(r.Service("orders")))
		})
	}
}

// A renewal inside a stall that nobody has noticed is counted from the missed
// instant, like everything else.
func TestG12_RenewInsideAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := newHandClock()
		r := newRegistry(t, stalling(clk))
		register(t, r, leased("a", 10*time.Second))
		l := register(t, r, leased("b", 15*time.Second))
		clk.sleep(time.Hour)
		require.NoError(t, l.Renew())
		clk.wake(10 * time.Second)
		clk.run(15*time.Second - 1)
		assert.Equal(t, []string{"b"}, present(r.Service("orders")))
		clk.sleep(1)
		assert.Empty(t, present(r.Service("orders")))
	})
}

// Renewals do not hide a stall: the sweep that was due at the deadline of before
// is what is late.
func TestG12_RenewedBeforeTheStall(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, stalling(clk))
	a := register(t, r, leased("a", 10*time.Second))
	register(t, r, leased("b", 12*time.Second))
	clk.sleep(9 * time.Second)
	require.NoError(t, a.Renew()) // until 19 s
	clk.sleep(time.Hour)
	assert.Equal(t, []string{"a", "b"}, present(r.Service("orders")), "nobody could renew from 10 s on")
	clk.sleep(2 * time.Second)
	assert.Equal(t, []string{"a"}, present(r.Service("orders")))
	clk.sleep(7*time.Second - 1)
	assert.Equal(t, []string{"a"}, present(r.Service("orders")))
	clk.sleep(1)
	assert.Empty(t, present(r.Service("orders")))
}

// One stall after another; a fleet survives all of them, and dies when nothing
// but its owners stands still.
func TestG12_StallAfterStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := newHandClock()
		var j journal
		cfg := stalling(clk)
		cfg.Hooks, cfg.Preserve.MaxEvict = j.hooks(), -1
		r := newRegistry(t, cfg)
		s := r.Service("orders")
		var leases []*registry.Lease
		for i := range 30 {
			leases = append(leases, register(t, r, leased(fmt.Sprintf("%02d", i), time.Duration(10+i)*time.Second)))
		}
		for range 10 {
			clk.sleep(time.Hour)
			assert.Len(t, present(s), 29, "only the first one was due at a missed instant")
			for _, l := range leases[1:] {
				require.NoError(t, l.Renew())
			}
		}
		for range 60 {
			clk.sleep(time.Second)
			r.Sweep()
		}
		assert.Empty(t, present(s))
		synctest.Wait()
		changes := j.take()
		require.Len(t, changes, 60)
		begin := time.Unix(0, 0)
		assert.Equal(t, begin.Add(time.Hour), changes[30].At, "hooks are told the time of the clock")
		last := changes[len(changes)-1]
		assert.Equal(t, "29", last.ID)
		assert.Equal(t, clk.Now().Add(-time.Minute), last.At.Add(-39*time.Second), "39 s after its last renewal")
	})
}

// Where nothing is due a long sleep is none, and later leases have their time.
func TestG12_NothingDue(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, stalling(clk))
	s := r.Service("orders")
	register(t, r, leased("a", -1))
	clk.sleep(time.Hour)
	l := register(t, r, leased("b", 10*time.Second))
	require.NoError(t, l.Deregister())
	clk.sleep(time.Hour)
	register(t, r, leased("c", 10*time.Second))
	clk.sleep(10*time.Second - 1)
	assert.Equal(t, []string{"a", "c"}, present(s))
	clk.sleep(1)
	assert.Equal(t, []string{"a"}, present(s))
}

// The end of a window of preservation is due like a deadline.
func TestG12_StallWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := newHandClock()
		r := newRegistry(t, stalling(clk))
		s := r.Service("orders")
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(20, 10*time.Second)...)
		require.NoError(t, err)
		clk.sleep(10 * time.Second)
		require.Len(t, withHealth(s, registry.Stale), 17)
		clk.sleep(time.Hour)
		assert.Len(t, withHealth(s, registry.Stale), 14, "one window is over, not sixty and not MaxHold")
		for range 20 {
			clk.sleep(time.Minute)
			r.Sweep()
		}
		assert.Empty(t, present(s))
	})
}

// A TTL that has become so short that it is over ends one lease. It is no sweep
// that was missed, and gives no time to the others.
func TestG12_AShorterTTLIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		a := register(t, r, leased("a", time.Hour))
		time.Sleep(time.Minute)
		register(t, r, leased("b", 10*time.Second))
		require.NoError(t, a.Update(leased("a", 5*time.Second)))
		assert.Equal(t, []string{"b"}, present(s))
		time.Sleep(10*time.Second - 1)
		assert.Equal(t, []string{"b"}, present(s))
		time.Sleep(time.Nanosecond)
		assert.Empty(t, present(s))
	})
}

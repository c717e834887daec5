package registry_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Nothing has run when the instance is gone; package balance has its own part.
func TestS6_NoTimerHasRun(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	s := r.Service("orders")
	register(t, r, leased("a", 10*time.Second))
	clk.sleep(10*time.Second - 1)
	_, ok := s.Get("a")
	assert.True(t, ok)
	clk.sleep(1)
	_, ok = s.Get("a")
	assert.False(t, ok)
	assert.Zero(t, s.Snapshot().Len())

	r = newRegistry(t, registry.Config{Clock: clk})
	register(t, r, leased("a", 10*time.Second))
	clk.sleep(10 * time.Second)
	assert.Equal(t, 1, r.Sweep(), "nothing was read")
	assert.Equal(t, 0, r.Sweep())
}

func TestS7_ExpiryIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := clock.NewMock()
		var j journal
		r := newRegistry(t, registry.Config{Clock: m, Hooks: j.hooks()})
		s := r.Service("orders")
		l := register(t, r, leased("a", 10*time.Second))
		var all []<-chan registry.Update
		for range 10 {
			updates, _ := watch(t.Context(), s)
			received(t, updates)
			all = append(all, updates)
		}
		in := leased("a", 10*time.Second)
		in.Version = "last"
		require.NoError(t, l.Update(in))
		last := l.Endpoint()
		for _, updates := range all {
			received(t, updates)
		}
		j.take()
		m.Add(time.Hour)
		_, _ = s.Get("a")
		assert.Zero(t, r.Sweep())
		synctest.Wait()
		changes := j.take()
		require.Len(t, changes, 1)
		assert.Equal(t, registry.Change{
			Service: "orders", ID: "a", Index: s.Snapshot().Index(), At: time.Unix(10, 0), Reason: registry.ReasonExpired, Before: last,
		}, changes[0])
		for _, updates := range all {
			u := received(t, updates)
			assert.Equal(t, []registry.Removal{{Endpoint: last, Reason: registry.ReasonExpired}}, u.Removed)
			nothing(t, updates)
		}
	})
}

func TestS8_RenewedJustInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := clock.NewMock()
		r := newRegistry(t, registry.Config{Clock: m})
		s := r.Service("orders")
		l := register(t, r, leased("a", 10*time.Second))
		m.Add(9900 * time.Millisecond)
		require.NoError(t, l.Renew())
		m.Add(10*time.Second - 1)
		assert.Equal(t, []string{"a"}, present(s))
		m.Add(1)
		assert.Empty(t, present(s))
	})
}

// All renewals stop for good: none is kept for ever.
func TestS9_AFleetThatIsGone(t *testing.T) {
	bubbles(t, map[string]func(m *clock.Mock) registry.Clock{
		"nil":  func(*clock.Mock) registry.Clock { return nil },
		"Mock": func(m *clock.Mock) registry.Clock { return m },
	}, func(t *testing.T, choose func(*clock.Mock) registry.Clock) {
		m := clock.NewMock()
		var j journal
		clk := choose(m)
		r := newRegistry(t, registry.Config{Clock: clk, Hooks: j.hooks(), Preserve: registry.Preserve{MaxHold: 3 * time.Minute}})
		s := r.Service("orders")
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(20, 10*time.Second)...)
		require.NoError(t, err)
		pass := func(d time.Duration) {
			if clk == nil {
				time.Sleep(d)
			} else {
				m.Add(d)
			}
			synctest.Wait()
		}
		pass(10 * time.Second)
		assert.Len(t, withHealth(s, registry.Stale), 17)
		pass(time.Minute)
		assert.Len(t, withHealth(s, registry.Stale), 14)
		pass(time.Minute)
		assert.Len(t, withHealth(s, registry.Stale), 11)
		pass(time.Minute - 1)
		assert.Len(t, withHealth(s, registry.Stale), 11)
		assert.Len(t, j.preserved(), 1)
		pass(1)
		assert.Empty(t, present(s))
		pass(time.Hour)
		turns := j.preserved()
		require.Len(t, turns, 2)
		assert.Equal(t, "true 17, false 0", fmt.Sprintf("%v %d, %v %d", turns[0].Active, turns[0].Held, turns[1].Active, turns[1].Held))
		assert.Equal(t, 3*time.Minute, turns[1].At.Sub(turns[0].At))
		expired := 0
		for _, c := range j.take() {
			if c.Reason == registry.ReasonExpired {
				expired++
			}
		}
		assert.Equal(t, 20, expired)
		assert.Zero(t, r.Stats().Leases)
	})
}

func TestS10_OnlyTheServiceItIsAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := clock.NewMock()
		var j journal
		r := newRegistry(t, registry.Config{Clock: m, Hooks: j.hooks()})
		var renewed []*registry.Lease
		for i := range 20 {
			for _, in := range numbered(12, 10*time.Second) {
				in.Service = fmt.Sprint("s", i)
				l := register(t, r, in)
				if i != 7 {
					renewed = append(renewed, l)
				}
			}
		}
		for _, in := range numbered(3, 10*time.Second) {
			in.Service = "small"
			register(t, r, in)
		}
		m.Add(9 * time.Second)
		for _, l := range renewed {
			require.NoError(t, l.Renew())
		}
		m.Add(time.Second)
		synctest.Wait()
		for i := range 20 {
			stale, all := 0, 12
			if i == 7 {
				stale, all = 10, 10
			}
			assert.Len(t, withHealth(r.Service(fmt.Sprint("s", i)), registry.Stale), stale, i)
			assert.Len(t, present(r.Service(fmt.Sprint("s", i))), all, i)
		}
		assert.Empty(t, present(r.Service("small")), "under MinInstances expiry is exact")
		turns := j.preserved()
		require.Len(t, turns, 1)
		assert.Equal(t, registry.Preservation{Service: "s7", Active: true, Held: 10, At: time.Unix(10, 0)}, turns[0])
	})
}

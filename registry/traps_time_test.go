package registry_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Defects of time and leases, seen in the libraries named, and of the mock clock.

// Tutorials: no TTL, so that a process that crashed stays; go-micro: what has
// expired is returned until the next round of pruning.
func TestTrap_TheDeadAreReturned(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk, TTL: 30 * time.Second})
	register(t, r, instance("a"))
	clk.sleep(30*time.Second - 1)
	assert.Equal(t, []string{"a"}, present(r.Service("orders")))
	clk.sleep(1)
	assert.Empty(t, present(r.Service("orders")))
}

// Eureka: a lease really lasts twice its duration, since a renewal adds it once
// more than it should.
func TestTrap_LeasesThatLastTwice(t *testing.T) {
	clk := newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	l := register(t, r, leased("a", 10*time.Second))
	for range 100 { // many renewals at one instant are one
		require.NoError(t, l.Renew())
	}
	clk.sleep(time.Second)
	for range 100 {
		require.NoError(t, l.Renew())
	}
	clk.sleep(10 * time.Second)
	assert.Empty(t, present(r.Service("orders")))
}

// Eureka: self-preservation can hold the dead for ever: here whatever happens
// meanwhile, everything that is gone for good is out by MaxHold.
func TestTrap_TheDeadAreHeldForEver(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			r := newRegistry(t, registry.Config{})
			s := r.Service("orders")
			for i := range 200 {
				register(t, r, leased(fmt.Sprint(i), time.Duration(1+rnd.IntN(120))*time.Second))
			}
			others := 0
			time.Sleep(2 * time.Minute)
			for range 10 { // others come, and lapse while the old ones are held
				time.Sleep(20 * time.Second)
				for range rnd.IntN(20) {
					others++
					register(t, r, leased(fmt.Sprint("other ", others), 15*time.Second))
				}
			}
			time.Sleep(2 * time.Minute) // 7m20s: MaxHold after the last of the 200 could have been held
			for e := range s.Snapshot().All() {
				assert.Contains(t, e.ID(), "other")
			}
			time.Sleep(5 * time.Minute)
			assert.Empty(t, present(s))
		})
	}
}

// A wallClock is set by somebody, now and then; what it tells of spans is right.
type wallClock struct {
	*handClock
	set time.Duration
}

func (c *wallClock) Now() time.Time { return c.handClock.Now().Add(c.set) }

// Everywhere: TTLs in wall-clock time, so that setting the clock kills a fleet or
// makes it immortal.
func TestTrap_WallClockTTLs(t *testing.T) {
	clk := &wallClock{handClock: newHandClock()}
	r := newRegistry(t, registry.Config{Clock: clk})
	s := r.Service("orders")
	register(t, r, leased("a", 10*time.Second))
	for _, set := range []time.Duration{time.Hour, -time.Hour, 100 * 365 * 24 * time.Hour} {
		clk.set = set
		clk.sleep(3 * time.Second)
		assert.Equal(t, []string{"a"}, present(s))
	}
	clk.set = -time.Hour
	clk.sleep(time.Second)
	assert.Empty(t, present(s))
}

// A clock that goes back makes leases last longer, and nothing else: what has
// gone stays gone, no index goes back, and time goes on from there.
func TestTrap_AClockGoesBack(t *testing.T) {
	for name, stallAfter := range map[string]time.Duration{"default": 0, "with StallAfter": time.Second} {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk, Preserve: registry.Preserve{StallAfter: stallAfter}})
		s := r.Service("orders")
		register(t, r, leased("a", 10*time.Second))
		b := register(t, r, leased("b", 20*time.Second))
		clk.sleep(10 * time.Second)
		assert.Equal(t, []string{"b"}, present(s), name)
		index := s.Snapshot().Index()
		clk.sleep(-time.Hour)
		assert.Equal(t, []string{"b"}, present(s), name)
		assert.Equal(t, index, s.Snapshot().Index(), name)
		require.NoError(t, b.Renew(), name)
		register(t, r, leased("c", 10*time.Second))
		clk.sleep(10*time.Second - 1)
		assert.Equal(t, []string{"b", "c"}, present(s), name)
		clk.sleep(1)
		assert.Equal(t, []string{"b"}, present(s), name)
		clk.sleep(time.Hour)
		assert.Empty(t, present(s), "%s: at the deadline it had", name)
	}
}

// Everywhere: a fleet expires because the machine it registered with was paused.
func TestTrap_APauseKillsAFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := newHandClock()
		r := newRegistry(t, stalling(clk))
		s := r.Service("orders")
		var leases []*registry.Lease
		for i := range 50 { // no two lapse at the same instant: those of the missed one have lapsed
			leases = append(leases, register(t, r, leased(fmt.Sprint(i), time.Duration(30+i)*time.Second)))
		}
		for round := range 10 {
			for _, l := range leases {
				require.NoError(t, l.Renew())
			}
			clk.run(10 * time.Second)
			if round%3 == 2 {
				clk.sleep(10 * time.Hour)
			}
			assert.Len(t, present(s), 50)
			assert.Empty(t, withHealth(s, registry.Stale))
		}
	})
}

// A spanClock writes down how long its timers are set to.
type spanClock struct {
	*clock.Mock
	mu    sync.Mutex
	spans []time.Duration
}

func (c *spanClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	c.mu.Lock()
	c.spans = append(c.spans, d)
	c.mu.Unlock()
	return c.Mock.AfterFunc(d, f)
}

// Everywhere: heartbeats in step. Those of a fleet that came at once go apart.
func TestTrap_HeartbeatsInStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := &spanClock{Mock: clock.NewMock()}
		r := newRegistry(t, registry.Config{Clock: clk})
		leases, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(200, 30*time.Second)...)
		require.NoError(t, err)
		clk.spans = nil
		for _, l := range leases {
			go func() { _ = l.KeepAlive(t.Context()) }()
		}
		synctest.Wait()
		require.Len(t, clk.spans, 200)
		slices.Sort(clk.spans)
		assert.Len(t, slices.Compact(slices.Clone(clk.spans)), 200)
		assert.GreaterOrEqual(t, clk.spans[0], 9*time.Second)
		assert.LessOrEqual(t, clk.spans[199], 11*time.Second)
		assert.Less(t, clk.spans[20], 9500*time.Millisecond)
		assert.Greater(t, clk.spans[180], 10500*time.Millisecond)
	})
}

// A looseClock has timers that fire whenever the test likes, also those that
// Stop has reported to have stopped in time, and more than once.
type looseClock struct {
	*handClock
	mu    sync.Mutex
	fires []func()
}

func (c *looseClock) AfterFunc(_ time.Duration, f func()) *clock.Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fires = append(c.fires, f)
	return c.handClock.AfterFunc(time.Hour, func() {})
}

func (c *looseClock) fireAll() {
	c.mu.Lock()
	fires := slices.Clone(c.fires)
	c.mu.Unlock()
	for _, f := range fires {
		f()
	}
}

// benbjohnson's Mock runs callbacks after Stop has reported true, late, early, or
// after Add has moved on, and begins at Unix 0.
func TestTrap_TimersThatFireAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := &looseClock{handClock: newHandClock()}
		var j journal
		r := newRegistry(t, registry.Config{Clock: clk, Hooks: j.hooks(), Preserve: registry.Preserve{MaxEvict: -1}})
		s := r.Service("orders")
		for i := range 20 {
			l := register(t, r, leased(fmt.Sprint(i), time.Duration(20-i)*time.Second))
			clk.fireAll()
			if i%4 == 0 {
				require.NoError(t, l.Deregister())
				clk.fireAll()
			}
		}
		assert.Len(t, present(s), 15)
		for left := 20; left > 0; left-- {
			clk.sleep(time.Second - 1)
			clk.fireAll()
			before := len(present(s))
			clk.sleep(1)
			clk.fireAll()
			synctest.Wait()
			assert.LessOrEqual(t, before-len(present(s)), 1)
		}
		assert.Empty(t, present(s))
		count := make(map[registry.Reason]int)
		for _, c := range j.take() {
			count[c.Reason]++
		}
		assert.Equal(t, map[registry.Reason]int{registry.ReasonRegistered: 20, registry.ReasonDeregistered: 5, registry.ReasonExpired: 15}, count)
		require.NoError(t, r.Close(bg))
		clk.fireAll()
	})
}

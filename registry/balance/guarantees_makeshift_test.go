package balance_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A restless policy is one during whose work everything changes, so that whatever
// it makes is out of date at once.
type restless func()

func (f restless) NewPicker(balance.Candidates, balance.Picker) balance.Picker {
	f()
	return pickerFunc(func(_ balance.Query, draw int) int { return draw })
}

// swapping is two instances, of which one can be picked and the other is Down.
// Once it is on they change places whenever the policy is asked for a picker.
// There always is one to pick.
type swapping struct {
	r     *registry.Registry
	up    registry.Health // of the one that can be picked
	on    bool
	swaps int
}

// newSwapping has a as the one to pick.
func newSwapping(t *testing.T, up registry.Health, cfg balance.Config, others ...registry.Instance) (*swapping, *balance.Balancer) {
	t.Helper()
	s := &swapping{up: up}
	cfg.Policy, cfg.Rand = restless(s.swap), seeded(23)
	r, b := with(t, cfg, append(named("a", "b"), others...)...)
	s.r = r
	s.yield("b", registry.Down)
	return s, b
}

// start is the first swap, which the balancer has to adapt to.
func (s *swapping) start() {
	s.on = true
	s.swap()
}

func (s *swapping) swap() {
	if !s.on {
		return
	}
	s.swaps++
	for _, id := range []string{"a", "b"} {
		if e, ok := s.r.Service(orders).Get(id); ok && e.Health() == s.up {
			s.yield(id, registry.Down)
			return
		}
	}
}

// yield makes the other one that to pick.
func (s *swapping) yield(id string, h registry.Health) {
	_ = s.r.SetHealth(bg, orders, map[string]string{"a": "b", "b": "a"}[id], s.up, "")
	_ = s.r.SetHealth(bg, orders, id, h, "")
}

// pickable are the ways to be picked: in ordinary times and in panic mode.
var pickable = map[string]registry.Health{
	"usable": registry.Passing, "Critical": registry.Critical, "all Starting": registry.Starting,
}

// G23: a policy that can never keep up does not make a pick fail, since there is
// an instance to pick all the time, nor go on for long.
func TestG23_APolicyThatCannotKeepUp(t *testing.T) {
	for name, up := range pickable {
		t.Run(name, func(t *testing.T) {
			s, b := newSwapping(t, up, balance.Config{})
			s.start()
			for range 20 {
				s.swaps = 0
				p := pick(t, b)
				assert.Equal(t, up, p.Endpoint().Live().Health())
				p.Done(nil)
				assert.Less(t, s.swaps, 5)
				e, err := b.Next(balance.Query{})
				require.NoError(t, err)
				assert.Equal(t, up, e.Live().Health())
			}
			assert.Empty(t, inFlight(s.r))
		})
	}
}

// G23: what is picked then is what the balancer may pick at all: no other than
// Filter, the weight and the query leave, and nobody ejected.
func TestG23_RestrictionsOfWhoCannotKeepUp(t *testing.T) {
	cfg := balance.Config{
		Outlier: &balance.Outlier{Consecutive: 1},
		Filter:  func(e *registry.Endpoint) bool { return e.ID() != "filtered" },
	}
	never := instance("negative")
	never.Weight = -1
	s, b := newSwapping(t, registry.Passing, cfg, append(named("ejected", "excluded", "filtered"), never)...)
	calls(t, b, "ejected", 1, errSick)
	require.Equal(t, []string{"ejected"}, ejectedIDs(b))
	q := balance.Query{Exclude: tried(endpoint(t, s.r, "excluded"))}
	s.start()
	for range 50 {
		p := pickWith(t, b, q)
		assert.Contains(t, []string{"a", "b"}, p.Endpoint().ID())
		p.Done(nil)
	}
}

// G23, G32: without panic mode nobody else is picked when the last usable one has
// gone meanwhile.
func TestG23_NobodyLeftForWhoCannotKeepUp(t *testing.T) {
	for name, threshold := range map[string]float64{"no panic mode": -1, "panic mode": 0} {
		t.Run(name, func(t *testing.T) {
			var r *registry.Registry
			made := 0
			r, b := with(t, balance.Config{PanicThreshold: threshold, Policy: restless(func() {
				switch made++; made {
				case 1:
					setHealth(t, r, "b", registry.Passing)
					setHealth(t, r, "a", registry.Critical)
				case 2:
					setHealth(t, r, "b", registry.Critical)
				}
			})}, named("a", "b")...)
			setHealth(t, r, "b", registry.Critical)
			p, err := b.Pick(bg)
			if threshold < 0 {
				require.ErrorIs(t, err, balance.ErrNoInstances)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, registry.Critical, p.Endpoint().Live().Health())
		})
	}
}

// G14, G23: it is looked at when it is picked, so what leaves at the last moment
// stays alone, whichever way it was going to be picked.
func TestG23_WhatLeavesWhoCannotKeepUp(t *testing.T) {
	for name, c := range map[string]struct{ up, turns registry.Health }{
		"usable":       {registry.Passing, registry.Critical},
		"Critical":     {registry.Critical, registry.Draining},
		"all Starting": {registry.Starting, registry.Down},
	} {
		t.Run(name, func(t *testing.T) {
			var s *swapping
			var asked []string
			s, b := newSwapping(t, c.up, balance.Config{Gate: func(e *registry.Endpoint) balance.Gate {
				return balance.GateFunc(func(context.Context) (func(error), error) {
					if asked = append(asked, e.ID()); len(asked) == 1 {
						s.yield(e.ID(), c.turns)
					}
					return nil, nil
				})
			}})
			s.start()
			p := pick(t, b)
			assert.Equal(t, c.up, p.Endpoint().Live().Health(), "it had turned %v", c.turns)
			assert.Greater(t, len(asked), 1)
			assert.Equal(t, map[string]int{p.Endpoint().ID(): 1}, inFlight(s.r))
		})
	}
}

// G14, G32: in panic mode, too, who left before a pick began is not picked while
// somebody else adapts the candidates to that.
func TestG32_WhatLeftBeforeTheRebuild(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, r *registry.Registry){
		"Draining": func(t *testing.T, r *registry.Registry) { t.Helper(); setHealth(t, r, "a", registry.Draining) },
		"Down":     func(t *testing.T, r *registry.Registry) { t.Helper(); setHealth(t, r, "a", registry.Down) },
		"removed":  func(t *testing.T, r *registry.Registry) { t.Helper(); deregister(t, r, "a") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				r, b := with(t, balance.Config{Policy: balance.RoundRobin{}, Filter: func(e *registry.Endpoint) bool {
					if e.ID() == "slow" {
						<-release
					}
					return true
				}}, named("a", "b")...)
				for _, id := range []string{"a", "b"} {
					setHealth(t, r, id, registry.Critical)
				}
				only(t, b, "a", "b")
				leave(t, r)
				register(t, r, instance("slow"))
				setHealth(t, r, "slow", registry.Critical)
				first := async(func() error { p, err := b.Pick(bg); p.Abandon(); return err })
				synctest.Wait()
				for range 20 {
					require.Equal(t, []string{"b"}, sequence(t, b, 1))
					e, err := b.Next(balance.Query{})
					require.NoError(t, err)
					require.Equal(t, "b", e.ID())
				}
				close(release)
				require.NoError(t, <-first)
				only(t, b, "b", "slow")
			})
		})
	}
}

package balance_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// steered is a Rand that says whether the next pick goes elsewhere, as far as
// that may be, and holds back whoever may be held back.
type steered struct {
	away  bool
	drawn int // by this pick
}

func (s *steered) draw() uint64 {
	if s.drawn++; s.drawn == 1 && !s.away {
		return 0
	}
	return math.MaxUint64
}

// traced makes n picks, of which every third goes elsewhere, and changes
// something after each. It returns the ways through both zones.
func (s *steered) traced(t *testing.T, r *registry.Registry, b *balance.Balancer, n int) (home, x []string) {
	t.Helper()
	for i := range n {
		s.away, s.drawn = i%3 == 2, 0
		id := sequence(t, b, 1)[0]
		if s.away {
			x = append(x, id)
		} else {
			home = append(home, id)
		}
		in := zoned("home sick", "home")
		in.Version = fmt.Sprint(i)
		register(t, r, in)
	}
	return home, x
}

// inTurn are the first n of some IDs that are gone through over and over.
func inTurn(n int, ids ...string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = ids[i%len(ids)]
	}
	return all
}

// spilling are three instances in each of two zones, and one more at home that
// does not work, so that some picks go elsewhere.
func spilling(t *testing.T, cfg balance.Config) (*registry.Registry, *balance.Balancer, *steered, *handClock) {
	t.Helper()
	s, clk := new(steered), newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, append(zones(3, "home", "x"), zoned("home sick", "home"))...)
	setHealth(t, r, "home sick", registry.Critical)
	cfg.Policy, cfg.Rand = balance.RoundRobin{}, s.draw
	cfg.Zone, cfg.SpillBelow = "home", 1
	return r, newBalancer(t, r, cfg), s, clk
}

// G27: the zone and the others have a position each. Both survive changes, and
// neither takes over that of the other.
func TestG27_OnePositionForEachZone(t *testing.T) {
	r, b, s, _ := spilling(t, balance.Config{})
	home, x := s.traced(t, r, b, 30)
	assert.Equal(t, inTurn(20, "home 0", "home 1", "home 2"), home)
	assert.Equal(t, inTurn(10, "x 0", "x 1", "x 2"), x)
}

// G27, G33: so have those that take the share of who is ramping, in each zone.
// Where they began anew with every change, the first of them would take it all.
func TestG27_OnePositionForWhoTakesTheShareOfTheRamping(t *testing.T) {
	r, b, s, clk := spilling(t, balance.Config{SlowStart: ramp, SlowStartFloor: 1e-9})
	clk.pass(ramp)
	registerAll(t, r, zoned("home new", "home"), zoned("x new", "x"))
	home, x := s.traced(t, r, b, 72)
	round := func(zone string) (all []string) {
		for i := range 3 { // the fourth of each is the turn of the one that is held back
			for j := range 3 {
				all = append(all, fmt.Sprint(zone, " ", j))
			}
			all = append(all, fmt.Sprint(zone, " ", i))
		}
		return all
	}
	assert.Equal(t, inTurn(48, round("home")...), home)
	assert.Equal(t, inTurn(24, round("x")...), x)
}

// A pedigree is a policy that numbers its pickers by the line they are in: each
// goes on from one, or begins a line.
type pedigree struct{ lines int }

type heir struct {
	line, generation int
}

func (heir) Pick(balance.Query, int) int { return 0 }

func (p *pedigree) NewPicker(_ balance.Candidates, old balance.Picker) balance.Picker {
	if h, ok := old.(heir); ok {
		h.generation++
		return h
	}
	p.lines++
	return heir{line: p.lines}
}

// What Policy says of custom ones: four lines at most, each of which is gone on
// with, also after a time in which it was not needed.
func TestG27_FourPickers(t *testing.T) {
	s, clk := new(steered), newHandClock()
	r := newRegistry(t, registry.Config{Clock: clk})
	registerAll(t, r, zones(3, "home", "x")...)
	p := new(pedigree)
	b := newBalancer(t, r, balance.Config{
		Policy: p, Rand: s.draw, Zone: "home", SpillBelow: 1, SlowStart: ramp,
	})
	clk.pass(ramp)
	b.Stats()
	assert.Equal(t, 2, p.lines)
	for range 3 {
		for _, id := range []string{"home 0", "x 0"} {
			setHealth(t, r, id, registry.Critical)
			b.Stats()
			setHealth(t, r, id, 0)
			b.Stats()
		}
		assert.Equal(t, 4, p.lines)
		clk.pass(ramp) // nobody is held back
		b.Stats()
	}
	assert.Equal(t, 4, p.lines)
}

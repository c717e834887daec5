package balance

import (
	"slices"
	"time"
)

// LeastLoaded compares the calls under way of a few random endpoints, divided by
// their weights, and takes the least loaded. Two are enough to avoid the slow
// and the busy (Mitzenmacher, The Power of Two Choices in Randomized Load
// Balancing, 2001), at a cost that does not grow with their number.
type LeastLoaded struct {
	// Choices is how many different endpoints are compared, up to 16. Zero: 2.
	// Negative: all, at a cost that grows with them.
	Choices int
}

const maxChoices = 16

func (p LeastLoaded) check(pr *problems) {
	pr.check(p.Choices <= maxChoices, "Policy.Choices", p.Choices, "at most 16, or a negative number for all")
}

// NewPicker implements [Policy].
func (p LeastLoaded) NewPicker(c Candidates, _ Picker) Picker {
	choices := or(p.Choices, 2)
	if choices < 0 || choices > c.Len() {
		choices = c.Len()
	}
	return &loaded{pool: c.pool, draws: newDraws(c), choices: choices}
}

type loaded struct {
	pool    *pool
	draws   *draws
	choices int
}

func (p *loaded) Pick(Query, int) int {
	list := p.pool.list
	if p.choices == 2 {
		i, j := p.draws.two()
		if p.less(&list[j], &list[i]) {
			return j
		}
		return i
	}
	if p.choices == len(list) {
		return p.least(p.draws.one())
	}
	var room [maxChoices]int
	drawn := room[:p.choices]
	p.draws.fill(drawn)
	best := drawn[0]
	for _, i := range drawn[1:] {
		if p.less(&list[i], &list[best]) {
			best = i
		}
	}
	return best
}

// least is the least loaded of all; of equal ones the first from a position that
// was drawn, so that an idle service is used in proportion.
func (p *loaded) least(from int) int {
	list := p.pool.list
	best := from
	for k := 1; k < len(list); k++ {
		i := from + k
		if i >= len(list) {
			i -= len(list)
		}
		if p.less(&list[i], &list[best]) {
			best = i
		}
	}
	return best
}

// less compares in flight / weight, without dividing.
func (p *loaded) less(a, b *entry) bool {
	x, y := a.live.InFlight(), b.live.InFlight()
	if a.weight == b.weight {
		return x < y
	}
	return uint64(x)*uint64(b.weight) < uint64(y)*uint64(a.weight)
}

// PeakEWMA compares two different random endpoints by what a call more would
// have to expect: the smoothed latency times the calls under way and this one.
// The latency jumps to a peak at once and forgets it slowly, so that an endpoint
// is avoided the moment it turns slow (the load metric of Twitter's Finagle).
type PeakEWMA struct {
	// Decay is how long it takes to forget two thirds of a latency. It should be
	// well above the slowest answer: an estimate decays also while the next
	// answer is awaited. Zero: 10s. Negative is refused.
	Decay time.Duration
}

const defaultDecay = 10 * time.Second

func (p PeakEWMA) decay() time.Duration { return or(p.Decay, defaultDecay) }

// decaying is the policy that says how long latencies are remembered.
type decaying interface{ decay() time.Duration }

func (p PeakEWMA) check(pr *problems) {
	pr.check(p.Decay >= 0, "Policy.Decay", p.Decay, "0 or more")
}

// NewPicker implements [Policy].
func (p PeakEWMA) NewPicker(c Candidates, _ Picker) Picker {
	return &peakEWMA{pool: c.pool, draws: newDraws(c)}
}

type peakEWMA struct {
	pool  *pool
	draws *draws
}

func (p *peakEWMA) Pick(q Query, _ int) int {
	i, j := p.draws.two()
	a, b := &p.pool.list[i], &p.pool.list[j]
	x, y := float64(a.live.InFlight()+1), float64(b.live.InFlight()+1)
	decay, now := p.pool.b.decay, q.now
	if now == 0 { // the query of a policy around this one
		now = p.pool.b.time.now()
	}
	la, oka := a.m.latency.read(now, decay)
	lb, okb := b.m.latency.read(now, decay)
	if oka && okb {
		// A latency that has decayed to nothing must not outweigh the calls
		// under way.
		x, y = x*max(la, 1), y*max(lb, 1)
	}
	if y < x {
		return j
	}
	return i
}

// draws draws different positions at random, by weight if weights differ.
type draws struct {
	b     *Balancer
	n     int
	alias *alias // nil: all weights are equal
}

func newDraws(c Candidates) *draws {
	d := &draws{b: c.pool.b, n: c.Len()}
	if weights, equal := weightsOf(c.pool.list); !equal {
		d.alias = newAlias(weights)
	}
	return d
}

func (d *draws) one() int {
	if d.alias == nil {
		return below(d.b.random(), d.n)
	}
	return d.alias.draw(d.b.random())
}

// two draws two positions that differ, the same one twice if there is no other.
func (d *draws) two() (i, j int) {
	switch {
	case d.n == 1:
		return 0, 0
	case d.alias == nil:
		return pair(d.b.random(), d.n)
	}
	i = d.one()
	for range 4 { // skewed weights may draw one endpoint again and again
		if j = d.one(); j != i {
			return i, j
		}
	}
	return i, (i + 1 + below(d.b.random(), d.n-1)) % d.n
}

// fill draws positions that differ, as long as there are that many.
func (d *draws) fill(list []int) {
	for k := range list {
		i := d.one()
		for try := 0; slices.Contains(list[:k], i); try++ {
			if try < 4 {
				i = d.one()
			} else {
				i = (i + 1) % d.n // skewed weights may draw the same ones again and again
			}
		}
		list[k] = i
	}
}

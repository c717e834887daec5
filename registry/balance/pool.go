package balance

import "github.com/mainstay-go/mainstay/registry"

// A pool is a set of endpoints that one picker chooses from.
type pool struct {
	b      *Balancer
	list   []entry         // never empty
	picker Picker          // never nil
	worst  registry.Health // what may be picked

	// whole is list and those that cannot be picked now, for policies in which
	// these keep their place; index leads from there to list, -1 if it is not in
	// it.
	whole []entry
	index []int

	// ripe are those of list that are not held back by SlowStart; nil: nobody
	// is, or there are no others.
	ripe *pool
}

// A place is one of the pools, each of which has pickers that go on from those
// it had before.
type place int

const (
	atHome place = iota
	elsewhere
	places
)

// pool makes one with a picker.
func (b *Balancer) pool(at place, list, whole []entry, worst registry.Health) *pool {
	p := b.places(list, whole, worst)
	b.pickers[at] = b.newPicker(p, b.pickers[at])
	return p
}

// ripening is a pool in which those that became usable lately are held back, as
// long as there are others.
func (b *Balancer) ripening(at place, list, whole []entry, now int64) *pool {
	p := b.pool(at, list, whole, registry.Warning)
	if b.ramp.length == 0 {
		return p
	}
	ripe := choose(list, func(e *entry) bool { return b.ramp.over(e.since) <= now })
	if len(ripe) == 0 || len(ripe) == len(list) {
		return p
	}
	p.ripe = b.places(ripe, whole, p.worst)
	if b.keepsPlaces {
		b.newPicker(p.ripe, p.picker) // of the same members, so it may share the tables
		return p
	}
	b.ripePickers[at] = b.newPicker(p.ripe, b.ripePickers[at])
	return p
}

// newPicker has the policy make the picker of a pool, and returns what it made.
func (b *Balancer) newPicker(p *pool, old Picker) Picker {
	made := b.cfg.Policy.NewPicker(Candidates{p}, old)
	if p.picker = made; made == nil {
		p.picker = undecided{}
	}
	return made
}

// undecided stands for the picker that a policy did not make.
type undecided struct{}

func (undecided) Pick(Query, int) int { return -1 }

// places makes a pool without a picker.
func (b *Balancer) places(list, whole []entry, worst registry.Health) *pool {
	p := &pool{b: b, list: list, worst: worst}
	if !b.keepsPlaces {
		return p
	}
	p.whole, p.index = whole, make([]int, len(whole))
	next := 0
	for i := range whole {
		p.index[i] = -1
		if next < len(list) && list[next].live == whole[i].live {
			p.index[i] = next
			next++
		}
	}
	return p
}

// weightsOf is the weights of some entries, and whether they are all equal.
func weightsOf(list []entry) (weights []int, equal bool) {
	weights = make([]int, len(list))
	equal = true
	for i := range list {
		weights[i] = list[i].weight
		equal = equal && weights[i] == weights[0]
	}
	return weights, equal
}

// pick is the answer of the picker, or nil if it has none.
func (p *pool) pick(q Query, draw int) *entry {
	return p.at(p.picker.Pick(q, draw))
}

// at is the entry at a position that a picker gave, or nil if there is none.
func (p *pool) at(i int) *entry {
	if uint(i) < uint(len(p.list)) {
		return &p.list[i]
	}
	return nil
}

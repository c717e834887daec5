package balance

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// ConsistentHash chooses by [Query].Key: the same key goes to the same endpoint,
// in every process, whatever the order in which endpoints came, and with the
// fewest possible changes when one leaves or comes. An endpoint that is
// unusable lends its keys to the next choice of each and gets them back.
type ConsistentHash struct {
	// Kind is the algorithm. Zero: Maglev.
	Kind HashKind

	// Bound is how many calls an endpoint may have under way, as a multiple of
	// its share of all of them (with this one, and rounded up); beyond it the
	// next choice gets the call (Mirrokni and others, Consistent Hashing with
	// Bounded Loads, 2016). Usual is 1.25; it cannot be less than 1. A pick has
	// to look at all endpoints then. Zero or negative: there is no bound.
	Bound float64

	// Table is how many slots Maglev has, rounded up to a prime: the more, the
	// more even, and the longer a change takes. Zero: 65,537, for a few hundred
	// endpoints. At most 655,373. Negative is refused.
	Table int
}

// A HashKind is an algorithm of [ConsistentHash].
type HashKind uint8

// The algorithms.
const (
	// Maglev looks a key up in a table that is made whenever the membership
	// changes. The cost of a pick does not depend on the number of endpoints.
	// When one leaves a few keys of others move too, at most 1%.
	Maglev HashKind = iota

	// Rendezvous compares all endpoints with every pick. No key moves that
	// does not have to.
	Rendezvous
)

var hashNames = [...]string{"Maglev", "Rendezvous"}

// String is the name of the constant.
func (k HashKind) String() string {
	if int(k) < len(hashNames) {
		return hashNames[k]
	}
	return "HashKind(" + strconv.Itoa(int(k)) + ")"
}

// MarshalText is String, so that kinds read well in JSON. It never fails.
func (k HashKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote. A text that names no kind is an
// error.
func (k *HashKind) UnmarshalText(text []byte) error {
	for v := HashKind(0); v <= Rendezvous; v++ {
		if v.String() == string(text) {
			*k = v
			return nil
		}
	}
	return fmt.Errorf("balance: %.64q is no HashKind", text)
}

const (
	defaultTable = 65_537
	maxTable     = 655_373
)

func (h ConsistentHash) check(p *problems) {
	p.check(h.Kind <= Rendezvous, "Policy.Kind", h.Kind, "Maglev or Rendezvous")
	p.check(finite(h.Bound) && (h.Bound <= 0 || h.Bound >= 1), "Policy.Bound", h.Bound, "at least 1, or 0 for none")
	p.check(h.Table >= 0 && h.Table <= maxTable, "Policy.Table", h.Table, "0 to 655373")
}

// NewPicker implements [Policy].
func (h ConsistentHash) NewPicker(c Candidates, old Picker) Picker {
	p := &hashed{pool: c.pool, bound: h.Bound, place: c.pool.index}
	whole := c.pool.whole
	if whole == nil { // somebody's policy is made of this one
		whole = c.pool.list
	}
	ids := make([]string, len(whole))
	for i := range whole {
		ids[i] = whole[i].ep.ID()
	}
	weights, _ := weightsOf(whole)
	if o, ok := old.(*hashed); ok && slices.Equal(o.ids, ids) && slices.Equal(o.weights, weights) {
		p.ids, p.weights, p.maglev, p.rendezvous = o.ids, o.weights, o.maglev, o.rendezvous
		return p // it is only that others are usable now
	}
	p.ids, p.weights = ids, weights
	p.rendezvous = newRendezvous(ids, weights)
	if h.Kind == Maglev {
		p.maglev = newMaglev(ids, weights, primeAtLeast(or(h.Table, defaultTable)))
	}
	return p
}

// hashed chooses among all members, also those that cannot be picked now.
type hashed struct {
	pool       *pool
	place      []int // in pool.list, -1 if it is not in it; nil: the same
	bound      float64
	ids        []string
	weights    []int
	rendezvous *rendezvous
	maglev     *maglev // nil with Rendezvous
}

// probes is how many slots of the table are looked at for one pick.
const probes = 32

// Pick is choice number draw of the key, among those that can be picked. The
// choices of Maglev are in the slots of a sequence of keys that begins with the
// key; when most members are out and the sequence has come to its end, Rendezvous
// finds the rest.
func (p *hashed) Pick(q Query, draw int) int {
	if q.Key == 0 {
		q.Key = p.pool.b.random()
	}
	if p.maglev != nil && draw == 0 && p.bound <= 0 {
		if i := p.index(p.maglev.at(q.Key)); i >= 0 { // as nearly always
			return i
		}
	}
	room := p.room()
	var passed [maxDraws]int // choices that came before
	n, probe := 0, uint64(0)
	fits := func(i int) bool {
		at := p.index(i)
		return at >= 0 && !slices.Contains(passed[:n], i) && room.fits(&p.pool.list[at])
	}
	for {
		i := -1
		for p.maglev != nil && i < 0 && probe < probes {
			if j := p.maglev.at(q.Key + probe*increment); fits(j) {
				i = j
			}
			probe++
		}
		if i < 0 {
			i = p.rendezvous.best(q.Key, fits)
		}
		switch {
		case i < 0:
			return -1
		case n == draw:
			return p.index(i)
		}
		passed[n] = i
		n++
	}
}

func (p *hashed) index(i int) int {
	if p.place == nil {
		return i
	}
	return p.place[i]
}

// A room is what Bound leaves: each may have under way what limit times its
// weight is, rounded up.
type room struct {
	limit float64 // negative: everything
}

func (p *hashed) room() room {
	if p.bound <= 0 {
		return room{-1}
	}
	calls, weight := 1.0, 0.0 // an int may have 32 bits
	for i := range p.pool.list {
		calls += float64(p.pool.list[i].live.InFlight())
		weight += float64(p.pool.list[i].weight)
	}
	return room{p.bound * calls / weight}
}

func (r room) fits(e *entry) bool {
	if r.limit < 0 {
		return true
	}
	most := float64(r.limit * float64(e.weight))
	return float64(e.live.InFlight()+1) <= math.Ceil(most*(1-1e-12)) // 1.25 of 5.6 is 7, not the next number
}

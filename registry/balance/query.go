package balance

import "github.com/mainstay-go/mainstay/registry"

// A Query is what one pick is about. The zero Query is a pick like any other.
type Query struct {
	// Key is what [ConsistentHash] chooses by, see [HashKey]. Zero: none, which
	// is a random one.
	Key uint64

	// Exclude are endpoints that are not to be picked.
	Exclude Tried

	now int64 // the reading of the clock that this pick uses; 0 if it reads none
}

// Tried is a set of endpoints. The zero Tried is empty. It is a value: a copy is
// a set of its own. It is not safe for concurrent use.
//
// It is a list that begins here and never changes behind that, so copies may
// share it, the first endpoint costs no memory, and a Query is small enough to
// stay in registers all the way to a picker.
type Tried struct {
	live *registry.Live // nil: empty
	rest *Tried
}

// Add puts an endpoint into the set; nil is none. One that left and came back, or
// has another address by now, is another one.
func (t *Tried) Add(e *registry.Endpoint) {
	switch {
	case e == nil || t.has(e.Live()):
	case t.live == nil:
		t.live = e.Live()
	default:
		rest := *t
		t.live, t.rest = e.Live(), &rest
	}
}

// Has reports whether an endpoint is in the set.
func (t Tried) Has(e *registry.Endpoint) bool { return e != nil && t.has(e.Live()) }

func (t *Tried) empty() bool { return t.live == nil }

func (t *Tried) has(l *registry.Live) bool {
	for ; t != nil && t.live != nil; t = t.rest {
		if t.live == l {
			return true
		}
	}
	return false
}

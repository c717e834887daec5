package balance

import (
	"slices"

	"github.com/mainstay-go/mainstay/registry"
)

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
type Tried struct {
	list []*registry.Live // never changed in place, so that copies are independent
}

// Add puts an endpoint into the set. One that left and came back, or has another
// address by now, is another one.
func (t *Tried) Add(e *registry.Endpoint) {
	if !t.Has(e) {
		t.list = append(slices.Clip(t.list), e.Live())
	}
}

// Has reports whether an endpoint is in the set.
func (t Tried) Has(e *registry.Endpoint) bool { return t.has(e.Live()) }

func (t *Tried) has(l *registry.Live) bool {
	return len(t.list) > 0 && slices.Contains(t.list, l)
}

package registrytest

import (
	"cmp"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A store is what the machines of a backend share.
type store struct {
	time timeline

	// mu guards the fields below, and those of the backends.
	mu      sync.Mutex
	kept    map[registry.Ref]*kept
	version uint64        // the latest
	news    chan struct{} // closed by the next change
}

// A kept is a record in a store.
type kept struct {
	rec      registry.Record
	by       *Backend  // who put it last
	version  uint64    // grows with every Put
	deadline time.Time // if it lapses
}

func newStore(t timeline) *store {
	return &store{time: t, kept: make(map[registry.Ref]*kept), news: make(chan struct{})}
}

func (s *store) put(by *Backend, rec registry.Record) {
	rec = clone(rec)
	rec.Instance.Check, rec.Instance.Attrs = registry.Check{}, nil
	s.version++
	k := &kept{rec: rec, by: by, version: s.version}
	if rec.Instance.TTL > 0 {
		k.deadline = s.time.now().Add(rec.Instance.TTL)
	}
	s.kept[refOf(rec)] = k
	s.wake()
}

func (s *store) remove(by *Backend, ref registry.Ref) {
	if k := s.kept[ref]; k != nil && k.by == by {
		delete(s.kept, ref)
		s.wake()
	}
}

// expire lets lapse what is due. Everybody does so who looks at the records: no
// timer has to have run for them to be right.
func (s *store) expire() {
	now := s.time.now()
	for ref, k := range s.kept {
		if k.lapses() && !now.Before(k.deadline) {
			delete(s.kept, ref)
			s.wake()
		}
	}
}

// rest is the time until the next record lapses; zero if none does.
func (s *store) rest() time.Duration {
	var first *kept
	for _, k := range s.kept {
		if k.lapses() && (first == nil || k.deadline.Before(first.deadline)) {
			first = k
		}
	}
	if first == nil {
		return 0
	}
	return max(1, first.deadline.Sub(s.time.now()))
}

func (k *kept) lapses() bool { return k.rec.Instance.TTL > 0 }

// wake tells the runs that there is news.
func (s *store) wake() {
	close(s.news)
	s.news = make(chan struct{})
}

// refOf names a record. An instance without ID has its Addr for one.
func refOf(rec registry.Record) registry.Ref {
	return registry.Ref{Service: rec.Instance.Service, ID: cmp.Or(rec.Instance.ID, rec.Instance.Addr)}
}

// sorted is for what has to happen in an order that can be repeated.
func sorted(refs iter.Seq[registry.Ref]) []registry.Ref {
	return slices.SortedFunc(refs, func(a, b registry.Ref) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.ID, b.ID))
	})
}

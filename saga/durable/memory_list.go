package durable

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
)

const (
	defaultPage = 100  // heads in a page of List
	memoryScan  = 1024 // runs that List looks at before it lets others have a turn
	memoryWaste = 64   // slots that may be empty, however many are in use
)

// A memoryPage is a page of List in the making.
type memoryPage struct {
	query Query
	limit int
	from  uint64 // number of the run that was looked at last
	heads []Head
	last  uint64 // number of the run of the last head
	more  bool   // there is a run for another page
}

// List is [Store.List].
func (s *MemoryStore) List(ctx context.Context, q Query) (heads []Head, cursor string, err error) {
	p := memoryPage{query: q, limit: q.Limit}
	switch {
	case q.Limit == 0:
		p.limit = defaultPage
	case q.Limit < 0:
		p.limit = math.MaxInt
	}
	if q.Cursor != "" {
		p.from, err = strconv.ParseUint(q.Cursor, 36, 64)
		if err != nil {
			return nil, "", fmt.Errorf("durable: Query.Cursor is %q, which List has not returned", q.Cursor)
		}
	}
	for done := false; !done; {
		if err := s.enter(ctx); err != nil {
			return nil, "", err
		}
		done = s.fill(&p)
	}
	if p.more {
		cursor = strconv.FormatUint(p.last, 36)
	}
	return p.heads, cursor, nil
}

// fill looks at some runs, and reports whether the page is done. The numbers keep
// the place, whatever happens to the runs between two calls.
func (s *MemoryStore) fill(p *memoryPage) (done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start, found := s.slot(p.from)
	if found {
		start++
	}
	rest := s.slots[start:]
	for i, slot := range rest {
		switch {
		case i == memoryScan:
			return false
		case slot.run != nil && slot.run.matches(p.query):
			if len(p.heads) == p.limit {
				p.more = true
				return true
			}
			p.heads, p.last = append(p.heads, slot.run.summary()), slot.number
		}
		p.from = slot.number
	}
	return true
}

// matches reports whether a run is asked for.
func (r *memoryRun) matches(q Query) bool {
	switch {
	case q.Saga != "" && q.Saga != r.head.Saga,
		len(q.Status) > 0 && !slices.Contains(q.Status, r.head.Status),
		!q.UpdatedBefore.IsZero() && !r.head.UpdatedAt.Before(q.UpdatedBefore):
		return false
	}
	for k, v := range q.Labels {
		if !r.labelled(k, v) {
			return false
		}
	}
	return true
}

func (r *memoryRun) labelled(k, v string) bool {
	for i := 0; i < len(r.labels); i += 2 {
		if r.labels[i] == k {
			return r.labels[i+1] == v
		}
	}
	return false
}

// slot is where the slot with that number is, or would be. mu is held.
func (s *MemoryStore) slot(number uint64) (i int, found bool) {
	return slices.BinarySearchFunc(s.slots, number, func(slot memorySlot, n uint64) int { return cmp.Compare(slot.number, n) })
}

// vacate empties the slot with that number, and takes the empty ones out when
// they are half of all. mu is held.
func (s *MemoryStore) vacate(number uint64) {
	i, _ := s.slot(number)
	s.slots[i].run = nil
	s.gone++
	if s.gone > memoryWaste && s.gone > len(s.slots)/2 {
		kept := make([]memorySlot, 0, len(s.slots)-s.gone)
		for _, slot := range s.slots {
			if slot.run != nil {
				kept = append(kept, slot)
			}
		}
		s.slots, s.gone = kept, 0
	}
}

package modelcheck

import (
	"cmp"
	"math"
	"slices"

	"github.com/mainstay-go/mainstay/registry"
)

// A window is what is known about the lapses of a service (G13).
type window struct {
	open  bool // there has been one
	until int64
	room  int
	began int64 // when the first of those that are held lapsed
}

// lapse does what time has brought about by now: one instant after the other,
// at each first the end of all holding, then the next window, then lapses.
func (s *trial) lapse(cfg *config) {
	before := s.members
	var gone []int
	for {
		at, do := s.due(cfg)
		if at > s.now {
			break
		}
		gone = append(gone, do()...)
	}
	for _, who := range gone {
		s.noticed(who, registry.ReasonExpired, &before[who])
	}
	for who := range s.members {
		if m := &s.members[who]; m.held && m.health() != before[who].health() {
			s.noticed(who, registry.ReasonHealth, &before[who])
		}
	}
}

// due is the next instant at which time brings something about, and what: it
// returns who has left.
func (s *trial) due(cfg *config) (at int64, do func() []int) {
	held := s.inOrder(func(m *member) bool { return m.held })
	live := s.inOrder(func(m *member) bool { return !m.held && m.deadline != never })
	at = never
	if len(held) > 0 {
		w := &s.expiry
		end := w.began + int64(cfg.hold)
		at = min(end, w.until)
		do = func() []int {
			n := len(held)
			if at != end {
				w.next(cfg, at, len(held)+len(live))
				n = min(n, w.room)
				w.room -= n
			}
			return s.expire(held[:n])
		}
	}
	if len(live) > 0 && s.members[live[0]].deadline < at {
		at = s.members[live[0]].deadline
		do = func() []int {
			w := &s.expiry
			if !w.open || at >= w.until {
				w.next(cfg, at, len(held)+len(live))
			}
			if w.room > 0 {
				w.room--
				return s.expire(live[:1])
			}
			if len(held) == 0 {
				w.began = at
			}
			s.members[live[0]].held = true
			return nil
		}
	}
	return at, do
}

// inOrder are some of the members, by deadline, then by ID.
func (s *trial) inOrder(which func(*member) bool) (list []int) {
	for who := range s.members {
		if m := &s.members[who]; m.gen > 0 && which(m) {
			list = append(list, who)
		}
	}
	slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(s.members[a].deadline, s.members[b].deadline) })
	return list
}

func (s *trial) expire(list []int) []int {
	for _, who := range list {
		s.leaves(who, true)
	}
	return list
}

// next opens a window, in a service with so many leases.
func (w *window) next(cfg *config, at int64, leases int) {
	w.open, w.until, w.room = true, at+int64(cfg.window), math.MaxInt
	if cfg.preserve && leases >= cfg.minimum {
		w.room = (leases*cfg.percent + 99) / 100
	}
}

package eventbus_test

import "github.com/mainstay-go/mainstay/eventbus"

// A modelSub is a Queue as the documentation describes it, with slices instead of
// rings and sums instead of positions.
type modelSub struct {
	name     string
	policy   eventbus.Overflow
	capacity int // -1: no limit
	odd      bool
	once     bool

	past, fresh []modelEvent // what waits; past is replayed and takes no room
	taken       []modelEvent // at once, by the reader
	begun       int          // of taken
	lag         uint64       // of the next event taken
	nextLag     uint64       // of the next event accepted
	over        bool         // takes no new events
	end         error        // what a reader gets; nil while there may be events

	handled, filtered, lagged, discarded uint64
}

type modelEvent struct {
	seq  int64
	data int
	lag  uint64
}

func (s *modelSub) wants(data int) bool { return !s.odd || data%2 != 0 }

func (s *modelSub) gating() bool { return s.policy == eventbus.Block || s.policy == eventbus.Fail }

// fits reports whether it lets a publish of data pass.
func (s *modelSub) fits(data []int) bool {
	if s.over || s.capacity < 0 || !s.gating() {
		return true
	}
	n := 0
	for _, d := range data {
		if s.wants(d) {
			n++
		}
	}
	return len(s.fresh)+n <= s.capacity
}

// put reports whether it covers the event: one that ends it it does not.
func (s *modelSub) put(e modelEvent) (covered bool) {
	if s.over {
		return false
	}
	if !s.wants(e.data) {
		s.filtered++
		return true
	}
	if s.capacity >= 0 && len(s.fresh) >= s.capacity {
		switch s.policy {
		case eventbus.DropNewest:
			s.lagged++
			s.nextLag++
			return true
		case eventbus.DropOldest:
			for _, lost := range append(s.past, s.fresh[0]) {
				s.lagged++
				s.lag += 1 + lost.lag
			}
			s.past, s.fresh = nil, s.fresh[1:]
		default:
			s.stop(eventbus.ErrFull)
			return false
		}
	}
	e.lag, s.nextLag = s.nextLag, 0
	s.fresh = append(s.fresh, e)
	s.over = s.once
	return true
}

// depth is what was accepted and not started.
func (s *modelSub) depth() int { return len(s.past) + len(s.fresh) + len(s.taken) - s.begun }

func (s *modelSub) stop(err error) {
	if s.end != nil {
		return
	}
	s.discarded += uint64(s.depth()) //nolint:gosec // not negative
	s.settle()
	s.past, s.fresh, s.taken = nil, nil, nil
	s.over, s.end = true, err
}

// halt is the stop by a Drain or Close whose context has ended, which adds what it
// leaves to the list: what waited, and what the reader is at.
func (s *modelSub) halt(left []eventbus.SubscriptionStats) []eventbus.SubscriptionStats {
	if s.end != nil {
		return left
	}
	waiting, reading := s.depth() > 0, s.begun > 0
	s.stop(eventbus.ErrClosed)
	st := s.stats()
	if reading {
		st.Running++
		st.Handled--
	}
	if waiting || reading {
		left = append(left, st)
	}
	return left
}

func (s *modelSub) settle() {
	s.handled += uint64(s.begun) //nolint:gosec // not negative
	s.taken, s.begun = s.taken[s.begun:], 0
}

// next is what a reader gets. ok is false if it had to wait.
func (s *modelSub) next() (e modelEvent, ok bool, err error) {
	if s.end != nil {
		return e, true, s.end
	}
	if s.begun == len(s.taken) {
		if len(s.past)+len(s.fresh) == 0 {
			if s.over { // a Once that has been read
				s.settle()
				s.end = eventbus.ErrClosed
				return e, true, s.end
			}
			return e, false, nil
		}
		s.settle()
		most := 64
		if s.capacity >= 0 {
			most = min(64, max(1, s.capacity/16))
		}
		all := append(s.past, s.fresh...)
		n := min(most, len(all))
		s.taken = all[:n:n]
		s.past = s.past[min(n, len(s.past)):]
		s.fresh = all[max(n, len(all)-len(s.fresh)):]
		s.taken[0].lag += s.lag
		s.lag = 0
	}
	s.begun++
	return s.taken[s.begun-1], true, nil
}

func (s *modelSub) stats() eventbus.SubscriptionStats {
	st := eventbus.SubscriptionStats{
		Name: s.name, Topic: "x", OnFull: s.policy, Capacity: s.capacity,
		Depth: s.depth(), Handled: s.handled, Filtered: s.filtered, Lagged: s.lagged, Discarded: s.discarded,
	}
	if s.begun > 0 {
		st.Running = 1
		st.Handled += uint64(s.begun - 1) //nolint:gosec // not negative
	}
	return st
}

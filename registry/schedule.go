package registry

import (
	"container/heap"
	"sync"
	"sync/atomic"
	"time"
)

// A schedule knows when the next expiry of the whole registry is due and has one
// timer for it. Nothing depends on the timer for being right, since every read
// looks at the clock; it wakes watchers and hooks in time.
//
// It also keeps lease time: the time of the clock, less what the process did not
// live through. When an expiry that is due is noticed much too late, not even
// the timer can have run, so nobody can have renewed anything either, and the
// time since it was due is taken out.
type schedule struct {
	time       *timeline
	crew       *crew
	stallAfter time.Duration // negative: time is never lost

	lost    atomic.Int64 // of the clock's time, so far
	stallAt atomic.Int64 // in lease time: the first instant that is due, and stallAfter

	mu     sync.Mutex
	heap   byDue
	armed  int64 // the instant the timer is set to, in lease time; never: it is not
	stop   func() bool
	arming uint64 // number of the timer: one that was stopped may run all the same
	busy   bool   // the timer fired and is at work; it is set again when it is done
	closed bool
}

// A slot is the place of a roster in the schedule, guarded by its lock.
type slot struct {
	due int64 // in lease time
	pos int   // in the heap; none outside
}

func newSchedule(t *timeline, c *crew, stallAfter time.Duration) *schedule {
	s := &schedule{time: t, crew: c, stallAfter: stallAfter, armed: never}
	s.stallAt.Store(never)
	return s
}

// now is lease time.
//
// Two readers may find out about a stall at the same time. The first adds to
// lost, and moves stallAt on only afterwards, when it has swept. So one that
// still has the old lost must not see the new stallAt and take its own reading
// for good: it looks at lost again, last.
func (s *schedule) now() int64 {
	for {
		lost := s.lost.Load()
		now := s.time.now() - lost
		switch {
		case now > s.stallAt.Load():
			s.stalled()
		case s.lost.Load() == lost:
			return now
		}
	}
}

// stalled takes lost time out, unless somebody else did. What was due by the
// missed instant lapses now, all others keep what they had left.
func (s *schedule) stalled() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.nowLocked(); now > s.stallAt.Load() {
		s.lost.Add(now - s.heap[0].slot.due)
	}
}

// date is the instant of a reading of now.
func (s *schedule) date(now int64) time.Time { return s.time.date(now + s.lost.Load()) }

func (s *schedule) nowLocked() int64 { return s.time.now() - s.lost.Load() }

// set makes a roster due at an instant; never takes it out.
func (s *schedule) set(r *roster, due int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || r.slot.due == due {
		return
	}
	r.slot.due = due
	switch {
	case due == never:
		heap.Remove(&s.heap, r.slot.pos)
	case r.slot.pos == none:
		heap.Push(&s.heap, r)
	default:
		heap.Fix(&s.heap, r.slot.pos)
	}
	s.rearm()
}

func (s *schedule) first() int64 {
	if len(s.heap) == 0 {
		return never
	}
	return s.heap[0].slot.due
}

// rearm sets the timer if it is not set early enough. One that comes too early
// just looks and is set again. mu is held.
func (s *schedule) rearm() {
	first := s.first()
	if s.stallAfter >= 0 {
		s.stallAt.Store(after(first, s.stallAfter))
	}
	if s.busy || s.armed <= first {
		return
	}
	if s.stop != nil {
		s.stop()
	}
	s.arming++
	arming := s.arming
	s.armed = first
	s.stop = s.time.afterFunc(time.Duration(first-s.nowLocked()), func() { s.ring(arming) })
}

// ring is what the timer does: it makes all rosters expire that are due.
func (s *schedule) ring(arming uint64) {
	s.mu.Lock()
	if s.closed || arming != s.arming || s.busy {
		s.mu.Unlock()
		return
	}
	s.busy, s.armed, s.stop = true, never, nil
	s.crew.join() // under the lock, so before anybody who closes can wait
	defer s.crew.leave()
	s.mu.Unlock()
	for {
		now := s.now()
		s.mu.Lock()
		if s.closed || s.first() > now {
			break
		}
		r := s.heap[0]
		s.mu.Unlock()
		r.expire(another)
	}
	s.busy = false
	if !s.closed {
		s.rearm()
	}
	s.mu.Unlock()
}

// close ends the schedule: nothing is due any more.
func (s *schedule) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.heap = true, nil
	s.stallAt.Store(never)
	if s.stop != nil {
		s.stop()
	}
}

// byDue is the heap of a schedule; the rosters know their places.
type byDue []*roster

func (h byDue) Len() int           { return len(h) }
func (h byDue) Less(i, j int) bool { return h[i].slot.due < h[j].slot.due }

func (h byDue) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot.pos, h[j].slot.pos = i, j
}

func (h *byDue) Push(r any) {
	r.(*roster).slot.pos = len(*h)
	*h = append(*h, r.(*roster))
}

func (h *byDue) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = nil // what left is garbage
	*h = (*h)[:last]
	r.slot.pos = none
	return r
}

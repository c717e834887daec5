package registry

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// A term is how long one registration holds, in lease time. Renewing is a
// compare-and-swap of the deadline and nothing else; the heap still has the
// deadline of before, and finds out when it gets there, at most once per TTL.
type term struct {
	id string

	// deadline is the instant at which the registration lapses: never without
	// TTL, dead once it is over, held while it is kept beyond its time. It is
	// moved on by renewals without a lock, and set to dead or held under the
	// lock of the roster, by compare-and-swap as well, so that of a renewal and
	// an expiry only one wins.
	deadline atomic.Int64
	ttl      atomic.Int64 // 0: none

	// Guarded by the lock of the roster.
	in  *expiry // which takes it into account; nil: none
	key int64   // the deadline the heap knows; of one that is held, the one it missed
	pos int     // in the heap; none outside
}

const (
	dead int64 = math.MinInt64
	held int64 = math.MinInt64 + 1
	none int   = -1
)

// start gives the term its first deadline.
func (t *term) start(id string, ttl time.Duration, now int64) {
	t.id, t.pos, t.key = id, none, never
	t.ttl.Store(int64(ttl))
	if ttl > 0 {
		t.key = after(now, ttl)
	}
	t.deadline.Store(t.key)
}

// A renewal is what came of trying to prolong a term.
type renewal uint8

const (
	renewed renewal = iota
	lapsed          // nothing has changed: the deadline is over, or the term is held
	lost            // the term has ended
)

// renew prolongs the term at now. It never shortens it: of two renewals at once
// the later reading counts.
func (t *term) renew(now int64) renewal {
	for {
		d := t.deadline.Load()
		switch {
		case d == dead:
			return lost
		case d == never:
			return renewed
		case d == held || now >= d:
			return lapsed
		}
		ttl := t.ttl.Load() // after the deadline: who changes it changes the deadline next
		if t.deadline.CompareAndSwap(d, max(d, after(now, time.Duration(ttl)))) {
			return renewed
		}
	}
}

// alive reports whether the term has not ended, but it may have lapsed.
func (t *term) alive() bool { return t.deadline.Load() != dead }

// An expiry is the terms of one service and what is known about their lapses:
// the pure core of leases. It does not read a clock, and what it decides depends
// on the instants of deadlines only, never on when it is asked: a step that
// comes late does what timely ones would have done, one after another.
//
// See [Preserve] for the rule. The window opens at the first lapse, and has
// room for a share of the terms that there are then. Terms that lapse when it
// has no more room are held; when the window is over and some are held, the
// next one opens at once and takes as many of those, oldest first.
type expiry struct {
	rule  preserveRule
	heap  byKey
	held  []*term // by key, then id
	open  bool    // a window has been opened
	until int64   // its end
	room  int     // how many more may expire in it
	began int64   // when the first of held was
}

// preserveRule is Preserve with its defaults.
type preserveRule struct {
	share        float64 // negative: no cap
	least        int
	window, hold time.Duration
}

// What a step decides.
type lapses struct {
	expired []*term // in order; their deadlines are dead
	held    []*term // those that came to be held, and still are
	turns   []turn  // beginnings and ends of holding, alternately
}

// A turn is the beginning or the end of holding.
type turn struct {
	active bool
	held   int // the most of this time, as far as the step goes; 0 at an end
	at     int64
}

// add takes a term into account.
func (x *expiry) add(t *term) {
	if t.key = t.deadline.Load(); t.key != never {
		t.in = x
		heap.Push(&x.heap, t)
	}
}

// remove forgets a term. It reports whether this was the last that was held.
func (x *expiry) remove(t *term) (ended bool) {
	if t.in != x {
		return false
	}
	t.in = nil
	if t.pos != none {
		heap.Remove(&x.heap, t.pos)
		return false
	}
	i, found := slices.BinarySearchFunc(x.held, t, order)
	if !found || x.held[i] != t {
		return false
	}
	x.held = slices.Delete(x.held, i, i+1)
	return len(x.held) == 0
}

// restore takes a term into account whose deadline was set anew, also one that
// was held.
func (x *expiry) restore(t *term) (ended bool) {
	ended = x.remove(t)
	x.add(t)
	return ended
}

// retime gives a term another TTL, counted from when it was last renewed. What
// is held stays so, unless it needs no renewal any more; then retime reports, as
// remove does, whether it was the last one.
func (x *expiry) retime(t *term, ttl time.Duration, now int64) (ended bool) {
	old := time.Duration(t.ttl.Load())
	d := t.deadline.Swap(held) // a renewal has to wait for the lock now
	switch {
	case d == dead || d == held && ttl > 0:
	case ttl <= 0:
		d = never
	case d == never:
		d = after(now, ttl)
	default:
		d = max(now, after(d-int64(old), ttl)) // not in the past: that would look like a stall
	}
	t.ttl.Store(int64(max(ttl, 0)))
	t.deadline.Store(d)
	if d == dead || d == held {
		return false
	}
	return x.restore(t)
}

// due is the earliest instant at which a step may decide something.
func (x *expiry) due() int64 {
	due := never
	if len(x.heap) > 0 {
		due = x.heap[0].key
	}
	if len(x.held) > 0 {
		due = min(due, x.until, after(x.began, x.rule.hold))
	}
	return due
}

// step decides all that is due at now.
func (x *expiry) step(now int64) lapses {
	var out lapses
	for {
		at := x.due()
		if at > now {
			break
		}
		n := len(x.held)
		switch {
		case n > 0 && at == after(x.began, x.rule.hold):
			x.evict(n, at, &out)
		case n > 0 && at == x.until:
			x.window(at)
			n = min(x.room, n)
			x.room -= n
			x.evict(n, at, &out)
		default:
			x.lapse(at, &out)
		}
	}
	out.held = slices.DeleteFunc(out.held, func(t *term) bool { return t.deadline.Load() != held })
	return out
}

// lapse deals with the first of the heap, whose key is at.
func (x *expiry) lapse(at int64, out *lapses) {
	t := x.heap[0]
	d := t.deadline.Load()
	open, until, room := x.open, x.until, x.room
	if d <= at && (!x.open || at >= x.until) {
		x.window(at)
	}
	to := dead
	if x.room <= 0 {
		to = held
	}
	if d > at || !t.deadline.CompareAndSwap(d, to) {
		x.open, x.until, x.room = open, until, room
		t.key = t.deadline.Load() // renewed
		heap.Fix(&x.heap, 0)
		return
	}
	heap.Pop(&x.heap)
	if to == dead {
		x.room--
		t.in = nil
		out.expired = append(out.expired, t)
		return
	}
	if len(x.held) == 0 {
		x.began = at
		out.turns = append(out.turns, turn{active: true, at: at})
	}
	i, _ := slices.BinarySearchFunc(x.held, t, order)
	x.held = slices.Insert(x.held, i, t)
	out.held = append(out.held, t)
	if n := len(out.turns); n > 0 {
		out.turns[n-1].held = max(out.turns[n-1].held, len(x.held))
	}
}

// evict lets the first n that are held expire.
func (x *expiry) evict(n int, at int64, out *lapses) {
	for _, t := range x.held[:n] {
		t.deadline.Store(dead) // what is held is not renewed without the lock
		t.in = nil
		out.expired = append(out.expired, t)
	}
	x.held = slices.Delete(x.held, 0, n)
	if len(x.held) == 0 {
		out.turns = append(out.turns, turn{at: at})
	}
}

// window opens one.
func (x *expiry) window(at int64) {
	terms := len(x.heap) + len(x.held)
	x.open, x.until = true, after(at, x.rule.window)
	x.room = math.MaxInt
	if x.rule.share >= 0 && terms >= x.rule.least {
		// 0.15 of 20 must not become 4 because of the last bit.
		x.room = max(1, int(math.Ceil(x.rule.share*float64(terms)-1e-9)))
	}
}

func order(a, b *term) int {
	if c := cmp.Compare(a.key, b.key); c != 0 {
		return c
	}
	return cmp.Compare(a.id, b.id)
}

// byKey is the heap of an expiry; the terms know their places.
type byKey []*term

func (h byKey) Len() int           { return len(h) }
func (h byKey) Less(i, j int) bool { return order(h[i], h[j]) < 0 }

func (h byKey) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *byKey) Push(t any) {
	t.(*term).pos = len(*h)
	*h = append(*h, t.(*term))
}

func (h *byKey) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil // what left is garbage
	*h = (*h)[:last]
	t.pos = none
	return t
}

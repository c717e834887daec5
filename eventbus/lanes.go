package eventbus

import "math"

// A cursor is where one subscription has come in the events of a topic.
type cursor struct {
	owner  laneOwner
	policy Overflow // Block, DropOldest, Fail or Disconnect
	limit  int64    // how many events may wait

	next int64 // Seq of the event to take next
	from int64 // Seq of the first event it covers; events before are skipped
	free int64 // events before this Seq were there before it, and do not count against limit
	lag  int64 // events lost before next

	index int // among the cursors
}

// A laneOwner is the subscription of a cursor.
type laneOwner interface {
	subscription() *Subscription
	stopLocked(err error) aftermath
}

// bound is the Seq of the first event for which there is no room.
func (c *cursor) bound() int64 {
	at := max(c.next, c.free)
	return at + min(c.limit, math.MaxInt64-at)
}

// counts reports whether a publisher has to look at the bound.
func (c *cursor) counts() bool { return c.policy != DropOldest }

// lanes are the cursors of a topic. That publishing does not depend on their
// number is due to what is kept about them all: the lowest bound, and how many
// have nothing left to take.
type lanes struct {
	cursors []*cursor

	next   int64 // Seq of the next event
	gate   int64 // a lower limit of the bounds that count
	atGate int   // how many of these are at the gate; 0: the gate may be too low
	caught int   // how many cursors have nothing left to take
	widest int64 // the largest limit, but for stale
	stale  bool  // the one with the largest limit has left
}

func newLanes() lanes { return lanes{next: 1, gate: math.MaxInt64} }

// join adds a cursor.
func (l *lanes) join(c *cursor) {
	c.index = len(l.cursors)
	l.cursors = append(l.cursors, c)
	if c.next >= l.next {
		l.caught++
	}
	l.widest = max(l.widest, c.limit)
	l.bounded(c)
}

// bounded has the gate respect the bound of c.
func (l *lanes) bounded(c *cursor) {
	if !c.counts() {
		return
	}
	switch b := c.bound(); {
	case b < l.gate:
		l.gate, l.atGate = b, 1
	case b == l.gate:
		l.atGate++
	}
}

// leave removes a cursor.
func (l *lanes) leave(c *cursor) {
	last := len(l.cursors) - 1
	l.cursors[c.index], l.cursors[last].index = l.cursors[last], c.index
	l.cursors[last] = nil
	l.cursors = l.cursors[:last]
	if c.next >= l.next {
		l.caught--
	}
	l.stale = l.stale || c.limit == l.widest
	if c.counts() && c.bound() == l.gate && l.atGate > 0 {
		l.atGate--
	}
	if last == 0 {
		l.recount()
	}
}

// recount looks at every cursor.
func (l *lanes) recount() {
	l.gate, l.atGate, l.widest, l.stale = math.MaxInt64, 0, 0, false
	for _, c := range l.cursors {
		l.widest = max(l.widest, c.limit)
		l.bounded(c)
	}
}

// fits reports whether no bound is in the way of n events.
func (l *lanes) fits(n int) bool {
	if l.next+int64(n) <= l.gate {
		return true
	}
	if l.atGate == 0 {
		l.recount()
	}
	return l.next+int64(n) <= l.gate
}

// lowest is the Seq of the oldest event that a cursor still needs.
func (l *lanes) lowest() int64 {
	if l.stale {
		l.recount()
	}
	low := l.next
	for _, c := range l.cursors {
		at := max(c.next, c.from)
		if c.policy == DropOldest && l.next > c.bound() {
			at = l.next - c.limit
		}
		low = min(low, at)
	}
	return low
}

// waiting is how many events wait for the cursor, and how many it has lost that
// are not yet counted in lag.
func (l *lanes) waiting(c *cursor) (n, lost int64) {
	at := max(c.next, c.from)
	if c.policy == DropOldest && l.next > c.bound() {
		lost = l.next - c.limit - at
		at += lost
	}
	return max(l.next-at, 0), lost
}

// advance moves the cursor up to n events on, past what it has lost and what it
// does not cover. It returns the first event, how many there are, and the loss.
func (l *lanes) advance(c *cursor, n int64) (first, taken, lost int64) {
	had := c.next < l.next
	atGate := c.counts() && c.bound() == l.gate
	waiting, lost := l.waiting(c)
	first = max(c.next, c.from) + lost
	taken = min(n, waiting)
	c.next = min(first+taken, l.next)
	c.lag += lost
	if had && c.next >= l.next {
		l.caught++
	}
	if atGate && c.bound() != l.gate && l.atGate > 0 {
		l.atGate--
	}
	return first, taken, lost
}

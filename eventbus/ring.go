package eventbus

import "context"

// A ring holds the newest events of a topic once, for all cursors: publishing
// costs the same for one subscription and for a thousand. It is pure: no lock,
// no clock, no calls of user code.
//
// Data and the rest of an event stand in arrays of their own, because most
// events come with the same context as the one before and nothing else: then
// only their data is written and copied.
type ring[T any] struct {
	lanes

	history int64 // how many of the newest events are kept at least

	data  []T // the event of Seq s is at s & mask; nil before the first event
	mask  int64
	first int64 // events before this Seq are gone, their slots zero

	looked int64 // Seq when the cursors were last asked what they need

	// While even, all events came with the context ctx and nothing else.
	even  bool
	ctx   context.Context //nolint:containedctx // that of the events
	slots []origin        // as data; in use unless even, nil before the first need
}

const smallestRing = 64

func newRing[T any](history int) ring[T] {
	return ring[T]{lanes: newLanes(), history: int64(history), first: 1, even: true}
}

// put adds an event. There must be room: see fits.
func (r *ring[T]) put(o origin, v T) {
	r.caught = 0
	if len(r.cursors) == 0 && r.history == 0 {
		r.next++ // nobody will ask for it
		r.first = r.next
		return
	}
	if r.next >= r.room() {
		r.makeRoom()
	}
	r.data[r.next&r.mask] = v
	if !r.even || o.at != 0 || o.meta != nil || !sameContext(o.ctx, r.ctx) {
		r.putOrigin(o)
	}
	r.next++
}

// room is the Seq up to which slots are free and wanted. What is beyond every
// limit goes at once, so that a subscription that is stuck holds no more than
// its capacity.
func (r *ring[T]) room() int64 {
	return r.first + min(int64(len(r.data)), r.widest+r.history)
}

// quick is the Seq up to which data may be written right away, if the context
// is r.ctx: no growing, no dropping, no gate. Then r.ctx may be compared by ==.
func (r *ring[T]) quick() int64 {
	if !r.even || len(r.cursors) == 0 || !comparableContext(r.ctx) {
		return 0
	}
	return min(r.gate, r.room())
}

// putEven adds events within quick that come with ctx.
func (r *ring[T]) putEven(data []T) {
	n := copy(r.data[r.next&r.mask:], data)
	copy(r.data, data[n:])
	r.next += int64(len(data))
	r.caught = 0
}

func (r *ring[T]) putOrigin(o origin) {
	if r.even {
		if r.next == r.first && o.at == 0 && o.meta == nil {
			r.ctx = o.ctx
			return
		}
		r.even = false
		if len(r.slots) < len(r.data) {
			r.slots = make([]origin, len(r.data))
		}
		for s := r.first; s < r.next; s++ {
			r.slots[s&r.mask] = origin{ctx: r.ctx}
		}
		r.ctx = nil
	}
	r.slots[r.next&r.mask] = o
}

// makeRoom has room for one more event: it drops what nobody needs, or grows.
func (r *ring[T]) makeRoom() {
	size := int64(len(r.data))
	if r.next-r.looked >= size/4 { // looking at all cursors has to stay rare
		r.looked = r.next
		r.drop(min(r.lowest(), r.next-r.history))
	}
	r.drop(r.next + 1 - r.widest - r.history)
	if r.next-r.first < size {
		return
	}
	size = max(2*size, smallestRing)
	data, slots := make([]T, size), r.slots
	mask := size - 1
	for s := r.first; s < r.next; s++ {
		data[s&mask] = r.data[s&r.mask]
	}
	if slots != nil {
		slots = make([]origin, size)
		if !r.even {
			for s := r.first; s < r.next; s++ {
				slots[s&mask] = r.slots[s&r.mask]
			}
		}
	}
	r.data, r.slots, r.mask = data, slots, mask
}

// drop zeroes the slots of all events before Seq to.
func (r *ring[T]) drop(to int64) {
	for r.first < to {
		// In one piece as far as the array goes.
		i := r.first & r.mask
		n := min(to-r.first, int64(len(r.data))-i)
		clear(r.data[i : i+n])
		if !r.even {
			clear(r.slots[i : i+n])
		}
		r.first += n
	}
	if r.first == r.next {
		r.even, r.ctx = true, nil
	}
}

// tidy drops what has been taken by all. It is to be called when a cursor has
// nothing left to take, or left.
func (r *ring[T]) tidy() {
	if r.caught == len(r.cursors) {
		r.drop(r.next - r.history)
	}
}

// retained is how many events history holds.
func (r *ring[T]) retained() int64 { return min(r.next-r.first, r.history) }

// event is the event of that Seq, which must not be gone.
func (r *ring[T]) event(seq int64, topic *topicInfo) Event[T] {
	o := origin{ctx: r.ctx}
	if !r.even {
		o = r.slots[seq&r.mask]
	}
	return Event[T]{Data: r.data[seq&r.mask], Seq: seq, envelope: envelope{o, topic}}
}

// copyData copies the data of the events from that Seq on.
func (r *ring[T]) copyData(to []T, from int64) {
	i := from & r.mask
	n := copy(to, r.data[i:])
	copy(to[n:], r.data)
}

// start is the Seq from which a subscription gets events, and how many of those
// it asked for are no longer retained.
func (r *ring[T]) start(from int64) (seq, lag int64) {
	oldest := r.next - r.retained()
	switch {
	case from == 0:
		return r.next, 0
	case from == Oldest:
		return oldest, 0
	case from < 0:
		return max(oldest, r.next+from), 0
	case from < oldest:
		return oldest, oldest - from
	}
	return from, 0
}

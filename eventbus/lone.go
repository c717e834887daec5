package eventbus

import "slices"

// A lone is a loop that reads the batch of its Queue without a lock, which it
// may as long as nobody else reads the Queue. Both what it takes and whether it
// still may go by the word of the hand: taking is a compare-and-swap of it, and
// whoever wants to share sets a bit in it. So either the loop took the event
// before, which shows in the word, or it does not take it.
type lone[T any] struct {
	hand   *hand // nil: it owns nothing
	events []Event[T]
	word   uint64 // what it must be, for the next event to be taken
	first  uint64 // what it was at the beginning
}

// next takes an event, if it may: it returns where it stands, so that it need not
// be copied twice. Nil: it may not. The slots are cleared with the next refill.
func (l *lone[T]) next() *Event[T] {
	if len(l.events) == 0 || !l.hand.word.CompareAndSwap(l.word, l.word+oneCall) {
		l.events = nil
		return nil
	}
	l.word += oneCall
	e := &l.events[0]
	l.events = l.events[1:]
	return e
}

// own gives the rest of the batch to l. mu of the queue is held.
func (l *lone[T]) own(q *Queue[T]) {
	b := &q.batch
	l.hand, l.events = &b.hand, b.events[b.i:]
	l.word = b.hand.word.Load()
	l.first = l.word
	if l.word&stopBit != 0 {
		l.events = nil
		return
	}
	q.lone = l
}

// share ends the ownership of a loop, if there is one. If it is not that loop
// which asks, what is left is copied: it may be about to read, from where it was,
// the event it took last. mu is held.
func (q *Queue[T]) share(asks *lone[T]) {
	l := q.lone
	if l == nil {
		return
	}
	q.lone = nil
	b := &q.batch
	b.i += calls(b.hand.word.Or(sharedBit)) - calls(l.first)
	if l != asks {
		b.events, b.i = slices.Clone(b.events[b.i:]), 0
	}
}

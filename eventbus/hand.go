package eventbus

import "sync/atomic"

// A hand is one worker of a subscription, or the reader of a Queue, as far as
// it does not depend on the type of the events: what it took at once and how far
// it has come.
//
// The hand alone moves forward, without a lock. That its counts are exact all
// the same, even when a call never returns, is due to started and stop being
// one word: stopping is an Or that tells how many calls had begun, and a call
// begins by an Add that tells whether it was too late. With a flag and a counter
// apart, a hand could count a call, find the flag, and not make it, after
// somebody had counted it as running.
type hand struct {
	sub *Subscription

	// word is what the hand has done with what it took. From the lowest bit: how
	// many calls it began, 16 bits; how many of these ended in failure, 16 bits;
	// which batch this is, 29 bits and one for its overflow; see sharedBit;
	// whether it has to stop.
	word atomic.Uint64

	// step is what the next call adds to word: one call, and the failure of the
	// one before. Only the hand itself uses it.
	step uint64

	// Guarded by the lock of the queue.
	n       int    // how many events it has that are not settled
	key     string // of the one event it took, with several workers
	stopped bool
	stopAt  uint64 // the word when it was told to stop

	// Guarded by waitGraph.mu.
	waits   []*waitRecord
	starved bool // it is idle, and all that waits is of keys that others are at
}

const (
	oneCall    uint64 = 1
	oneFailure uint64 = 1 << 16
	oneBatch   uint64 = 1 << 32
	overflow   uint64 = 1 << 61
	sharedBit  uint64 = 1 << 62 // of a Queue: the batch is not read by one alone any more
	stopBit    uint64 = 1 << 63

	callMask    = oneFailure - 1
	failureMask = oneBatch - oneFailure
)

func calls(word uint64) int    { return int(word & callMask) }
func failures(word uint64) int { return int(word & failureMask >> 16) }

// begin reports whether the next call may be made.
func (h *hand) begin() bool {
	if h.word.Add(h.step)&stopBit != 0 {
		return false // step still holds the failure of the last call
	}
	if h.step != oneCall { // see settle about those who only look
		h.step = oneCall
	}
	return true
}

// halted reports whether the hand was told to make no more calls.
func (h *hand) halted() bool { return h.word.Load()&stopBit != 0 }

// failed notes that the call which has just ended was a failure.
func (h *hand) failed() { h.step = oneCall + oneFailure }

// took starts a batch of n more events. The lock of the queue is held.
func (h *hand) took(n int) {
	h.n += n
	h.next(0)
}

// next starts a batch, without the calls of the last one that have been settled.
// The channel of a Queue may begin a call at the same time: it holds an event of
// an earlier batch until somebody receives it.
func (h *hand) next(settled uint64) {
	for {
		word := h.word.Load()
		if h.word.CompareAndSwap(word, (word+oneBatch-settled)&^(overflow|sharedBit)) {
			return
		}
	}
}

// stop tells the hand to make no more calls. The lock of the queue is held, so
// it is not between two batches.
func (h *hand) stop() {
	if !h.stopped {
		h.stopped = true
		h.stopAt = h.word.Or(stopBit)
	}
}

// progress is the word that counts: that at the stop, if there was one.
func (h *hand) progress() uint64 {
	if h.stopped {
		return h.stopAt
	}
	return h.word.Load()
}

// call identifies the call that is being made. It needs no lock.
func (h *hand) call() uint64 { return h.word.Load() &^ (failureMask | sharedBit | stopBit) }

// settle adds what was begun of the batch to the account: all these calls have
// returned. What was not begun stays in the batch unless the hand was stopped:
// then it is discarded. The lock of the queue is held. Of a hand that has not
// been stopped only the hand itself may call it.
func (h *hand) settle(a *account) {
	word := h.progress()
	begun, failed := calls(word), uint64(failures(word))
	if h.step != oneCall { // a Queue never fails: nobody writes here while it is read
		failed++
		h.step = oneCall
	}
	a.handled += uint64(begun) - failed
	a.failed += failed
	h.n -= begun
	if h.stopped {
		a.discarded += uint64(h.n)
		h.n = 0
		h.stopAt &^= callMask | failureMask
		return
	}
	h.next(word & (callMask | failureMask))
}

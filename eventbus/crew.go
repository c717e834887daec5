package eventbus

import (
	"errors"
	"slices"
)

// An account adds up to what a subscription covers; see SubscriptionStats.
type account struct {
	handled, failed, filtered, lagged, discarded uint64
}

// A crew is the hands of one subscription and what they have done. Everything is
// guarded by the lock of the queue.
type crew struct {
	sub *Subscription
	account
	watches

	draining bool // it ends when nothing is left
	stopped  bool // nothing starts any more
	gone     bool // the subscription is to be finished, by whoever set this
	working  int  // hands that may still make calls
}

// newCrew has the hands that s.hands is set to. That of a Queue is whoever reads it.
func newCrew(s *Subscription) crew {
	return crew{sub: s, working: len(s.hands)}
}

// errHalted is the end by a Drain or Close that is cut short.
var errHalted = errors.New("eventbus: halted")

// halt has no hand make another call, and returns how many events they held
// that were never started. A Drain or Close that is cut short, but has nothing to
// leave, ends it in an orderly way: waiting says whether anything waits in the queue.
func (c *crew) halt(err error, waiting bool) (discarded uint64) {
	c.stopped = true
	short := err == errHalted //nolint:errorlint // that very value
	if short {
		if err = nil; waiting || c.held() > 0 {
			err = ErrClosed
		}
	}
	for _, h := range c.sub.hands {
		h.stop()
		discarded += uint64(h.n - calls(h.stopAt))
		if c.sub.unmanned {
			c.sub.unread = short && calls(h.stopAt) > 0
			h.settle(&c.account)
		}
	}
	c.sub.stopped(err)
	if c.sub.unmanned {
		c.gone = true
		c.watches.release()
	}
	return discarded
}

// leave is the end of a hand, and reports whether it was the last. That of a
// Queue leaves no event behind that its channel still holds out to somebody: the
// end comes when that has been received.
func (c *crew) leave(h *hand) bool {
	h.settle(&c.account)
	if h.n > 0 {
		return false
	}
	c.working--
	if c.working > 0 || c.gone {
		return false
	}
	c.gone = true
	c.watches.release()
	return true
}

// fill completes s by the account and by what the hands are at. Depth is to be
// added by the queue.
func (c *crew) fill(s *SubscriptionStats) {
	s.Handled += c.handled
	s.Failed += c.failed
	s.Filtered += c.filtered
	s.Lagged += c.lagged
	s.Discarded += c.discarded
	for _, h := range c.sub.hands {
		word := h.progress()
		begun, failed := calls(word), failures(word)
		if begun > 0 {
			s.Running++
			s.Handled += uint64(begun - 1 - failed)
			s.Failed += uint64(failed)
		}
		if h.stopped {
			s.Discarded += uint64(h.n - begun)
		} else {
			s.Depth += h.n - begun
		}
	}
}

// held is how many events the hands have taken and not settled.
func (c *crew) held() (n int) {
	for _, h := range c.sub.hands {
		n += h.n
	}
	return n
}

// watches are those who wait until everything up to some point is settled.
type watches []watch

type watch struct {
	upTo int64 // the first index that need not be settled
	done chan struct{}
}

func (ws *watches) add(upTo int64) <-chan struct{} {
	w := watch{upTo, make(chan struct{})}
	*ws = append(*ws, w)
	return w.done
}

// remove forgets one that is no longer waited for.
func (ws *watches) remove(done <-chan struct{}) {
	*ws = slices.DeleteFunc(*ws, func(w watch) bool { return w.done == done })
}

// settled tells those who wait for nothing at or after that index.
func (ws *watches) settled(upTo int64) {
	*ws = slices.DeleteFunc(*ws, func(w watch) bool {
		if w.upTo > upTo {
			return false
		}
		close(w.done)
		return true
	})
}

// release tells all.
func (ws *watches) release() {
	for _, w := range *ws {
		close(w.done)
	}
	*ws = nil
}

// cut is how many of n events from index at on may be taken at once, so that a
// batch does not go beyond what somebody waits for.
func (ws watches) cut(at, n int64) int64 {
	for _, w := range ws {
		if w.upTo > at {
			n = min(n, w.upTo-at)
		}
	}
	return n
}

// shift moves what lies after index by n, because events before it came or went.
func (ws watches) shift(after, n int64) {
	for i := range ws {
		if ws[i].upTo > after {
			ws[i].upTo += n
		}
	}
}

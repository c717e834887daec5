package eventbus

import (
	"context"
	"runtime"
)

// A reader is a subscription that reads the ring of its topic. All but the
// constants is guarded by the lock of the topic.
type reader[T any] struct {
	crew
	cursor
	topic *Topic[T]
	most  int64 // events taken at once
	spot  spot  // where it waits

	out  bool       // the cursor is not in the ring any more
	rest []Event[T] // what was left in the ring for it then
}

// atOnce is how many events are taken at once: few enough for the capacity to
// mean something.
func atOnce(capacity int) int64 {
	const most = 64
	if capacity < 0 {
		return most
	}
	return int64(min(most, max(1, capacity/16)))
}

// take ends the batch of b and waits for another. It reports false at the end
// of the subscription, and when ctx, if there is one, ends first.
func (r *reader[T]) take(b *batch[T], ctx context.Context) bool {
	t := r.topic
	var lost, skipped int64
	var got, yielded bool
	t.mu.Lock()
	for {
		r.settle(&b.hand) // again after a wait: the channel of a Queue may have been received from
		if got = r.fetch(b, &skipped); got {
			break
		}
		lost, skipped = lost+skipped, 0
		if r.draining && !r.out {
			r.leaveRing()
		}
		if r.out || ctx != nil && ctx.Err() != nil {
			break
		}
		if !yielded {
			// With a busy publisher there is more in a moment, and a turn of
			// the scheduler is cheaper than to be parked and woken.
			yielded = true
			t.mu.Unlock()
			runtime.Gosched()
			t.mu.Lock()
			continue
		}
		b.parks()
		t.parked.wait(&r.spot)
	}
	lost += skipped
	t.mu.Unlock()
	r.sub.lost(uint64(lost), 0, t.info)
	return got
}

// settle accounts for a batch that has come to its end.
func (r *reader[T]) settle(h *hand) {
	h.settle(&r.account)
	if len(r.watches) > 0 {
		r.watches.settled(r.at())
	}
}

// at is the Seq of the first event that is not settled.
func (r *reader[T]) at() int64 { return max(r.next, r.from) - int64(len(r.rest)+r.held()) }

// fetch moves events to b and reports whether there were any.
func (r *reader[T]) fetch(b *batch[T], lost *int64) bool {
	*lost = 0
	if r.stopped {
		return false
	}
	t := r.topic
	if r.out {
		n := r.watches.cut(r.at(), r.most)
		k := min(n, int64(len(r.rest)))
		b.fill(r.rest[:k])
		clear(r.rest[:k])
		r.rest = r.rest[k:]
		return k > 0
	}
	n := r.most
	if len(r.watches) > 0 {
		_, skip := t.ring.waiting(&r.cursor)
		n = r.watches.cut(r.at()+skip, n)
	}
	caught, awaited := t.ring.caught, t.awaits(&r.cursor)
	first, k, skipped := t.ring.advance(&r.cursor, n)
	r.lagged += uint64(skipped)
	*lost = skipped
	if k > 0 {
		b.copy(t, first, int(k), uint64(r.lag))
		r.lag = 0
	}
	if skipped > 0 && len(r.watches) > 0 {
		r.watches.settled(r.at()) // what is lost is settled
	}
	if t.ring.caught != caught && t.ring.caught == len(t.ring.cursors) {
		t.ring.tidy()
		t.refresh()
	}
	if awaited && !t.awaits(&r.cursor) {
		t.found(r.sub)
	}
	return k > 0
}

// leaveRing takes the cursor out of the ring.
func (r *reader[T]) leaveRing() {
	if r.out {
		return
	}
	r.out = true
	t := r.topic
	t.ring.leave(&r.cursor)
	t.ring.tidy()
	t.detached(r.sub)
	t.admit()
}

// leave is the end of the worker of b.
func (r *reader[T]) leave(b *batch[T]) {
	r.topic.mu.Lock()
	last := r.crew.leave(&b.hand)
	r.topic.mu.Unlock()
	if last {
		r.sub.finish()
	}
}

// back is called when the reader of a Queue goes away: what it was given is
// handled.
func (r *reader[T]) back(b *batch[T]) {
	r.topic.mu.Lock()
	if !r.stopped {
		r.settle(&b.hand)
	}
	over := r.overLocked()
	r.topic.mu.Unlock()
	if over {
		r.sub.finish()
	}
}

// overLocked reports, once, whether a Queue that drains has come to its end.
func (r *reader[T]) overLocked() bool {
	if !r.sub.unmanned || !r.draining || r.gone || len(r.rest)+r.held() > 0 {
		return false
	}
	if !r.out {
		if n, _ := r.topic.ring.waiting(&r.cursor); n > 0 {
			return false
		}
		r.leaveRing()
	}
	r.gone = true
	r.watches.release()
	r.spot.cond.Broadcast()
	return true
}

func (r *reader[T]) stop(err error) aftermath {
	r.topic.mu.Lock()
	defer r.topic.mu.Unlock()
	return r.stopLocked(err)
}

// stopLocked ends the subscription. The rest has to be run without the lock.
func (r *reader[T]) stopLocked(err error) aftermath {
	if r.stopped || r.gone {
		return aftermath{}
	}
	t := r.topic
	n, lost, end := int64(len(r.rest)), int64(0), r.next
	if !r.out {
		n, lost = t.ring.waiting(&r.cursor)
		end = max(t.ring.next, r.from)
	}
	r.rest = nil
	r.discarded += uint64(n)
	r.lagged += uint64(lost)
	discarded := uint64(n) + r.halt(err, n > 0)
	r.leaveRing()
	r.next = end // not before: the ring has to know where the cursor was
	r.spot.cond.Broadcast()
	return aftermath{sub: r.sub, info: t.info, lagged: uint64(lost), discarded: discarded, finish: r.sub.unmanned}
}

func (r *reader[T]) drain() aftermath {
	t := r.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.stopped || r.draining {
		return aftermath{}
	}
	r.draining = true
	var lost int64
	if !r.out && t.state != closed {
		// Others go on publishing, and must not have to wait for this one.
		var n int64
		n, lost = t.ring.waiting(&r.cursor)
		first := t.ring.next - n
		for i := range n {
			r.rest = append(r.rest, t.ring.event(first+i, t.info))
		}
		if n > 0 {
			r.rest[0].Lag = uint64(r.lag + lost)
		}
		r.lag = 0
		r.lagged += uint64(lost)
		end := t.ring.next
		r.leaveRing()
		r.next = end // not before: the ring has to know where the cursor was
	}
	over := r.overLocked()
	r.spot.cond.Broadcast()
	return aftermath{sub: r.sub, info: t.info, lagged: uint64(lost), finish: over}
}

func (r *reader[T]) stats() (s SubscriptionStats) {
	r.topic.mu.Lock()
	defer r.topic.mu.Unlock()
	r.statsLocked(&s)
	return s
}

func (r *reader[T]) statsLocked(s *SubscriptionStats) {
	r.fill(s)
	if r.out {
		s.Depth += len(r.rest)
		return
	}
	n, lost := r.topic.ring.waiting(&r.cursor)
	s.Depth += int(n)
	s.Lagged += uint64(lost)
}

func (r *reader[T]) watch() <-chan struct{} {
	r.topic.mu.Lock()
	defer r.topic.mu.Unlock()
	upTo := r.topic.ring.next
	if r.out {
		upTo = r.next
	}
	if r.gone || r.at() >= upTo {
		return nil
	}
	return r.watches.add(upTo)
}

func (r *reader[T]) unwatch(done <-chan struct{}) {
	r.topic.mu.Lock()
	defer r.topic.mu.Unlock()
	r.watches.remove(done)
}

func (r *reader[T]) nudge() {
	r.topic.mu.Lock()
	r.spot.cond.Broadcast()
	r.topic.mu.Unlock()
}

func (r *reader[T]) received() {
	r.topic.mu.Lock()
	r.handled++
	r.discarded--
	r.topic.mu.Unlock()
}

func (r *reader[T]) subscription() *Subscription { return r.sub }

func (r *reader[T]) forget() {
	r.topic.mu.Lock()
	r.topic.parked.leave(&r.spot)
	r.topic.mu.Unlock()
	r.topic.forget(r.sub)
}

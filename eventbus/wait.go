package eventbus

import (
	"context"
	"time"
)

// A waitQueue is the publishers that wait for room, in order of arrival.
type waitQueue[T any] struct {
	front, back *pending[T]
	len         int
	recorded    int // those known to the wait graph
	waited      time.Duration
}

func (q *waitQueue[T]) push(p *pending[T]) {
	if p.prev = q.back; p.prev != nil {
		p.prev.next = p
	} else {
		q.front = p
	}
	q.back, p.waiting = p, true
	q.len++
}

func (q *waitQueue[T]) remove(p *pending[T]) {
	if p.prev != nil {
		p.prev.next = p.next
	} else {
		q.front = p.next
	}
	if p.next != nil {
		p.next.prev = p.prev
	} else {
		q.back = p.prev
	}
	p.prev, p.next, p.waiting = nil, nil, false
	q.len--
}

// submit publishes p, and returns how many of its events were accepted: none with
// an error, and fewer than all of a batch that had to be cut. The lock is held, and
// is not when it returns.
func (t *Topic[T]) submit(p *pending[T]) (int, error) {
	t.prepare(p)
	for !t.offer(p) {
		if p.known {
			t.wait(p)
			break
		}
		// Asking a context and a clock is user code, and not for the lock.
		p.known = true
		t.mu.Unlock()
		p.hand, p.since = handOf(p.ctx, t.bus), t.bus.time.now()
		t.mu.Lock()
		t.prepare(p)
	}
	return t.finish(p)
}

// wait has p wait in line until it is over. Whoever frees room publishes it in
// its stead, see admit: so those who wait enter in order of arrival, and a slot
// that became free is not left unused until its publisher runs. The lock is held,
// but given up meanwhile.
func (t *Topic[T]) wait(p *pending[T]) {
	t.queue.push(p)
	if p.hand != nil {
		record, cycle := t.bus.waits.enter(p.hand, &t.line)
		if cycle != nil {
			t.release(p, t.wouldDeadlock(cycle))
			return
		}
		p.record = record
		t.queue.recorded++
	}
	t.refresh()
	if p.ready == nil {
		p.ready = make(chan struct{}, 1)
	}
	stopStalls := t.watchStalls(p)
	done := false
	defer func() {
		if !done { // a filter has ended the goroutine, without the lock
			stopStalls()
			t.mu.Lock()
			if !p.over {
				t.release(p, &Error{Topic: t.info.name, Err: &PanicError{Goexit: true}})
				t.admit()
			}
			_, _ = t.finish(p) // or it was accepted before, and has its consequences
		}
	}()
	for !p.over {
		t.mu.Unlock()
		var cause error
		select {
		case <-p.ready:
		case <-p.ctx.Done():
			cause = context.Cause(p.ctx)
		}
		t.mu.Lock()
		switch {
		case p.over:
			select {
			case <-p.ready: // told just now
			default:
			}
		case cause != nil:
			t.release(p, cause)
			t.admit()
		default: // the subscriptions have changed
			t.prepare(p)
			t.admit()
		}
	}
	done = true
	t.mu.Unlock()
	stopStalls()
	waited := t.bus.time.now() - p.since
	t.mu.Lock()
	t.queue.waited += time.Duration(max(waited, 0))
}

func (t *Topic[T]) wouldDeadlock(cycle []string) error {
	return &Error{Topic: t.info.name, Cycle: cycle, Err: ErrWouldDeadlock}
}

// release ends the waiting of p. Nil: it was accepted.
func (t *Topic[T]) release(p *pending[T], err error) {
	t.queue.remove(p)
	if p.record != nil {
		t.bus.waits.exit(p.record)
		p.record = nil
		t.queue.recorded--
	}
	if err != nil {
		p.refuse(err)
	}
	t.refresh()
}

// tell wakes the publisher of p.
func (p *pending[T]) tell() {
	select {
	case p.ready <- struct{}{}:
	default: // it has been told, and has not looked yet
	}
}

// admit publishes what waits in line, as far as there is room. It is called by
// whoever freed some or changed the subscriptions, with the lock.
func (t *Topic[T]) admit() {
	if t.offering {
		return // whoever is at it goes on with the line
	}
	for t.queue.len > 0 {
		p := t.queue.front
		if t.sinks.judged && p.sinks != t.sinks || t.timed && !p.stamped || len(p.data) > 1 && len(p.data) > t.longest() {
			t.awaited = 0
			t.bus.waits.set(&t.line, nil) // nobody knows what it waits for
			p.tell()                      // it has to ask its user's functions first, or is too long by now
			return
		}
		if !t.sinks.judged {
			p.sinks = nil
		}
		if !t.offer(p) {
			if t.unravel() {
				continue // the front may be another
			}
			return
		}
		t.release(p, p.err)
		p.tell()
	}
}

// awaits reports whether the publisher in front waits for a cursor.
func (t *Topic[T]) awaits(c *cursor) bool {
	return t.queue.len > 0 && c.policy == Block && c.bound() < t.ring.next+int64(len(t.queue.front.data))
}

// found is called when one of those that the publisher in front waits for has room.
// It is let in when that was the last one: to look at all of them each time would
// cost as much as their number squared.
func (t *Topic[T]) found(s *Subscription) {
	if t.awaited--; t.awaited == 0 {
		t.admit()
	} else if t.queue.recorded > 0 || t.bus.hooks.Stalled != nil {
		t.bus.waits.unblock(&t.line, s)
	}
}

// unravel refuses a publish that waits for ever, now that the line waits for
// other subscriptions than before, and reports whether there was one.
func (t *Topic[T]) unravel() bool {
	if t.queue.recorded == 0 {
		return false
	}
	for p := t.queue.front; p != nil; p = p.next {
		if p.record == nil {
			continue
		}
		if cycle := t.bus.waits.check(p.record); cycle != nil {
			t.release(p, t.wouldDeadlock(cycle))
			p.tell()
			return true
		}
	}
	return false
}

// watchStalls reports a publisher that waits for too long. The lock is held, but
// given up meanwhile: a clock may be the user's.
func (t *Topic[T]) watchStalls(p *pending[T]) (stop func()) {
	b := t.bus
	if b.hooks.Stalled == nil || b.stallAfter < 0 {
		return func() {}
	}
	p.stalls = true
	w := &stallWatch[T]{topic: t, p: p, after: b.stallAfter}
	t.mu.Unlock()
	w.arm(b.stallAfter)
	t.mu.Lock()
	return w.stop
}

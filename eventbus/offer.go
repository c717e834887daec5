package eventbus

import (
	"context"
	"slices"
)

// offer has the events of p accepted or refused, and reports whether it did:
// if not, p has to wait. Nothing in between: as long as it holds the locks of the
// topic and of all its mailboxes, nobody else takes the room that it has seen.
func (t *Topic[T]) offer(p *pending[T]) bool {
	if t.state == closed || t.state == closing && !p.dead {
		return p.refuse(&Error{Topic: t.info.name, Err: ErrClosed})
	}
	list := t.sinks.list
	for _, m := range list {
		m.lock()
	}
	defer t.unlockSinks(list)
	if p.mandatory && !t.taken(p) {
		return p.refuse(&Error{Topic: t.info.name, Err: ErrNoSubscriber})
	}
	if full := t.blockers(p); full != nil {
		return p.refuse(full.fullError())
	}
	behind := t.queue.len > 0 && t.queue.front != p
	if len(t.blocking) == 0 && !behind {
		t.commit(p)
		return true
	}
	if p.try {
		return p.refuse(t.inTheWay(behind).fullError())
	}
	if !behind {
		t.awaited = len(t.blocking)
		t.bus.waits.set(&t.line, t.blocking)
	}
	for i, m := range list {
		if !m.room(p.claims(i)) {
			m.blocks(&t.line)
		}
	}
	return false
}

func (t *Topic[T]) unlockSinks(list []sink[T]) {
	for _, m := range list {
		m.unlock()
	}
}

// taken reports whether anybody would get the event of p, and be there to handle it.
func (t *Topic[T]) taken(p *pending[T]) bool {
	for s, m := range t.sinks.list {
		if m.takes(p.verdict(s, 0)) {
			return true
		}
	}
	if t.sync != nil {
		return slices.ContainsFunc(t.sync.list.Load().subs, func(s *syncSub[T]) bool { return !s.used.Load() })
	}
	return slices.ContainsFunc(t.ring.cursors, func(c *cursor) bool {
		return c.policy != Disconnect || c.bound() > t.ring.next
	})
}

// inTheWay is one of those that a publish would have to wait for, itself or behind
// others.
func (t *Topic[T]) inTheWay(behind bool) *Subscription {
	if behind {
		if s := t.bus.waits.first(&t.line); s != nil {
			return s
		}
	}
	if len(t.blocking) > 0 {
		return t.blocking[0]
	}
	// The publisher in front is asking functions, most likely those of the newest.
	for _, m := range slices.Backward(t.sinks.list) {
		if m.judges() {
			return m.subscription()
		}
	}
	for _, c := range t.ring.cursors {
		if c.policy == Block {
			return c.owner.subscription()
		}
	}
	return &Subscription{where: t.info.name} // it is about to be let in
}

func (p *pending[T]) refuse(err error) bool {
	p.err, p.over = err, true
	return true
}

// blockers collects in t.blocking the subscriptions that p has to wait for, and
// returns one for which it need not wait, because it fails.
func (t *Topic[T]) blockers(p *pending[T]) (full *Subscription) {
	clear(t.blocking)
	t.blocking = t.blocking[:0]
	n := len(p.data)
	judge := func(s *Subscription) {
		switch {
		case s.policy == Block:
			t.blocking = append(t.blocking, s)
		case s.policy == Fail && full == nil:
			full = s
		}
	}
	if t.sync == nil && !t.ring.fits(n) {
		for _, c := range t.ring.cursors {
			if c.bound() < t.ring.next+int64(n) {
				judge(c.owner.subscription())
			}
		}
	}
	for i, m := range t.sinks.list {
		if !m.room(p.claims(i)) {
			judge(m.subscription())
		}
	}
	return full
}

// commit gives the events of p to everybody.
func (t *Topic[T]) commit(p *pending[T]) {
	b := t.bus
	for i, v := range p.data {
		o := p.origin(i)
		var seq int64
		if t.sync != nil {
			p.call.list, seq = t.sync.next()
			p.call.seq = seq
		} else {
			t.disconnect(p)
			seq = t.ring.next
			t.ring.put(o, v)
		}
		reached := t.sync == nil && len(t.ring.cursors) > 0 || p.call.list != nil && len(p.call.list.calls) > 0
		if len(t.sinks.list) == 0 && reached {
			continue
		}
		e := Event[T]{Data: v, Seq: seq, envelope: envelope{o, t.info}}
		for s, m := range t.sinks.list {
			after, covered := m.put(e, p.verdict(s, i))
			reached = reached || covered
			if after.due() {
				p.after = append(p.after, after)
			}
		}
		if !reached && t.cfg.History == 0 {
			t.unrouted++
			if b.hooks.Dropped != nil || t.cfg.DeadLetter != nil {
				p.unrouted = append(p.unrouted, e)
			}
		}
	}
	p.over = true
	t.parked.wake(t.parked.take())
	if t.cfg.History > 0 && !t.pinned {
		t.pin()
	}
	t.refresh()
}

// disconnect ends the subscriptions whose policy that is and who have no room
// for the next event.
func (t *Topic[T]) disconnect(p *pending[T]) {
	if t.ring.fits(1) {
		return
	}
	t.offering = true
	for _, c := range slices.Clone(t.ring.cursors) {
		if c.policy == Disconnect && c.bound() <= t.ring.next {
			s := c.owner.subscription()
			p.after = append(p.after, c.owner.stopLocked(s.disconnected(t.ring.next)))
		}
	}
	t.offering = false
}

// finish returns the outcome of p, for whose caller nothing is left to wait for:
// how many events were accepted, or why none. The lock is held, and is not when it
// returns.
func (t *Topic[T]) finish(p *pending[T]) (int, error) {
	org, err, after, unrouted, n := p.org, p.err, p.after, p.unrouted, len(p.data)
	if err != nil {
		n = 0
	}
	call, data := p.call, p.data[0]
	p.after, p.unrouted = nil, nil
	t.recycle(p)
	t.mu.Unlock()
	if call.list == nil {
		t.conclude(org.ctx, after, unrouted)
		return n, err
	}
	run := func() error {
		return t.sync.run(call.list, Event[T]{Data: data, Seq: call.seq, envelope: envelope{org, t.info}})
	}
	concluded := false
	defer func() {
		if !concluded { // a hook ends the goroutine, but others wait for this publish to leave the list
			_ = run()
		}
	}()
	t.conclude(org.ctx, after, unrouted)
	concluded = true
	return n, run()
}

// conclude does what an accepted publish has left to do without locks.
func (t *Topic[T]) conclude(ctx context.Context, after []aftermath, unrouted []Event[T]) {
	if len(after)+len(unrouted) == 0 {
		return
	}
	defer each(unrouted, t.unroute) // even if a hook ends the goroutine
	runAll(ctx, after)
}

// unroute deals with an event that nobody subscribed to.
func (t *Topic[T]) unroute(e *Event[T]) {
	if dead := t.cfg.DeadLetter; dead != nil {
		defer bury(e.ctx, dead, Failure{
			Event: e.erased(), Final: true,
			Err: &Error{Topic: t.info.name, Seq: e.Seq, Err: ErrNoSubscriber},
		})
	}
	if hook := t.bus.hooks.Dropped; hook != nil {
		t.info.drops.deliver(hook, t.info, Drop{Topic: t.info.name, Unrouted: 1})
	}
}

package eventbus

import (
	"slices"
	"sync"
)

// A waitGraph knows who waits for whom: publishes made by handlers, and the
// subscriptions without room that they wait for. It is asked only when somebody
// has to wait.
//
// That it gives no false alarm is due to the order of things: whoever frees room
// marks those who waited for it, with stale, with unblock or by looking at the
// line anew, before the lock is released under which the room was freed. So a worker
// that took an event and now has to wait for a publish itself does not find the
// publisher it has just set free still waiting.
type waitGraph struct {
	mu    sync.Mutex         // taken with any others held, and none taken with it
	hands map[*hand]struct{} // those with records
}

// A waitRecord is one publish that waits, made with the context of a handler.
type waitRecord struct {
	hand *hand
	call uint64 // which call of the handler it was made in
	line *line
}

// A line is the publishers that wait at one topic, as far as others have to
// know.
type line struct {
	topic string
	again func() // takes the topic's lock and looks at the line anew

	// blockers are the subscriptions that the publisher in front waits for,
	// and so all behind it. Without any it may not have to wait any more.
	// Guarded by waitGraph.mu.
	blockers []*Subscription
}

// stale notes that the publisher in front may find room now.
func (l *line) stale(b *Bus) { b.waits.set(l, nil) }

// retry has lines looked at anew. No lock is held.
func retry(lines []*line) {
	for _, l := range lines {
		l.again()
	}
}

// set says what the publisher in front of a line waits for.
func (g *waitGraph) set(l *line, blockers []*Subscription) {
	g.mu.Lock()
	l.blockers = append(l.blockers[:0], blockers...)
	g.mu.Unlock()
}

// unblock says that one of those that the publisher in front waits for has room
// now, though others have not.
func (g *waitGraph) unblock(l *line, sub *Subscription) {
	g.mu.Lock()
	l.blockers = slices.DeleteFunc(l.blockers, func(s *Subscription) bool { return s == sub })
	g.mu.Unlock()
}

// first is one of those that the publisher in front waits for. Nil: nobody knows.
func (g *waitGraph) first(l *line) *Subscription {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(l.blockers) == 0 {
		return nil
	}
	return l.blockers[0]
}

// all are those that the publisher in front waits for.
func (g *waitGraph) all(l *line) []*Subscription {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(l.blockers)
}

// enter records a publish of h that is about to wait in l, and reports the
// cycle of topics if it would wait for ever: then there is no record.
func (g *waitGraph) enter(h *hand, l *line) (*waitRecord, []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := &waitRecord{h, h.call(), l}
	h.waits = append(h.waits, r)
	if g.hands == nil {
		g.hands = make(map[*hand]struct{})
	}
	g.hands[h] = struct{}{}
	if cycle := g.cycle(r); cycle != nil {
		g.remove(r)
		return nil, cycle
	}
	return r, nil
}

// check reports the cycle of topics if r waits for ever: what its line waits
// for may have changed since it was entered.
func (g *waitGraph) check(r *waitRecord) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cycle(r)
}

// starve notes that a hand can take nothing before others are done with their keys.
func (g *waitGraph) starve(h *hand) {
	g.mu.Lock()
	h.starved = true
	g.mu.Unlock()
}

// feed notes that this may have changed.
func (g *waitGraph) feed(hands []*hand) {
	g.mu.Lock()
	for _, h := range hands {
		h.starved = false
	}
	g.mu.Unlock()
}

// exit ends a record.
func (g *waitGraph) exit(r *waitRecord) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.remove(r)
}

func (g *waitGraph) remove(r *waitRecord) {
	h := r.hand
	h.waits = slices.DeleteFunc(h.waits, func(o *waitRecord) bool { return o == r })
	if len(h.waits) == 0 {
		delete(g.hands, h)
	}
}

// cycle returns the topics on the way from the publish of r back to its own
// subscription, if it waits for ever. Nil: it does not, as far as can be seen.
//
// A subscription is stuck if every one of its workers waits in a publish for
// one that is stuck, or for the keys of those who do: what is asked for is the
// largest set of which that is true. So all subscriptions are assumed to be stuck,
// and those are struck off that have a worker of which it does not follow.
func (g *waitGraph) cycle(r *waitRecord) []string {
	stuck := make(map[*Subscription]bool)
	for h := range g.hands {
		stuck[h.sub] = true
	}
	for changed := true; changed; {
		changed = false
		for sub := range stuck {
			for _, h := range sub.hands {
				if !h.starved && h.waitsFor(stuck) == nil {
					delete(stuck, sub)
					changed = true
					break
				}
			}
		}
	}
	isStuck := func(s *Subscription) bool { return stuck[s] }
	if !isStuck(r.hand.sub) || !slices.ContainsFunc(r.line.blockers, isStuck) {
		return nil
	}
	var topics []string
	seen := make(map[*Subscription]bool)
	for at := r; ; {
		topics = append(topics, at.line.topic)
		next := at.line.blockers[slices.IndexFunc(at.line.blockers, isStuck)]
		if seen[next] || next == r.hand.sub {
			return topics
		}
		seen[next] = true
		at = nil
		for _, h := range next.hands {
			if at = h.waitsFor(stuck); at != nil {
				break
			}
		}
		if at == nil {
			return nil // its handler has returned meanwhile, without waiting for that publish
		}
	}
}

// waitsFor is a record of the call being made that waits for one of these.
func (h *hand) waitsFor(stuck map[*Subscription]bool) *waitRecord {
	for _, r := range h.waits {
		if r.call == h.call() && slices.ContainsFunc(r.line.blockers, func(s *Subscription) bool { return stuck[s] }) {
			return r
		}
	}
	return nil
}

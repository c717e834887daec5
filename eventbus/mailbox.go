package eventbus

import (
	"context"
	"slices"
	"sync"
)

// A mailbox is a subscription with a queue of its own, for what the ring of a
// topic cannot express: a filter, several workers, policies that lose the newest
// event or grow, a larger capacity, several topics.
type mailbox[T any] struct {
	filter func(T) bool
	byKey  func(T) string
	limit  int // how many events may wait; noLimit
	once   bool
	most   int   // events taken at once
	from   int64 // events before this Seq are not covered

	// host is where it is registered.
	host host

	mu   sync.Mutex // after those of topics; guards what follows
	cond sync.Cond
	crew
	parked   int  // hands that wait
	starving bool // some of them although there are events

	plain    fifo[Event[T]]
	replayed fifo[Event[T]]   // events from history, before plain
	keyed    *keyed[Event[T]] // instead of both, with several workers
	indexes  map[*hand]int64  // of what they took, with keyed
	accepted int64            // events in all
	judging  int              // events of history that are being judged; nothing is taken meanwhile
	overrun  bool             // what history has is lost, because newer events were meanwhile
	lag      uint64           // lost before the next event that is taken
	nextLag  uint64           // lost before the next event that comes
	complete bool             // it takes no more: Once is satisfied, or it drains
	blocked  []*line          // that have a publisher waiting for room here
	latest   *topicInfo       // of the last event
	spare    []Event[T]       // for taking
}

func newMailbox[T any](s *Subscription, cfg *SubscribeConfig[T], h host) *mailbox[T] {
	m := &mailbox[T]{
		filter: cfg.Filter, limit: cfg.Capacity, once: cfg.Once,
		most: int(atOnce(cfg.Capacity)), host: h, crew: newCrew(s),
	}
	m.cond.L = &m.mu
	if cfg.Once {
		m.most = 1
	}
	if cfg.Workers > 1 {
		m.byKey, m.keyed, m.indexes = cfg.Key, newKeyed[Event[T]](), make(map[*hand]int64)
	}
	return m
}

func (m *mailbox[T]) lock()   { m.mu.Lock() }
func (m *mailbox[T]) unlock() { m.mu.Unlock() }

// waiting is how many events wait in all, fresh how many that count.
func (m *mailbox[T]) waiting() int {
	if m.keyed != nil {
		return m.keyed.len()
	}
	return m.plain.len() + m.replayed.len()
}

func (m *mailbox[T]) fresh() int {
	if m.keyed != nil {
		return m.keyed.fresh()
	}
	return m.plain.len()
}

// wake has one hand look for events.
func (m *mailbox[T]) wake() {
	m.feed()
	if m.parked > 0 {
		m.parked--
		m.cond.Signal()
	}
}

// wakeAll has all hands look whether it is over.
func (m *mailbox[T]) wakeAll() {
	m.feed()
	m.parked = 0
	m.cond.Broadcast()
}

// starve notes that the hand h can take nothing although there are events: with
// that, publishers may wait for each other for ever. It returns the lines that have
// to be looked at.
func (m *mailbox[T]) starve(h *hand) []*line {
	m.starving = true
	m.sub.bus.waits.starve(h)
	return slices.Clone(m.blocked)
}

func (m *mailbox[T]) feed() {
	if m.starving {
		m.starving = false
		m.sub.bus.waits.feed(m.sub.hands)
	}
}

func (m *mailbox[T]) take(b *batch[T], ctx context.Context) bool {
	var got, starved bool
	m.mu.Lock()
	for {
		m.settle(&b.hand) // again after a wait: the channel of a Queue may have been received from
		if got = m.fetch(b); got {
			break
		}
		if m.stopped || m.draining && m.waiting()+m.judging == 0 || ctx != nil && ctx.Err() != nil {
			break
		}
		if m.waiting() > 0 && m.judging == 0 && !starved {
			starved = true
			if lines := m.starve(&b.hand); len(lines) > 0 {
				m.mu.Unlock()
				retry(lines)
				m.mu.Lock()
				continue
			}
		}
		b.parks()
		m.parked++
		m.cond.Wait()
		starved = false
	}
	lines := m.freed()
	m.mu.Unlock()
	retry(lines)
	return got
}

// settle accounts for a batch that has come to its end.
func (m *mailbox[T]) settle(h *hand) {
	if h.n > 0 && m.keyed != nil {
		m.keyed.done(h.key)
		delete(m.indexes, h)
	}
	h.settle(&m.account)
	if len(m.watches) > 0 {
		m.watches.settled(m.at())
	}
}

// at is the index before which everything is settled.
func (m *mailbox[T]) at() int64 {
	if m.keyed == nil {
		return m.accepted - int64(m.waiting()+m.crew.held())
	}
	at := m.accepted
	if oldest, ok := m.keyed.oldest(); ok {
		at = oldest
	}
	for _, index := range m.indexes {
		at = min(at, index)
	}
	return at
}

// fetch moves events to b and reports whether there were any.
func (m *mailbox[T]) fetch(b *batch[T]) bool {
	if m.stopped || m.judging > 0 {
		return false
	}
	if m.keyed != nil {
		e, key, index, ok := m.keyed.take()
		if !ok {
			return false
		}
		m.spare = append(m.spare[:0], e)
		b.hand.key, m.indexes[&b.hand] = key, index
	} else {
		m.spare = m.spare[:0]
		for n := m.watches.cut(m.at(), int64(m.most)); n > 0; n-- {
			e, ok := m.replayed.pop()
			if !ok {
				if e, ok = m.plain.pop(); !ok {
					break
				}
			}
			m.spare = append(m.spare, e)
		}
	}
	if len(m.spare) == 0 {
		return false
	}
	m.spare[0].Lag += m.lag
	m.lag = 0
	b.fill(m.spare)
	clear(m.spare)
	return true
}

// freed are the lines that have to be tried again, because there is room or
// because nobody has to wait for this subscription any more. From here on their
// publishers do not count as waiting for it: whoever finds them so, after the
// lock is released, would see a deadlock that is none.
func (m *mailbox[T]) freed() []*line {
	lines := m.blocked
	m.blocked = nil
	for _, l := range lines {
		l.stale(m.sub.bus)
	}
	return lines
}

// blocks notes that a publisher in line waits for room here.
func (m *mailbox[T]) blocks(l *line) {
	for _, b := range m.blocked {
		if b == l {
			return
		}
	}
	m.blocked = append(m.blocked, l)
}

func (m *mailbox[T]) leave(b *batch[T]) {
	m.mu.Lock()
	last := m.crew.leave(&b.hand)
	m.wakeAll()
	m.mu.Unlock()
	if last {
		m.sub.finish()
	}
}

func (m *mailbox[T]) back(b *batch[T]) {
	m.mu.Lock()
	if !m.stopped {
		m.settle(&b.hand)
	}
	over := m.overLocked()
	m.mu.Unlock()
	if over {
		m.sub.finish()
	}
}

// overLocked reports, once, whether a Queue that drains has come to its end.
func (m *mailbox[T]) overLocked() bool {
	if !m.sub.unmanned || !m.draining || m.gone || m.judging > 0 || m.waiting()+m.crew.held() > 0 {
		return false
	}
	m.gone = true
	m.watches.release()
	m.wakeAll()
	return true
}

func (m *mailbox[T]) stop(err error) aftermath {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopLocked(err)
}

// stopLocked ends the subscription. The rest has to be run without locks.
func (m *mailbox[T]) stopLocked(err error) aftermath {
	if m.stopped || m.gone {
		return aftermath{}
	}
	n := uint64(m.waiting() + m.judging)
	m.judging = 0
	if m.keyed != nil {
		m.keyed.clear()
	} else {
		m.plain.clear()
		m.replayed.clear()
	}
	m.discarded += n
	discarded := n + m.halt(err, n > 0)
	m.wakeAll()
	return aftermath{
		sub: m.sub, info: m.latest, discarded: discarded,
		host: m.host, lines: m.freed(), finish: m.sub.unmanned,
	}
}

func (m *mailbox[T]) drain() aftermath {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped || m.draining {
		return aftermath{}
	}
	m.draining = true
	over := m.overLocked()
	m.wakeAll()
	return aftermath{sub: m.sub, host: m.host, lines: m.freed(), finish: over}
}

func (m *mailbox[T]) stats() (s SubscriptionStats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fill(&s)
	s.Depth += m.waiting() + m.judging
	return s
}

func (m *mailbox[T]) watch() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.gone || m.at() >= m.accepted {
		return nil
	}
	return m.watches.add(m.accepted)
}

func (m *mailbox[T]) unwatch(done <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.watches.remove(done)
}

func (m *mailbox[T]) forget() { m.host.forget(m.sub) }

func (m *mailbox[T]) nudge() {
	m.mu.Lock()
	m.wakeAll()
	m.mu.Unlock()
}

func (m *mailbox[T]) received() {
	m.mu.Lock()
	m.handled++
	m.discarded--
	m.mu.Unlock()
}

func (m *mailbox[T]) subscription() *Subscription { return m.sub }

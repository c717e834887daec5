package eventbus

import (
	"context"
	"reflect"
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
	parked int // hands that wait

	plain    fifo[Event[T]]
	replayed fifo[Event[T]]   // events from history, before plain
	keyed    *keyed[Event[T]] // instead of both, with several workers
	indexes  map[*hand]int64  // of what they took, with keyed
	accepted int64            // events in all
	held     bool             // nothing is taken until history has been judged
	lag      uint64           // lost before the next event that is taken
	nextLag  uint64           // lost before the next event that comes
	complete bool             // it takes no more: Once is satisfied, or it drains
	blocked  []*line          // that have a publisher waiting for room here
	latest   *topicInfo       // of the last event
	spare    []Event[T]       // for taking
}

func newMailbox[T any](s *Subscription, cfg *SubscribeConfig[T], h host, unmanned bool) *mailbox[T] {
	m := &mailbox[T]{
		filter: cfg.Filter, limit: cfg.Capacity, once: cfg.Once,
		most: int(atOnce(cfg.Capacity)), host: h, crew: newCrew(s, unmanned),
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

// replay gives it the events that history had for it, before those that came
// since it was registered. It is called by the subscriber, so that its functions
// run on that goroutine and without locks.
func (m *mailbox[T]) replay(past []Event[T]) {
	if len(past) == 0 {
		return
	}
	verdicts := make([]verdict, len(past))
	for i := range past {
		m.judge(&verdicts[i], past[i].Data, past[i].Key())
	}
	m.mu.Lock()
	if m.stopped {
		m.discarded += uint64(len(past))
		m.mu.Unlock()
		m.sub.lost(0, uint64(len(past)), past[0].topic)
		return
	}
	var after []aftermath
	since := m.fresh()
	if m.keyed != nil {
		m.replayKeyed(past, verdicts, &after)
	} else {
		for i := range past {
			if !m.admits(&past[i], &verdicts[i], &after) {
				continue
			}
			m.replayed.push(past[i])
			if m.once {
				break
			}
		}
	}
	added := int64(m.waiting() - since)
	m.accepted += added
	m.watches.shift(-1, added)
	m.held = false
	if m.once && m.waiting() > 0 {
		m.satisfied()
		after = append(after, aftermath{sub: m.sub, host: m.host})
	}
	if m.overLocked() { // it was drained meanwhile, and nothing passed its functions
		after = append(after, aftermath{sub: m.sub, finish: true})
	}
	m.wakeAll()
	m.mu.Unlock()
	runAll(m.sub.life.outer, after)
}

// replayKeyed puts the past before what is queued.
func (m *mailbox[T]) replayKeyed(past []Event[T], verdicts []verdict, after *[]aftermath) {
	queued := m.keyed
	m.keyed = newKeyed[Event[T]]()
	for i := range past {
		if m.admits(&past[i], &verdicts[i], after) {
			m.keyed.push(verdicts[i].key, true, past[i])
		}
	}
	for {
		e, key, _, ok := queued.take()
		if !ok {
			return
		}
		queued.done(key)
		m.keyed.push(key, false, e)
	}
}

// admits reports whether an event of history passes its own functions.
func (m *mailbox[T]) admits(e *Event[T], v *verdict, after *[]aftermath) bool {
	switch {
	case v.err != nil:
		*after = append(*after, m.spoiled(e, v))
		return false
	case v.refused:
		m.filtered++
		return false
	}
	return true
}

// spoiled accounts for an event at which Filter or Key panicked.
func (m *mailbox[T]) spoiled(e *Event[T], v *verdict) aftermath {
	m.failed++
	return aftermath{sub: m.sub, info: e.topic, failure: &Failure{
		Event: e.erased(), Subscription: m.sub.name, Final: true, Err: v.err,
	}}
}

// satisfied is the end of coverage by Once: the event it is to get is queued.
func (m *mailbox[T]) satisfied() {
	m.complete, m.draining = true, true
	e, _ := m.plain.pop()
	m.plain.clear() // what came after it is not covered
	if m.replayed.len() == 0 {
		m.plain.push(e)
	}
	m.accepted = 1
}

// A verdict is what a subscription's own functions say about an event.
type verdict struct {
	skip    bool // it is of another type
	refused bool
	err     error // they panicked
	key     string
}

// judge asks Filter and Key. It is called without locks.
func (m *mailbox[T]) judge(v *verdict, data T, key string) {
	*v = verdict{key: key}
	if m.filter == nil && m.byKey == nil {
		return
	}
	v.err = safely(func() {
		if m.filter != nil && !m.filter(data) {
			v.refused = true
			return
		}
		if m.byKey != nil {
			v.key = m.byKey(data)
		}
	})
}

// judgeAny is judge for topics of another type.
func (m *mailbox[T]) judgeAny(v *verdict, data any, key string) {
	typed, ok := data.(T)
	if !ok && (data != nil || reflect.TypeFor[T]() != reflect.TypeFor[any]()) {
		*v = verdict{skip: true}
		return
	}
	m.judge(v, typed, key)
}

func (m *mailbox[T]) lock()   { m.mu.Lock() }
func (m *mailbox[T]) unlock() { m.mu.Unlock() }

func (m *mailbox[T]) judges() bool { return m.filter != nil || m.byKey != nil }

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

// closedTo reports whether new events are none of its business.
func (m *mailbox[T]) closedTo() bool { return m.complete || m.stopped || m.draining }

// room reports whether n more events are no reason to refuse a publish.
func (m *mailbox[T]) room(n int) bool {
	return m.closedTo() || m.limit == noLimit || !m.sub.policy.gating() || m.fresh()+n <= m.limit
}

// put takes an event of an accepted publish, or loses it as the policy says. Not
// covered is one that comes after its end, or is its end.
func (m *mailbox[T]) put(e Event[T], v *verdict) (after aftermath, covered bool) {
	if m.closedTo() {
		return after, false
	}
	if v.skip || e.Seq < m.from {
		return after, true
	}
	m.latest = e.topic
	switch {
	case v.err != nil:
		return m.spoiled(&e, v), true
	case v.refused:
		m.filtered++
		return after, true
	}
	if m.limit != noLimit && m.fresh() >= m.limit {
		switch m.sub.policy {
		case DropNewest:
			m.lagged++
			m.nextLag++
			return aftermath{sub: m.sub, info: e.topic, lagged: 1}, true
		case DropOldest:
			after = aftermath{sub: m.sub, info: e.topic, lagged: m.dropOldest()}
		default:
			return m.stopLocked(m.sub.disconnected(e.Seq)), false
		}
	}
	e.Lag, m.nextLag = m.nextLag, 0
	m.accepted++
	if m.keyed != nil {
		m.keyed.push(v.key, false, e)
	} else {
		m.plain.push(e)
	}
	if m.once && !m.held {
		m.complete = true
		m.draining = true
		after.sub, after.host = m.sub, m.host
	}
	m.wake()
	return after, true
}

// dropOldest loses the oldest event that counts, and before it what is left of a
// replay, which is older. It returns how many that were.
func (m *mailbox[T]) dropOldest() (lost uint64) {
	lose := func(e Event[T], ok bool) bool {
		if ok {
			lost++
			m.lag += 1 + e.Lag
		}
		return ok
	}
	if m.keyed != nil {
		for lose(m.keyed.dropReplayed()) {
		}
		lose(m.keyed.dropOldest())
	} else {
		at := m.accepted - int64(m.waiting())
		for lose(m.replayed.pop()) {
		}
		lose(m.plain.pop())
		for range lost {
			m.watches.shift(at, -1) // what comes after it moves up by one
		}
		m.accepted -= int64(lost)
	}
	m.lagged += lost
	return lost
}

// wake has one hand look for events.
func (m *mailbox[T]) wake() {
	if m.parked > 0 {
		m.parked--
		m.cond.Signal()
	}
}

// wakeAll has all hands look whether it is over.
func (m *mailbox[T]) wakeAll() {
	m.parked = 0
	m.cond.Broadcast()
}

func (m *mailbox[T]) take(b *batch[T], ctx context.Context) bool {
	got := false
	m.mu.Lock()
	for {
		m.settle(&b.hand) // again after a wait: the channel of a Queue may have been received from
		if got = m.fetch(b); got {
			break
		}
		if m.stopped || m.draining && m.waiting() == 0 || ctx != nil && ctx.Err() != nil {
			break
		}
		b.parks()
		m.parked++
		m.cond.Wait()
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
	if m.stopped || m.held {
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
	if !m.unmanned || !m.draining || m.gone || m.held || m.waiting()+m.crew.held() > 0 {
		return false
	}
	m.gone = true
	m.watches.release()
	m.wakeAll()
	return true
}

func (m *mailbox[T]) stop(err error) {
	m.mu.Lock()
	after := m.stopLocked(err)
	m.mu.Unlock()
	after.run(context.Background())
}

// stopLocked ends the subscription. The rest has to be run without locks.
func (m *mailbox[T]) stopLocked(err error) aftermath {
	if m.stopped || m.gone {
		return aftermath{}
	}
	n := uint64(m.waiting())
	if m.keyed != nil {
		m.keyed.clear()
	} else {
		m.plain.clear()
		m.replayed.clear()
	}
	m.discarded += n
	discarded := n + m.halt(err)
	m.wakeAll()
	return aftermath{
		sub: m.sub, info: m.latest, discarded: discarded,
		host: m.host, lines: m.freed(), finish: m.unmanned,
	}
}

func (m *mailbox[T]) drain() {
	m.mu.Lock()
	if m.stopped || m.draining {
		m.mu.Unlock()
		return
	}
	m.draining = true
	over := m.overLocked()
	lines := m.freed()
	m.wakeAll()
	m.mu.Unlock()
	retry(lines)
	m.host.remove(m.sub)
	if over {
		m.sub.finish()
	}
}

func (m *mailbox[T]) stats() (s SubscriptionStats) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fill(&s)
	s.Depth += m.waiting()
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

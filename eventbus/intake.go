package eventbus

import "reflect"

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

func (m *mailbox[T]) judges() bool { return m.filter != nil || m.byKey != nil }

// closedTo reports whether new events are none of its business. While history is
// being judged for one that wants a single event, one more is kept, in case nothing
// of history passes.
func (m *mailbox[T]) closedTo() bool {
	return m.complete || m.stopped || m.draining || m.once && m.judging > 0 && m.plain.len() > 0
}

// takes reports whether an event is its business, and will not be its end.
func (m *mailbox[T]) takes(v *verdict) bool {
	if m.closedTo() || v.skip {
		return false
	}
	ends := m.sub.policy == Disconnect || m.sub.policy == Unbounded
	return !ends || v.refused || v.err != nil || m.limit == noLimit || m.fresh() < m.limit
}

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
			m.overrun = m.judging > 0
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
	if m.once && m.judging == 0 {
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
	if len(m.watches) > 0 {
		m.watches.settled(m.at()) // what is lost is settled
	}
	return lost
}

package eventbus

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
	if m.stopped { // with all this
		m.mu.Unlock()
		return
	}
	m.judging = 0
	var after []aftermath
	since := m.fresh()
	admitted := past[:0]
	keys := make([]string, 0, len(past))
	for i := range past {
		if m.admits(&past[i], &verdicts[i], &after) {
			admitted, keys = append(admitted, past[i]), append(keys, verdicts[i].key)
			if m.once {
				break
			}
		}
	}
	switch {
	case m.overrun:
		n := uint64(len(admitted))
		m.lag += n
		m.lagged += n
		after = append(after, aftermath{sub: m.sub, info: past[0].topic, lagged: n})
	case m.keyed != nil:
		m.replayKeyed(admitted, keys)
	default:
		for i := range admitted {
			m.replayed.push(admitted[i])
		}
	}
	added := int64(m.waiting() - since)
	m.accepted += added
	m.watches.shift(-1, added)
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
func (m *mailbox[T]) replayKeyed(past []Event[T], keys []string) {
	queued := m.keyed
	m.keyed = newKeyed[Event[T]]()
	for i := range past {
		m.keyed.push(keys[i], true, past[i])
	}
	for e, key := range queued.unreplayed() {
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

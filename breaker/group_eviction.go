package breaker

// Everything here decides which breakers of a group are forgotten (G41). The
// group's lock is held, but for the reading of clocks.

// sweepStep is how many members are looked at when one is added. More than one,
// so that a group above Max shrinks.
const sweepStep = 4

// sweep looks at the next few members, as the hand of a clock comes round to
// them. One that was used since the hand last came is marked idle and spared;
// the others are returned. The member just added stays.
func (g *Group[K]) sweep(added *member[K], now int64) (idlers [sweepStep]*member[K]) {
	for i := range idlers {
		g.hand %= len(g.ring)
		m := g.ring[g.hand]
		g.hand++
		switch {
		case m == added:
		case m.use.CompareAndSwap(used, idle):
			m.seen = now
		default:
			idlers[i] = m
		}
	}
	return idlers
}

// forget drops an idle member if it is clean and there are too many, or if it
// has been idle for long enough and can be spared. Meanwhile it may have been
// used, or dropped.
//
// All is looked at under the lock, without which no sweep can mark a member
// idle: one that is used after the look is not idle any more when it would go.
// Judged before, it could be used, forced open and found idle again in between.
func (g *Group[K]) forget(m *member[K], now int64) {
	its := m.time.now() // GetWith may have given it another clock
	g.mu.Lock()
	defer g.mu.Unlock()
	crowded := g.max > 0 && len(g.ring) > g.max
	stale := span{m.seen, g.idleFor}.over(now)
	if (crowded && g.clean(m, its) || stale && m.expendable(its)) && m.use.CompareAndSwap(idle, gone) {
		g.remove(m)
	}
}

// clean reports whether Get would make an equal one. What was reconfigured by
// itself is not; GetWith is called with its Config again.
func (g *Group[K]) clean(m *member[K], now int64) bool {
	return (!m.own || m.cur.Load().set == g.set) && m.Breaker.clean(now)
}

func (g *Group[K]) remove(m *member[K]) {
	last := g.ring[len(g.ring)-1]
	g.ring[m.index], last.index = last, m.index
	g.ring[len(g.ring)-1] = nil
	g.ring = g.ring[:len(g.ring)-1]
	if g.fresh[m.key] == m {
		delete(g.fresh, m.key)
		return
	}
	// hits still has it. Make hits anew when half of it is gone.
	if g.dropped++; g.dropped > len(*g.hits.Load())/2 {
		g.merge()
	}
}

// clean reports whether a fresh breaker would be equal: initial state, no bad
// outcome in any window, nothing remembered for the backoff or after WouldOpen.
func (b *Breaker) clean(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.cur.Load()
	if e.state != b.initial || e.reason == ReasonForced || e.muted(now) || e.parked != nil && e.parked.state != Closed {
		return false
	}
	for i, k := range e.counters {
		if _, bad := k.counts(now, &e.set.rules[i]); bad > 0 {
			return false
		}
	}
	p := b.past.Load()
	return p == nil || p.backoff.rested(e.set, now)
}

// expendable reports whether a breaker that nobody uses may be forgotten: its
// open time is over, and no explicit call pins it.
func (b *Breaker) expendable(now int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.cur.Load()
	if e.parked != nil {
		if e.reason == ReasonForced {
			return false
		}
		e = e.parked
	}
	return e.state != Open || e.span.over(now)
}

package balance

import "math"

// A verdict is a member that a rule wants ejected.
type verdict struct {
	m    *member
	rule string
}

// count takes an outcome into account for the outlier rules.
func (b *Balancer) count(m *member, failed bool, now int64) {
	o := b.cfg.Outlier
	if end := b.intervalEnd.Load(); now >= end && b.intervalEnd.CompareAndSwap(end, after(now, o.Interval)) {
		// Without this outcome, which belongs to the next interval. After a long
		// pause what there was before says nothing any more.
		b.judgeRates(now, now < after(end, o.Interval))
	}
	m.tally.calls.Add(1)
	if !failed {
		if m.tally.row.Load() != 0 { // most calls have nothing to write here
			m.tally.row.Store(0)
		}
		return
	}
	m.tally.fails.Add(1)
	if row := m.tally.row.Add(1); o.Consecutive > 0 && int(row) >= o.Consecutive {
		if s := b.state.Load(); b.holds(s) && s.ejected >= o.cap(len(s.members)) {
			return // when everything fails, not everybody has to wait for the lock
		}
		b.mu.Lock()
		defer b.unlock()
		b.eject([]verdict{{m, ruleConsecutive}}, now)
	}
}

// judgeRates applies the rules about rates to the interval that is over, if it is
// the latest one.
func (b *Balancer) judgeRates(now int64, latest bool) {
	b.mu.Lock()
	defer b.unlock()
	s := b.adapt()
	rates := make([]rate, len(s.members))
	for i := range s.members {
		calls, fails := s.members[i].m.tally.take()
		rates[i] = rate{i: i, calls: calls, fails: fails}
	}
	for _, m := range b.known {
		if m.chosen != s.round { // out of it for now
			m.tally.take()
		}
	}
	if !latest {
		return
	}
	var out []verdict
	for _, r := range b.cfg.Outlier.judge(rates) {
		out = append(out, verdict{s.members[r.i].m, r.rule})
	}
	b.eject(out, now)
}

// eject ejects members, as far as the cap allows. mu is held.
func (b *Balancer) eject(all []verdict, now int64) {
	s := b.adapt()
	left := b.cfg.Outlier.cap(len(s.members)) - s.ejected
	var out []verdict
	for _, v := range all {
		if left <= 0 || v.m.ejection.on || v.m.chosen != s.round {
			continue // the others go on; who fails again asks again
		}
		out = append(out, v)
		left--
	}
	if len(out) == 0 {
		return
	}
	stale := *s
	stale.next = math.MinInt64 // in case a policy panics now, the next pick tries again
	b.state.Store(&stale)
	for _, v := range out {
		d := v.m.ejection.begin(b.cfg.Outlier, now)
		v.m.rule = v.rule
		v.m.tally.row.Store(0)
		b.ejected(v.m, true, d, now)
	}
	// At once, so that no pick that begins after this gets one of them.
	b.state.Store(b.build(b.svc.Snapshot(), now))
}

package breaker

import "sync/atomic"

// A countWindow tells how many of the last size outcomes are bad, exactly,
// although good outcomes take no lock and, most of the time, write nothing.
//
// Outcomes are ordered by tickets from seq. Bad ones also enter a history of
// the newest limit tickets, under the breaker's lock; the limit is reached when
// the limit-th newest bad ticket is among the last size. While the window is
// not yet full the totals are compared, because a rate is then a share of
// fewer outcomes.
//
// last makes good outcomes cheap. It holds the newest bad ticket plus one and
// becomes 0, clean, when size outcomes have passed since: one more good outcome
// cannot change a full window without a bad one, so none takes a ticket until
// the next bad outcome comes. It starts at 1, as if ticket 0 had been bad: a
// window that is not full yet must not become clean, or the minimum calls
// would be wrong.
//
// The race between a good outcome that finds the window clean and a bad one:
// the good one loads last, then the bad one takes its ticket and stores it. The
// good one takes no ticket, which is to say it came first. The other way round,
// a good outcome with ticket t swaps last from the value it loaded, so a bad
// outcome that stored its own in between keeps the window from becoming clean.
//
// A retired window gives out tickets from retiredBias on only, and last is
// negative. A good outcome that loaded last before learns it from its ticket.
type countWindow struct {
	last atomic.Int64
	seq  atomic.Int64
	size int64
	hist atomic.Pointer[history]
}

func (w *countWindow) good(int64) bool {
	l := w.last.Load()
	if l <= 0 {
		return l == 0
	}
	t := w.seq.Add(1)
	if t > retiredBias {
		return false
	}
	if t-(l-1) >= w.size {
		w.last.CompareAndSwap(l, 0)
	}
	return true
}

func (w *countWindow) bad(_ int64, r *rule, seal bool) bool {
	h := w.hist.Load()
	for {
		last := w.seq.Load()
		t, next := last+1, last+1
		full := w.fullWith(t, r, h)
		if full && seal {
			next += retiredBias
		}
		if !w.seq.CompareAndSwap(last, next) {
			continue
		}
		h.add(t)
		w.last.Store(t + 1)
		if full && seal {
			w.last.Store(-1)
		}
		return full
	}
}

// fullWith reports whether a bad outcome with ticket t reaches the limit.
func (w *countWindow) fullWith(t int64, r *rule, h *history) bool {
	limit := r.bad()
	switch {
	case t < w.size && r.kind == failureCount:
		return h.added.Load()+1 >= limit
	case t < w.size:
		return r.exceeds(t, h.added.Load()+1)
	}
	return limit == 1 || h.held() >= limit-1 && h.newest(limit-1) > t-w.size
}

func (w *countWindow) counts(int64, *rule) (calls, bad int64) {
	t := w.seq.Load()
	if t > retiredBias {
		t -= retiredBias
	}
	h := w.hist.Load()
	if t < w.size {
		return t, min(h.added.Load(), t)
	}
	return w.size, h.above(t - w.size)
}

func (w *countWindow) retire() {
	if w.last.Swap(-1) >= 0 {
		w.seq.Add(retiredBias)
	}
}

func (w *countWindow) fit(r *rule)          { fit(&w.hist, r.kept()) }
func (w *countWindow) pulse() *atomic.Int64 { return &w.last }

package breaker

import "sync/atomic"

// A history keeps the newest values of a sequence that never decreases: tickets
// or times of bad outcomes. Values are added under the breaker's lock; reads
// are lock-free and may see a value or two more or less.
type history struct {
	at    []atomic.Int64
	added atomic.Int64 // values ever added; the running number is the index, modulo the size
	lost  int64        // of these, what a smaller history before this one had not kept
}

func newHistory(size int64) *history { return &history{at: make([]atomic.Int64, size)} }

func (h *history) size() int64 { return int64(len(h.at)) }

// held is how many values the history still has.
func (h *history) held() int64 { return min(h.added.Load()-h.lost, h.size()) }

func (h *history) add(v int64) {
	n := h.added.Load()
	h.at[n%h.size()].Store(v)
	h.added.Store(n + 1)
}

// newest is the k-th newest value, k from 1; it must be held.
func (h *history) newest(k int64) int64 {
	return h.at[(h.added.Load()-k)%h.size()].Load()
}

// notBefore is v, or the newest value if that is greater.
func (h *history) notBefore(v int64) int64 {
	if h.held() > 0 {
		return max(v, h.newest(1))
	}
	return v
}

// above is how many held values are greater than v, by binary search.
func (h *history) above(v int64) int64 {
	lo, hi := int64(0), h.held() // the lo newest are above v; those older than the hi newest are not
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if h.newest(mid) > v {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return lo
}

// fit makes the history at p hold at least size values. It never shrinks: the
// limit may be raised again before what was counted has left the window.
func fit(p *atomic.Pointer[history], size int64) {
	old := p.Load()
	if old == nil {
		p.Store(newHistory(size))
		return
	}
	if old.size() >= size {
		return
	}
	h := newHistory(size)
	n := old.added.Load()
	h.lost = n - old.held()
	for k := old.held(); k >= 1; k-- {
		h.at[(n-k)%size].Store(old.newest(k))
	}
	h.added.Store(n)
	p.Store(h)
}

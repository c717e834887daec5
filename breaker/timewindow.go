package breaker

import "sync/atomic"

// A logWindow counts the bad outcomes of the last length, exactly: it keeps
// the times of as many of the newest ones as the limit. Good outcomes change
// nothing.
type logWindow struct {
	state  atomic.Int64 // 0, or -1 once retired
	length int64
	hist   atomic.Pointer[history]
}

func (w *logWindow) good(int64) bool { return w.state.Load() == 0 }

func (w *logWindow) bad(now int64, r *rule, seal bool) bool {
	h := w.hist.Load()
	now = h.notBefore(now)
	h.add(now)
	limit := r.bad()
	full := h.held() >= limit && elapsed(h.newest(limit), now) < w.length
	if full && seal {
		w.retire()
	}
	return full
}

func (w *logWindow) counts(now int64, _ *rule) (calls, bad int64) {
	h := w.hist.Load()
	n := h.above(before(h.notBefore(now), w.length))
	return n, n
}

func (w *logWindow) fit(r *rule)          { fit(&w.hist, r.bad()) }
func (w *logWindow) retire()              { w.state.Store(-1) }
func (w *logWindow) pulse() *atomic.Int64 { return &w.state }

// A rateWindow counts good and bad outcomes in a ring of n buckets. A bucket is
// one word, {tick 40 | count 24}, so that beginning a new tick and adding to it
// is one compare-and-swap and no outcome is lost in between. Good outcomes are
// spread over several rows on cache lines of their own; bad ones have one row,
// written under the breaker's lock.
//
// Since good outcomes take no lock, a bad one that sums the buckets may miss
// some that are concurrent with it; that can only overestimate the rate (G19).
type rateWindow struct {
	retired atomic.Bool
	newest  atomic.Int64 // the latest tick seen: when time goes backward, it stays
	width   int64
	n       int64
	rows    [][]atomic.Uint64 // bad, then the stripes of good
}

const (
	countBits = 24
	maxCount  = 1<<countBits - 1
	lineWords = 8 // words in a cache line
)

func newRateWindow(length int64, buckets, stripes int) *rateWindow {
	w := &rateWindow{width: length / int64(buckets), n: int64(buckets)}
	// One piece of memory, with a whole line between two rows: wherever the
	// piece begins, no two rows share a line.
	stride := buckets + lineWords
	all := make([]atomic.Uint64, stride*(stripes+1))
	for i := range stripes + 1 {
		w.rows = append(w.rows, all[i*stride:][:buckets])
	}
	return w
}

// good of an outcome that looks before the window is retired and adds after is
// one that came before: nobody will read it.
func (w *rateWindow) good(now int64) bool {
	if w.retired.Load() {
		return false
	}
	w.add(w.rows[1+stripe(now, len(w.rows)-1)], w.tick(now))
	return true
}

func (w *rateWindow) bad(now int64, r *rule, seal bool) bool {
	w.add(w.rows[0], w.tick(now))
	full := r.exceeds(w.counts(now, r))
	if full && seal {
		w.retire()
	}
	return full
}

// tick is the bucket time of now, never before one that was seen.
func (w *rateWindow) tick(now int64) int64 {
	t := max(now, 0) / w.width
	for {
		newest := w.newest.Load()
		if t <= newest {
			return newest
		}
		// Once per bucket; all other outcomes find the word as it should be.
		if w.newest.CompareAndSwap(newest, t) {
			return t
		}
	}
}

func (w *rateWindow) add(row []atomic.Uint64, tick int64) {
	bucket := &row[tick%w.n]
	for {
		old := bucket.Load()
		next := old + 1
		switch t := int64(old >> countBits); {
		case t < tick: // what it held has left the window
			next = uint64(tick)<<countBits | 1
		case old&maxCount == maxCount:
			return // saturated
		}
		// A bucket may be ahead of tick if this goroutine was held up for a
		// whole window after reading the time: its outcome counts there.
		if bucket.CompareAndSwap(old, next) {
			return
		}
	}
}

func (w *rateWindow) counts(now int64, _ *rule) (calls, bad int64) {
	oldest := max(w.newest.Load(), max(now, 0)/w.width) - w.n // the last tick that is out
	bad = sum(w.rows[0], oldest)
	calls = bad
	for _, row := range w.rows[1:] {
		calls += sum(row, oldest)
	}
	return calls, bad
}

func sum(row []atomic.Uint64, oldest int64) (n int64) {
	for i := range row {
		if word := row[i].Load(); int64(word>>countBits) > oldest {
			n += int64(word & maxCount)
		}
	}
	return n
}

func (w *rateWindow) retire()              { w.retired.Store(true) }
func (w *rateWindow) fit(*rule)            {}
func (w *rateWindow) pulse() *atomic.Int64 { return nil }

package breaker

import "sync/atomic"

// A counter is the memory of one rule over one closed stay. Its methods take
// the time as an argument and the rule with its limits too, so that
// Reconfigure can change these without touching the counts.
//
// An outcome and the end of the stay meet in one atomic word: an outcome that
// comes after the end finds that it is late, also if nobody knows yet. So every
// run has an order that explains it.
//
// good is safe at any time from any goroutine. The others but counts need the
// breaker's lock; counts reads atomics one by one and may be a few concurrent
// outcomes off.
type counter interface {
	// good counts an outcome that is not bad. It reports false, and counts
	// nothing, if the counter is retired.
	good(now int64) bool
	// bad counts one that is, and reports whether the limit is reached. With
	// seal that retires the counter in the same step.
	bad(now int64, r *rule, seal bool) (full bool)
	// counts is what the window holds; bad <= calls, and equal if successes
	// are not counted.
	counts(now int64, r *rule) (calls, bad int64)
	// fit makes room for the rule's new limit.
	fit(r *rule)
	// retire ends the counter with its stay. counts goes on telling what it was.
	retire()
	// pulse is a word that is 0 while a good outcome changes nothing; nil if
	// every one has to be told.
	pulse() *atomic.Int64
}

func newCounter(r *rule) counter {
	switch {
	case r.kind == consecutive:
		return new(streak)
	case r.window.Last > 0:
		w := &countWindow{size: int64(r.window.Last)}
		w.last.Store(1)
		w.fit(r)
		return w
	case r.kind == failureCount:
		w := &logWindow{length: int64(r.window.Within)}
		w.fit(r)
		return w
	}
	return newRateWindow(int64(r.window.Within), r.buckets(), stripes())
}

// A streak counts consecutive failures in one word; once retired, retiredBias
// is taken from it. Failures that do not reach the limit need no lock either.
type streak struct{ n atomic.Int64 }

const retiredBias = 1 << 62

func (s *streak) good(int64) bool {
	for {
		n := s.n.Load()
		// A failure that slips in between makes the swap fail. Giving up then
		// would leave a count that no order of the outcomes explains.
		if n == 0 || n > 0 && s.n.CompareAndSwap(n, 0) {
			return true
		}
		if n < 0 {
			return false
		}
	}
}

func (s *streak) bad(_ int64, r *rule, seal bool) bool {
	for {
		n := s.n.Load()
		next := n + 1
		full := next >= r.bad()
		if full && seal {
			next -= retiredBias
		}
		if s.n.CompareAndSwap(n, next) {
			return full
		}
	}
}

// below counts a bad outcome if that does not reach the limit, and reports
// whether it did. It needs no lock.
func (s *streak) below(limit int64) bool {
	for {
		n := s.n.Load()
		if n < 0 || n+1 >= limit {
			return false
		}
		if s.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *streak) counts(int64, *rule) (calls, bad int64) {
	n := s.n.Load()
	if n < 0 {
		n += retiredBias
	}
	return n, n
}

func (s *streak) retire() {
	for {
		if n := s.n.Load(); n < 0 || s.n.CompareAndSwap(n, n-retiredBias) {
			return
		}
	}
}

func (s *streak) fit(*rule)            {}
func (s *streak) pulse() *atomic.Int64 { return &s.n }

package breaker

import "sync/atomic"

// A counter is the memory of one rule over one closed stay. Its methods take
// the time as an argument and the rule with its limits too, so that
// Reconfigure can change these without touching the counts.
//
// good is safe at any time from any goroutine. bad and fit need the breaker's
// lock; counts reads atomics one by one and may be a few concurrent
// outcomes off.
type counter interface {
	good(now int64)                               // an outcome that is not bad
	bad(now int64, r *rule) (trip bool)           // one that is; reports whether the rule's limit is reached
	counts(now int64, r *rule) (calls, bad int64) // bad <= calls; equal if successes are not counted
	fit(r *rule)                                  // makes room for the rule's new limit
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

// A streak counts consecutive failures in one word. Every outcome linearises
// at its one atomic access, so failures need no lock either.
type streak struct{ n atomic.Int64 }

func (s *streak) good(int64) {
	for {
		n := s.n.Load()
		// A failure that slips in between makes the swap fail. Giving up then
		// would leave a count that no order of the outcomes explains.
		if n == 0 || s.n.CompareAndSwap(n, 0) {
			return
		}
	}
}

func (s *streak) bad(_ int64, r *rule) bool { return s.n.Add(1) >= r.bad() }

// below counts a bad outcome if that does not reach the limit, and reports
// whether it did not.
func (s *streak) below(limit int64) bool {
	for {
		n := s.n.Load()
		if n+1 >= limit {
			return false
		}
		if s.n.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *streak) counts(int64, *rule) (calls, bad int64) {
	n := s.n.Load()
	return n, n
}

func (s *streak) fit(*rule)            {}
func (s *streak) pulse() *atomic.Int64 { return &s.n }

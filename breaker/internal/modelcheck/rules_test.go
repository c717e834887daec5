package modelcheck

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

type ruleKind uint8

const (
	consecutive ruleKind = iota
	failureCount
	failureRate
	slowRate
)

// million is the share 1 in the rates of the model, which are integers.
const million = 1_000_000

// A ruleSpec is one rule as the model sees it.
type ruleSpec struct {
	kind      ruleKind
	limit     int   // consecutive, failureCount
	rate      int64 // in millionths
	minCalls  int
	threshold time.Duration
	window    breaker.Window
}

// rule makes the rule for the breaker.
func (r *ruleSpec) rule() breaker.Rule {
	rate := float64(r.rate) / million
	switch r.kind {
	case consecutive:
		return breaker.ConsecutiveFailures(r.limit)
	case failureCount:
		return breaker.FailureCount(r.limit, r.window)
	case failureRate:
		return breaker.FailureRate(rate, r.minCalls, r.window)
	default:
		return breaker.SlowRate(r.threshold, rate, r.minCalls, r.window)
	}
}

func (r *ruleSpec) String() string { return fmt.Sprint(r.rule()) }

// minimum is minCalls with its default: 20, or the size of a smaller LastN
// window; negative is none.
func (r *ruleSpec) minimum() int {
	switch {
	case r.minCalls != 0:
		return max(r.minCalls, 0)
	case r.window.Last > 0:
		return min(20, r.window.Last)
	}
	return 20
}

// buckets is the granularity of a rate over Within: 10, or as many as fit.
func (r *ruleSpec) buckets() int64 {
	if r.window.Buckets > 0 {
		return int64(r.window.Buckets)
	}
	return min(10, int64(r.window.Within/(10*time.Millisecond)))
}

// bucketed tells a rate over Within, whose window moves by buckets.
func (r *ruleSpec) bucketed() bool { return r.window.Within > 0 && r.kind != failureCount }

// serves reports whether the memory of one rule is that of the other: place
// aside, kind and window are the same (G29).
func (r *ruleSpec) serves(o *ruleSpec) bool {
	return r.kind == o.kind && r.window.Last == o.window.Last && r.window.Within == o.window.Within &&
		(!r.bucketed() || r.buckets() == o.buckets())
}

// kept is how many bad outcomes a rule has to remember: as many as open, or as
// may come before a rate counts.
func (r *ruleSpec) kept() int {
	switch {
	case r.kind == consecutive, r.bucketed():
		return math.MaxInt
	case r.kind == failureCount:
		return r.limit
	}
	open := (r.rate*int64(r.window.Last) + million - 1) / million
	return max(int(open), r.minimum())
}

// A memory is all that a rule has been told in one stay. Of bad outcomes it
// has so many as it ever had to, if more come because the stay is suspended by
// a forced state (G37).
type memory struct {
	list []entry
	kept int
}

// An entry is one outcome. Times never decrease: an outcome that ends before
// one that was counted already is counted with it (G34).
type entry struct {
	bad       bool
	forgotten bool
	at        int64 // its moment; for a rate over Within, the number of its bucket
}

// instant is what an outcome that ends now is filed under.
func (r *ruleSpec) instant(m *memory, now int64) int64 {
	if r.bucketed() {
		now = max(now, 0) / (int64(r.window.Within) / r.buckets())
	}
	if n := len(m.list); n > 0 {
		now = max(now, m.list[n-1].at)
	}
	return now
}

// add counts an outcome that ends now. Good ones are nothing to a log.
func (r *ruleSpec) add(m *memory, now int64, bad bool) {
	if !bad && r.kind == failureCount && r.window.Within > 0 {
		return
	}
	m.kept = max(m.kept, r.kept())
	m.list = append(m.list, entry{bad: bad, at: r.instant(m, now)})
	for i, n := len(m.list)-1, 0; i >= 0 && n <= m.kept; i-- {
		if m.list[i].bad && !m.list[i].forgotten {
			n++
			m.list[i].forgotten = n > m.kept
		}
	}
}

// counts is how many outcomes the window holds now, and how many bad ones.
func (r *ruleSpec) counts(m *memory, now int64) (calls, bad int64) {
	now = r.instant(m, now)
	full := r.window.Last == 0 || len(m.list) >= r.window.Last
	for _, e := range slices.Backward(m.list) {
		var in bool
		switch {
		case r.kind == consecutive:
			in = e.bad
		case r.window.Last > 0:
			in = calls < int64(r.window.Last)
		case r.bucketed(): // the present bucket, and those before it
			in = e.at > now-r.buckets()
		default: // one that is exactly Within old has left (G2)
			in = now-e.at < int64(r.window.Within) && !e.forgotten
		}
		if !in {
			break
		}
		calls++
		if e.bad && !(full && e.forgotten) {
			bad++
		}
	}
	return calls, bad
}

// reached reports whether the rule's limit is reached.
func (r *ruleSpec) reached(m *memory, now int64) bool {
	calls, bad := r.counts(m, now)
	if r.kind == consecutive || r.kind == failureCount {
		return bad >= int64(r.limit)
	}
	return calls >= int64(r.minimum()) && bad*million >= r.rate*calls
}

package breaker

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Rule says when a breaker opens. It is an immutable value, made by
// [ConsecutiveFailures], [FailureCount], [FailureRate], [SlowRate] and [Any],
// and may be shared by any number of breakers. The zero Rule is
// ConsecutiveFailures(5). Arguments out of range are reported by [New].
//
// A rule is evaluated only by an outcome that it counts as bad, so a success
// that brings a rate to its minimum calls does not open (G16).
type Rule struct {
	any   bool // made by Any, which may have been given nothing
	empty bool // ... or an Any that was
	parts []rule
}

// A Window is the stretch of outcomes a rule looks at: by count or by time.
// Exactly one of Last and Within is set. [LastN] and [Within] make the usual
// ones.
type Window struct {
	// Last is a number of outcomes, 1 to 1<<20, ordered by their end.
	Last int
	// Within is a length of time, at least 1ms, for a rate at least 20ms. An
	// outcome belongs to the moment its call ended.
	Within time.Duration
	// Buckets is the granularity of a rate over Within: 2 to 1000, each of
	// them 10ms or longer. Zero: 10, or as many as fit. Windows that are exact
	// ignore it: those by count, and a FailureCount over Within.
	Buckets int
}

// LastN is the window of the last n outcomes.
func LastN(n int) Window { return Window{Last: n} }

// Within is the window of the outcomes of the last d.
func Within(d time.Duration) Window { return Window{Within: d} }

// ConsecutiveFailures opens at the n-th failure with no success between,
// whatever the time between (G17). n is at least 1.
func ConsecutiveFailures(n int) Rule {
	return single(rule{kind: consecutive, limit: n})
}

// FailureCount opens at n failures in w. It is exact for both kinds of windows
// (G18, G19). n is 1 to 1<<20, and not above the size of a LastN window.
func FailureCount(n int, w Window) Rule {
	return single(rule{kind: failureCount, limit: n, window: w})
}

// FailureRate opens when failures make up a share of at least rate of the
// outcomes in w, and w holds at least minCalls outcomes. rate is above 0, at
// most 1, and taken to six decimals; minCalls zero is 20, or the size of a
// smaller LastN window, and negative is none.
func FailureRate(rate float64, minCalls int, w Window) Rule {
	return single(rule{kind: failureRate, rate: rate, minCalls: minCalls, window: w})
}

// SlowRate opens when calls that took at least threshold make up a share of at
// least rate of the outcomes in w; rate, minCalls and w are as in
// [FailureRate]. Slow calls count whether they failed or not, and calls that
// their callers gave up after threshold count too (G14). threshold is at
// least 1ns. The rule costs a second clock read per call.
func SlowRate(threshold time.Duration, rate float64, minCalls int, w Window) Rule {
	return single(rule{kind: slowRate, threshold: threshold, rate: rate, minCalls: minCalls, window: w})
}

// Any opens when the first of 1 to 8 rules does. Rules that were made by Any
// are taken apart; a zero Rule among them is ConsecutiveFailures(5).
func Any(rules ...Rule) Rule {
	r := Rule{any: true}
	for _, x := range rules {
		r.empty = r.empty || x.any && len(x.parts) == 0
		r.parts = append(r.parts, x.list()...)
	}
	return r
}

// String describes the rule with its defaults filled in, for example
// "failure rate >= 0.5 of the last 100, at least 20 calls".
func (r Rule) String() string {
	var s []string
	for _, p := range r.list() {
		s = append(s, p.String())
	}
	return strings.Join(s, " or ")
}

const (
	maxRules   = 8
	maxLast    = 1 << 20
	maxBuckets = 1000
	// A bucket's tick has 40 bits, see timewindow.go: with buckets this long
	// the ticks of all of int64 nanoseconds fit.
	minBucket = 10 * time.Millisecond

	millionths = 1_000_000
)

type ruleKind uint8

const (
	consecutive ruleKind = iota
	failureCount
	failureRate
	slowRate
)

// rule is one part of a Rule, as its constructor was called.
type rule struct {
	kind      ruleKind
	limit     int // consecutive, failureCount
	rate      float64
	minCalls  int
	threshold time.Duration // slowRate
	window    Window
}

func single(r rule) Rule { return Rule{parts: []rule{r}} }

func (r Rule) list() []rule {
	if len(r.parts) == 0 && !r.any {
		return []rule{{kind: consecutive, limit: 5}}
	}
	return r.parts
}

// perMillion is the rate to six decimals.
func (r *rule) perMillion() int64 { return int64(math.Round(r.rate * millionths)) }

// bad is how many bad outcomes open; those of a rate in a full LastN window.
func (r *rule) bad() int64 {
	if r.kind == failureCount || r.kind == consecutive {
		return int64(r.limit)
	}
	return max((r.perMillion()*int64(r.window.Last)+millionths-1)/millionths, 1)
}

// kept is how many of the newest bad outcomes of a LastN window have to be
// known: so many as open, or as may come before a rate counts.
func (r *rule) kept() int64 {
	if r.kind == failureCount {
		return r.bad()
	}
	return max(r.bad(), r.minimum())
}

// minimum is minCalls with its default filled in.
func (r *rule) minimum() int64 {
	switch {
	case r.minCalls < 0:
		return 0
	case r.minCalls > 0:
		return int64(r.minCalls)
	case r.window.Last > 0:
		return int64(min(20, r.window.Last))
	}
	return 20
}

// buckets is Window.Buckets with its default filled in.
func (r *rule) buckets() int {
	if r.window.Buckets != 0 {
		return r.window.Buckets
	}
	return int(min(10, r.window.Within/minBucket))
}

// exceeds compares as integers: bad out of calls against rate and minimum.
func (r *rule) exceeds(calls, bad int64) bool {
	return calls >= r.minimum() && bad*millionths >= r.perMillion()*calls
}

// sameMemory reports whether the counts of one rule serve the other: kind and
// window are the same, while limits, rates and thresholds may differ (G29).
func (r *rule) sameMemory(o *rule) bool {
	if r.kind != o.kind || r.window.Last != o.window.Last || r.window.Within != o.window.Within {
		return false
	}
	inBuckets := r.window.Within > 0 && r.kind != failureCount
	return !inBuckets || r.buckets() == o.buckets()
}

func (r *rule) String() string {
	var s string
	rate := strconv.FormatFloat(r.rate, 'g', -1, 64)
	switch r.kind {
	case consecutive:
		return fmt.Sprintf("%d consecutive failures", r.limit)
	case failureCount:
		s = fmt.Sprintf("%d failures", r.limit)
	case failureRate:
		s = "failure rate >= " + rate
	case slowRate:
		s = fmt.Sprintf("slow-call rate (%v or more) >= %s", r.threshold, rate)
	}
	if r.window.Within != 0 {
		s += fmt.Sprintf(" within %v", r.window.Within)
	} else {
		s += fmt.Sprintf(" of the last %d", r.window.Last)
	}
	if r.kind != failureCount && r.minimum() > 0 {
		s += fmt.Sprintf(", at least %d calls", r.minimum())
	}
	return s
}

// reason is that of an opening by the rule.
func (r *rule) reason() Reason {
	if r.kind == slowRate {
		return ReasonSlowCalls
	}
	return ReasonFailures
}

// validate returns every problem of the rule.
func (r Rule) validate() []error {
	list := r.list()
	if r.empty {
		return []error{problem("Trip", "Any of an Any of 0 rules", "1 to 8 rules")}
	}
	if n := len(list); n < 1 || n > maxRules {
		return []error{problem("Trip", fmt.Sprintf("Any of %d rules", n), "1 to 8 rules")}
	}
	var errs []error
	for i := range list {
		errs = append(errs, list[i].validate()...)
	}
	return errs
}

func (r *rule) validate() []error {
	var errs []error
	name := [...]string{"ConsecutiveFailures", "FailureCount", "FailureRate", "SlowRate"}[r.kind]
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, problem("Trip: "+name+"."+field, value, want))
		}
	}
	if r.kind == slowRate {
		check(r.threshold > 0, "threshold", r.threshold, "at least 1ns")
	}
	switch r.kind {
	case consecutive:
		check(r.limit >= 1, "n", r.limit, "at least 1")
		return errs
	case failureCount:
		check(r.limit >= 1 && r.limit <= maxLast, "n", r.limit, "1 to 1048576")
		check(r.window.Last <= 0 || r.limit <= r.window.Last, "n", r.limit,
			fmt.Sprintf("at most the window's Last, %d", r.window.Last))
	default:
		// Written so that NaN fails it.
		check(r.rate > 0 && r.rate <= 1 && r.perMillion() > 0, "rate", r.rate, "above 0, to six decimals, and at most 1")
		check(r.window.Last <= 0 || r.minCalls <= r.window.Last, "minCalls", r.minCalls,
			fmt.Sprintf("at most the window's Last, %d", r.window.Last))
	}
	if err := r.validateWindow(); err != nil {
		errs = append(errs, fmt.Errorf("breaker: Trip: %s.w: %w", name, err))
	}
	return errs
}

func (r *rule) validateWindow() error {
	w := r.window
	switch {
	case (w.Last == 0) == (w.Within == 0):
		return fmt.Errorf("Last is %d and Within is %v, want exactly one of them set", w.Last, w.Within)
	case w.Within == 0 && (w.Last < 1 || w.Last > maxLast):
		return fmt.Errorf("Last is %d, want 1 to 1048576", w.Last)
	case w.Last == 0 && w.Within < time.Millisecond:
		return fmt.Errorf("Within is %v, want at least 1ms", w.Within)
	case w.Buckets < 0:
		return fmt.Errorf("Buckets is %d, want 0 or 2 to 1000", w.Buckets)
	case w.Last > 0 || r.kind == failureCount:
		return nil
	case w.Within < 2*minBucket:
		return fmt.Errorf("Within is %v, want at least 20ms for a rate", w.Within)
	case w.Buckets == 1 || w.Buckets > maxBuckets:
		return fmt.Errorf("Buckets is %d, want 0 or 2 to 1000", w.Buckets)
	case w.Buckets > 0 && w.Within/time.Duration(w.Buckets) < minBucket:
		return fmt.Errorf("Buckets is %d, want each of them 10ms or longer: at most %d within %v",
			w.Buckets, w.Within/minBucket, w.Within)
	}
	return nil
}

// problem is the one form of a configuration error.
func problem(field string, value any, want string) error {
	if s, ok := value.(string); ok {
		return errors.New("breaker: " + field + " is " + s + ", want " + want)
	}
	return fmt.Errorf("breaker: %s is %v, want %s", field, value, want)
}

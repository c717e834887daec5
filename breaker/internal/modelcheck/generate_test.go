package modelcheck

import (
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/mainstay-go/mainstay/breaker"
)

// A family is the rules that one subtest is about.
type family struct {
	name  string
	kinds []ruleKind
	last  bool // windows by count
	rules int  // at most
}

var families = []family{
	{"consecutive", []ruleKind{consecutive}, false, 1},
	{"count of last", []ruleKind{failureCount}, true, 1},
	{"count within", []ruleKind{failureCount}, false, 1},
	{"rate of last", []ruleKind{failureRate}, true, 1},
	{"rate within", []ruleKind{failureRate}, false, 1},
	{"slow of last", []ruleKind{slowRate}, true, 1},
	{"slow within", []ruleKind{slowRate}, false, 1},
	{"any", []ruleKind{consecutive, failureCount, failureRate, slowRate}, false, 4},
}

func pick[T any](t *rapid.T, name string, from ...T) T {
	return rapid.SampledFrom(from).Draw(t, name)
}

// chance is true once in n times, and shrinks to false.
func chance(t *rapid.T, name string, n int) bool {
	return rapid.IntRange(0, n-1).Draw(t, name) == n-1
}

const ms = time.Millisecond

func (f family) draw(t *rapid.T) []ruleSpec {
	rules := make([]ruleSpec, rapid.IntRange(1, f.rules).Draw(t, "rules"))
	for i := range rules {
		r := &rules[i]
		r.kind = pick(t, "kind", f.kinds...)
		if last := f.last; r.kind != consecutive {
			if f.rules > 1 {
				last = chance(t, "last", 2)
			}
			r.window = drawWindow(t, r.kind, last)
			r.threshold = pick(t, "threshold", 3*ms, 10*ms, time.Nanosecond, 100*ms)
		}
		r.drawLimits(t)
	}
	return rules
}

// drawLimits leaves kind and window, and so the memory.
func (r *ruleSpec) drawLimits(t *rapid.T) {
	most := 5
	if r.window.Last > 0 {
		most = min(most, r.window.Last)
	}
	r.limit = rapid.IntRange(1, most).Draw(t, "limit")
	// As floating-point numbers 0.28 x 25 is more than 7.
	r.rate = pick[int64](t, "rate", 500_000, 280_000, 333_333, 100_000, 280_000, 666_667, million, 1)
	r.minCalls = pick(t, "minCalls", -1, 0, 1, 3, 7)
	if r.window.Last > 0 {
		r.minCalls = min(r.minCalls, r.window.Last)
	}
}

func drawWindow(t *rapid.T, kind ruleKind, last bool) breaker.Window {
	switch {
	case last:
		return breaker.LastN(pick(t, "window", 10, 25, 1, 2, 3, 5, 25, 7))
	case kind == failureCount:
		return breaker.Within(pick(t, "window", 10*ms, ms, 100*ms, time.Second))
	}
	return pick(t, "window",
		breaker.Within(100*ms),
		breaker.Within(20*ms),
		breaker.Within(time.Second),
		breaker.Window{Within: 50 * ms, Buckets: 3}, // a width that is not whole
		breaker.Window{Within: time.Second, Buckets: 2},
		breaker.Window{Within: 70 * ms, Buckets: 7},
	)
}

// drawConfig is any valid Config with rules of the family.
func drawConfig(t *rapid.T, f family) *config {
	c := &config{rules: f.draw(t), judge: classifier(rapid.IntRange(0, classifiers-1).Draw(t, "classifier"))}
	r := &c.raw
	r.OpenFor = pick(t, "OpenFor", 50*ms, 20*ms, time.Second, 50*ms, 0, 20*ms, -1, math.MaxInt64)
	r.Backoff = pick(t, "Backoff", 0, 2, 1.5, 1, 10, -1)
	r.MaxOpenFor = pick[time.Duration](t, "MaxOpenFor", 0, -1, 1)
	switch {
	case r.MaxOpenFor > 0:
		r.MaxOpenFor = times(or(max(r.OpenFor, 0), 30*time.Second), 4, 1)
	case r.MaxOpenFor < 0 && r.Backoff == 1.5:
		r.Backoff = 2 // whose powers a float64 holds
	}
	r.StableAfter = pick(t, "StableAfter", 0, 20*ms, 100*ms, -1)
	if chance(t, "jitter", 8) && r.OpenFor < math.MaxInt64 { // saturated, it could not be told from outside
		r.Jitter = pick(t, "Jitter", 0.5, 0.1, -1)
		r.JitterSeed = pick[uint64](t, "JitterSeed", 1, 2) // 0 would differ from run to run
	}
	r.Probes = pick(t, "Probes", 1, 0, 2, 3, 64)
	r.CloseAfter = pick(t, "CloseAfter", 1, 2, 0, 3)
	if n := pick(t, "CloseOf", 0, 1, 3); n > 0 {
		r.CloseOf = or(r.CloseAfter, 3) + n
	}
	r.ProbeLease = pick(t, "ProbeLease", 10*ms, 0, 40*ms, -1)
	r.Ramp = pick(t, "Ramp", 0, 100*ms, time.Second, -1)
	r.RampFrom = pick(t, "RampFrom", 0, 0.5, -1, 0.333333, 0.999999)
	r.MinBudget = pick[time.Duration](t, "MinBudget", 0, time.Second, -1)
	r.Initial = pick(t, "Initial", slices.Concat(
		slices.Repeat([]breaker.State{breaker.Closed}, 6),
		[]breaker.State{breaker.ForcedOpen, breaker.ForcedClosed})...)
	c.drawHooks(t)
	c.fill()
	return c
}

func (c *config) drawHooks(t *rapid.T) {
	c.transition = !chance(t, "no Transition hook", 6) || c.raw.Jitter > 0
	c.rejected = chance(t, "Rejected hook", 3)
	c.ended = chance(t, "Done hook", 3)
}

// drawChange is a Config to follow c: another, or almost the same.
func drawChange(t *rapid.T, c *config, f family) *config {
	if chance(t, "another", 3) {
		return drawConfig(t, f)
	}
	next := *c
	next.rules = slices.Clone(c.rules)
	for i := range next.rules {
		next.rules[i].drawLimits(t)
		next.rules[i].threshold = pick(t, "threshold", 3*ms, 10*ms, time.Nanosecond, 100*ms)
	}
	next.raw.CloseAfter = pick(t, "CloseAfter", 1, 2, 3)
	next.raw.CloseOf = next.raw.CloseAfter + pick(t, "CloseOf", 0, 1, 3)
	next.raw.Probes = pick(t, "Probes", 1, 2, 3)
	next.drawHooks(t)
	next.fill()
	return &next
}

package balance

import (
	"cmp"
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// The rules of ejection, as hooks tell them.
const (
	ruleConsecutive = "consecutive failures"
	ruleFailureRate = "failure rate"
	ruleSuccessRate = "success rate"
)

// tiny is what shares of counts may be wrong by, for being rounded.
const tiny = 1e-9

// A tally counts what came of the calls of one balancer to one endpoint.
type tally struct {
	row          atomic.Int32  // failures, since the last success
	calls, fails atomic.Uint32 // in this interval
}

// take is the tally of an interval that is over.
func (t *tally) take() (calls, fails int) {
	return int(t.calls.Swap(0)), int(t.fails.Swap(0))
}

// An ejection is the ejections of one member. Like rates it is pure, and times
// are given to it.
type ejection struct {
	until int64 // the end of the present one, if there is one
	on    bool
	times int   // of those that count, at freed
	freed int64 // the end of the latest one
}

// begin ejects for a time, longer with every time. It may be called only if on
// is false.
func (e *ejection) begin(o *Outlier, now int64) time.Duration {
	e.times = e.count(o, now) + 1
	d := o.Max
	if o.Base <= o.Max/time.Duration(e.times) {
		d = o.Base * time.Duration(e.times)
	}
	e.on, e.until = true, after(now, d)
	return d
}

// end ends it once its time is over.
func (e *ejection) end(now int64) (ended bool) {
	if !e.on || now < e.until {
		return false
	}
	e.on, e.freed = false, e.until
	return true
}

// count is how many ejections count: one less for every Interval without.
func (e *ejection) count(o *Outlier, now int64) int {
	if e.on || e.times == 0 {
		return e.times
	}
	return int(max(0, int64(e.times)-max(0, now-e.freed)/int64(o.Interval)))
}

// cap is how many of the members may be ejected at once.
func (o *Outlier) cap(members int) int {
	if o.MaxEjected < 0 {
		return members
	}
	n := int(math.Floor(o.MaxEjected*float64(members) + tiny)) // 0.7 of 10 is 7
	if o.AlwaysOne {
		n = max(n, 1)
	}
	return n
}

// A rate is what the calls of an interval to one endpoint came to.
type rate struct {
	i            int // of the endpoint
	calls, fails int
	rule         string // by which it is ejected; "" if it is not
}

func (r *rate) failed() float64 { return float64(r.fails) / float64(r.calls) }

// judge returns those that have to be ejected by the rules about rates, the worst
// first. Endpoints with too few calls are not judged, and if too few have
// enough, none is.
func (o *Outlier) judge(rates []rate) []rate {
	rates = slices.DeleteFunc(rates, func(r rate) bool { return r.calls < o.MinCalls })
	if len(rates) < o.MinEndpoints {
		return nil
	}
	least := math.Inf(-1) // the success rate below which an endpoint is ejected
	if o.StdevFactor > 0 {
		mean, stdev := meanStdev(rates)
		least = mean - o.StdevFactor*stdev - tiny // of equal rates none is below
	}
	for i := range rates {
		r := &rates[i]
		switch {
		case o.FailureRate > 0 && r.failed() >= o.FailureRate:
			r.rule = ruleFailureRate
		case 1-r.failed() < least:
			r.rule = ruleSuccessRate
		}
	}
	rates = slices.DeleteFunc(rates, func(r rate) bool { return r.rule == "" })
	slices.SortStableFunc(rates, func(a, b rate) int { return cmp.Compare(b.failed(), a.failed()) })
	return rates
}

// meanStdev are those of the success rates.
func meanStdev(rates []rate) (mean, stdev float64) {
	for i := range rates {
		mean += 1 - rates[i].failed()
	}
	mean /= float64(len(rates))
	for i := range rates {
		d := 1 - rates[i].failed() - mean
		stdev += d * d
	}
	return mean, math.Sqrt(stdev / float64(len(rates)))
}

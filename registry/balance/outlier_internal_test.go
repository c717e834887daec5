package balance

import (
	"math"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// verdicts are what judge says about some rates, by index.
func verdicts(o Outlier, rates ...rate) []rate {
	o = o.withDefaults()
	for i := range rates {
		rates[i].i = i
	}
	var all []rate
	for _, r := range o.judge(slices.Clone(rates)) {
		all = append(all, rate{i: r.i, rule: r.rule})
	}
	return all
}

// of is the rate of an endpoint of which that many calls failed.
func of(fails, calls int) rate { return rate{calls: calls, fails: fails} }

func TestJudge(t *testing.T) {
	half, mild := Outlier{FailureRate: 0.5}, Outlier{StdevFactor: 1}
	cases := map[string]struct {
		o     Outlier
		rates []rate
		want  []rate
	}{
		"nothing to judge":             {half, nil, nil},
		"no rule":                      {Outlier{}, []rate{of(20, 20), of(0, 20), of(0, 20), of(0, 20), of(0, 20)}, nil},
		"rules off":                    {Outlier{FailureRate: -1, StdevFactor: -1}, []rate{of(20, 20), of(0, 20), of(0, 20), of(0, 20), of(0, 20)}, nil},
		"failure rate reached":         {half, []rate{of(10, 20), of(9, 20), of(0, 20), of(0, 20), of(0, 20)}, []rate{{i: 0, rule: ruleFailureRate}}},
		"failure rate of one":          {Outlier{FailureRate: 1}, []rate{of(20, 20), of(19, 20), of(0, 20), of(0, 20), of(0, 20)}, []rate{{i: 0, rule: ruleFailureRate}}},
		"too few calls":                {half, []rate{of(19, 19), of(0, 20), of(0, 20), of(0, 20), of(0, 20), of(0, 20)}, nil},
		"just enough calls":            {Outlier{FailureRate: 0.5, MinCalls: 7}, []rate{of(7, 7), of(0, 9), of(0, 9), of(0, 9), of(0, 9)}, []rate{{i: 0, rule: ruleFailureRate}}},
		"too few endpoints":            {half, []rate{of(20, 20), of(0, 20), of(0, 20), of(0, 20)}, nil},
		"too few endpoints with calls": {half, []rate{of(20, 20), of(0, 20), of(0, 20), of(0, 20), of(0, 19)}, nil},
		"own number of endpoints":      {Outlier{FailureRate: 0.5, MinEndpoints: 1}, []rate{of(20, 20)}, []rate{{i: 0, rule: ruleFailureRate}}},
		"no calls at all":              {Outlier{FailureRate: 0.5, MinEndpoints: 1, MinCalls: 1}, []rate{of(0, 0), of(0, 0)}, nil},
		"the worst first": {
			half,
			[]rate{of(12, 20), of(20, 20), of(0, 20), of(20, 40), of(38, 40)},
			[]rate{{i: 1, rule: ruleFailureRate}, {i: 4, rule: ruleFailureRate}, {i: 0, rule: ruleFailureRate}, {i: 3, rule: ruleFailureRate}},
		},
		"of equal ones the first first": {
			half,
			[]rate{of(0, 20), of(20, 20), of(40, 40), of(20, 20), of(0, 20)},
			[]rate{{i: 1, rule: ruleFailureRate}, {i: 2, rule: ruleFailureRate}, {i: 3, rule: ruleFailureRate}},
		},
		// Success rates 0.8 and four times 1: the mean is 0.96, the deviation
		// 0.08, so one of 0.8 is exactly two deviations below.
		"deviation reached, not passed": {Outlier{StdevFactor: 2.001}, []rate{of(4, 20), of(0, 20), of(0, 20), of(0, 20), of(0, 20)}, nil},
		"deviation passed":              {Outlier{StdevFactor: 1.999}, []rate{of(4, 20), of(0, 20), of(0, 20), of(0, 20), of(0, 20)}, []rate{{i: 0, rule: ruleSuccessRate}}},
		"better than the rest":          {mild, []rate{of(0, 20), of(10, 20), of(10, 20), of(10, 20), of(10, 20)}, nil},
		"all the same":                  {mild, []rate{of(2, 20), of(2, 20), of(2, 20), of(2, 20), of(2, 20)}, nil},
		"all the same, all failing":     {mild, []rate{of(20, 20), of(30, 30), of(20, 20), of(20, 20), of(20, 20)}, nil},
		"those with few calls are not in the mean": {
			Outlier{StdevFactor: 1.999},
			[]rate{of(4, 20), of(19, 19), of(0, 20), of(19, 19), of(0, 20), of(0, 20), of(0, 20)},
			[]rate{{i: 0, rule: ruleSuccessRate}},
		},
		"both rules are one verdict": {
			Outlier{FailureRate: 0.2, StdevFactor: 1},
			[]rate{of(4, 20), of(0, 20), of(0, 20), of(0, 20), of(0, 20)},
			[]rate{{i: 0, rule: ruleFailureRate}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { assert.Equal(t, c.want, verdicts(c.o, c.rates...)) })
	}
}

// Where all do equally well nobody stands out, whatever rounding makes of the
// mean.
func TestJudge_noDeviation(t *testing.T) {
	for n := 5; n <= 60; n++ {
		for calls := 20; calls <= 33; calls++ {
			for fails := range calls + 1 {
				for _, factor := range []float64{1e-3, 0.3, 0.5, 1, 1.9} {
					rates := slices.Repeat([]rate{of(fails, calls)}, n)
					require.Empty(t, verdicts(Outlier{StdevFactor: factor}, rates...),
						"%d endpoints, %d of %d calls failed, factor %v", n, fails, calls, factor)
				}
			}
		}
	}
}

// naiveVerdict is what the rules say about rates[at] in fractions, without any
// rounding. unsure tells that it is too close for floating point.
func naiveVerdict(o Outlier, rates []rate, at int) (rule string, unsure bool) {
	var judged []rate
	for _, r := range rates {
		if r.calls >= o.MinCalls && r.calls > 0 {
			judged = append(judged, r)
		}
	}
	own := rates[at]
	if own.calls < o.MinCalls || own.calls == 0 || len(judged) < o.MinEndpoints {
		return "", false
	}
	failed := big.NewRat(int64(own.fails), int64(own.calls))
	if o.FailureRate > 0 {
		switch failed.Cmp(new(big.Rat).SetFloat64(o.FailureRate)) {
		case 1:
			return ruleFailureRate, false
		case 0:
			return ruleFailureRate, true
		}
	}
	if o.StdevFactor <= 0 {
		return "", false
	}
	n := big.NewRat(int64(len(judged)), 1)
	mean, variance := new(big.Rat), new(big.Rat)
	for _, r := range judged {
		mean.Add(mean, big.NewRat(int64(r.fails), int64(r.calls)))
	}
	mean.Quo(mean, n)
	for _, r := range judged {
		d := new(big.Rat).Sub(big.NewRat(int64(r.fails), int64(r.calls)), mean)
		variance.Add(variance, d.Mul(d, d))
	}
	variance.Quo(variance, n)
	// In failures: it stands out if it is more than factor deviations above.
	above := new(big.Rat).Sub(failed, mean)
	if above.Sign() <= 0 {
		return "", false
	}
	v, _ := variance.Float64()
	a, _ := above.Float64()
	limit := o.StdevFactor * math.Sqrt(v)
	if a > limit {
		rule = ruleSuccessRate
	}
	return rule, math.Abs(a-limit) < 1e-9
}

// FuzzJudge compares judge with the model, on rates made of the bytes, two each.
func FuzzJudge(f *testing.F) {
	f.Add(0.5, 1.9, uint8(5), uint8(20), []byte{20, 20, 20, 0, 20, 0, 20, 0, 20, 0})
	f.Add(0.0, 1.0, uint8(1), uint8(1), []byte{20, 4, 20, 0, 20, 0, 20, 0, 20, 0})
	f.Add(0.3, 0.0, uint8(2), uint8(3), []byte{3, 1, 2, 2, 9, 3, 10, 3})
	f.Add(-1.0, 0.5, uint8(0), uint8(0), []byte{0, 0, 7, 7, 7, 7, 7, 7})
	f.Fuzz(func(t *testing.T, failureRate, factor float64, endpoints, calls uint8, data []byte) {
		if !shareOrLess(failureRate) || !finite(factor) || math.Abs(factor) > 1e3 || len(data) > 200 {
			return
		}
		o := Outlier{FailureRate: failureRate, StdevFactor: factor, MinEndpoints: int(endpoints), MinCalls: int(calls)}
		o = o.withDefaults()
		var rates []rate
		for i := 0; i+1 < len(data); i += 2 {
			rates = append(rates, rate{i: i / 2, calls: int(data[i]), fails: min(int(data[i]), int(data[i+1]))})
		}
		rules, last := map[int]string{}, math.Inf(1)
		for _, r := range o.judge(slices.Clone(rates)) {
			require.NotContains(t, rules, r.i, "twice")
			require.LessOrEqual(t, r.failed(), last, "not the worst first")
			rules[r.i], last = r.rule, r.failed()
		}
		for i := range rates {
			if want, unsure := naiveVerdict(o, rates, i); !unsure {
				require.Equal(t, want, rules[i], "%+v of %+v", rates[i], rates)
			}
		}
	})
}

func TestCap(t *testing.T) {
	cases := map[string]struct {
		o       Outlier
		members int
		want    int
	}{
		"half of three":               {Outlier{}, 3, 1},
		"half of two":                 {Outlier{}, 2, 1},
		"half of one":                 {Outlier{}, 1, 0},
		"half of one, but one":        {Outlier{AlwaysOne: true}, 1, 1},
		"more than one, but one":      {Outlier{AlwaysOne: true}, 10, 5},
		"a tenth of nine":             {Outlier{MaxEjected: 0.1}, 9, 0},
		"a tenth of nine, but one":    {Outlier{MaxEjected: 0.1, AlwaysOne: true}, 9, 1},
		"all":                         {Outlier{MaxEjected: 1}, 7, 7},
		"no cap":                      {Outlier{MaxEjected: -1}, 7, 7},
		"no cap of one":               {Outlier{MaxEjected: -1}, 1, 1},
		"nobody":                      {Outlier{}, 0, 0},
		"no float below: 0.29 of 100": {Outlier{MaxEjected: 0.29}, 100, 29},
		"no float below: 0.7 of 10":   {Outlier{MaxEjected: 0.7}, 10, 7},
		"just below":                  {Outlier{MaxEjected: 0.6999}, 10, 6},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := c.o.withDefaults()
			assert.Equal(t, c.want, o.cap(c.members))
		})
	}
	for n := 1; n <= 1000; n++ {
		for k := 1; k <= n; k += 1 + n/100 {
			o := Outlier{MaxEjected: float64(k) / float64(n)}
			require.Equal(t, k, o.cap(n), "%d of %d", k, n)
		}
	}
}

// A naiveEjections is a model of ejection that goes from one instant to the next.
type naiveEjections struct {
	base, max, interval int64
	n                   int64 // that count
	until, quiet        int64 // the end; since when none counts less
	on                  bool
}

func (m *naiveEjections) to(now int64) (ended bool) {
	if m.on && now >= m.until {
		m.on, m.quiet, ended = false, m.until, true
	}
	for !m.on && m.n > 0 && now-m.quiet >= m.interval {
		m.n--
		m.quiet += m.interval
	}
	return ended
}

func (m *naiveEjections) begin(now int64) int64 {
	m.n++
	d := min(m.n*m.base, m.max)
	m.on, m.until = true, now+d
	return d
}

// FuzzEjection lets time pass by the bytes and ejects whenever one is odd.
func FuzzEjection(f *testing.F) {
	f.Add(uint8(30), uint16(300), uint8(10), []byte{1, 30, 1, 60, 1, 255, 255, 1})
	f.Add(uint8(1), uint16(1), uint8(1), []byte{1, 1, 1, 1, 2, 2, 4, 1})
	f.Add(uint8(200), uint16(100), uint8(3), []byte{3, 100, 99, 1, 101, 7})
	f.Fuzz(func(t *testing.T, base uint8, most uint16, interval uint8, steps []byte) {
		if base == 0 || most == 0 || interval == 0 || len(steps) > 300 {
			return
		}
		o := Outlier{Base: time.Duration(base), Max: time.Duration(most), Interval: time.Duration(interval)}.withDefaults()
		model := naiveEjections{base: int64(base), max: int64(most), interval: int64(interval)}
		var e ejection
		now := int64(-50) // a balancer may be older or younger than zero
		for _, s := range steps {
			now += int64(s)
			require.Equal(t, model.to(now), e.end(now))
			require.Equal(t, model.on, e.on)
			require.EqualValues(t, model.n, e.count(&o, now))
			if s%2 == 1 && !e.on {
				require.EqualValues(t, model.begin(now), e.begin(&o, now))
				require.Equal(t, model.until, e.until)
				require.EqualValues(t, model.n, e.count(&o, now), "while it lasts")
			}
		}
	})
}

// Lengths that cannot be told end at Max, and a Max that cannot be reached never.
func TestEjection_extremes(t *testing.T) {
	const longest = time.Duration(math.MaxInt64)
	cases := map[string]struct {
		o    Outlier
		want []time.Duration
	}{
		"usual":         {Outlier{Base: 2, Max: 5}, []time.Duration{2, 4, 5, 5}},
		"cap below":     {Outlier{Base: 7, Max: 5}, []time.Duration{5, 5, 5}},
		"exactly":       {Outlier{Base: 2, Max: 4}, []time.Duration{2, 4, 4}},
		"no overflow":   {Outlier{Base: longest/2 + 1, Max: longest}, []time.Duration{longest/2 + 1, longest, longest}},
		"longest":       {Outlier{Base: longest, Max: longest}, []time.Duration{longest, longest}},
		"the defaults":  {Outlier{}, []time.Duration{30 * time.Second, time.Minute, 90 * time.Second, 2 * time.Minute}},
		"default is 5m": {Outlier{Base: 4 * time.Minute}, []time.Duration{4 * time.Minute, 5 * time.Minute}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			o := c.o.withDefaults()
			var e ejection
			for _, want := range c.want {
				now := int64(1000)
				assert.Equal(t, want, e.begin(&o, now))
				assert.Equal(t, after(now, want), e.until)
				assert.False(t, e.end(e.until-1))
				assert.True(t, e.end(e.until))
				e.freed = now // as if no time had passed, so that all count
			}
		})
	}
}

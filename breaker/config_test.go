package breaker_test

import (
	"context"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

const (
	minDuration time.Duration = math.MinInt64
	maxDuration time.Duration = math.MaxInt64
)

// G38: each field on its own: the error names it, with its value.
func TestConfig_invalid(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	cases := []struct {
		cfg  breaker.Config
		want string
	}{
		{breaker.Config{Backoff: nan}, "Backoff is NaN"},
		{breaker.Config{Backoff: inf}, "Backoff is +Inf"},
		{breaker.Config{Backoff: -inf}, "Backoff is -Inf"},
		{breaker.Config{Backoff: 0.5}, "Backoff is 0.5"},
		{breaker.Config{Backoff: math.Nextafter(1, 0)}, "Backoff is 0.9999999999999999"},
		{breaker.Config{Backoff: math.SmallestNonzeroFloat64}, "Backoff is 5e-324"},
		{breaker.Config{MaxOpenFor: time.Second}, "MaxOpenFor is 1s"},
		{breaker.Config{OpenFor: time.Minute, MaxOpenFor: time.Minute - 1}, "MaxOpenFor is 59.999999999s"},
		{breaker.Config{OpenFor: maxDuration, MaxOpenFor: maxDuration - 1}, "MaxOpenFor is 2562047h47m16.854775806s"},
		{breaker.Config{Jitter: nan}, "Jitter is NaN"},
		{breaker.Config{Jitter: inf}, "Jitter is +Inf"},
		{breaker.Config{Jitter: -inf}, "Jitter is -Inf"},
		{breaker.Config{Jitter: 2}, "Jitter is 2"},
		{breaker.Config{Jitter: 0.51}, "Jitter is 0.51"},
		{breaker.Config{Probes: -1}, "Probes is -1"},
		{breaker.Config{Probes: 65}, "Probes is 65"},
		{breaker.Config{Probes: math.MinInt}, fmt.Sprint("Probes is ", math.MinInt)},
		{breaker.Config{CloseAfter: -1}, "CloseAfter is -1"},
		{breaker.Config{CloseOf: -1}, "CloseOf is -1"},
		{breaker.Config{CloseOf: 2}, "CloseOf is 2"}, // below the default of CloseAfter
		{breaker.Config{CloseAfter: 5, CloseOf: 4}, "CloseOf is 4"},
		{breaker.Config{RampFrom: nan}, "RampFrom is NaN"},
		{breaker.Config{RampFrom: inf}, "RampFrom is +Inf"},
		{breaker.Config{RampFrom: -inf}, "RampFrom is -Inf"},
		{breaker.Config{RampFrom: 1}, "RampFrom is 1"},
		{breaker.Config{RampFrom: 1.5}, "RampFrom is 1.5"},
		{breaker.Config{Initial: breaker.Open}, "Initial is open"},
		{breaker.Config{Initial: breaker.HalfOpen}, "Initial is half-open"},
		{breaker.Config{Initial: breaker.Recovering}, "Initial is recovering"},
		{breaker.Config{Initial: 99}, "Initial is State(99)"},
	}
	for _, c := range cases {
		b, err := breaker.New("b", c.cfg)
		assert.Nil(t, b, c.want)
		assert.ErrorContains(t, err, "breaker: "+c.want+", want ", c.want)
	}
}

// G38: what is meaningful at the edges is accepted, and works.
func TestConfig_valid(t *testing.T) {
	configs := map[string]breaker.Config{
		"all durations minimal": {
			OpenFor: minDuration, MaxOpenFor: minDuration, StableAfter: minDuration,
			ProbeLease: minDuration, Ramp: minDuration, MinBudget: minDuration,
		},
		"all durations maximal": {
			OpenFor: maxDuration, MaxOpenFor: maxDuration, StableAfter: maxDuration,
			ProbeLease: maxDuration, Ramp: maxDuration, MinBudget: maxDuration, Backoff: math.MaxFloat64,
		},
		"all durations 1": {OpenFor: 1, MaxOpenFor: 1, StableAfter: 1, ProbeLease: 1, Ramp: 1, MinBudget: 1},
		"negative":        {Backoff: -1, Jitter: -1, RampFrom: -1, OpenFor: -1},
		"bounds":          {Backoff: 1, Jitter: 0.5, RampFrom: math.Nextafter(1, 0), Probes: 64, CloseAfter: math.MaxInt, CloseOf: math.MaxInt},
		"negative zero":   {Backoff: math.Copysign(0, -1), Jitter: math.Copysign(0, -1), RampFrom: math.Copysign(0, -1)},
		"open for ever":   {OpenFor: -1, MaxOpenFor: 1, Backoff: 2},
	}
	for name, cfg := range configs {
		c := newFakeClock()
		cfg.Clock = c
		b, err := breaker.New("b", cfg)
		require.NoError(t, err, name)
		for range 5 {
			b.Trip(0, nil)
			refused(t, b)
			c.advance(1)
			p, _ := b.Allow(t.Context())
			p.Progress()
			p.Done(nil)
			c.advance(time.Hour)
			_ = b.Run(t.Context(), returning(errBoom))
			b.Snapshot()
		}
		b.Reset()
		passing(t, b, 1)
	}
}

// G38: rules and windows: the error names rule, argument and value.
func TestConfig_invalidRules(t *testing.T) {
	last, within := breaker.LastN(10), breaker.Within(time.Second)
	cases := []struct {
		rule breaker.Rule
		want []string
	}{
		{breaker.ConsecutiveFailures(0), []string{"ConsecutiveFailures.n is 0"}},
		{breaker.ConsecutiveFailures(math.MinInt), []string{fmt.Sprint("ConsecutiveFailures.n is ", math.MinInt)}},
		{breaker.FailureCount(0, last), []string{"FailureCount.n is 0"}},
		{breaker.FailureCount(-5, within), []string{"FailureCount.n is -5"}},
		{breaker.FailureCount(11, last), []string{"FailureCount.n is 11", "10"}},
		{breaker.FailureCount(1<<20+1, within), []string{"FailureCount.n is 1048577"}},
		{breaker.FailureRate(0, 0, last), []string{"FailureRate.rate is 0"}},
		{breaker.FailureRate(-0.5, 0, last), []string{"FailureRate.rate is -0.5"}},
		{breaker.FailureRate(1.000001, 0, last), []string{"FailureRate.rate is 1.000001"}},
		{breaker.FailureRate(math.NaN(), 0, last), []string{"FailureRate.rate is NaN"}},
		{breaker.FailureRate(math.Inf(1), 0, last), []string{"FailureRate.rate is +Inf"}},
		{breaker.FailureRate(math.Inf(-1), 0, last), []string{"FailureRate.rate is -Inf"}},
		{breaker.FailureRate(1e-7, 0, last), []string{"FailureRate.rate is 1e-07"}},
		{breaker.FailureRate(math.Copysign(0, -1), 0, last), []string{"FailureRate.rate is -0"}},
		{breaker.FailureRate(0.5, 11, last), []string{"FailureRate.minCalls is 11", "10"}},
		{breaker.SlowRate(0, 0.5, 0, last), []string{"SlowRate.threshold is 0s"}},
		{breaker.SlowRate(minDuration, 0.5, 0, last), []string{"SlowRate.threshold is -"}},
		{breaker.SlowRate(-1, 2, 11, last), []string{"SlowRate.threshold is -1ns", "SlowRate.rate is 2", "SlowRate.minCalls is 11"}},
		{breaker.FailureCount(1, breaker.Window{}), []string{"FailureCount.w", "Last is 0 and Within is 0s"}},
		{breaker.FailureCount(1, breaker.Window{Last: 1, Within: time.Second}), []string{"Last is 1 and Within is 1s"}},
		{breaker.FailureRate(0.5, 0, breaker.LastN(-1)), []string{"FailureRate.w", "Last is -1"}},
		{breaker.FailureRate(0.5, 0, breaker.LastN(1<<20+1)), []string{"Last is 1048577"}},
		{breaker.FailureRate(0.5, 0, breaker.LastN(math.MinInt)), []string{fmt.Sprint("Last is ", math.MinInt)}},
		{breaker.FailureCount(1, breaker.Within(-1)), []string{"Within is -1ns"}},
		{breaker.FailureCount(1, breaker.Within(time.Millisecond-1)), []string{"Within is 999.999"}},
		{breaker.FailureCount(1, breaker.Within(minDuration)), []string{"Within is -2562047h"}},
		{breaker.FailureRate(0.5, 0, breaker.Within(20*time.Millisecond-1)), []string{"Within is 19.999999ms"}},
		{breaker.FailureRate(0.5, 0, breaker.Window{Within: time.Second, Buckets: -1}), []string{"Buckets is -1"}},
		{breaker.FailureRate(0.5, 0, breaker.Window{Within: time.Second, Buckets: 1}), []string{"Buckets is 1"}},
		{breaker.FailureRate(0.5, 0, breaker.Window{Within: time.Hour, Buckets: 1001}), []string{"Buckets is 1001"}},
		{breaker.FailureRate(0.5, 0, breaker.Window{Within: time.Second, Buckets: 101}), []string{"Buckets is 101", "10ms"}},
		{breaker.SlowRate(1, 0.5, 0, breaker.Window{Within: 19 * time.Millisecond}), []string{"SlowRate.w", "Within is 19ms"}},
		{breaker.Any(), []string{"Any of 0 rules"}},
		{breaker.Any(breaker.Any(), breaker.Any(breaker.Any())), []string{"Any of 0 rules"}},
		{breaker.Any(make([]breaker.Rule, 9)...), []string{"Any of 9 rules"}},
		{breaker.Any(breaker.Any(make([]breaker.Rule, 4)...), breaker.Any(make([]breaker.Rule, 5)...)), []string{"Any of 9 rules"}},
		{
			breaker.Any(breaker.ConsecutiveFailures(-7), breaker.Any(breaker.FailureRate(3, 0, last), breaker.FailureCount(1, breaker.LastN(-3)))),
			[]string{"ConsecutiveFailures.n is -7", "FailureRate.rate is 3", "Last is -3"},
		},
	}
	for _, c := range cases {
		_, err := breaker.New("b", breaker.Config{Trip: c.rule})
		for _, want := range c.want {
			assert.ErrorContains(t, err, want)
		}
		assert.ErrorContains(t, err, "breaker: Trip")
	}
}

// G38: rules at the edges of what is valid.
func TestConfig_validRules(t *testing.T) {
	rules := []breaker.Rule{
		breaker.ConsecutiveFailures(math.MaxInt),
		breaker.FailureCount(1<<20, breaker.Within(time.Millisecond)),
		breaker.FailureCount(1, breaker.Within(maxDuration)),
		breaker.FailureCount(10, breaker.LastN(10)),
		breaker.FailureCount(1, breaker.Window{Within: time.Millisecond, Buckets: 5000}), // exact: ignored
		breaker.FailureRate(1, 10, breaker.LastN(10)),
		breaker.FailureRate(1e-6, math.MinInt, breaker.LastN(1<<20)),
		breaker.FailureRate(0.5, math.MaxInt, breaker.Within(20*time.Millisecond)),
		breaker.FailureRate(0.5, 0, breaker.Within(maxDuration)),
		breaker.FailureRate(0.5, 0, breaker.Window{Within: 10 * time.Second, Buckets: 1000}),
		breaker.SlowRate(1, 1, 0, breaker.LastN(1)),
		breaker.SlowRate(maxDuration, 1, 0, breaker.Within(time.Hour)),
		breaker.Any(make([]breaker.Rule, 8)...),
		breaker.Any(breaker.Any(make([]breaker.Rule, 4)...), breaker.Any(make([]breaker.Rule, 4)...)),
	}
	for _, rule := range rules {
		b, err := breaker.New("b", breaker.Config{Trip: rule})
		require.NoError(t, err, rule.String())
		for _, err := range []error{nil, errBoom, nil} {
			_ = b.Run(t.Context(), returning(err))
		}
		b.Snapshot()
	}
}

// G38: all that is wrong comes in one error, which is several.
func TestConfig_allProblemsAtOnce(t *testing.T) {
	_, err := breaker.New("b", breaker.Config{
		Trip:       breaker.Any(breaker.FailureRate(math.NaN(), 99, breaker.LastN(10)), breaker.SlowRate(-1, 0.5, 0, breaker.Window{})),
		Backoff:    0.1,
		MaxOpenFor: 1,
		Jitter:     math.Inf(1),
		Probes:     100,
		CloseAfter: -3,
		CloseOf:    -4,
		RampFrom:   7,
		Initial:    breaker.Recovering,
	})
	require.Error(t, err)
	wanted := []string{
		"FailureRate.rate", "FailureRate.minCalls", "SlowRate.threshold", "SlowRate.w", "Backoff", "MaxOpenFor",
		"Jitter", "Probes", "CloseAfter", "CloseOf", "RampFrom", "Initial",
	}
	for _, want := range wanted {
		assert.ErrorContains(t, err, want)
	}
	var joined interface{ Unwrap() []error }
	require.ErrorAs(t, err, &joined)
	assert.Len(t, joined.Unwrap(), len(wanted))
}

// The defaults that can be seen: CloseAfter 3, Probes 1, lease as OpenFor.
func TestConfig_defaults(t *testing.T) {
	cases := map[string]struct {
		cfg   breaker.Config
		lease time.Duration
	}{
		"zero":         {breaker.Config{}, 30 * time.Second},
		"open time":    {breaker.Config{OpenFor: time.Minute}, time.Minute},
		"without end":  {breaker.Config{OpenFor: -1}, 30 * time.Second},
		"own":          {breaker.Config{OpenFor: time.Minute, ProbeLease: time.Second}, time.Second},
		"zero CloseOf": {breaker.Config{CloseAfter: 3}, 30 * time.Second},
	}
	inBubbles(t, cases, func(t *testing.T, c struct {
		cfg   breaker.Config
		lease time.Duration
	},
	) {
		b := breaker.MustNew("b", c.cfg)
		b.Trip(time.Second, nil)
		time.Sleep(time.Second)
		p := issued(t, b)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		p.Done(nil)
		passing(t, b, 1)
		issued(t, b)
		time.Sleep(c.lease - 1)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		time.Sleep(time.Nanosecond)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrOpen)
		if c.cfg.OpenFor < 0 {
			time.Sleep(100 * 365 * 24 * time.Hour)
			assert.Zero(t, refusal(t, b).RetryAfter())
		}
	})
}

// minCalls: zero is 20, or the size of a smaller window; negative is none.
func TestConfig_minimumCalls(t *testing.T) {
	cases := map[string]struct {
		rule  breaker.Rule
		opens int // at which failure in a row
	}{
		"LastN(100)":         {breaker.FailureRate(0.01, 0, breaker.LastN(100)), 20},
		"LastN(7)":           {breaker.FailureRate(0.01, 0, breaker.LastN(7)), 7},
		"Within":             {breaker.FailureRate(0.01, 0, breaker.Within(time.Hour)), 20},
		"own":                {breaker.FailureRate(0.01, 33, breaker.Within(time.Hour)), 33},
		"one":                {breaker.FailureRate(1, 1, breaker.LastN(100)), 1},
		"none":               {breaker.FailureRate(1, -1, breaker.LastN(100)), 1},
		"none within":        {breaker.FailureRate(1, math.MinInt, breaker.Within(time.Hour)), 1},
		"zero Rule":          {breaker.Rule{}, 5},
		"zero Rules":         {breaker.Any(breaker.Rule{}, breaker.Rule{}), 5},
		"the first of three": {breaker.Any(breaker.ConsecutiveFailures(9), breaker.FailureCount(8, breaker.LastN(9)), breaker.FailureCount(4, breaker.Within(time.Hour))), 4},
	}
	for name, c := range cases {
		b := breaker.MustNew("b", breaker.Config{Trip: c.rule})
		failing(t, b, c.opens-1)
		assert.Equal(t, breaker.Closed, b.State(), name)
		failing(t, b, 1)
		assert.Equal(t, breaker.Open, b.State(), name)
	}
}

// hostile names.
var hostile = map[string]string{
	"empty":         "",
	"NUL":           "a\x00b",
	"newline":       "a\nlevel=error msg=forged",
	"invalid UTF-8": "a\xff\xfeb",
	"escape":        "\x1b[31mred",
	"quote":         `a" is closed`,
	"path":          "../../etc/passwd",
	"markup":        "<script>alert(1)</script>",
	"1 MiB":         strings.Repeat("x", 1<<20),
}

// G38: names are free text: accepted, kept, quoted when printed.
func TestConfig_hostileNames(t *testing.T) {
	for what, name := range hostile {
		var r recorder
		b, err := breaker.New(name, breaker.Config{Trip: breaker.ConsecutiveFailures(1), Hooks: r.hooks()})
		require.NoError(t, err, what)
		failing(t, b, 1)
		rejection := refusal(t, b)
		text := rejection.Error()
		assert.Equal(t, fmt.Sprintf("breaker: %q is open, opened by failures: boom", name), text, what)
		assert.Equal(t, -1, strings.IndexFunc(text, unicode.IsControl), what)
		assert.Equal(t, name, b.Name())
		assert.Equal(t, name, b.Snapshot().Name)
		assert.Equal(t, name, rejection.Name)
		assert.Equal(t, name, r.last(t).Name)
		assert.Equal(t, name, r.completed(t).Name)
	}
}

// G29, G38: a Config is copied: what New was given may be used again.
func TestConfig_isAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rule := breaker.Any(breaker.ConsecutiveFailures(2), breaker.FailureCount(2, breaker.LastN(9)))
		wider := breaker.Any(rule, breaker.FailureRate(1, 1, breaker.LastN(9)))
		a := breaker.MustNew("a", breaker.Config{Trip: rule})
		b := breaker.MustNew("b", breaker.Config{Trip: rule})
		failing(t, a, 1)
		failing(t, b, 1)
		assertState(t, breaker.Closed, a)
		assertState(t, breaker.Closed, b)
		failing(t, a, 1)
		assertState(t, breaker.Open, a)
		assertState(t, breaker.Closed, b)
		c := breaker.MustNew("c", breaker.Config{Trip: wider})
		failing(t, c, 1)
		assertState(t, breaker.Open, c)
	})
}

func TestRule_String(t *testing.T) {
	for want, rule := range map[string]breaker.Rule{
		"5 consecutive failures":                                            {},
		"3 consecutive failures":                                            breaker.ConsecutiveFailures(3),
		"5 failures of the last 10":                                         breaker.FailureCount(5, breaker.LastN(10)),
		"5 failures within 1m0s":                                            breaker.FailureCount(5, breaker.Within(time.Minute)),
		"failure rate >= 0.5 of the last 100, at least 20 calls":            breaker.FailureRate(0.5, 20, breaker.LastN(100)),
		"failure rate >= 0.5 of the last 10, at least 10 calls":             breaker.FailureRate(0.5, 0, breaker.LastN(10)),
		"failure rate >= 1 within 10s":                                      breaker.FailureRate(1, -1, breaker.Within(10*time.Second)),
		"slow-call rate (2s or more) >= 0.25 within 10s, at least 20 calls": breaker.SlowRate(2*time.Second, 0.25, 0, breaker.Within(10*time.Second)),
		"5 consecutive failures or 2 failures of the last 3":                breaker.Any(breaker.Rule{}, breaker.Any(breaker.FailureCount(2, breaker.LastN(3)))),
		"": breaker.Any(),
	} {
		assert.Equal(t, want, rule.String())
	}
}

func TestNames(t *testing.T) {
	assert.Equal(t, "closed open half-open recovering forced-open forced-closed State(6) State(255)",
		fmt.Sprint(breaker.Closed, " ", breaker.Open, " ", breaker.HalfOpen, " ", breaker.Recovering, " ",
			breaker.ForcedOpen, " ", breaker.ForcedClosed, " ", breaker.State(6), " ", breaker.State(255)))
	assert.Equal(t, "success failure ignored Outcome(3)",
		fmt.Sprint(breaker.Success, " ", breaker.Failure, " ", breaker.Ignored, " ", breaker.Outcome(3)))
	reasons := []string{
		"none", "failures", "slow calls", "open time over", "probe failed", "probe lost", "probes passed",
		"ramped", "trip", "forced", "auto", "reset", "Reason(12)",
	}
	for r, want := range reasons {
		assert.Equal(t, want, breaker.Reason(r).String())
	}
}

// What was marshaled can be read back; what is no name is an error, and leaves
// the value alone.
func TestNames_roundTrip(t *testing.T) {
	type values struct {
		State   breaker.State
		Reason  breaker.Reason
		Outcome breaker.Outcome
		ByState map[breaker.State]int
	}
	text, err := json.Marshal(values{breaker.HalfOpen, breaker.ReasonProbeLost, breaker.Ignored, map[breaker.State]int{breaker.Open: 1}})
	require.NoError(t, err)
	assert.JSONEq(t, `{"State":"half-open","Reason":"probe lost","Outcome":"ignored","ByState":{"open":1}}`, string(text))
	roundTrip[breaker.State](t, int(breaker.ForcedClosed), "breaker: %s is no State")
	roundTrip[breaker.Reason](t, int(breaker.ReasonReset), "breaker: %s is no Reason")
	roundTrip[breaker.Outcome](t, int(breaker.Ignored), "breaker: %s is no Outcome")

	b := breaker.MustNew("b", breaker.Config{})
	b.Trip(time.Minute, nil)
	text, err = json.Marshal(b.Snapshot())
	require.NoError(t, err)
	var s breaker.Snapshot
	require.NoError(t, json.Unmarshal(text, &s))
	assert.Equal(t, breaker.Open, s.State)
	assert.Equal(t, breaker.ReasonTrip, s.Reason)
}

// roundTrip wants the values up to last read back, and nothing else accepted.
func roundTrip[E interface {
	~uint8
	fmt.Stringer
	encoding.TextMarshaler
}, P interface {
	*E
	encoding.TextUnmarshaler
}](t *testing.T, last int, refusal string,
) {
	t.Helper()
	for i := range 256 {
		v, got := E(i), E(99)
		text, err := v.MarshalText()
		require.NoError(t, err)
		require.Equal(t, v.String(), string(text))
		err = P(&got).UnmarshalText(text)
		if i > last {
			require.EqualError(t, err, fmt.Sprintf(refusal, strconv.Quote(string(text))))
			require.Equal(t, E(99), got)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
	for _, text := range []string{"", " closed", "Closed", "SUCCESS", strings.Repeat("x", 1000)} {
		got := E(99)
		err := P(&got).UnmarshalText([]byte(text))
		require.ErrorContains(t, err, "breaker: ")
		require.Less(t, len(err.Error()), 120)
		require.Equal(t, E(99), got)
	}
}

// A nil classifier, hook or clock is a default, not a call to nil.
func TestConfig_nilFunctions(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Hooks: breaker.Hooks{}, Classify: nil, Clock: nil})
	failing(t, b, 5)
	refused(t, b)
	b.Reset()
	_, err := breaker.Do(context.Background(), b, func(context.Context) (int, error) { return 0, nil })
	assert.NoError(t, err)
}

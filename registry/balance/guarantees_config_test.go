package balance_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A refusal is a config with something wrong in it, and what New says about that.
type refusal struct {
	cfg  func(*balance.Config)
	want string // "Field is value"
}

// refusals are all there are, one for each way a value can be wrong.
func refusals() []refusal {
	var all []refusal
	add := func(field string, value any, set func(*balance.Config)) {
		all = append(all, refusal{set, fmt.Sprintf("%s is %v,", field, value)})
	}
	floats := func(field string, bad []float64, set func(*balance.Config, float64)) {
		for _, v := range bad {
			add(field, v, func(c *balance.Config) { set(c, v) })
		}
	}
	durations := func(field string, set func(*balance.Config, time.Duration)) {
		for _, v := range []time.Duration{-1, math.MinInt64} {
			add(field, v, func(c *balance.Config) { set(c, v) })
		}
	}
	ints := func(field string, set func(*balance.Config, int)) {
		for _, v := range []int{-1, math.MinInt} {
			add(field, v, func(c *balance.Config) { set(c, v) })
		}
	}
	nan, inf := math.NaN(), math.Inf(1)
	share := []float64{nan, inf, -inf, 1.000001, 50}
	floats("SpillBelow", share, func(c *balance.Config, v float64) { c.SpillBelow = v })
	floats("PanicThreshold", share, func(c *balance.Config, v float64) { c.PanicThreshold = v })
	floats("SlowStartFloor", share, func(c *balance.Config, v float64) { c.SlowStartFloor = v })
	floats("SlowStartCurve", []float64{nan, inf, -inf, -1}, func(c *balance.Config, v float64) { c.SlowStartCurve = v })
	floats("Outlier.FailureRate", share, func(c *balance.Config, v float64) { c.Outlier.FailureRate = v })
	floats("Outlier.StdevFactor", []float64{nan, inf, -inf}, func(c *balance.Config, v float64) { c.Outlier.StdevFactor = v })
	floats("Outlier.MaxEjected", share, func(c *balance.Config, v float64) { c.Outlier.MaxEjected = v })
	ints("Outlier.MinEndpoints", func(c *balance.Config, v int) { c.Outlier.MinEndpoints = v })
	ints("Outlier.MinCalls", func(c *balance.Config, v int) { c.Outlier.MinCalls = v })
	durations("Outlier.Interval", func(c *balance.Config, v time.Duration) { c.Outlier.Interval = v })
	durations("Outlier.Base", func(c *balance.Config, v time.Duration) { c.Outlier.Base = v })
	durations("Outlier.Max", func(c *balance.Config, v time.Duration) { c.Outlier.Max = v })
	ints("Retry.Burst", func(c *balance.Config, v int) { c.Retry.Burst = v })
	floats("Retry.Budget", []float64{nan, inf, -inf}, func(c *balance.Config, v float64) { c.Retry.Budget = v })
	durations("Policy.Decay", func(c *balance.Config, v time.Duration) { c.Policy = balance.PeakEWMA{Decay: v} })
	floats("Policy.Bound", []float64{nan, inf, -inf, 0.99, 1e-300}, func(c *balance.Config, v float64) { c.Policy = balance.ConsistentHash{Bound: v} })
	for _, v := range []int{17, math.MaxInt} {
		add("Policy.Choices", v, func(c *balance.Config) { c.Policy = balance.LeastLoaded{Choices: v} })
	}
	for _, v := range []int{-1, 655_374, math.MaxInt} {
		add("Policy.Table", v, func(c *balance.Config) { c.Policy = balance.ConsistentHash{Table: v} })
		add("Policy.Table", v, func(c *balance.Config) { c.Policy = &balance.ConsistentHash{Table: v} })
	}
	add("Policy.Kind", balance.HashKind(9), func(c *balance.Config) { c.Policy = balance.ConsistentHash{Kind: 9} })
	return all
}

// Every bad value is refused by an error that names its field and the value, and
// nothing else.
func TestConfig_refused(t *testing.T) {
	svc := newRegistry(t, registry.Config{}).Service(orders)
	for _, c := range refusals() {
		t.Run(c.want, func(t *testing.T) {
			cfg := balance.Config{Outlier: new(balance.Outlier)}
			c.cfg(&cfg)
			b, err := balance.New(svc, cfg)
			require.Error(t, err)
			assert.Nil(t, b)
			text := err.Error()
			assert.True(t, strings.HasPrefix(text, "balance: New: "+c.want), text)
			assert.Equal(t, 1, strings.Count(text, ", want "), "one problem: %s", text)
			assert.NotContains(t, text, "\n")
		})
	}
}

// All that is wrong is in one error.
func TestConfig_allProblems(t *testing.T) {
	cfg := balance.Config{Outlier: new(balance.Outlier)}
	want := map[string]string{} // the last of each field; the policy is one of them
	for _, c := range refusals() {
		c.cfg(&cfg)
		field, _, _ := strings.Cut(c.want, " is ")
		want[field] = c.want
	}
	for field := range want {
		if strings.HasPrefix(field, "Policy.") {
			delete(want, field)
		}
	}
	cfg.Policy = balance.ConsistentHash{Kind: 7, Bound: 0.5, Table: -3}
	want["Kind"], want["Bound"], want["Table"] = "Policy.Kind is HashKind(7),", "Policy.Bound is 0.5,", "Policy.Table is -3,"
	_, err := balance.New(newRegistry(t, registry.Config{}).Service(orders), cfg)
	require.Error(t, err)
	for _, w := range want {
		assert.ErrorContains(t, err, w)
	}
	assert.Equal(t, len(want), strings.Count(err.Error(), ", want "), "%v", err)
}

// Zero is the default, and negative numbers switch off what can be switched off.
func TestConfig_accepted(t *testing.T) {
	const longest = time.Duration(math.MaxInt64)
	cases := map[string]balance.Config{
		"zero":         {},
		"zero Outlier": {Outlier: &balance.Outlier{}},
		"switched off": {
			SpillBelow: -1, SubsetSize: -1, SlowStart: -1, PanicThreshold: -1,
			Outlier: &balance.Outlier{Consecutive: -1, FailureRate: -1, StdevFactor: -1, MaxEjected: -1},
			Retry:   balance.Retry{Attempts: -1, Budget: -1, AttemptTimeout: -1},
		},
		"far off": {
			SpillBelow: -1e300, SubsetSize: math.MinInt, SlowStart: math.MinInt64, PanicThreshold: -math.MaxFloat64,
			Outlier: &balance.Outlier{Consecutive: math.MinInt, FailureRate: -1e9, StdevFactor: -1e9, MaxEjected: -1e9},
			Retry:   balance.Retry{Attempts: math.MinInt, Budget: -math.MaxFloat64, AttemptTimeout: math.MinInt64},
			Policy:  balance.ConsistentHash{Bound: -1e300},
		},
		"the most": {
			SpillBelow: 1, SubsetSize: math.MaxInt, PanicThreshold: 1,
			SlowStart: longest, SlowStartFloor: 1, SlowStartCurve: math.MaxFloat64,
			Outlier: &balance.Outlier{
				Consecutive: math.MaxInt, FailureRate: 1, StdevFactor: math.MaxFloat64, MinEndpoints: math.MaxInt,
				MinCalls: math.MaxInt, Interval: longest, Base: longest, Max: longest, MaxEjected: 1, AlwaysOne: true,
			},
			Retry:  balance.Retry{Attempts: math.MaxInt, Burst: math.MaxInt, Budget: math.MaxFloat64, AttemptTimeout: longest},
			Policy: balance.PeakEWMA{Decay: longest},
		},
		"next to nothing": {
			SpillBelow: 5e-324, PanicThreshold: 5e-324, SlowStart: 1, SlowStartFloor: 5e-324, SlowStartCurve: 5e-324,
			Outlier: &balance.Outlier{FailureRate: 5e-324, StdevFactor: 5e-324, MinEndpoints: 1, MinCalls: 1, Interval: 1, Base: 1, Max: 1, MaxEjected: 5e-324},
			Retry:   balance.Retry{Attempts: 1, Burst: 1, Budget: 5e-324},
			Policy:  balance.PeakEWMA{Decay: 1},
		},
		"big choices":  {Policy: balance.LeastLoaded{Choices: 16}},
		"all choices":  {Policy: balance.LeastLoaded{Choices: math.MinInt}},
		"least bound":  {Policy: balance.ConsistentHash{Bound: 1}},
		"great bound":  {Policy: balance.ConsistentHash{Bound: math.MaxFloat64}},
		"small table":  {Policy: balance.ConsistentHash{Table: 1}},
		"bigger table": {Policy: balance.ConsistentHash{Table: 655_373}},
	}
	for name, cfg := range cases {
		t.Run(name, func(t *testing.T) {
			_, b := with(t, cfg, numbered(3)...)
			for range 30 { // and it works
				pick(t, b).Done(nil)
				_, err := balance.Do(bg, b, (&attempts{}).call)
				require.NoError(t, err)
			}
			b.Stats()
		})
	}
}

// What has no config to name is named itself.
func TestConfig_misuse(t *testing.T) {
	_, err := balance.New(nil, balance.Config{})
	require.ErrorContains(t, err, "nil or zero *registry.Service")
	assert.Panics(t, func() { balance.MustNew(nil, balance.Config{}) })
	svc := newRegistry(t, registry.Config{}).Service(orders)
	assert.PanicsWithError(t, "balance: New: Retry.Burst is -1, want 0 or more", func() {
		balance.MustNew(svc, balance.Config{Retry: balance.Retry{Burst: -1}})
	})
	assert.NotNil(t, balance.MustNew(svc, balance.Config{}))
}

// The config is copied: what the caller does to it later changes nothing.
func TestConfig_copied(t *testing.T) {
	o := balance.Outlier{Consecutive: 1}
	_, b := with(t, balance.Config{Outlier: &o}, numbered(3)...)
	assert.Equal(t, balance.Outlier{Consecutive: 1}, o, "nothing was filled in")
	o.Consecutive, o.MaxEjected, o.Interval = -1, 1e-9, -1
	calls(t, b, "i001", 1, errSick)
	assert.Equal(t, []string{"i001"}, ejectedIDs(b))
}

// A pointer to a policy is as good as the policy.
func TestConfig_pointers(t *testing.T) {
	latency := func(p balance.Policy) time.Duration {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk})
		registerAll(t, r, numbered(1)...)
		b := newBalancer(t, r, balance.Config{Policy: p})
		pick(t, b).DoneAfter(nil, time.Second)
		clk.pass(time.Second)
		return members(b)["i000"].Latency
	}
	p := balance.PeakEWMA{Decay: time.Second}
	require.InDelta(t, time.Second/3, latency(p), float64(time.Second)/20, "a third is left after Decay")
	assert.Equal(t, latency(p), latency(&p))
	_, b := with(t, balance.Config{Policy: &balance.ConsistentHash{}}, numbered(9)...)
	_, same := with(t, balance.Config{Policy: balance.ConsistentHash{}}, numbered(9)...)
	assert.Equal(t, homes(t, same, userKeys(50)), homes(t, b, userKeys(50)))
}

package modelcheck

import (
	"context"
	"errors"
	"math"
	"math/big"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// A config is a breaker.Config as the model sees it: what the breaker is given,
// and what that means once the documented defaults are filled in.
type config struct {
	raw   breaker.Config
	rules []ruleSpec
	judge classifier

	openFor, maxOpenFor, stableAfter, probeLease, ramp time.Duration
	probes, closeAfter, closeOf                        int
	rampFrom                                           *big.Rat

	hooks           int // tells apart the hooks of one Config and the next
	transition      bool
	rejected, ended bool // ended: Hooks.Done
}

// fill works out what the raw Config means.
func (c *config) fill() {
	r := &c.raw
	rules := make([]breaker.Rule, len(c.rules))
	for i := range c.rules {
		rules[i] = c.rules[i].rule()
	}
	r.Trip = breaker.Any(rules...)
	if len(rules) == 1 {
		r.Trip = rules[0]
	}
	r.Classify = c.judge.function()

	c.openFor = or(r.OpenFor, 30*time.Second)
	c.maxOpenFor = r.MaxOpenFor
	if c.maxOpenFor == 0 {
		c.maxOpenFor = times(c.openFor, 10, 1)
	}
	c.stableAfter = r.StableAfter
	c.probeLease = or(r.ProbeLease, c.openFor)
	if r.ProbeLease == 0 && c.openFor < 0 {
		c.probeLease = 30 * time.Second
	}
	c.ramp = max(r.Ramp, 0)
	c.probes = or(r.Probes, 1)
	c.closeAfter = or(r.CloseAfter, 3)
	c.closeOf = or(r.CloseOf, c.closeAfter)
	c.rampFrom = new(big.Rat).SetFloat64(max(or(r.RampFrom, 0.1), 0))
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// times is d x f^n, rounded down and saturated.
func times(d time.Duration, f float64, n int) time.Duration {
	x, factor, most := new(big.Rat).SetInt64(int64(d)), new(big.Rat).SetFloat64(f), new(big.Rat).SetInt64(math.MaxInt64)
	for range n {
		if x.Mul(x, factor); x.Cmp(most) >= 0 {
			return math.MaxInt64
		}
	}
	return time.Duration(new(big.Int).Quo(x.Num(), x.Denom()).Int64())
}

// openTime is the length of the level-th opening in a row, before jitter (G21).
func (c *config) openTime(level int) time.Duration {
	if c.openFor < 0 {
		return -1
	}
	d := c.openFor
	if c.raw.Backoff > 1 {
		d = times(d, c.raw.Backoff, level-1)
		if c.maxOpenFor >= 0 {
			d = min(d, c.maxOpenFor)
		}
	}
	return d
}

// timed tells that calls know when they began.
func (c *config) timed() bool { return c.ended || c.slow() < math.MaxInt64 }

// slow is the smallest threshold of a SlowRate rule.
func (c *config) slow() time.Duration {
	least := time.Duration(math.MaxInt64)
	for _, r := range c.rules {
		if r.kind == slowRate {
			least = min(least, r.threshold)
		}
	}
	return least
}

// A classifier is one of those the tests configure.
type classifier uint8

const (
	byDefault   classifier = iota
	neutral                // errNeutral is Ignored
	strict                 // every error is a Failure
	unusual                // errNeutral is a Success, all else has an unknown outcome
	classifiers = 4
)

var errNeutral = errors.New("neither here nor there")

const unknownOutcome = breaker.Outcome(9)

func (k classifier) function() func(context.Context, error) breaker.Outcome {
	switch k {
	case neutral:
		return func(ctx context.Context, err error) breaker.Outcome {
			if errors.Is(err, errNeutral) {
				return breaker.Ignored
			}
			return breaker.DefaultClassify(ctx, err)
		}
	case strict:
		return func(context.Context, error) breaker.Outcome { return breaker.Failure }
	case unusual:
		return func(_ context.Context, err error) breaker.Outcome {
			if errors.Is(err, errNeutral) {
				return breaker.Success
			}
			return unknownOutcome
		}
	default:
		return nil
	}
}

// outcome is what the classifier makes of a call's error (G12, G13), written
// down once more.
func (k classifier) outcome(c *caller, err error) breaker.Outcome {
	if err == nil {
		return breaker.Success
	}
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case k == strict:
		return breaker.Failure
	case k == unusual && is(errNeutral):
		return breaker.Success
	case k == unusual:
		return breaker.Failure // unknown values are
	case k == neutral && is(errNeutral):
		return breaker.Ignored
	case is(breaker.ErrRejected):
		return breaker.Ignored
	case errors.Is(c.Err(), context.Canceled) && is(context.Canceled):
		return breaker.Ignored
	}
	return breaker.Failure
}

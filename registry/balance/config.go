package balance

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// Config says how a balancer chooses. It is passed by value, copied, and never
// changed later. The zero Config is valid: the less loaded of two random
// endpoints, panic mode below one half, two attempts.
//
// Filter, Gate and the Policy are called while the balancer adapts to a change.
// They must not use the balancer.
type Config struct {
	// Policy is the rule of choice. Nil: LeastLoaded{}.
	Policy Policy

	// Filter chooses the endpoints that are looked at at all. It is called once
	// per changed endpoint, not per pick. One that panics refuses the endpoint.
	// Nil: all.
	Filter func(*registry.Endpoint) bool

	// Zone is where the caller is. Picks stay there as long as enough of it is
	// usable. Empty: zones are ignored.
	Zone string

	// SpillBelow is the usable share of the own zone below which picks spill
	// over into others, the more the lower it is. Zero: 0.7. Negative: only if
	// none is usable.
	SpillBelow float64

	// SubsetSize is to how many endpoints the balancer restricts itself, so that
	// not every client talks to every instance. Zero or negative: all.
	SubsetSize int

	// SubsetKey names this client: clients with different keys have different
	// subsets. Empty: random.
	SubsetKey string

	// SlowStart is how long an endpoint that became usable gets less than its
	// share. Zero or negative: no time.
	SlowStart time.Duration

	// SlowStartFloor is the share of its share it begins with. Zero: 0.1.
	// Negative: 0.
	SlowStartFloor float64

	// SlowStartCurve bends the rise: after the part t of SlowStart the share is
	// t^(1/curve). Zero: 1, which is linear. Negative is refused.
	SlowStartCurve float64

	// PanicThreshold is the usable share of all endpoints below which picks go
	// to unusable ones too, since a few that are left would not stand it. Zero:
	// 0.5. Negative: never, which fails instead.
	PanicThreshold float64

	// Outlier ejects endpoints whose calls fail. Nil: none is.
	Outlier *Outlier

	// Retry is for [Do].
	Retry Retry

	// Gate gives an endpoint a gate, for example a circuit breaker. It is called
	// once per endpoint, as long as that stays at its address; nil is no gate.
	// Nil: none has one.
	Gate func(*registry.Endpoint) Gate

	// IsFailure tells which errors are failures of the endpoint. It is not asked
	// about a *registry.PanicError, which is a call that did not return and always
	// a failure. Nil: every one but those that are context.Canceled.
	IsFailure func(error) bool

	// Rand draws. It must be safe for concurrent use. Nil: math/rand/v2.
	Rand func() uint64

	// Hooks observe the balancer.
	Hooks Hooks
}

// Outlier is when endpoints are ejected: left alone for a while by this
// balancer, because its own calls to them fail. The zero Outlier ejects after
// five failures in a row. Negative numbers of a rule switch it off. Ejected
// endpoints are unusable for PanicThreshold too, so that by default the ejection
// of the only endpoint has no effect.
type Outlier struct {
	// Consecutive is how many failures in a row eject. Zero: 5.
	Consecutive int

	// FailureRate ejects when that share of the calls of an Interval failed.
	// Zero or negative: off.
	FailureRate float64

	// StdevFactor ejects when the success rate of an endpoint in an Interval is
	// below the mean of all, less so many standard deviations. Zero or negative:
	// off. Usual is 1.9.
	StdevFactor float64

	// MinEndpoints is how many endpoints need MinCalls for the rates to be
	// judged. Zero: 5. Negative is refused.
	MinEndpoints int

	// MinCalls is how many calls of an Interval an endpoint needs for its rate
	// to be judged. Zero: 20. Negative is refused.
	MinCalls int

	// Interval is what rates are about, and after which one without ejection an
	// earlier one is forgotten. Zero: 10s. Negative is refused.
	Interval time.Duration

	// Base is how long the first ejection lasts; the n-th lasts n times as
	// long, up to Max. Zero: 30s. Negative is refused.
	Base time.Duration

	// Max caps the length of an ejection. Zero: 5m. Negative is refused.
	Max time.Duration

	// MaxEjected is the share of the endpoints that may be ejected at once,
	// rounded down. Zero: 0.5. Negative: no cap.
	MaxEjected float64

	// AlwaysOne allows one ejection where MaxEjected rounds to none.
	AlwaysOne bool
}

// Retry is how [Do] tries again.
type Retry struct {
	// Attempts is how many calls there are in all. Zero: 2. Negative: 1.
	Attempts int

	// Burst is how many retries are in hand at the start, and at most. Zero: 10.
	// Negative is refused.
	Burst int

	// Budget is how many retries a call earns. Zero: 0.2. Negative: retries are
	// not limited.
	Budget float64

	// AttemptTimeout ends the context of an attempt, with cause
	// context.DeadlineExceeded; with a Clock the context has no Deadline, and its
	// Err is context.Canceled. Zero or negative: none.
	AttemptTimeout time.Duration

	// If tells which errors are worth another attempt. Nil: all. None is once
	// the context of the call has ended.
	If func(error) bool
}

// A Gate admits calls to one endpoint, for example a circuit breaker. It must be
// safe for concurrent use and must not block.
//
//   - Allow returns an error to refuse: the balancer takes another endpoint, and
//     it counts as no failure.
//   - Otherwise done is called exactly once, with the error that the pick's Done
//     was given; nil instead of an error that is no failure, so that a 404 trips
//     nothing; context.Canceled if the endpoint left in the same instant; a
//     [*registry.PanicError] without Stack for a call in [Do] that panicked or
//     called runtime.Goexit, which goes on with its stack. It may be nil.
type Gate interface {
	Allow(ctx context.Context) (done func(error), err error)
}

// GateFunc is a function as a [Gate].
type GateFunc func(ctx context.Context) (done func(error), err error)

// Allow calls f.
func (f GateFunc) Allow(ctx context.Context) (done func(error), err error) { return f(ctx) }

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// shareOrLess reports whether f is negative or a share.
func shareOrLess(f float64) bool { return finite(f) && f <= 1 }

func (c Config) validate() error {
	var p problems
	const share = "a share of at most 1, or a negative number"
	p.check(shareOrLess(c.SpillBelow), "SpillBelow", c.SpillBelow, share)
	p.check(shareOrLess(c.PanicThreshold), "PanicThreshold", c.PanicThreshold, share)
	p.check(shareOrLess(c.SlowStartFloor), "SlowStartFloor", c.SlowStartFloor, share+" for 0")
	p.check(finite(c.SlowStartCurve) && c.SlowStartCurve >= 0, "SlowStartCurve", c.SlowStartCurve, "0 or more")
	if v := reflect.ValueOf(c.Policy); v.Kind() == reflect.Pointer && v.IsNil() {
		p.check(false, "Policy", v.Type().String()+"(nil)", "a policy, or nil")
	} else if v, ok := c.Policy.(validated); ok {
		v.check(&p)
	}
	if c.Outlier != nil {
		c.Outlier.check(&p)
	}
	p.check(c.Retry.Burst >= 0, "Retry.Burst", c.Retry.Burst, "0 or more")
	p.check(finite(c.Retry.Budget), "Retry.Budget", c.Retry.Budget, "a number")
	return p.invalid("New")
}

// validated is a policy of this package with settings.
type validated interface{ check(p *problems) }

func (o *Outlier) check(p *problems) {
	p.check(shareOrLess(o.FailureRate), "Outlier.FailureRate", o.FailureRate, "a share of at most 1, or a negative number")
	p.check(finite(o.StdevFactor), "Outlier.StdevFactor", o.StdevFactor, "a number")
	p.check(o.MinEndpoints >= 0, "Outlier.MinEndpoints", o.MinEndpoints, "0 or more")
	p.check(o.MinCalls >= 0, "Outlier.MinCalls", o.MinCalls, "0 or more")
	p.check(o.Interval >= 0, "Outlier.Interval", o.Interval, "0 or more")
	p.check(o.Base >= 0, "Outlier.Base", o.Base, "0 or more")
	p.check(o.Max >= 0, "Outlier.Max", o.Max, "0 or more")
	p.check(shareOrLess(o.MaxEjected), "Outlier.MaxEjected", o.MaxEjected, "a share of at most 1, or a negative number")
}

func (c Config) withDefaults() Config {
	if c.Policy == nil {
		c.Policy = LeastLoaded{}
	}
	if c.Rand == nil {
		c.Rand = rand.Uint64
	}
	if c.IsFailure == nil {
		c.IsFailure = func(err error) bool { return !errors.Is(err, context.Canceled) }
	}
	if c.SubsetKey == "" {
		c.SubsetKey = strconv.FormatUint(c.Rand(), 36)
	}
	c.SpillBelow = or(c.SpillBelow, 0.7)
	c.PanicThreshold = or(c.PanicThreshold, 0.5)
	c.SlowStart = max(c.SlowStart, 0)
	c.SlowStartFloor = max(or(c.SlowStartFloor, 0.1), 0)
	c.SlowStartCurve = or(c.SlowStartCurve, 1)
	if c.Outlier != nil {
		o := c.Outlier.withDefaults()
		c.Outlier = &o
	}
	r := &c.Retry
	r.Attempts = max(1, or(r.Attempts, 2))
	r.Burst = or(r.Burst, 10)
	r.Budget = or(r.Budget, 0.2)
	r.AttemptTimeout = max(r.AttemptTimeout, 0)
	return c
}

func (o Outlier) withDefaults() Outlier {
	o.Consecutive = or(o.Consecutive, 5)
	o.MinEndpoints = or(o.MinEndpoints, 5)
	o.MinCalls = or(o.MinCalls, 20)
	o.Interval = or(o.Interval, 10*time.Second)
	o.Base = or(o.Base, 30*time.Second)
	o.Max = or(o.Max, 5*time.Minute)
	o.MaxEjected = or(o.MaxEjected, 0.5)
	return o
}

// or is v, or the default if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

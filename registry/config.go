package registry

import (
	"context"
	"math"
	"time"
)

// Config says how a registry behaves. It is passed by value, copied, and never
// changed later. The zero Config is valid.
type Config struct {
	// Clock tells the time of leases, checks and drains. It must be safe for
	// concurrent use and must not call the registry. Nil: system time.
	Clock Clock

	// Rand draws the jitter of renewals, checks and feeds. It must be safe for
	// concurrent use and must not call the registry. Nil: math/rand/v2.
	Rand func() uint64

	// TTL is how long a registration holds whose instance leaves TTL zero. Zero
	// or negative: it never expires.
	TTL time.Duration

	// DrainGrace is the least time from Draining to the removal of an instance,
	// so that other processes notice. Zero or negative: none.
	DrainGrace time.Duration

	// MaxChecks is how many health checks may run at once; one that has been
	// given up at its Timeout does not count. Zero: 64. Negative: no limit.
	MaxChecks int

	// Preserve keeps many instances from expiring at once.
	Preserve Preserve

	// Limits bound what a registry holds.
	Limits Limits

	// Authorize is asked before Register, Deregister, Drain, SetHealth and
	// Import change anything, once per instance, on the caller's goroutine and
	// without locks. An error comes back as Error.Err and refuses the whole
	// call, of Import that record alone. If the instance is not known, only its
	// Service and ID are set. The verbs of a [Lease] are not asked about, nor
	// are feeds. Nil: all is allowed.
	Authorize func(ctx context.Context, op Op, in Instance) error

	// Hooks observe the registry.
	Hooks Hooks
}

// Preserve is self-preservation, for each service on its own. When many leases
// lapse at once the network, or this process, is a likelier cause than the death
// of all their owners, so some of the instances are kept for a while as Stale.
type Preserve struct {
	// MaxEvict is the share of the leased instances of a service that may expire
	// within Window, rounded up. Zero: 0.15. Negative: no cap.
	MaxEvict float64

	// MinInstances is how many leased instances a service must have for MaxEvict
	// to apply; those of smaller ones expire exactly. Zero: 10. Negative: no
	// minimum.
	MinInstances int

	// Window is the time that MaxEvict is about; it begins when a lease lapses.
	// Zero: 1m. Negative is refused.
	Window time.Duration

	// MaxHold is how long instances are kept at most. Zero: 5m. Negative is
	// refused.
	MaxHold time.Duration

	// StallAfter is how late expiry may be noticed before the process is taken
	// to have stood still, and the time lost does not count for any lease. Zero:
	// 1s; with a Clock never, so that a test that moves its clock gets expiry.
	// Negative: never.
	StallAfter time.Duration
}

// Limits bound what a registry holds. What would exceed one is refused with an
// [*Error] that names it. Negative limits are none.
type Limits struct {
	Services  int // with an instance; zero: 10,000
	Instances int // of one service; zero: 100,000
	MetaBytes int // of all strings of one instance; zero: 16 KiB
	Watchers  int // Watch and Wait calls at a time; zero: 10,000
}

// RegisterConfig is how [Registry.RegisterWith] registers.
type RegisterConfig struct {
	// IfAbsent refuses with ErrExists if an ID is present, in any health.
	IfAbsent bool

	// Health is the owner's first word, as by [Lease.SetHealth]. Zero: none.
	Health Health
}

const (
	defaultMaxChecks    = 64
	defaultMaxEvict     = 0.15
	defaultMinInstances = 10
	defaultWindow       = time.Minute
	defaultMaxHold      = 5 * time.Minute
	defaultStallAfter   = time.Second

	noLimit = math.MaxInt
)

func (c Config) validate() error {
	var p problems
	p.check(c.Preserve.MaxEvict <= 1 && !math.IsInf(c.Preserve.MaxEvict, 0), "Preserve.MaxEvict",
		c.Preserve.MaxEvict, "a share of at most 1, or a negative number for no cap")
	p.check(c.Preserve.Window >= 0, "Preserve.Window", c.Preserve.Window, "0 or more")
	p.check(c.Preserve.MaxHold >= 0, "Preserve.MaxHold", c.Preserve.MaxHold, "0 or more")
	return p.invalid("New")
}

func (c Config) withDefaults() Config {
	c.TTL = max(c.TTL, 0)
	c.DrainGrace = max(c.DrainGrace, 0)
	c.MaxChecks = limit(c.MaxChecks, defaultMaxChecks)
	c.Limits.Services = limit(c.Limits.Services, 10_000)
	c.Limits.Instances = limit(c.Limits.Instances, 100_000)
	c.Limits.MetaBytes = limit(c.Limits.MetaBytes, 16<<10)
	c.Limits.Watchers = limit(c.Limits.Watchers, 10_000)

	p := &c.Preserve
	p.MaxEvict = or(p.MaxEvict, defaultMaxEvict)
	p.MinInstances = or(p.MinInstances, defaultMinInstances)
	p.Window = or(p.Window, defaultWindow)
	p.MaxHold = or(p.MaxHold, defaultMaxHold)
	if p.StallAfter == 0 {
		p.StallAfter = defaultStallAfter
		if c.Clock != nil {
			p.StallAfter = -1
		}
	}
	return c
}

// or is v, or the default if v is zero.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// limit is n with the default for zero and no limit for negative numbers.
func limit(n, def int) int {
	if n < 0 {
		return noLimit
	}
	return or(n, def)
}

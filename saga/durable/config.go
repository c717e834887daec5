package durable

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// Config is about an [Engine]. It is passed by value, copied, and never changed
// later. The zero Config is valid.
type Config struct {
	// Name is a part of what leases are under; a random suffix is added always.
	// Empty: the name of the host.
	Name string

	// MaxRunning is how many runs execute at once. Zero: 64. Negative: any number.
	MaxRunning int

	// Lease is how long a run belongs to an engine that does not renew its claim.
	// Zero: 30s. Negative: for ever, which is for a store that only this engine
	// uses.
	Lease time.Duration

	// Poll is how often a store without Watch is asked for work, and any store for
	// the end of a run that Wait waits for and somebody else executes. Zero: 1s.
	// Negative is refused.
	Poll time.Duration

	// StepTimeout is for steps whose Timeout is zero. Zero: 5m. Negative: none.
	StepTimeout time.Duration

	// MaxCrashes is after how many deaths of the process within one step, with no
	// attempt of it in between that has ended, a run is stuck. Nobody can tell which
	// of the runs that were under way has killed the process, so it counts for each:
	// the larger it is, the fewer are parked that have nothing to do with it. A lost
	// lease counts as one, Close does not. Zero: 3. Negative: never.
	MaxCrashes int

	// MaxState is how many bytes an encoded state may have. Zero: 1 MiB. Negative:
	// any number.
	MaxState int

	// Retain is how long runs that have ended are kept, and how long an ID stands
	// for one run. Zero: 7 days. Negative: for ever.
	Retain time.Duration

	// Retry and UndoRetry fill what steps leave zero. Their Attempts are 5 and
	// unlimited if they are zero here, too.
	Retry, UndoRetry saga.Retry

	// Clock tells the time; give the store the same. Nil: system time.
	Clock saga.Clock

	// Rand is for jitter. It must be safe for concurrent use. Nil: math/rand/v2.
	Rand func() uint64

	// Hooks observe all runs.
	Hooks saga.Hooks

	// Around wraps every attempt, see [saga.RunConfig].
	Around func(ctx context.Context, info saga.StepInfo, next func(context.Context) error) error
}

const (
	defaultRunning     = 64
	defaultLease       = 30 * time.Second
	defaultPoll        = time.Second
	defaultStepTimeout = 5 * time.Minute
	defaultCrashes     = 3
	defaultState       = 1 << 20
	defaultRetain      = 7 * 24 * time.Hour
	defaultAttempts    = 5
	unlimited          = -1
	maxID              = 256
)

func (c *Config) validate() error {
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s is %v, want %s", field, value, want))
		}
	}
	check(c.Poll >= 0, "Poll", c.Poll, "0 or more")
	factor := func(field string, f float64) {
		check(f == 0 || f >= 1 && f <= math.MaxFloat64, field, f, "1 or more, and finite")
	}
	factor("Retry.Factor", c.Retry.Factor)
	factor("UndoRetry.Factor", c.UndoRetry.Factor)
	if len(errs) > 0 {
		return fmt.Errorf("durable: Open: %w", errors.Join(errs...))
	}
	return nil
}

func (c *Config) withDefaults() {
	if c.Name == "" {
		c.Name, _ = os.Hostname()
	}
	c.MaxRunning = or(c.MaxRunning, defaultRunning)
	c.Lease = or(c.Lease, defaultLease)
	c.Poll = or(c.Poll, defaultPoll)
	c.StepTimeout = or(c.StepTimeout, defaultStepTimeout)
	c.MaxCrashes = or(c.MaxCrashes, defaultCrashes)
	c.MaxState = or(c.MaxState, defaultState)
	c.Retain = or(c.Retain, defaultRetain)
	c.Retry.Attempts = or(c.Retry.Attempts, defaultAttempts)
	c.UndoRetry.Attempts = or(c.UndoRetry.Attempts, unlimited)
}

func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

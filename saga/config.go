package saga

import (
	"cmp"
	"context"
	"time"
)

// RunConfig is about one run in memory. It is passed by value, copied, and never
// changed later. The zero RunConfig is valid.
type RunConfig struct {
	// ID is the name of the run, a part of idempotency keys. Up to 256 bytes.
	// Empty: a random one, made when a step or a hook asks.
	ID string

	// Grace is how long compensation may take as a whole, and so may the work
	// from the pivot on, once the context has ended or an attempt has failed.
	// Then contexts are cancelled, nothing more is started, and the run is stuck.
	// Zero: 30s. Negative: no limit.
	Grace time.Duration

	// Retry and UndoRetry fill what steps leave zero.
	Retry, UndoRetry Retry

	// Clock tells the time. Nil: system time.
	Clock Clock

	// Rand is for jitter and for a random ID. It must be safe for concurrent
	// use. Nil: math/rand/v2.
	Rand func() uint64

	// Hooks observe the run.
	Hooks Hooks

	// Around wraps every attempt of Do, apply and Undo, for tracing and limits,
	// inside of its timeout. What it returns is the result of the attempt; it may
	// call next any number of times. Nil: nothing.
	Around func(ctx context.Context, info StepInfo, next func(context.Context) error) error
}

const (
	defaultGrace = 30 * time.Second
	maxID        = 256
)

func (c *RunConfig) validate() error {
	var p problems
	p.check(len(c.ID) <= maxID, "ID", c.ID, "at most 256 bytes")
	c.Retry.check(&p, "Retry")
	c.UndoRetry.check(&p, "UndoRetry")
	return p.invalid("Run")
}

func (c *RunConfig) grace() time.Duration {
	if c.Grace == 0 {
		return defaultGrace
	}
	return c.Grace
}

// attempts are those of an action: in memory it is tried once, since the caller can
// try again.
func (c *RunConfig) attempts(own *Retry) int { return cmp.Or(own.Attempts, c.Retry.Attempts, 1) }

func (c *RunConfig) undoAttempts(own *Retry) int {
	return cmp.Or(own.Attempts, c.UndoRetry.Attempts, 3)
}

// wait is how long to wait after the n-th attempt of an action, n from 1 on.
func (c *RunConfig) wait(own Retry, n int32) time.Duration {
	return own.or(c.Retry).usual().wait(n, c.Rand)
}

func (c *RunConfig) undoWait(own Retry, n int32) time.Duration {
	return own.or(c.UndoRetry).usual().wait(n, c.Rand)
}

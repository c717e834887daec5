package saga

import (
	"context"
	"time"
)

// Hooks observe runs. Nil fields are skipped and cost nothing. They run outside
// all locks on the goroutine that did the work, in order for each step, at most
// once, and in the engine when the fact is durable. A hook that panics changes
// nothing; that is told to Fault.
type Hooks struct {
	// Status is told every change of a run's status, the first one included. In the
	// engine that is Waiting when it stops for a retry, a Sleep or a signal, and
	// Running when it goes on; a run that goes back is Compensating all the while. A
	// verb of an operator is told by who calls it, with the context of that call,
	// perhaps after what follows from it. A hook is waited for: it must not Close the
	// engine, nor Wait for its own run.
	Status func(context.Context, StatusEvent)

	// StepStart is told that an attempt of Do, apply or Undo begins.
	StepStart func(context.Context, StepInfo)

	// StepDone is told how an attempt ended.
	StepDone func(context.Context, StepEvent)

	// Fault is told what went wrong besides: hooks that panic, and in the engine
	// errors of the store, lost leases and unreadable journals.
	Fault func(context.Context, FaultEvent)
}

// A StatusEvent is that a run has another status.
type StatusEvent struct {
	Saga, Run string
	From, To  Status // From is 0 at the start
	Reason    Reason // if it is stuck
	Cause     error  // of a turn to the worse
	At        time.Time
}

// A StepEvent is that an attempt has ended.
type StepEvent struct {
	Info   StepInfo
	Result Outcome // of the attempt; of an Undo Applied means undone
	Err    error
	Took   time.Duration
	Wait   time.Duration // until the next attempt; negative: none follows
}

// A FaultEvent is that something went wrong which is no outcome of a step.
type FaultEvent struct {
	// Op is what went wrong: a hook, "status", "step start" or "step done"; a
	// panic of a "step" besides that of the first failure; and in the engine to
	// "load", to "append" to or to make sense of a "journal", to keep a "lease",
	// and, without a run, to "claim", to "watch" and to "sweep".
	Op string

	Saga, Run string // "" if it is about no run
	Err       error
}

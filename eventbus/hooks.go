package eventbus

import (
	"context"
	"time"
)

// A Handler is a handler as an [Interceptor] sees it.
type Handler func(ctx context.Context, e Event[any]) error

// An Interceptor wraps what follows it. See [Config].AroundPublish and
// AroundHandle for what it may do. It must be safe for concurrent use.
type Interceptor func(next Handler) Handler

// Hooks observe a bus. Nil fields are skipped. They run outside all locks and
// may publish, subscribe and cancel, but not wait for an end: Drain, Close and
// Flush only with the context that they got. A panic in one is contained, counted
// in [TopicStats].HookPanics and reported to Fault. Each but Fault is called in
// order, and never twice at a time, for one subscription with one worker, but for
// what fails without an attempt.
type Hooks struct {
	// Handled is told every attempt, failed or not, on the handler's
	// goroutine, with the context of the handler.
	Handled func(context.Context, Handling)

	// Failed is told every failed attempt, on the handler's goroutine, and what
	// failed without one: a filter or key function that panicked, on the
	// goroutine that publishes or subscribes, and a dead letter that could not
	// be published.
	Failed func(context.Context, Failure)

	// Dropped is told every loss, on the goroutine that notices it: a worker
	// that lagged, a publisher, whoever began or ended a subscription, or one
	// of its own that Close waits for.
	Dropped func(Drop)

	// Stalled is told when a publisher has waited for Config.StallAfter, and
	// then at twice, four times ... that, on a timer's goroutine.
	Stalled func(Stall)

	// Fault is told every panic and Goexit of another hook, on the goroutine
	// where it happened, possibly concurrently. One of Fault itself is only
	// counted. (Those of handlers and other functions come to Failed, or to
	// whoever called.)
	Fault func(*PanicError)
}

// A Handling is one attempt to handle an event.
type Handling struct {
	Topic, Subscription string
	Seq                 int64
	Attempt             int           // 1, 2, 3...
	Age                 time.Duration // from publish to the start of the attempt; 0 on an Untimed topic
	Took                time.Duration
	Err                 error
}

// A Failure is an event that could not be handled. It is also the data of
// dead-letter topics, where Final is always true.
type Failure struct {
	Event        Event[any]
	Subscription string // "" if nobody subscribed to the event
	Attempts     int    // calls of the handler so far
	Final        bool   // there will be no further attempt
	Err          error  // of the last attempt
}

// A Drop is a loss of events: exactly one of its counters is not zero.
type Drop struct {
	Topic        string // the pattern, for a pattern subscription
	Subscription string // "" with Unrouted

	Lagged    uint64 // lost to the overflow policy, or no longer retained
	Discarded uint64 // queued, but the subscription ended
	Unrouted  uint64 // nobody subscribed
}

// A Stall is a publisher that waits for too long.
type Stall struct {
	Topic         string
	Waiting       int                 // publishers, the one in front included
	For           time.Duration       // that the one in front has waited
	Subscriptions []SubscriptionStats // those without room for its event
}

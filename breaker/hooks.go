package breaker

import (
	"context"
	"sync/atomic"
	"time"
)

// Hooks observe a breaker. Nil fields are skipped. Hooks run outside all locks
// and may call every method of the breaker; a panic in one is contained, and
// like a runtime.Goexit counted in Snapshot.HookPanics.
//
// Hooks run on the goroutines of callers, so they must not block: no I/O, no
// send on a channel that may be full. A caller waits for its hook, and events
// queue up behind a Transition that does not return. Count, or hand over to a
// goroutine of your own.
type Hooks struct {
	// Transition is told every change of state, and what would have been one in
	// a forced-closed breaker (Transition.WouldOpen), once, in order, never two at a
	// time, on the goroutine of some caller of the breaker. If no delivery is
	// under way, it has returned before the call that caused the change does,
	// and the half-open event comes before the probe runs. A slow hook delays
	// that one caller and later events, never admission. The context is that of
	// the call that caused the event, context.Background() for explicit calls.
	Transition func(context.Context, Transition)

	// Rejected is told every rejection, on the rejected caller's goroutine,
	// possibly concurrently. The error is shared: read-only.
	Rejected func(context.Context, *RejectedError)

	// Done is told every reported call, on the reporter's goroutine, possibly
	// concurrently. It costs two clock reads per call.
	Done func(context.Context, Completion)
}

// A Transition is one change of state, or with WouldOpen one that was not made.
type Transition struct {
	// Name is that of the breaker.
	Name string

	// From and To differ, but with WouldOpen.
	From, To State

	// At is when it happened, on Config.Clock. The hook may run later.
	At time.Time

	// Reason tells what brought it about.
	Reason Reason

	// Cause is the error behind an opening, also a forced or a would-be one.
	Cause error

	// OpenFor is the open time from At on, if To is Open; negative: without
	// end. When Auto returns to an open state it is what is left, which may be 0.
	OpenFor time.Duration

	// WouldOpen tells that a forced-closed breaker would have opened; From and
	// To are both ForcedClosed then.
	WouldOpen bool

	// Before is the stay that ended, with the outcome that ended it.
	Before Snapshot
}

// A Completion is one reported call.
type Completion struct {
	// Name is that of the breaker.
	Name string

	// Outcome is the one that counted, after Classify and MinBudget.
	Outcome Outcome

	// Err is what the call returned, or the cause given to Permit.Record or
	// Permit.Trip. Nil on a success without one, and with Aborted.
	Err error

	// Took is the time from admission to report, on Config.Clock.
	Took time.Duration

	Slow    bool // took at least the smallest threshold of a SlowRate rule
	Probe   bool // admitted by a half-open breaker
	Late    bool // the stay that admitted the call was over
	Aborted bool // fn panicked or called runtime.Goexit
}

// past is what a breaker remembers once something has happened to it: most
// breakers of a large group never need it.
type past struct {
	// Guarded by Breaker.mu.
	backoff    backoff
	events     []event
	delivering bool

	trips, hookPanics atomic.Uint64
	rejected          stripedCounter
}

// memory is the breaker's past, made on first use.
func (b *Breaker) memory() *past {
	if p := b.past.Load(); p != nil {
		return p
	}
	return b.newMemory()
}

func (b *Breaker) newMemory() *past {
	b.past.CompareAndSwap(nil, &past{rejected: make(stripedCounter, stripes())})
	return b.past.Load()
}

// An event waits for delivery to the hook in force when it happened.
type event struct {
	ctx  context.Context //nolint:containedctx // an argument on its way to the hook
	hook func(context.Context, Transition)
	t    Transition
}

// queue adds the event of a transition away from an epoch, which may also be
// one that only would have been. mu is held.
func (b *Breaker) queue(ctx context.Context, from *epoch, t Transition, m moment) {
	hook := from.set.Hooks.Transition
	if hook == nil {
		return
	}
	t.Name, t.From, t.At, t.Before = b.name, from.state, m.date, b.picture(from, m.now)
	p := b.memory()
	p.events = append(p.events, event{ctx, hook, t})
}

// unlock ends a critical section. If it reports true, deliver has to follow:
// this goroutine has the delivery then, so that nobody else can be at it when
// deliver returns and the call goes on.
func (b *Breaker) unlock() (owed bool) {
	if p := b.past.Load(); p != nil && len(p.events) > 0 && !p.delivering {
		p.delivering, owed = true, true
	}
	b.mu.Unlock()
	return owed
}

// deliver runs the hooks of all queued events, in order, until the queue is
// empty. Events that are queued meanwhile, also by the hooks themselves, are
// delivered too; admission waits for none of it. mu is not held.
//
// A hook that calls runtime.Goexit ends this goroutine, but not before the
// deferred call has gone on with the events that are still owed.
func (b *Breaker) deliver() {
	finished := false
	defer func() {
		if !finished {
			b.deliver()
		}
	}()
	for {
		e, ok := b.nextEvent()
		if !ok {
			break
		}
		b.contain(func() { e.hook(e.ctx, e.t) })
	}
	finished = true
}

// nextEvent takes the oldest event, or gives the delivery up.
func (b *Breaker) nextEvent() (event, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.past.Load()
	if len(p.events) == 0 {
		p.events, p.delivering = nil, false
		return event{}, false
	}
	e := p.events[0]
	p.events[0] = event{} // what was delivered is garbage
	p.events = p.events[1:]
	return e, true
}

// contain runs a hook and counts its panic, or that it ended its goroutine.
func (b *Breaker) contain(hook func()) {
	returned := false
	defer func() {
		if !returned {
			_ = recover() // nil if it was a Goexit, which goes on
			b.memory().hookPanics.Add(1)
		}
	}()
	hook()
	returned = true
}

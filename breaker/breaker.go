package breaker

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Breaker guards calls to one dependency. Make one with [New]; it must not be
// copied. All methods may be used concurrently. There is nothing to close: a
// breaker owns no goroutine, timer or channel, and one that is dropped is just
// garbage.
//
// Methods without an error result panic if b is nil or was not made by New; the
// others return an error that says so.
type Breaker struct {
	// cur is all that the healthy path reads. Written under mu.
	cur  atomic.Pointer[epoch]
	past atomic.Pointer[past] // nil until something happens
	mu   sync.Mutex           // held for no user code

	changes       atomic.Uint64 // of all that is timed; written under mu
	ignored, late atomic.Uint64

	name    string
	time    *timeline
	initial State
}

// New makes a breaker. The name is free text for people: errors, events and
// snapshots carry it. It may be empty and need not be unique. Its error joins
// all problems of cfg; each names the field and the value. It starts nothing.
func New(name string, cfg Config) (*Breaker, error) {
	set, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	b := new(Breaker)
	t := newTimeline(cfg.Clock)
	b.init(name, set, t, t.base)
	return b, nil
}

// MustNew is [New] for package-level variables: it panics with its error.
func MustNew(name string, cfg Config) *Breaker {
	b, err := New(name, cfg)
	if err != nil {
		panic(err)
	}
	return b
}

func (b *Breaker) init(name string, set *settings, t *timeline, at time.Time) {
	b.name, b.time, b.initial = name, t, set.Initial
	e := (&epoch{view: view{b: b, set: set, stay: new(stay), at: at, state: Closed}}).counting(nil, nil)
	if set.Initial != Closed {
		e = b.forced(set.Initial, nil, e, moment{date: at})
		e.reason = ReasonNone
	}
	b.cur.Store(e)
}

// control runs f, which changes the state, in the critical section of an
// explicit call, and delivers what events it queued.
func (b *Breaker) control(f func(ctx context.Context, cur *epoch, m moment)) {
	cur := b.cur.Load()
	if cur == nil {
		panic(errZeroBreaker)
	}
	m := b.look()
	f(context.Background(), b.cur.Load(), m)
	if b.unlock() {
		b.deliver()
	}
}

// Trip opens the breaker for exactly d, without jitter or backoff. Zero: for a
// regular open time, as if its rule had tripped it. Negative: until Reset. On a
// breaker that is open already the later end wins, with its cause. Under a
// forced state Trip acts on the automatic state. cause may be nil.
func (b *Breaker) Trip(d time.Duration, cause error) {
	b.control(func(ctx context.Context, cur *epoch, m moment) {
		if cur.parked == nil && cur.state == Open {
			// An open time that is over is half-open. Leases and ramps end with
			// a call only: a ramp ended here would for a moment show a closed
			// epoch, which admits without the lock, though this opens.
			b.advance(ctx, m)
			cur = b.cur.Load()
		}
		automatic := cur
		if cur.parked != nil {
			automatic = cur.parked
		}
		next := b.tripped(automatic, d, cause, m)
		switch {
		case next == automatic:
		case cur.parked != nil:
			under := cur.again()
			under.parked = next
			if cur.state == ForcedClosed { // refuses nobody: this tells the last opening
				under.refusal = next.refusal
			}
			b.replace(under)
			b.opened(automatic, next)
		default:
			b.enter(ctx, next, m)
			b.opened(automatic, next)
		}
	})
}

// tripped is the automatic epoch after Trip.
func (b *Breaker) tripped(e *epoch, d time.Duration, cause error, m moment) *epoch {
	if e.state != Open || e.span.over(m.now) {
		return b.opening(e.state, ReasonTrip, cause, d, m)
	}
	p := b.memory()
	if d == 0 {
		d = p.backoff.length(e.set, nameSeed(b.name))
	}
	if e.span.length < 0 || (d >= 0 && d <= e.span.left(m.now)) {
		return e
	}
	// The same stay with a later end, so that rejections of before tell the
	// time left as it is now.
	next := e.again()
	next.span.length = forever
	if d >= 0 {
		next.span.length = saturated(max(elapsed(e.span.began, m.now), 0), d)
	}
	p.backoff.lastOpen = next.span.length
	return next.refuse(ReasonTrip, cause)
}

// ForceOpen rejects everything, without probes, until Auto or Reset. cause may
// be nil; it is the Cause of the rejections.
func (b *Breaker) ForceOpen(cause error) {
	b.control(func(ctx context.Context, cur *epoch, m moment) {
		if cur.state == ForcedOpen { // the stay goes on, with another cause
			next := cur.again()
			next.reason = ReasonForced // an initial state is pinned now
			b.replace(next.refuse(ReasonForced, cause))
			return
		}
		b.enter(ctx, b.forced(ForcedOpen, cause, b.park(cur, m), m), m)
	})
}

// ForceClosed admits and counts everything until Auto or Reset, and only
// reports what would have opened: one Transition with WouldOpen, then none for
// the regular open time, then it counts anew. (With a negative OpenFor that is
// never: one event is all.) It serves to disable a breaker and for a dry run.
func (b *Breaker) ForceClosed() {
	b.control(func(ctx context.Context, cur *epoch, m moment) {
		if cur.state == ForcedClosed {
			next := cur.again()
			next.reason = ReasonForced // as above
			b.replace(next)
			return
		}
		b.enter(ctx, b.forced(ForcedClosed, nil, b.park(cur, m), m), m)
	})
}

// park is the automatic state that waits under a forced one. Closed and open
// are only suspended; half-open and recovering go on as half-open, with all
// slots free.
func (b *Breaker) park(cur *epoch, m moment) *epoch {
	switch {
	case cur.parked != nil:
		return cur.parked
	case cur.state == Closed || cur.state == Open:
		return cur
	}
	return b.halfOpen(cur.reason, m)
}

func (b *Breaker) forced(state State, cause error, parked *epoch, m moment) *epoch {
	e := &epoch{view: view{
		b: b, set: parked.set, stay: new(stay), parked: parked, refusal: parked.refusal,
		at: m.date, state: state, reason: ReasonForced,
	}}
	if state == ForcedOpen {
		b.memory() // so that the first rejection allocates no more than the others
		return e.admitting().refuse(ReasonForced, cause)
	}
	return e.counting(nil, nil)
}

// Auto ends a forced state; the automatic state goes on. A closed one counted
// the outcomes of its calls meanwhile but did not move, an open one's time ran
// on, half-open and recovering go on as half-open. Else Auto does nothing.
func (b *Breaker) Auto() {
	b.control(func(ctx context.Context, cur *epoch, m moment) {
		if cur.parked == nil {
			return
		}
		next := cur.parked.again()
		next.reason = ReasonAuto
		if next.state == HalfOpen {
			next.at = m.date
		}
		b.enter(ctx, next, m)
	})
}

// Reset closes the breaker from every state, forced ones too, and forgets all:
// counts, backoff, cause, and the outcomes of calls in flight.
func (b *Breaker) Reset() {
	b.control(func(ctx context.Context, cur *epoch, m moment) {
		b.memory().backoff = backoff{openings: b.memory().backoff.openings}
		e := b.begin(Closed, ReasonReset, m)
		e.refusal = nil
		if cur.state == Closed { // no transition
			e.reason = cur.reason
		}
		b.enter(ctx, e.counting(nil, nil), m)
	})
}

// Reconfigure puts another Config in force. If it is invalid nothing changes,
// and the error is that of New. Else state, permits in flight, the current open
// time and the backoff level survive, and the next decision uses the new
// values. A rule keeps its counts if its place, kind and window are the same.
// Reconfigure never opens: a limit that is exceeded already takes effect at the
// next bad outcome. Clock and Initial are ignored.
func (b *Breaker) Reconfigure(cfg Config) error {
	set, err := newSettings(cfg)
	if err != nil {
		return err
	}
	switch {
	case b == nil:
		return errNilBreaker
	case b.cur.Load() == nil:
		return errZeroBreaker
	}
	b.adopt(set)
	return nil
}

func (b *Breaker) adopt(set *settings) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replace(b.cur.Load().with(set))
}

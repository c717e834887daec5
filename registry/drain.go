package registry

import (
	"context"
	"time"
)

// A drain is one way out for a member; all Drain calls for it share one.
type drain struct {
	at    *roster
	grace int64         // the instant at which DrainGrace is over, in lease time
	idle  latch         // calls may have ended
	done  chan struct{} // closed when the drain is over

	// Guarded by the lock of the roster.
	operator, owner bool // who wants it; the operator's stays through registrations

	// Written before done is closed.
	kind  error // a sentinel if it came to nothing
	cause error // of the context that cut it short
}

// drainPoll is how often a drain looks for calls that were given up, see
// [Live.Abandon].
const drainPoll = time.Second

// Drain takes an instance out by hand, whoever owns it, without harming the
// calls under way. It is Draining at once, so that nobody picks it any more, and
// removed when no tracked call of this process is under way and
// Config.DrainGrace has passed, or when ctx ends; the error is an [*Error] with
// its cause then. With a context that has ended before, nothing happens, and the
// error is its cause. A second Drain joins the first: of their contexts the one that
// ends first counts for both. What feeds say of the instance goes with it, until
// one delivers it again. It returns ErrNotFound if there is no such instance, and
// ErrClosed if the registry is closed before the end.
func (r *Registry) Drain(ctx context.Context, service, id string) error {
	var d *drain
	err := r.byHand(ctx, OpDrain, service, id, nil, func(ro *roster, m *member, b *batch) {
		d = ro.drain(m, b)
		d.operator = true
	})
	if err != nil {
		return err
	}
	return d.await(ctx, id, nil)
}

// Drain takes the instance out as [Registry.Drain] does, and ends the lease. It
// does not renew it: let KeepAlive run until Drain has returned. It returns
// ErrLeaseLost if the lease is or gets lost.
func (l *Lease) Drain(ctx context.Context) error {
	if err := l.usable(); err != nil {
		return err
	}
	if ctx == nil {
		return errNilContext
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for {
		c := l.claim.Load()
		var d *drain
		err := l.change(OpDrain, func(r *roster, m *member, _ *claim, b *batch) {
			d = r.drain(m, b)
			d.owner = true
		})
		if err == nil {
			if err = d.await(ctx, l.id, l.done); err == nil && l.Err() != nil {
				return l.lost(OpDrain)
			}
			return err
		}
		if l.quit(c) {
			return err
		}
	}
}

// drain begins to drain a member, or joins. The roster is locked.
func (r *roster) drain(m *member, b *batch) *drain {
	if m.drain == nil {
		m.drain = &drain{
			at:    r,
			grace: after(r.now, r.reg.cfg.DrainGrace),
			idle:  newLatch(),
			done:  make(chan struct{}),
		}
		m.drain.watch(m.ep.live)
		b.refresh(m)
	}
	return m.drain
}

// watch makes calls on a live side tell the drain when they end.
func (d *drain) watch(l *Live) {
	if d != nil {
		l.idle.Store(&d.idle)
	}
}

// end ends the drain of a member, if it has one.
func (d *drain) end(m *member, kind error) {
	if d != nil {
		m.drain, d.kind = nil, kind
		m.ep.live.idle.Store(nil)
		close(d.done)
	}
}

// await removes the member once it may go, or waits until somebody else has, or
// until lost is closed.
func (d *drain) await(ctx context.Context, id string, lost <-chan struct{}) error {
	for {
		select {
		case <-lost:
			d.at.settled() // once whoever ended the lease shows that
			return d.result(id)
		default:
		}
		rest, over := d.finish(ctx, id)
		if over {
			break
		}
		alarm, stop := d.at.reg.time.alarm(rest)
		select {
		case <-alarm:
		case <-d.idle:
		case <-d.done:
		case <-lost:
		case <-ctx.Done():
		}
		stop()
	}
	return d.result(id)
}

// result is how the drain has ended; nil if it has not.
func (d *drain) result(id string) error {
	select {
	case <-d.done:
	default:
		return nil
	}
	if d.kind == nil && d.cause == nil {
		return nil
	}
	return &Error{Op: OpDrain, Service: d.at.name, ID: id, Kind: d.kind, Err: d.cause}
}

// finish removes the member if it may go. Otherwise it tells when to look again.
//
// Draining was stored before the calls are counted here, and a pick counts
// itself before it looks for Draining: whatever is not counted now will not
// begin.
func (d *drain) finish(ctx context.Context, id string) (rest time.Duration, over bool) {
	r := d.at
	if !r.lock() {
		return 0, true // nobody is left, so the member is not either
	}
	defer r.unlock(callers)
	m := r.members[id]
	if m == nil || m.drain != d {
		return 0, true
	}
	if m.ep.live.InFlight() > 0 {
		rest = drainPoll
	} else {
		rest = time.Duration(d.grace - r.now)
	}
	switch {
	case ctx.Err() != nil:
		d.cause = context.Cause(ctx)
	case rest > 0:
		return rest, false
	}
	why := ErrLeaseLost
	if d.owner {
		why = nil
	}
	// With it goes what feeds say: it is the instance that leaves, and who takes
	// over would send calls to it.
	var b batch
	r.expel(m, why, &b, ReasonDrained)
	r.publish(b)
	return 0, true
}

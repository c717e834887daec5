package registry

import (
	"context"
	"time"
)

// KeepAlive blocks and renews the lease, now and then every third of its TTL,
// plus or minus a tenth. If the lease lapses all the same, because the process
// was asleep or the clock jumped, it registers the instance again, under a new
// generation, with what the owner last said, unless somebody else has the ID
// by then.
//
// It returns the cause of ctx when that ends, and leaves the lease as it is; nil
// after the owner's own Deregister or Drain; ErrLeaseLost when the lease is lost
// for good, and ErrClosed when the registry is closed.
func (l *Lease) KeepAlive(ctx context.Context) error {
	if err := l.usable(); err != nil {
		return err
	}
	if ctx == nil {
		return errNilContext
	}
	_ = l.Renew() // a lease whose time is over has ended before, whether anybody has looked or not
	l.keep(1)
	defer l.keep(-1)
	for {
		if l.Renew() != nil {
			l.rejoin()
		}
		l.mu.Lock()
		retimed := l.retimed // before the TTL is looked at
		l.mu.Unlock()
		rest := time.Duration(never)
		if ttl := time.Duration(l.claim.Load().term.ttl.Load()); ttl > 0 {
			rest = max(1, l.reg.time.jitter(ttl/3, 0.1))
		}
		over, stop := l.reg.time.alarm(rest)
		select {
		case <-over:
		case <-retimed:
		case <-l.done:
		case <-l.reg.closing: // the lease may have lapsed, so that Close does not know it
		case <-ctx.Done():
		}
		stop()
		select {
		case <-l.done: // of two at once this one says more
			if l.Err() == nil {
				return nil
			}
			return l.lost(OpRenew)
		default:
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// keep counts the KeepAlive calls. With the last one a lapsed lease is over.
func (l *Lease) keep(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keepers += n
	if l.keepers == 0 && !l.claim.Load().term.alive() {
		l.end(ErrLeaseLost)
	}
}

// rejoin registers a lapsed lease again. If a limit does not allow it, the next
// beat tries again.
func (l *Lease) rejoin() {
	r := l.reg.open(l.service)
	defer r.unlock(callers)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch local := r.members[l.id].local(); {
	case l.over || l.claim.Load().term.alive():
	case l.reg.closed.Load():
		l.end(ErrClosed)
	case local != nil:
		l.end(ErrLeaseLost)
	case l.reg.admit(OpRenew, []*group{{roster: r, ins: []*Instance{l.in}}}, false) == nil:
		// No claim of another lease ends by this, so that no second lease is
		// locked below this one.
		var b batch
		r.register(l, &b)
		r.publish(b)
	}
}

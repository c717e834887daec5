package registry

import (
	"errors"
	"sync"
	"sync/atomic"
)

// A Lease is the owner's handle to what it registered. It is fenced: once
// somebody else has registered the same ID, or the instance was removed, its
// verbs return ErrLeaseLost and touch nothing. It is safe for concurrent use. It
// comes from [Registry.Register] only (G5).
type Lease struct {
	reg         *Registry
	service, id string
	claim       atomic.Pointer[claim] // KeepAlive may replace it
	done        chan struct{}

	// mu guards the fields below. It is taken after the lock of a roster.
	mu      sync.Mutex
	in      *Instance // what KeepAlive registers again
	word    word
	keepers int           // KeepAlive calls
	retimed chan struct{} // closed, and replaced, when the TTL is another one
	over    bool
	err     error
}

// errLapsed is why a claim ended that nobody renewed in time.
var errLapsed = errors.New("registry: lease lapsed")

func newLease(r *Registry, in *Instance, w word) *Lease {
	return &Lease{
		reg: r, service: in.Service, id: in.ID, in: in, word: w,
		done: make(chan struct{}), retimed: make(chan struct{}),
	}
}

// usable reports misuse of the handle.
func (l *Lease) usable() error {
	if l == nil || l.reg == nil {
		return errZeroLease
	}
	return nil
}

// must is usable for methods without an error result.
func (l *Lease) must() {
	if l.usable() != nil {
		panic(errZeroLease)
	}
}

// Done is closed when the lease has ended for good: the instance was
// deregistered, drained, superseded, removed, it expired while no KeepAlive ran,
// or the registry was closed.
func (l *Lease) Done() <-chan struct{} {
	l.must()
	return l.done
}

// Err is nil as long as the lease lives, and after the owner's own Deregister or
// Drain; else it is ErrLeaseLost or ErrClosed.
func (l *Lease) Err() error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Endpoint is the latest record of the registration.
func (l *Lease) Endpoint() *Endpoint {
	l.must()
	return l.claim.Load().ep.Load()
}

// Renew prolongs the lease to a TTL from now. Without a TTL it does nothing. A
// lease whose time is over is lost, except that an instance which is kept as
// Stale is restored. It takes no lock unless the time is over.
func (l *Lease) Renew() error {
	if err := l.usable(); err != nil {
		return err
	}
	c := l.claim.Load()
	if c.term.deadline.Load() == never {
		return nil
	}
	switch c.term.renew(l.reg.schedule.now()) {
	case renewed:
		return nil
	case lapsed:
		if c.restore() {
			return nil
		}
	case lost:
		c.r.settled() // once whoever ended it shows that
	}
	return l.lost(OpRenew)
}

// restore renews a claim whose time is over, if it is held.
func (c *claim) restore() bool {
	r := c.r
	if !r.lock() {
		return false
	}
	defer r.unlock(callers)
	switch c.term.renew(r.now) {
	case renewed: // somebody else has restored it
		return true
	case lapsed: // it is held, since what is due has expired
		r.revive(c)
		var b batch
		b.refresh(r.members[c.in.ID])
		r.publish(b)
		return true
	default:
		return false
	}
}

// Update replaces what is registered, and keeps the generation. Service and ID
// have to be the same, or empty. Another TTL counts from the last renewal. It
// returns an [*Error] for every bad field, ErrLeaseLost or ErrClosed.
func (l *Lease) Update(in Instance) error {
	if err := l.usable(); err != nil {
		return err
	}
	in.Service, in.ID = or(in.Service, l.service), or(in.ID, l.id)
	n, p := in.normal(l.reg.cfg.TTL, l.reg.cfg.Limits)
	p.check(in.Service == l.service, "Service", in.Service, quoted(l.service))
	p.check(in.ID == l.id, "ID", in.ID, quoted(l.id))
	if err := p.of(OpUpdate, l.service, l.id); err != nil {
		return err
	}
	return l.changeKept(OpUpdate, func(r *roster, m *member, c *claim, b *batch) {
		ttl := c.in.TTL
		c.in = &n
		l.say(&n, c.word)
		if n.TTL != ttl {
			if r.terms.retime(&c.term, n.TTL, r.now) {
				r.preserved(turn{at: r.now})
			}
			l.retime()
		}
		r.supervise(m)
		b.refresh(m)
	})
}

// SetHealth is the owner's word about its instance: any Health but Stale; zero
// takes it back. It lasts as long as the lease. It returns an [*Error] for a bad
// argument, ErrLeaseLost or ErrClosed.
func (l *Lease) SetHealth(h Health, reason string) error {
	if err := l.usable(); err != nil {
		return err
	}
	w := word{h, reason}
	var p problems
	w.check(&p)
	if err := p.of(OpSetHealth, l.service, l.id); err != nil {
		return err
	}
	return l.changeKept(OpSetHealth, func(_ *roster, m *member, c *claim, b *batch) {
		c.word = w
		l.say(c.in, w)
		b.refresh(m)
	})
}

// retime tells all KeepAlive calls that the TTL is another one.
func (l *Lease) retime() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.retimed)
	l.retimed = make(chan struct{})
}

// say keeps what KeepAlive has to register again.
func (l *Lease) say(in *Instance, w word) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.in, l.word = in, w
}

// Deregister takes the instance out and ends the lease. It returns ErrLeaseLost or
// ErrClosed if that has ended before.
func (l *Lease) Deregister() error {
	if err := l.usable(); err != nil {
		return err
	}
	for {
		c := l.claim.Load()
		err := l.change(OpDeregister, func(r *roster, m *member, c *claim, b *batch) {
			r.strike(m, c, nil, b, ReasonDeregistered)
		})
		if err == nil || l.quit(c) {
			return err
		}
	}
}

// quit ends a lease whose claim c has lapsed, so that no KeepAlive registers it
// again. It reports false if one already has.
func (l *Lease) quit(c *claim) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claim.Load() != c {
		return false
	}
	l.end(nil)
	return true
}

// changeKept is change that, if the lease has lapsed while somebody keeps it
// alive, does first what KeepAlive is about to do.
func (l *Lease) changeKept(op Op, do func(r *roster, m *member, c *claim, b *batch)) error {
	for {
		c := l.claim.Load()
		err := l.change(op, do)
		if err == nil || l.claim.Load() == c && !l.revived() {
			return err
		}
	}
}

// revived registers a lapsed lease again that is kept alive, and reports whether
// it did.
func (l *Lease) revived() bool {
	c := l.claim.Load()
	l.mu.Lock()
	kept := l.keepers > 0 && !l.over
	l.mu.Unlock()
	if kept {
		l.rejoin()
	}
	return l.claim.Load() != c
}

// change locks the roster and changes the member, unless the lease is lost.
func (l *Lease) change(op Op, do func(r *roster, m *member, c *claim, b *batch)) error {
	c := l.claim.Load()
	if !c.r.lock() {
		return l.lost(op)
	}
	defer c.r.unlock(callers)
	m := c.r.members[l.id]
	if m.local() != c || !c.term.alive() {
		return l.lost(op)
	}
	var b batch
	do(c.r, m, c, &b)
	c.r.publish(b)
	return nil
}

// lost is the error of a verb that came too late.
func (l *Lease) lost(op Op) error {
	kind := ErrLeaseLost
	if l.reg.closed.Load() {
		kind = ErrClosed
	}
	return &Error{Op: op, Service: l.service, ID: l.id, Kind: kind}
}

// ended tells that the claim of the lease is over. A lapse ends the lease only if
// nobody keeps it alive. The roster is locked, so that no other claim has taken
// the place of this one.
func (l *Lease) ended(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !errors.Is(why, errLapsed):
		l.end(why)
	case l.keepers == 0:
		l.end(ErrLeaseLost)
	}
}

// end ends the lease for good. mu is held.
func (l *Lease) end(err error) {
	if !l.over {
		l.over, l.err = true, err
		close(l.done)
	}
}

package registry

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

// Register makes an instance known, in place of any that this process registered
// under the same ID before. With equal content, Check apart, nothing changes but
// that its lease begins anew. The earlier lease is lost in either case.
//
// It returns an [*Error], several of them joined if several fields are bad, or
// the cause of ctx if that has ended. It does not block, but for Authorize and the
// hooks, which run on this goroutine.
func (r *Registry) Register(ctx context.Context, in Instance) (*Lease, error) {
	leases, err := r.RegisterWith(ctx, RegisterConfig{}, in)
	if err != nil {
		return nil, err
	}
	return leases[0], nil
}

// RegisterWith registers instances, also of several services: all of them or, if
// anything is wrong with one, none. A reader sees those of one service at once,
// or none of them. The leases are in the order of the instances. No instance at
// all is an error, and so is an ID that is named twice.
func (r *Registry) RegisterWith(ctx context.Context, cfg RegisterConfig, ins ...Instance) ([]*Lease, error) {
	if err := r.usable(); err != nil {
		return nil, err
	}
	if ctx == nil {
		return nil, errNilContext
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if len(ins) == 0 {
		return nil, errNoInstance
	}
	if err := r.authorize(ctx, OpRegister, ins...); err != nil {
		return nil, err
	}
	w := word{health: cfg.Health}
	all, err := r.normal(OpRegister, w, ins)
	if err != nil {
		return nil, err
	}
	groups := r.openAll(all)
	defer unlockAll(groups)
	if err := r.admit(OpRegister, groups, cfg.IfAbsent); err != nil {
		return nil, err
	}
	leases := make([]*Lease, len(all))
	for _, g := range groups {
		var b batch
		for k, in := range g.ins {
			leases[g.at[k]] = newLease(r, in, w)
			g.register(leases[g.at[k]], &b)
		}
		g.publish(b)
	}
	return leases, nil
}

// A group is the instances of one service in a call, with its roster locked.
type group struct {
	*roster
	ins []*Instance
	at  []int // their places in the call
}

// openAll locks the rosters for some instances, in order of name, so that two
// calls cannot wait for each other.
func (r *Registry) openAll(all []*Instance) []*group {
	if len(all) == 1 { // as most calls are
		return []*group{{r.open(all[0].Service), all, []int{0}}}
	}
	byName := make(map[string]*group)
	for i, in := range all {
		g := byName[in.Service]
		if g == nil {
			g = &group{}
			byName[in.Service] = g
		}
		g.ins, g.at = append(g.ins, in), append(g.at, i)
	}
	groups := make([]*group, 0, len(byName))
	for _, name := range sortedKeys(byName) {
		g := byName[name]
		g.roster = r.open(name)
		groups = append(groups, g)
	}
	return groups
}

// unlockAll unlocks several rosters, and runs their hooks when none is locked
// any more: a hook may want any of them.
func unlockAll(groups []*group) {
	var owed []*roster
	for _, g := range groups {
		if g.leave() {
			owed = append(owed, g.roster)
		}
	}
	deliverAll(owed)
}

// deliverAll delivers to the hooks, even if one of them calls runtime.Goexit.
func deliverAll(owed []*roster) {
	if len(owed) > 0 {
		defer deliverAll(owed[1:])
		owed[0].deliver()
	}
}

// register enlists what a lease stands for. The roster is locked.
func (r *roster) register(l *Lease, b *batch) {
	c := &claim{r: r, in: l.in, generation: r.reg.births.Add(1), word: l.word, lease: l}
	c.term.start(l.in.ID, l.in.TTL, r.now)
	r.enlist(c, b)
	l.claim.Store(c) // now that it has an endpoint
}

// authorize asks Config.Authorize about every instance.
func (r *Registry) authorize(ctx context.Context, op Op, ins ...Instance) error {
	if r.cfg.Authorize == nil {
		return nil
	}
	var errs []error
	for _, in := range ins {
		if err := r.cfg.Authorize(ctx, op, in.clone()); err != nil {
			errs = append(errs, &Error{Op: op, Service: in.Service, ID: or(in.ID, in.Addr), Err: err})
		}
	}
	return join(errs)
}

// normal returns the instances as they are kept, or all that is wrong with them.
func (r *Registry) normal(op Op, w word, ins []Instance) ([]*Instance, error) {
	all := make([]*Instance, len(ins))
	var seen map[Ref]bool
	if len(ins) > 1 {
		seen = make(map[Ref]bool, len(ins))
	}
	var errs []error
	for i, in := range ins {
		n, p := in.normal(r.cfg.TTL, r.cfg.Limits)
		w.check(&p)
		ref := Ref{in.Service, or(in.ID, in.Addr)}
		p.check(!seen[ref], "ID", ref.ID, "every one once")
		if seen != nil {
			seen[ref] = true
		}
		if err := p.of(op, ref.Service, ref.ID); err != nil {
			errs = append(errs, err)
		}
		all[i] = &n
	}
	if err := join(errs); err != nil {
		return nil, err
	}
	return all, nil
}

// admit checks what can be told only with the rosters locked, and counts the
// services that come into being.
func (r *Registry) admit(op Op, groups []*group, ifAbsent bool) error {
	if r.closed.Load() {
		return &Error{Op: op, Kind: ErrClosed}
	}
	var errs []error
	fresh := 0
	for _, g := range groups {
		n := len(g.members)
		if !g.counted {
			fresh++
		}
		for _, in := range g.ins {
			switch {
			case g.members[in.ID] == nil:
				n++
			case ifAbsent:
				errs = append(errs, &Error{Op: op, Service: in.Service, ID: in.ID, Kind: ErrExists})
			}
		}
		if limit := r.cfg.Limits.Instances; n > limit {
			errs = append(errs, breached(op, g.name, "Limits.Instances", limit, n))
		}
	}
	if err := join(errs); err != nil {
		return err
	}
	return r.grow(op, groups, fresh)
}

// grow counts the services that get their first instance, unless they are too
// many. publish counts those that lose their last one.
func (r *Registry) grow(op Op, groups []*group, fresh int) error {
	if fresh == 0 {
		return nil
	}
	limit := r.cfg.Limits.Services
	if n, ok := reserve(&r.services, fresh, limit); !ok {
		return breached(op, groups[0].name, "Limits.Services", limit, n)
	}
	for _, g := range groups {
		g.counted = true
	}
	return nil
}

// reserve adds more to what is counted, unless it would be above the limit then;
// n is what it comes or would come to. It never counts what it refuses, so that
// one call too many does not refuse another one that fits.
func reserve(count *atomic.Int64, more, limit int) (n int, ok bool) {
	for {
		was := count.Load()
		n = int(was) + more
		if more > limit-int(was) {
			return n, false
		}
		if count.CompareAndSwap(was, int64(n)) {
			return n, true
		}
	}
}

// breached is the error for a limit that would be exceeded.
func breached(op Op, service, field string, limit, got int) error {
	return &Error{Op: op, Service: service, Field: field, Err: fmt.Errorf("%s is %d, which %d would exceed", field, limit, got)}
}

// join is errors.Join that leaves a single error as it is.
func join(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

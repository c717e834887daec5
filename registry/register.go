package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Register makes an instance known, in place of any that this process registered
// under the same ID before. With equal content, Check apart, nothing changes but
// that its lease begins anew. The earlier lease is lost in either case.
//
// It returns an [*Error], several of them joined if several fields are bad, or
// the cause of ctx if that has ended. It does not block.
func (r *Registry) Register(ctx context.Context, in Instance) (*Lease, error) {
	leases, err := r.RegisterWith(ctx, RegisterConfig{}, in)
	if err != nil {
		return nil, err
	}
	return leases[0], nil
}

// RegisterWith registers instances, also of several services: all of them or, if
// anything is wrong with one, none. A reader sees those of one service at once,
// or none of them. The leases are in the order of the instances.
func (r *Registry) RegisterWith(ctx context.Context, cfg RegisterConfig, ins ...Instance) ([]*Lease, error) {
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
	var rosters []*roster
	for _, name := range servicesOf(all) { // in one order, so that two calls cannot wait for each other
		rosters = append(rosters, r.open(name))
	}
	leases, err := r.registerLocked(rosters, all, w, cfg.IfAbsent)
	unlockAll(rosters)
	return leases, err
}

// registerLocked registers instances of services whose rosters are locked.
func (r *Registry) registerLocked(rosters []*roster, all []*Instance, w word, ifAbsent bool) ([]*Lease, error) {
	if err := r.admit(OpRegister, rosters, all, ifAbsent); err != nil {
		return nil, err
	}
	leases := make([]*Lease, len(all))
	for _, ro := range rosters {
		var b batch
		for i, in := range all {
			if in.Service == ro.name {
				leases[i] = newLease(r, in, w)
				ro.register(leases[i], &b)
			}
		}
		ro.publish(b)
	}
	return leases, nil
}

// unlockAll unlocks several rosters, and runs their hooks when none is locked
// any more: a hook may want any of them.
func unlockAll(rosters []*roster) {
	var owed []*roster
	for _, ro := range rosters {
		if ro.leave() {
			owed = append(owed, ro)
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
	seen := make(map[Ref]bool, len(ins))
	var errs []error
	for i, in := range ins {
		n, p := in.normal(r.cfg.TTL, r.cfg.Limits)
		w.check(&p)
		ref := Ref{in.Service, or(in.ID, in.Addr)}
		p.check(!seen[ref], "ID", ref.ID, "every one once")
		seen[ref] = true
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
func (r *Registry) admit(op Op, rosters []*roster, all []*Instance, ifAbsent bool) error {
	if r.closed.Load() {
		return &Error{Op: op, Kind: ErrClosed}
	}
	var errs []error
	fresh := 0
	for _, ro := range rosters {
		n := len(ro.members)
		if !ro.counted {
			fresh++
		}
		for _, in := range all {
			switch {
			case in.Service != ro.name:
			case ro.members[in.ID] == nil:
				n++
			case ifAbsent:
				errs = append(errs, &Error{Op: op, Service: in.Service, ID: in.ID, Kind: ErrExists})
			}
		}
		if limit := r.cfg.Limits.Instances; n > limit {
			errs = append(errs, breached(op, ro.name, "Limits.Instances", limit, n))
		}
	}
	if err := join(errs); err != nil {
		return err
	}
	return r.grow(op, rosters, fresh)
}

// grow counts the services of rosters that get their first instance, unless
// they are too many. publish counts those that lose their last one.
func (r *Registry) grow(op Op, rosters []*roster, fresh int) error {
	for limit := r.cfg.Limits.Services; fresh > 0; {
		n := r.services.Load()
		if int64(fresh) > int64(limit)-n {
			return breached(op, rosters[0].name, "Limits.Services", limit, int(n)+fresh)
		}
		if r.services.CompareAndSwap(n, n+int64(fresh)) {
			break
		}
	}
	for _, ro := range rosters {
		ro.counted = true
	}
	return nil
}

// breached is the error for a limit that would be exceeded.
func breached(op Op, service, field string, limit, got int) error {
	return &Error{Op: op, Service: service, Field: field, Err: &fieldError{field, limit, fmt.Sprintf("at least %d", got)}}
}

// servicesOf are the names of the services, sorted.
func servicesOf(all []*Instance) []string {
	names := make([]string, 0, 1)
	for _, in := range all {
		if len(names) == 0 || names[len(names)-1] != in.Service {
			names = append(names, in.Service)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// join is errors.Join that leaves a single error as it is.
func join(errs []error) error {
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

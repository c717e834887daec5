package registry

import "context"

// Deregister takes an instance out by hand, whoever owns it: its lease is lost.
// A feed that names it brings it back. It returns ErrNotFound if there is none.
func (r *Registry) Deregister(ctx context.Context, service, id string) error {
	return r.byHand(ctx, OpDeregister, service, id, nil, func(ro *roster, m *member, b *batch) {
		ro.expel(m, ErrLeaseLost, b, ReasonDeregistered)
	})
}

// SetHealth is the operator's word about an instance, whoever owns it: any
// Health but Stale; zero takes it back. It stays through registrations until
// the ID is removed. It returns ErrNotFound if there is none.
func (r *Registry) SetHealth(ctx context.Context, service, id string, h Health, reason string) error {
	w := word{h, reason}
	var p problems
	w.check(&p)
	return r.byHand(ctx, OpSetHealth, service, id, p, func(_ *roster, m *member, b *batch) {
		m.operator = w
		b.refresh(m)
	})
}

// byHand changes a member that is named by ID, unless there are problems.
func (r *Registry) byHand(ctx context.Context, op Op, service, id string, p problems, do func(*roster, *member, *batch)) error {
	if err := r.usable(); err != nil {
		return err
	}
	if ctx == nil {
		return errNilContext
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	in := Instance{Service: service, ID: id}
	if r.cfg.Authorize != nil {
		if e, ok := r.Service(service).Get(id); ok {
			in = e.Instance()
		}
	}
	if err := r.authorize(ctx, op, in); err != nil {
		return err
	}
	if err := p.of(op, service, id); err != nil {
		return err
	}
	ro := r.lookup(service)
	if ro == nil {
		return r.missing(op, service, id)
	}
	defer ro.unlock(callers)
	m := ro.members[id]
	if m == nil || r.closed.Load() {
		return r.missing(op, service, id)
	}
	var b batch
	do(ro, m, &b)
	ro.publish(b)
	return nil
}

// missing is the error of a verb that found nothing to act on.
func (r *Registry) missing(op Op, service, id string) error {
	kind := ErrNotFound
	if r.closed.Load() {
		kind = ErrClosed
	}
	return &Error{Op: op, Service: service, ID: id, Kind: kind}
}

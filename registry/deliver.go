package registry

import (
	"cmp"
	"context"
	"maps"
	"slices"
)

// deliver takes a batch of a source. Its error names what was refused.
func (f *feed) deliver(ctx context.Context, b Batch) error {
	if ctx.Err() != nil {
		return f.cause(ctx)
	}
	f.mu.Lock()
	if f.over {
		f.mu.Unlock()
		return f.cause(ctx)
	}
	fresh := f.state != connected
	f.state = connected
	f.lost.Store(false)
	work, errs := f.sort(b)
	_, refused, owed := f.applyAll(work, b.Reset)
	errs = append(errs, refused...)
	if fresh {
		owed = append(owed, f.show()...) // those that the batch does not touch
	}
	err := join(errs)
	if fresh || err != nil {
		f.note(true, err)
	}
	f.mu.Unlock()
	deliverAll(owed)
	f.tell()
	return err
}

// A task is what a batch is about in one service.
type task struct {
	put    []fed
	named  map[string]bool // the IDs in put, and those of records that were refused
	remove map[string]bool
}

// inOrder are the names of the services, those from which something only leaves
// first: it makes room for the others.
func inOrder(work map[string]*task) []string {
	names := sortedKeys(work)
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(min(1, len(work[a].put)), min(1, len(work[b].put)))
	})
	return names
}

// A fed is a record that is good by itself.
type fed struct {
	in   *Instance
	word word
}

// sort divides a batch by service and refuses bad records.
func (f *feed) sort(b Batch) (map[string]*task, []error) {
	work := make(map[string]*task)
	of := func(service string) *task {
		if work[service] == nil {
			work[service] = &task{named: make(map[string]bool), remove: make(map[string]bool)}
		}
		return work[service]
	}
	if b.Reset {
		for name := range f.services {
			of(name)
		}
	}
	var errs []error
	for _, rec := range b.Put {
		in, p := rec.Instance.normal(0, f.reg.cfg.Limits)
		w := word{health: rec.Health}
		w.check(&p)
		id := or(rec.Instance.ID, rec.Instance.Addr)
		service := rec.Instance.Service
		if validName(service) {
			t := of(service)
			p.check(!t.named[id], "ID", id, "every one once in a batch")
			t.named[id] = true // refused or not, the source has it: what it put before stays
		}
		if err := p.of(f.op(), service, id); err != nil {
			errs = append(errs, err)
			continue
		}
		of(service).put = append(of(service).put, fed{&in, w})
	}
	for _, ref := range b.Remove {
		if validName(ref.Service) && !of(ref.Service).named[ref.ID] {
			of(ref.Service).remove[ref.ID] = true
		}
	}
	return work, errs
}

// applyAll applies a batch, and tells how many records were taken, what was
// refused, and whose hooks have to be run. mu is held.
func (f *feed) applyAll(work map[string]*task, reset bool) (taken int, errs []error, owed []*roster) {
	for _, name := range inOrder(work) {
		r := f.reg.open(name)
		n, refused := f.apply(r, work[name], reset)
		taken += n
		errs = append(errs, refused...)
		if r.leave() {
			owed = append(owed, r)
		}
	}
	return taken, errs, owed
}

// apply changes the claims of the feed in one service, and tells how many records
// it took. The roster is locked.
func (f *feed) apply(r *roster, t *task, reset bool) (taken int, errs []error) {
	if f.reg.closed.Load() {
		return 0, []error{&Error{Op: f.op(), Kind: ErrClosed}}
	}
	if f.rank == importRank {
		t.put = slices.DeleteFunc(t.put, func(rec fed) bool { // somebody else has the ID
			m := r.members[rec.in.ID]
			return m != nil && m.by(f) == nil
		})
	}
	gone := sortedKeys(t.remove)
	if reset {
		gone = slices.DeleteFunc(sortedKeys(r.members), func(id string) bool { return t.named[id] })
	}
	var b batch
	for _, id := range gone { // first, since it makes room
		m := r.members[id]
		if c := m.by(f); c != nil {
			r.strike(m, c, nil, &b, ReasonWithdrawn)
		}
	}
	for _, rec := range t.put {
		if err := f.put(r, rec, &b); err != nil {
			errs = append(errs, err)
		}
	}
	r.publish(b)
	if r.feeds[f] > 0 && f.rank != importRank {
		f.services[r.name] = struct{}{}
	} else {
		delete(f.services, r.name)
	}
	return len(t.put) - len(errs), errs
}

// put enlists one record, or renews the claim that has it already.
func (f *feed) put(r *roster, rec fed, b *batch) error {
	m := r.members[rec.in.ID]
	c := m.by(f)
	switch {
	case c != nil && c.word == rec.word && c.in.same(rec.in):
		if c.in.Check.Func != nil || rec.in.Check.Func != nil {
			c.in = rec.in // functions cannot be compared
			if m.claims[0] == c {
				r.supervise(m)
			}
		}
		r.prolong(c)
		if m.claims[0] == c {
			b.refresh(m)
		}
		return nil
	case m == nil:
		one := &group{roster: r, ins: []*Instance{rec.in}}
		if err := f.reg.admit(f.op(), []*group{one}, false); err != nil {
			return err
		}
	}
	c = &claim{r: r, in: rec.in, generation: f.reg.births.Add(1), word: rec.word, feed: f}
	c.term.start(rec.in.ID, rec.in.TTL, r.now)
	r.enlist(c, b)
	return nil
}

// prolong renews a claim under the lock: it is alive or held, since what has
// expired is gone.
func (r *roster) prolong(c *claim) {
	if c.in.TTL > 0 && c.term.renew(r.now) == lapsed {
		r.revive(c)
	}
}

// revive gives a claim that is held another term. The roster is locked.
func (r *roster) revive(c *claim) {
	c.term.deadline.Store(after(r.now, c.in.TTL))
	if r.terms.restore(&c.term) {
		r.preserved(turn{at: r.now})
	}
}

// by is the claim of a feed on a member, or nil.
func (m *member) by(f *feed) *claim {
	if m == nil {
		return nil
	}
	for _, c := range m.claims {
		if c.feed == f {
			return c
		}
	}
	return nil
}

// sortedKeys is for what has to happen in an order that can be repeated.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

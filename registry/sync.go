package registry

import (
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"
	"time"
)

// SyncConfig says what [Registry.Sync] exchanges. The zero SyncConfig is valid.
type SyncConfig struct {
	// Publish chooses the local registrations that others get to know. It is
	// asked when one changes, and again with every renewal of those it has
	// chosen, without locks. Nil: all.
	Publish func(Instance) bool

	// Accept chooses what is taken of what others have put. It is called
	// without locks, on the goroutine of the backend. Nil: everything.
	Accept func(Instance) bool

	// TTL is that of the records of instances that have none. Zero: 15s.
	// Negative is refused.
	TTL time.Duration
}

const (
	defaultSyncTTL = 15 * time.Second
	callTimeout    = 5 * time.Second // of one Put or Remove
	farewell       = 5 * time.Second // for taking out what was put, at the end
)

// Sync exchanges instances with a backend until ctx ends, whose cause it
// returns; it blocks. It takes from the backend what [Registry.Feed] would, and
// puts there what is registered here, with the health that its owner, its check
// and an operator give, and takes it out when it leaves. What a feed or another
// Sync brought is not put, and what was put here is not taken back. What is taken
// stays until the backend removes it, also while its origin is away.
//
// The context of a Put or Remove ends after 5s. One that failed is tried again
// after 1s, 2s, 4s and so on up to 30s, plus or minus a fifth; Hooks.FeedState
// tells the first of them. At the end Sync takes out what it put, as far as that
// works within 5s; the rest vanishes with its TTL.
func (r *Registry) Sync(ctx context.Context, name string, b Backend, cfg SyncConfig) error {
	if err := r.usable(); err != nil {
		return err
	}
	if b == nil {
		return errNilBackend
	}
	var p problems
	p.check(cfg.TTL >= 0, "TTL", cfg.TTL, "0 or more")
	if err := p.invalid("Sync"); err != nil {
		return err
	}
	cfg.TTL = or(cfg.TTL, defaultSyncTTL)
	ctx, f, err := r.attach(ctx, name)
	if err != nil {
		return err
	}
	s := &syncer{
		reg: r, feed: f, backend: b, cfg: cfg,
		box:  newOutbox(),
		sent: make(map[Ref]*sending),
		done: make(chan struct{}),
	}
	r.syncs.add(s.box)
	s.markAll()
	go s.send(ctx)
	defer func() {
		f.cancel(context.Canceled)
		<-s.done
		r.syncs.remove(s.box)
		f.detach(ctx)
	}()
	return f.follow(ctx, s)
}

// A syncer is one Sync call.
type syncer struct {
	reg     *Registry
	feed    *feed
	backend Backend
	cfg     SyncConfig
	box     *outbox
	sent    map[Ref]*sending // only send and what it calls look at it
	queue   byTime           // the same, by when they are due
	done    chan struct{}    // closed when send is over
}

// A sending is what is to be sent about one ID.
type sending struct {
	ref    Ref
	pos    int           // in the queue
	due    int64         // on the clock
	wait   time.Duration // until the next attempt, if the last one failed; else 0
	posted bool          // the backend may have it
}

// Run is the receiving side. A record that is not taken, because it is one of
// ours or Accept does not want it, takes the place of one that may have been.
//
// What is taken has no TTL here: the backend knows when a record is over, and
// says so, and as long as its origin is away nobody can renew anything.
func (s *syncer) Run(ctx context.Context, deliver func(Batch) error) error {
	return s.backend.Run(ctx, func(b Batch) error {
		put := make([]Record, 0, len(b.Put))
		remove := slices.Clone(b.Remove)
		for _, rec := range b.Put {
			if rec.Owner == s.reg.owner || !s.chosen(s.cfg.Accept, rec.Instance) {
				remove = append(remove, Ref{rec.Instance.Service, or(rec.Instance.ID, rec.Instance.Addr)})
				continue
			}
			rec.Instance.TTL = 0
			put = append(put, rec)
		}
		b.Put, b.Remove = put, remove
		return deliver(b)
	})
}

// chosen asks a function of the user's about an instance. One that panics does
// not choose it.
func (s *syncer) chosen(by func(Instance) bool, in Instance) (ok bool) {
	if by == nil {
		return true
	}
	s.reg.contain(func() { ok = by(in.clone()) })
	return ok
}

// markAll makes everything that is registered already due to be sent.
func (s *syncer) markAll() {
	for r := range s.reg.all {
		var edits []edit
		for e := range r.handle.Snapshot().All() {
			edits = append(edits, edit{id: e.in.ID})
		}
		s.box.mark(r.name, edits)
	}
}

// send is the sending side. A backend that calls runtime.Goexit ends its
// goroutine, so another one goes on.
func (s *syncer) send(ctx context.Context) {
	finished := false
	defer func() {
		if finished {
			close(s.done)
		} else {
			go s.send(ctx)
		}
	}()
	for ctx.Err() == nil {
		rest := s.round(ctx)
		over, stop := s.reg.time.alarm(rest)
		select {
		case <-over:
		case <-s.box.latch:
		case <-ctx.Done():
		}
		stop()
	}
	s.withdraw(ctx)
	finished = true
}

// round sends what is due and tells how long there is nothing to do.
func (s *syncer) round(ctx context.Context) time.Duration {
	now := s.reg.time.now()
	for ref := range s.box.take() {
		one := s.sent[ref]
		if one == nil {
			one = &sending{ref: ref, due: never}
			s.sent[ref] = one
			heap.Push(&s.queue, one)
		}
		s.plan(one, now)
	}
	for len(s.queue) > 0 && s.queue[0].due <= now && ctx.Err() == nil {
		s.one(ctx, s.queue[0])
	}
	if len(s.queue) == 0 {
		return time.Duration(never)
	}
	return max(0, time.Duration(s.queue[0].due-s.reg.time.now()))
}

// plan says when something is to be sent.
func (s *syncer) plan(one *sending, due int64) {
	one.due = due
	heap.Fix(&s.queue, one.pos)
}

// forget drops what there is nothing to send about any more.
func (s *syncer) forget(one *sending) {
	heap.Remove(&s.queue, one.pos)
	delete(s.sent, one.ref)
}

// one sends what is true about an ID.
func (s *syncer) one(ctx context.Context, one *sending) {
	ref := one.ref
	// In case the user's code does not return, this is when it is tried again.
	failures := one.wait
	one.wait = min(maxRetry, max(firstRetry, 2*failures))
	s.plan(one, after(s.reg.time.now(), s.reg.time.jitter(one.wait, retryJitter)))
	rec, ok := s.record(ref)
	if !ok && !one.posted {
		s.forget(one)
		return
	}
	one.posted = true
	err := s.call(ctx, func(ctx context.Context) error {
		if ok {
			return s.backend.Put(ctx, rec)
		}
		return s.backend.Remove(ctx, ref)
	})
	switch {
	case err == nil && ok:
		one.wait = 0
		s.plan(one, after(s.reg.time.now(), max(1, s.reg.time.jitter(rec.Instance.TTL/3, 0.1))))
	case err == nil:
		s.forget(one)
	case failures == 0 && ctx.Err() == nil:
		s.feed.complain(fmt.Errorf("registry: sync %s %s: %w", quoted(ref.Service), quoted(ref.ID), err))
	}
}

// call calls the backend, for a limited time: nothing else is renewed meanwhile.
func (s *syncer) call(ctx context.Context, fn func(context.Context) error) (err error) {
	ctx, cancel := s.reg.time.withTimeout(ctx, callTimeout)
	defer cancel(context.Canceled)
	safely(func() { err = fn(ctx) }, func(p *PanicError) {
		if p != nil {
			s.reg.fault(p)
			err = p
		}
	})
	return err
}

// record is what is to be put for an ID; nothing if it is not, or no longer,
// registered here, or not to be published.
func (s *syncer) record(ref Ref) (Record, bool) {
	r := s.reg.lookup(ref.Service)
	if r == nil {
		return Record{}, false
	}
	var rec Record
	c := r.members[ref.ID].local()
	if c != nil {
		rec = Record{Instance: c.in.clone(), Health: r.members[ref.ID].told().health, Owner: s.reg.owner}
	}
	r.unlock(another)
	if c == nil || !s.chosen(s.cfg.Publish, rec.Instance) {
		return Record{}, false
	}
	rec.Instance.Check, rec.Instance.Attrs = Check{}, nil
	if rec.Instance.TTL <= 0 {
		rec.Instance.TTL = s.cfg.TTL
	}
	return rec, true
}

// withdraw takes out what was put, until that fails: then the origin is away, or
// the time is over.
func (s *syncer) withdraw(ctx context.Context) {
	ctx, cancel := s.reg.time.withTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel(context.Canceled)
	for len(s.queue) > 0 {
		one := s.queue[0]
		ref, posted := one.ref, one.posted
		s.forget(one) // in case the call does not return
		if posted && s.call(ctx, func(ctx context.Context) error { return s.backend.Remove(ctx, ref) }) != nil {
			return
		}
	}
}

// complain tells what failed on the sending side.
func (f *feed) complain(err error) {
	f.mu.Lock()
	f.note(f.state == connected, err)
	f.mu.Unlock()
	f.tell()
}

// byTime is the heap of what there is to send; the sendings know their places.
type byTime []*sending

func (h byTime) Len() int { return len(h) }

// Less puts what is due at once in an order that can be repeated.
func (h byTime) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.ref.Service, b.ref.Service), cmp.Compare(a.ref.ID, b.ref.ID)) < 0
}

func (h byTime) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}

func (h *byTime) Push(v any) {
	one := v.(*sending)
	one.pos = len(*h)
	*h = append(*h, one)
}

func (h *byTime) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	(*h)[last] = nil // what left is garbage
	*h = (*h)[:last]
	return one
}

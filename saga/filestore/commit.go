package filestore

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// An op is something to be written.
type op struct {
	kind   byte
	create bool
	head   durable.Head
	at     uint64 // Rev that is to be replaced
	ttl    time.Duration
	body   []byte
	sum    uint32

	from link      // kindCopy: where the run was when it was read
	tomb tombstone // kindDelete of a run that is deleted already: the tombstone to move
	drop *segment  // kindManifest: the segment that is not needed any more
	roll bool      // it goes into a new segment

	wake chan bool // true: you write; false: it is settled
	err  error     // once it is settled

	// Guarded by Store.mu.
	taken  bool // it is written, or cannot be
	chosen bool // its goroutine has been told to write

	// Of the leader.
	run *run
	hdr header
}

func (o *op) setBody(b []byte) {
	o.body, o.sum = b, checksum(0, b)
}

// submit has an op written and waits for that. Whoever comes when nobody writes
// does so for all who wait: one write, one sync. Nobody waits for company.
func (s *Store) submit(ctx context.Context, o *op) error {
	lead := s.enqueue(o)
	for {
		if lead {
			s.lead()
		}
		select {
		case lead = <-o.wake:
		case <-ctx.Done():
			if s.withdraw(o) {
				return context.Cause(ctx)
			}
			lead = <-o.wake
		}
		if !lead {
			return o.err
		}
	}
}

// submitAll is submit for ops that share as few syncs as they can. It returns the
// first error.
func (s *Store) submitAll(ops []*op) error {
	lead := s.enqueue(ops...)
	var first error
	for _, o := range ops {
		for {
			if lead {
				s.lead()
			}
			if lead = <-o.wake; !lead {
				break
			}
		}
		if first == nil {
			first = o.err
		}
	}
	return first
}

// enqueue reports whether the caller is to write.
func (s *Store) enqueue(ops ...*op) (lead bool) {
	for _, o := range ops {
		o.wake = make(chan bool, 2)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, ops...)
	lead = !s.leading && len(s.queue) > 0
	s.leading = s.leading || lead
	return lead
}

// withdraw takes an op out of the queue, if it is not being written.
func (s *Store) withdraw(o *op) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.taken {
		return false
	}
	i := slices.Index(s.queue, o)
	s.queue = slices.Delete(s.queue, i, i+1)
	if o.chosen {
		s.choose()
	}
	return true
}

// choose tells the first who waits to write. s.mu is held.
func (s *Store) choose() {
	s.leading = len(s.queue) > 0
	if s.leading {
		s.queue[0].chosen = true
		s.queue[0].wake <- true
	}
}

// lead writes one batch, in which the first op of the queue is.
func (s *Store) lead() {
	// Those whom the batch before has woken are about to come with their next
	// ops. To let them run first costs nothing when there are none.
	runtime.Gosched()
	s.mu.Lock()
	taken := s.take()
	s.mu.Unlock()

	var frames []*op
	for _, o := range taken {
		if o.err == nil {
			frames = append(frames, o)
		}
	}
	var err error
	if len(frames) > 0 {
		err = s.append(frames)
	}

	s.mu.Lock()
	if err != nil {
		s.fail(err)
	}
	s.settle(frames)
	rewrite := s.wantsRewrite()
	for _, o := range taken {
		o.wake <- false
	}
	s.choose()
	s.mu.Unlock()
	if rewrite {
		go s.rewrite()
	}
}

// take takes from the queue what one batch can hold, and decides about each op. An
// op on a run that the batch changes already has to see the outcome, and ends the
// batch. s.mu is held.
func (s *Store) take() []*op {
	n, bytes := 0, int64(0)
	for _, o := range s.queue {
		size := frameCost + int64(len(o.body))
		if n > 0 && bytes+size > int64(s.cfg.MaxBatch) {
			break
		}
		o.err = s.failed
		if o.err == nil {
			var ok bool
			if ok, o.err = s.admit(o); !ok {
				break
			}
		}
		if o.err == nil {
			bytes += size
		}
		o.taken = true
		n++
	}
	taken := slices.Clone(s.queue[:n])
	s.queue = slices.Delete(s.queue, 0, n)
	return taken
}

// admit decides about an op and fills in its header. not ok: it has to wait for
// the batch to be settled.
func (s *Store) admit(o *op) (ok bool, err error) {
	switch {
	case o.kind == kindManifest:
		return true, s.admitDrop(o)
	case o.tomb.run != 0:
		o.hdr = header{run: o.tomb.run}
		return true, nil
	}
	r := s.byID[o.head.ID]
	if r != nil && r.pending {
		return false, nil
	}
	if err := s.decide(o, r); err != nil {
		return true, err
	}
	if o.create {
		r = &run{num: s.next, lease: noLease}
		s.next++
		s.byID[o.head.ID] = r
	}
	if r.heap != nil && r.lease == noLease {
		r.heap.remove(r) // nobody may claim it now; settle tells those who missed it
	}
	r.pending = true
	o.run = r
	o.hdr = header{run: r.num, rev: r.head.Rev + 1, epoch: max(r.head.Epoch, 1), prev: r.last}
	if o.kind == kindCopy {
		o.hdr.rev = r.head.Rev
		o.hdr.prev = link{}
	}
	return true, nil
}

// decide tells why an op is refused.
func (s *Store) decide(o *op, r *run) error {
	switch {
	case o.create && r.exists():
		return durable.ErrConflict
	case o.create:
		return nil
	case o.kind == kindCopy && (!r.exists() || r.last != o.from):
		return errMoved
	case o.kind == kindCopy:
		return nil
	case !r.exists():
		return durable.ErrNotFound
	case r.head.Rev != o.at, o.kind == kindDelete && !r.head.Status.Ended():
		return durable.ErrConflict
	default:
		return nil
	}
}

// settle makes visible what was written, or leaves all as it was. s.mu is held.
func (s *Store) settle(frames []*op) {
	date, now := s.time.date(), s.time.passed()
	tell := false
	for _, o := range frames {
		wake, lease := s.soonest(o.head.Saga)
		if o.run != nil {
			o.run.pending = false
			s.unplan(o.run)
		}
		switch {
		case s.failed != nil:
			o.err = s.failed
			if o.run.exists() {
				s.plan(o.run)
			}
			continue
		case o.kind == kindManifest:
			s.settleDrop(o)
			continue
		case o.kind == kindDelete:
			s.settleDelete(o)
		default:
			s.settleRun(o, date, now)
			// Otherwise what claims have told as the time of the next one holds.
			w, l := s.soonest(o.head.Saga)
			tell = tell || w.Before(wake) || l < lease
		}
		s.records++
	}
	if tell {
		s.tell()
	}
}

func (s *Store) settleRun(o *op, date time.Time, now int64) {
	r := o.run
	size := o.hdr.length()
	switch {
	case o.kind == kindCopy:
		s.free(r)
		r.spans = nil
	default:
		old := r.head
		r.head = o.head
		r.head.Rev, r.head.Epoch = o.hdr.rev, o.hdr.epoch
		r.head.Owner, r.head.LeaseUntil = old.Owner, old.LeaseUntil
		s.lease(r, o.head.Owner, o.ttl, date, now)
		if o.create {
			s.put(r)
		}
	}
	r.last = o.hdr.link()
	r.spend(o.hdr.seg, size)
	s.segs[o.hdr.seg].live += size
	s.plan(r)
}

func (s *Store) settleDelete(o *op) {
	t := o.tomb
	if t.run == 0 {
		t.run, t.oldest = o.run.num, o.run.oldest
		s.free(o.run)
		s.drop(o.run)
	}
	t.size = o.hdr.length()
	s.segs[o.hdr.seg].bury(t, s.segs)
}

// free gives back what a run needed. s.mu is held.
func (s *Store) free(r *run) {
	for _, sp := range r.spans {
		s.segs[sp.seg].live -= sp.bytes
	}
}

// fail ends all writing. s.mu is held.
func (s *Store) fail(err error) {
	if s.failed == nil {
		s.failed = fmt.Errorf("%w: %w", ErrFailed, err)
	}
}

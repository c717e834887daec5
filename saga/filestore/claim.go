package filestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// Claim gives runs that are due to an owner, as [durable.Store] says. It writes
// nothing: claims, with what they add to Rev and Epoch, are forgotten when the
// directory is closed.
func (s *Store) Claim(ctx context.Context, req durable.ClaimRequest) (heads []durable.Head, next time.Duration, err error) {
	if err := s.enter(ctx, "Claim"); err != nil {
		return nil, 0, err
	}
	defer s.leave()
	if req.Owner == "" {
		return nil, 0, errors.New("filestore: Claim: Owner is empty")
	}
	if req.TTL == 0 {
		return nil, 0, errors.New("filestore: Claim: TTL is 0s, want a time, or a negative one for no end")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return nil, 0, fmt.Errorf("filestore: Claim: %w", s.failed)
	}
	date, now := s.time.date(), s.time.passed()
	agendas := s.agendas(req.Sagas, now)
	for {
		a := first(agendas)
		if a == nil || a.free.top().head.WakeAt.After(date) {
			return heads, untilDue(agendas, date, now), nil
		}
		if len(heads) >= req.Limit {
			return heads, 0, nil
		}
		r := a.free.top()
		s.unplan(r)
		r.head.Rev++
		r.head.Epoch++
		s.lease(r, req.Owner, req.TTL, date, now)
		s.plan(r)
		heads = append(heads, r.shown())
	}
}

// agendas returns those of the sagas, with the runs free whose lease is over.
func (s *Store) agendas(sagas []string, now int64) []*agenda {
	var found []*agenda
	for i, name := range sagas {
		a := s.due[name]
		if a == nil || slices.Contains(sagas[:i], name) {
			continue
		}
		for r := a.leased.top(); r != nil && r.lease <= now; r = a.leased.top() {
			a.leased.remove(r)
			r.lease = noLease
			if !r.pending {
				a.free.add(r)
			}
		}
		found = append(found, a)
	}
	return found
}

// first returns the agenda whose run is to wake first, or nil.
func first(agendas []*agenda) *agenda {
	var best *agenda
	for _, a := range agendas {
		if r := a.free.top(); r != nil && (best == nil || byWake(r, best.free.top())) {
			best = a
		}
	}
	return best
}

// untilDue is the time until something may be claimed; negative: never.
func untilDue(agendas []*agenda, date time.Time, now int64) time.Duration {
	next := time.Duration(-1)
	sooner := func(d time.Duration) {
		if next < 0 || d < next {
			next = max(d, 0)
		}
	}
	for _, a := range agendas {
		if r := a.free.top(); r != nil {
			sooner(r.head.WakeAt.Sub(date))
		}
		if r := a.leased.top(); r != nil {
			sooner(time.Duration(r.lease - now))
		}
	}
	return next
}

// lease gives a run to an owner, or, with "", to nobody. ttl is as in
// durable.Store.
func (s *Store) lease(r *run, owner string, ttl time.Duration, date time.Time, now int64) {
	switch {
	case owner == "":
		r.lease, r.head.Owner, r.head.LeaseUntil = noLease, "", time.Time{}
	case ttl < 0:
		r.lease, r.head.Owner, r.head.LeaseUntil = never, owner, time.Time{}
	case ttl > 0:
		r.lease, r.head.Owner, r.head.LeaseUntil = after(now, ttl), owner, stamp(date.Add(ttl))
		if r.lease == never {
			r.head.LeaseUntil = time.Time{}
		}
	}
}

// Watch returns a channel that is sent to when a run may have become due that was
// not before. It is left alone when ctx ends.
func (s *Store) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := s.enter(ctx, "Watch"); err != nil {
		return nil, err
	}
	defer s.leave()
	ch := make(chan struct{}, 1) // a hint that waits is as good as many
	s.mu.Lock()
	s.watchers[ch] = struct{}{}
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, ch)
	})
	return ch, nil
}

// tell hints to all who watch. s.mu is held.
func (s *Store) tell() {
	for ch := range s.watchers {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

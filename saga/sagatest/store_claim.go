package sagatest

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// checkClaim wants Claim to give the runs that it is asked for, and no others.
func checkClaim(tb testing.TB, h Harness) {
	tb.Helper()
	patiently(tb, h, (*subject).claims)
}

func (s *subject) claims() {
	tb := s.tb
	tb.Helper()
	now := s.now()
	at := func(name string, d time.Duration) durable.Head {
		in := s.full(name, 1)
		in.Status, in.WakeAt = saga.Waiting, now.Add(d).Truncate(time.Microsecond)
		return in
	}
	other, third := s.saga+".other", s.saga+".third"
	order := []string{"due 3", "due 1", "due 5", "due 2", "due 4"}
	for _, name := range order {
		s.create(at(name, -10*time.Second+time.Duration(name[4]-'0')*time.Second), 0, "created", "done")
	}
	for status := saga.Running; status <= saga.Abandoned; status++ {
		in := at("status "+status.String(), -2*time.Second-time.Duration(status)*time.Millisecond)
		in.Status = status
		s.create(in, 0)
	}
	s.create(s.head("waits for a signal"), 0)
	later := at("later", 0)
	later.WakeAt = now.Add(24 * time.Hour)
	s.create(later, 0)
	elsewhere := at("elsewhere", -7500*time.Millisecond) // between 2 and 3
	elsewhere.Saga = other
	s.create(elsewhere, 0)
	elsewhere.ID, elsewhere.Saga, elsewhere.WakeAt = s.id("third"), third, s.due("").WakeAt
	s.create(elsewhere, 0)

	for when, sagas := range map[string][]string{
		"Claim of no saga":             {},
		"Claim of a saga without runs": {s.saga + ".none"},
		"Claim of another saga":        {"CONFORMANCE", s.saga + ".", s.saga[:len(s.saga)-1], "%", "*", ""},
	} {
		heads, _ := s.claim("a", time.Hour, 100, sagas...)
		s.expectNames(when, heads, false)
	}
	heads, _ := s.claim("a", time.Hour, 0)
	s.expectNames("Claim with Limit 0", heads, false)

	before := s.now()
	heads, _ = s.claim("me", time.Hour, 2)
	after := s.now()
	s.expectNames("Claim of two", heads, false, "due 1", "due 2")
	for i, got := range heads {
		want := at(s.names(heads)[i], -10*time.Second+time.Duration(i+1)*time.Second)
		s.same("what Claim returns", got, numbered(want, 2, 2))
		s.held("what Claim returns", leaseholder{got, before, after}, "me", time.Hour)
		stored := s.expect("after Claim", numbered(want, 2, 2), texts("created", "done"))
		s.held("after Claim", leaseholder{stored, before, after}, "me", time.Hour)
		ctx, free := bounded()
		s.refused("Append at the Rev before the Claim", s.store.Append(ctx, 1, want, 0, texts("late")), durable.ErrConflict)
		free()
	}
	heads, _ = s.claim("me", time.Hour, 2, s.saga, other, s.saga+".none")
	s.expectNames("Claim of two sagas", heads, false, "elsewhere", "due 3")
	heads, _ = s.claim("me", time.Hour, 100)
	s.expectNames("Claim of the rest", heads, false, "due 4", "due 5", "status compensating", "status waiting", "status running")
	heads, _ = s.claim("me", time.Hour, 100)
	s.expectNames("Claim when all are taken", heads, false)

	for name, rev := range map[string]uint64{"waits for a signal": 1, "due 3": 2, "status stuck": 1, "status completed": 1, "third": 1} {
		got, _ := s.load(s.id(name))
		if got.Rev != rev || got.Epoch != rev {
			tb.Errorf("sagatest: after Claims: %q has Rev %d and Epoch %d, want %d and %d", name, got.Rev, got.Epoch, rev, rev)
		}
	}
	// What changes can be claimed: a WakeAt that is set, brought forward, or reached.
	s.append(1, at("waits for a signal", 0), 0)
	s.comes("a run that has a WakeAt by now", "waits for a signal", "me", time.Hour)
	soon := s.now().Add(s.short).Truncate(time.Microsecond)
	later.WakeAt = soon
	s.append(1, later, 0)
	s.stays("a run whose WakeAt has not come", "later", soon)
	s.reach(soon.Add(-s.short / 10))
	s.stays("a run whose WakeAt has not come", "later", soon)
	s.reach(soon)
	got := s.comes("a run whose WakeAt has come", "later", "me", time.Hour)
	ended := got
	ended.Status, ended.Owner = saga.Completed, ""
	s.append(got.Rev, ended, 0)
	s.stays("a run that has ended", "later", time.Time{})
	got.Owner, got.WakeAt = "", time.Time{}
	s.append(got.Rev+1, got, 0)
	s.stays("a run without WakeAt", "later", time.Time{})
}

// checkExclusive wants each run to be given to one of many.
func checkExclusive(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	const runs = 100
	for i := range runs {
		s.create(s.due(fmt.Sprint("run ", i)), 0, "created")
	}
	var mu sync.Mutex
	owners := make(map[string][]string) // by ID
	claim := func(owner string, limit int) int {
		ctx, free := bounded()
		defer free()
		heads, _, err := s.store.Claim(ctx, durable.ClaimRequest{Owner: owner, TTL: time.Hour, Limit: limit, Sagas: []string{s.saga}})
		if err != nil {
			tb.Errorf("sagatest: Claim: %v", err)
		}
		if len(heads) > limit {
			tb.Errorf("sagatest: Claim with Limit %d: %d heads", limit, len(heads))
		}
		mu.Lock()
		defer mu.Unlock()
		for _, got := range heads {
			if owners[got.ID] = append(owners[got.ID], owner); len(owners[got.ID]) > 1 {
				tb.Errorf("sagatest: of %d who claim at once two were given %q: %q", crowd, got.ID, owners[got.ID])
			}
		}
		return len(heads)
	}
	together(func(i int) {
		for claim(fmt.Sprint("owner ", i), 1+i%3) > 0 && !tb.Failed() {
		}
	})
	for claim("last", runs) > 0 && !tb.Failed() {
	}
	for i := range runs {
		if tb.Failed() {
			return
		}
		id := s.id(fmt.Sprint("run ", i))
		got, _ := s.load(id)
		if len(owners[id]) != 1 || got.Owner != owners[id][0] || got.Rev != 2 {
			tb.Fatalf("sagatest: %d who claim at once: %q was given to %q, and Load says to %q with Rev %d", crowd, id, owners[id], got.Owner, got.Rev)
		}
	}
}

// checkNext wants Claim to tell how long nothing comes due.
func checkNext(tb testing.TB, h Harness) {
	tb.Helper()
	const short = brief
	s := newSubject(tb, h)
	defer s.close()
	never := func(when string) {
		tb.Helper()
		if heads, next := s.claim("me", -1, 10); len(heads) > 0 || next >= 0 {
			tb.Errorf("sagatest: %s: Claim returns %q and next %v, want none and a negative one", when, s.names(heads), next)
		}
	}
	never("no run is there")
	elsewhere := s.due("elsewhere")
	elsewhere.Saga = s.saga + ".other"
	s.create(elsewhere, 0)
	s.create(s.head("waits for a signal"), 0)
	mine := s.due("mine")
	mine.Owner = "me"
	s.create(mine, -1)
	stuck := s.due("stuck")
	stuck.Status = saga.Stuck
	s.create(stuck, 0)
	never("no run comes due by itself")

	for _, name := range []string{"1", "2", "3"} {
		s.create(s.due(name), 0)
	}
	for _, limit := range []int{0, 1, 1} {
		if _, next := s.claim("me", -1, limit); next < 0 || next > slack {
			tb.Errorf("sagatest: Claim of %d while more are due: next is %v, want 0", limit, next)
		}
	}
	if heads, _ := s.claim("me", -1, 1); len(heads) != 1 {
		tb.Errorf("sagatest: Claim of the last one that is due gives %d", len(heads))
	}
	never("all leases are endless")

	sleeps := s.head("sleeps")
	sleeps.WakeAt = s.now().Add(2 * short).Truncate(time.Microsecond)
	s.create(sleeps, 0)
	long := s.head("sleeps long")
	long.WakeAt = sleeps.WakeAt.Add(time.Hour)
	s.create(long, 0)
	got := s.follow("a run that sleeps", "sleeps", sleeps.WakeAt, short)
	got = s.follow("a run with a lease that Claim has given", "sleeps", got.LeaseUntil, -1)

	got.Owner, got.WakeAt = "you", s.due("").WakeAt
	s.append(got.Rev, got, short)
	got, _ = s.load(got.ID)
	s.follow("a run with a lease", "sleeps", got.LeaseUntil, -1)

	both := s.due("sleeps with a lease")
	both.Owner = "you"
	both.WakeAt = s.now().Add(2 * short).Truncate(time.Microsecond)
	s.create(both, short)
	s.follow("a run that sleeps longer than its lease", "sleeps with a lease", s.dueAt(both.ID), -1)
	both = s.due("sleeps, then its lease ends")
	both.Owner = "you"
	both.WakeAt = s.now().Add(short / 2).Truncate(time.Microsecond)
	s.create(both, short)
	s.follow("a run whose lease is longer than it sleeps", "sleeps, then its lease ends", s.dueAt(both.ID), -1)
}

// dueAt is when a run can be claimed that sleeps and has a lease.
func (s *subject) dueAt(id string) time.Time {
	s.tb.Helper()
	h, _ := s.load(id)
	if h.LeaseUntil.After(h.WakeAt) {
		return h.LeaseUntil
	}
	return h.WakeAt
}

// follow asks as an engine does, when next says so, until it is given the run that
// comes due at an instant.
func (s *subject) follow(when, name string, at time.Time, ttl time.Duration) durable.Head {
	s.tb.Helper()
	const most = 10
	for range most {
		before := s.now()
		heads, next := s.claim("me", ttl, 10)
		if i := slices.IndexFunc(heads, func(h durable.Head) bool { return h.ID == s.id(name) }); i >= 0 {
			if now := s.now(); now.Before(at.Add(-slack)) {
				s.tb.Fatalf("sagatest: %s comes due at %v: Claim has given it away at %v", when, at, now)
			}
			return heads[i]
		}
		rest := at.Sub(before)
		if next < 0 || next > max(rest, 0)+slack {
			s.tb.Fatalf("sagatest: %s comes due in %v: Claim returns %v as next", when, rest, next)
		}
		s.advance(max(next, slack))
	}
	s.tb.Fatalf("sagatest: %s: Claim told %d times when to ask again, and the run had not come due", when, most)
	return durable.Head{}
}

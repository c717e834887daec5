package sagatest

import (
	"math"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// A leaseholder is what a write has made of a lease.
type leaseholder struct {
	head          durable.Head
	before, after time.Time // the time around the write
}

// leased does what gives a lease, and wants it to be that of owner for ttl.
func (s *subject) leased(when, id, owner string, ttl time.Duration, write func()) leaseholder {
	s.tb.Helper()
	l := leaseholder{before: s.now()}
	write()
	l.after = s.now()
	l.head, _ = s.load(id)
	s.held(when, l, owner, ttl)
	return l
}

// held wants the lease to be that of owner for ttl.
func (s *subject) held(when string, l leaseholder, owner string, ttl time.Duration) {
	s.tb.Helper()
	until := l.head.LeaseUntil
	switch {
	case l.head.Owner != owner:
		s.tb.Errorf("sagatest: %s: Owner is %q, want %q", when, l.head.Owner, owner)
	case owner == "":
	case ttl < 0:
		if !until.IsZero() {
			s.tb.Errorf("sagatest: %s: LeaseUntil is %v, want a zero one", when, until)
		}
	case until.Before(l.before.Add(ttl-slack)) || until.After(l.after.Add(ttl+slack)):
		s.tb.Errorf("sagatest: %s: LeaseUntil is %v, which is not %v from now, between %v and %v", when, until, ttl, l.before, l.after)
	}
}

// stays wants a run not to be claimed before an instant; zero: never.
func (s *subject) stays(when, name string, until time.Time) {
	s.tb.Helper()
	heads, _ := s.claim("thief", time.Hour, 100)
	now := s.now()
	for _, h := range heads {
		switch {
		case h.ID != s.id(name):
		case until.IsZero() || now.Before(until.Add(-slack)):
			s.tb.Fatalf("sagatest: %s: Claim has given it away at %v, want not before %v", when, now, until)
		default: // it was due by then, and the thief has it
			panic(heldUp{when})
		}
	}
}

// comes wants a run to be claimed.
func (s *subject) comes(when, name, owner string, ttl time.Duration) durable.Head {
	s.tb.Helper()
	heads, _ := s.claim(owner, ttl, 100)
	for _, h := range heads {
		if h.ID == s.id(name) {
			return h
		}
	}
	s.tb.Fatalf("sagatest: %s: Claim does not give it, but %q", when, s.names(heads))
	return durable.Head{}
}

// checkLease wants leases to be given, renewed, left and released as the ttl says,
// and to end by the clock of the store.
func checkLease(tb testing.TB, h Harness) {
	tb.Helper()
	patiently(tb, h, (*subject).leases)
}

func (s *subject) leases() {
	tb, short := s.tb, s.short
	tb.Helper()
	with := func(name, owner string) durable.Head {
		in := s.due(name)
		in.Owner, in.LeaseUntil = owner, time.Date(2222, 1, 1, 0, 0, 0, 0, time.UTC) // which does not count
		return in
	}

	a := with("a", "me")
	l := s.leased("Create with a ttl", a.ID, "me", short, func() { s.create(a, short) })
	s.stays("a run with a lease", "a", l.head.LeaseUntil)
	l = s.leased("Append with a ttl", a.ID, "me", 2*short, func() { s.append(1, a, 2*short) })
	s.reach(l.before.Add(short))
	s.stays("a run whose lease was renewed", "a", l.head.LeaseUntil)
	s.append(2, a, 0)
	got, _ := s.load(a.ID)
	if got.Owner != "me" || !got.LeaseUntil.Equal(l.head.LeaseUntil) {
		tb.Errorf("sagatest: after Append with ttl 0: the lease is that of %q until %v, want %q until %v as before", got.Owner, got.LeaseUntil, "me", l.head.LeaseUntil)
	}
	s.reach(l.head.LeaseUntil.Add(-short / 10))
	s.stays("a run with a lease", "a", l.head.LeaseUntil)
	s.reach(l.head.LeaseUntil)
	l = s.leased("Claim", a.ID, "you", short, func() { got = s.comes("a run whose lease is over", "a", "you", short) })
	l.head = got
	s.held("what Claim returns", l, "you", short)
	s.reach(got.LeaseUntil.Add(-short / 10))
	s.stays("a run that was claimed", "a", got.LeaseUntil)
	s.reach(got.LeaseUntil)
	s.comes("a run whose lease by a Claim is over", "a", "we", -1)
	s.advance(2 * slack)
	s.stays("a run that was claimed with a negative TTL", "a", time.Time{})

	b := with("b", "me")
	s.leased("Create with a negative ttl", b.ID, "me", -1, func() { s.create(b, -1) })
	s.advance(2 * short)
	s.stays("a run with an endless lease", "b", time.Time{})
	s.append(1, b, 0)
	got, _ = s.load(b.ID)
	s.held("Append with ttl 0", leaseholder{head: got}, "me", -1)
	s.advance(2 * short)
	s.stays("a run with an endless lease", "b", time.Time{})
	l = s.leased("Append with a ttl to a run with an endless lease", b.ID, "me", 100*short, func() { s.append(2, b, 100*short) })
	s.stays("a run with a lease", "b", l.head.LeaseUntil)
	l = s.leased("Append with a shorter ttl", b.ID, "me", short, func() { s.append(3, b, short) })
	s.reach(l.head.LeaseUntil)
	got = s.comes("a run whose lease is over", "b", "you", time.Hour)
	s.leased("Append with a negative ttl", b.ID, "you", -1, func() { s.append(got.Rev, with("b", "you"), -1) })
	s.stays("a run with an endless lease", "b", time.Time{})
	s.leased("Append without Owner", b.ID, "", 0, func() { s.append(got.Rev+1, with("b", ""), 0) })
	s.comes("a run without a lease", "b", "you", time.Hour)
	s.leased("Append without Owner, but with a ttl", b.ID, "", 0, func() { s.append(got.Rev+3, with("b", ""), time.Hour) })
	s.comes("a run without a lease", "b", "you", time.Hour)

	c := with("c", "")
	s.leased("Create without Owner", c.ID, "", 0, func() { s.create(c, time.Hour) })
	s.comes("a run without a lease", "c", "you", time.Hour)

	d := with("d", "me")
	l = s.leased("Create with the longest ttl", d.ID, "me", 24*365*time.Hour, func() { s.create(d, 24*365*time.Hour) })
	s.advance(2 * slack)
	s.stays("a run with a long lease", "d", l.head.LeaseUntil)
	s.append(1, d, math.MaxInt64)
	s.advance(2 * slack)
	s.stays("a run with a lease of 292 years", "d", time.Time{})
}

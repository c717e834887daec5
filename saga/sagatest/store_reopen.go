package sagatest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// reopen closes the store and opens its directory again.
func (s *subject) reopen() {
	s.tb.Helper()
	s.close()
	s.open()
}

// checkReopen wants what was written to be there when the store is opened again.
func checkReopen(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	ctx, free := bounded()
	defer free()

	want := make(map[string]durable.Head)
	journals := make(map[string][][]byte)
	note := func(in durable.Head, rev, epoch uint64, events ...string) {
		want[in.ID] = numbered(in, rev, epoch)
		journals[in.ID] = append(journals[in.ID], texts(events...)...)
	}
	full := s.full("full", 1)
	s.create(full, 0, "", "\x00\xff", "a\nb")
	note(full, 1, 1, "", "\x00\xff", "a\nb")
	long := s.head("long")
	s.create(long, 0, "created")
	note(long, 1, 1, "created")
	for rev := uint64(1); rev <= 100; rev++ {
		long.Attempt = int(rev)
		s.append(rev, long, 0, fmt.Sprint("a ", rev), fmt.Sprint("b ", rev))
		note(long, rev+1, 1, fmt.Sprint("a ", rev), fmt.Sprint("b ", rev))
	}
	changed := s.full("changed", 1)
	s.create(changed, 0, "created")
	changed = s.head("changed") // without labels
	s.append(1, changed, 0)
	note(changed, 2, 1, "created")
	s.refused("Append at a Rev that is past", s.store.Append(ctx, 1, s.full("changed", 2), 0, texts("refused")), durable.ErrConflict)

	claimed := s.due("claimed")
	s.create(claimed, 0, "created")
	s.comes("a run that is due", "claimed", "me", time.Hour)
	claimed.Owner, claimed.Attempt = "me", 2
	s.append(2, claimed, 0, "appended")
	note(claimed, 3, 2, "created", "appended")
	held := s.due("held")
	held.Owner = "me"
	s.create(held, -1, "created")
	note(held, 1, 1, "created")
	due := s.due("due")
	s.create(due, 0, "created")
	note(due, 1, 1, "created")

	for _, name := range []string{"deleted", "created again"} {
		ended := s.full(name, 1)
		ended.Status = saga.Completed
		s.create(ended, 0, "created", "ended")
		s.remove(ended.ID, 1)
	}
	again := s.head("created again")
	s.create(again, 0, "created again")
	note(again, 1, 1, "created again")

	var names []string
	for _, in := range want {
		names = append(names, s.names([]durable.Head{in})...)
	}
	verify := func(when string) {
		tb.Helper()
		for id, in := range want {
			s.expect(when, in, journals[id])
		}
		_, _, err := s.store.Load(ctx, s.id("deleted"))
		s.refused(when+": Load of a run that was deleted", err, durable.ErrNotFound)
		s.expectNames(when+": List", s.list(durable.Query{Saga: s.saga}), true, slices.Clone(names)...)
		s.expectNames(when+": List by label", s.list(durable.Query{Saga: s.saga, Labels: full.Labels}), true, "full")
	}
	s.reopen()
	verify("when it is opened again")
	s.reopen()
	verify("when it is opened again, twice")

	s.refused("Create of a run that is there since before", s.store.Create(ctx, full, 0, nil), durable.ErrConflict)
	s.refused("Append at a Rev that is past", s.store.Append(ctx, 100, long, 0, texts("refused")), durable.ErrConflict)
	s.append(101, long, 0, "after")
	note(long, 102, 1, "after")
	s.comes("a run that is due since before", "due", "me", time.Hour)
	s.append(2, due, 0, "after")
	note(due, 3, 2, "after")
	claimed.Owner = ""
	got, _ := s.load(claimed.ID)
	s.append(got.Rev, claimed, 0)
	note(claimed, got.Rev+1, got.Epoch)
	s.reopen()
	got, _ = s.load(held.ID) // a claim may have been made meanwhile, and be forgotten
	note(held, got.Rev, got.Epoch)
	verify("when it is opened again after more was written")
}

package sagatest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// checkNames wants runs and sagas not to be mistaken for each other, whatever
// characters their names hold.
func checkNames(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	names := []string{
		"", "a", "A", "a ", " a", "a/b", "a%2Fb", "a%252Fb", "/a", "a/", "//", ".", "..", "../a", "a.b", "a:b", "a\\b", "a|b", "a,b", "a\tb", "a\nb", "*", "%",
		"_", "$", "#", "?", "'", "\"", "a=b", "CON", "\u00e9", "e\u0301", "\u00df", "SS", "\U0001f600", strings.Repeat("x", 160),
	}
	sagaOf := func(name string) string {
		return s.saga + "." + strings.ReplaceAll(strings.ReplaceAll(name, "\n", "n"), "\t", "t")
	}
	want := make(map[string]durable.Head)
	for i, name := range names {
		in := s.full(name, i)
		in.Saga, in.WakeAt = sagaOf(name), s.due("").WakeAt
		in.Step, in.Labels = name, map[string]string{"name": name, name: "value", "k" + name: name}
		s.create(in, 0, "created "+name)
		want[name] = in
	}
	for _, name := range names {
		s.expect("any name", numbered(want[name], 1, 1), texts("created "+name))
	}
	for _, name := range names {
		s.expectNames("List of "+sagaOf(name), s.list(durable.Query{Saga: sagaOf(name)}), true, name)
		s.expectNames("List with a label", s.list(durable.Query{Labels: map[string]string{"name": name, "k" + name: name}}), true, name)
		owner := "owner " + name
		heads, _ := s.claim(owner, time.Hour, 10, sagaOf(name))
		s.expectNames("Claim of "+sagaOf(name), heads, true, name)
		for _, got := range heads {
			if got.Owner != owner {
				tb.Errorf("sagatest: after Claim by %q: Owner is %q", owner, got.Owner)
			}
		}
		s.append(2, want[name], 0, "appended "+name)
	}
	for _, name := range names {
		s.expect("any name", numbered(want[name], 3, 2), texts("created "+name, "appended "+name))
	}
}

// checkList wants List to return the heads that are asked for, as they are.
func checkList(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	if got := s.list(durable.Query{Saga: s.saga}); len(got) > 0 {
		tb.Errorf("sagatest: List of a saga without runs: got %q", s.names(got))
	}
	base := time.Date(2025, 5, 5, 5, 5, 5, 0, time.UTC)
	var names []string
	want := make(map[string]durable.Head)
	for i := range 23 {
		in := s.head(fmt.Sprint(i))
		in.Saga = s.saga + []string{"", ".other"}[i/21]
		in.Status = saga.Running + saga.Status(i%7)
		in.UpdatedAt = base.Add(time.Duration(i) * time.Millisecond)
		in.Labels = map[string]string{"third": fmt.Sprint(i % 3), "half": fmt.Sprint(i % 2)}
		if i%5 == 0 {
			in.Labels = nil
		}
		names = append(names, fmt.Sprint(i))
		want[in.ID] = numbered(in, 1, 1)
		s.create(in, 0, "created")
	}
	for _, limit := range []int{0, 1, 2, 7, 20, 21, 22, 1000} {
		for when, c := range map[string]struct {
			q    durable.Query
			asks func(i int, h durable.Head) bool
		}{
			"of one saga":     {durable.Query{Saga: s.saga}, func(int, durable.Head) bool { return true }},
			"by one status":   {durable.Query{Saga: s.saga, Status: []saga.Status{saga.Stuck}}, func(_ int, h durable.Head) bool { return h.Status == saga.Stuck }},
			"by two statuses": {durable.Query{Saga: s.saga, Status: []saga.Status{saga.Abandoned, saga.Running}}, func(_ int, h durable.Head) bool { return h.Status == saga.Abandoned || h.Status == saga.Running }},
			"by a label":      {durable.Query{Saga: s.saga, Labels: map[string]string{"third": "1"}}, func(_ int, h durable.Head) bool { return h.Labels["third"] == "1" }},
			"by two labels": {durable.Query{Saga: s.saga, Labels: map[string]string{"third": "1", "half": "0"}}, func(_ int, h durable.Head) bool {
				return h.Labels["third"] == "1" && h.Labels["half"] == "0"
			}},
			"by a label that none has":     {durable.Query{Saga: s.saga, Labels: map[string]string{"third": "1", "none": ""}}, func(int, durable.Head) bool { return false }},
			"by a label with another text": {durable.Query{Saga: s.saga, Labels: map[string]string{"half": "1 "}}, func(int, durable.Head) bool { return false }},
			"by time":                      {durable.Query{Saga: s.saga, UpdatedBefore: base.Add(9 * time.Millisecond)}, func(i int, _ durable.Head) bool { return i < 9 }},
			"by all": {durable.Query{
				Saga: s.saga, Status: []saga.Status{saga.Running, saga.Waiting, saga.Stuck}, Labels: map[string]string{"half": "1"},
				UpdatedBefore: base.Add(11 * time.Millisecond),
			}, func(i int, h durable.Head) bool {
				return i < 11 && h.Labels["half"] == "1" && (h.Status == saga.Running || h.Status == saga.Waiting || h.Status == saga.Stuck)
			}},
		} {
			var asked []string
			for i, name := range names[:21] {
				if c.asks(i, want[s.id(name)]) {
					asked = append(asked, name)
				}
			}
			c.q.Limit = limit
			got := s.list(c.q)
			s.expectNames(fmt.Sprintf("List %s with Limit %d", when, limit), got, true, asked...)
			for _, h := range got {
				s.same("what List returns", h, want[h.ID])
			}
		}
	}
	s.expectNames("List of everything", s.list(durable.Query{}), true, names...)
	s.expectNames("List of everything by status", s.list(durable.Query{Status: []saga.Status{saga.Running}, Limit: 3}), true, "0", "7", "14", "21")

	for i := range 101 {
		in := s.head("default " + fmt.Sprint(i))
		in.Saga = s.saga + ".many"
		s.create(in, 0)
	}
	ctx, free := bounded()
	defer free()
	page, cursor, err := s.store.List(ctx, durable.Query{Saga: s.saga + ".many"})
	if err != nil || len(page) > 100 || cursor == "" {
		tb.Errorf("sagatest: List of 101 without a Limit: %d heads, cursor %q, %v; want a page of 100 at most", len(page), cursor, err)
	}
	if all := s.list(durable.Query{Saga: s.saga + ".many"}); len(all) != 101 {
		tb.Errorf("sagatest: List of 101 without a Limit: %d in all pages", len(all))
	}

	changed := s.due("1")
	changed.Labels = map[string]string{"new": "yes"}
	s.append(1, changed, 0, "appended")
	s.comes("a run that is due", "1", "me", time.Hour)
	loaded, _ := s.load(changed.ID)
	found := s.list(durable.Query{Saga: s.saga, Labels: map[string]string{"new": "yes"}})
	s.expectNames("List by a label that was changed", found, true, "1")
	for _, got := range found {
		s.same("List after changes", got, loaded)
		if got.Owner != "me" || !got.LeaseUntil.Equal(loaded.LeaseUntil) {
			tb.Errorf("sagatest: List after Claim: the lease is that of %q until %v, want %q until %v", got.Owner, got.LeaseUntil, "me", loaded.LeaseUntil)
		}
	}
}

// checkPages wants runs that do not change to be listed once, whatever happens to
// others between two pages.
func checkPages(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	base := time.Date(2025, 5, 5, 5, 5, 5, 0, time.UTC)
	for _, limit := range []int{1, 3, 10} {
		for when, q := range map[string]durable.Query{
			"all":           {},
			"some statuses": {Status: []saga.Status{saga.Waiting}},
			"by time":       {UpdatedBefore: base.Add(time.Hour)},
		} {
			when = fmt.Sprintf("List of %s in pages of %d", when, limit)
			c := newThrong(s, fmt.Sprintf("%s.%d-%s", s.saga, limit, strings.ReplaceAll(when, " ", "-")), base)
			q.Saga, q.Limit = c.saga, limit
			got := s.listBetween(q, c.churn)
			got = slices.DeleteFunc(got, func(h durable.Head) bool { return !strings.Contains(h.ID, "stable") })
			s.expectNames(when+" while other runs change: those that do not", got, true, c.names["stable"]...)
		}
	}
}

// A throng is the runs of a saga, of which some change while it is listed.
type throng struct {
	*subject
	saga  string
	base  time.Time
	names map[string][]string // by what happens to them, oldest first
	revs  map[string]uint64
	made  int
	turns int
}

func newThrong(s *subject, name string, base time.Time) *throng {
	c := &throng{subject: s, saga: name, base: base, names: make(map[string][]string), revs: make(map[string]uint64)}
	for i := range 24 {
		c.add("stable")
		c.add("deleted")
		if i%3 == 0 {
			c.add("changed")
			c.add("claimed")
			c.add("ended")
		}
	}
	return c
}

// add creates a run, whose name and UpdatedAt lie somewhere among the others.
func (c *throng) add(kind string) {
	c.tb.Helper()
	c.made++
	name := fmt.Sprintf("%s %03d %s", c.saga, c.made*89%211, kind)
	in := c.of(name)
	in.UpdatedAt = c.base.Add(time.Duration(c.made*53%199) * time.Second)
	switch kind {
	case "claimed":
		in.WakeAt = c.due("").WakeAt
	case "deleted":
		in.Status = saga.Completed
		if c.made%4 == 0 {
			in.Status = saga.Waiting // becomes completed before it is deleted
		}
	}
	c.create(in, 0, "created")
	c.names[kind], c.revs[name] = append(c.names[kind], name), 1
	if in.Status == saga.Waiting && kind == "deleted" {
		in.Status = saga.Completed
		c.write(in, name)
	}
}

func (c *throng) of(name string) durable.Head {
	in := c.head(name)
	in.Saga = c.saga
	return in
}

func (c *throng) write(in durable.Head, name string) {
	c.tb.Helper()
	c.append(c.revs[name], in, 0, "changed")
	c.revs[name]++
}

// churn is what happens between two pages: runs come, and of those that were there
// some change, are claimed, end or are deleted.
func (c *throng) churn() {
	c.tb.Helper()
	if c.turns++; c.turns > 20 {
		return
	}
	for _, kind := range []string{"changed", "claimed", "ended", "deleted"} {
		if c.turns%2 == 0 {
			c.add(kind)
		}
		names := c.names[kind]
		name := names[c.turns*7%len(names)]
		in := c.of(name)
		in.UpdatedAt = c.base.Add(time.Duration(c.turns%2*2000-1000) * time.Hour)
		switch kind {
		case "changed":
			c.write(in, name)
		case "claimed":
			c.claim("me", time.Hour, 1, c.saga)
		case "ended":
			in.Status = saga.Compensated
			c.write(in, name)
		case "deleted":
			c.remove(c.id(names[0]), c.revs[names[0]])
			c.names[kind] = names[1:]
		}
	}
}

// checkDelete wants Delete to delete what has ended, and nothing else.
func checkDelete(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	ctx, free := bounded()
	defer free()
	for status := saga.Running; status <= saga.Stuck; status++ {
		in := s.due(status.String())
		in.Status = status
		s.create(in, 0, "created")
		s.refused("Delete of a run that is "+status.String(), s.store.Delete(ctx, in.ID, 1), durable.ErrConflict)
		s.expect("after a Delete that was refused", numbered(in, 1, 1), texts("created"))
	}
	s.refused("Delete of a run that is not there", s.store.Delete(ctx, s.id("none"), 1), durable.ErrNotFound)
	for status := saga.Completed; status <= saga.Abandoned; status++ {
		in := s.full(status.String(), 1)
		in.Status, in.WakeAt = saga.Running, s.due("").WakeAt
		s.create(in, 0, "created")
		in.Status = status
		s.append(1, in, 0, "ended")
		for _, at := range []uint64{0, 1, 3, 1000} {
			s.refused(fmt.Sprintf("Delete at %d of a run with Rev 2", at), s.store.Delete(ctx, in.ID, at), durable.ErrConflict)
		}
		s.expect("after a Delete that was refused", numbered(in, 2, 1), texts("created", "ended"))
		s.remove(in.ID, 2)
		_, _, err := s.store.Load(ctx, in.ID)
		s.refused("Load of a run that was deleted", err, durable.ErrNotFound)
		s.refused("Delete of a run that was deleted", s.store.Delete(ctx, in.ID, 2), durable.ErrNotFound)
		s.refused("Append to a run that was deleted", s.store.Append(ctx, 2, in, 0, texts("late")), durable.ErrNotFound)
	}
	s.expectNames("List after Deletes", s.list(durable.Query{Saga: s.saga}), true, "running", "waiting", "compensating", "stuck")

	again := s.due("completed")
	s.create(again, 0, "created again")
	s.expect("after another Create", numbered(again, 1, 1), texts("created again"))
	heads, _ := s.claim("me", time.Hour, 100)
	s.expectNames("Claim after Deletes", heads, true, "running", "waiting", "compensating", "completed")
	s.expect("after another Create and a Claim", numbered(again, 2, 2), texts("created again"))
	s.refused("Delete of a run that was created again", s.store.Delete(ctx, again.ID, 2), durable.ErrConflict)
}

// checkWatch wants those who watch to be told when there may be work.
func checkWatch(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	w, ok := s.store.(durable.Watcher)
	if !ok {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	watch := func(ctx context.Context) <-chan struct{} {
		hints, err := w.Watch(ctx)
		if err != nil || hints == nil {
			tb.Fatalf("sagatest: Watch returns a channel that is nil (%t) and %v", hints == nil, err)
		}
		return hints
	}
	gone, leave := context.WithCancel(ctx)
	left := watch(gone)
	all := []<-chan struct{}{watch(ctx), watch(ctx)}
	tells := func(when string, write func()) {
		tb.Helper()
		for _, hints := range all {
			for told := true; told; {
				select {
				case _, told = <-hints:
					if !told {
						tb.Fatalf("sagatest: the channel of Watch is closed although ctx has not ended")
					}
				default:
					told = false
				}
			}
		}
		write()
		for _, hints := range all {
			wait, free := bounded()
			select {
			case _, told := <-hints:
				if !told {
					tb.Errorf("sagatest: %s: the channel of Watch is closed although ctx has not ended", when)
				}
			case <-wait.Done():
				tb.Errorf("sagatest: %s: Watch has not told after %v", when, patience)
			}
			free()
		}
	}
	in := s.due("x")
	tells("Create of a run that is due", func() { s.create(in, 0) })
	s.comes("a run that is due", "x", "me", time.Hour)
	tells("Append that releases the lease", func() { s.append(2, in, 0) })
	s.comes("a run that is due", "x", "me", time.Hour)
	waits := s.head("x")
	s.append(4, waits, 0)
	tells("Append that sets WakeAt", func() { s.append(5, in, 0) })
	s.comes("a run that is due", "x", "me", time.Hour)
	leave()
	waits.WakeAt = s.now().Add(time.Hour)
	tells("Append that sets a WakeAt to come", func() { s.append(7, waits, 0) })
	waits.WakeAt = s.now().Add(time.Minute)
	tells("Append that brings WakeAt forward", func() { s.append(8, waits, 0) })
	stuck := s.head("x")
	stuck.Status = saga.Stuck
	s.append(9, stuck, 0)
	tells("Append to a run that was stuck", func() { s.append(10, in, 0) })
	for range 100 { // closed or left alone, but hints from before may be in it
		select {
		case <-left:
		default:
		}
	}
}

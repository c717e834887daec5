package sagatest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// full is a head with something in every field that the caller sets, other than
// that of head.
func (s *subject) full(name string, n int) durable.Head {
	at := time.Date(2031, 1, 1, 0, 0, n, 987654000, time.FixedZone("elsewhere", -3*3600))
	return durable.Head{
		ID: s.id(name), Saga: s.saga, Fingerprint: fmt.Sprintf("f%d", n+2), Step: fmt.Sprintf("items/%d/charge", n),
		Status: saga.Compensating, Reason: saga.ReasonPivotUnknown, Attempt: 1000 + n, InFlight: true, Rev: 77, Epoch: 99,
		WakeAt: at.Add(time.Hour), CreatedAt: at, UpdatedAt: at.Add(time.Minute),
		Labels: map[string]string{"tenant": fmt.Sprint("acme ", n), "only here " + fmt.Sprint(n): "", "": "no key"},
	}
}

// numbered is h with what the store sets.
func numbered(h durable.Head, rev, epoch uint64) durable.Head {
	h.Rev, h.Epoch = rev, epoch
	return h
}

// checkCreate wants Create to make a run as it is told to, and none where there is
// one.
func checkCreate(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	ctx, free := bounded()
	defer free()

	_, _, err := s.store.Load(ctx, s.id("none"))
	s.refused("Load of a run that is not there", err, durable.ErrNotFound)

	full, plain := s.full("full", 1), s.head("plain")
	s.create(full, 0, "created", "started")
	s.create(plain, 0, "created")
	s.expect("after Create", numbered(full, 1, 1), texts("created", "started"))
	got := s.expect("after Create", numbered(plain, 1, 1), texts("created"))
	if !got.WakeAt.IsZero() {
		tb.Errorf("sagatest: after Create: WakeAt is %v, want a zero one", got.WakeAt)
	}
	other := s.full("plain", 2)
	other.Owner = "other"
	s.refused("Create of a run that is there", s.store.Create(ctx, other, time.Hour, texts("another")), durable.ErrConflict)
	got = s.expect("after a Create that was refused", numbered(plain, 1, 1), texts("created"))
	if got.Owner != "" {
		tb.Errorf("sagatest: after a Create that was refused: Owner is %q", got.Owner)
	}
	for status := saga.Running; status <= saga.Abandoned; status++ {
		in := s.head("in " + status.String())
		in.Status, in.Reason = status, saga.Reason(status)-1
		s.create(in, 0, "created")
		s.expect("after Create", numbered(in, 1, 1), texts("created"))
	}
}

// checkRace wants one of many to create a run.
func checkRace(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	ctx, free := bounded()
	defer free()
	for round := range 4 {
		name := fmt.Sprint("wanted ", round)
		var won, winner atomic.Int64
		together(func(i int) {
			in := s.head(name)
			in.Attempt = i
			switch err := s.store.Create(ctx, in, 0, texts(fmt.Sprint("by ", i))); {
			case err == nil:
				won.Add(1)
				winner.Store(int64(i))
			default:
				s.refused("Create of a run that is there", err, durable.ErrConflict)
			}
		})
		if won.Load() != 1 {
			tb.Fatalf("sagatest: %d of %d who created a run at once were told that they have", won.Load(), crowd)
		}
		want := s.head(name)
		want.Attempt = int(winner.Load())
		s.expect("after a race of Create", numbered(want, 1, 1), texts(fmt.Sprint("by ", winner.Load())))
	}
}

// checkAppend wants Append to compare and swap.
func checkAppend(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	ctx, free := bounded()
	defer free()

	s.create(s.head("x"), 0, "0")
	s.create(s.head("y"), 0, "y")
	journal := texts("0")
	for rev := uint64(1); rev <= 5; rev++ {
		before := s.full("x", int(rev)-1)
		if rev == 1 {
			before = s.head("x")
		}
		before.Owner = ""
		next := s.full("x", int(rev))
		refuse := next
		refuse.Owner = "other"
		for _, at := range []uint64{0, rev - 1, rev + 1, rev + 1000} {
			err := s.store.Append(ctx, at, refuse, time.Hour, texts("refused"))
			s.refused(fmt.Sprintf("Append at %d to a run with Rev %d", at, rev), err, durable.ErrConflict)
		}
		got := s.expect("after an Append that was refused", numbered(before, rev, 1), journal)
		if got.Owner != "" {
			tb.Errorf("sagatest: after an Append that was refused: Owner is %q", got.Owner)
		}
		var added []string
		for i := range rev - 1 { // at first none
			added = append(added, fmt.Sprint(rev, "/", i))
		}
		s.append(rev, next, 0, added...)
		journal = append(journal, texts(added...)...)
		s.expect("after Append", numbered(next, rev+1, 1), journal)
	}
	s.expect("after Appends to another run", numbered(s.head("y"), 1, 1), texts("y"))
	s.append(1, s.head("y"), 0) // takes the labels off, too
	s.append(6, s.head("x"), 0)
	s.expect("after Append without events", numbered(s.head("x"), 7, 1), journal)

	s.refused("Append to a run that is not there", s.store.Append(ctx, 1, s.head("z"), 0, texts("z")), durable.ErrNotFound)
	s.refused("Append to a run that is not there", s.store.Append(ctx, 0, s.head("z"), 0, texts("z")), durable.ErrNotFound)
	_, _, err := s.store.Load(ctx, s.id("z"))
	s.refused("Load of a run that was appended to and not created", err, durable.ErrNotFound)

	var won, winner atomic.Int64
	together(func(i int) {
		next := s.head("x")
		next.Attempt = i
		switch err := s.store.Append(ctx, 7, next, 0, texts(fmt.Sprint("by ", i))); {
		case err == nil:
			won.Add(1)
			winner.Store(int64(i))
		default:
			s.refused("Append at a Rev that is past", err, durable.ErrConflict)
		}
	})
	if won.Load() != 1 {
		tb.Fatalf("sagatest: %d of %d who appended at the same Rev were told that they have", won.Load(), crowd)
	}
	want := s.head("x")
	want.Attempt = int(winner.Load())
	s.expect("after a race of Append", numbered(want, 8, 1), append(journal, texts(fmt.Sprint("by ", winner.Load()))...))
}

// checkWhole wants nobody to see a part of an Append.
func checkWhole(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	ctx, free := bounded()
	defer free()
	const writes = 100
	s.create(s.head("x"), 0, "a", "b", "c")
	look := func(head durable.Head, events int) {
		if head.Rev != uint64(head.Attempt) || events >= 0 && events != 3*head.Attempt {
			tb.Errorf("sagatest: while Append is at work a run with Rev %d has the head of %d and %d events", head.Rev, head.Attempt, events)
		}
	}
	var wg, begun sync.WaitGroup
	var over atomic.Bool
	for range 4 {
		begun.Add(1)
		wg.Go(func() {
			begin := sync.OnceFunc(begun.Done)
			defer begin()
			for !over.Load() && !tb.Failed() {
				head, events, err := s.store.Load(ctx, s.id("x"))
				if err != nil {
					tb.Errorf("sagatest: Load: %v", err)
					return
				}
				look(head, len(events))
				heads, _, err := s.store.List(ctx, durable.Query{Saga: s.saga})
				if err != nil || len(heads) != 1 {
					tb.Errorf("sagatest: List while Append is at work: %d heads, %v", len(heads), err)
					return
				}
				look(heads[0], -1)
				begin()
			}
		})
	}
	begun.Wait()
	for rev := uint64(1); rev < writes; rev++ {
		runtime.Gosched() // or a store in memory is done before anybody looks
		next := s.head("x")
		next.Attempt = int(rev) + 1
		if err := s.store.Append(ctx, rev, next, 0, texts("a", "b", "c")); err != nil {
			tb.Errorf("sagatest: Append: %v", err)
			break
		}
	}
	over.Store(true)
	wg.Wait()
}

// checkOrder wants journals to keep their order, also long ones.
func checkOrder(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	const total = 10_000
	journals := make(map[string][]string)
	revs := make(map[string]uint64)
	for i, size := 0, 1; i < total; size = (size*7 + 3) % 211 {
		name := []string{"x", "x", "x", "y"}[size%4]
		var added []string
		for range min(size, total-i) {
			added = append(added, fmt.Sprintf("%s %d", name, len(journals[name])+len(added)))
			i++
		}
		if revs[name] == 0 {
			s.create(s.head(name), 0, added...)
		} else {
			s.append(revs[name], s.head(name), 0, added...)
		}
		revs[name]++
		journals[name] = append(journals[name], added...)
	}
	for name, journal := range journals {
		s.expect("after many Appends", numbered(s.head(name), revs[name], 1), texts(journal...))
	}
}

// checkPayload wants events to be any bytes.
func checkPayload(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	all, large := make([]byte, 256), make([]byte, 1<<20)
	for i := range all {
		all[i] = byte(i)
	}
	for i, x := 0, uint32(1); i < len(large); i++ {
		x = x*1664525 + 1013904223
		large[i] = byte(x >> 24)
	}
	payloads := []string{
		"", string(all), "\x00", "\n", "\r\n", "a\nb\n", "null", `{"a":"\u0000"}`, "\xff\xfe\xfd", "", "\u00fc \U0001f600", string(large),
		string(make([]byte, 1<<16)), "'; --", "last", "",
	}
	for i, p := range payloads {
		in := s.head(fmt.Sprint("alone ", i))
		s.create(in, 0, p)
		s.append(1, in, 0, p, p)
		s.expect("any payload", numbered(in, 2, 1), texts(p, p, p))
	}
	in := s.head("all")
	s.create(in, 0, payloads...)
	s.append(1, in, 0, payloads...)
	s.expect("any payload", numbered(in, 2, 1), texts(append(payloads, payloads...)...))
}

// checkAlias wants the store to share no memory with those who call it.
func checkAlias(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	ctx, free := bounded()
	defer free()

	spoil := func(h durable.Head, events [][]byte) {
		for k := range h.Labels {
			h.Labels[k] = "spoilt"
		}
		if h.Labels != nil {
			h.Labels["spoilt"] = "spoilt"
		}
		for i := range events {
			for j := range events[i] {
				events[i][j] = '!'
			}
			events[i] = append(events[i][:0], "spoilt"...)
		}
		for i := range events {
			events[i] = nil
		}
	}
	fresh := func() durable.Head {
		in := s.full("x", 1)
		in.WakeAt = s.due("x").WakeAt
		return in
	}
	given, events := fresh(), texts("a", "b", "c")
	if err := s.store.Create(ctx, given, 0, events); err != nil {
		tb.Fatalf("sagatest: Create: %v", err)
	}
	spoil(given, events)
	s.expect("after what Create was given has been changed", numbered(fresh(), 1, 1), texts("a", "b", "c"))

	given, events = fresh(), texts("d", "e")
	if err := s.store.Append(ctx, 1, given, 0, events); err != nil {
		tb.Fatalf("sagatest: Append: %v", err)
	}
	spoil(given, events)
	s.expect("after what Append was given has been changed", numbered(fresh(), 2, 1), texts("a", "b", "c", "d", "e"))

	loaded, journal := s.load(s.id("x"))
	again, journal2 := s.load(s.id("x"))
	for i := range journal {
		_ = append(journal[i], '!')
	}
	s.sameEvents("after events have been appended to", journal, texts("a", "b", "c", "d", "e"))
	spoil(loaded, journal)
	s.same("after another Load has been changed", again, numbered(fresh(), 2, 1))
	s.sameEvents("after another Load has been changed", journal2, texts("a", "b", "c", "d", "e"))
	s.expect("after a Load has been changed", numbered(fresh(), 2, 1), texts("a", "b", "c", "d", "e"))

	for _, listed := range s.list(durable.Query{Saga: s.saga}) {
		spoil(listed, nil)
	}
	s.expect("after heads of List have been changed", numbered(fresh(), 2, 1), texts("a", "b", "c", "d", "e"))
	heads, _ := s.claim("a", time.Hour, 10)
	for _, claimed := range heads {
		spoil(claimed, nil)
	}
	s.expect("after heads of Claim have been changed", numbered(fresh(), 3, 2), texts("a", "b", "c", "d", "e"))
}

var errEnded = errors.New("sagatest: the context has ended on purpose")

// checkContext wants nothing to be written when the context has ended before.
func checkContext(tb testing.TB, h Harness) {
	tb.Helper()
	s := newSubject(tb, h)
	defer s.close()
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errEnded)

	s.create(s.due("x"), 0, "created")
	ended := s.head("ended")
	ended.Status = saga.Completed
	s.create(ended, 0, "created")

	s.refused("Create with a context that has ended", s.store.Create(ctx, s.due("y"), 0, texts("created")), errEnded)
	alive, free := bounded()
	defer free()
	_, _, err := s.store.Load(alive, s.id("y"))
	s.refused("Load of what was not created", err, durable.ErrNotFound)
	s.refused("Append with a context that has ended", s.store.Append(ctx, 1, s.full("x", 1), 0, texts("appended")), errEnded)
	s.expect("after Append with a context that had ended", numbered(s.due("x"), 1, 1), texts("created"))
	heads, _, err := s.store.Claim(ctx, durable.ClaimRequest{Owner: "me", TTL: time.Hour, Limit: 10, Sagas: []string{s.saga}})
	if err == nil || len(heads) > 0 {
		tb.Errorf("sagatest: Claim with a context that has ended returns %d heads and %v", len(heads), err)
	}
	s.expect("after Claim with a context that had ended", numbered(s.due("x"), 1, 1), texts("created"))
	if err := s.store.Delete(ctx, s.id("ended"), 1); err == nil {
		tb.Errorf("sagatest: Delete with a context that has ended returns nil")
	}
	s.expect("after Delete with a context that had ended", numbered(ended, 1, 1), texts("created"))
}

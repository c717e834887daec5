package sagatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

const (
	patience = 30 * time.Second       // bounds every wait of the suite
	crowd    = 32                     // goroutines that do something at once
	brief    = 250 * time.Millisecond // a lease whose end is waited for, at first
	slack    = time.Millisecond       // how exactly a store has to know the time
)

// together runs f on many goroutines at once, and waits for them.
func together(f func(i int)) {
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range crowd {
		wg.Go(func() {
			<-begin
			f(i)
		})
	}
	close(begin)
	wg.Wait()
}

// A subject is the store that a check is about.
type subject struct {
	tb    testing.TB
	h     Harness
	dir   string
	store durable.Store
	saga  string // names of sagas that begin with it are those of this check
	reads int    // of the clock

	short time.Duration // a lease whose end is waited for
}

// A heldUp is what a check panics with that was too late to see what it wanted to.
type heldUp struct{ when string }

// patiently runs a check, and again with more time if it was held up.
func patiently(tb testing.TB, h Harness, run func(s *subject)) {
	tb.Helper()
	late := heldUp{}
	for short := brief; short <= 64*brief; short *= 4 {
		var ok bool
		if late, ok = inTime(tb, h, short, run); ok {
			return
		}
	}
	tb.Fatalf("sagatest: %s: Claim has given it away as if it were due by now, however much time there was", late.when)
}

// inTime runs a check, and reports whether it was in time.
func inTime(tb testing.TB, h Harness, short time.Duration, run func(s *subject)) (late heldUp, ok bool) {
	tb.Helper()
	s := newSubject(tb, h)
	s.short = short
	defer s.close()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case heldUp:
			late, ok = r, false
		default:
			panic(r)
		}
	}()
	run(s)
	return late, true
}

func newSubject(tb testing.TB, h Harness) *subject {
	tb.Helper()
	s := &subject{tb: tb, h: h, dir: tb.TempDir(), saga: "conformance-" + strconv.FormatUint(rand.Uint64(), 36)}
	s.open()
	return s
}

func (s *subject) open() {
	s.tb.Helper()
	store, err := s.h.Open(s.dir)
	if err != nil {
		s.tb.Fatalf("sagatest: Open: %v", err)
	}
	if store == nil {
		s.tb.Fatalf("sagatest: Open returned a nil Store")
	}
	s.store = store
}

// close is deferred by every check. It may be called again.
func (s *subject) close() {
	s.tb.Helper()
	ctx, free := bounded()
	defer free()
	var err error
	store := s.store
	s.store = nil
	switch c := store.(type) {
	case interface {
		Close(ctx context.Context) error
	}:
		err = c.Close(ctx)
	case io.Closer:
		err = c.Close()
	}
	if err != nil {
		s.tb.Errorf("sagatest: Close: %v", err)
	}
}

// now is the time on the clock of the store, which a lease tells.
func (s *subject) now() time.Time {
	s.tb.Helper()
	s.reads++
	h := s.head("clock-" + strconv.Itoa(s.reads))
	h.Saga, h.Owner = s.saga+".clock", "clock"
	s.create(h, time.Hour)
	h, _ = s.load(h.ID)
	if h.LeaseUntil.IsZero() {
		s.tb.Fatalf("sagatest: Create with Owner %q and a ttl of %v: LeaseUntil is zero", "clock", time.Hour)
	}
	return h.LeaseUntil.Add(-time.Hour)
}

// advance lets d pass for the store.
func (s *subject) advance(d time.Duration) {
	if s.h.Advance == nil {
		pause(d)
		return
	}
	s.h.Advance(d)
}

// reach lets time pass until it is t for the store.
func (s *subject) reach(t time.Time) {
	s.tb.Helper()
	for range 100 {
		now := s.now()
		if !now.Before(t) {
			return
		}
		s.advance(max(t.Sub(now), slack))
	}
	s.tb.Fatalf("sagatest: Advance lets no time pass for the store")
}

// id is the ID of a run of this check.
func (s *subject) id(name string) string { return s.saga + "/" + name }

// head is one of a run that waits for a signal.
func (s *subject) head(name string) durable.Head {
	at := time.Date(2024, 2, 29, 23, 59, 59, 123456000, time.UTC)
	return durable.Head{
		ID: s.id(name), Saga: s.saga, Fingerprint: "f1", Step: "reserve", Status: saga.Waiting, Attempt: 1,
		CreatedAt: at, UpdatedAt: at.Add(time.Second),
	}
}

// due is one of a run that can be claimed. A clock may stand at 1970.
func (s *subject) due(name string) durable.Head {
	h := s.head(name)
	h.WakeAt = time.Date(1966, 6, 6, 6, 6, 6, 0, time.UTC)
	return h
}

func texts(all ...string) [][]byte {
	events := make([][]byte, len(all))
	for i, text := range all {
		events[i] = []byte(text)
	}
	return events
}

func (s *subject) create(h durable.Head, ttl time.Duration, events ...string) {
	s.tb.Helper()
	ctx, free := bounded()
	defer free()
	if err := s.store.Create(ctx, h, ttl, texts(events...)); err != nil {
		s.tb.Fatalf("sagatest: Create of %q: %v", h.ID, err)
	}
}

func (s *subject) append(at uint64, h durable.Head, ttl time.Duration, events ...string) {
	s.tb.Helper()
	ctx, free := bounded()
	defer free()
	if err := s.store.Append(ctx, at, h, ttl, texts(events...)); err != nil {
		s.tb.Fatalf("sagatest: Append to %q at %d: %v", h.ID, at, err)
	}
}

func (s *subject) load(id string) (durable.Head, [][]byte) {
	s.tb.Helper()
	ctx, free := bounded()
	defer free()
	h, events, err := s.store.Load(ctx, id)
	if err != nil {
		s.tb.Fatalf("sagatest: Load of %q: %v", id, err)
	}
	return h, events
}

func (s *subject) remove(id string, at uint64) {
	s.tb.Helper()
	ctx, free := bounded()
	defer free()
	if err := s.store.Delete(ctx, id, at); err != nil {
		s.tb.Fatalf("sagatest: Delete of %q at %d: %v", id, at, err)
	}
}

// claim claims runs of the saga of the check, or of others if there are some.
func (s *subject) claim(owner string, ttl time.Duration, limit int, sagas ...string) ([]durable.Head, time.Duration) {
	s.tb.Helper()
	if sagas == nil {
		sagas = []string{s.saga}
	}
	ctx, free := bounded()
	defer free()
	heads, next, err := s.store.Claim(ctx, durable.ClaimRequest{Owner: owner, TTL: ttl, Limit: limit, Sagas: sagas})
	if err != nil {
		s.tb.Fatalf("sagatest: Claim of %q: %v", sagas, err)
	}
	if len(heads) > max(limit, 0) {
		s.tb.Errorf("sagatest: Claim with Limit %d: %d heads", limit, len(heads))
	}
	return heads, next
}

// list is all pages of a query.
func (s *subject) list(q durable.Query) []durable.Head {
	s.tb.Helper()
	return s.listBetween(q, func() {})
}

// listBetween is all pages of a query, and calls f after each.
func (s *subject) listBetween(q durable.Query, f func()) []durable.Head {
	s.tb.Helper()
	ctx, free := bounded()
	defer free()
	var all []durable.Head
	limit := q.Limit
	if limit == 0 {
		limit = 100
	}
	for range 10_000 {
		heads, cursor, err := s.store.List(ctx, q)
		if err != nil {
			s.tb.Fatalf("sagatest: List: %v", err)
		}
		if len(heads) > limit {
			s.tb.Errorf("sagatest: List with Limit %d: a page has %d heads", q.Limit, len(heads))
		}
		all = append(all, heads...)
		if cursor == "" {
			return all
		}
		q.Cursor = cursor
		f()
	}
	s.tb.Fatalf("sagatest: List does not come to an end")
	return nil
}

// refused wants an error of a kind.
func (s *subject) refused(what string, err, want error) {
	s.tb.Helper()
	if !errors.Is(err, want) {
		s.tb.Errorf("sagatest: %s returns %v, want %v", what, err, want)
	}
}

// expect wants a run to be stored like this, but for its lease.
func (s *subject) expect(when string, want durable.Head, events [][]byte) durable.Head {
	s.tb.Helper()
	got, journal := s.load(want.ID)
	s.same(when, got, want)
	s.sameEvents(when+": "+strconv.Quote(want.ID), journal, events)
	return got
}

// same reports every field that differs, but for Owner and LeaseUntil.
func (s *subject) same(when string, got, want durable.Head) {
	s.tb.Helper()
	id := want.ID
	differs := func(same bool, field string, got, want any) {
		s.tb.Helper()
		if !same {
			s.tb.Errorf("sagatest: %s: %s of %q is %.200q, want %.200q", when, field, id, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
	differs(got.ID == want.ID, "ID", got.ID, want.ID)
	differs(got.Saga == want.Saga, "Saga", got.Saga, want.Saga)
	differs(got.Fingerprint == want.Fingerprint, "Fingerprint", got.Fingerprint, want.Fingerprint)
	differs(got.Step == want.Step, "Step", got.Step, want.Step)
	differs(got.Status == want.Status, "Status", got.Status, want.Status)
	differs(got.Reason == want.Reason, "Reason", got.Reason, want.Reason)
	differs(got.Attempt == want.Attempt, "Attempt", got.Attempt, want.Attempt)
	differs(got.InFlight == want.InFlight, "InFlight", got.InFlight, want.InFlight)
	differs(got.Rev == want.Rev, "Rev", got.Rev, want.Rev)
	differs(got.Epoch == want.Epoch, "Epoch", got.Epoch, want.Epoch)
	differs(got.WakeAt.Equal(want.WakeAt), "WakeAt", got.WakeAt, want.WakeAt)
	differs(got.CreatedAt.Equal(want.CreatedAt), "CreatedAt", got.CreatedAt, want.CreatedAt)
	differs(got.UpdatedAt.Equal(want.UpdatedAt), "UpdatedAt", got.UpdatedAt, want.UpdatedAt)
	differs(maps.Equal(got.Labels, want.Labels), "Labels", got.Labels, want.Labels)
}

func (s *subject) sameEvents(when string, got, want [][]byte) {
	s.tb.Helper()
	if len(got) != len(want) {
		s.tb.Errorf("sagatest: %s: %d events, want %d", when, len(got), len(want))
		return
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			s.tb.Errorf("sagatest: %s: event %d of %d is %.60q (%d bytes), want %.60q (%d bytes)", when, i+1, len(want), got[i], len(got[i]), want[i], len(want[i]))
			return
		}
	}
}

// names are the IDs of heads, without what all IDs of the check begin with.
func (s *subject) names(heads []durable.Head) []string {
	var names []string
	for _, h := range heads {
		if name, own := strings.CutPrefix(h.ID, s.saga+"/"); own {
			names = append(names, name)
		}
	}
	return names
}

// expectNames wants exactly these, in any order if they are from List.
func (s *subject) expectNames(when string, heads []durable.Head, sorted bool, want ...string) {
	s.tb.Helper()
	got := s.names(heads)
	if sorted {
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		s.tb.Errorf("sagatest: %s: got %q, want %q", when, got, want)
	}
}

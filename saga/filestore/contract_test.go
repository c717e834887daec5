package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// TestG46_revisions: Create, Append and Delete decide by ID, Rev and status, and
// count Rev and Epoch, whatever the head says that is passed.
func TestG46_revisions(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{})
	require.ErrorIs(t, s.Append(bg, 0, head("a"), 0, nil), durable.ErrNotFound)
	require.ErrorIs(t, s.Delete(bg, "a", 0), durable.ErrNotFound)
	_, _, err := s.Load(bg, "a")
	require.ErrorIs(t, err, durable.ErrNotFound)

	h := head("a")
	h.Rev, h.Epoch = 77, 88
	create(t, s, h, "1")
	require.ErrorIs(t, s.Create(bg, h, 0, payloads("other")), durable.ErrConflict)
	for _, at := range []uint64{0, 2, 77, math.MaxUint64} {
		require.ErrorIs(t, s.Append(bg, at, h, 0, payloads("other")), durable.ErrConflict, at)
	}
	appendTo(t, s, 1, h, "2", "3")
	appendTo(t, s, 2, h)
	require.ErrorIs(t, s.Delete(bg, "a", 3), durable.ErrConflict, "not ended")
	got, events, err := s.Load(bg, "a")
	require.NoError(t, err)
	require.Equal(t, uint64(3), got.Rev)
	require.Equal(t, uint64(1), got.Epoch)
	require.Equal(t, []string{"1", "2", "3"}, texts(events))

	for i, status := range []saga.Status{saga.Completed, saga.Compensated, saga.Abandoned} {
		h := head(fmt.Sprint("ends-", i))
		h.Status = saga.Stuck
		create(t, s, h)
		require.ErrorIs(t, s.Delete(bg, h.ID, 1), durable.ErrConflict)
		h.Status = status
		appendTo(t, s, 1, h)
		require.ErrorIs(t, s.Delete(bg, h.ID, 1), durable.ErrConflict)
		require.NoError(t, s.Delete(bg, h.ID, 2))
		require.ErrorIs(t, s.Delete(bg, h.ID, 2), durable.ErrNotFound)
		create(t, s, h)
	}
}

// heads are heads that are hard to keep.
func heads() map[string]durable.Head {
	full := durable.Head{
		ID: "full", Saga: "s/\x00\xff", Fingerprint: strings.Repeat("f", 300), Step: "a/b/c",
		Status: saga.Stuck, Reason: saga.ReasonCrashLoop, Attempt: math.MaxInt, WakeAt: day, CreatedAt: day, UpdatedAt: day,
		Labels: map[string]string{"": "", "k": "v", "traceparent": strings.Repeat("x", 500)},
	}
	times := head("times")
	times.WakeAt = time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	times.CreatedAt = time.Date(-5, 1, 1, 0, 0, 0, 1, time.UTC)
	times.UpdatedAt = time.Unix(1<<50, 7).UTC()
	negative := head("negative")
	negative.Attempt = math.MinInt
	return map[string]durable.Head{
		"zero": {}, "full": full, "times": times, "negative": negative,
		"hostile": head("../../etc/passwd\x00\n\xffCON"), "long": head(strings.Repeat("i", 1<<20)),
	}
}

// TestG49_heads: what is put in comes out, before and after a restart, and again
// after the run was moved.
func TestG49_heads(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, filestore.Config{Garbage: -1})
	garbage := func() {
		create(t, s, ended("garbage"))
		require.NoError(t, s.Delete(bg, "garbage", 1))
	}
	check := func(when string) {
		for name, want := range heads() {
			want.Rev, want.Epoch = 1, 1
			want.WakeAt = want.WakeAt.UTC()
			got, events, err := s.Load(bg, want.ID)
			require.NoError(t, err, when)
			require.Equal(t, want, got, "%s %s", name, when)
			require.Equal(t, []string{name, ""}, texts(events))
		}
	}
	for name, h := range heads() {
		require.NoError(t, s.Create(bg, h, 0, payloads(name, "")))
	}
	check("at once")
	closeStore(t, s)
	s = open(t, dir, filestore.Config{Garbage: -1})
	check("after a restart")
	garbage()
	require.NoError(t, s.Compact(bg))
	check("when moved")
	closeStore(t, s)
	s = open(t, dir, filestore.Config{Garbage: -1})
	check("when moved, after a restart")
	for _, name := range listDir(t, dir) {
		require.Regexp(t, `^(LOCK|[0-9a-f]{8}\.saga)$`, name, "no ID in a file name")
	}
}

// TestG49_nothingIsShared: neither what was passed nor what is returned is the
// store's.
func TestG49_nothingIsShared(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{})
	h := head("a")
	h.Labels = map[string]string{"k": "v"}
	event := []byte("event")
	require.NoError(t, s.Create(bg, h, 0, [][]byte{event, event}))
	event[0], h.Labels["k"] = 'X', "X"
	spoil := func(h durable.Head, events [][]byte) {
		require.Equal(t, map[string]string{"k": "v"}, h.Labels)
		h.Labels["k"] = "X"
		for _, e := range events {
			require.Equal(t, "event", string(e))
			e[0] = 'X'
			_ = append(e, "XXXXXXXX"...)
		}
	}
	for range 2 {
		got, events, err := s.Load(bg, "a")
		require.NoError(t, err)
		spoil(got, events)
		listed, _, err := s.List(bg, durable.Query{})
		require.NoError(t, err)
		spoil(listed[0], nil)
	}
	claimed, _, err := s.Claim(bg, durable.ClaimRequest{Owner: "o", TTL: 1, Limit: 1, Sagas: []string{"checkout"}})
	require.NoError(t, err)
	spoil(claimed[0], nil)
	got, _, err := s.Load(bg, "a")
	require.NoError(t, err)
	spoil(got, nil)
}

// TestG49_longJournal: ten thousand events keep their order, also when moved.
func TestG49_longJournal(t *testing.T) {
	dir := t.TempDir()
	cfg := filestore.Config{SegmentSize: 50_000, NoSync: true, Garbage: -1}
	s := open(t, dir, cfg)
	var want []string
	create(t, s, head("a"))
	create(t, s, ended("garbage"), "x")
	require.NoError(t, s.Delete(bg, "garbage", 1))
	for rev := uint64(1); len(want) < 10_000; rev++ {
		var events []string
		for range rev % 40 {
			events = append(events, fmt.Sprint(len(want)+len(events)))
		}
		appendTo(t, s, rev, head("a"), events...)
		want = append(want, events...)
	}
	_, events := load(t, s, "a")
	require.Equal(t, want, events)
	require.NoError(t, s.Compact(bg))
	_, events = load(t, s, "a")
	require.Equal(t, want, events)
	closeStore(t, s)
	s = open(t, dir, cfg)
	_, events = load(t, s, "a")
	require.Equal(t, want, events)
}

// TestG46_race: of many that create, or replace the same Rev, one succeeds.
func TestG46_race(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{})
	race := func(call func() error) {
		var mu sync.Mutex
		won := 0
		var all sync.WaitGroup
		for range 32 {
			all.Go(func() {
				err := call()
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else {
					assert.ErrorIs(t, err, durable.ErrConflict)
				}
			})
		}
		all.Wait()
		require.Equal(t, 1, won)
	}
	race(func() error { return s.Create(bg, head("a"), 0, nil) })
	race(func() error { return s.Append(bg, 1, head("a"), 0, payloads("x")) })
	_, events := load(t, s, "a")
	require.Len(t, events, 1)
}

// TestG46_deadContext: nothing is done for a context that has ended, nor without
// one.
func TestG46_deadContext(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{})
	create(t, s, ended("a"))
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(bg)
	cancel(cause)
	calls := func(ctx context.Context) map[string]error {
		_, _, load := s.Load(ctx, "a")
		_, _, claim := s.Claim(ctx, durable.ClaimRequest{Owner: "o", TTL: 1, Limit: 1})
		_, _, list := s.List(ctx, durable.Query{})
		_, watch := s.Watch(ctx)
		return map[string]error{
			"Create": s.Create(ctx, head("b"), 0, nil), "Append": s.Append(ctx, 1, ended("a"), 0, nil),
			"Delete": s.Delete(ctx, "a", 1), "Load": load, "Claim": claim, "List": list, "Watch": watch,
			"Compact": s.Compact(ctx),
		}
	}
	for verb, err := range calls(ctx) {
		require.ErrorIs(t, err, cause, verb)
		require.ErrorContains(t, err, "filestore: "+verb+": ")
	}
	for verb, err := range calls(nil) {
		require.EqualError(t, err, "filestore: "+verb+": nil context")
	}
	require.EqualError(t, s.Close(nil), "filestore: Close: nil context") //nolint:staticcheck // that is the point
	require.Equal(t, uint64(1), s.Stats().Records)
}

// TestG46_tooLarge: what no frame can hold is refused, and nothing is written.
func TestG46_tooLarge(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{})
	events := slices.Repeat([][]byte{make([]byte, 1<<20)}, 1024)
	require.ErrorContains(t, s.Create(bg, head("a"), 0, events), "filestore: Create: more than 1 GiB")
	require.Zero(t, s.Stats().Records)
	create(t, s, head("a"))
	require.ErrorContains(t, s.Append(bg, 1, head("a"), 0, events), "filestore: Append: more than 1 GiB")
	appendTo(t, s, 1, head("a"))
	require.Equal(t, uint64(2), s.Stats().Records)
}

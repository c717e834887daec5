package filestore_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// TestG50_sharedSync: what waits while a batch is synced shares the next sync,
// and what waits for nobody is not delayed.
func TestG50_sharedSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		d := filestore.NewMemDir(nil)
		d.Before = g.before
		s, err := filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		before := s.Stats().Syncs
		create(t, s, head("alone"))
		require.Equal(t, before+1, s.Stats().Syncs)
		var calls []func() error
		for i := range 100 {
			calls = append(calls, func() error { return s.Create(bg, head(strconv.Itoa(i)), 0, payloads("x")) })
		}
		together(t, &g, s, calls...)
		assert.Equal(t, before+3, s.Stats().Syncs)
		assert.Equal(t, 102, s.Stats().Runs)
		closeStore(t, s)
	})
}

// TestG50_maxBatch: a sync covers at most MaxBatch bytes, and one larger call.
func TestG50_maxBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		d := filestore.NewMemDir(nil)
		d.Before = g.before
		s, err := filestore.OpenDir(d, filestore.Config{MaxBatch: 10_000})
		require.NoError(t, err)
		before := s.Stats().Syncs
		var calls []func() error
		for i := range 6 { // 2 x 4000, 20000, 2 x 4000, 4000
			event := make([]byte, 4000)
			if i == 2 {
				event = make([]byte, 20_000)
			}
			calls = append(calls, func() error { return s.Create(bg, head(strconv.Itoa(i)), 0, [][]byte{event}) })
		}
		together(t, &g, s, calls...)
		assert.Equal(t, before+1+4, s.Stats().Syncs)
		closeStore(t, s)
	})
}

// TestG50_notAcknowledgedBeforeSync: while a sync is under way the call has not
// returned, and nobody sees what it writes.
func TestG50_notAcknowledgedBeforeSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		d := filestore.NewMemDir(nil)
		d.Before = g.before
		s, err := filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		create(t, s, head("a"), "a1")
		create(t, s, ended("gone"))
		g.shut()
		done := make(chan error, 3)
		go func() { done <- s.Append(bg, 1, ended("a"), 0, payloads("a2")) }()
		synctest.Wait()
		go func() { done <- s.Create(bg, head("b"), 0, nil) }()
		go func() { done <- s.Delete(bg, "gone", 1) }()
		synctest.Wait()
		require.Empty(t, done)
		rev, events := load(t, s, "a")
		require.Equal(t, uint64(1), rev)
		require.Equal(t, []string{"a1"}, events)
		heads, _, err := s.List(bg, durable.Query{})
		require.NoError(t, err)
		require.Len(t, heads, 2)
		heads, _, err = s.Claim(bg, durable.ClaimRequest{Owner: "o", TTL: 1, Limit: 9, Sagas: []string{"checkout"}})
		require.NoError(t, err)
		require.Empty(t, heads, "a run that is being written is not claimed")
		g.open()
		for range 3 {
			require.NoError(t, <-done)
		}
		rev, events = load(t, s, "a")
		require.Equal(t, uint64(2), rev)
		require.Equal(t, []string{"a1", "a2"}, events)
		closeStore(t, s)
	})
}

// TestG50_sameRunInOneBatch: calls for one run that wait together are decided one
// after another, each knowing the outcome of the one before.
func TestG50_sameRunInOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		d := filestore.NewMemDir(nil)
		d.Before = g.before
		s, err := filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		errs := make([]error, 6)
		keep := func(i int, call func() error) func() error {
			return func() error { errs[i] = call(); return nil }
		}
		together(t, &g, s,
			keep(0, func() error { return s.Create(bg, head("a"), 0, payloads("a1")) }),
			keep(1, func() error { return s.Create(bg, head("a"), 0, payloads("other")) }),
			keep(2, func() error { return s.Append(bg, 1, ended("a"), 0, payloads("a2")) }),
			keep(3, func() error { return s.Append(bg, 1, head("a"), 0, payloads("other")) }),
			keep(4, func() error { return s.Delete(bg, "a", 2) }),
			keep(5, func() error { return s.Create(bg, head("a"), 0, payloads("again")) }),
		)
		for i, err := range errs {
			if i == 1 || i == 3 {
				require.ErrorIs(t, err, durable.ErrConflict, i)
			} else {
				require.NoError(t, err, i)
			}
		}
		rev, events := load(t, s, "a")
		require.Equal(t, uint64(1), rev)
		require.Equal(t, []string{"again"}, events)
		closeStore(t, s)
		s, err = filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		_, events = load(t, s, "a")
		require.Equal(t, []string{"again"}, events)
		closeStore(t, s)
	})
}

// Test_withdrawn: a call whose context ends while it waits for its turn writes
// nothing; one that is being written ends with the sync.
func Test_withdrawn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		d := filestore.NewMemDir(nil)
		d.Before = g.before
		s, err := filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		cause := fmt.Errorf("enough")
		g.shut()
		ctx, cancel := context.WithCancelCause(bg)
		errs := make([]error, 4)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				c := ctx
				if i == 2 {
					c = bg
				}
				errs[i] = s.Create(c, head(strconv.Itoa(i)), 0, nil)
			})
			synctest.Wait()
		}
		cancel(cause)
		synctest.Wait()
		require.ErrorIs(t, errs[1], cause)
		require.ErrorIs(t, errs[3], cause)
		g.open()
		all.Wait()
		require.NoError(t, errs[0])
		require.NoError(t, errs[2])
		require.ErrorIs(t, s.Create(ctx, head("dead"), 0, nil), cause)
		require.Equal(t, 2, s.Stats().Runs)
		closeStore(t, s)
	})
}

// TestG50_hammer: many goroutines with runs of their own and one in common, while
// segments are rewritten and a reader looks at all of it.
func TestG50_hammer(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, filestore.Config{SegmentSize: 20_000, Garbage: 0.3})
	create(t, s, head("common"), "0")
	const workers, rounds = 16, 20
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range rounds {
				id := fmt.Sprintf("%d-%d", w, i)
				assert.NoError(t, s.Create(bg, head(id), 0, payloads("1")))
				assert.NoError(t, s.Append(bg, 1, head(id), 0, payloads("2", "3")))
				for { // adds to the common run whatever others do
					h, _, err := s.Load(bg, "common")
					assert.NoError(t, err)
					if err = s.Append(bg, h.Rev, h, 0, payloads(id)); err == nil {
						break
					}
					assert.ErrorIs(t, err, durable.ErrConflict)
				}
				assert.NoError(t, s.Append(bg, 2, ended(id), 0, nil))
				h, events, err := s.Load(bg, id)
				assert.NoError(t, err)
				assert.Equal(t, uint64(3), h.Rev)
				assert.Equal(t, []string{"1", "2", "3"}, texts(events))
				if i%4 != 0 {
					assert.NoError(t, s.Delete(bg, id, 3))
				}
				if i%10 == 9 {
					assert.NoError(t, s.Compact(bg))
				}
				if i%10 == 5 {
					_, err := filestore.Verify(dir)
					assert.NoError(t, err)
				}
			}
		})
	}
	all.Wait()
	want := s.Stats()
	require.Equal(t, 1+workers*rounds/4, want.Runs)
	require.Equal(t, 1, want.Unended)
	closeStore(t, s)
	s = open(t, dir, filestore.Config{})
	require.Equal(t, want.Runs, s.Stats().Runs)
	require.Equal(t, want.Unended, s.Stats().Unended)
	rev, events := load(t, s, "common")
	require.Equal(t, uint64(1+workers*rounds), rev)
	seen := map[string]bool{}
	for _, e := range events {
		require.False(t, seen[e], e)
		seen[e] = true
	}
	require.Len(t, events, 1+workers*rounds)
	for w := range workers {
		rev, events := load(t, s, fmt.Sprintf("%d-4", w))
		require.Equal(t, uint64(3), rev)
		require.Equal(t, []string{"1", "2", "3"}, events)
	}
}

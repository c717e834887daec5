package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// fill makes runs of which every third stays.
func fill(tb testing.TB, s *filestore.Store, runs int) {
	tb.Helper()
	for i := range runs {
		id := fmt.Sprint(i)
		create(tb, s, head(id), "first", strings.Repeat("x", 200))
		appendTo(tb, s, 1, ended(id), "second")
	}
	for i := range runs {
		if i%3 > 0 {
			require.NoError(tb, s.Delete(bg, fmt.Sprint(i), 2))
		}
	}
}

// filled wants what fill made.
func filled(tb testing.TB, s *filestore.Store, runs int) {
	tb.Helper()
	for i := range runs {
		rev, events := load(tb, s, fmt.Sprint(i))
		if i%3 > 0 {
			require.Zero(tb, rev)
			continue
		}
		require.Equal(tb, uint64(2), rev)
		require.Equal(tb, []string{"first", strings.Repeat("x", 200), "second"}, events)
	}
	require.Equal(tb, (runs+2)/3, s.Stats().Runs)
}

// TestG51_compact: Compact frees what belongs to nothing, and changes nothing
// else, now and after a restart. A second one finds nothing to do.
func TestG51_compact(t *testing.T) {
	dir := t.TempDir()
	cfg := filestore.Config{SegmentSize: 8 << 10, Garbage: -1, NoSync: true}
	s := open(t, dir, cfg)
	fill(t, s, 90)
	before := s.Stats()
	require.Greater(t, before.Dead, before.Bytes/2)
	require.Greater(t, before.Segments, 5)
	require.NoError(t, s.Compact(bg))
	after := s.Stats()
	require.LessOrEqual(t, after.Dead, int64(tombstone)*10)
	require.Less(t, after.Bytes, before.Bytes/2)
	require.Less(t, after.Segments, before.Segments)
	filled(t, s, 90)
	require.NoError(t, s.Compact(bg))
	again := s.Stats()
	require.Zero(t, again.Dead)
	require.NoError(t, s.Compact(bg))
	require.Equal(t, again, s.Stats())
	filled(t, s, 90)
	closeStore(t, s)
	st, err := filestore.Verify(dir)
	require.NoError(t, err)
	require.Equal(t, again.Bytes, st.Bytes)
	require.Equal(t, again.Dead, st.Dead)
	require.LessOrEqual(t, st.Records, again.Records, "Records counts no manifests")
	s = open(t, dir, cfg)
	filled(t, s, 90)
	require.Len(t, listDir(t, dir), s.Stats().Segments+1)
}

// TestG51_rewrittenByItself: what is mostly garbage is rewritten without being
// asked for, and a store of one file never is.
func TestG51_rewrittenByItself(t *testing.T) {
	for _, c := range []struct {
		cfg  filestore.Config
		most float64
	}{
		{filestore.Config{SegmentSize: 8 << 10}, 0.7},
		{filestore.Config{SegmentSize: 8 << 10, Garbage: 0.1}, 0.4},
		{filestore.Config{SegmentSize: -1}, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, err := filestore.OpenDir(filestore.NewMemDir(nil), c.cfg)
			require.NoError(t, err)
			fill(t, s, 90)
			synctest.Wait()
			st := s.Stats()
			share := float64(st.Dead) / float64(st.Bytes)
			assert.Less(t, share, c.most)
			if c.most == 1 {
				assert.Greater(t, share, 0.6)
				assert.Equal(t, 1, st.Segments)
				require.NoError(t, s.Compact(bg))
				assert.Less(t, s.Stats().Dead, st.Dead/10)
			}
			filled(t, s, 90)
			closeStore(t, s)
		})
	}
}

// TestG51_droppedSegmentsComeBack: the machine dies when segments were dropped and
// their removal is not synced. Whichever of them is there again, nothing that was
// deleted comes back.
func TestG51_droppedSegmentsComeBack(t *testing.T) {
	d := filestore.NewMemDir(nil)
	cfg := filestore.Config{SegmentSize: 3000, Garbage: -1}
	s, err := filestore.OpenDir(d, cfg)
	require.NoError(t, err)
	fill(t, s, 12)
	old := d.Files()
	require.NoError(t, s.Compact(bg))
	closeStore(t, s)
	now := d.Files()
	var gone []string
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if now[name] == nil {
			gone = append(gone, name)
		}
	}
	require.Greater(t, len(gone), 2)
	for back := 1; back < 1<<len(gone); back++ {
		files := maps.Clone(now)
		for i, name := range gone {
			if back>>i&1 == 1 {
				files[name] = old[name]
			}
		}
		d := filestore.NewMemDir(files)
		_, err := filestore.VerifyDir(d)
		require.NoError(t, err)
		require.Equal(t, files, d.Files(), "Verify changes nothing")
		s, err := filestore.OpenDir(d, cfg)
		require.NoError(t, err)
		filled(t, s, 12)
		closeStore(t, s)
		require.Equal(t, slices.Sorted(maps.Keys(now)), slices.Sorted(maps.Keys(d.Files())))
	}
}

// TestG51_missingSegment: a segment that is not there and should be is damage.
func TestG51_missingSegment(t *testing.T) {
	d := filestore.NewMemDir(nil)
	s, err := filestore.OpenDir(d, small)
	require.NoError(t, err)
	fill(t, s, 12)
	closeStore(t, s)
	files := d.Files()
	for _, name := range slices.Sorted(maps.Keys(files))[:len(files)-1] {
		without := maps.Clone(files)
		delete(without, name)
		damaged(t, without, name, "")
	}
}

// TestG51_compactUnderTraffic: runs are written to, read and deleted while they are
// moved; see also TestG50_hammer.
func TestG51_compactUnderTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := filestore.NewMemDir(nil)
		cfg := filestore.Config{SegmentSize: 4096, Garbage: -1}
		s, err := filestore.OpenDir(d, cfg)
		require.NoError(t, err)
		fill(t, s, 30)
		// Between the reading of a run and its move it changes.
		reads := 0
		d.Before = func(op, _ string) error {
			if op != "read" {
				return nil
			}
			switch reads++; reads {
			case 1:
				appendTo(t, s, 2, ended("0"), "third")
			case 4:
				require.NoError(t, s.Delete(bg, "3", 2))
			case 6:
				_, _, err := s.Load(bg, "6")
				require.NoError(t, err)
			}
			return nil
		}
		require.NoError(t, s.Compact(bg))
		d.Before = nil
		require.Greater(t, reads, 6)
		for range 2 {
			rev, events := load(t, s, "0")
			require.Equal(t, uint64(3), rev)
			require.Equal(t, "third", events[3])
			rev, _ = load(t, s, "3")
			require.Zero(t, rev)
			rev, events = load(t, s, "6")
			require.Equal(t, uint64(2), rev)
			require.Len(t, events, 3)
			closeStore(t, s)
			s, err = filestore.OpenDir(d, cfg)
			require.NoError(t, err)
		}
		closeStore(t, s)
	})
}

// TestG51_deadMeanwhile: a run of the last segment, which held nothing dead, is
// deleted while those before are rewritten.
func TestG51_deadMeanwhile(t *testing.T) {
	d := filestore.NewMemDir(nil)
	s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 1500, Garbage: -1})
	require.NoError(t, err)
	create(t, s, ended("garbage"))
	create(t, s, head("old"), strings.Repeat("x", 500))
	require.NoError(t, s.Delete(bg, "garbage", 1))
	create(t, s, ended("new"), strings.Repeat("x", 700)) // in a segment of its own
	require.Equal(t, 2, s.Stats().Segments)
	once := false
	d.Before = func(op, _ string) error {
		if op == "read" && !once {
			once = true
			require.NoError(t, s.Delete(bg, "new", 1))
		}
		return nil
	}
	require.NoError(t, s.Compact(bg))
	require.True(t, once)
	rev, _ := load(t, s, "old")
	require.Equal(t, uint64(1), rev)
	require.NoError(t, s.Compact(bg))
	require.LessOrEqual(t, s.Stats().Dead, int64(tombstone))
	closeStore(t, s)
}

// TestG51_loadWhileMoved: a run is moved, and its segment removed, while it is
// being read: it is read from where it is now.
func TestG51_loadWhileMoved(t *testing.T) {
	d := filestore.NewMemDir(nil)
	s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 1500, Garbage: -1})
	require.NoError(t, err)
	create(t, s, ended("garbage"))
	create(t, s, head("a"), "a1")
	require.NoError(t, s.Delete(bg, "garbage", 1))
	appendTo(t, s, 1, head("a"), "a2", strings.Repeat("x", 1000))
	require.Greater(t, s.Stats().Segments, 1)
	reads := 0
	d.Before = func(op, _ string) error {
		if op == "read" {
			if reads++; reads == 1 {
				require.NoError(t, s.Compact(bg))
			}
		}
		return nil
	}
	_, events := load(t, s, "a")
	require.Equal(t, []string{"a1", "a2"}, events[:2])
	require.Greater(t, reads, 3)
	closeStore(t, s)
}

// Test_compactEnds: Compact ends with its context, with Close, and with errors of
// reading, and can be called again; nothing is lost.
func Test_compactEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := filestore.NewMemDir(nil)
		cfg := filestore.Config{SegmentSize: 4096, Garbage: -1}
		s, err := filestore.OpenDir(d, cfg)
		require.NoError(t, err)
		fill(t, s, 90)
		ctx, cancel := context.WithCancelCause(bg)
		cause := errors.New("enough")
		reads := 0
		failing := true
		d.Before = func(op, _ string) error {
			if op == "read" {
				if reads++; reads == 10 {
					cancel(cause)
				}
				if reads == 20 && failing {
					failing = false
					return errDisk
				}
			}
			return nil
		}
		require.ErrorIs(t, s.Compact(ctx), cause)
		require.ErrorIs(t, s.Compact(bg), errDisk)
		require.NoError(t, s.Stats().Err)
		filled(t, s, 90)

		// One waits for another, or for the end of its context.
		held := make(chan struct{})
		d.Before = func(op, _ string) error {
			if op == "read" {
				<-held
			}
			return nil
		}
		done := make(chan error, 2)
		go func() { done <- s.Compact(bg) }()
		synctest.Wait()
		ctx, cancel = context.WithCancelCause(bg)
		go func() { done <- s.Compact(ctx) }()
		synctest.Wait()
		cancel(cause)
		require.ErrorIs(t, <-done, cause)
		closed := make(chan error)
		go func() { closed <- s.Close(bg) }()
		synctest.Wait()
		close(held)
		require.ErrorIs(t, <-done, durable.ErrClosed)
		require.NoError(t, <-closed)
		s, err = filestore.OpenDir(d, cfg)
		require.NoError(t, err)
		filled(t, s, 90)
		require.NoError(t, s.Compact(bg))
		filled(t, s, 90)
		closeStore(t, s)
	})
}

// Test_rewriteFails: a segment that cannot be read is not tried again and again by
// itself; Compact tells why.
func Test_rewriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := filestore.NewMemDir(nil)
		s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 4096, Garbage: 0.3})
		require.NoError(t, err)
		reads := 0
		d.Before = func(op, _ string) error {
			if op == "read" {
				reads++
				return errDisk
			}
			return nil
		}
		fill(t, s, 30)
		synctest.Wait()
		require.Positive(t, reads)
		require.LessOrEqual(t, reads, 30)
		require.ErrorIs(t, s.Compact(bg), errDisk)
		require.NoError(t, s.Stats().Err)
		d.Before = nil
		require.NoError(t, s.Compact(bg))
		filled(t, s, 30)
		closeStore(t, s)
	})
}

package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// TestG50_close: Close waits for what is under way, and with a context no longer
// than that; the directory is free once all has returned. Afterwards calls are
// refused.
func TestG50_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		d := filestore.NewMemDir(nil)
		d.Before = g.before
		s, err := filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		g.shut()
		done := make(chan error, 3)
		for i := range 2 {
			go func() { done <- s.Create(bg, head(fmt.Sprint(i)), 0, nil) }()
		}
		synctest.Wait()
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(bg, time.Second, cause)
		defer cancel()
		require.ErrorIs(t, s.Close(ctx), cause)
		require.ErrorIs(t, s.Create(bg, head("late"), 0, nil), durable.ErrClosed)
		_, err = filestore.OpenDir(d, filestore.Config{})
		require.ErrorIs(t, err, filestore.ErrLocked)
		closed := make(chan error, 2)
		for range 2 {
			go func() { closed <- s.Close(bg) }()
		}
		synctest.Wait()
		require.Empty(t, closed)
		g.open()
		for range 2 {
			require.NoError(t, <-done, "what was under way is finished")
			require.NoError(t, <-closed)
		}
		require.NoError(t, s.Close(ctx), "it is closed, whatever the context")
		_, _, err = s.Load(bg, "0")
		require.ErrorIs(t, err, durable.ErrClosed)
		_, err = s.Watch(bg)
		require.ErrorIs(t, err, durable.ErrClosed)
		require.ErrorIs(t, s.Compact(bg), durable.ErrClosed)
		require.Equal(t, 2, s.Stats().Runs)
		s, err = filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		require.Equal(t, 2, s.Stats().Runs)
		closeStore(t, s)
	})
}

// Test_closeFails: an error of closing a file is that of every Close.
func Test_closeFails(t *testing.T) {
	d := filestore.NewMemDir(nil)
	s, err := filestore.OpenDir(d, filestore.Config{})
	require.NoError(t, err)
	d.Before = func(op, _ string) error {
		if op == "close" {
			return errDisk
		}
		return nil
	}
	require.ErrorIs(t, s.Close(bg), errDisk)
	require.ErrorIs(t, s.Close(bg), errDisk)
}

// Test_idle: a store has no goroutine when nothing is under way.
func Test_idle(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{SegmentSize: 4096})
	_, err := s.Watch(t.Context())
	require.NoError(t, err)
	before := runtime.NumGoroutine()
	for i := range 50 {
		id := fmt.Sprint(i)
		create(t, s, ended(id), strings.Repeat("x", 300))
		require.NoError(t, s.Delete(bg, id, 1))
	}
	require.NoError(t, s.Compact(bg)) // after what runs by itself
	for range 1000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
}

// Test_config: what makes no sense is refused before anything is touched.
func Test_config(t *testing.T) {
	dir := t.TempDir()
	for _, share := range []float64{1.5, math.NaN(), math.Inf(1), math.Inf(-1)} {
		_, err := filestore.Open(dir, filestore.Config{Garbage: share})
		require.ErrorContains(t, err, "filestore: Open: Garbage is ")
	}
	require.Empty(t, listDir(t, dir))
	for _, cfg := range []filestore.Config{
		{}, {SegmentSize: -1, MaxBatch: -1, Garbage: -1}, {SegmentSize: 1, MaxBatch: 1, Garbage: 1}, {NoSync: true},
	} {
		s, err := filestore.Open(dir, cfg)
		require.NoError(t, err)
		rev, events := load(t, s, "a")
		if rev == 0 {
			create(t, s, head("a"), "1")
		} else {
			appendTo(t, s, rev, head("a"), fmt.Sprint(rev+1))
		}
		_, after := load(t, s, "a")
		require.Len(t, after, len(events)+1)
		require.Equal(t, cfg.NoSync, s.Stats().Syncs == 0)
		closeStore(t, s)
	}
}

// Test_openFails: a path that is no directory, and one that has none.
func Test_openFails(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, dir, "file", nil)
	for _, path := range []string{dir + "/file", dir + "/file/below", dir + "/\x00"} {
		_, err := filestore.Open(path, filestore.Config{})
		require.ErrorContains(t, err, "filestore: Open: ")
		_, err = filestore.Verify(path)
		require.ErrorContains(t, err, "filestore: Verify: ")
	}
	_, err := filestore.Verify(dir + "/none")
	require.ErrorContains(t, err, "filestore: Verify: ")
	require.Equal(t, []string{"file"}, listDir(t, dir))
	st, err := filestore.Verify(dir)
	require.NoError(t, err)
	require.Zero(t, st)
	s := open(t, dir+"/a/b/c", filestore.Config{})
	create(t, s, head("a"))
}

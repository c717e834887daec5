package filestore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// goldenDir is the environment variable that makes the test binary write a golden
// directory. It is used once for each format, which is then read for ever.
const goldenDir = "FILESTORE_TEST_GOLDEN"

// goldenHeads are the runs of the golden directory of format 1.
func goldenHeads() []durable.Head {
	plain := head("plain")
	full := durable.Head{
		ID: "full/\x00\xff", Saga: "checkout", Fingerprint: "fp", Step: "items/3/reserve", Status: saga.Stuck,
		Reason: saga.ReasonUndoFailed, Attempt: 7, WakeAt: day.Add(time.Hour), CreatedAt: day, UpdatedAt: day.Add(time.Minute),
		Labels: map[string]string{"traceparent": "00-1-2-01", "empty": ""},
	}
	done := ended("done")
	return []durable.Head{plain, full, done}
}

func goldenEvents(id string) []string {
	return []string{id + " created", "", strings.Repeat("\x00", 1100), "\xfe\xff"}
}

// writeGolden makes a directory with all that the format has: several segments,
// one of which was dropped, runs that were moved, deleted and made again.
func writeGolden(dir string) error {
	s, err := filestore.Open(dir, filestore.Config{SegmentSize: 4096, Garbage: -1})
	if err != nil {
		return err
	}
	var failed error
	try := func(err error) {
		if failed == nil {
			failed = err
		}
	}
	for i := range 3 {
		id := fmt.Sprint("deleted-", i)
		try(s.Create(bg, ended(id), 0, payloads(strings.Repeat("d", 600))))
		try(s.Delete(bg, id, 1))
	}
	for _, h := range goldenHeads() {
		events := goldenEvents(h.ID)
		try(s.Create(bg, head(h.ID), 0, payloads(events[0])))
		try(s.Append(bg, 1, head(h.ID), 0, payloads(events[1:3]...)))
	}
	try(s.Compact(bg))
	for _, h := range goldenHeads() {
		try(s.Append(bg, 2, h, 0, payloads(goldenEvents(h.ID)[3])))
	}
	try(s.Create(bg, ended("deleted-2"), 0, nil))
	try(s.Delete(bg, "deleted-2", 1))
	try(s.Close(bg))
	return failed
}

// golden returns the files of the golden directory of a format.
func golden(tb testing.TB, format string) map[string][]byte {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join("testdata", format, "*.saga"))
	require.NoError(tb, err)
	files := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		require.NoError(tb, err)
		files[filepath.Base(name)] = data
	}
	require.Greater(tb, len(files), 1)
	return files
}

// TestG50_goldenFormat1: what the first release wrote is read, and can be worked
// with.
func TestG50_goldenFormat1(t *testing.T) {
	files := golden(t, "v1")
	d := filestore.NewMemDir(files)
	st, err := filestore.VerifyDir(d)
	require.NoError(t, err)
	require.Equal(t, 3, st.Runs)
	require.Equal(t, 2, st.Unended)
	require.Zero(t, st.CutOff)
	for range 2 {
		s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 4096, Garbage: -1})
		require.NoError(t, err)
		for _, want := range goldenHeads() {
			want.WakeAt = want.WakeAt.UTC()
			want.Rev, want.Epoch = 3, 1
			h, events, err := s.Load(bg, want.ID)
			require.NoError(t, err)
			require.Equal(t, want, h)
			require.Equal(t, goldenEvents(want.ID), texts(events))
		}
		require.NoError(t, s.Compact(bg))
		create(t, s, ended("new"))
		require.NoError(t, s.Delete(bg, "new", 1))
		closeStore(t, s)
	}
}

// TestG50_laterFormat: a format of later is refused by its number, not as damage.
func TestG50_laterFormat(t *testing.T) {
	d := filestore.NewMemDir(map[string][]byte{one: filestore.Preamble(1, 2)})
	_, err := filestore.OpenDir(d, filestore.Config{})
	require.ErrorContains(t, err, "00000001.saga has format 2, want at most 1")
	require.NotErrorIs(t, err, filestore.ErrCorrupt)
}

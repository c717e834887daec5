package filestore_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

var bg = context.Background()

// day is a date of no meaning.
var day = time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)

// head is that of a run that waits for nothing but to be claimed.
func head(id string) durable.Head {
	return durable.Head{
		ID: id, Saga: "checkout", Fingerprint: "f1", Step: "reserve", Status: saga.Running,
		WakeAt: time.Unix(1, 0), CreatedAt: day, UpdatedAt: day,
	}
}

// ended is the head of a run that is completed.
func ended(id string) durable.Head {
	h := head(id)
	h.Status, h.WakeAt = saga.Completed, time.Time{}
	return h
}

// open opens a store that is closed at the end of the test.
func open(tb testing.TB, dir string, cfg filestore.Config) *filestore.Store {
	tb.Helper()
	s, err := filestore.Open(dir, cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { closeStore(tb, s) })
	return s
}

func closeStore(tb testing.TB, s *filestore.Store) {
	tb.Helper()
	require.NoError(tb, s.Close(bg))
}

func create(tb testing.TB, s *filestore.Store, h durable.Head, events ...string) {
	tb.Helper()
	require.NoError(tb, s.Create(bg, h, 0, payloads(events...)))
}

func appendTo(tb testing.TB, s *filestore.Store, at uint64, h durable.Head, events ...string) {
	tb.Helper()
	require.NoError(tb, s.Append(bg, at, h, 0, payloads(events...)))
}

func payloads(events ...string) [][]byte {
	var all [][]byte
	for _, e := range events {
		all = append(all, []byte(e))
	}
	return all
}

func texts(events [][]byte) []string {
	all := []string{}
	for _, e := range events {
		all = append(all, string(e))
	}
	return all
}

// load returns the Rev and the events of a run; Rev 0: there is none.
func load(tb testing.TB, s *filestore.Store, id string) (uint64, []string) {
	tb.Helper()
	h, events, err := s.Load(bg, id)
	if errors.Is(err, durable.ErrNotFound) {
		return 0, nil
	}
	require.NoError(tb, err)
	return h.Rev, texts(events)
}

func readFile(tb testing.TB, dir, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(tb, err)
	return data
}

// writeFile changes a file in place: it may be open.
func writeFile(tb testing.TB, dir, name string, data []byte) {
	tb.Helper()
	require.NoError(tb, os.WriteFile(filepath.Join(dir, name), data, 0o600))
}

func listDir(tb testing.TB, dir string) []string {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(tb, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// requireKilled requires that a process has neither ended by itself nor failed.
func requireKilled(t *testing.T, err error, why ...any) {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, why...)
	want := -1
	if runtime.GOOS == "windows" { // which knows no signals
		want = 1
	}
	require.Equal(t, want, exit.ExitCode(), why...)
}

package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

var errDisk = errors.New("the disk is tired")

// changes are the calls that change a directory.
var changes = []string{"write", "sync", "create", "rename", "remove", "syncdir", "truncate"}

// TestG51_failedCall: any one call that writes fails, once. Who waits for it gets
// ErrFailed, nothing is written any more, and a sync least of all; reads go on.
// What the directory then holds has all that was acknowledged.
func TestG51_failedCall(t *testing.T) {
	failed := 0
	for _, op := range changes {
		for n := 0; ; n++ {
			calls := 0
			touched := false // after the failure
			d := filestore.NewMemDir(nil)
			d.Before = func(got, _ string) error {
				touched = touched || calls > n && strings.Contains(strings.Join(changes, " "), got)
				if got != op {
					return nil
				}
				if calls++; calls == n+1 {
					if n%2 == 1 && op == "write" {
						return fmt.Errorf("%w: %w", errDisk, filestore.ShortWriteError{N: 40 * n})
					}
					return errDisk
				}
				return nil
			}
			s, err := filestore.OpenDir(d, small)
			if err != nil {
				require.ErrorIs(t, err, errDisk)
				continue
			}
			w := newWorkload()
			w.drive(s, 3, 60)
			if len(w.fails) == 0 {
				require.LessOrEqual(t, calls, n, op)
				require.NoError(t, s.Close(bg))
				break
			}
			failed++
			why := fmt.Sprint(op, " ", n)
			require.ErrorIs(t, w.fails[0], filestore.ErrFailed, why)
			require.ErrorIs(t, w.fails[0], errDisk, why)
			poisoned(t, w, s)
			require.False(t, touched, why)
			require.NoError(t, s.Close(bg))
			rng := rand.New(rand.NewPCG(3, uint64(n)))
			w.reopen(t, d.Killed(), why)
			w.reopen(t, d.Crash(false, func() bool { return false }), why)
			w.reopen(t, d.Crash(true, func() bool { return rng.IntN(2) == 0 }), why)
		}
	}
	require.Greater(t, failed, 100)
}

// poisoned looks whether a store refuses all that writes, and still reads.
func poisoned(t *testing.T, w *workload, s *filestore.Store) {
	t.Helper()
	require.ErrorIs(t, s.Stats().Err, filestore.ErrFailed)
	for id, f := range w.runs {
		require.ErrorIs(t, s.Append(bg, f.rev, head(id), 0, payloads("late")), filestore.ErrFailed)
		require.ErrorIs(t, s.Delete(bg, id, f.rev), filestore.ErrFailed)
	}
	require.ErrorIs(t, s.Create(bg, head("late"), 0, nil), filestore.ErrFailed)
	_, _, err := s.Claim(bg, durable.ClaimRequest{Owner: "o", TTL: 1, Limit: 9, Sagas: []string{"checkout"}})
	require.ErrorIs(t, err, filestore.ErrFailed)
	w.check(t, s)
	heads, _, err := s.List(bg, durable.Query{})
	require.NoError(t, err)
	require.Len(t, heads, s.Stats().Runs)
}

// TestG51_failedRead: a read that fails says so, and nothing else: the store goes
// on, and the next read may succeed.
func TestG51_failedRead(t *testing.T) {
	d := filestore.NewMemDir(nil)
	s, err := filestore.OpenDir(d, small)
	require.NoError(t, err)
	create(t, s, head("a"), "a1")
	appendTo(t, s, 1, head("a"), "a2")
	for n := range 2 {
		reads := 0
		d.Before = func(op, _ string) error {
			if op == "read" {
				if reads++; reads == n+1 {
					return errDisk
				}
			}
			return nil
		}
		_, _, err = s.Load(bg, "a")
		require.ErrorIs(t, err, errDisk)
		require.NotErrorIs(t, err, filestore.ErrCorrupt)
		require.NoError(t, s.Stats().Err)
		_, events := load(t, s, "a")
		require.Len(t, events, 2+n)
		d.Before = nil
		appendTo(t, s, uint64(2+n), head("a"), "more")
	}
	require.NoError(t, s.Close(bg))
}

// TestG51_failedOpen: any call of Open that fails is its error. Nothing is lost
// by that, the lock is free again, and no file stays open.
func TestG51_failedOpen(t *testing.T) {
	whole := filestore.NewMemDir(nil)
	s, err := filestore.OpenDir(whole, small)
	require.NoError(t, err)
	w := newWorkload()
	w.drive(s, 5, 50)
	require.NoError(t, s.Close(bg))
	files := whole.Files()
	files["00000099.saga.tmp"] = []byte("never finished")
	last := ""
	for name := range files {
		if strings.HasSuffix(name, ".saga") {
			last = max(last, name)
		}
	}
	files[last] = append(files[last], 0xFF) // so that there is something to cut off
	for n := 0; ; n++ {
		d := filestore.NewMemDir(files)
		calls, opened := 0, 0
		d.Before = func(op, _ string) error {
			calls++
			if calls == n+1 && op != "close" && op != "unlock" && op != "closedir" {
				return fmt.Errorf("%s: %w", op, errDisk)
			}
			switch op {
			case "open", "change", "create":
				opened++
			case "close":
				opened--
			}
			return nil
		}
		s, err := filestore.OpenDir(d, small)
		if calls <= n {
			require.NoError(t, err)
			require.NoError(t, s.Close(bg))
			require.Greater(t, n, 20)
			return
		}
		if err != nil {
			require.ErrorIs(t, err, errDisk)
			require.Zero(t, opened, err)
		} else {
			require.NoError(t, s.Close(bg))
		}
		w.reopen(t, d, fmt.Sprint("call ", n))
	}
}

// TestG51_damageUnderTheStore: what is damaged while the store is open is found by
// Load, which says where; the rest goes on.
func TestG51_damageUnderTheStore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, filestore.Config{})
	create(t, s, head("a"), strings.Repeat("a", 2000))
	create(t, s, head("b"), "b1")
	data := readFile(t, dir, one)
	at := strings.Index(string(data), "aaaa")
	require.Positive(t, at)
	for _, off := range []int{at, at/512*512 + 512, at + 1900} {
		broken := []byte(string(data))
		broken[off] ^= 1
		writeFile(t, dir, one, broken)
		_, _, err := s.Load(bg, "a")
		require.ErrorIs(t, err, filestore.ErrCorrupt)
		_, events := load(t, s, "b")
		assert.Equal(t, []string{"b1"}, events)
	}
	writeFile(t, dir, one, data[:1500])
	_, _, err := s.Load(bg, "a")
	require.ErrorIs(t, err, filestore.ErrCorrupt)
	require.ErrorIs(t, s.Compact(bg), nil)
	require.NoError(t, s.Stats().Err)
	writeFile(t, dir, one, data)
}

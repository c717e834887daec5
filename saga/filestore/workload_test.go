package filestore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// A fate is what is known of a run from outside: what was acknowledged, and what a
// call that failed may have made of it.
type fate struct {
	rev    uint64 // 0: there is none
	events []string
}

// A workload does the same calls every time and keeps account of them.
type workload struct {
	runs  map[string]fate
	maybe map[string]fate // by a call that did not succeed
	fails []error
}

func newWorkload() *workload {
	return &workload{runs: map[string]fate{}, maybe: map[string]fate{}}
}

// drive does n calls with runs of few names and payloads of all lengths, among
// them long runs of zeros, and rewrites what is dead now and then. It stops at the
// first failure.
func (w *workload) drive(s *filestore.Store, seed uint64, n int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		id := fmt.Sprintf("run-%d", rng.IntN(6))
		now := w.runs[id]
		event := fmt.Sprintf("%s.%d:", id, i) + strings.Repeat("\x00", rng.IntN(4)*rng.IntN(700)) + strings.Repeat("x", rng.IntN(300))
		next := fate{now.rev + 1, append(slices.Clone(now.events), event)}
		var err error
		switch {
		case i%12 == 11:
			next = now
			err = s.Compact(bg)
		case now.rev == 0:
			err = s.Create(bg, head(id), 0, payloads(event))
		case now.rev < 4:
			err = s.Append(bg, now.rev, head(id), 0, payloads(event))
		case now.rev == 4:
			next.events = next.events[:len(next.events)-1]
			err = s.Append(bg, now.rev, ended(id), 0, nil)
		default:
			next = fate{}
			err = s.Delete(bg, id, now.rev)
		}
		if err != nil {
			w.maybe[id] = next
			w.fails = append(w.fails, err)
			return
		}
		w.runs[id] = next
	}
}

// check looks whether a store holds what was acknowledged, and nothing that was
// not done.
func (w *workload) check(tb testing.TB, s *filestore.Store) {
	tb.Helper()
	for i := range 6 {
		id := fmt.Sprintf("run-%d", i)
		got := fate{}
		got.rev, got.events = load(tb, s, id)
		want := w.runs[id]
		if got.rev != want.rev || !slices.Equal(got.events, want.events) {
			maybe, ok := w.maybe[id]
			require.True(tb, ok && got.rev == maybe.rev && slices.Equal(got.events, maybe.events),
				"%s: rev %d with %d events, want rev %d with %d", id, got.rev, len(got.events), want.rev, len(want.events))
		}
	}
}

// small makes segments and batches so short that all that can happen does.
var small = filestore.Config{SegmentSize: 3000, Garbage: -1}

// tombstone is how many bytes one takes.
const tombstone = 76

var errDead = errors.New("the machine is dead")

// calls counts what a workload asks of its directory.
func calls(tb testing.TB, seed uint64, n int) int {
	tb.Helper()
	d := filestore.NewMemDir(nil)
	total := 0
	d.Before = func(op, _ string) error { total++; return nil }
	s, err := filestore.OpenDir(d, small)
	require.NoError(tb, err)
	w := newWorkload()
	w.drive(s, seed, n)
	require.Empty(tb, w.fails)
	w.check(tb, s)
	require.NoError(tb, s.Close(bg))
	return total
}

// reopen checks that a directory opens and holds what it should, and that it can
// be worked with.
func (w *workload) reopen(tb testing.TB, d *filestore.MemDir, why string) {
	tb.Helper()
	s, err := filestore.OpenDir(d, small)
	require.NoError(tb, err, why)
	w.check(tb, s)
	require.NoError(tb, s.Compact(bg), why)
	w.check(tb, s)
	require.LessOrEqual(tb, s.Stats().Dead, int64(6*tombstone), why) // moved, and not needed a moment later
	h := head("afterwards")
	require.NoError(tb, s.Create(bg, h, 0, nil), why)
	require.NoError(tb, s.Close(bg), why)
	_, err = filestore.VerifyDir(d)
	require.NoError(tb, err, why)
}

var _ durable.Store = (*filestore.Store)(nil)

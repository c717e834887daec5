package filestore_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/filestore"
)

// A gate holds up the first sync after it was shut.
type gate struct {
	mu   sync.Mutex
	held chan struct{}
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.held)
	g.held = nil
}

func (g *gate) before(op, _ string) error {
	g.mu.Lock()
	held := g.held
	g.mu.Unlock()
	if op == "sync" && held != nil {
		<-held
	}
	return nil
}

// together runs calls so that they share a batch, behind one of another run. It
// has to be in a bubble.
func together(t *testing.T, g *gate, s *filestore.Store, calls ...func() error) {
	t.Helper()
	g.shut()
	var all sync.WaitGroup
	all.Go(func() { assert.NoError(t, s.Create(bg, head("ahead of the batch"), 0, nil)) })
	synctest.Wait()
	for _, call := range calls {
		all.Go(func() { assert.NoError(t, call()) })
		synctest.Wait() // so that they come in this order
	}
	g.open()
	all.Wait()
}

const (
	one = "00000001.saga"
	two = "00000002.saga"
)

// lastBatch returns the files before and after a batch of three frames, with runs
// of zeros in its payloads, and where in the file it is.
func lastBatch(t *testing.T) (before, after []byte, from, to int) {
	t.Helper()
	zeros := strings.Repeat("\x00", 1100)
	synctest.Test(t, func(t *testing.T) {
		var g gate
		d := filestore.NewMemDir(nil)
		d.Before = g.before
		s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 8192})
		require.NoError(t, err)
		create(t, s, head("a"), "a1")
		create(t, s, head("b"), "b1"+zeros)
		records := s.Stats().Records
		var first []byte
		together(t, &g, s,
			func() error {
				first = d.Files()[one] // with what is ahead of the batch
				return s.Append(bg, 1, head("a"), 0, payloads("a2", zeros))
			},
			func() error { return s.Append(bg, 1, head("b"), 0, payloads("b2")) },
			func() error { return s.Create(bg, head("c"), 0, payloads("c1", zeros, "c3")) },
		)
		require.Equal(t, records+4, s.Stats().Records)
		closeStore(t, s)
		before, after = first, d.Files()[one]
	})
	require.Len(t, after, 8192)
	from = 0
	for before[from] == after[from] {
		from++
	}
	to = len(after)
	for before[to-1] == after[to-1] {
		to--
	}
	return before, after, from, to
}

// state is what a store holds, in short.
func state(tb testing.TB, s *filestore.Store) string {
	tb.Helper()
	var all []string
	for _, id := range []string{"a", "b", "c"} {
		rev, events := load(tb, s, id)
		for i, e := range events {
			events[i] = e[:min(len(e), 2)]
		}
		all = append(all, fmt.Sprint(rev, events))
	}
	return strings.Join(all, " ")
}

// afterBatch are the states that a part of the batch may leave, by the number of
// its frames that are whole.
var afterBatch = [...]string{
	"1 [a1] 1 [b1] 0 []",
	"2 [a1 a2 \x00\x00] 1 [b1] 0 []",
	"2 [a1 a2 \x00\x00] 2 [b1 b2] 0 []",
	"2 [a1 a2 \x00\x00] 2 [b1 b2] 1 [c1 \x00\x00 c3]",
}

// cutOff opens a directory that holds data, and returns what is in it and what was
// cut off. It is the same when it is opened again.
func cutOff(tb testing.TB, data []byte, why string) (string, int64) {
	tb.Helper()
	d := filestore.NewMemDir(map[string][]byte{one: data})
	st, err := filestore.VerifyDir(d)
	require.NoError(tb, err, why)
	s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 8192})
	require.NoError(tb, err, why)
	is, cut := state(tb, s), s.Stats().CutOff
	require.Equal(tb, st.CutOff, cut, why)
	require.NoError(tb, s.Create(bg, head("d"), 0, payloads("goes on")), why)
	closeStore(tb, s)
	s, err = filestore.OpenDir(d, filestore.Config{SegmentSize: 8192})
	require.NoError(tb, err, why)
	require.Equal(tb, is, state(tb, s), why)
	require.Zero(tb, s.Stats().CutOff, why)
	closeStore(tb, s)
	return is, cut
}

// TestG51_tornAtEveryByte: of the last batch only a first part was written. It is
// cut off, its whole frames may stay, and all before is there. The file may end
// there, or go on with zeros.
func TestG51_tornAtEveryByte(t *testing.T) {
	before, after, from, to := lastBatch(t)
	whole := 0
	for at := from; at <= to; at++ {
		torn := append(slices.Clone(after[:at]), before[at:]...)
		is, cut := cutOff(t, torn, fmt.Sprint("torn at ", at))
		n := slices.Index(afterBatch[:], is)
		require.GreaterOrEqual(t, n, whole, is)
		whole = n
		if n < 3 && at > from {
			require.True(t, cut > 0 || n > 0, at)
		}
		is, _ = cutOff(t, after[:at], fmt.Sprint("short at ", at))
		require.Equal(t, afterBatch[n], is)
	}
	require.Equal(t, 3, whole)
}

// TestG51_missingSectors: any sectors of the last batch were not written, also
// some before others that were.
func TestG51_missingSectors(t *testing.T) {
	before, after, from, to := lastBatch(t)
	first, end := from/512, (to+511)/512
	require.InDelta(t, 7, end-first, 2)
	for missing := 1; missing < 1<<(end-first); missing++ {
		data := slices.Clone(after)
		for i := first; i < end; i++ {
			if missing>>(i-first)&1 == 1 {
				copy(data[i*512:(i+1)*512], before[i*512:])
			}
		}
		is, cut := cutOff(t, data, fmt.Sprintf("missing %b", missing))
		require.Contains(t, afterBatch[:3], is)
		if missing>>(end-first-1) == 0 {
			require.Positive(t, cut)
		}
	}
}

// damaged wants a directory to be refused, with the place, and left alone.
func damaged(tb testing.TB, files map[string][]byte, file, why string) {
	tb.Helper()
	d := filestore.NewMemDir(files)
	_, err := filestore.VerifyDir(d)
	require.ErrorIs(tb, err, filestore.ErrCorrupt, why)
	s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 8192})
	require.Nil(tb, s, why)
	require.ErrorIs(tb, err, filestore.ErrCorrupt, why)
	var c *filestore.CorruptError
	require.ErrorAs(tb, err, &c, why)
	require.Equal(tb, file, c.File, why)
	require.LessOrEqual(tb, c.Offset, int64(len(files[file]))+1, why)
	require.Equal(tb, files, d.Files(), why)
}

// TestG51_everyBit: one bit is not as it was written. Up to the end of the last
// batch, which holds long runs of zeros, that is damage. Behind it nothing is
// lost, and it is damage or cut off.
func TestG51_everyBit(t *testing.T) {
	_, after, _, to := lastBatch(t)
	for at := range after {
		for bit := range 8 {
			if at >= to && bit != at%8 {
				continue // behind the end all bits are the same
			}
			data := slices.Clone(after)
			data[at] ^= 1 << bit
			why := fmt.Sprintf("byte %d, bit %d", at, bit)
			if at < to && bit == at%8 {
				damaged(t, map[string][]byte{one: data}, one, why)
				continue
			}
			st, err := filestore.VerifyDir(filestore.NewMemDir(map[string][]byte{one: data}))
			if err == nil {
				require.GreaterOrEqual(t, at, to, why)
				require.Positive(t, st.CutOff, why)
				is, _ := cutOff(t, data, why)
				require.Equal(t, afterBatch[3], is, why)
			} else {
				require.ErrorIs(t, err, filestore.ErrCorrupt, why)
			}
		}
	}
}

// TestG51_clearedByte: a byte became zero. Where its sector goes on behind it, that
// is no write that was cut short.
func TestG51_clearedByte(t *testing.T) {
	_, after, from, to := lastBatch(t)
	for at := from; at < to; at++ {
		if after[at] == 0 {
			continue
		}
		data := slices.Clone(after)
		data[at] = 0
		if end := at/512*512 + 512; !zero(data[at:end]) {
			damaged(t, map[string][]byte{one: data}, one, fmt.Sprint("byte ", at))
		}
	}
}

// TestG51_closedSegment: any change of a file that was closed is damage, also
// where it looks as if something had not been written, and so is a missing file.
func TestG51_closedSegment(t *testing.T) {
	d := filestore.NewMemDir(nil)
	s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 2000})
	require.NoError(t, err)
	for i := range 8 {
		create(t, s, head(fmt.Sprint("run-", i)), strings.Repeat("\x00", 200))
	}
	require.Equal(t, 2, s.Stats().Segments)
	closeStore(t, s)
	good := d.Files()
	for at := range good[one] {
		files := maps.Clone(good)
		data := slices.Clone(good[one])
		data[at] ^= 0x10
		files[one] = data
		damaged(t, files, one, fmt.Sprint("byte ", at))
		files[one] = good[one][:at]
		if zero(good[one][at:]) {
			continue // zeros behind the end hold nothing
		}
		damaged(t, files, one, fmt.Sprint("ends at ", at))
		files[one] = append(slices.Clone(good[one][:at]), make([]byte, len(good[one])-at)...)
		damaged(t, files, one, fmt.Sprint("zero from ", at))
	}
	damaged(t, map[string][]byte{two: good[two]}, one, "missing")
	damaged(t, map[string][]byte{one: good[two], two: good[two]}, one, "of another number")
}

func zero(b []byte) bool { return strings.Trim(string(b), "\x00") == "" }

// TestG51_holeBeforeLaterBatch: what looks as if it had not been written, but a
// later batch follows, was synced and is damage.
func TestG51_holeBeforeLaterBatch(t *testing.T) {
	d := filestore.NewMemDir(nil)
	s, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 8192})
	require.NoError(t, err)
	var ends []int
	for _, id := range []string{"a", "b", "c", "d"} {
		create(t, s, head(id), strings.Repeat("y", 1500))
		ends = append(ends, int(s.Stats().Bytes))
	}
	closeStore(t, s)
	good := d.Files()[one]
	for i := 0; i < 3; i++ {
		data := slices.Clone(good)
		clear(data[ends[i]-700 : ends[i]])
		damaged(t, map[string][]byte{one: data}, one, "the end of a batch")
		from := (ends[i]-1500)/512*512 + 512
		data = slices.Clone(good)
		clear(data[from : from+512])
		damaged(t, map[string][]byte{one: data}, one, "a sector of a batch")
	}
}

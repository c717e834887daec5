package filestore

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// Test_sectors: the stream comes back from the sectors, wherever it is cut.
func Test_sectors(t *testing.T) {
	stream := make([]byte, 3*room+7)
	for i := range stream {
		stream[i] = byte(i * 7)
	}
	whole := interleave(nil, 0, stream)
	require.Len(t, whole, int(extent(int64(len(stream)))))
	require.Equal(t, int64(len(stream)), streamLen(int64(len(whole))))
	for cut := range len(stream) + 1 {
		off := int64(cut)
		parts := interleave(nil, 0, stream[:cut])
		require.Len(t, parts, int(extent(off)))
		require.Equal(t, extent(off), begin(off))
		require.Equal(t, whole, interleave(parts, off, stream[cut:]))
		if cut < len(stream) {
			require.Equal(t, stream[cut], whole[place(off)])
		}
		require.LessOrEqual(t, streamLen(extent(off)), off)
	}
	got, marks := strip(nil, nil, whole)
	require.Equal(t, stream, got)
	require.Equal(t, bytes.Repeat([]byte{mark}, 4), marks)
	require.Zero(t, extent(0))
	for size := range int64(2000) { // a file may end anywhere
		n := streamLen(size)
		require.True(t, n >= 0 && extent(n) <= size && extent(n+1) > size, size)
	}
}

// Test_onlyMarksTell: no single bit turns a byte that must not be zero into one
// that is.
func Test_onlyMarksTell(t *testing.T) {
	for _, b := range []byte{mark, preambleEnd, headerStart, headerEnd, frameEnd} {
		for bit := range 8 {
			require.NotZero(t, b^1<<bit)
		}
	}
}

// Test_names: only what segmentName makes is a segment.
func Test_names(t *testing.T) {
	for _, seg := range []uint32{0, 1, 255, math.MaxUint32} {
		got, ok := segmentNumber(segmentName(seg))
		require.True(t, ok)
		require.Equal(t, seg, got)
	}
	for _, name := range []string{"", ".saga", "1.saga", "0000000G.saga", "0000000A.saga", "000000001.saga", "+0000001.saga", "00000001.saga.tmp", lockName} {
		_, ok := segmentNumber(name)
		require.False(t, ok, name)
	}
}

// Test_after: instants saturate.
func Test_after(t *testing.T) {
	require.Equal(t, int64(5), after(2, 3))
	require.Equal(t, int64(never), after(2, math.MaxInt64))
	require.Equal(t, int64(never), after(never, 1))
}

// Test_knownNames: the strings that runs share are kept once, and not without end.
func Test_knownNames(t *testing.T) {
	known := make(names)
	for i := range 10_000 {
		b := []byte{byte(i), byte(i >> 8)}
		require.Equal(t, string(b), known.get(b))
		require.Equal(t, string(b), known.get(b))
	}
	require.LessOrEqual(t, len(known), 4096)
}

// FuzzFrame: whatever bytes hold, they are taken apart without a panic and without
// asking for more memory than they have; and what was put together comes back.
func FuzzFrame(f *testing.F) {
	h := header{kind: kindAppend, seg: 1, off: 29, batch: 29, run: 3, rev: 4, epoch: 5}
	head := durable.Head{ID: "a", Saga: "checkout", WakeAt: time.Unix(1, 2), Labels: map[string]string{"k": "v"}}
	f.Add(appendHeader(nil, seed(7), &h), uint64(7), uint32(1), int64(29))
	f.Add(appendBody(nil, &head, [][]byte{[]byte("event"), nil}), uint64(0), uint32(0), int64(0))
	f.Add(appendManifest(nil, &manifest{nextRun: 9, segs: []closed{{1, 500}, {3, 70}}}), uint64(1), uint32(2), int64(3))
	f.Add(appendPreamble(nil, 1, 7), uint64(7), uint32(9), int64(math.MaxInt64))
	f.Fuzz(func(t *testing.T, b []byte, salt uint64, seg uint32, off int64) {
		_, _, _, _ = parsePreamble(b)
		if h, ok := parseHeader(b, seed(salt), seg, off); ok {
			require.Equal(t, b[:headerLen], appendHeader(nil, seed(salt), &h))
		}
		if h, ok := readHead(b, &durable.Head{}, make(names)); ok {
			again, ok := readHead(appendBody(nil, &h, nil), &h, make(names))
			require.True(t, ok)
			require.Equal(t, h, again)
		}
		if events, ok := readEvents(nil, b); ok {
			again, ok := readEvents(nil, appendBody(nil, &durable.Head{}, events))
			require.True(t, ok)
			require.Equal(t, events, again)
		}
		if m, ok := readManifest(b); ok {
			again, ok := readManifest(appendManifest(nil, &m))
			require.True(t, ok)
			require.Equal(t, m, again)
		}

		h := header{
			kind: kindAppend + byte(salt%4), size: uint32(len(b)), sum: checksum(0, b), seg: seg,
			off: off & math.MaxInt64, batch: off & math.MaxInt64 / 2, run: salt, rev: salt >> 1, epoch: salt >> 2,
			prev: link{seg: seg / 2, size: seg / 3, off: off / 5},
		}
		enc := appendHeader(nil, seed(salt), &h)
		require.Len(t, enc, headerLen)
		got, ok := parseHeader(enc, seed(salt), seg, h.off)
		require.True(t, ok)
		require.Equal(t, h, got)
		_, ok = parseHeader(enc, seed(salt+1), seg, h.off)
		require.False(t, ok, "of another segment")
		enc[int(salt%headerLen)] ^= 1 << (seg % 8)
		_, ok = parseHeader(enc, seed(salt), seg, h.off)
		require.False(t, ok, "a bit is not as it was written")
	})
}

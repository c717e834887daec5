package filestore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/filestore"
)

// TestG51_nonsense: frames that are whole, by their checksums, and make no sense,
// are damage too.
func TestG51_nonsense(t *testing.T) {
	created := filestore.Frame{Kind: filestore.KindAppend, Run: 1, Rev: 1, Head: head("a")}
	_, offs := filestore.Segment(1, nil, created, created)
	size := uint32(offs[1] - offs[0])
	next := created
	next.Rev, next.PrevSeg, next.PrevOff, next.PrevSize = 2, 1, offs[0], size

	with := func(f filestore.Frame, change func(*filestore.Frame)) filestore.Frame {
		change(&f)
		return f
	}
	type frame = filestore.Frame
	for _, c := range []struct {
		name, why string
		frames    []frame
	}{
		{"good", "", []frame{created, next}},
		{"created twice", "two runs with one ID", []frame{created, with(created, func(f *frame) { f.Run = 2 })}},
		{"begins twice", "is missing", []frame{created, created}},
		{"no beginning", "is missing", []frame{next}},
		{"link to elsewhere", "is missing", []frame{created, with(next, func(f *frame) { f.PrevOff++ })}},
		{"link to another segment", "is missing", []frame{created, with(next, func(f *frame) { f.PrevSeg++ })}},
		{"rev goes back", "is missing", []frame{created, with(next, func(f *frame) { f.Rev = 1 })}},
		{"goes on after a copy", "is missing", []frame{created, with(created, func(f *frame) { f.Kind = filestore.KindCopy }), next}},
		{"goes on after its end", "that was deleted", []frame{created, {Kind: filestore.KindDelete, Run: 1}, next}},
		{"no head", "the head of a run", []frame{{Kind: filestore.KindAppend, Run: 1, Rev: 1, Body: []byte{}}}},
		{"short head", "the head of a run", []frame{{Kind: filestore.KindAppend, Run: 1, Rev: 1, Body: []byte{3, 1, 'a', 1}}}},
		{"long head", "the head of a run", []frame{{Kind: filestore.KindAppend, Run: 1, Rev: 1, Body: []byte{200, 1, 'a', 1}}}},
		{"no manifest", "a manifest makes no sense", []frame{{Kind: filestore.KindManifest, Body: []byte{1, 200}}}},
		{"lists what is not there", "the file is missing", []frame{{Kind: filestore.KindManifest, Body: filestore.ManifestOf(map[uint32]int64{7: 1})}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			data, _ := filestore.Segment(1, nil, c.frames...)
			st, err := filestore.VerifyDir(filestore.NewMemDir(map[string][]byte{one: data}))
			if c.why == "" {
				require.NoError(t, err)
				require.Equal(t, filestore.Stats{Runs: 1, Unended: 1, Segments: 1, Bytes: int64(len(data)), Records: 2}, st)
				return
			}
			require.ErrorIs(t, err, filestore.ErrCorrupt)
			require.ErrorContains(t, err, c.why)
		})
	}
}

// TestG51_firstManifest: the first frame of a segment is a manifest, and it makes
// sense.
func TestG51_firstManifest(t *testing.T) {
	data, _ := filestore.Segment(1, []byte{})
	damaged(t, map[string][]byte{one: data}, one, "")
	data, _ = filestore.Segment(1, nil)
	damaged(t, map[string][]byte{one: data[:20]}, one, "")
	_, err := filestore.VerifyDir(filestore.NewMemDir(map[string][]byte{
		one: data, "0000001.saga": nil, "00000001.SAGA": nil, "1.saga": nil, "0000000G.saga": nil, "notes.txt": nil, "x.saga.tmp": nil,
	}))
	require.NoError(t, err, "other files are left alone")
}

// TestG51_eventsMakeNoSense: a body whose events are cut short is found by Load,
// which says where.
func TestG51_eventsMakeNoSense(t *testing.T) {
	frame := filestore.Frame{Kind: filestore.KindAppend, Run: 1, Rev: 1, Head: head("a"), Events: payloads("event")}
	body := filestore.Body(frame)
	frame.Body = body[:len(body)-1]
	data, _ := filestore.Segment(1, nil, frame)
	s, err := filestore.OpenDir(filestore.NewMemDir(map[string][]byte{one: data}), filestore.Config{})
	require.NoError(t, err)
	_, _, err = s.Load(bg, "a")
	require.ErrorIs(t, err, filestore.ErrCorrupt)
	require.ErrorContains(t, err, "events")
	closeStore(t, s)
}

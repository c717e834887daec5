package filestore

import (
	"encoding/binary"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// OpenDir opens a store in a MemDir.
func OpenDir(d *MemDir, cfg Config) (*Store, error) { return openIn(d, cfg) }

// VerifyDir is Verify for a MemDir.
func VerifyDir(d *MemDir) (Stats, error) { return verify(d) }

// Preamble is the beginning of a segment of some version, as it is in the file.
func Preamble(seg, version uint32) []byte {
	b := appendPreamble(nil, seg, 1)
	binary.LittleEndian.PutUint32(b[8:], version)
	binary.LittleEndian.PutUint32(b[24:], checksum(0, b[:24]))
	return interleave(nil, 0, b)
}

// A Frame is one that a segment holds, whether a store would write it or not.
type Frame struct {
	Kind     byte
	Run, Rev uint64
	PrevSeg  uint32
	PrevSize uint32
	PrevOff  int64
	Head     durable.Head
	Events   [][]byte
	Body     []byte // nil: of Head and Events
}

// The kinds of frames.
const (
	KindAppend, KindCopy, KindDelete, KindManifest = kindAppend, kindCopy, kindDelete, kindManifest
)

// Segment is a file with these frames, behind an empty manifest, and where each of
// them is in the stream.
func Segment(seg uint32, manifests []byte, frames ...Frame) (data []byte, offs []int64) {
	const salt = 5
	if manifests == nil {
		manifests = appendManifest(nil, &manifest{nextRun: 1})
	}
	frames = append([]Frame{{Kind: kindManifest, Body: manifests}}, frames...)
	data = interleave(nil, 0, appendPreamble(nil, seg, salt))
	off := int64(preambleLen)
	for _, f := range frames {
		body := f.Body
		if body == nil {
			body = appendBody(nil, &f.Head, f.Events)
		}
		h := header{
			kind: f.Kind, size: uint32(len(body)), sum: checksum(0, body), seg: seg, off: off, batch: off,
			run: f.Run, rev: f.Rev, epoch: 1, prev: link{seg: f.PrevSeg, size: f.PrevSize, off: f.PrevOff},
		}
		data = interleaveFrame(data, seed(salt), &h, body)
		offs = append(offs, off)
		off += h.length()
	}
	return data, offs[1:]
}

// ManifestOf is the body of a manifest that lists segments and their ends.
func ManifestOf(ends map[uint32]int64) []byte {
	m := manifest{nextRun: 1}
	for seg, end := range ends {
		m.segs = append(m.segs, closed{seg, end})
	}
	return appendManifest(nil, &m)
}

// Body is the body of a frame.
func Body(f Frame) []byte { return appendBody(nil, &f.Head, f.Events) }

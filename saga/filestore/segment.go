package filestore

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

const (
	lockName = "LOCK"
	suffix   = ".saga"
	tmp      = ".tmp" // of a segment that has not been synced
)

// segmentName is the name of a file. Nothing that users choose is part of it.
func segmentName(seg uint32) string { return fmt.Sprintf("%08x%s", seg, suffix) }

// segmentNumber is the segment of a file.
func segmentNumber(name string) (uint32, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	n, err := strconv.ParseUint(digits, 16, 32)
	return uint32(n), ok && err == nil && name == segmentName(uint32(n))
}

// A segment is one file. Its fields are guarded by Store.mu, but for what never
// changes.
type segment struct {
	seg  uint32
	seed uint32
	file file // reads need no lock

	end   int64       // of what is synced in its stream
	born  int64       // where its own frames begin, behind the first manifest
	live  int64       // bytes of frames that are still needed, and of what belongs to no run
	fixed int64       // of these, what belongs to no run: the beginning and manifests
	tombs []tombstone // in it, that are still needed

	refs    int  // reads under way
	dropped bool // the last one closes the file
	spared  bool // it could not be rewritten
}

// A tombstone is a frame that says that a run is deleted. It is needed as long as
// there is a segment that may hold frames of the run.
type tombstone struct {
	run    uint64
	oldest uint32 // segment that held frames of the run
	size   int64
}

// dead is how many bytes a rewrite would free.
func (g *segment) dead() int64 { return g.end - g.live }

// bury notes a tombstone, if it is needed: if a segment before may hold frames of
// the run. Those in g itself go when the tombstone goes.
func (g *segment) bury(t tombstone, segs map[uint32]*segment) {
	for seg := range segs {
		if seg >= t.oldest && seg < g.seg {
			g.tombs = append(g.tombs, t)
			g.live += t.size
			return
		}
	}
}

// bytes returns n bytes of the stream from off on, all marks being there.
func (g *segment) bytes(off, n int64) ([]byte, error) {
	first := off / room
	from := first * sectorSize
	buf := make([]byte, extent(off+n)-from)
	if k, err := g.file.ReadAt(buf, from); k < len(buf) {
		if errors.Is(err, io.EOF) {
			return nil, damage(g.seg, off, "the file is too short")
		}
		return nil, err
	}
	marks := make([]byte, 0, len(buf)/sectorSize+1)
	stream, marks := strip(buf[:0], marks, buf)
	have, end := sectors(off, n)
	for _, m := range marks[have-first : end-first] {
		if m != mark {
			return nil, damage(g.seg, off, "a frame is not as it was written")
		}
	}
	return stream[off-first*room:], nil
}

// frame reads the frame of a link.
func (g *segment) frame(l link) (header, []byte, error) {
	b, err := g.bytes(l.off, int64(l.size))
	if err != nil {
		return header{}, nil, err
	}
	h, ok := parseHeader(b, g.seed, g.seg, l.off)
	if !ok || h.length() != int64(len(b)) || b[len(b)-1] != frameEnd || checksum(0, b[headerLen:len(b)-1]) != h.sum {
		return h, nil, damage(g.seg, l.off, "a frame is not as it was written")
	}
	return h, b[headerLen : len(b)-1], nil
}

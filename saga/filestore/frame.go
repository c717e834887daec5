package filestore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// The version of the format that is written. All up to it are read.
const version = 1

// A file begins with a preamble, and its stream goes on with frames:
//
//	preamble  magic 8, version 4, segment 4, salt 8, checksum 4, preambleEnd 1
//	frame     header, body, frameEnd 1
//
// Numbers are little-endian. The bytes that begin and end a header and end a
// frame are never zero, and no single bit makes them so: a write that was cut
// short leaves one of them, or a mark of a sector, zero.
const (
	magic       = "mnstysga"
	preambleEnd = 0x5A
	preambleLen = 29

	headerStart = 0xC6
	headerEnd   = 0x9C
	headerLen   = 75
	frameEnd    = 0x69
	frameCost   = headerLen + 1 // of a frame beyond its body
)

// What a frame holds.
const (
	kindAppend   = 1 + iota // a head and events of a run, after those of the frame before
	kindCopy                // all of a run; what was written of it before is dead
	kindDelete              // the end of a run
	kindManifest            // which segments there are
	kindLast     = kindManifest
)

// A link is where a frame is. The zero link is none: a stream begins with a
// preamble.
type link struct {
	seg  uint32
	size uint32 // of the frame
	off  int64
}

// A header is what the store itself needs to know of a frame.
type header struct {
	kind       byte
	size       uint32 // of the body
	sum        uint32 // checksum of the body
	seg        uint32 // where the frame itself is, so that a stray one is told
	off        int64
	batch      int64 // where its batch began: all before it had been synced by then
	run        uint64
	rev, epoch uint64
	prev       link // the frame before of the same run
}

// length is that of the whole frame.
func (h *header) length() int64 { return frameCost + int64(h.size) }

func (h *header) link() link { return link{seg: h.seg, off: h.off, size: uint32(h.length())} }

// checksum is CRC-32C, whose table package crc32 makes once.
func checksum(seed uint32, b []byte) uint32 {
	return crc32.Update(seed, crc32.MakeTable(crc32.Castagnoli), b)
}

// seed is what the checksums of headers begin with. With the salt of its segment
// no payload can hold what would pass for a frame.
func seed(salt uint64) uint32 {
	return checksum(0, binary.LittleEndian.AppendUint64(nil, salt))
}

func appendPreamble(b []byte, seg uint32, salt uint64) []byte {
	from := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, seg)
	b = binary.LittleEndian.AppendUint64(b, salt)
	b = binary.LittleEndian.AppendUint32(b, checksum(0, b[from:]))
	return append(b, preambleEnd)
}

// parsePreamble reads the first preambleLen bytes of a stream.
func parsePreamble(b []byte) (ver, seg uint32, salt uint64, ok bool) {
	if len(b) < preambleLen || !bytes.HasPrefix(b, []byte(magic)) || b[28] != preambleEnd ||
		binary.LittleEndian.Uint32(b[24:]) != checksum(0, b[:24]) {
		return 0, 0, 0, false
	}
	return binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:]), binary.LittleEndian.Uint64(b[16:]), true
}

func appendHeader(b []byte, seed uint32, h *header) []byte {
	from := len(b)
	b = append(b, headerStart, h.kind)
	b = binary.LittleEndian.AppendUint32(b, h.size)
	b = binary.LittleEndian.AppendUint32(b, h.sum)
	b = binary.LittleEndian.AppendUint32(b, h.seg)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.off))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.batch))
	b = binary.LittleEndian.AppendUint64(b, h.run)
	b = binary.LittleEndian.AppendUint64(b, h.rev)
	b = binary.LittleEndian.AppendUint64(b, h.epoch)
	b = binary.LittleEndian.AppendUint32(b, h.prev.seg)
	b = binary.LittleEndian.AppendUint32(b, h.prev.size)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.prev.off))
	b = binary.LittleEndian.AppendUint32(b, checksum(seed, b[from:]))
	return append(b, headerEnd)
}

// parseHeader reads the header at the beginning of b, which is at off of segment
// seg.
func parseHeader(b []byte, seed, seg uint32, off int64) (h header, ok bool) {
	if len(b) < headerLen || b[0] != headerStart || b[headerLen-1] != headerEnd ||
		binary.LittleEndian.Uint32(b[70:]) != checksum(seed, b[:70]) {
		return header{}, false
	}
	h = header{
		kind:  b[1],
		size:  binary.LittleEndian.Uint32(b[2:]),
		sum:   binary.LittleEndian.Uint32(b[6:]),
		seg:   binary.LittleEndian.Uint32(b[10:]),
		off:   int64(binary.LittleEndian.Uint64(b[14:])),
		batch: int64(binary.LittleEndian.Uint64(b[22:])),
		run:   binary.LittleEndian.Uint64(b[30:]),
		rev:   binary.LittleEndian.Uint64(b[38:]),
		epoch: binary.LittleEndian.Uint64(b[46:]),
		prev: link{
			seg:  binary.LittleEndian.Uint32(b[54:]),
			size: binary.LittleEndian.Uint32(b[58:]),
			off:  int64(binary.LittleEndian.Uint64(b[62:])),
		},
	}
	return h, h.seg == seg && h.off == off && h.batch <= off && h.size <= maxBody && h.kind >= kindAppend && h.kind <= kindLast
}

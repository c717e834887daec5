package filestore

import (
	"errors"
	"io"
)

// A window is the part of a segment that a scan looks at.
type window struct {
	r    io.ReaderAt
	size int64 // of the file

	buf    []byte // sectors as they are in the file
	stream []byte // what they hold
	marks  []byte // and the mark of each
	first  int64  // number of the first sector
}

// windowSize is how much is read at a time: whole sectors.
const windowSize = 1 << 20

// at returns n bytes of the stream from off on, or as many as there are. They
// are valid until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), max(streamLen(w.size)-off, 0)))
	if n == 0 {
		return nil, nil
	}
	if have := w.first * room; off < have || off+int64(n) > have+int64(len(w.stream)) {
		if err := w.read(off, n); err != nil {
			return nil, err
		}
	}
	from := off - w.first*room
	return w.stream[from : from+int64(n)], nil
}

// read moves the window to where off and the n bytes from there on are in it.
func (w *window) read(off int64, n int) error {
	first := off / room
	last := (off + int64(n) - 1) / room
	size := max((last-first+1)*sectorSize, windowSize)
	size = min(size, w.size-first*sectorSize)
	if int64(cap(w.buf)) < size {
		w.buf = make([]byte, size)
	}
	w.buf = w.buf[:size]
	w.stream, w.marks = w.stream[:0], w.marks[:0] // nothing, if reading fails
	w.first = first
	if k, err := w.r.ReadAt(w.buf, first*sectorSize); k < len(w.buf) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	w.stream, w.marks = strip(w.stream, w.marks, w.buf)
	return nil
}

// sector returns what is in a sector, and its mark; nothing beyond the end.
func (w *window) sector(n int64) (stream []byte, m byte, err error) {
	stream, err = w.at(n*room, room)
	if len(stream) > 0 {
		m = w.marks[n-w.first]
	}
	return stream, m, err
}

// chunk returns what is in the window from off on, and at least n bytes if there
// are as many.
func (w *window) chunk(off int64, n int) ([]byte, error) {
	if _, err := w.at(off, n); err != nil || off >= streamLen(w.size) {
		return nil, err
	}
	return w.stream[off-w.first*room:], nil
}

// The sectors of n bytes from off on whose marks were written with them.
func sectors(off, n int64) (first, end int64) {
	return (off + room - 1) / room, (off + n + room - 1) / room
}

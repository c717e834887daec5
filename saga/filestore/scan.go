package filestore

import (
	"bytes"
	"fmt"
)

// A scan reads one segment. It decides what a place means that does not hold a
// good frame: the end, a batch that was not written as a whole, or damage.
//
// A batch is written with one call, after the one before was synced, and
// acknowledged after its own sync. When the machine dies in between, any of its
// sectors may be missing, and a process that dies may leave any first part of it;
// all else is zero, as files are zero beyond their end. So where something was not
// written there is a byte that must not be zero, and is, and so is the rest of its
// sector. Everything else is damage, also in the last batch, and so is a batch
// with holes that another one follows.
type scan struct {
	w    window
	seg  uint32
	seed uint32
}

// outcome is what a scan found behind the last good frame.
type outcome struct {
	end int64 // of the good frames
	cut int64 // bytes beyond them that were written to, and never acknowledged
}

// open reads the preamble. What was renamed to the name of a segment had been
// synced with one.
func (s *scan) open(seg uint32) error {
	s.seg = seg
	b, err := s.w.at(0, preambleLen)
	if err != nil {
		return err
	}
	ver, got, salt, ok := parsePreamble(b)
	switch {
	case !ok || s.w.marks[0] != mark:
		return damage(seg, 0, "no preamble")
	case ver > version:
		return fmt.Errorf("filestore: %s has format %d, want at most %d: it was written by a newer version", segmentName(seg), ver, version)
	case got != seg:
		return damage(seg, 0, "it is segment %d", got)
	}
	s.seed = seed(salt)
	return nil
}

// frames calls visit for every frame and tells what comes after them. limit is
// where a closed segment ends; negative: wherever its frames do.
func (s *scan) frames(limit int64, visit func(h *header, body []byte) error) (outcome, error) {
	off := int64(preambleLen)
	for limit < 0 || off < limit {
		h, body, err := s.frame(off)
		if err != nil {
			return outcome{end: off}, err
		}
		if body == nil {
			break
		}
		if err := visit(&h, body); err != nil {
			return outcome{end: off}, err
		}
		off += h.length()
	}
	cut, err := s.rest(off, limit)
	return outcome{end: off, cut: cut}, err
}

// frame returns the frame at off. A nil body: there is no good one.
func (s *scan) frame(off int64) (header, []byte, error) {
	b, err := s.w.at(off, headerLen)
	if err != nil {
		return header{}, nil, err
	}
	h, ok := parseHeader(b, s.seed, s.seg, off)
	if !ok {
		return h, nil, nil
	}
	b, err = s.w.at(off, int(h.length()))
	if err != nil || !s.good(&h, b) {
		return h, nil, err
	}
	return h, b[headerLen : len(b)-1], nil
}

// good reports whether b is all of the frame of h, as it was written.
func (s *scan) good(h *header, b []byte) bool {
	if int64(len(b)) < h.length() || b[len(b)-1] != frameEnd || checksum(0, b[headerLen:len(b)-1]) != h.sum {
		return false
	}
	first, end := sectors(h.off, h.length())
	for _, m := range s.w.marks[first-s.w.first : end-s.w.first] {
		if m != mark {
			return false
		}
	}
	return true
}

// rest looks at what is behind the last good frame.
func (s *scan) rest(off, limit int64) (cut int64, err error) {
	last, err := s.lastByte(off)
	if err != nil {
		return 0, err
	}
	switch {
	case limit >= 0 && off != limit:
		return 0, damage(s.seg, off, "a frame of a closed segment is not as it was written")
	case last < off:
		return 0, nil
	case limit >= 0:
		return 0, damage(s.seg, last, "a closed segment goes on behind its end")
	}
	unwritten, err := s.unwritten(off)
	if err != nil {
		return 0, err
	}
	if !unwritten {
		return 0, damage(s.seg, off, "a frame is not as it was written")
	}
	later, err := s.later(off)
	if err != nil {
		return 0, err
	}
	if later >= 0 {
		return 0, damage(s.seg, off, "a frame is missing, and a later batch is there, at byte %d", place(later))
	}
	return last + 1 - off, nil
}

// lastByte returns the place of the last byte from off on that was written to, or
// less than off.
func (s *scan) lastByte(off int64) (int64, error) {
	last := int64(-1)
	for at := off; ; {
		b, err := s.w.chunk(at, 1)
		if err != nil || len(b) == 0 {
			return last, err
		}
		if n := len(bytes.TrimRight(b, "\x00")); n > 0 {
			last = at + int64(n) - 1
		}
		first, end := sectors(at, int64(len(b)))
		for n := end - 1; n >= first && n*room > last; n-- {
			if s.w.marks[n-s.w.first] != 0 {
				last = n * room
			}
		}
		at += int64(len(b))
	}
}

// unwritten reports whether the frame at off, which is no good one, was not
// written as a whole.
func (s *scan) unwritten(off int64) (bool, error) {
	b, err := s.w.at(off, headerLen)
	if err != nil {
		return false, err
	}
	length := int64(headerLen)
	h, ok := parseHeader(b, s.seed, s.seg, off)
	if ok {
		length = h.length()
	}
	for _, must := range [...]int64{off, off + headerLen - 1, off + length - 1} {
		blank, err := s.blank(must)
		if blank || err != nil {
			return blank, err
		}
	}
	first, end := sectors(off, length)
	for n := first; n < end; n++ {
		stream, m, err := s.w.sector(n)
		if err != nil {
			return false, err
		}
		if m == 0 && zero(stream) {
			return true, nil
		}
	}
	return false, nil
}

// blank reports whether the byte at off and all behind it in its sector are zero,
// or not there.
func (s *scan) blank(off int64) (bool, error) {
	b, err := s.w.at(off, int(room-off%room))
	return err == nil && zero(b), err
}

// later returns where behind off a frame of a later batch is, or -1.
func (s *scan) later(off int64) (int64, error) {
	for at := off + 1; ; {
		b, err := s.w.chunk(at, headerLen)
		if err != nil || len(b) < headerLen {
			return -1, err
		}
		for i := 0; ; i++ {
			n := bytes.IndexByte(b[i:len(b)-headerLen+1], headerStart)
			if n < 0 {
				break
			}
			i += n
			if h, ok := parseHeader(b[i:], s.seed, s.seg, at+int64(i)); ok && h.batch > off {
				return h.off, nil
			}
		}
		at += int64(len(b) - headerLen + 1)
	}
}

func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }

package filestore

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"slices"
)

// A log is where the next batch goes. It belongs to the leader.
type log struct {
	seg  *segment // changed with Store.mu held: who rewrites segments leaves it alone
	end  int64    // of the stream
	size int64    // of the file: zeros beyond the end
	buf  []byte   // of the batch before
}

// keepBuffer is how large a buffer is kept for the next batch.
const keepBuffer = 2*defaultMaxBatch + ahead

// append writes a batch, syncs it, and fills in the headers.
func (s *Store) append(frames []*op) error {
	l := &s.log
	var size int64
	roll := false
	for _, o := range frames {
		roll = roll || o.roll
		size += frameCost + int64(len(o.body))
	}
	if roll || extent(l.end+size) > s.cfg.SegmentSize && s.holdsRecords(l.seg) {
		if err := s.roll(); err != nil {
			return err
		}
	}
	start := l.end
	buf := l.buf[:0]
	for _, o := range frames {
		if o.kind == kindManifest {
			o.setBody(appendManifest(nil, s.manifest(l.seg, o.drop)))
		}
		o.hdr.kind, o.hdr.size, o.hdr.sum = o.kind, uint32(len(o.body)), o.sum
		o.hdr.seg, o.hdr.off, o.hdr.batch = l.seg.seg, l.end, start
		buf = interleaveFrame(buf, l.seg.seed, &o.hdr, o.body)
		l.end += o.hdr.length()
	}
	at := begin(start)
	if end := at + int64(len(buf)); end > l.size {
		l.size = end + s.ahead(end)
		buf = append(buf, make([]byte, l.size-end)...)
	}
	if _, err := l.seg.file.WriteAt(buf, at); err != nil {
		return err
	}
	if err := s.sync(l.seg.file); err != nil {
		return err
	}
	if l.buf = buf; cap(buf) > keepBuffer {
		l.buf = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.seg.end = l.end
	for _, o := range frames {
		if o.kind == kindManifest {
			l.seg.live += o.hdr.length()
			l.seg.fixed += o.hdr.length()
		}
	}
	return nil
}

// interleaveFrame appends a frame as it is written to the file.
func interleaveFrame(buf []byte, seed uint32, h *header, body []byte) []byte {
	var head [headerLen]byte
	buf = interleave(buf, h.off, appendHeader(head[:0], seed, h))
	buf = interleave(buf, h.off+headerLen, body)
	return interleave(buf, h.off+headerLen+int64(len(body)), []byte{frameEnd})
}

// ahead is how many zeros are written behind end.
func (s *Store) ahead(end int64) int64 { return max(min(ahead, s.cfg.SegmentSize-end), 0) }

// holdsRecords reports whether there is more in a segment than its beginning.
func (s *Store) holdsRecords(g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.end > g.born
}

// sync syncs a file. It is never tried again: what could not be written may be
// gone, and the next call would not tell.
func (s *Store) sync(f file) error {
	if s.cfg.NoSync {
		return nil
	}
	s.mu.Lock()
	s.syncs++
	s.mu.Unlock()
	return f.Sync()
}

func (s *Store) syncDir() error {
	if s.cfg.NoSync {
		return nil
	}
	return s.dir.sync()
}

// manifest lists the segments besides the one it is written to, and without one
// that is to go.
func (s *Store) manifest(in, without *segment) *manifest {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := manifest{nextRun: s.next}
	for seg, g := range s.segs {
		if g != in && g != without {
			m.segs = append(m.segs, closed{seg: seg, end: g.end})
		}
	}
	slices.SortFunc(m.segs, func(a, b closed) int { return int(int64(a.seg) - int64(b.seg)) })
	return &m
}

// roll begins the next segment. All batches of the one before are synced. The new
// file gets its name once it is synced and says what the others are.
func (s *Store) roll() error {
	seg := uint32(1)
	if s.log.seg != nil {
		seg = s.log.seg.seg + 1
	}
	g, err := s.newSegment(seg)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segs[seg] = g
	s.log = log{seg: g, end: g.end, size: extent(g.end) + s.ahead(extent(g.end)), buf: s.log.buf}
	return nil
}

func (s *Store) newSegment(seg uint32) (*segment, error) {
	var salt [8]byte
	if _, err := rand.Read(salt[:]); err != nil {
		return nil, err
	}
	number := binary.LittleEndian.Uint64(salt[:])
	g := &segment{seg: seg, seed: seed(number)}
	body := appendManifest(nil, s.manifest(nil, nil))
	h := header{
		kind: kindManifest, size: uint32(len(body)), sum: checksum(0, body),
		seg: seg, off: preambleLen, batch: preambleLen,
	}
	buf := interleave(nil, 0, appendPreamble(nil, seg, number))
	buf = interleaveFrame(buf, g.seed, &h, body)
	buf = append(buf, make([]byte, s.ahead(int64(len(buf))))...)
	g.end = preambleLen + h.length()
	g.live, g.born, g.fixed = g.end, g.end, g.end

	f, err := s.dir.create(segmentName(seg) + tmp)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(buf, 0); err == nil {
		err = s.sync(f)
	}
	if err == nil {
		err = s.dir.rename(segmentName(seg)+tmp, segmentName(seg))
	}
	if err == nil {
		err = s.syncDir()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	g.file = f
	return g, nil
}

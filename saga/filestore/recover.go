package filestore

import (
	"slices"
	"strings"
)

// A found is what is in a directory.
type found struct {
	index
	segs   map[uint32]*segment
	newest *segment // nil: the directory is empty
	size   int64    // of its file
	cut    int64    // bytes behind its end that were never acknowledged
	frames uint64
	waste  []string // files that do not count: dropped, or never finished
}

// recovery reads a directory and changes nothing. The files of the segments are
// open afterwards, for reading, unless it fails.
func recovery(dir directory) (*found, error) {
	var waste []string
	for {
		f, dropped, err := attempt(dir, waste)
		if err != nil || len(dropped) == 0 {
			return f, err
		}
		// The process died before it removed them. They must not be read: a
		// tombstone of one of their runs may be gone already.
		f.close()
		waste = append(waste, dropped...)
	}
}

// attempt reads all segments but those that are waste. dropped are segments that
// should not have been read.
func attempt(dir directory, waste []string) (f *found, dropped []string, err error) {
	listed, err := dir.list()
	if err != nil {
		return nil, nil, err
	}
	f = &found{segs: make(map[uint32]*segment), waste: waste}
	defer func() {
		if err != nil {
			f.close()
			f = nil
		}
	}()
	var nums []uint32
	for _, name := range listed {
		seg, ok := segmentNumber(name)
		switch {
		case slices.Contains(waste, name):
		case ok:
			nums = append(nums, seg)
		case strings.HasSuffix(name, suffix+tmp):
			f.waste = append(f.waste, name)
		}
	}
	slices.Sort(nums)
	for _, seg := range nums {
		file, err := dir.open(segmentName(seg))
		if err != nil {
			return f, nil, err
		}
		f.segs[seg] = &segment{seg: seg, file: file}
	}
	if len(nums) == 0 {
		f.index = newIndex()
		return f, nil, nil
	}
	if dropped, err = f.read(nums); err != nil {
		return f, nil, err
	}
	return f, dropped, nil
}

// read reads the segments. The newest one says where the others end, and, at its
// own end, which of them there still are.
func (f *found) read(nums []uint32) (dropped []string, err error) {
	f.newest = f.segs[nums[len(nums)-1]]
	limits, err := f.limits()
	if err != nil {
		return nil, err
	}
	p := newReplay()
	for _, seg := range nums {
		g := f.segs[seg]
		limit, ok := limits[seg]
		if g == f.newest {
			limit = -1
		} else if !ok {
			dropped = append(dropped, segmentName(seg))
			continue
		}
		if err := f.scan(p, g, limit); err != nil {
			return nil, err
		}
	}
	for _, c := range p.manifest.segs {
		if f.segs[c.seg] == nil {
			return nil, &CorruptError{File: segmentName(c.seg), Why: "the file is missing"}
		}
		delete(limits, c.seg)
	}
	for seg := range limits {
		if f.segs[seg] != nil {
			dropped = append(dropped, segmentName(seg))
		}
	}
	if len(dropped) > 0 {
		return dropped, nil
	}
	if err := p.finish(f); err != nil {
		return nil, err
	}
	for _, g := range f.segs {
		f.bury(g)
	}
	return nil, nil
}

// limits returns where closed segments end, by the first manifest of the newest.
// Segments that were dropped since are among them.
func (f *found) limits() (map[uint32]int64, error) {
	limits := make(map[uint32]int64)
	var s scan
	if err := s.begin(f.newest); err != nil {
		return nil, err
	}
	h, body, err := s.frame(preambleLen)
	if err != nil {
		return nil, err
	}
	m, ok := readManifest(body)
	if !ok || h.kind != kindManifest {
		return nil, damage(s.seg, preambleLen, "no manifest") // it was synced before the file got its name
	}
	for _, c := range m.segs {
		limits[c.seg] = c.end
	}
	return limits, nil
}

// scan reads one segment.
func (f *found) scan(p *replay, g *segment, limit int64) error {
	var s scan
	if err := s.begin(g); err != nil {
		return err
	}
	g.seed = s.seed
	g.live, g.fixed = preambleLen, preambleLen
	out, err := s.frames(limit, func(h *header, body []byte) error {
		if g.born == 0 {
			g.born = h.off + h.length()
		}
		return p.frame(g, h, body)
	})
	if err != nil {
		return err
	}
	g.end = out.end
	if g == f.newest {
		f.cut, f.size = out.cut, s.w.size
	}
	return nil
}

// bury keeps the tombstones of a segment that are needed.
func (f *found) bury(g *segment) {
	tombs := g.tombs
	g.tombs = nil
	for _, t := range tombs {
		g.bury(t, f.segs)
	}
}

func (f *found) stats() Stats {
	st := Stats{Runs: len(f.order), Segments: len(f.segs), CutOff: f.cut, Records: f.frames}
	st.Unended = st.Runs - f.ended
	for _, g := range f.segs {
		st.Bytes += extent(g.end)
		st.Dead += g.dead()
	}
	return st
}

// close closes the files, which were only read.
func (f *found) close() {
	for _, g := range f.segs {
		_ = g.file.Close()
	}
}

// begin opens the scan of a segment.
func (s *scan) begin(g *segment) error {
	size, err := g.file.size()
	if err != nil {
		return err
	}
	s.w = window{r: g.file, size: size}
	return s.open(g.seg)
}

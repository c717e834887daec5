package filestore

import (
	"maps"
	"slices"
)

// A replay makes an index from the frames of all segments, the oldest first. The
// frames of a run form a chain. Where a segment was removed one may lack its
// beginning, as long as the run was moved as a whole, or deleted, later on.
type replay struct {
	runs     map[uint64]*replayed
	known    names
	manifest manifest // the latest one
	frames   uint64
}

type replayed struct {
	*run
	broken error // where its chain does not hold
}

func newReplay() *replay {
	return &replay{runs: make(map[uint64]*replayed), known: make(names)}
}

// frame takes the next frame, which is in segment g.
func (p *replay) frame(g *segment, h *header, body []byte) error {
	if h.kind == kindManifest {
		var ok bool
		if p.manifest, ok = readManifest(body); !ok {
			return damage(h.seg, h.off, "a manifest makes no sense")
		}
		g.live += h.length()
		g.fixed += h.length()
		return nil
	}
	p.frames++
	r := p.runs[h.run]
	if r == nil {
		r = &replayed{run: &run{num: h.run, lease: noLease, oldest: h.seg}}
		p.runs[h.run] = r
	}
	if h.kind == kindDelete {
		r.deleted, r.spans = true, nil
		g.tombs = append(g.tombs, tombstone{run: h.run, oldest: r.oldest, size: h.length()})
		return nil
	}
	head, ok := readHead(body, &r.head, p.known)
	switch {
	case !ok:
		return damage(h.seg, h.off, "the head of a run makes no sense")
	case r.deleted:
		return damage(h.seg, h.off, "a run goes on that was deleted")
	case h.kind == kindCopy:
		r.broken, r.spans = nil, nil
	case r.broken == nil && (h.prev != r.last || h.rev <= r.head.Rev):
		r.broken = damage(h.seg, h.off, "what comes before it in the journal of its run is missing")
	}
	r.head = head
	r.head.Rev, r.head.Epoch = h.rev, h.epoch
	r.last = h.link()
	r.spend(h.seg, h.length())
	return nil
}

// finish makes the index, and the accounts of the segments.
func (p *replay) finish(f *found) error {
	f.index = newIndex()
	f.next = max(f.next, p.manifest.nextRun)
	for _, num := range slices.Sorted(maps.Keys(p.runs)) {
		r := p.runs[num]
		f.next = max(f.next, num+1)
		switch {
		case r.deleted:
			continue
		case r.broken != nil:
			return r.broken
		case f.byID[r.head.ID] != nil:
			return damage(r.last.seg, r.last.off, "there are two runs with one ID")
		}
		f.byID[r.head.ID] = r.run
		f.put(r.run)
		f.plan(r.run)
		for _, sp := range r.spans {
			f.segs[sp.seg].live += sp.bytes
		}
	}
	f.frames = p.frames
	return nil
}

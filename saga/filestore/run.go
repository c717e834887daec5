package filestore

import (
	"maps"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A run is what is kept of a run in memory: its head, and where the last frame of
// its journal is. It is guarded by Store.mu.
type run struct {
	num  uint64
	head durable.Head // as reads show it: what is synced, and claims. Rev 0: nothing is
	last link

	lease   int64 // when it is over, on the timeline; noLease, never
	pending bool  // a batch that is being written holds a frame of it
	deleted bool

	spans  []span // where its live frames are
	oldest uint32 // segment that ever held a frame of it

	heap *heap // that it is in, at place at
	at   int
}

// A span is how many bytes of a segment a run needs.
type span struct {
	seg   uint32
	bytes int64
}

// spend adds n bytes of a segment.
func (r *run) spend(seg uint32, n int64) {
	if r.oldest == 0 || seg < r.oldest {
		r.oldest = seg
	}
	if k := len(r.spans); k > 0 && r.spans[k-1].seg == seg {
		r.spans[k-1].bytes += n
		return
	}
	r.spans = append(r.spans, span{seg, n})
}

// in reports whether the run needs a segment.
func (r *run) in(seg uint32) bool {
	for _, sp := range r.spans {
		if sp.seg == seg {
			return true
		}
	}
	return false
}

// exists reports whether reads may show the run.
func (r *run) exists() bool { return r != nil && r.head.Rev > 0 && !r.deleted }

// shown is the head for a caller, who may change it.
func (r *run) shown() durable.Head {
	h := r.head
	h.Labels = maps.Clone(h.Labels)
	return h
}

// claimable reports whether a run is to be executed, now or later.
func claimable(h *durable.Head) bool {
	switch h.Status {
	case saga.Running, saga.Waiting, saga.Compensating:
		return !h.WakeAt.IsZero()
	default:
		return false
	}
}

// own is a head that shares no memory with the caller's, with times as they are
// after a restart.
func own(h durable.Head) durable.Head {
	h.WakeAt, h.CreatedAt, h.UpdatedAt = stamp(h.WakeAt), stamp(h.CreatedAt), stamp(h.UpdatedAt)
	h.Labels = maps.Clone(h.Labels)
	if len(h.Labels) == 0 {
		h.Labels = nil
	}
	return h
}

// A heap holds runs, the first of them on top. It is container/heap without its
// interfaces; every run knows its place, so that it can leave.
type heap struct {
	runs []*run
	less func(a, b *run) bool
}

// byWake is the order in which runs without a lease are claimed.
func byWake(a, b *run) bool {
	if c := a.head.WakeAt.Compare(b.head.WakeAt); c != 0 {
		return c < 0
	}
	return a.num < b.num
}

// byLease is the order in which leases end.
func byLease(a, b *run) bool { return a.lease < b.lease }

func (h *heap) top() *run {
	if len(h.runs) == 0 {
		return nil
	}
	return h.runs[0]
}

func (h *heap) add(r *run) {
	r.heap, r.at = h, len(h.runs)
	h.runs = append(h.runs, r)
	h.up(r.at)
}

func (h *heap) remove(r *run) {
	last := len(h.runs) - 1
	at := r.at
	h.swap(at, last)
	h.runs[last] = nil
	h.runs = h.runs[:last]
	r.heap = nil
	if at < last {
		h.down(at)
		h.up(at)
	}
}

func (h *heap) swap(i, j int) {
	h.runs[i], h.runs[j] = h.runs[j], h.runs[i]
	h.runs[i].at, h.runs[j].at = i, j
}

func (h *heap) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(h.runs[i], h.runs[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *heap) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(h.runs) {
			return
		}
		if child+1 < len(h.runs) && h.less(h.runs[child+1], h.runs[child]) {
			child++
		}
		if !h.less(h.runs[child], h.runs[i]) {
			return
		}
		h.swap(i, child)
		i = child
	}
}

package registry

import (
	"cmp"
	"iter"
	"slices"
)

// A Snapshot is the instances of a service at an index. It does not change, and
// is safe for concurrent use.
type Snapshot struct {
	index        uint64
	disconnected bool
	list         pages
}

// Index grows with every change that a snapshot shows; it is not dense. Later
// snapshots of a service never have a lower one.
func (s *Snapshot) Index() uint64 { return s.index }

// Len is the number of endpoints.
func (s *Snapshot) Len() int { return s.list.len }

// At is the i-th endpoint, in order of ID. It panics unless 0 <= i < Len.
func (s *Snapshot) At(i int) *Endpoint { return s.list.at(i) }

// All ranges over the endpoints, in order of ID.
func (s *Snapshot) All() iter.Seq[*Endpoint] { return s.list.all }

// Get returns the endpoint with an ID, if there is one.
func (s *Snapshot) Get(id string) (*Endpoint, bool) { return s.list.get(id) }

// Disconnected reports whether a source of this service has lost its origin, so
// that the membership may be out of date.
func (s *Snapshot) Disconnected() bool { return s.disconnected }

// pages is an immutable list of endpoints in order of ID. Up to pageMax of them
// are one page, copied as a whole when one changes; more are cut into pages, so
// that a change copies one of them and the table.
type pages struct {
	len    int
	pages  [][]*Endpoint // none is empty
	starts []int         // the position of the first of each page; nil if there is one
}

// A change copies a page and the table of pages, which is least with about as
// many bytes in the one as in the other.
const (
	flatMax = 512
	pageMax = 256
)

func (p *pages) at(i int) *Endpoint {
	if len(p.pages) == 1 {
		return p.pages[0][i]
	}
	page, found := slices.BinarySearch(p.starts, i)
	if !found {
		page--
	}
	return p.pages[page][i-p.starts[page]]
}

func (p *pages) all(yield func(*Endpoint) bool) {
	for _, page := range p.pages {
		for _, e := range page {
			if !yield(e) {
				return
			}
		}
	}
}

func (p *pages) get(id string) (*Endpoint, bool) {
	page := 0
	if len(p.pages) != 1 {
		page = p.page(id)
	}
	if page >= len(p.pages) {
		return nil, false
	}
	i, found := slices.BinarySearchFunc(p.pages[page], id, byID)
	if !found {
		return nil, false
	}
	return p.pages[page][i], true
}

func byID(e *Endpoint, id string) int { return cmp.Compare(e.in.ID, id) }

// page is the one that an ID belongs to: the last that does not begin after it.
func (p *pages) page(id string) int {
	i, found := slices.BinarySearchFunc(p.pages, id, func(page []*Endpoint, id string) int { return byID(page[0], id) })
	if !found {
		i--
	}
	return max(i, 0)
}

// An edit puts an endpoint under an ID, or takes it out.
type edit struct {
	id string
	e  *Endpoint // nil: taken out
}

// with is the list after some edits, which are in order of ID, one per ID.
func (p *pages) with(edits []edit) pages {
	size := p.len + len(edits)
	if size <= flatMax || len(p.pages) <= 1 {
		var flat []*Endpoint
		if len(p.pages) > 1 {
			flat = slices.Concat(p.pages...)
		} else if len(p.pages) == 1 {
			flat = p.pages[0]
		}
		return paged(merge(flat, edits))
	}
	next := make([][]*Endpoint, 0, len(p.pages)+len(edits)/pageMax+1)
	for done := 0; ; {
		if len(edits) == 0 {
			return assemble(append(next, p.pages[done:]...))
		}
		i := p.page(edits[0].id)
		next = append(next, p.pages[done:i]...)
		n := len(edits) // how many of them belong to this page
		if done = i + 1; done < len(p.pages) {
			n, _ = slices.BinarySearchFunc(edits, p.pages[done][0].in.ID, func(e edit, id string) int { return cmp.Compare(e.id, id) })
		}
		next = appendCut(next, merge(p.pages[i], edits[:n]))
		edits = edits[n:]
	}
}

// merge is a page after some edits; it does not touch the page.
func merge(page []*Endpoint, edits []edit) []*Endpoint {
	next := make([]*Endpoint, 0, len(page)+len(edits))
	for _, ed := range edits {
		i, found := slices.BinarySearchFunc(page, ed.id, byID)
		next = append(next, page[:i]...)
		if ed.e != nil {
			next = append(next, ed.e)
		}
		if found {
			i++
		}
		page = page[i:]
	}
	return append(next, page...)
}

// paged cuts a list into pages if it is long.
func paged(list []*Endpoint) pages {
	switch {
	case len(list) == 0:
		return pages{}
	case len(list) <= flatMax:
		return assemble([][]*Endpoint{list})
	}
	return assemble(cut(nil, list))
}

// appendCut adds a page, in two halves if it has grown too long.
func appendCut(all [][]*Endpoint, page []*Endpoint) [][]*Endpoint {
	switch {
	case len(page) == 0:
		return all
	case len(page) <= 2*pageMax:
		return append(all, page)
	}
	return cut(all, page)
}

// cut adds the pages of a list. They are copies, since parts of one array would
// keep all that it refers to.
func cut(all [][]*Endpoint, list []*Endpoint) [][]*Endpoint {
	for page := range slices.Chunk(list, pageMax) {
		all = append(all, slices.Clone(page))
	}
	return all
}

func assemble(all [][]*Endpoint) pages {
	if len(all) == 1 {
		return pages{len: len(all[0]), pages: all}
	}
	p := pages{pages: all, starts: make([]int, len(all))}
	for i, page := range all {
		p.starts[i] = p.len
		p.len += len(page)
	}
	return p
}

// slice is a copy of the list.
func (p *pages) slice() []*Endpoint { return slices.Concat(p.pages...) }

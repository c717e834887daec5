package registry

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plain is a list of pages, and the map that it has to be equal to.
type plain struct {
	t    *testing.T
	p    pages
	want map[string]*Endpoint
	lazy bool // nothing is checked
}

func newPlain(t *testing.T) *plain {
	t.Helper()
	return &plain{t: t, want: make(map[string]*Endpoint)}
}

// key is the ID of the i-th endpoint; there is always room for others between.
func key(i int) string { return fmt.Sprintf("%07d", i) }

// apply makes edits, of IDs to endpoints, and checks everything.
func (l *plain) apply(edits map[string]*Endpoint) {
	l.t.Helper()
	before, old := l.p, l.p.slice()
	var list []edit
	for _, id := range slices.Sorted(maps.Keys(edits)) {
		list = append(list, edit{id, edits[id]})
		if edits[id] != nil {
			l.want[id] = edits[id]
		} else {
			delete(l.want, id)
		}
	}
	l.p = l.p.with(list)
	if l.lazy {
		return
	}
	l.check(edits)
	require.True(l.t, slices.Equal(old, before.slice()), "the list before is as it was")
}

func (l *plain) check(edits map[string]*Endpoint) {
	l.t.Helper()
	all := make([]*Endpoint, 0, len(l.want))
	for _, id := range slices.Sorted(maps.Keys(l.want)) {
		all = append(all, l.want[id])
	}
	p := &l.p
	require.Equal(l.t, len(all), p.len)
	require.True(l.t, slices.Equal(all, p.slice()), "slice")
	require.True(l.t, slices.Equal(all, slices.Collect(p.all)), "all")
	// A long list is looked at here and there, by a step that no page is a multiple of.
	for i := 0; i < len(all); i += 1 + len(all)/501 {
		e := all[i]
		if p.at(i) != e {
			require.Failf(l.t, "at", "%d of %d", i, len(all))
		}
		if got, ok := p.get(e.in.ID); got != e || !ok {
			require.Failf(l.t, "get", "%s of %d", e.in.ID, len(all))
		}
	}
	var walked []*Endpoint
	for c := p.cursor(); c.cur() != nil; c.next() {
		walked = append(walked, c.cur())
	}
	require.True(l.t, slices.Equal(all, walked), "cursor")
	probe := func(id string) {
		e, ok := p.get(id)
		require.Equal(l.t, l.want[id], e, id)
		require.Equal(l.t, l.want[id] != nil, ok, id)
	}
	for id := range edits {
		probe(id)
		probe(id + "+")
		probe(id[:len(id)-1])
	}
	probe("")
	probe("~")
	for _, i := range []int{-1, p.len} {
		require.Panics(l.t, func() { p.at(i) })
	}
	for i, page := range p.pages {
		require.NotEmpty(l.t, page)
		require.True(l.t, len(p.pages) == 1 || len(page) <= 2*pageMax, "page %d has %d", i, len(page))
	}
	require.True(l.t, len(p.pages) != 1 || p.len <= flatMax)
}

func endpoint(id string) *Endpoint { return &Endpoint{in: &Instance{ID: id}} }

// grow makes a list of the first n keys, in one go.
func (l *plain) grow(n int) {
	edits := make(map[string]*Endpoint, n)
	for i := range n {
		edits[key(i)] = endpoint(key(i))
	}
	l.apply(edits)
}

// edit makes n edits at random, of which a share takes out what is there.
func (l *plain) edit(rnd *rand.Rand, n int, out float64) {
	ids := slices.Sorted(maps.Keys(l.want))
	edits := make(map[string]*Endpoint, n)
	for range n {
		switch {
		case len(ids) > 0 && rnd.Float64() < out:
			edits[ids[rnd.IntN(len(ids))]] = nil
		case len(ids) > 0 && rnd.IntN(3) > 0:
			id := ids[rnd.IntN(len(ids))]
			edits[id] = endpoint(id)
		default:
			id := key(rnd.IntN(1_000_000)) + strings.Repeat("x", rnd.IntN(2))
			edits[id] = endpoint(id)
		}
	}
	l.apply(edits)
}

// All sizes around those at which pages are cut or made one again.
func TestPages(t *testing.T) {
	for _, n := range []int{0, 1, 2, pageMax - 1, pageMax, pageMax + 1, flatMax - 1, flatMax, flatMax + 1, 2*flatMax + 1} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			l := newPlain(t)
			l.grow(n)
			l.apply(nil)
			ids := []string{key(0), key(n / 2), key(n/2) + "x", key(max(0, n-1)), key(n), "zzz"}
			if n >= flatMax-1 {
				ids = ids[2:4]
			}
			for _, id := range ids {
				l.apply(map[string]*Endpoint{id: endpoint(id)})
				l.apply(map[string]*Endpoint{id: endpoint(id), id + "a": endpoint(id + "a")})
				l.apply(map[string]*Endpoint{id: nil, id + "a": nil})
				l.apply(map[string]*Endpoint{id: nil}) // it is not there
			}
			all := make(map[string]*Endpoint)
			for id := range l.want {
				all[id] = nil
			}
			l.apply(all)
			assert.Zero(t, l.p.len)
			l.grow(n)
		})
	}
}

// A long list that grows and shrinks, one by one and many at a time.
func TestPagesAtRandom(t *testing.T) {
	for seed := range uint64(2) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		l := newPlain(t)
		l.grow(rnd.IntN(2 * flatMax))
		for range 30 {
			l.edit(rnd, 1<<rnd.IntN(12), rnd.Float64())
		}
	}
}

// What one page holds changes one page; the others are shared, so that a change
// of a long list costs little, and telling two lists apart too.
func TestPagesAreShared(t *testing.T) {
	l := newPlain(t)
	l.grow(20 * pageMax)
	before := l.p
	l.apply(map[string]*Endpoint{key(5 * pageMax): endpoint(key(5 * pageMax))})
	other := 0
	for i := range l.p.pages {
		if &l.p.pages[i][0] != &before.pages[i][0] {
			other++
		}
	}
	assert.Equal(t, 1, other)
}

// A delta leads from one list to another, whatever they share.
func TestDelta(t *testing.T) {
	for _, n := range []int{0, 10, flatMax - 5, flatMax + 5, 2 * flatMax} {
		for seed := range uint64(6) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			l := newPlain(t)
			l.lazy = true
			l.grow(n)
			index := uint64(1)
			from := &Snapshot{index: index, list: l.p}
			old := maps.Clone(l.want)
			for range rnd.IntN(4) {
				index++
				was := maps.Clone(l.want)
				l.edit(rnd, 1+rnd.IntN(300), rnd.Float64())
				for id, e := range l.want {
					if e != was[id] {
						e.changed, e.fate = index, new(fate)
						if rnd.IntN(4) == 0 && was[id] != nil {
							e.changed = was[id].changed // only the generation is another
						}
					}
				}
				for _, e := range was {
					if e.fate == nil {
						e.fate = new(fate)
					}
				}
			}
			u := delta(from, &Snapshot{index: index, list: l.p})
			var added, changed, removed []string
			for _, e := range u.Added {
				added = append(added, e.in.ID)
			}
			for _, e := range u.Changed {
				assert.Same(t, l.want[e.in.ID], e)
				changed = append(changed, e.in.ID)
			}
			for _, r := range u.Removed {
				assert.Same(t, old[r.Endpoint.in.ID], r.Endpoint)
				removed = append(removed, r.Endpoint.in.ID)
			}
			var wantAdded, wantChanged, wantRemoved []string
			for _, id := range slices.Sorted(maps.Keys(l.want)) {
				switch o := old[id]; {
				case o == nil:
					wantAdded = append(wantAdded, id)
				case o.changed != l.want[id].changed:
					wantChanged = append(wantChanged, id)
				}
			}
			for _, id := range slices.Sorted(maps.Keys(old)) {
				if l.want[id] == nil {
					wantRemoved = append(wantRemoved, id)
				}
			}
			require.Equal(t, wantAdded, added)
			require.Equal(t, wantChanged, changed)
			require.Equal(t, wantRemoved, removed)
		}
	}
}

package eventbus

import (
	"iter"
	"maps"
)

// A keyed is the queue of a subscription with several workers. Elements of one
// key are handed out one at a time and in order: the next is ready once the one
// before is done. One with the key "" is always ready. Replayed elements come
// from history and are never dropped. Pure: the caller holds the lock.
//
// Ready elements take turns in the order in which they became ready: on
// arrival, or when the one before was done. (By age would cost a heap.) So an
// element waits for those ahead of it and no others: no key starves. If one is
// dropped while ready, the next of its key inherits its turn.
type keyed[E any] struct {
	past, live  row[E]               // what waits, by age: replayed, and not
	turns       row[E]               // what is ready
	tracks      map[string]*track[E] // of keys with elements waiting or handed out
	most        int                  // tracks at once since the map was made
	next        int64                // index of the next push
	spareNodes  spares[node[E]]
	spareTracks spares[track[E]]
}

// A track is what is known of one key.
type track[E any] struct {
	row[E] // what waits, by age
	key    string
	active bool // one is handed out and not done
}

// A node is one waiting element.
type node[E any] struct {
	e          E
	index      int64
	age        *row[E]
	track      *track[E] // nil without key
	prev, next [links]*node[E]
}

const (
	byAge  = iota // past or live
	byKey         // the track
	byTurn        // turns
	links         // how many rows a node may be in
)

const (
	maxSpares  = 1024 // kept of a kind: a queue of the default capacity allocates nothing
	keepTracks = 1024 // a map that never held more is not worth giving back
)

func newKeyed[E any]() *keyed[E] { return &keyed[E]{tracks: make(map[string]*track[E])} }

func (k *keyed[E]) len() int    { return k.past.n + k.live.n }
func (k *keyed[E]) fresh() int  { return k.live.n } // not replayed
func (k *keyed[E]) ready() bool { return k.turns.n > 0 }

// oldest is the index of the oldest waiting element, ready or not.
func (k *keyed[E]) oldest() (index int64, ok bool) {
	x, y := k.past.head, k.live.head
	if x == nil || y != nil && y.index < x.index {
		x = y
	}
	if x == nil {
		return 0, false
	}
	return x.index, true
}

// unreplayed are the waiting elements that are not replayed, by age, with their keys.
func (k *keyed[E]) unreplayed() iter.Seq2[E, string] {
	return func(yield func(E, string) bool) {
		for x := k.live.head; x != nil; x = x.next[byAge] {
			key := ""
			if x.track != nil {
				key = x.track.key
			}
			if !yield(x.e, key) {
				return
			}
		}
	}
}

// push appends. Indices count all that was ever pushed, from 0.
func (k *keyed[E]) push(key string, replayed bool, e E) {
	x := k.spareNodes.get()
	x.e, x.index, x.age = e, k.next, &k.live
	if replayed {
		x.age = &k.past
	}
	k.next++
	x.age.insert(byAge, x, nil)
	if key != "" {
		t := k.tracks[key]
		if t == nil {
			t = k.spareTracks.get()
			t.key, k.tracks[key] = key, t
			k.most = max(k.most, len(k.tracks))
		}
		x.track = t
		t.insert(byKey, x, nil)
	}
	if x.ready() {
		k.turns.insert(byTurn, x, nil)
	}
}

// take hands out the ready element whose turn it is. No other of its key is
// handed out before done is called with that key.
func (k *keyed[E]) take() (e E, key string, index int64, ok bool) {
	x := k.turns.head
	if x == nil {
		return e, "", 0, false
	}
	k.turns.remove(byTurn, x)
	if x.track != nil {
		x.track.active, key = true, x.track.key
	}
	index = x.index
	return k.release(x), key, index, true
}

// done says that the element of key that was handed out is finished. If there
// is none, and for "", it does nothing.
func (k *keyed[E]) done(key string) {
	if t := k.tracks[key]; t != nil && t.active {
		t.active = false
		if t.n > 0 {
			k.turns.insert(byTurn, t.head, nil)
		}
		k.forget(t)
	}
}

// dropOldest removes the oldest waiting element that is not replayed.
func (k *keyed[E]) dropOldest() (e E, ok bool) { return k.drop(k.live.head) }

// dropReplayed removes the oldest waiting element that is replayed.
func (k *keyed[E]) dropReplayed() (e E, ok bool) { return k.drop(k.past.head) }

func (k *keyed[E]) drop(x *node[E]) (e E, ok bool) {
	if x == nil {
		return e, false
	}
	if x.ready() {
		if heir := x.next[byKey]; heir != nil {
			k.turns.insert(byTurn, heir, x)
		}
		k.turns.remove(byTurn, x)
	}
	return k.release(x), true
}

// clear drops everything that waits, with the memory, and returns how many that
// were. What is handed out stays so until done; indices go on.
func (k *keyed[E]) clear() int {
	n, active := k.len(), make(map[string]*track[E])
	for key, t := range k.tracks {
		if t.active {
			active[key] = &track[E]{key: key, active: true}
		}
	}
	*k = keyed[E]{tracks: active, most: len(active), next: k.next}
	return n
}

// release ends the life of a node that has no turn any more.
func (k *keyed[E]) release(x *node[E]) E {
	e := x.e
	x.age.remove(byAge, x)
	if t := x.track; t != nil {
		t.remove(byKey, x)
		k.forget(t)
	}
	k.spareNodes.put(x)
	return e
}

// forget ends the life of a track of which nothing waits or is handed out.
func (k *keyed[E]) forget(t *track[E]) {
	if t.n == 0 && !t.active {
		delete(k.tracks, t.key)
		k.spareTracks.put(t)
		// Deleting frees no memory of a map. That of a burst of keys goes now;
		// three times as many deletions have paid for it.
		if k.most > keepTracks && len(k.tracks) <= k.most/4 {
			k.tracks, k.most = maps.Collect(maps.All(k.tracks)), len(k.tracks)
		}
	}
}

// ready reports whether x is waiting for nothing but its turn.
func (x *node[E]) ready() bool { return x.track == nil || x.track.head == x && !x.track.active }

// A row is a list from the middle of which a node can be taken out.
type row[E any] struct {
	head, tail *node[E]
	n          int
}

// insert puts x before next, or at the end if next is nil.
func (r *row[E]) insert(by int, x, next *node[E]) {
	prev := r.tail
	if next != nil {
		prev = next.prev[by]
	}
	r.join(by, prev, x)
	r.join(by, x, next)
	r.n++
}

// remove leaves the links of x as they are: it is about to be cleared.
func (r *row[E]) remove(by int, x *node[E]) {
	r.join(by, x.prev[by], x.next[by])
	r.n--
}

// join makes a and b neighbours; nil is the end of the row.
func (r *row[E]) join(by int, a, b *node[E]) {
	if a != nil {
		a.next[by] = b
	} else {
		r.head = b
	}
	if b != nil {
		b.prev[by] = a
	} else {
		r.tail = a
	}
}

// A spares keeps a few objects, cleared, for use again.
type spares[T any] []*T

func (s *spares[T]) get() (x *T) {
	if last := len(*s) - 1; last >= 0 {
		x, (*s)[last], *s = (*s)[last], nil, (*s)[:last]
		return x
	}
	return new(T)
}

func (s *spares[T]) put(x *T) {
	*x = *new(T)
	if len(*s) < maxSpares {
		*s = append(*s, x)
	}
}

package eventbus

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Scripts of calls and what they give:
//
//	+a   push with key a       +a*  one that is replayed       +.   one without key
//	<a0  take gives index 0 of key a                           <-   and nothing
//	/a   done of key a         x0   dropOldest gives index 0   x-   and nothing
//	c2   clear gives 2         =3,2,0  len, fresh, oldest index, or - for none
//
// Elements are their own indices.
func TestKeyed(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"new", "=0,0,- <- x- c0 /a =0,0,-"},
		{"without key", "+. +. +. =3,3,0 <.0 <.1 =1,1,2 <.2 <- =0,0,-"},
		{"one key at a time", "+a +a <a0 <- =1,1,1 /a <a1 <- /a <- =0,0,-"},
		{"keys side by side", "+a +b +a +b <a0 <b1 <- /b <b3 <- /a <a2 <-"},
		{"no key is never held up", "+a <a0 +a +. +. <.2 <.3 <- /a <a1"},
		{"key comes back", "+a <a0 /a +a <a1 /a =0,0,-"},
		{"pushed while active", "+a <a0 +a <- /a <a1"},
		{"oldest first", "+c +a +b +. <c0 <a1 <b2 <.3"},
		{"turn on getting ready, not by age", "+a +a +b +b <a0 /a <b2 <a1 /b <b3"},
		{"a busy key takes turns", "+a +a +a +b +c <a0 /a <b3 <c4 <a1 /a <a2"},
		{"done of nothing", "+a /a /b /. <a0 /b +a <- /a /a <a1"},
		{"done of no key", "+. +. <.0 /. <.1 /. =0,0,-"},

		{"replayed ones do not count", "+a* +b* +a +b =4,2,0 <a0 <b1 =2,2,2"},
		{"replayed one pushed late", "+a +a* +b* =3,1,0 <a0 =2,0,1 <b2 =1,0,1 /a <a1"},
		{"oldest of either kind", "+.* +. +.* +. =4,2,0 <.0 =3,2,1 <.1 =2,1,2 <.2 =1,1,3 <.3 =0,0,-"},

		{"drop", "+a +b +. x0 =2,2,1 x1 x2 x- <- =0,0,-"},
		{"drop no replayed one", "+.* +. +.* x1 x- =2,0,0 <.0 <.2"},
		{"drop behind a replayed one of its key", "+a* +a +a x1 =2,1,0 <a0 /a <a2"},
		{"drop between two of its key", "+a* +a +a* x1 <a0 /a <a2 /a =0,0,-"},
		{"drop what waits for an active one", "+a +a +a <a0 x1 =1,1,2 <- /a <a2"},
		{"drop all behind an active one", "+a +a <a0 x1 <- /a <- =0,0,- +a <a2"},
		{"the next of the key inherits the turn", "+a +b +a x0 <a2 <b1"},
		{"inherited by a younger, replayed one", "+a +b +a* x0 <a2 <b1"},
		{"inherited in the middle", "+a +b +c +b <a0 x1 <b3 <c2"},
		{"inherited at the end", "+a +b +b <a0 x1 +c <b2 <c3"},
		{"none to inherit", "+a +b +c <a0 x1 <c2 <-"},

		{"clear", "+a +b* +. c3 =0,0,- <- x- +a <a3"},
		{"clear while active", "+a +a +b <a0 c2 +a +b <b4 <- /a <a3"},
		{"clear while active, then done", "+a +a <a0 c1 /a <- +a <a2"},
		{"clear twice", "+a <a0 +a c1 c0 +a =1,1,2 <- /a <a2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyed[int64]()
			pushed := int64(0)
			num := func(i int64, ok bool) string {
				if !ok {
					return "-"
				}
				return fmt.Sprint(i)
			}
			for at, step := range strings.Fields(c.script) {
				op, arg := step[0], step[1:]
				what := fmt.Sprintf("step %d: %s", at+1, step)
				name, replayed := strings.CutSuffix(strings.TrimPrefix(arg, "."), "*")
				switch op {
				case '+':
					k.push(name, replayed, pushed)
					pushed++
				case '<':
					assert.Equal(t, arg != "-", k.ready(), what)
					e, key, i, ok := k.take()
					got := "-"
					if ok {
						assert.Equal(t, i, e, what)
						got = fmt.Sprint(max(key, "."), i)
					} else {
						assert.Zero(t, e, what)
						assert.Empty(t, key, what)
					}
					assert.Equal(t, arg, got, what)
				case '/':
					k.done(name)
				case 'x':
					assert.Equal(t, arg, num(k.dropOldest()), what)
				case 'c':
					assert.Equal(t, arg, fmt.Sprint(k.clear()), what)
				case '=':
					assert.Equal(t, arg, fmt.Sprintf("%d,%d,%s", k.len(), k.fresh(), num(k.oldest())), what)
				default:
					t.Fatal(what)
				}
				checkKeyed(t, k)
			}
		})
	}
}

// checkKeyed walks through everything that k consists of.
func checkKeyed[E comparable](t *testing.T, k *keyed[E]) {
	t.Helper()
	walk := func(c *row[E], by int) (all []*node[E]) {
		var last *node[E]
		for x := c.head; x != nil; last, x = x, x.next[by] {
			if x.prev[by] != last || by != byTurn && last != nil && last.index >= x.index {
				t.Fatal("a row is broken or out of order")
			}
			all = append(all, x)
		}
		if c.tail != last || c.n != len(all) {
			t.Fatal("a row has a wrong end or length")
		}
		return all
	}
	turns := make(map[*node[E]]bool)
	for _, x := range walk(&k.turns, byTurn) {
		turns[x] = true
	}
	keyless, ready, inTracks := 0, 0, 0
	for _, c := range []*row[E]{&k.past, &k.live} {
		for _, x := range walk(c, byAge) {
			if x.age != c || x.track != nil && k.tracks[x.track.key] != x.track {
				t.Fatal("a node belongs elsewhere")
			}
			if x.track == nil {
				keyless++
			}
			if x.ready() {
				ready++
			}
			if x.ready() != turns[x] {
				t.Fatalf("index %d: ready is %v, has a turn is %v", x.index, x.ready(), turns[x])
			}
		}
	}
	for key, l := range k.tracks {
		if key == "" || l.key != key || l.n == 0 && !l.active {
			t.Fatalf("track of %q: key %q, %d waiting, active %v", key, l.key, l.n, l.active)
		}
		inTracks += len(walk(&l.row, byKey))
	}
	if len(turns) != ready || keyless+inTracks != k.len() {
		t.Fatalf("%d turns for %d ready ones; %d + %d waiting of %d", len(turns), ready, keyless, inTracks, k.len())
	}

	// Memory: what is spare is empty, little, and known only once.
	if k.most < len(k.tracks) || k.most > keepTracks && k.most >= 4*(len(k.tracks)+1) {
		t.Fatalf("a map that held %d tracks holds %d", k.most, len(k.tracks))
	}
	checkSpares(t, k.spareNodes)
	for _, l := range checkSpares(t, k.spareTracks) {
		if *l != (track[E]{}) {
			t.Fatal("a spare track is not empty")
		}
	}
	for _, x := range k.spareNodes {
		if *x != (node[E]{}) {
			t.Fatal("a spare node is not empty")
		}
	}
}

func checkSpares[T any](t *testing.T, s spares[T]) spares[T] {
	t.Helper()
	seen := make(map[*T]bool)
	for _, x := range s {
		seen[x] = true
	}
	if len(seen) != len(s) || len(s) > maxSpares || cap(s) > 2*maxSpares {
		t.Fatalf("%d spares, %d different, cap %d", len(s), len(seen), cap(s))
	}
	for _, x := range s[len(s):cap(s)] {
		if x != nil {
			t.Fatal("what is no longer spare is still held")
		}
	}
	return s
}

// However much of one key waits, others come before its second element.
func TestKeyedStarvesNobody(t *testing.T) {
	k := newKeyed[int]()
	for i := range 1000 {
		k.push("busy", false, i)
	}
	k.push("a", false, 1000)
	k.push("", false, 1001)
	var order []int
	for range 4 {
		e, key, _, ok := k.take()
		require.True(t, ok)
		k.push("busy", false, -1)
		k.done(key)
		order = append(order, e)
	}
	assert.Equal(t, []int{0, 1000, 1001, 1}, order)
}

// G41: after a burst memory goes back, even while a few keys stay active.
func TestKeyedGivesMemoryBack(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	const keys = 50_000
	for _, c := range []struct {
		name  string
		empty func(k *keyed[int])
	}{
		{"taken", func(k *keyed[int]) {
			for i := range keys {
				_, key, _, ok := k.take()
				require.True(t, ok)
				if i >= 10 {
					k.done(key)
				}
			}
		}},
		{"taken, done later", func(k *keyed[int]) {
			var running []string
			for range keys {
				_, key, _, ok := k.take()
				require.True(t, ok)
				running = append(running, key)
			}
			for _, key := range running[10:] {
				k.done(key)
			}
		}},
		{"dropped", func(k *keyed[int]) {
			for range 10 {
				k.take()
			}
			for range keys - 10 {
				_, ok := k.dropOldest()
				require.True(t, ok)
			}
		}},
		{"cleared", func(k *keyed[int]) {
			for range 10 {
				k.take()
			}
			require.Equal(t, keys-10, k.clear())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := heap()
			k := newKeyed[int]()
			for i := range keys {
				k.push(fmt.Sprint("a key of some length ", i), false, i)
			}
			full := heap()
			c.empty(k)
			after := heap()
			checkKeyed(t, k)
			assert.Len(t, k.tracks, 10)
			assert.LessOrEqual(t, k.most, keepTracks)
			held := max(after, before) - before
			t.Logf("%d bytes of %d are left", held, full-before)
			assert.Less(t, held, uint64(256<<10))
			runtime.KeepAlive(k)
		})
	}
}

// The map is not made anew more often than deletions pay for.
func TestKeyedDoesNotThrash(t *testing.T) {
	k := newKeyed[int]()
	made, most, next := 0, 0, 0
	step := func(pushes, takes int) {
		for range pushes {
			k.push(fmt.Sprint(next), false, next)
			next++
		}
		most = k.most
		for range takes {
			_, key, _, _ := k.take()
			if k.done(key); k.most < most {
				made++
			}
			most = k.most
		}
	}
	step(8000, 6000) // to a quarter
	assert.Equal(t, 1, made)
	assert.Equal(t, 2000, k.most)
	for range 100 {
		step(50, 100)
		step(100, 50)
	}
	assert.Equal(t, 1, made)
	step(0, 2000)
	assert.Equal(t, 2, made)
	for range 100 {
		step(keepTracks-k.len(), keepTracks)
	}
	assert.Equal(t, 2, made, "so few are kept")
}

// G41: what was taken, dropped or cleared is garbage although the queue lives
// and the key is active.
func TestKeyedLetsGo(t *testing.T) {
	k := newKeyed[*[64]byte]()
	var made []weak.Pointer[[64]byte]
	for i := range 300 {
		e := new([64]byte)
		made = append(made, weak.Make(e))
		k.push([]string{"", "a", "b"}[i%3], i%2 == 0, e)
	}
	dead := func() (n int) {
		runtime.GC()
		for _, p := range made {
			if p.Value() == nil {
				n++
			}
		}
		return n
	}
	assert.Zero(t, dead())
	for range 80 { // more than are spared
		_, key, _, ok := k.take()
		require.True(t, ok)
		if key == "a" {
			k.done(key)
		}
	}
	assert.Equal(t, 80, dead())
	for range 80 {
		_, ok := k.dropOldest()
		require.True(t, ok)
	}
	assert.Equal(t, 160, dead())
	assert.Equal(t, 140, k.clear())
	assert.Equal(t, 300, dead())
	assert.Len(t, k.tracks, 1, "b is active")
	runtime.KeepAlive(k)
}

// G42: as long as no more than the spares come and go, nothing is allocated.
func TestKeyedAllocations(t *testing.T) {
	for _, c := range []struct {
		name          string
		keys, waiting int
	}{
		{"no key", 0, maxSpares},
		{"few keys", 4, maxSpares},
		{"keys of their own", maxSpares, maxSpares},
		{"one by one behind a thousand", 100, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeyed[[3]int]()
			names := make([]string, max(c.keys, 1))
			for i := range c.keys {
				names[i] = fmt.Sprint("k", i)
			}
			if c.waiting == 1 {
				for i := range 1000 {
					k.push(names[i%c.keys], false, [3]int{})
				}
			}
			at := 0
			round := func() {
				for range c.waiting {
					k.push(names[at%len(names)], false, [3]int{})
					at++
				}
				for range c.waiting / 2 {
					k.dropOldest()
				}
				for range c.waiting - c.waiting/2 {
					_, key, _, _ := k.take()
					k.done(key)
				}
			}
			for range 100 {
				round()
			}
			held := k.len()
			assert.Zero(t, testing.AllocsPerRun(100, round))
			assert.Equal(t, held, k.len())
		})
	}
}

package eventbus

import (
	"fmt"
	"math/rand/v2"
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

// A keyedModel is a keyed the naive way: one slice by age. since is when an
// element became ready, 0 if it is not.
type keyedModel struct {
	waiting []modelItem
	active  map[string]bool
	now     int
	next    int64
}

type modelItem struct {
	e        *int64
	key      string
	index    int64
	replayed bool
	since    int
}

// settle gives all that are ready and were not the time since, or now.
func (m *keyedModel) settle(since int) {
	m.now++
	if since == 0 {
		since = m.now
	}
	met := make(map[string]bool)
	for i := range m.waiting {
		x := &m.waiting[i]
		if x.key == "" || !m.active[x.key] && !met[x.key] {
			if x.since == 0 {
				x.since = since
			}
		}
		met[x.key] = true
	}
}

func (m *keyedModel) remove(i int) modelItem {
	x := m.waiting[i]
	m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
	return x
}

func (m *keyedModel) push(key string, replayed bool, e *int64) {
	m.waiting = append(m.waiting, modelItem{e: e, key: key, index: m.next, replayed: replayed})
	m.next++
	m.settle(0)
}

func (m *keyedModel) take() (modelItem, bool) {
	turn := -1
	for i, x := range m.waiting {
		if x.since > 0 && (turn < 0 || x.since < m.waiting[turn].since) {
			turn = i
		}
	}
	if turn < 0 {
		return modelItem{}, false
	}
	x := m.remove(turn)
	if x.key != "" {
		m.active[x.key] = true
	}
	m.settle(0)
	return x, true
}

func (m *keyedModel) done(key string) {
	delete(m.active, key)
	m.settle(0)
}

func (m *keyedModel) dropOldest() (modelItem, bool) {
	for i, x := range m.waiting {
		if !x.replayed {
			m.remove(i)
			m.settle(x.since)
			return x, true
		}
	}
	return modelItem{}, false
}

func (m *keyedModel) clear() int {
	n := len(m.waiting)
	m.waiting = nil
	return n
}

// Any calls do what they do with the naive model. Apart from it, of each key one
// at a time is handed out, in order; nothing is given twice or lost; and nothing
// ready waits for longer than those ahead of it (G4).
func TestKeyedAgainstModel(t *testing.T) {
	for _, c := range []struct {
		name                       string
		calls, keys, room, workers int
	}{
		{"no room", 60_000, 3, 2, 2},
		{"one key", 60_000, 1, 20, 2},
		{"few keys", 100_000, 4, 40, 8},
		{"many keys", 60_000, 100, 100, 4},
		{"mostly fresh keys", 20_000, 10_000, 150, 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			runKeyed(t, rand.New(rand.NewPCG(seed, 0)), c.calls, c.keys, c.room, c.workers)
		})
	}
}

func runKeyed(t *testing.T, rng *rand.Rand, calls, keys, room, workers int) {
	t.Helper()
	k := newKeyed[*int64]()
	m := &keyedModel{active: make(map[string]bool)}
	running := []string{}            // keys handed out, "" too
	last := make(map[string]int64)   // index last handed out of a key
	patience := make(map[*int64]int) // of a ready element: the take by which it must be out
	names := make([]string, keys+1)
	for i := range keys {
		names[i+1] = fmt.Sprint("k", i)
	}
	out, longest := 0, 0
	share := 0
	for at := range calls {
		if at%1000 == 0 {
			share = 20 + rng.IntN(61) // of pushes, in percent
		}
		switch dice := rng.Float64(); {
		case rng.IntN(4000) == 0:
			require.Equal(t, m.clear(), k.clear())
			require.Empty(t, k.spareNodes)
			clear(patience)
		case rng.IntN(100) < share:
			if k.fresh() >= room {
				dropBoth(t, k, m, patience, &out)
			}
			e, key := new(int64), names[rng.IntN(len(names))]
			*e = m.next
			replayed := rng.IntN(10) == 0 && k.len()-k.fresh() < room
			k.push(key, replayed, e)
			m.push(key, replayed, e)
		case dice < 0.5 && len(running) < workers:
			e, key, index, ok := k.take()
			x, want := m.take()
			if ok != want || e != x.e || key != x.key || index != x.index {
				t.Fatalf("call %d: take gives %d of %q, %v; not %d of %q, %v", at, index, key, ok, x.index, x.key, want)
			}
			if !ok {
				break
			}
			out++
			if before, ok := last[key]; key != "" && ok && before >= index {
				t.Fatalf("call %d: index %d of %q after %d", at, index, key, before)
			}
			for _, r := range running {
				if key != "" && r == key {
					t.Fatalf("call %d: two of %q at once", at, key)
				}
			}
			last[key] = index
			running = append(running, key)
			delete(patience, e)
			for other := range patience {
				if patience[other]--; patience[other] <= 0 {
					t.Fatalf("call %d: index %d was passed by one that got ready later", at, *other)
				}
			}
		case dice < 0.95:
			key := names[rng.IntN(len(names))] // mostly of none
			if n := len(running); n > 0 && rng.IntN(10) > 0 {
				i := rng.IntN(n)
				key = running[i]
				running = append(running[:i], running[i+1:]...)
			} else if m.active[key] {
				break
			}
			k.done(key)
			m.done(key)
		default:
			dropBoth(t, k, m, patience, &out)
		}

		fresh, ready := 0, 0
		for _, x := range m.waiting {
			if !x.replayed {
				fresh++
			}
			if x.since > 0 {
				ready++
			}
		}
		for _, x := range m.waiting {
			if _, ok := patience[x.e]; !ok && x.since > 0 {
				patience[x.e] = ready
			}
		}
		if k.len() != len(m.waiting) || k.fresh() != fresh || k.ready() != (ready > 0) {
			t.Fatalf("call %d: %d, %d, %v; not %d, %d, %d", at, k.len(), k.fresh(), k.ready(), len(m.waiting), fresh, ready)
		}
		longest = max(longest, k.len())
		index, ok := k.oldest()
		if ok != (len(m.waiting) > 0) || ok && index != m.waiting[0].index {
			t.Fatalf("call %d: oldest is %d, %v", at, index, ok)
		}
		if at%7 == 0 {
			known := make(map[string]bool)
			for _, x := range m.waiting {
				known[x.key] = true
			}
			for key := range m.active {
				known[key] = true
			}
			delete(known, "")
			require.Len(t, k.tracks, len(known))
			checkKeyed(t, k)
		}
	}

	for _, key := range running {
		k.done(key)
		m.done(key)
	}
	for k.ready() {
		_, key, index, _ := k.take()
		x, _ := m.take()
		require.Equal(t, x.index, index)
		k.done(key)
		m.done(key)
	}
	require.Empty(t, m.waiting)
	require.Zero(t, k.len())
	require.Empty(t, k.tracks)
	checkKeyed(t, k)
	t.Logf("%d calls: %d pushed, %d taken or dropped, up to %d waiting", calls, m.next, out, longest)
}

func dropBoth(t *testing.T, k *keyed[*int64], m *keyedModel, patience map[*int64]int, out *int) {
	t.Helper()
	e, ok := k.dropOldest()
	x, want := m.dropOldest()
	if ok != want || e != x.e {
		t.Fatalf("dropOldest gives %v, not %v, or another", ok, want)
	}
	if ok {
		*out++
		delete(patience, e)
	}
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

package eventbus

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

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

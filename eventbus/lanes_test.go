package eventbus

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// What lanes and ring keep about all cursors, so as not to look at each, must be
// what a look at each would tell. Random cursors join, move on and leave while
// events are put, and after each step everything is worked out anew.
func TestLanes_againstALookAtEach(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 8))
		r := newRing[int64](rng.IntN(3) * rng.IntN(20))
		var cursors []*cursor
		join := func() {
			c := &cursor{policy: []Overflow{Block, DropOldest, Fail}[rng.IntN(3)], limit: int64(1 + rng.IntN(6))}
			from := r.next
			if rng.IntN(3) == 0 {
				from = max(1, r.next-r.retained())
			}
			c.next, c.from, c.free = from, from, r.next
			r.join(c)
			cursors = append(cursors, c)
		}
		for range 300 {
			switch op := rng.IntN(10); {
			case op == 0 || len(cursors) == 0:
				join()
			case op == 1:
				i := rng.IntN(len(cursors))
				r.leave(cursors[i])
				r.tidy()
				cursors[i] = cursors[len(cursors)-1]
				cursors = cursors[:len(cursors)-1]
			case op < 6:
				if r.fits(1) {
					r.put(origin{}, r.next)
				}
			default:
				c := cursors[rng.IntN(len(cursors))]
				waiting, lost := r.waiting(c)
				before := make(map[int64]int64)
				for s := r.first; s < r.next; s++ {
					before[s] = r.data[s&r.mask]
				}
				first, taken, gone := r.advance(c, int64(1+rng.IntN(4)))
				require.Equal(t, lost, gone)
				require.LessOrEqual(t, taken, waiting)
				for s := first; s < first+taken; s++ {
					require.Equal(t, s, before[s], "seed %d: an event that is still needed is gone", seed)
				}
				r.tidy()
			}
			checkLanes(t, &r, cursors)
		}
	}
}

func checkLanes(t *testing.T, r *ring[int64], cursors []*cursor) {
	t.Helper()
	caught, lowest := 0, r.next
	for _, c := range cursors {
		require.Same(t, c, r.cursors[c.index])
		if c.next >= r.next {
			caught++
		}
		at := c.next
		if c.policy == DropOldest && r.next > max(c.next, c.free)+c.limit {
			at = r.next - c.limit
		}
		lowest = min(lowest, at)
	}
	require.Len(t, r.cursors, len(cursors))
	if r.caught != 0 { // put says "none", whatever that was: it is counted again by those who move on
		require.LessOrEqual(t, r.caught, len(cursors))
	}
	require.Equal(t, caught == len(cursors), r.caught == len(r.cursors), "caught")
	require.Equal(t, lowest, r.lowest())
	for n := 1; n <= 4; n++ {
		fits := true
		for _, c := range cursors {
			fits = fits && (c.policy == DropOldest || r.next+int64(n) <= max(c.next, c.free)+c.limit)
		}
		require.Equal(t, fits, r.fits(n), "fits %d", n)
	}
	// Whatever is not needed and not history is zero.
	kept := 0
	for i, v := range r.data {
		if v == 0 {
			continue
		}
		kept++
		require.Equal(t, int64(i), v&r.mask, "an event in the slot of another")
	}
	if caught == len(cursors) {
		require.EqualValues(t, r.retained(), kept, "all have caught up")
	}
	require.LessOrEqual(t, r.next-r.first, r.widest+r.history+64)
}

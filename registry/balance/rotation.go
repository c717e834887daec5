package balance

import (
	"cmp"
	"math/bits"
	"slices"
)

// maxRotation is the most slots a rotation may have: 32 KiB of memory, and a
// fraction of a millisecond to build.
const maxRotation = 16_384

// A rotation is a fixed order of indexes that is gone through over and over.
// Each index is in it as often as its weight, divided by the greatest common
// divisor of all, says. So every window as long as the rotation has every index
// exactly that often, wherever it begins. It never changes once made.
//
// With max the greatest weight and rest the sum of all the others, no index
// comes more often in a row than ceil(max/rest): that is the least any order
// can do, since rest others leave only rest gaps for max copies. In particular
// none comes twice in a row while no weight is more than half of the sum.
//
// The usual ways do not give that. Smooth weighted round robin, as in nginx,
// takes 13 steps for the weights 4, 1, 1, 1, 1, 1, 1, 1, 1, 1 and has the first
// index at the end and at the beginning, that is twice in a row; it also takes
// O(n) for each step. Placing the copy with the earliest deadline first, as in
// Envoy, begins with three in a row there at least. Taking deadlines with release
// times (Tijdeman: The chairman assignment problem, 1980) is the most even of
// them, but may put the last copy before a deadline next to the first after it.
type rotation struct {
	slots []uint16
}

// A share is how many slots an index has.
type share struct {
	index  uint16
	weight int
}

// newRotation prepares a rotation by weight, each 1 to 1_000_000. It is nil if
// that has no slots, or more than maxRotation.
func newRotation(weights []int) *rotation {
	if len(weights) == 0 || len(weights) > maxRotation {
		return nil
	}
	divisor := 0
	for _, w := range weights {
		divisor = gcd(w, divisor)
	}
	sum := 0
	shares := make([]share, len(weights))
	for i, w := range weights {
		shares[i] = share{uint16(i), w / divisor}
		if sum += w / divisor; sum > maxRotation {
			return nil
		}
	}
	slices.SortStableFunc(shares, func(a, b share) int { return cmp.Compare(b.weight, a.weight) })
	return &rotation{slots: arrange(shares, sum)}
}

// at is the index whose turn it is at a position. Those of successive positions
// are neighbours in the rotation, but once in 2^64, where the position overflows.
func (r *rotation) at(pos uint64) int {
	return int(r.slots[pos%uint64(len(r.slots))])
}

// arrange makes a circle of sum slots for the shares, greatest first. It takes
// O(sum) in all.
//
// Each slot of the greatest share begins an arc. What is in an arc after that
// decides about runs:
//
// With at least as many arcs as others, an arc has at most one of them, and they
// are spread over the arcs as evenly as whole numbers allow. From one of them to
// the next it is at most ceil(arcs/rest) arcs, and that is the longest run of
// the greatest share. The others are alone in their arcs. As their order does
// not matter for that, it is the one they would have among themselves; they are
// half of the slots at most, so this goes at most 14 levels deep.
//
// With more others than arcs, they are dealt to the arcs one by one, index by
// index. So no arc is empty, which means that there are no two in a row of the
// greatest share. None of the others has more slots than there are arcs, so no
// arc gets an index twice; and two arcs have a slot of the greatest share
// between them. Hence no index is next to itself.
//
// Arcs differ by one slot at most, and the slots of one index are in as many
// arcs that follow one another in the order of dealing. In the order of
// van der Corput's sequence (bits reversed) any such arcs are well apart.
func arrange(shares []share, sum int) []uint16 {
	first := shares[0]
	arcs, rest := first.weight, sum-first.weight
	slots := make([]uint16, sum)
	if arcs >= rest {
		var others []uint16
		if rest > 0 {
			others = arrange(shares[1:], rest)
		}
		next, at := 0, 0
		for arc := range arcs {
			slots[at] = first.index
			at++
			if next < rest && next*arcs/rest == arc {
				slots[at] = others[next]
				next, at = next+1, at+1
			}
		}
		return slots
	}

	deal := corput(arcs)
	begin := make([]int, arcs) // of each arc
	for i, arc := range deal {
		begin[arc] = 1 + rest/arcs
		if i < rest%arcs {
			begin[arc]++
		}
	}
	at := 0
	for arc, size := range begin {
		begin[arc], at = at, at+size
		slots[begin[arc]] = first.index
	}
	dealt := 0
	for _, s := range shares[1:] {
		for range s.weight {
			slots[begin[deal[dealt%arcs]]+1+dealt/arcs] = s.index
			dealt++
		}
	}
	return slots
}

// corput is the numbers below n in the order of their bits reversed: each is
// far from the ones shortly before and after it.
func corput(n int) []int {
	width := bits.Len(uint(n - 1))
	order := make([]int, 0, n)
	for i := range 1 << width {
		if x := int(bits.Reverse32(uint32(i)) >> (32 - width)); x < n {
			order = append(order, x)
		}
	}
	return order
}

// gcd is the greatest common divisor; of any number and 0 it is the number.
func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

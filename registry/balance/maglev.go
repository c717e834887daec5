package balance

import (
	"cmp"
	"math/bits"
	"slices"
)

// A maglev is a table from keys to indexes. Each id has slots in proportion to
// its weight, to within one or two, for which the heaviest makes up; and when an
// id leaves nearly all slots of the others stay as they are. It never changes
// once made.
//
// It is the lookup table of Maglev (Eisenbud et al.: Maglev: A Fast and Reliable
// Software Network Load Balancer, NSDI 2016, section 3.4): each id has an order
// of preference over all slots, and the ids take turns to claim the slot they
// like best of those that are free. A ring of hashed points would need
// thousands of them per id to be as even, and a search per lookup.
//
// The paper's order goes through the table in steps of a length that depends on
// the id. Of few ids it happens that two have steps of which one is about a
// multiple of the other, and then they get into each other's way all along:
// with 10 ids and 65_537 slots, one leaving moved more than 1% of all slots
// between the others in 9 of 2,560 trials, 2.7% at worst. Here the order is that
// of a stream of random numbers, in which a slot that comes again is passed over
// like one that is taken: 0.4% at worst in the same trials, and less than 0.7%
// with 100 ids. It takes about as long in most cases.
//
// Weights make it 0.9% of all slots at most in trials with 100 ids. If the one
// that leaves had half of the slots this is 1.7% of those the others had.
type maglev struct {
	slots []uint32
}

// unclaimed is a slot that is still free while the table is made.
const unclaimed = ^uint32(0)

// A claimant is an id while the table is made.
//
// Its claim number k is due at (2k+1)/(2*weight). Turns are taken in the order
// of that, not in rounds from which light ids are left out now and then: what is
// due when depends on the id alone, so the order of two ids stays when a third
// one leaves, even the heaviest. Halves are what divides the slots best (the
// method of Webster and Sainte-Lague); whole numbers would favour heavy ids.
type claimant struct {
	odd, weight uint64 // 2k+1 of its next claim; products stay below 2^42
	next        uint64 // makes, mixed, the next slot it likes
	rank        uint32 // of its id among all
	index       uint32 // of its id as given
}

// before reports whether c claims before o.
func (c *claimant) before(o *claimant) bool {
	mine, theirs := c.odd*o.weight, o.odd*c.weight
	return mine < theirs || mine == theirs && c.rank < o.rank
}

// newMaglev makes a table of size slots, at least one. Weights are 1 to
// 1_000_000. The table is the same in every process and whatever the order of
// ids, but for the indexes in it. That size is a prime, as in the paper, is of
// no importance to this order of preference.
//
// With many more ids than slots, or very different weights, some get no slot.
// The time is that of size*ln(size) steps, plus O(size*log(n)) if weights
// differ.
func newMaglev(ids []string, weights []int, size int) *maglev {
	m := &maglev{slots: make([]uint32, size)}
	if len(ids) == 0 {
		return m
	}
	for i := range m.slots {
		m.slots[i] = unclaimed
	}
	line := make([]claimant, len(ids))
	for rank, index := range byID(ids) {
		line[rank] = claimant{
			odd: 1, weight: uint64(weights[index]), next: idHash(ids[index]),
			rank: uint32(rank), index: index,
		}
	}
	if slices.Min(weights) == slices.Max(weights) {
		// Everything is due at the same instants: one after the other, by id.
		for i := range size {
			m.claim(&line[i%len(line)])
		}
		return m
	}
	slices.SortFunc(line, func(a, b claimant) int { // sorted, it is a heap too
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.rank, b.rank))
	})
	for range size {
		m.claim(&line[0])
		line[0].odd += 2
		sink(line)
	}
	return m
}

// claim gives c the free slot it likes best. Its likings are a SplitMix64 stream,
// which has all 2^64 numbers in it, so it comes to every slot.
func (m *maglev) claim(c *claimant) {
	size := uint64(len(m.slots))
	for {
		slot, _ := bits.Mul64(mix(c.next), size)
		c.next += increment
		if m.slots[slot] == unclaimed {
			m.slots[slot] = c.index
			return
		}
	}
}

// at is the index of the id for a key, 0 if there are no ids. Keys need not be
// hashed: they are mixed here.
func (m *maglev) at(key uint64) int {
	i, _ := bits.Mul64(mix(key), uint64(len(m.slots)))
	return int(m.slots[i])
}

// sink restores the heap after its first has become later. container/heap would
// call through an interface, 65_537 times and more.
func sink(line []claimant) {
	for i := 0; ; {
		child := 2*i + 1
		if child >= len(line) {
			return
		}
		if child+1 < len(line) && line[child+1].before(&line[child]) {
			child++
		}
		if !line[child].before(&line[i]) {
			return
		}
		line[i], line[child] = line[child], line[i]
		i = child
	}
}

// byID is the indexes of ids, in the order of the ids.
func byID(ids []string) []uint32 {
	order := make([]uint32, len(ids))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return cmp.Compare(ids[a], ids[b]) })
	return order
}

// primeAtLeast is the least prime that is not below n. Trial division is enough
// for tables: a table of 655_373 slots takes 400 divisions.
func primeAtLeast(n int) int {
	for n = max(n, 2); !isPrime(n); n++ {
	}
	return n
}

func isPrime(n int) bool {
	if n%2 == 0 {
		return n == 2
	}
	for d := 3; d <= n/d; d += 2 {
		if n%d == 0 {
			return false
		}
	}
	return n > 1
}

package balance

import "math/bits"

// An alias draws an index in proportion to its weight from one random number,
// in the same time whatever the number of weights and however far apart they
// are. It never changes once made.
//
// This is the alias method of Walker (An Efficient Method for Generating
// Discrete Random Variables with General Distributions, ACM TOMS 3, 1977),
// built as by Vose (A Linear Algorithm for Generating Random Numbers with a
// Given Distribution, IEEE TSE 17, 1991), but in integers: with floating point
// the columns do not add up in the end, and what is left over is guesswork.
// Searching a list of running sums would take O(log n) and be as slow as the
// cache misses it has; a table of sum/gcd slots has no bound.
type alias struct {
	columns []column
}

// A column stands for 1/n of the probability. At most two indexes share it: the
// first own/2^64 of it is that of the column, the rest is that of other.
type column struct {
	own   uint64
	other uint32
}

// newAlias prepares draws by weight. There is at least one weight, and each is
// 1 to 1_000_000; up to a million of them keep all products below 2^40.
func newAlias(weights []int) *alias {
	n := uint64(len(weights))
	var sum uint64
	for _, w := range weights {
		sum += uint64(w)
	}
	// Scaled by n an average weight is sum, and that is what a column holds.
	left := make([]uint64, n)
	// Columns to do: the ones with less than that grow from the front, those with
	// more, or just as much, from the back.
	todo := make([]uint32, n)
	low, high := 0, len(todo)
	for i, w := range weights {
		left[i] = uint64(w) * n
		if left[i] < sum {
			todo[low] = uint32(i)
			low++
		} else {
			high--
			todo[high] = uint32(i)
		}
	}
	a := &alias{columns: make([]column, n)}
	for i := range a.columns {
		a.columns[i].other = uint32(i) // alone, unless it is filled up below
	}
	// What the columns to do have left is sum on average, at any time. So while
	// one has less there is one with more, and when none has less all are just
	// full: they keep other as it is.
	for low > 0 {
		low--
		poor, rich := todo[low], todo[high]
		own, _ := bits.Div64(left[poor], 0, sum)
		a.columns[poor] = column{own, rich}
		left[rich] -= sum - left[poor]
		if left[rich] < sum {
			todo[low] = rich
			low, high = low+1, high+1
		}
	}
	return a
}

// draw is the index for r, which is uniform over all 64 bits. The upper half of
// the product r*n is a column, the lower half a point in it.
//
// The probability of an index with weight w differs from w/sum by less than
// k/2^63, where k is the number of columns that have a part of it: a part is an
// interval of r, so it is off by less than one value of 2^64 for being cut to
// whole ones, and by less than another for own being rounded down. There are at
// most 2n parts, so that even with a million weights the difference is below
// 2^-43 added up over all of them and halved: nobody sees it in 2^80 draws.
// Making r a range without any bias would take a second random number now and
// then.
func (a *alias) draw(r uint64) int {
	i, at := bits.Mul64(r, uint64(len(a.columns)))
	if c := &a.columns[i]; at >= c.own {
		return int(c.other)
	}
	return int(i)
}

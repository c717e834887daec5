package balance

import (
	"math"
	"math/bits"
)

// A rendezvous finds the index for a key by asking each: every pair of a key
// and an id has a score that depends on these two and the weight of the id,
// and the best one wins (Thaler and Ravishankar: Using Name-Based Mappings to
// Increase Hit Rates, IEEE/ACM TON 6, 1998). So whoever leaves takes away no keys
// but its own, and a weight that changes moves keys to or from its id only. It
// never changes once made.
//
// With u a uniform number in (0, 1) made of both hashes, the score of weight w
// is -ln(u)/w, and the least wins. These are waiting times of independent
// exponential clocks with rate w, of which each is the first to ring in
// proportion to its rate. (The formula -w/ln(u) for the greatest is the same
// upside down.)
//
// The logarithm is computed in integers: two processes have to agree, and those
// of math are in assembly on some platforms, while the compiler may fuse
// multiplications and additions of floats on others.
type rendezvous struct {
	members []candidate
}

// A candidate is what the score of an id takes: 16 bytes, so that they are read
// at the speed of memory.
type candidate struct {
	hash   uint64 // of the id
	weight uint32
	index  uint32 // of the id as given
}

// newRendezvous prepares the choice among ids of weights from 1 to 1_000_000. The
// order of ids makes no difference to which one is the best.
func newRendezvous(ids []string, weights []int) *rendezvous {
	r := &rendezvous{members: make([]candidate, 0, len(ids))}
	// By id, so that of equal scores the one of the lesser id comes first.
	for _, i := range byID(ids) {
		r.members = append(r.members, candidate{idHash(ids[i]), uint32(weights[i]), i})
	}
	return r
}

// best is the index that wins the key among those that are ok, -1 if none is. It
// asks ok, which may be nil for all, only about indexes that would be the best
// so far, which are about ln(n) of them.
//
// The logarithm is as rare. Since -ln(u) is at least 1-u, an index for which
// 1-u already is more than the best score so far times its weight has lost;
// that is what limit is for, with room for the rounding of both. So it hardly
// takes longer than without weights.
func (r *rendezvous) best(key uint64, ok func(i int) bool) int {
	k := mix(key)
	won := -1
	var best score // 0/0, which any other beats, by u
	limit := uint64(math.MaxUint64)
	for i := range r.members {
		m := &r.members[i]
		u := mix(k^m.hash) | 1 // in units of 2^-64, neither 0 nor 1
		if over, most := bits.Mul64(limit, uint64(m.weight)); over == 0 && most < -u {
			continue
		}
		s := score{exponential(u), uint64(m.weight), u}
		if !s.beats(best) || ok != nil && !ok(int(m.index)) {
			continue
		}
		won, best, limit = int(m.index), s, s.limit()
	}
	return won
}

// A score is time/weight, a fraction since a quotient would have to be rounded.
type score struct {
	time   uint64 // -ln(u), in units of 2^-58
	weight uint64
	u      uint64
}

// beats reports whether s is better than o. Equal ones are decided by u and then
// by id: any rule will do that does not depend on who else is there.
func (s score) beats(o score) bool {
	hi, lo := bits.Mul64(s.time, o.weight)
	ohi, olo := bits.Mul64(o.time, s.weight)
	if hi != ohi {
		return hi < ohi
	}
	return lo < olo || lo == olo && s.u > o.u
}

// limit is what 1-u, in units of 2^-64, may be for a weight of 1 that is not
// certain to lose against s.
func (s score) limit() uint64 {
	const unit = 64 // 2^-58 in units of 2^-64
	l := s.time / s.weight
	if l >= 1<<57 {
		return math.MaxUint64
	}
	l *= unit
	// 1 unit for the division, 7 for the rounding of the times, and 2^-16 to be
	// far from having to prove how exact exponential is.
	return l + l>>16 + 8*unit
}

const (
	ln2      = 0x02c5c85fdf473de6 // ln(2), in units of 2^-58
	rootHalf = 0xb504f333f9de6484 // the square root of 1/2, in units of 2^-64
)

// exponential is -ln(u/2^64) in units of 2^-58, for u that is not 0: at most 45,
// so 6 bits are enough for the whole part. It is off by less than two units, and
// one more for each zero that u begins with.
//
// u/2^64 is m/2^z with m between the roots of 1/2 and of 2, where
// ln(m) = -2*artanh((1-m)/(1+m)) has a series that is short, and exact near u = 1
// too, where the winners are.
func exponential(u uint64) uint64 {
	z := uint64(bits.LeadingZeros64(u))
	x := u << z
	if x >= rootHalf { // m = x/2^64
		less := -x // 1-m
		s, _ := bits.Div64(less>>1, less<<63, 1<<63+x>>1)
		return z*ln2 + artanh(s)>>5 // twice, in units of 2^-58
	}
	more := x - 1<<63 // m-1, for m = x/2^63
	s, _ := bits.Div64(more>>1, more<<63, 1<<62+x>>1)
	return (z+1)*ln2 - artanh(s)>>5
}

// artanh is the inverse of the hyperbolic tangent, argument and result in units
// of 2^-64: s + s^3/3 + s^5/5 and so on. For s below 0.172, which is all it is
// asked for, what it leaves out after s^21/21 is less than 2^-62.
func artanh(s uint64) uint64 {
	square := times(s, s)
	sum := times(math.MaxUint64/21, square) + math.MaxUint64/19
	sum = times(sum, square) + math.MaxUint64/17
	sum = times(sum, square) + math.MaxUint64/15
	sum = times(sum, square) + math.MaxUint64/13
	sum = times(sum, square) + math.MaxUint64/11
	sum = times(sum, square) + math.MaxUint64/9
	sum = times(sum, square) + math.MaxUint64/7
	sum = times(sum, square) + math.MaxUint64/5
	sum = times(sum, square) + math.MaxUint64/3
	return s + times(times(sum, square), s)
}

// times is a product, all in units of 2^-64.
func times(a, b uint64) uint64 {
	hi, _ := bits.Mul64(a, b)
	return hi
}

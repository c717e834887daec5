package balance

import (
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// A Policy is a rule of choice. Those of this package are [LeastLoaded],
// [PeakEWMA], [RoundRobin], [Random], [Weighted] and [ConsistentHash].
//
// NewPicker is called when the candidates have changed, never twice at a time
// for one balancer, with the picker of before or nil, so that a position can
// go on. A balancer may have up to four pickers: for its zone and for the
// others, each with and without those that ramp. It must not use the balancer.
// A policy may use those of this package; [ConsistentHash] inside another one
// knows only what can be picked, so that an endpoint which turns unusable does
// not keep its place. It should hand them the Query that it was given.
type Policy interface {
	NewPicker(c Candidates, old Picker) Picker
}

// A Picker chooses among the candidates it was made for.
//
//   - Pick is called by many goroutines at a time and must not block.
//   - Its answer is a position below Candidates.Len. Anything else is no answer:
//     the balancer takes any candidate then.
//   - An answer may be turned down, because the endpoint is excluded, leaves,
//     or its gate refuses. Then Pick is called again with draw one higher, up to
//     eight times in all. It should not insist.
type Picker interface {
	Pick(q Query, draw int) int
}

// Candidates are the endpoints that may be picked now. They are never empty.
type Candidates struct{ pool *pool }

// Len is how many there are.
func (c Candidates) Len() int { return len(c.pool.list) }

// At is one of them, 0 <= i < Len. They are in order of ID. Its Health is that of
// the snapshot; see [registry.Live.Health].
func (c Candidates) At(i int) *registry.Endpoint { return c.pool.list[i].ep }

// Latency is the smoothed latency of one of them as this balancer measured it,
// or false before the first sample. It falls while there are no calls.
func (c Candidates) Latency(i int) (time.Duration, bool) {
	b := c.pool.b
	v, ok := c.pool.list[i].m.latency.read(b.time.now(), b.decay)
	return duration(v), ok
}

// RoundRobin takes one endpoint after the other, whatever their weights. While
// none of n endpoints is turned down each is chosen once in n picks. The
// position survives changes.
type RoundRobin struct{}

// NewPicker implements [Policy].
func (RoundRobin) NewPicker(c Candidates, old Picker) Picker {
	p := &roundRobin{n: uint64(c.Len())}
	if o, ok := old.(*roundRobin); ok {
		p.next.Store(o.next.Load())
	}
	return p
}

type roundRobin struct {
	n    uint64
	next atomic.Uint64
}

// Pick moves on also when an answer was turned down: the next endpoint gets this
// pick, and the one after it the next pick. Without that the neighbour of one that
// is out would get twice its share.
func (p *roundRobin) Pick(Query, int) int { return int((p.next.Add(1) - 1) % p.n) }

// Random draws, whatever the weights.
type Random struct{}

// NewPicker implements [Policy].
func (Random) NewPicker(c Candidates, _ Picker) Picker { return &random{len(c.pool.list), c.pool.b} }

type random struct {
	n int
	b *Balancer
}

func (p *random) Pick(Query, int) int { return below(p.b.random(), p.n) }

// below maps a random number to 0 <= i < n, for n up to 2^32, by its upper half.
func below(r uint64, n int) int { return int((r >> 32) * uint64(n) >> 32) }

// pair maps a random number to two different ones, for n of 2 or more.
func pair(r uint64, n int) (i, j int) {
	i = below(r, n)
	j = int((r & (1<<32 - 1)) * uint64(n-1) >> 32)
	if j >= i {
		j++
	}
	return i, j
}

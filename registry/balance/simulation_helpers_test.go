package balance_test

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A simulation is a discrete-event one: a client sends requests to servers, each
// of which has some workers and a queue without end. Time is virtual, it jumps
// from event to event, and everything random is seeded.
type simulation struct {
	policy   balance.Policy
	servers  int
	workers  int           // of each
	service  time.Duration // the mean of an exponential distribution
	slow     float64       // how much longer the first server takes; 0: no longer
	load     float64       // of what the servers could do were none of them slow
	requests int
}

// tenServers is what the bars of quality are about: ten servers of eight workers, ten
// milliseconds, 60% load.
func tenServers(p balance.Policy, slow float64, requests int) simulation {
	return simulation{policy: p, servers: 10, workers: 8, service: 10 * time.Millisecond, slow: slow, load: 0.6, requests: requests}
}

// A request is one that a server works at.
type request struct {
	pick    balance.Pick
	arrived time.Duration
	ends    time.Duration
	server  int
}

// inService are the requests that are being worked at, the first to end first.
type inService []request

func (q inService) Len() int           { return len(q) }
func (q inService) Less(i, j int) bool { return q[i].ends < q[j].ends }
func (q inService) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *inService) Push(x any)        { *q = append(*q, x.(request)) }
func (q *inService) Pop() any {
	last := len(*q) - 1
	r := (*q)[last]
	*q = (*q)[:last]
	return r
}

// A fifo is the queue of a server.
type fifo struct {
	all  []request
	next int
}

func (q *fifo) empty() bool    { return q.next == len(q.all) }
func (q *fifo) push(r request) { q.all = append(q.all, r) }
func (q *fifo) pop() request   { q.next++; return q.all[q.next-1] }

// run is how long each request took, from its arrival to its end, sorted. It ends
// with the last arrival. Those that have not ended by then are not counted, which
// flatters policies that make queues without end.
func (s simulation) run(tb testing.TB) []time.Duration {
	tb.Helper()
	clk := newHandClock()
	r := newRegistry(tb, registry.Config{Clock: clk})
	number := map[string]int{}
	for i, in := range numbered(s.servers) {
		register(tb, r, in)
		number[in.ID] = i
	}
	b := newBalancer(tb, r, balance.Config{Policy: s.policy, Rand: seeded(1)})
	// Arrivals and service times have numbers of their own, so that they are the
	// same whatever the policy draws.
	arrivals, services := rand.New(rand.NewPCG(2, 0)), rand.New(rand.NewPCG(3, 0))
	gap := float64(s.service) / (float64(s.servers*s.workers) * s.load)

	var now, arrival time.Duration
	var working inService
	queues, busy := make([]fifo, s.servers), make([]int, s.servers)
	begin := func(q request) {
		d := services.ExpFloat64() * float64(s.service)
		if q.server == 0 && s.slow > 0 {
			d *= s.slow
		}
		busy[q.server]++
		q.ends = now + time.Duration(d)
		heap.Push(&working, q)
	}
	took := make([]time.Duration, 0, s.requests)
	for left := s.requests; left > 0; {
		if len(working) == 0 || arrival <= working[0].ends {
			clk.pass(arrival - now)
			now = arrival
			left--
			arrival += time.Duration(arrivals.ExpFloat64() * gap)
			p := pick(tb, b)
			q := request{pick: p, arrived: now, server: number[p.Endpoint().ID()]}
			if busy[q.server] < s.workers {
				begin(q)
			} else {
				queues[q.server].push(q)
			}
			continue
		}
		q := heap.Pop(&working).(request)
		clk.pass(q.ends - now)
		now = q.ends
		q.pick.Done(nil)
		took = append(took, now-q.arrived)
		busy[q.server]--
		if waiting := &queues[q.server]; !waiting.empty() {
			begin(waiting.pop())
		}
	}
	slices.Sort(took)
	return took
}

// percentile is the latency that a share of the requests stays within.
func percentile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(len(sorted)-1, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// ratio is how two latencies compare, for messages too.
type ratio struct {
	what string
	a, b time.Duration
}

func (r ratio) value() float64 { return float64(r.a) / float64(r.b) }

func (r ratio) String() string {
	return fmt.Sprintf("%s: %v to %v is %.4f", r.what, r.a.Round(time.Millisecond), r.b.Round(time.Millisecond), r.value())
}

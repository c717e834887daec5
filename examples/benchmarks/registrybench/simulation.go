package registrybench

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/go-kit/kit/sd"
	"github.com/go-kit/kit/sd/lb"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/leastrequest"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A simulation is a discrete-event one: a client sends requests to servers, each
// of which has some workers and a queue without end. Time is virtual, it jumps
// from event to event. Arrivals and service times are drawn from the same seeds
// whoever chooses.
type simulation struct {
	slow     float64 // how much longer the first server takes
	fails    error   // what it answers; nil: all is well
	requests int
}

const (
	servers     = 10
	workers     = 8
	serviceTime = 10 * time.Millisecond // the mean of an exponential distribution
	load        = 0.6                   // of what the servers could do were none of them slow
)

// A chooser sends the requests of a simulation. What pass is told has gone by
// since the last event.
type chooser struct {
	pick func() (addr string, done func(error))
	pass func(d time.Duration)
}

// A request is one that a server works at, or will.
type request struct {
	done    func(error)
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

// run is how long each request took, from its arrival to its end, sorted, and how
// many went to the first server. It ends with the last arrival. Requests that have
// not ended by then are not counted, which flatters whoever makes queues without
// end.
func (s simulation) run(c chooser) (took []time.Duration, first int) {
	index := make(map[string]int)
	for i := range servers {
		index[addr(i)] = i
	}
	arrivals, services := rand.New(rand.NewPCG(2, 0)), rand.New(rand.NewPCG(3, 0))
	gap := float64(serviceTime) / (servers * workers * load)

	var now, arrival time.Duration
	var working inService
	var waiting [servers][]request
	var busy [servers]int
	begin := func(q request) {
		d := services.ExpFloat64() * float64(serviceTime)
		if q.server == 0 {
			d *= s.slow
		}
		busy[q.server]++
		q.ends = now + time.Duration(d)
		heap.Push(&working, q)
	}
	took = make([]time.Duration, 0, s.requests)
	for left := s.requests; left > 0; {
		if len(working) == 0 || arrival <= working[0].ends {
			c.pass(arrival - now)
			now = arrival
			left--
			arrival += time.Duration(arrivals.ExpFloat64() * gap)
			a, done := c.pick()
			q := request{done: done, arrived: now, server: index[a]}
			if q.server == 0 {
				first++
			}
			if busy[q.server] < workers {
				begin(q)
			} else {
				waiting[q.server] = append(waiting[q.server], q)
			}
			continue
		}
		q := heap.Pop(&working).(request)
		c.pass(q.ends - now)
		now = q.ends
		if q.server == 0 {
			q.done(s.fails)
		} else {
			q.done(nil)
		}
		took = append(took, now-q.arrived)
		busy[q.server]--
		if queue := waiting[q.server]; len(queue) > 0 {
			waiting[q.server] = queue[1:]
			begin(queue[0])
		}
	}
	slices.Sort(took)
	return took, first
}

// percentile is the latency that a share of the requests stays within.
func percentile(sorted []time.Duration, share float64) time.Duration {
	return sorted[min(len(sorted)-1, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// virtual is a clock of whose time nothing depends on timers.
type virtual struct {
	registry.Clock
	passed time.Duration
}

func (c *virtual) Now() time.Time { return time.Unix(0, int64(c.passed)) }

func (c *virtual) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func oursSimulated(cfg balance.Config) chooser {
	clk := &virtual{}
	r := registry.MustNew(registry.Config{Clock: clk})
	got(r.RegisterWith(background, registry.RegisterConfig{}, instances(fleet{n: servers}, 0)...))
	cfg.Rand = rand.New(rand.NewPCG(1, 0)).Uint64
	lb := balance.MustNew(r.Service(service), cfg)
	return chooser{
		pick: func() (string, func(error)) {
			p := got(lb.Pick(background))
			return p.Endpoint().Addr(), p.Done
		},
		pass: func(d time.Duration) { clk.passed += d },
	}
}

// timeless is for who looks at no clock.
func timeless(time.Duration) {}

func gokitSimulated() chooser {
	var all sd.FixedEndpointer
	for _, a := range (fleet{n: servers}).addrs() {
		e, _, err := echoes(a)
		must(err)
		all = append(all, e)
	}
	rr := lb.NewRoundRobin(all)
	return chooser{pass: timeless, pick: func() (string, func(error)) {
		return gokitAddr(got(rr.Endpoint())), func(error) {}
	}}
}

// grpcSimulated draws from the common generator, so its numbers change a little.
func grpcSimulated() chooser {
	_, cc, _ := grpcBalancer(fleet{n: servers}, leastrequest.Name, `{"choiceCount": 2}`)
	return chooser{pass: timeless, pick: func() (string, func(error)) {
		r := got(cc.picker.Pick(balancer.PickInfo{Ctx: background}))
		return r.SubConn.(*subConn).addr, func(err error) { r.Done(balancer.DoneInfo{Err: err}) }
	}}
}

// simulated are who takes part.
var simulated = []struct {
	name string
	new  func() chooser
}{
	{"mainstay RoundRobin", func() chooser { return oursSimulated(balance.Config{Policy: balance.RoundRobin{}}) }},
	{"mainstay LeastLoaded", func() chooser { return oursSimulated(balance.Config{Policy: balance.LeastLoaded{}}) }},
	{"mainstay PeakEWMA", func() chooser { return oursSimulated(balance.Config{Policy: balance.PeakEWMA{}}) }},
	{"go-kit RoundRobin", gokitSimulated},
	{"gRPC least_request", grpcSimulated},
}

// slowness is how much longer one of the servers takes.
var slowness = []float64{1, 5, 20}

// quality is a table of latencies in milliseconds.
func quality(requests int) bench.Table {
	t := bench.Table{
		Name: "Latencies in ms, simulated",
		Note: "Ten servers of eight workers, exponential service times of 10 ms, Poisson arrivals at 60% of what they can do; one server takes as long as the others, 5 times or 20 times as long. " +
			"Time is virtual; arrivals and service times are the same for all. Requests that have not ended with the last arrival are not counted, which flatters who lets a queue grow. " +
			"kratos p2c is left out here, because it reads the system's clock; a test runs it in a bubble.",
		Columns: []string{""},
		Rows: func() (rows [][]string) {
			for _, who := range simulated {
				row := []string{who.name}
				for _, slow := range slowness {
					took, _ := simulation{slow: slow, requests: requests}.run(who.new())
					for _, share := range shares {
						row = append(row, milliseconds(percentile(took, share.of)))
					}
				}
				rows = append(rows, row)
			}
			return rows
		},
	}
	for _, what := range []string{"none slow", "one 5 x", "one 20 x"} {
		for _, share := range shares {
			t.Columns = append(t.Columns, what+", "+share.name)
		}
	}
	return t
}

var shares = []struct {
	name string
	of   float64
}{{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}}

func milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64)
}

package registrybench

import (
	"fmt"
	"time"

	"github.com/go-kratos/kratos/v2/selector"
	"github.com/go-kratos/kratos/v2/selector/p2c"
	"github.com/go-kratos/kratos/v2/selector/random"
	"github.com/go-kratos/kratos/v2/selector/wrr"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// Subject is what package registry and those below it are measured at, and the
// bars.
func Subject() bench.Subject {
	return bench.Subject{
		Name:     "registry",
		Settings: settings,
		Groups: []bench.Group{
			reads(), nexts(), blindPicks(), loadedPicks(), latencyPicks(), weightedPicks(), hashes(), parallels(),
			leasedPicks(), changes(), batches(), renewals(), watches(), calls(), transports(),
		},
		Memory: memoryRows,
		Tables: []bench.Table{quality(300_000)},
	}
}

var settings = []bench.Setting{
	{
		Library: "mainstay",
		Text: "the zero Config of registry and balance, with the Policy that the row names. Instances have no TTL where the row does not say so; with one a read looks at the clock. " +
			"A pick is counted as in flight, and its outcome and latency are taken in.",
	},
	{
		Library: "go-kit", Module: "github.com/go-kit/kit",
		Text: "sd.NewEndpointer with a factory of endpoints that answer at once, and lb.NewRoundRobin on top of it. Nothing is tracked: an endpoint is a function, and calling it is not part of a choice. " +
			"lb.NewRandom is left out: its generator is not safe for concurrent use. Retry has a limit of 2 and a timeout.",
	},
	{
		Library: "kratos", Module: "github.com/go-kratos/kratos/v2",
		Text: "the selectors random, p2c and wrr with the node builders they come with: direct for random and wrr, ewma for p2c. A choice is Select and its DoneFunc. " +
			"wrr is what its clients use unless told otherwise.",
	},
	{
		Library: "go-zero", Module: "github.com/zeromicro/go-zero",
		Text: "core/hash with NewConsistentHash, which has 100 replicas of each node. It is set up once for all rounds: to add a node sorts the ring. " +
			"Its p2c_ewma is left out: it comes with zrpc, and with that the client of etcd.",
	},
	{
		Library: "gRPC", Module: "google.golang.org/grpc",
		Text: "the balancers least_request_experimental with a choiceCount of 2, its default, and weighted_round_robin. Pickers are to be had from their builders alone: " +
			"a stand-in for the ClientConn has all connections ready at once. The weights of weighted_round_robin are load reports that came with earlier calls; its blackoutPeriod is 0, so that they count.",
	},
	{
		Library: "all",
		Text: "nothing is sent anywhere, and one choice has ended before the next begins, so that those who compare loads find all idle. " +
			"Weights are 1 to 7 by turns, or where the row says so 1000 for one instance and 1 for all others.",
	},
}

const (
	whyLease   = "With a TTL ours looks at the clock, so that nobody gets an instance whose lease is over. go-kit knows no leases."
	whyNothing = "It hands out a function from a list and keeps no account of the call."
	whyNoTally = "It notes the time of the pick and nothing else: its DoneFunc is empty."
)

func instancesOf(n int) string {
	switch n {
	case 1_000:
		return "1,000 instances"
	case 100_000:
		return "100,000 instances"
	}
	return fmt.Sprintf("%d instances", n)
}

// sizes are how many instances there are.
var sizes = []int{10, 1_000, 100_000}

func reads() bench.Group {
	g := bench.Group{Name: "Reads"}
	for _, n := range sizes {
		g.Rows = append(g.Rows, bench.Row{
			Name:   "Snapshot, " + instancesOf(n),
			Note:   "All instances that there are, through a handle.",
			Ours:   oursSnapshot("mainstay Snapshot", n, 0),
			Others: []bench.Other{{Case: gokitEndpoints(n), AtMost: 0.7}},
		})
	}
	g.Rows = append(g.Rows,
		bench.Row{
			Name: "Snapshot, leased, 1,000 instances",
			Note: "Each has a TTL.",
			Ours: oursSnapshot("mainstay Snapshot, leased", 1_000, time.Hour),
			Others: []bench.Other{
				{Case: gokitEndpoints(1_000), Why: whyLease},
				{Case: now(), Floor: true},
			},
		},
		bench.Row{
			Name:   "Service(name).Snapshot()",
			Note:   "100 services of one instance each, looked up by name.",
			Ours:   oursByName(100),
			Others: []bench.Other{{Case: syncMap(100), AtMost: 1.5, Floor: true}},
		},
	)
	return g
}

func nexts() bench.Group {
	g := bench.Group{Name: "Next: an endpoint and nothing else"}
	for _, n := range sizes {
		f := fleet{n: n}
		g.Rows = append(g.Rows, bench.Row{
			Name:   "Next, RoundRobin, " + instancesOf(n),
			Ours:   choosing("mainstay Next", f, nearlyAll, oursNext(balance.RoundRobin{})),
			Others: []bench.Other{{Case: choosing("go-kit RoundRobin", f, nearlyAll, gokitRoundRobin), AtMost: 0.9, Why: whyNothing}},
		})
	}
	return g
}

// pick is a row whose operation is Pick + Done.
func pick(name string, f fleet, share float64, policy balance.Policy, others ...bench.Other) bench.Row {
	return bench.Row{Name: name, Ours: choosing("mainstay Pick + Done", f, share, oursPick(policy, 0)), Others: others}
}

func kratosCase(b selector.Builder, name string, f fleet, share float64) bench.Case {
	return choosing("kratos "+name, f, share, kratosSelect(b))
}

func blindPicks() bench.Group {
	g := bench.Group{Name: "Pick + Done, whatever the load"}
	for _, n := range sizes {
		f := fleet{n: n}
		other := bench.Other{Case: kratosCase(random.NewBuilder(), "random", f, nearlyAll), AtMost: 0.5, Why: whyNoTally}
		g.Rows = append(g.Rows,
			pick("Pick + Done, Random, "+instancesOf(n), f, nearlyAll, balance.Random{}, other),
			pick("Pick + Done, RoundRobin, "+instancesOf(n), f, nearlyAll, balance.RoundRobin{}, other),
		)
	}
	return g
}

func loadedPicks() bench.Group {
	g := bench.Group{Name: "Pick + Done, by load"}
	for _, n := range sizes {
		f := fleet{n: n}
		g.Rows = append(g.Rows, pick("Pick + Done, LeastLoaded, "+instancesOf(n), f, nearlyAll, balance.LeastLoaded{},
			bench.Other{Case: kratosCase(p2c.NewBuilder(), "p2c", f, some), AtMost: 0.15},
			bench.Other{Case: choosing("gRPC least_request", f, nearlyAll, grpcLeastRequest), AtMost: 0.2},
		))
	}
	return g
}

func latencyPicks() bench.Group {
	g := bench.Group{Name: "Pick + Done, by latency"}
	for _, n := range sizes {
		f := fleet{n: n}
		g.Rows = append(g.Rows, pick("Pick + Done, PeakEWMA, "+instancesOf(n), f, some, balance.PeakEWMA{},
			bench.Other{Case: kratosCase(p2c.NewBuilder(), "p2c", f, some), AtMost: 0.5},
		))
	}
	return g
}

func weightedPicks() bench.Group {
	g := bench.Group{Name: "Pick + Done, by weight"}
	for _, row := range []struct {
		what   string
		f      fleet
		atMost float64
	}{
		{"", weighted(10), 0.15},
		{"", weighted(1_000), 0.005},
		{", skewed", skewed(10), 0.15},
		{", skewed", skewed(1_000), 0.005},
	} {
		others := []bench.Other{
			{Case: kratosCase(wrr.NewBuilder(), "wrr", row.f, some), AtMost: row.atMost},
			{Case: choosing("gRPC weighted_round_robin", row.f, some, grpcWeighted)},
		}
		name := "Weighted" + row.what + ", " + instancesOf(row.f.n)
		g.Rows = append(g.Rows, pick("Pick + Done, "+name, row.f, some, balance.Weighted{}, others...))
	}
	f := weighted(10)
	g.Rows = append(g.Rows, pick("Pick + Done, Weighted, smooth, 10 instances", f, some, balance.Weighted{Smooth: true},
		bench.Other{Case: kratosCase(wrr.NewBuilder(), "wrr", f, some)}))
	return g
}

func hashes() bench.Group {
	g := bench.Group{Name: "By key", After: func() { rings.Clear() }}
	for _, n := range sizes[:2] {
		f := fleet{n: n}
		g.Rows = append(g.Rows, bench.Row{
			Name:   "Next, ConsistentHash with HashKey, " + instancesOf(n),
			Note:   "Keys are strings of up to 15 bytes.",
			Ours:   choosing("mainstay Next", f, some, oursHash),
			Others: []bench.Other{{Case: choosing("go-zero ConsistentHash.Get", f, some, gozeroHash), AtMost: 0.3}},
		})
	}
	return g
}

func parallels() bench.Group {
	g := bench.Group{Name: "Several goroutines, one balancer"}
	f := fleet{n: 10}
	for _, n := range []int{2, 8} {
		row := func(name string, r bench.Row) {
			r.Name = fmt.Sprintf("Pick + Done, %s, goroutines: %d", name, n)
			r.Note = "10 instances. Time per pick is the time of all divided by the picks of all."
			r.Ours = parallel(n, r.Ours)
			for i, o := range r.Others {
				r.Others[i].Case = parallel(n, o.Case)
			}
			g.Rows = append(g.Rows, r)
		}
		blind := func() bench.Other {
			return bench.Other{Case: kratosCase(random.NewBuilder(), "random", f, nearlyAll), AtMost: 0.5, Why: whyNoTally}
		}
		row("Random", pick("", f, nearlyAll, balance.Random{}, blind()))
		row("RoundRobin", pick("", f, nearlyAll, balance.RoundRobin{}, blind()))
		row("LeastLoaded", pick("", f, nearlyAll, balance.LeastLoaded{},
			bench.Other{Case: kratosCase(p2c.NewBuilder(), "p2c", f, some), AtMost: 0.15},
			bench.Other{Case: choosing("gRPC least_request", f, nearlyAll, grpcLeastRequest), AtMost: 0.2}))
		row("PeakEWMA", pick("", f, some, balance.PeakEWMA{},
			bench.Other{Case: kratosCase(p2c.NewBuilder(), "p2c", f, some), AtMost: 0.5}))
		w := weighted(10)
		row("Weighted", pick("", w, some, balance.Weighted{},
			bench.Other{Case: kratosCase(wrr.NewBuilder(), "wrr", w, some), AtMost: 0.15}))
	}
	return g
}

// leasedPicks have no bars: they show what leases add.
func leasedPicks() bench.Group {
	g := bench.Group{Name: "Pick + Done, leased"}
	f := fleet{n: 10}
	for _, p := range []struct {
		name   string
		policy balance.Policy
	}{{"RoundRobin", balance.RoundRobin{}}, {"LeastLoaded", balance.LeastLoaded{}}} {
		g.Rows = append(g.Rows, bench.Row{
			Name: "Pick + Done, " + p.name + ", leased, 10 instances",
			Note: "Each has a TTL.",
			Ours: choosing("mainstay Pick + Done, leased", f, nearlyAll, oursPick(p.policy, time.Hour)),
			Others: []bench.Other{
				{Case: choosing("mainstay Pick + Done, without TTL", f, nearlyAll, oursPick(p.policy, 0)), Floor: true},
				{Case: now(), Floor: true},
			},
		})
	}
	return g
}

// changes have no bar for allocations but that there are not many: what is made
// lives on, elsewhere.
func changes() bench.Group {
	g := bench.Group{Name: "An instance comes and goes"}
	for _, row := range []struct {
		n      int
		atMost float64
	}{{10, 0.1}, {1_000, 0.002}} {
		g.Rows = append(g.Rows, bench.Row{
			Name:   "Register + Deregister, beside " + instancesOf(row.n),
			Note:   "Readers see it when the call returns. What others are told is the whole list, once with it and once without.",
			Ours:   oursChange(row.n),
			Allocs: 64,
			Others: []bench.Other{
				{Case: kratosChange("kratos p2c Apply, twice", p2c.NewBuilder(), row.n), AtMost: row.atMost},
				{Case: kratosChange("kratos wrr Apply, twice", wrr.NewBuilder(), row.n), Why: "It keeps no statistics, so a new list is nothing but a copy of the old one."},
				{Case: gokitChange(row.n)},
			},
		})
	}
	return g
}

func batches() bench.Group {
	const many, few = 100_000, 10_000
	return bench.Group{Name: "A whole service at once", Rows: []bench.Row{{
		Name:   "RegisterWith of 100,000",
		Note:   "What is told is the time of one instance. All of them may take 15 times as long as a tenth of them, so that one takes 1.5 times as long.",
		Ours:   oursRegisterWith("mainstay RegisterWith of 100,000", many),
		Allocs: 32,
		Others: []bench.Other{{Case: oursRegisterWith("mainstay RegisterWith of 10,000", few), AtMost: 1.5, Floor: true}},
	}}}
}

func renewals() bench.Group {
	return bench.Group{Name: "Leases", Rows: []bench.Row{{
		Name: "Renew, beside 1,000 leases",
		Ours: oursRenew(1_000),
		Others: []bench.Other{
			{Case: timerReset(1_000), AtMost: 0.5, Floor: true},
			{Case: now(), Floor: true},
		},
	}}}
}

func watches() bench.Group {
	g := bench.Group{Name: "Watch"}
	for _, row := range []struct{ n, allocs int }{{1, 16}, {100, 2}, {10_000, 2}} {
		n := row.n
		g.Rows = append(g.Rows, bench.Row{
			Name:   "Wake " + watchers(n),
			Note:   "From the change to the last watcher that has seen it, divided by the watchers. Each is a goroutine.",
			Ours:   watching("mainstay Watch", n, oursWatch),
			Allocs: row.allocs, // one for what it is told, which is its own to keep; those of the change are shared among them
			Others: []bench.Other{{Case: watching("a channel that is closed", n, latch), AtMost: 2, Floor: true}},
		})
	}
	return g
}

func calls() bench.Group {
	f := fleet{n: 10}
	return bench.Group{Name: "Calls", Rows: []bench.Row{
		{
			Name:  "Do, success",
			Note:  "Among 10 instances. fn does nothing.",
			Ours:  choosing("mainstay Do", f, nearlyAll, oursDo),
			Limit: 60 * time.Nanosecond,
			Net:   true,
			Others: []bench.Other{
				{Case: choosing("mainstay Pick + Done", f, nearlyAll, oursPick(nil, 0)), Floor: true},
				{Case: choosing("go-kit Retry", f, nearlyAll, gokitRetry(gokitAllPass))},
			},
		},
		{
			Name:   "Do, the first attempt fails",
			Note:   "Among 10 instances, by turns. The second attempt has to be made at another one. go-kit makes each attempt on a goroutine of its own.",
			Ours:   choosing("mainstay Do", f, 0, oursRetry),
			Others: []bench.Other{{Case: choosing("go-kit Retry", f, 0, gokitRetry(gokitFirstFails))}},
		},
	}}
}

func transports() bench.Group {
	zero := func() balance.Config { return balance.Config{} }
	return bench.Group{Name: "HTTP client", Rows: []bench.Row{
		{
			Name:   "RoundTrip over a Base that answers at once",
			Note:   "Among 10 instances. The body is read to its end and closed. No rival is an http.RoundTripper.",
			Ours:   oursTransport("mainstay Transport", zero),
			Limit:  2 * time.Microsecond,
			Allocs: 8,
			Net:    true,
			Others: []bench.Other{{Case: baseAlone(), Floor: true}},
		},
		{
			Name:   "RoundTrip with a gate",
			Note:   "The same with a circuit breaker for each instance.",
			Ours:   oursTransport("mainstay Transport, gated", oursGated),
			Allocs: 2,
			Net:    true,
			Others: []bench.Other{{Case: oursTransport("mainstay Transport", zero), Floor: true}},
		},
	}}
}

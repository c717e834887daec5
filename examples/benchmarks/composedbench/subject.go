package composedbench

import (
	"fmt"
	"net/http"
	"runtime"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Subject is what the composed call path is measured at, and the bars.
func Subject() bench.Subject {
	return bench.Subject{
		Name:     "registryhttp, with breaker and eventbus",
		Settings: settings,
		Groups:   []bench.Group{calls()},
		Tables:   []bench.Table{overhead(kinds(), 21, 30)},
	}
}

var settings = []bench.Setting{
	{
		Library: "composed",
		Text: "an http.Client whose Transport is that of registryhttp, with the zero Config but for Outlier (the breakers judge) and a Gate: a breaker per address from a Group, with the zero Config, which heeds Retry-After. " +
			"Instances have leases. The hooks Transition and Rejected of the breakers, PanicMode and Ejection of the balancer, Change and Preservation of the registry publish by TryPublish to topics with a subscriber each, DropOldest. None of them is called as long as all goes well.",
	},
	{
		Library: "every call told",
		Text:    "the same with the hook Done of the breakers, which publishes every call that has ended.",
	},
	{
		Library: "alone",
		Text:    "registryhttp without a gate, or breakerhttp, with the zero Config and no hooks.",
	},
	{
		Library: "gobreaker", Module: "github.com/sony/gobreaker/v2",
		Text: "Execute around the call and the reading of its answer, with the ReadyToTrip of its README (60 % of at least 3) and a breaker per address, in a map.",
	},
	{
		Library: "all",
		Text: fmt.Sprintf("GET, or POST of %d bytes of JSON with an Idempotency-Key, to servers of net/http on loopback in the same process; the answer is %d bytes of JSON, read to the end. ", len(order), len(answer)) +
			"Connections are kept, and all have an http.Transport with the same settings. Where there are three instances and no registry, addresses are used by turns. " +
			"A request is made anew for each call, with context.Background() and no timeout. What the servers allocate is counted with all.",
	},
}

// A way is how a program may call a service.
type way struct {
	name, short string
	set         func(addrs []string) client
}

// What all are compared with comes first, then what has the bars.
var ways = []way{
	{"http.Client", "http.Client", bare},
	{"mainstay, composed", "composed", composed},
	{"mainstay, composed, every call told", "every call told", tellingAll},
	{"mainstay registryhttp alone", "registryhttp alone", balanced},
	{"mainstay breakerhttp alone", "breakerhttp alone", guarded},
	{"gobreaker around http.Client", "gobreaker", rival},
}

const (
	// allocs is the bar: how many more the whole path may make than a bare
	// http.Client.
	allocs = 10

	whyGobreaker = "It is told where to call: it chooses no instance, makes no copy of the request, and counts no call in flight. What it leaves to the caller is most of the difference; breakerhttp, which does as much as it does, is beside it."
)

// kinds are the calls that are measured.
func kinds() []kind {
	var all []kind
	for _, instances := range []int{1, 3} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			all = append(all, kind{method, instances, 1})
			if procs := runtime.GOMAXPROCS(0); procs > 1 {
				all = append(all, kind{method, instances, procs})
			}
		}
	}
	return all
}

func (k kind) String() string {
	return fmt.Sprintf("%s, instances: %d, callers: %d", k.method, k.instances, k.callers)
}

// calls are what a call takes in the mean, with what the collector of garbage
// takes for it, and what it allocates. For the median see overhead.
func calls() bench.Group {
	s := sites{}
	g := bench.Group{Name: "Calls on loopback, mean", After: s.close}
	for _, k := range kinds() {
		others := []bench.Other{{Case: calling(k, s, ways[0]), Floor: true}}
		for _, w := range ways[2:] {
			o := bench.Other{Case: calling(k, s, w), Floor: true}
			if w.short == "gobreaker" {
				o.Floor, o.Why = false, whyGobreaker
			}
			others = append(others, o)
		}
		g.Rows = append(g.Rows, bench.Row{
			Name:   k.String(),
			Ours:   calling(k, s, ways[1]),
			Allocs: allocs,
			Net:    true,
			Others: others,
		})
	}
	return g
}

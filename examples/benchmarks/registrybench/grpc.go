package registrybench

import (
	"encoding/json"
	"fmt"

	orca "github.com/cncf/xds/go/xds/data/orca/v3"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/leastrequest"
	"google.golang.org/grpc/balancer/weightedroundrobin"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"
)

// A clientConn stands in for a gRPC channel, all of whose connections are ready
// at once. Its pickers can be had in no other way.
type clientConn struct {
	balancer.ClientConn
	picker balancer.Picker
	due    []func() // state changes, which are told without locks of the balancer
}

// MetricsRecorder records nothing, as by default.
func (c *clientConn) MetricsRecorder() stats.MetricsRecorder { return recorder{} }

type recorder struct {
	stats.UnimplementedMetricsRecorder
}

func (c *clientConn) UpdateState(s balancer.State) { c.picker = s.Picker }

func (c *clientConn) NewSubConn(addrs []resolver.Address, opts balancer.NewSubConnOptions) (balancer.SubConn, error) {
	return &subConn{cc: c, addr: addrs[0].Addr, listen: opts.StateListener}, nil
}

// settle tells what is due.
func (c *clientConn) settle() {
	for len(c.due) > 0 {
		tell := c.due[0]
		c.due = c.due[1:]
		tell()
	}
}

type subConn struct {
	balancer.SubConn
	cc     *clientConn
	addr   string
	listen func(balancer.SubConnState)
}

// Connect has the connections of before be ready first. While an update is
// under way the balancer makes no picker for each of them, which would take time
// by the square of their number.
func (s *subConn) Connect() {
	s.cc.settle()
	s.cc.due = append(s.cc.due, func() {
		s.listen(balancer.SubConnState{ConnectivityState: connectivity.Connecting})
		s.listen(balancer.SubConnState{ConnectivityState: connectivity.Ready})
	})
}

func (s *subConn) RegisterHealthListener(listen func(balancer.SubConnState)) {
	s.cc.due = append(s.cc.due, func() { listen(balancer.SubConnState{ConnectivityState: connectivity.Ready}) })
}

func (s *subConn) Shutdown() {}

// grpcState is what a resolver would tell of a fleet.
func grpcState(f fleet, name, config string) balancer.ClientConnState {
	var state balancer.ClientConnState
	if p, ok := balancer.Get(name).(balancer.ConfigParser); ok {
		state.BalancerConfig = got(p.ParseConfig(json.RawMessage(config)))
	}
	for _, a := range f.addrs() {
		state.ResolverState.Endpoints = append(state.ResolverState.Endpoints,
			resolver.Endpoint{Addresses: []resolver.Address{{Addr: a}}})
	}
	return state
}

// grpcBalancer sets one up with all of a fleet ready.
func grpcBalancer(f fleet, name, config string) (b balancer.Balancer, cc *clientConn, update func()) {
	cc = &clientConn{}
	b = balancer.Get(name).Build(cc, balancer.BuildOptions{})
	state := grpcState(f, name, config)
	update = func() {
		must(b.UpdateClientConnState(state))
		cc.settle()
	}
	update()
	return b, cc, update
}

// grpcLeastRequest is the policy least_request_experimental.
func grpcLeastRequest(f fleet) target {
	b, cc, _ := grpcBalancer(f, leastrequest.Name, `{"choiceCount": 2}`)
	return grpcPick(b, cc)
}

// grpcWeighted is the policy weighted_round_robin, whose weights are what the
// servers report.
func grpcWeighted(f fleet) target {
	b, cc, update := grpcBalancer(f, weightedroundrobin.Name, `{"blackoutPeriod": "0s"}`)
	weights := make(map[string]int, f.n)
	for i := range f.n {
		weights[addr(i)] = f.weight(i)
	}
	for range f.n { // without weights it goes round
		r := got(cc.picker.Pick(balancer.PickInfo{Ctx: background}))
		w := float64(weights[r.SubConn.(*subConn).addr])
		r.Done(balancer.DoneInfo{ServerLoad: &orca.OrcaLoadReport{RpsFractional: w, ApplicationUtilization: 1}})
	}
	update() // or else the weights count a second later
	return grpcPick(b, cc)
}

// grpcPick is a choice and its end.
func grpcPick(b balancer.Balancer, cc *clientConn) target {
	picker := cc.picker
	return target{
		loop: func(n int) (passed, failed int) {
			info := balancer.PickInfo{FullMethodName: "/orders/Get", Ctx: background}
			for range n {
				r, err := picker.Pick(info)
				if err != nil || r.SubConn == nil {
					failed++
					continue
				}
				r.Done(balancer.DoneInfo{})
				passed++
			}
			return passed, failed
		},
		choose: func() (string, error) {
			r, err := picker.Pick(balancer.PickInfo{Ctx: background})
			if err != nil {
				return "", err
			}
			r.Done(balancer.DoneInfo{})
			s, ok := r.SubConn.(*subConn)
			if !ok {
				return "", fmt.Errorf("the connection is a %T", r.SubConn)
			}
			return s.addr, nil
		},
		closing: b.Close,
	}
}

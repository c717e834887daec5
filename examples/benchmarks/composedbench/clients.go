package composedbench

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// network is what all clients send through: the same settings, and connections
// of their own.
func network() *http.Transport { return &http.Transport{MaxIdleConnsPerHost: 64} }

// plain has calls made by a client as it is.
func plain(c *http.Client) func(*http.Request, []byte) error {
	return func(req *http.Request, buf []byte) error { return exchange(c, req, buf) }
}

// byTurns is how a program with a list of addresses chooses.
func byTurns(addrs []string) func() string {
	if len(addrs) == 1 {
		return func() string { return addrs[0] }
	}
	var turn atomic.Uint64
	return func() string { return addrs[turn.Add(1)%uint64(len(addrs))] }
}

func byName() string { return service }

// bare is an http.Client and addresses.
func bare(addrs []string) client {
	c := &http.Client{Transport: network()}
	return client{host: byTurns(addrs), call: plain(c), closing: c.CloseIdleConnections}
}

// guarded is breakerhttp alone: a breaker per address.
func guarded(addrs []string) client {
	rt := breakerhttp.MustNewTransport(breakerhttp.TransportConfig{Base: network()})
	c := &http.Client{Transport: rt}
	return client{
		host: byTurns(addrs), call: plain(c), closing: c.CloseIdleConnections,
		refuses: func(call func() error) error { return refused(call, breaker.ErrOpen) },
	}
}

// balanced is registryhttp alone: instances by the name of their service.
func balanced(addrs []string) client {
	r := registered(registry.Config{}, addrs)
	c := &http.Client{Transport: registryhttp.MustNewTransport(r, registryhttp.TransportConfig{Base: network()})}
	return client{
		host: byName, call: plain(c),
		counted: func(calls int) error { return picked(r, calls) },
		closing: func() {
			c.CloseIdleConnections()
			must(r.Close(background))
		},
	}
}

// registered is a registry with an instance of the service at each address.
func registered(cfg registry.Config, addrs []string) *registry.Registry {
	r := registry.MustNew(cfg)
	for _, a := range addrs {
		got(r.Register(background, registry.Instance{Service: service, Addr: a, TTL: time.Hour}))
	}
	return r
}

// picked tells whether there were so many calls, and all have ended.
func picked(r *registry.Registry, calls int) error {
	picks, inFlight := 0, 0
	for e := range r.Service(service).Snapshot().All() {
		picks += int(e.Picks())
		inFlight += e.InFlight()
	}
	return want(picks == calls && inFlight == 0, "%d picks of %d calls, of which %d are in flight", picks, calls, inFlight)
}

// rival is an http.Client whose calls are functions of gobreaker, as its README
// shows, with a breaker per address.
func rival(addrs []string) client {
	breakers := make(map[string]*gobreaker.CircuitBreaker[int], len(addrs))
	for _, a := range addrs {
		breakers[a] = gobreaker.NewCircuitBreaker[int](gobreaker.Settings{
			Name: a,
			ReadyToTrip: func(c gobreaker.Counts) bool {
				return c.Requests >= 3 && float64(c.TotalFailures)/float64(c.Requests) >= 0.6
			},
		})
	}
	c := &http.Client{Transport: network()}
	return client{
		host: byTurns(addrs),
		call: func(req *http.Request, buf []byte) error {
			_, err := breakers[req.URL.Host].Execute(func() (int, error) { return len(buf), exchange(c, req, buf) })
			return err
		},
		counted: func(calls int) error {
			n := 0
			for _, b := range breakers {
				n += int(b.Counts().TotalSuccesses)
			}
			return want(n == calls, "%d of %d calls were counted", n, calls)
		},
		closing: c.CloseIdleConnections,
	}
}

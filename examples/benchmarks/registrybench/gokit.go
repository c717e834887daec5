package registrybench

import (
	"context"
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/go-kit/kit/endpoint"
	"github.com/go-kit/kit/sd"
	"github.com/go-kit/kit/sd/lb"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

var errDown = errors.New("down")

// quiet is a logger that does not.
type quiet struct{}

func (quiet) Log(...any) error { return nil }

// echoes makes endpoints that answer with their address, as the guide of go-kit
// has a factory that makes clients.
func echoes(instance string) (endpoint.Endpoint, io.Closer, error) {
	return func(context.Context, any) (any, error) { return instance, nil }, nil, nil
}

// An instancer hands on what it is told.
type instancer struct{ ch chan<- sd.Event }

func (i *instancer) Register(ch chan<- sd.Event) { i.ch = ch }

func (i *instancer) Deregister(chan<- sd.Event) {}

func (i *instancer) Stop() {}

// gokitEndpointer has the addresses, and tells when it has been told of others.
func gokitEndpointer(factory sd.Factory, addrs []string) (*sd.DefaultEndpointer, func(addrs []string)) {
	in := &instancer{}
	e := sd.NewEndpointer(in, factory, quiet{})
	tell := func(addrs []string) { in.ch <- sd.Event{Instances: addrs} }
	tell(addrs)
	gokitAwait(e, len(addrs))
	return e, tell
}

// gokitAwait is until there are n endpoints.
func gokitAwait(e sd.Endpointer, n int) {
	for len(got(e.Endpoints())) != n {
		runtime.Gosched()
	}
}

func gokitEndpoints(n int) bench.Case {
	return bench.Case{Name: "go-kit Endpointer.Endpoints", New: func() bench.Run {
		e, _ := gokitEndpointer(echoes, fleet{n: n}.addrs())
		return bench.Run{
			Loop: func(count int) (passed, failed int) {
				for range count {
					if all, err := e.Endpoints(); err == nil && len(all) == n {
						passed++
					} else {
						failed++
					}
				}
				return passed, failed
			},
			Close: e.Close,
			Check: func(int) error {
				addrs := make([]string, 0, n)
				for _, one := range got(e.Endpoints()) {
					addrs = append(addrs, gokitAddr(one))
				}
				return want(same(addrs, fleet{n: n}.addrs()), "there are other endpoints")
			},
		}
	}}
}

func gokitAddr(e endpoint.Endpoint) string { return got(e(background, nil)).(string) }

func gokitRoundRobin(f fleet) target {
	e, _ := gokitEndpointer(echoes, f.addrs())
	rr := lb.NewRoundRobin(e)
	return target{
		loop: func(n int) (passed, failed int) {
			for range n {
				if e, err := rr.Endpoint(); err != nil || e == nil {
					failed++
				} else {
					passed++
				}
			}
			return passed, failed
		},
		choose: func() (string, error) {
			e, err := rr.Endpoint()
			if err != nil {
				return "", err
			}
			return gokitAddr(e), nil
		},
		closing: e.Close,
	}
}

// gokitChange tells of an instance that has come, and that it has gone.
func gokitChange(n int) bench.Case {
	return bench.Case{Name: "go-kit, two events", New: func() bench.Run {
		e, tell := gokitEndpointer(echoes, fleet{n: n}.addrs())
		more, less := fleet{n: n + 1}.addrs(), fleet{n: n}.addrs()
		return bench.Run{
			Loop: func(count int) (passed, failed int) {
				for range count {
					tell(more)
					tell(less)
				}
				gokitAwait(e, n)
				return count, 0
			},
			Close: e.Close,
		}
	}}
}

// gokitRetry is a call that may be tried twice, of which some attempts fail.
func gokitRetry(factory func() sd.Factory) maker {
	return func(f fleet) target {
		e, _ := gokitEndpointer(factory(), f.addrs())
		call := lb.Retry(2, time.Minute, lb.NewRoundRobin(e))
		return target{
			loop: func(n int) (passed, failed int) {
				for range n {
					if v, err := call(background, nil); err != nil || v == nil {
						failed++
					} else {
						passed++
					}
				}
				return passed, failed
			},
			choose: func() (string, error) {
				v, err := call(background, nil)
				if err != nil {
					return "", err
				}
				return v.(string), nil
			},
			closing: e.Close,
		}
	}
}

func gokitAllPass() sd.Factory { return echoes }

// gokitFirstFails makes endpoints of which every other call fails.
func gokitFirstFails() sd.Factory {
	first := ""
	return func(instance string) (endpoint.Endpoint, io.Closer, error) {
		return func(context.Context, any) (any, error) {
			if first == "" {
				first = instance
				return nil, errDown
			}
			if first == instance {
				return nil, errDown
			}
			first = ""
			return instance, nil
		}, nil, nil
	}
}

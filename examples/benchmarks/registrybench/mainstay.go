package registrybench

import (
	"context"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

func instances(f fleet, ttl time.Duration) []registry.Instance {
	ins := make([]registry.Instance, f.n)
	for i := range ins {
		ins[i] = registry.Instance{Service: service, Addr: addr(i), TTL: ttl}
		if f.weight != nil {
			ins[i].Weight = f.weight(i)
		}
	}
	return ins
}

// ours is a registry with the instances, and their leases.
func ours(f fleet, ttl time.Duration) (*registry.Registry, []*registry.Lease) {
	r := registry.MustNew(registry.Config{Limits: registry.Limits{Instances: -1}})
	return r, got(r.RegisterWith(background, registry.RegisterConfig{}, instances(f, ttl)...))
}

// closes is how each registry of ours ends.
func closes(r *registry.Registry) func() { return func() { must(r.Close(background)) } }

// oursPick is a choice and its end. What is tracked has to add up.
func oursPick(policy balance.Policy, ttl time.Duration) maker {
	return func(f fleet) target {
		r, _ := ours(f, ttl)
		s := r.Service(service)
		lb := balance.MustNew(s, balance.Config{Policy: policy})
		return target{
			loop: func(n int) (passed, failed int) {
				for range n {
					p, err := lb.Pick(background)
					if err != nil || p.Endpoint() == nil {
						failed++
						continue
					}
					p.Done(nil)
					passed++
				}
				return passed, failed
			},
			choose: func() (string, error) {
				p, err := lb.Pick(background)
				if err != nil {
					return "", err
				}
				defer p.Done(nil)
				return p.Endpoint().Addr(), nil
			},
			after:   func(n int) error { return tracked(s, n) },
			closing: closes(r),
		}
	}
}

// tracked tells whether there were n picks, and all have ended.
func tracked(s *registry.Service, n int) error {
	var picks uint64
	inFlight := 0
	for e := range s.Snapshot().All() {
		picks += e.Picks()
		inFlight += e.InFlight()
	}
	return want(picks == uint64(n) && inFlight == 0, "there were %d picks, not %d, and %d are in flight", picks, n, inFlight)
}

func oursNext(policy balance.Policy) maker {
	return func(f fleet) target {
		r, _ := ours(f, 0)
		lb := balance.MustNew(r.Service(service), balance.Config{Policy: policy})
		return target{
			loop: func(n int) (passed, failed int) {
				for range n {
					if e, err := lb.Next(balance.Query{}); err != nil || e == nil {
						failed++
					} else {
						passed++
					}
				}
				return passed, failed
			},
			choose:  func() (string, error) { return next(lb, balance.Query{}) },
			closing: closes(r),
		}
	}
}

func next(lb *balance.Balancer, q balance.Query) (string, error) {
	e, err := lb.Next(q)
	if err != nil {
		return "", err
	}
	return e.Addr(), nil
}

// oursHash chooses by keys that are hashed first.
func oursHash(f fleet) target {
	r, _ := ours(f, 0)
	lb := balance.MustNew(r.Service(service), balance.Config{Policy: balance.ConsistentHash{}})
	names := keys()
	key := inTurn(names)
	return target{
		loop: func(n int) (passed, failed int) {
			i := 0
			for range n {
				if e, err := lb.Next(balance.Query{Key: balance.HashKey(names[i])}); err != nil || e == nil {
					failed++
				} else {
					passed++
				}
				if i++; i == len(names) {
					i = 0
				}
			}
			return passed, failed
		},
		choose: func() (string, error) {
			q := balance.Query{Key: balance.HashKey(key())}
			a, err := next(lb, q)
			if err != nil {
				return "", err
			}
			again, err := next(lb, q)
			if err == nil && again != a {
				err = fmt.Errorf("the same key went to %s and %s", a, again)
			}
			return a, err
		},
		closing: closes(r),
	}
}

func oursSnapshot(name string, n int, ttl time.Duration) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		r, _ := ours(fleet{n: n}, ttl)
		s := r.Service(service)
		return bench.Run{
			Loop: func(count int) (passed, failed int) {
				for range count {
					if s.Snapshot().Len() == n {
						passed++
					} else {
						failed++
					}
				}
				return passed, failed
			},
			Close: closes(r),
			Check: func(int) error {
				var addrs []string
				for e := range s.Snapshot().All() {
					addrs = append(addrs, e.Addr())
				}
				return want(same(addrs, fleet{n: n}.addrs()), "the snapshot has other instances")
			},
		}
	}}
}

// oursByName looks services up by name, each of which has one instance.
func oursByName(services int) bench.Case {
	return bench.Case{Name: "mainstay Service(name).Snapshot()", New: func() bench.Run {
		r := registry.MustNew(registry.Config{})
		names := names(services)
		for i, name := range names {
			got(r.Register(background, registry.Instance{Service: name, Addr: addr(i)}))
		}
		return bench.Run{
			Loop: func(n int) (passed, failed int) {
				i := 0
				for range n {
					if r.Service(names[i]).Snapshot().Len() == 1 {
						passed++
					} else {
						failed++
					}
					if i++; i == len(names) {
						i = 0
					}
				}
				return passed, failed
			},
			Close: closes(r),
			Check: func(int) error {
				for i, name := range names {
					if a := r.Service(name).Snapshot().At(0).Addr(); a != addr(i) {
						return fmt.Errorf("%s is at %s", name, a)
					}
				}
				return nil
			},
		}
	}}
}

func names(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("service-%d", i)
	}
	return all
}

// oursChange is an instance that comes and goes again, beside others. That it
// has come is seen by a reader.
func oursChange(n int) bench.Case {
	return bench.Case{Name: "mainstay Register + Deregister", New: func() bench.Run {
		r, _ := ours(fleet{n: n}, 0)
		s := r.Service(service)
		in := registry.Instance{Service: service, Addr: addr(n)}
		return bench.Run{
			Loop: func(count int) (passed, failed int) {
				for range count {
					l, err := r.Register(background, in)
					if err != nil || s.Snapshot().Len() != n+1 {
						failed++
						continue
					}
					if err := l.Deregister(); err != nil || s.Snapshot().Len() != n {
						failed++
					} else {
						passed++
					}
				}
				return passed, failed
			},
			Close: closes(r),
		}
	}}
}

// oursRegisterWith registers a whole service at once. What is told is the time
// of one instance.
func oursRegisterWith(name string, n int) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		ins := instances(fleet{n: n}, 0)
		return bench.Run{Each: n, Loop: func(count int) (passed, failed int) {
			for range count {
				r := registry.MustNew(registry.Config{})
				leases, err := r.RegisterWith(background, registry.RegisterConfig{}, ins...)
				if err == nil && len(leases) == n && r.Service(service).Snapshot().Len() == n {
					passed++
				} else {
					failed++
				}
			}
			return passed, failed
		}}
	}}
}

func oursRenew(n int) bench.Case {
	return bench.Case{Name: "mainstay Renew", New: func() bench.Run {
		r, leases := ours(fleet{n: n}, time.Hour)
		l := leases[n/2]
		return bench.Run{
			Loop: func(count int) (passed, failed int) {
				for range count {
					if err := l.Renew(); err != nil {
						failed++
					} else {
						passed++
					}
				}
				return passed, failed
			},
			Close: closes(r),
			Check: func(int) error { return want(r.Stats().Leases == n, "there are %d leases", r.Stats().Leases) },
		}
	}}
}

func echo(_ context.Context, e *registry.Endpoint) (*registry.Endpoint, error) { return e, nil }

func oursDo(f fleet) target {
	r, _ := ours(f, 0)
	s := r.Service(service)
	lb := balance.MustNew(s, balance.Config{})
	return target{
		loop: func(n int) (passed, failed int) {
			for range n {
				if e, err := balance.Do(background, lb, echo); err != nil || e == nil {
					failed++
				} else {
					passed++
				}
			}
			return passed, failed
		},
		choose: func() (string, error) {
			e, err := balance.Do(background, lb, echo)
			if err != nil {
				return "", err
			}
			return e.Addr(), nil
		},
		after:   func(n int) error { return tracked(s, n) },
		closing: closes(r),
	}
}

// oursRetry is a call whose first attempt fails, and whose second is made at
// another instance.
func oursRetry(f fleet) target {
	r, _ := ours(f, 0)
	s := r.Service(service)
	lb := balance.MustNew(s, balance.Config{Policy: balance.RoundRobin{}, Retry: balance.Retry{Budget: -1}})
	var first *registry.Endpoint
	call := func(_ context.Context, e *registry.Endpoint) (*registry.Endpoint, error) {
		if first == nil {
			first = e
			return nil, errDown
		}
		if first == e {
			return nil, errDown
		}
		first = nil
		return e, nil
	}
	return target{
		loop: func(n int) (passed, failed int) {
			for range n {
				if e, err := balance.Do(background, lb, call); err != nil || e == nil {
					failed++
				} else {
					passed++
				}
			}
			return passed, failed
		},
		choose: func() (string, error) {
			e, err := balance.Do(background, lb, call)
			if err != nil {
				return "", err
			}
			return e.Addr(), nil
		},
		after:   func(n int) error { return tracked(s, 2*n) },
		closing: closes(r),
	}
}

package registrybench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/registry"
)

// watching is a case whose operation is one change, which is over when all
// watchers have seen it. What is told is the time of one watcher.
func watching(name string, watchers int, set func(a *audience) (change func() error, closing func())) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		a := &audience{n: watchers, all: make(chan struct{}, 1)}
		a.left.Store(int64(watchers))
		change, closing := set(a)
		<-a.all // they have seen the beginning
		return bench.Run{
			Each: watchers,
			Loop: func(n int) (passed, failed int) {
				for range n {
					a.left.Store(int64(watchers))
					if err := change(); err != nil {
						failed++
						continue
					}
					<-a.all
					passed++
				}
				return passed, failed
			},
			Check: func(n int) error {
				seen := a.seen.Load()
				return want(seen == int64(watchers)*int64(n+1), "%d watchers saw %d states of %d changes", watchers, seen, n)
			},
			Close: func() {
				closing()
				a.watching.Wait()
			},
		}
	}}
}

// An audience is the watchers of a case, each with a goroutine.
type audience struct {
	n        int
	watching sync.WaitGroup
	left     atomic.Int64 // that have not seen the latest state
	seen     atomic.Int64 // states, by all
	all      chan struct{}
}

func (a *audience) see() {
	a.seen.Add(1)
	if a.left.Add(-1) == 0 {
		a.all <- struct{}{}
	}
}

// oursWatch changes the health of an instance, and back.
func oursWatch(a *audience) (change func() error, closing func()) {
	r := registry.MustNew(registry.Config{Limits: registry.Limits{Watchers: -1}})
	l := got(r.Register(background, registry.Instance{Service: service, Addr: addr(0)}))
	ctx, cancel := context.WithCancel(background)
	for range a.n {
		a.watching.Go(func() {
			for u, err := range r.Service(service).Watch(ctx) {
				if err != nil {
					return
				}
				if u.Snapshot.Len() == 1 && len(u.Added)+len(u.Changed) == 1 {
					a.see()
				}
			}
		})
	}
	h := registry.Passing
	return func() error {
			h = registry.Passing + registry.Warning - h
			return l.SetHealth(h, "")
		}, func() {
			cancel()
			must(r.Close(background))
		}
}

// latch is what it takes at the least to wake those who wait for a state: a
// channel that is closed, beside the state it is about.
func latch(a *audience) (change func() error, closing func()) {
	type state struct {
		version int
		over    chan struct{}
	}
	var present atomic.Pointer[state]
	present.Store(&state{0, make(chan struct{})})
	for range a.n {
		a.watching.Go(func() {
			for {
				s := present.Load()
				if s.version < 0 {
					return
				}
				a.see()
				<-s.over
			}
		})
	}
	put := func(version int) {
		s := present.Swap(&state{version, make(chan struct{})})
		close(s.over)
	}
	version := 0
	return func() error {
		version++
		put(version)
		return nil
	}, func() { put(-1) }
}

func watchers(n int) string {
	switch n {
	case 1:
		return "1 watcher"
	case 10_000:
		return "each of 10,000 watchers"
	}
	return fmt.Sprintf("each of %d watchers", n)
}

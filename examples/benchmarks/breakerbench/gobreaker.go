package breakerbench

import (
	"errors"
	"sync"

	"github.com/sony/gobreaker/v2"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

type gobreakerCB = gobreaker.CircuitBreaker[int]

// gobreakerStreak is the library's default: more than five failures in a row
// open, counts are never cleared.
func gobreakerStreak() gobreaker.Settings { return gobreaker.Settings{Name: "db", Timeout: openFor} }

// gobreakerRolling counts in the buckets of a rolling window. ReadyToTrip has
// the form of the library's own example.
func gobreakerRolling() gobreaker.Settings {
	return gobreaker.Settings{
		Name:         "db",
		Timeout:      openFor,
		Interval:     windowTime,
		BucketPeriod: windowTime / 10,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= minCalls && float64(c.TotalFailures)/float64(c.Requests) >= failureRate
		},
	}
}

// gobreakerCounts checks that the calls were counted and that failures open.
func gobreakerCounts(st gobreaker.Settings, counts func() gobreaker.Counts, open func() bool, fail func()) func(int) error {
	return func(calls int) error {
		c := counts()
		err := want(c.Requests > 0 && uint64(c.Requests) <= uint64(calls), "%d of %d calls counted", c.Requests, calls)
		if st.Interval == 0 {
			return errors.Join(err, opens(1, limit+1, open, fail))
		}
		if calls < fewCalls {
			err = errors.Join(err, opens(1, calls+minCalls, open, fail))
		}
		return err
	}
}

func gobreakerNew(st gobreaker.Settings) (*gobreakerCB, func(int) error) {
	cb := gobreaker.NewCircuitBreaker[int](st)
	return cb, gobreakerCounts(st, cb.Counts, func() bool { return cb.State() == gobreaker.StateOpen }, func() { _, _ = cb.Execute(failPlain) })
}

func gobreakerOpen() (*gobreakerCB, func(int) error) {
	cb := gobreaker.NewCircuitBreaker[int](gobreakerStreak())
	for range limit + 1 {
		_, _ = cb.Execute(failPlain)
	}
	return cb, func(int) error {
		_, err := cb.Execute(passPlain)
		return errors.Join(
			want(errors.Is(err, gobreaker.ErrOpenState), "not rejected: %v", err),
			want(cb.State() == gobreaker.StateOpen, "state %v", cb.State()),
		)
	}
}

func gobreakerExecute(st gobreaker.Settings) bench.Case {
	return bench.Case{Name: "gobreaker Execute", New: func() bench.Run {
		cb, check := gobreakerNew(st)
		return bench.Run{Loop: executeLoop(cb), Check: check}
	}}
}

func gobreakerRejected() bench.Case {
	return bench.Case{Name: "gobreaker Execute", New: func() bench.Run {
		cb, check := gobreakerOpen()
		return bench.Run{Loop: executeLoop(cb), Check: check, Want: bench.AllFail}
	}}
}

func executeLoop(cb *gobreakerCB) bench.Loop {
	fn := passPlain
	return func(n int) (passed, failed int) {
		for range n {
			v, err := cb.Execute(fn)
			if err != nil {
				failed++
			}
			passed += v
		}
		return passed, failed
	}
}

func gobreakerMixed(st gobreaker.Settings, pattern []bool) bench.Case {
	return bench.Case{Name: "gobreaker Execute", New: func() bench.Run {
		cb, check := gobreakerNew(st)
		fns := choose(pattern, passPlain, failPlain)
		return bench.Run{Check: check, Want: bench.Pattern(pattern), Loop: func(n int) (passed, failed int) {
			next := 0
			for range n {
				v, err := cb.Execute(fns[next])
				if err != nil {
					failed++
				}
				passed += v
				if next++; next == len(fns) {
					next = 0
				}
			}
			return passed, failed
		}}
	}}
}

func gobreakerTwoStep(st gobreaker.Settings) bench.Case {
	return bench.Case{Name: "gobreaker two-step", New: func() bench.Run {
		cb := gobreaker.NewTwoStepCircuitBreaker[int](st)
		check := gobreakerCounts(st, cb.Counts, func() bool { return cb.State() == gobreaker.StateOpen }, func() { twoStepFail(cb) })
		return bench.Run{Loop: twoStepLoop(cb), Check: check}
	}}
}

func gobreakerTwoStepRejected() bench.Case {
	return bench.Case{Name: "gobreaker two-step", New: func() bench.Run {
		cb := gobreaker.NewTwoStepCircuitBreaker[int](gobreakerStreak())
		for range limit + 1 {
			twoStepFail(cb)
		}
		return bench.Run{Loop: twoStepLoop(cb), Want: bench.AllFail, Check: func(int) error {
			_, err := cb.Allow()
			return want(errors.Is(err, gobreaker.ErrOpenState), "not rejected: %v", err)
		}}
	}}
}

func twoStepFail(cb *gobreaker.TwoStepCircuitBreaker[int]) {
	if done, err := cb.Allow(); err == nil {
		done(errFailed)
	}
}

func twoStepLoop(cb *gobreaker.TwoStepCircuitBreaker[int]) bench.Loop {
	fn := passPlain
	return func(n int) (passed, failed int) {
		for range n {
			done, err := cb.Allow()
			if err != nil {
				failed++
				continue
			}
			v, err := fn()
			done(err)
			passed += v
		}
		return passed, failed
	}
}

func gobreakerState(set func() (*gobreakerCB, func(int) error), is gobreaker.State) bench.Case {
	return bench.Case{Name: "gobreaker State", New: func() bench.Run {
		cb, _ := set()
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				if cb.State() == is {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}

func gobreakerStateCounts() bench.Case {
	return bench.Case{Name: "gobreaker State + Counts", New: func() bench.Run {
		cb, _ := gobreakerNew(gobreakerRolling())
		executeLoop(cb)(windowCalls)
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				if cb.State() == gobreaker.StateClosed && cb.Counts().TotalFailures == 0 {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}

// A gobreakerMap is the usual way to keep one breaker per key.
type gobreakerMap struct {
	mu sync.RWMutex
	m  map[string]*gobreakerCB
}

func (g *gobreakerMap) get(key string) *gobreakerCB {
	g.mu.RLock()
	cb := g.m[key]
	g.mu.RUnlock()
	if cb != nil {
		return cb
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if cb = g.m[key]; cb == nil {
		st := gobreakerStreak()
		st.Name = key
		cb = gobreaker.NewCircuitBreaker[int](st)
		g.m[key] = cb
	}
	return cb
}

func newGobreakerMap(keys []string) *gobreakerMap {
	g := &gobreakerMap{m: make(map[string]*gobreakerCB)}
	for _, key := range keys {
		g.get(key)
	}
	return g
}

func gobreakerGet(keys int) bench.Case {
	return bench.Case{Name: "map + RWMutex of gobreaker", New: func() bench.Run {
		order := keyedOrder(keys)
		start := starts(keys)
		g := newGobreakerMap(order)
		return bench.Run{Loop: func(n int) (passed, failed int) {
			next := start()
			for range n {
				if g.get(order[next]) != nil {
					passed++
				}
				if next++; next == len(order) {
					next = 0
				}
			}
			return passed, failed
		}}
	}}
}

func gobreakerKeyed(keys int) bench.Case {
	return bench.Case{Name: "map + RWMutex of gobreaker, Execute", New: func() bench.Run {
		order := keyedOrder(keys)
		start := starts(keys)
		g := newGobreakerMap(order)
		fn := passPlain
		return bench.Run{Check: gobreakerKept(len(g.m), order, g.get), Loop: func(n int) (passed, failed int) {
			next := start()
			for range n {
				v, err := g.get(order[next]).Execute(fn)
				if err != nil {
					failed++
				}
				passed += v
				if next++; next == len(order) {
					next = 0
				}
			}
			return passed, failed
		}}
	}}
}

// A gobreakerSync is the same without a lock for hits.
type gobreakerSync struct{ m sync.Map }

func (g *gobreakerSync) get(key string) *gobreakerCB {
	if cb, ok := g.m.Load(key); ok {
		return cb.(*gobreakerCB)
	}
	st := gobreakerStreak()
	st.Name = key
	cb, _ := g.m.LoadOrStore(key, gobreaker.NewCircuitBreaker[int](st))
	return cb.(*gobreakerCB)
}

func gobreakerKeyedSync(keys int) bench.Case {
	return bench.Case{Name: "sync.Map of gobreaker, Execute", New: func() bench.Run {
		order := keyedOrder(keys)
		start := starts(keys)
		g := new(gobreakerSync)
		for _, key := range order {
			g.get(key)
		}
		fn := passPlain
		return bench.Run{Check: gobreakerKept(keys, order, g.get), Loop: func(n int) (passed, failed int) {
			next := start()
			for range n {
				v, err := g.get(order[next]).Execute(fn)
				if err != nil {
					failed++
				}
				passed += v
				if next++; next == len(order) {
					next = 0
				}
			}
			return passed, failed
		}}
	}}
}

func gobreakerKept(kept int, keys []string, get func(string) *gobreakerCB) func(int) error {
	return func(int) error {
		first := get(keys[0])
		return errors.Join(
			want(kept == len(keys), "%d keys kept", kept),
			opens(limit+1, limit+1, func() bool { return first.State() == gobreaker.StateOpen }, func() { _, _ = first.Execute(failPlain) }),
			want(get(keys[1]).State() == gobreaker.StateClosed, "the next key is %v", get(keys[1]).State()),
		)
	}
}

package breakerbench

import (
	"context"
	"errors"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Configs of ours, besides the zero one.
func ours(r breaker.Rule) breaker.Config { return breaker.Config{Trip: r, OpenFor: openFor} }

var (
	oursStreak = breaker.Config{OpenFor: openFor}
	oursCount  = ours(breaker.FailureRate(failureRate, minCalls, breaker.LastN(windowCalls)))
	oursTime   = ours(breaker.FailureRate(failureRate, minCalls, breaker.Within(windowTime)))
	oursSlow   = ours(breaker.SlowRate(2*time.Second, failureRate, minCalls, breaker.LastN(windowCalls)))
)

// A maker sets one of our breakers up.
type maker func() (*breaker.Breaker, func(calls int) error)

// streak checks that the breaker opens at exactly the fifth failure in a row.
func streak() (*breaker.Breaker, func(int) error) {
	b := breaker.MustNew("db", oursStreak)
	return b, func(int) error { return oursOpens(b, 1, limit) } // failures of the last calls may count
}

// countWindow checks that the window holds what it should, and opens.
func countWindow() (*breaker.Breaker, func(int) error) {
	b := breaker.MustNew("db", oursCount)
	return b, func(calls int) error {
		s := b.Snapshot()
		return errors.Join(
			want(s.Calls == uint64(min(calls, windowCalls)), "%d calls in the window", s.Calls),
			want(s.Failures <= 2, "%d failures in the window", s.Failures), // the pattern may have begun anew
			oursOpens(b, 1, windowCalls),
		)
	}
}

func timeWindow() (*breaker.Breaker, func(int) error) {
	b := breaker.MustNew("db", oursTime)
	return b, func(calls int) error {
		s := b.Snapshot()
		err := want(s.Calls > 0 && s.Calls <= uint64(calls) && s.Failures == 0, "%d calls and %d failures in the window", s.Calls, s.Failures)
		if calls < fewCalls {
			err = errors.Join(err, oursOpens(b, 1, calls+minCalls))
		}
		return err
	}
}

// slowWindow checks that the window counts; nothing here is slow.
func slowWindow() (*breaker.Breaker, func(int) error) {
	b := breaker.MustNew("db", oursSlow)
	return b, func(calls int) error {
		s := b.Snapshot()
		return want(s.SlowOf == uint64(min(calls, windowCalls)) && s.Slow == 0, "%d of %d slow", s.Slow, s.SlowOf)
	}
}

// open is a breaker that its rule has opened.
func open() (*breaker.Breaker, func(int) error) {
	b := breaker.MustNew("db", oursStreak)
	if err := oursOpens(b, limit, limit); err != nil {
		panic(err)
	}
	return b, func(calls int) error {
		_, err := breaker.Do(context.Background(), b, pass)
		return errors.Join(
			want(errors.Is(err, breaker.ErrOpen), "not rejected: %v", err),
			want(b.State() == breaker.Open, "state %v", b.State()),
			want(b.Snapshot().Rejected == uint64(calls)+1, "%d calls rejected", b.Snapshot().Rejected),
		)
	}
}

// openUncounted is open for what does not call.
func openUncounted() (*breaker.Breaker, func(int) error) {
	b, _ := open()
	return b, func(int) error { return want(b.State() == breaker.Open, "state %v", b.State()) }
}

func oursOpens(b *breaker.Breaker, least, most int) error {
	return opens(least, most, func() bool { return b.State() == breaker.Open }, func() {
		_ = b.Run(context.Background(), func(context.Context) error { return errFailed })
	})
}

func oursDo(set maker) bench.Case {
	return bench.Case{Name: "mainstay Do", New: func() bench.Run {
		b, check := set()
		return bench.Run{Loop: doLoop(context.Background(), b), Check: check}
	}}
}

func oursDoCancellable(set maker) bench.Case {
	return bench.Case{Name: "mainstay Do", New: func() bench.Run {
		b, check := set()
		ctx, cancel := context.WithCancel(context.Background())
		return bench.Run{Loop: doLoop(ctx, b), Check: check, Close: cancel}
	}}
}

func oursDoRejected() bench.Case {
	return bench.Case{Name: "mainstay Do", New: func() bench.Run {
		b, check := open()
		return bench.Run{Loop: doLoop(context.Background(), b), Check: check, Want: bench.AllFail}
	}}
}

func doLoop(ctx context.Context, b *breaker.Breaker) bench.Loop {
	fn := pass
	return func(n int) (passed, failed int) {
		for range n {
			v, err := breaker.Do(ctx, b, fn)
			if err != nil {
				failed++
			}
			passed += v
		}
		return passed, failed
	}
}

func oursDoMixed(set maker, pattern []bool) bench.Case {
	return bench.Case{Name: "mainstay Do", New: func() bench.Run {
		b, check := set()
		ctx, fns := context.Background(), choose(pattern, pass, fail)
		return bench.Run{Check: check, Want: bench.Pattern(pattern), Loop: func(n int) (passed, failed int) {
			next := 0
			for range n {
				v, err := breaker.Do(ctx, b, fns[next])
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

func oursRun(set maker) bench.Case {
	return bench.Case{Name: "mainstay Run", New: func() bench.Run {
		b, check := set()
		ctx, fn := context.Background(), passError
		return bench.Run{Check: check, Loop: func(n int) (passed, failed int) {
			for range n {
				if err := b.Run(ctx, fn); err != nil {
					failed++
				} else {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}

func oursPermit(set maker) bench.Case {
	return bench.Case{Name: "mainstay Allow + Done", New: func() bench.Run {
		b, check := set()
		return bench.Run{Loop: permitLoop(b), Check: check}
	}}
}

func oursPermitRejected() bench.Case {
	return bench.Case{Name: "mainstay Allow", New: func() bench.Run {
		b, check := open()
		return bench.Run{Loop: permitLoop(b), Check: check, Want: bench.AllFail}
	}}
}

func permitLoop(b *breaker.Breaker) bench.Loop {
	ctx, fn := context.Background(), pass
	return func(n int) (passed, failed int) {
		for range n {
			p, err := b.Allow(ctx)
			if err != nil {
				failed++
				continue
			}
			v, err := fn(ctx)
			p.Done(err)
			passed += v
		}
		return passed, failed
	}
}

func oursState(set maker, is breaker.State) bench.Case {
	return bench.Case{Name: "mainstay State", New: func() bench.Run {
		b, check := set()
		return bench.Run{Check: check, Loop: func(n int) (passed, failed int) {
			for range n {
				if b.State() == is {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}

func oursSnapshot() bench.Case {
	return bench.Case{Name: "mainstay Snapshot", New: func() bench.Run {
		b, _ := countWindow()
		doLoop(context.Background(), b)(windowCalls)
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				if s := b.Snapshot(); s.State == breaker.Closed && s.Calls == windowCalls {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}

// oursGroup has the breakers of all keys, looked up often enough for the group
// to have settled.
func oursGroup(keys []string) *breaker.Group[string] {
	g := breaker.MustNewGroup(breaker.GroupConfig[string]{Config: oursStreak, Max: len(keys)})
	for range 3 {
		for _, key := range keys {
			g.Get(key)
		}
	}
	return g
}

func oursGet(keys int) bench.Case {
	return bench.Case{Name: "mainstay Group.Get", New: func() bench.Run {
		order := keyedOrder(keys)
		start := starts(keys)
		g := oursGroup(order)
		return bench.Run{Check: func(int) error { return oursKept(g, order) }, Loop: func(n int) (passed, failed int) {
			next := start()
			for range n {
				if g.Get(order[next]) != nil {
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

func oursKeyed(keys int) bench.Case {
	return bench.Case{Name: "mainstay Group.Get + Do", New: func() bench.Run {
		order := keyedOrder(keys)
		start := starts(keys)
		g := oursGroup(order)
		ctx, fn := context.Background(), pass
		return bench.Run{Check: func(int) error { return oursKept(g, order) }, Loop: func(n int) (passed, failed int) {
			next := start()
			for range n {
				v, err := breaker.Do(ctx, g.Get(order[next]), fn)
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

// oursKept checks that no key was dropped and that each has a breaker of its
// own.
func oursKept(g *breaker.Group[string], keys []string) error {
	return errors.Join(
		want(g.Len() == len(keys), "%d keys kept", g.Len()),
		oursOpens(g.Get(keys[0]), limit, limit),
		want(g.Get(keys[1]).State() == breaker.Closed, "the next key is %v", g.Get(keys[1]).State()),
	)
}

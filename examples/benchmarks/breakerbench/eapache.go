package breakerbench

import (
	"errors"

	eapache "github.com/eapache/go-resiliency/breaker"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// newEapache opens after five errors without a pause between them as long as
// the open time, and closes after three successes.
func newEapache() *eapache.Breaker { return eapache.New(limit, 3, openFor) }

func eapacheOpens(b *eapache.Breaker) error {
	return opens(limit, limit, func() bool { return b.GetState() == eapache.Open }, func() { _ = b.Run(failErrorPlain) })
}

func eapacheOpen() *eapache.Breaker {
	b := newEapache()
	if err := eapacheOpens(b); err != nil {
		panic(err)
	}
	return b
}

func eapacheRun() bench.Case {
	return bench.Case{Name: "eapache Run", New: func() bench.Run {
		b := newEapache()
		return bench.Run{Loop: eapacheLoop(b), Check: func(int) error { return eapacheOpens(b) }}
	}}
}

func eapacheRejected() bench.Case {
	return bench.Case{Name: "eapache Run", New: func() bench.Run {
		b := eapacheOpen()
		return bench.Run{Loop: eapacheLoop(b), Want: bench.AllFail, Check: func(int) error {
			err := b.Run(passErrorPlain)
			return want(errors.Is(err, eapache.ErrBreakerOpen), "not rejected: %v", err)
		}}
	}}
}

func eapacheLoop(b *eapache.Breaker) bench.Loop {
	fn := passErrorPlain
	return func(n int) (passed, failed int) {
		for range n {
			if err := b.Run(fn); err != nil {
				failed++
			} else {
				passed++
			}
		}
		return passed, failed
	}
}

func eapacheState(set func() *eapache.Breaker, is eapache.State) bench.Case {
	return bench.Case{Name: "eapache GetState", New: func() bench.Run {
		b := set()
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				if b.GetState() == is {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}

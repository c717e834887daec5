package breakerbench

import (
	"errors"
	"sync"

	gozero "github.com/zeromicro/go-zero/core/breaker"
	"github.com/zeromicro/go-zero/core/logx"
	"github.com/zeromicro/go-zero/core/stat"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// quiet keeps the library from writing logs while others are measured.
var quiet = sync.OnceFunc(func() {
	logx.Disable()
	stat.DisableLog()
})

// throttles checks that a breaker of go-zero begins to reject, by chance, when
// most calls fail.
func throttles(b gozero.Breaker, calls int) error {
	if calls >= fewCalls {
		return nil
	}
	rejected := 0
	for range 10*calls + 1000 {
		if errors.Is(b.Do(failErrorPlain), gozero.ErrServiceUnavailable) {
			rejected++
		}
	}
	return want(rejected > 0, "never rejects")
}

func gozeroDo() bench.Case {
	return bench.Case{Name: "go-zero Do", New: func() bench.Run {
		quiet()
		b, fn := gozero.NewBreaker(gozero.WithName("db")), passErrorPlain
		return bench.Run{Check: func(calls int) error { return throttles(b, calls) }, Loop: func(n int) (passed, failed int) {
			for range n {
				if err := b.Do(fn); err != nil {
					failed++
				} else {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}

// gozeroForget replaces all breakers in the library's registry, which nothing
// ever leaves, by ones that take no memory. Else the garbage collector would
// have to look at 70 MB for the rest of the run, at the cost of whoever
// allocates. After that GetBreaker is of no use for these keys.
func gozeroForget(keys int) {
	for _, key := range names(keys) {
		gozero.NoBreakerFor(key)
	}
}

// gozeroKeyed uses the registry of the library.
func gozeroKeyed(keys int) bench.Case {
	return bench.Case{Name: "go-zero GetBreaker + Do", New: func() bench.Run {
		quiet()
		order, fn := keyedOrder(keys), passErrorPlain
		start := starts(keys)
		for _, key := range order {
			gozero.GetBreaker(key)
		}
		check := func(int) error {
			return want(gozero.GetBreaker(order[0]) != gozero.GetBreaker(order[1]), "two keys have one breaker")
		}
		return bench.Run{Check: check, Loop: func(n int) (passed, failed int) {
			next := start()
			for range n {
				if err := gozero.GetBreaker(order[next]).Do(fn); err != nil {
					failed++
				} else {
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

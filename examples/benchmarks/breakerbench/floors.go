package breakerbench

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Floors are what an operation cannot do without, and yardsticks for those that
// have no rival.

func floorCall() bench.Case {
	return bench.Case{Name: "direct call", New: func() bench.Run {
		ctx, fn := context.Background(), pass
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				v, err := fn(ctx)
				if err != nil {
					failed++
				}
				passed += v
			}
			return passed, failed
		}}
	}}
}

func floorAtomic() bench.Case {
	return bench.Case{Name: "one atomic add", New: func() bench.Run {
		word := new(atomic.Int64)
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				word.Add(1)
			}
			return n, 0
		}}
	}}
}

func floorMutex() bench.Case {
	return bench.Case{Name: "Lock + Unlock, nobody else", New: func() bench.Run {
		mu := new(sync.Mutex)
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				mu.Lock()
				passed++
				mu.Unlock()
			}
			return passed, 0
		}}
	}}
}

func floorNow() bench.Case {
	return bench.Case{Name: "time.Now", New: func() bench.Run {
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				if !time.Now().IsZero() {
					passed++
				}
			}
			return passed, 0
		}}
	}}
}

func floorSince() bench.Case {
	return bench.Case{Name: "time.Since", New: func() bench.Run {
		base := time.Now()
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				if time.Since(base) >= 0 {
					passed++
				}
			}
			return passed, 0
		}}
	}}
}

// floorMap is the lookup of a key among so many, without any lock.
func floorMap(keys int) bench.Case {
	return bench.Case{Name: "a lookup in a map, unlocked", New: func() bench.Run {
		order := keyedOrder(keys)
		start := starts(keys)
		m := make(map[string]*int)
		for _, key := range order {
			m[key] = new(int)
		}
		return bench.Run{Loop: func(n int) (passed, failed int) {
			next := start()
			for range n {
				if m[order[next]] != nil {
					passed++
				}
				if next++; next == len(order) {
					next = 0
				}
			}
			return passed, 0
		}}
	}}
}

// withProcs is a case done by 8 goroutines on so many processors.
func withProcs(procs int, name string, c bench.Case) bench.Case {
	c = parallel(8, c)
	return bench.Case{Name: name, New: func() bench.Run {
		before := runtime.GOMAXPROCS(procs) // also for what is made, which may depend on it
		run := c.New()
		closing := run.Close
		run.Close = func() {
			runtime.GOMAXPROCS(before)
			if closing != nil {
				closing()
			}
		}
		return run
	}}
}

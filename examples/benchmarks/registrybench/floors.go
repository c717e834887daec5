package registrybench

import (
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Floors are what an operation cannot do without, and yardsticks for those that
// have no rival.

// syncMap finds lists of one address by name, as home-made registries do.
func syncMap(services int) bench.Case {
	return bench.Case{Name: "sync.Map.Load", New: func() bench.Run {
		var m sync.Map
		names := names(services)
		for i, name := range names {
			m.Store(name, []string{addr(i)})
		}
		return bench.Run{
			Loop: func(n int) (passed, failed int) {
				i := 0
				for range n {
					if v, ok := m.Load(names[i]); ok && len(v.([]string)) == 1 {
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
			Check: func(int) error {
				for i, name := range names {
					v, _ := m.Load(name)
					if err := want(v.([]string)[0] == addr(i), "%s is at %v", name, v); err != nil {
						return err
					}
				}
				return nil
			},
		}
	}}
}

// timerReset puts off the end of a lease as home-made ones do: a timer each.
func timerReset(n int) bench.Case {
	return bench.Case{Name: "time.Timer.Reset", New: func() bench.Run {
		timers := make([]*time.Timer, n)
		for i := range timers {
			timers[i] = time.AfterFunc(time.Hour, func() {})
		}
		t := timers[n/2]
		return bench.Run{
			Loop: func(count int) (passed, failed int) {
				for range count {
					if t.Reset(time.Hour) {
						passed++
					} else {
						failed++
					}
				}
				return passed, failed
			},
			Close: func() {
				for _, t := range timers {
					t.Stop()
				}
			},
		}
	}}
}

// now is one look at the clock.
func now() bench.Case {
	return bench.Case{Name: "time.Now", New: func() bench.Run {
		begin := time.Now()
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for range n {
				if time.Now().Before(begin) {
					failed++
				} else {
					passed++
				}
			}
			return passed, failed
		}}
	}}
}

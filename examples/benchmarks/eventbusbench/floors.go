package eventbusbench

import (
	"errors"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Floors are what an operation cannot do without, and yardsticks for those that
// have no rival.

// functionLoop calls the handlers one after another, as a program does whose
// parts are known beforehand.
func functionLoop(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
	publish := func(n int) (failed int) {
		next := 0
		for range n {
			if err := callAll(handlers, data[next]); err != nil {
				failed++
			}
			if next++; next == distinct {
				next = 0
			}
		}
		return failed
	}
	return publish, func() {}
}

// callAll stays a call, as the methods of the libraries are.
//
//go:noinline
func callAll(handlers []handler[int64], v int64) (err error) {
	for _, fn := range handlers {
		if e := fn(background, v); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}

// copiedList is what it takes to join a list that others read without a lock,
// and to leave it again: two copies.
func copiedList(data *[distinct]int64, handlers []handler[int64]) membership {
	list := handlers
	return membership{
		change: func(fn handler[int64]) error {
			longer := make([]handler[int64], len(list)+1)
			copy(longer, list)
			longer[len(list)] = fn
			list = longer
			shorter := make([]handler[int64], len(list)-1)
			copy(shorter, list)
			list = shorter
			return nil
		},
		publish: func(n int) (failed int) {
			for i := range n {
				must(callAll(list, data[i]))
			}
			return 0
		},
		closing: func() {},
	}
}

func directCall() bench.Case {
	return bench.Case{Name: "direct call", New: func() bench.Run {
		fn := respond
		return bench.Run{Loop: func(n int) (passed, failed int) {
			for i := range n {
				a, err := fn(background, question{int64(i)})
				if err == nil && a.to == int64(i) {
					passed++
				} else {
					failed++
				}
			}
			return passed, failed
		}}
	}}
}

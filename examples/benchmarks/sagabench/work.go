// Package sagabench measures packages saga, saga/durable and saga/filestore against
// durable engines that Go programs import.
//
// All of them run the same saga: steps that do nothing but count. What every run
// ends with, and how often steps were made and undone, is looked at.
package sagabench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

const (
	sagaName     = "checkout"
	durableSteps = 5
)

var (
	// background is the context of whatever needs none.
	background = context.Background()

	// errNo is how the other side refuses.
	errNo = errors.New("out of stock")
)

// stepNames are those of the steps of a saga.
var stepNames = [...]string{"reserve", "charge", "book", "pack", "mail"}

// A load is what the sagas of a case are like.
type load struct {
	inFlight int
	rejected bool // the last step is, and those before it are undone
}

// A made counts what was done, and undone. Every step has to count here when it
// is made.
type made struct{ steps, undone atomic.Int64 }

// step is what a step does to a number, and whether it may.
func (m *made) step(l load, i, n int) (int, error) {
	m.steps.Add(1)
	if l.rejected && i == durableSteps-1 {
		return n, errNo
	}
	return n + 1, nil
}

func (m *made) undo() { m.undone.Add(1) }

// check tells whether it was right for so many sagas.
func (m *made) check(l load, sagas int) error {
	steps, undone := int64(durableSteps*sagas), int64(0)
	if l.rejected {
		undone = int64((durableSteps - 1) * sagas)
	}
	return want(m.steps.Load() == steps && m.undone.Load() == undone,
		"%d sagas have made %d steps and undone %d, not %d and %d", sagas, m.steps.Load(), m.undone.Load(), steps, undone)
}

// An engine is something durable that is set up.
type engine struct {
	run   func(id string) (int, error) // a saga of that ID, from its start to its end; what its state is
	saw   func(sagas int) error        // whether there are so many in the store; may be nil
	close func()
}

// A maker sets an engine up.
type maker func(l load, m *made) engine

// durably is a case whose operation is a batch of sagas, of which so many are in
// flight at a time. What it tells is the time of one.
func durably(name string, l load, batch int, set maker) bench.Case {
	return bench.Case{Name: name, New: func() bench.Run {
		m := &made{}
		e := set(l, m)
		var last atomic.Int64 // the number of the last saga
		var mu sync.Mutex
		var failure error // the first
		return bench.Run{
			Each: batch,
			Loop: func(n int) (passed, failed int) {
				var left atomic.Int64
				left.Store(int64(n * batch))
				return bench.Parallel(l.inFlight, func(int) (passed, failed int) {
					for left.Add(-1) >= 0 {
						if err := l.ended(e.run("order-" + strconv.FormatInt(last.Add(1), 10))); err != nil {
							mu.Lock()
							defer mu.Unlock()
							failure = cmp.Or(failure, err)
							return passed, failed + 1
						}
						passed++
					}
					return passed, failed
				})(n)
			},
			Want: func(n int) (passed, failed int) { return n * batch, 0 },
			Why:  func() error { return failure },
			Check: func(n int) error {
				if err := m.check(l, n*batch); err != nil || e.saw == nil {
					return err
				}
				return e.saw(n * batch)
			},
			Close: e.close,
		}
	}}
}

// ended tells whether a saga has ended as it should, and for the reason it should.
func (l load) ended(n int, err error) error {
	switch {
	case l.rejected:
		return want(err != nil && strings.Contains(err.Error(), errNo.Error()), "its last step was rejected, and it has ended with %d, %w", n, err)
	case err != nil:
		return err
	}
	return want(n == durableSteps, "it has ended with %d", n)
}

// directory is a new one for files that are synced, and what removes it.
func directory() (dir string, remove func()) {
	dir = got(os.MkdirTemp("", "sagabench-"))
	return dir, func() { must(os.RemoveAll(dir)) }
}

// must is for what cannot fail while a case is set up or taken down.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// got is must for what has a result.
func got[T any](v T, err error) T {
	must(err)
	return v
}

// want is an error if a condition does not hold.
func want(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

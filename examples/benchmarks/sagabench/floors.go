package sagabench

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Floors are what an operation cannot do without, and yardsticks for those that
// have no rival.

// A handStep is one of a saga that is written by hand.
type handStep struct {
	do, undo func(ctx context.Context, n *int) error
}

// handLoop is the least that one would write by hand: functions in a loop, with a
// look at the context and a recover around each.
func handLoop(ctx context.Context, steps []handStep, n *int) error {
	for i, step := range steps {
		err := ctx.Err()
		if err == nil {
			err = contained(ctx, step.do, n)
		}
		if err == nil {
			continue
		}
		for i--; i >= 0; i-- {
			if undo := contained(context.WithoutCancel(ctx), steps[i].undo, n); undo != nil {
				err = errors.Join(err, undo)
			}
		}
		return err
	}
	return nil
}

var errPanic = errors.New("a step panics")

func contained(ctx context.Context, do func(context.Context, *int) error, n *int) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return do(ctx, n)
}

func byHand(steps int, rejected bool) bench.Case {
	return bench.Case{Name: "a loop written by hand", New: func() bench.Run {
		all := make([]handStep, steps)
		for i := range all {
			all[i] = handStep{count, uncount}
		}
		if rejected {
			all[steps-1].do = func(context.Context, *int) error { return errNo }
		}
		return inMemory(steps, rejected, func(n *int) error { return handLoop(background, all, n) })
	}}
}

func count(_ context.Context, n *int) error {
	*n++
	return nil
}

func uncount(_ context.Context, n *int) error {
	*n--
	return nil
}

// inMemory is a run whose operation is a saga. What it comes to is looked at every
// time.
func inMemory(steps int, rejected bool, run func(n *int) error) bench.Run {
	end := steps
	if rejected {
		end = 0
	}
	return bench.Run{Loop: func(count int) (passed, failed int) {
		n := 0
		for range count {
			n = 0
			if err := run(&n); n != end || (err != nil) != rejected {
				failed++
			} else {
				passed++
			}
		}
		return passed, failed
	}}
}

// syncedWrites is what the disk has to do for one saga whose steps are recorded
// before they are made, and nothing else: one write more than there are steps, each
// synced. The file is there before, so that its size does not change.
func syncedWrites() bench.Case {
	const size, record = 1 << 20, 300
	return bench.Case{Name: "6 synced writes", New: func() bench.Run {
		dir, remove := directory()
		f := got(os.Create(filepath.Join(dir, "file")))
		got(f.Write(make([]byte, size)))
		must(f.Sync())
		at := int64(0)
		data := make([]byte, record)
		return bench.Run{
			Loop: func(n int) (passed, failed int) {
				for range n {
					var err error
					for range durableSteps + 1 {
						_, write := f.WriteAt(data, at)
						err = errors.Join(err, write, f.Sync())
						at = (at + record) % (size - record)
					}
					if err != nil {
						failed++
					} else {
						passed++
					}
				}
				return passed, failed
			},
			Close: func() {
				must(f.Close())
				remove()
			},
		}
	}}
}

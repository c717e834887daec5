package saga_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mainstay-go/mainstay/saga"
)

// BenchmarkRun is a saga of trivial steps that succeeds, and one whose last step is
// rejected, beside the least one could write by hand: functions in a loop, with a
// look at the context and a recover around each.
func BenchmarkRun(b *testing.B) {
	ok := func(context.Context, *state) error { return nil }
	no := func(context.Context, *state) error { return rejected }
	three := []saga.Step[state]{{Name: "a", Do: ok, Undo: ok}, {Name: "b", Do: ok, Undo: ok}, {Name: "c", Do: ok, Undo: ok}}
	failing := append(three[:2:2], saga.Step[state]{Name: "c", Do: no, Undo: ok})
	for name, steps := range map[string][]saga.Step[state]{"succeeds": three, "goes back": failing} {
		def, st := saga.MustNew("checkout", steps), state{}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = def.Run(bg, &st)
			}
		})
		b.Run("by hand, "+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = byHand(bg, steps, &st)
			}
		})
	}
}

func byHand(ctx context.Context, steps []saga.Step[state], s *state) error {
	for i, step := range steps {
		err := ctx.Err()
		if err == nil {
			err = contained(ctx, step.Do, s)
		}
		if err == nil {
			continue
		}
		for i--; i >= 0; i-- {
			if undo := contained(context.WithoutCancel(ctx), steps[i].Undo, s); undo != nil {
				err = errors.Join(err, undo)
			}
		}
		return err
	}
	return nil
}

func contained(ctx context.Context, do func(context.Context, *state) error, s *state) (err error) {
	defer func() {
		if recover() != nil {
			err = errOther
		}
	}()
	return do(ctx, s)
}

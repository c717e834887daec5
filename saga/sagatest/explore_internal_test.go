package sagatest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// A bank is a fake that knows keys, so that it can be asked twice.
type bank struct {
	balance int
	seen    map[string]bool
}

func (b *bank) move(ctx context.Context, n int) {
	i := saga.Info(ctx)
	if b.seen[i.Key] || i.Undoing && !b.seen[i.DoKey] {
		return
	}
	b.seen[i.Key] = true
	b.balance += n
}

// explorer is of a saga of some steps, whose Undo may be wrong.
func explorer(steps int, undo func(b *bank, ctx context.Context, n int)) Explorer[int] {
	var b *bank
	all := 1<<steps - 1
	return Explorer[int]{
		MaxSchedules: 400,
		Setup: func() (*saga.Saga[int], int) {
			b = &bank{seen: map[string]bool{}}
			var list []saga.Step[int]
			for i := range steps {
				list = append(list, saga.Step[int]{
					Name: string(rune('a' + i)),
					Do:   func(ctx context.Context, _ *int) error { b.move(ctx, 1<<i); return nil },
					Undo: func(ctx context.Context, _ *int) error { undo(b, ctx, 1<<i); return nil },
				})
			}
			return saga.MustNew("pay", list), 0
		},
		Check: func(end saga.Status, _ int) error {
			if want := map[saga.Status]int{saga.Completed: all}[end]; b.balance != want {
				return fmt.Errorf("balance is %d, want %d", b.balance, want)
			}
			return nil
		},
	}
}

func careful(b *bank, ctx context.Context, n int) { b.move(ctx, -n) }

// S29: nothing is found in a saga that is right.
func TestExplore_Right(t *testing.T) {
	for steps := range 3 {
		n, failed, err := explore(t, explorer(steps+1, careful), nil)
		require.NoError(t, err, "%v", failed)
		assert.Greater(t, n, 20)
	}
	assert.Greater(t, Explore(t, explorer(1, careful)), 20)
}

// S29: an Undo that does not ask whether there is something to undo, and one that acts
// twice when it is called twice, are found, and the line replays it.
func TestExplore_Wrong(t *testing.T) {
	for name, undo := range map[string]func(*bank, context.Context, int){
		"gives what was not taken": func(b *bank, _ context.Context, n int) { b.balance -= n },
		"acts twice": func(b *bank, ctx context.Context, n int) {
			if b.seen[saga.Info(ctx).DoKey] {
				b.balance -= n
			}
		},
		"does nothing": func(*bank, context.Context, int) {},
	} {
		t.Run(name, func(t *testing.T) {
			n, failed, err := explore(t, explorer(2, undo), nil)
			require.Error(t, err)
			assert.Positive(t, n)
			again, err := parse(failed.String())
			require.NoError(t, err)
			assert.Equal(t, failed, again)
			_, _, replayed := explore(t, explorer(2, undo), again)
			assert.EqualError(t, replayed, err2text(t, undo, failed))
		})
	}
	_, err := parse("nonsense")
	assert.Error(t, err)
}

func err2text(t *testing.T, undo func(*bank, context.Context, int), s schedule) string {
	t.Helper()
	_, err := try(t, explorer(2, undo), s, new(events))
	require.Error(t, err)
	return err.Error()
}

// A run that waits for a signal is looked at as it is.
func TestExplore_Waits(t *testing.T) {
	seen := map[saga.Status]bool{}
	n, failed, err := explore(t, Explorer[int]{
		MaxSchedules: 50, Crashes: -1,
		Setup: func() (*saga.Saga[int], int) {
			return saga.MustNew("ask", []saga.Step[int]{
				{Name: "a", Do: func(context.Context, *int) error { return nil }, Undo: func(context.Context, *int) error { return nil }},
				saga.Await(saga.Step[int]{Name: "ok"}, func(context.Context, *int, string) error { return nil }),
			}), 0
		},
		Check: func(end saga.Status, _ int) error { seen[end] = true; return nil },
	}, nil)
	require.NoError(t, err, "%v", failed)
	assert.Positive(t, n)
	assert.Equal(t, map[saga.Status]bool{saga.Waiting: true, saga.Compensated: true}, seen)
}

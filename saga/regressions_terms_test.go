package saga_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// G23, G25: from the pivot on, too, a context may be used by any goroutine in any way, at
// any time: an end is an end for ever and has a cause, and who waits for it is woken.
func TestG25_ContextsInUse(t *testing.T) {
	seeds := uint64(300)
	if raceEnabled {
		seeds = 100
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { inUse(t, rand.New(rand.NewPCG(seed, 1))) })
		if t.Failed() {
			t.Logf("seed %d", seed)
			return
		}
	}
}

func inUse(t *testing.T, r *rand.Rand) {
	t.Helper()
	base, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	if r.IntN(2) == 0 {
		time.AfterFunc(time.Duration(r.IntN(30))*time.Millisecond, func() { cancel(errOther) })
	}
	var users sync.WaitGroup
	do := func(ctx context.Context, _ *int) error {
		for range 3 {
			seed := r.Uint64()
			users.Go(func() { uses(ctx, t, rand.New(rand.NewPCG(seed, 3))) })
		}
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		return []error{errDown, rejected, nil, nil}[r.IntN(4)]
	}
	spec := saga.Spec[int]{Name: "checkout", Steps: []saga.Step[int]{
		{Name: "a", Do: do, Undo: do, Timeout: 10 * time.Millisecond, Retry: saga.Retry{Attempts: 2}},
		{Name: "p", Do: do, Pivot: true, Retry: saga.Retry{Attempts: 3}},
		{Name: "c", Do: do, Timeout: 5 * time.Millisecond, Retry: saga.Retry{Attempts: 3}},
	}}
	if r.IntN(2) == 0 {
		spec.Timeout = 30 * time.Millisecond
	}
	cfg := saga.RunConfig{Grace: 50 * time.Millisecond}
	if r.IntN(2) == 0 {
		cfg.Clock = clock.New()
	}
	_ = saga.MustNewWith(spec).RunWith(base, cfg, new(int))
	users.Wait()
}

// uses does with a context what there is to be done.
func uses(ctx context.Context, t *testing.T, r *rand.Rand) {
	t.Helper()
	var children []context.Context
	var before error
	for range 20 {
		switch r.IntN(7) {
		case 0:
			err := ctx.Err()
			if before != nil {
				assert.Equal(t, before, err)
			}
			before = err
		case 1:
			if context.Cause(ctx) != nil {
				assert.Error(t, ctx.Err())
			}
		case 2:
			child, stop := context.WithCancel(ctx)
			defer stop()
			children = append(children, child)
		case 3:
			context.AfterFunc(ctx, func() {
				assert.Error(t, ctx.Err())
				assert.Error(t, context.Cause(ctx))
			})
		case 4:
			select {
			case <-ctx.Done():
				assert.Error(t, ctx.Err())
				assert.Error(t, context.Cause(ctx))
				for _, child := range children {
					<-child.Done()
				}
			case <-time.After(time.Duration(r.IntN(5)) * time.Millisecond):
			}
		case 5:
			time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
		case 6:
			_, _ = ctx.Deadline()
			_ = saga.Info(ctx)
		}
	}
}

// G25: the cause of a timeout is context.DeadlineExceeded, whether or not somebody has
// asked for Done, and contexts made of it have the same one.
func TestG25_CauseOfATimeout(t *testing.T) {
	for name, asked := range map[string]bool{"asked": true, "not asked": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var kept []context.Context
				def := saga.MustNew("checkout", []saga.Step[int]{{Name: "a", Timeout: time.Second, Do: func(ctx context.Context, _ *int) error {
					kept = append(kept, ctx)
					child := ctx
					if asked {
						c, stop := context.WithCancel(ctx)
						defer stop()
						child = c
					}
					time.Sleep(2 * time.Second)
					synctest.Wait()
					require.ErrorIs(t, context.Cause(ctx), context.DeadlineExceeded)
					require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
					return nil
				}}})
				require.NoError(t, def.Run(t.Context(), new(int)))
				<-kept[0].Done()
			})
		})
	}
}

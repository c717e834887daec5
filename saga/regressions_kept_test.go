package saga_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// What tells about a run outlives it, though the memory of runs is used again: whoever
// keeps a context is told the same by it while other runs go on, and the race detector
// has nothing to say.
func TestG10_KeptContexts(t *testing.T) {
	type kept struct {
		ctx  context.Context //nolint:containedctx // that is the point
		info saga.StepInfo
	}
	all := make(chan kept, 1000)
	keep := func(err error) func(context.Context, *state) error {
		return func(ctx context.Context, _ *state) error {
			all <- kept{ctx, saga.Info(ctx)}
			return err
		}
	}
	steps := []saga.Step[state]{
		{Name: "a", Do: keep(nil), Undo: keep(nil)},
		{Name: "b", Do: keep(nil), Undo: keep(nil), Timeout: time.Hour},
		{Name: "c", Do: keep(errDown), Undo: keep(nil), Retry: patient(2)},
	}
	def := saga.MustNew("checkout", steps)
	ask := make(chan struct{})
	var askers, runs sync.WaitGroup
	for range 4 {
		askers.Go(func() {
			for k := range all {
				assert.Equal(t, k.info, saga.Info(k.ctx))
				_, _ = k.ctx.Err(), k.ctx.Value(ask)
				select {
				case <-k.ctx.Done():
				default:
				}
			}
		})
	}
	for r := range 4 {
		runs.Go(func() {
			for i := range 100 {
				cfg := saga.RunConfig{ID: fmt.Sprint(r, "-", i), Retry: patient(1)}
				_ = def.RunWith(bg, cfg, &state{})
			}
		})
	}
	runs.Wait()
	close(all)
	askers.Wait()
}

// G17, G23: the context of an Undo is a whole one for those who look closer: it ends
// when the grace does, with its cause, for who waits, who asks, and what hangs on it.
func TestG23_GraceIsAContext(t *testing.T) {
	type key struct{}
	for name, ask := range map[string]func(ctx context.Context) error{
		"Err": func(ctx context.Context) error {
			time.Sleep(time.Second - 1)
			assert.NoError(t, ctx.Err())
			time.Sleep(time.Nanosecond)
			return ctx.Err()
		},
		"Done": func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		},
		"Done, late": func(ctx context.Context) error {
			time.Sleep(time.Second)
			<-ctx.Done()
			return ctx.Err()
		},
		"a child": func(ctx context.Context) error {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			<-child.Done()
			assert.Equal(t, context.DeadlineExceeded, context.Cause(child))
			return ctx.Err()
		},
		"a child of what has ended": func(ctx context.Context) error {
			time.Sleep(time.Hour)
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			return child.Err()
		},
		"AfterFunc": func(ctx context.Context) error {
			told := make(chan struct{})
			defer context.AfterFunc(ctx, func() { close(told) })()
			<-told
			return ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var waited time.Duration
				var undo context.Context
				began := time.Now()
				ctx := context.WithValue(t.Context(), key{}, "kept")
				def := saga.MustNew("checkout", []saga.Step[state]{
					{Name: "a", Do: func(context.Context, *state) error { return nil }, Undo: func(ctx context.Context, _ *state) error {
						_, limited := ctx.Deadline()
						assert.False(t, limited)
						assert.Equal(t, "kept", ctx.Value(key{}))
						assert.Equal(t, context.Canceled, ask(ctx))
						waited, undo = time.Since(began), ctx
						assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
						assert.Equal(t, "kept", ctx.Value(key{}))
						return context.Cause(ctx)
					}},
					{Name: "b", Do: func(context.Context, *state) error { return rejected }},
				})
				err := def.RunWith(ctx, saga.RunConfig{Grace: time.Second}, &state{})
				require.ErrorIs(t, err, saga.ErrStuck)
				assert.GreaterOrEqual(t, waited, time.Second)
				<-undo.Done()
				assert.Equal(t, "a", saga.Info(undo).Step)
			})
		})
	}
}

// G17: the context of an Undo that is over has ended, whether or not anybody has asked
// it before.
func TestG17_GraceAfterTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		def := saga.MustNew("checkout", []saga.Step[state]{
			{Name: "a", Do: func(context.Context, *state) error { return nil }, Undo: func(ctx context.Context, _ *state) error {
				kept = ctx //nolint:fatcontext // that is the point
				return nil
			}},
			{Name: "b", Do: func(context.Context, *state) error { return rejected }},
		})
		require.Error(t, def.Run(t.Context(), &state{}))
		<-kept.Done()
		assert.Equal(t, context.Canceled, kept.Err())
		assert.Equal(t, context.Canceled, context.Cause(kept))
	})
}

// G24: a caller who leaves between two steps is heeded, however the first of them went.
func TestG24_LeavesBetween(t *testing.T) {
	for _, answer := range []error{nil, rejected, errDown, saga.RetryAfter(errDown, 0)} {
		s := newScript()
		ctx, cancel := context.WithCancelCause(t.Context())
		a := s.step("a")
		b := s.step("b", deed(func(context.Context, *state) error {
			cancel(errOther)
			return answer
		}), nil)
		b.Retry = saga.Retry{Attempts: 3, Wait: -1}
		err := saga.MustNew("checkout", []saga.Step[state]{a, b, s.step("c")}).Run(ctx, &state{})
		want := []string{"do a", "do b", "undo b", "undo a"}
		if answer == rejected { //nolint:errorlint // it is that very one
			require.ErrorIs(t, err, errDeclined)
			want = []string{"do a", "do b", "undo a"}
		} else {
			require.ErrorIs(t, err, errOther)
		}
		assert.Equal(t, want, s.trace())
	}
}

// G25: so is that of a step with a Timeout: it ends when that has passed, or when the
// caller's does, whether or not anybody waits for it, and tells why.
func TestG25_TimeoutIsAContext(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   func() saga.RunConfig
		ended error
		dated bool
	}{
		"system time": {func() saga.RunConfig { return saga.RunConfig{} }, context.DeadlineExceeded, true},
		"a Clock":     {func() saga.RunConfig { return saga.RunConfig{Clock: clock.New()} }, context.Canceled, false},
	} {
		run := func(t *testing.T, ctx context.Context, do func(context.Context)) {
			def := saga.MustNew("checkout", []saga.Step[state]{{Name: "a", Timeout: time.Second, Do: func(ctx context.Context, _ *state) error {
				do(ctx)
				return nil
			}}})
			require.NoError(t, def.RunWith(ctx, c.cfg(), &state{}))
		}
		for how, wait := range map[string]func(ctx context.Context){
			"Done":        func(ctx context.Context) { <-ctx.Done() },
			"time passes": func(context.Context) { time.Sleep(time.Second) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					run(t, t.Context(), func(ctx context.Context) {
						end, dated := ctx.Deadline()
						assert.Equal(t, c.dated, dated)
						if dated {
							assert.Equal(t, time.Second, end.Sub(began))
						}
						assert.NoError(t, ctx.Err())
						wait(ctx)
						assert.Equal(t, time.Second, time.Since(began))
						assert.Equal(t, c.ended, ctx.Err())
						assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
					})
				})
			})
			t.Run(name+", the caller leaves, "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					caller, leave := context.WithCancelCause(t.Context())
					run(t, caller, func(ctx context.Context) {
						leave(errOther)
						wait(ctx)
						assert.Equal(t, context.Canceled, ctx.Err())
						assert.Equal(t, errOther, context.Cause(ctx))
					})
				})
			})
			t.Run(name+", the caller has less time, "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					caller, leave := context.WithTimeoutCause(t.Context(), time.Millisecond, errOther)
					defer leave()
					run(t, caller, func(ctx context.Context) {
						end, dated := ctx.Deadline()
						assert.True(t, dated)
						assert.Equal(t, time.Millisecond, end.Sub(began))
						wait(ctx)
						assert.Equal(t, context.DeadlineExceeded, ctx.Err())
						assert.Equal(t, errOther, context.Cause(ctx))
					})
				})
			})
		}
	}
}

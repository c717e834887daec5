package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// deadly makes the n-th call of a step last until the process has ended.
func deadly(fn func(context.Context, *order) error, calls ...int) func(context.Context, *order) error {
	n := 0
	return func(ctx context.Context, o *order) error {
		err := fn(ctx, o)
		if n++; slices.Contains(calls, n) {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return err
	}
}

// G33: the step under way when the process ended is tainted. Probe says what came of
// it, or it is made again with its key; if the run has to go back it is undone.
func TestG33_StepInFlight(t *testing.T) {
	tests := map[string]struct {
		probe     func(context.Context, *order) (saga.Outcome, error)
		says      []error // of the attempts after the crash
		timeout   time.Duration
		downFor   time.Duration
		readOnly  bool
		wantCalls []string
		wantEnd   saga.Status
		wantN     int
	}{
		"is made again": {
			wantCalls: []string{"do a", "do b", "do b", "do c"}, wantEnd: saga.Completed, wantN: 3,
		},
		"is refused the second time, which says nothing about the first": {
			says:      []error{errRefused},
			wantCalls: []string{"do a", "do b", "do b", "undo b", "undo a"}, wantEnd: saga.Compensated, wantN: 4,
		},
		"is read-only, so that there is nothing to undo": {
			says: []error{errRefused}, readOnly: true,
			wantCalls: []string{"do a", "do b", "do b", "undo a"}, wantEnd: saga.Compensated, wantN: 3,
		},
		"was applied, and Probe knows what it wrote": {
			probe:     func(_ context.Context, o *order) (saga.Outcome, error) { o.N += 100; return saga.Applied, nil },
			wantCalls: []string{"do a", "do b", "do c"}, wantEnd: saga.Completed, wantN: 102,
		},
		"was not applied": {
			probe:     func(context.Context, *order) (saga.Outcome, error) { return saga.Rejected, nil },
			says:      []error{errRefused},
			wantCalls: []string{"do a", "do b", "do b", "undo a"}, wantEnd: saga.Compensated, wantN: 3,
		},
		"is as unknown to Probe": {
			probe:     func(context.Context, *order) (saga.Outcome, error) { return saga.Unknown, nil },
			says:      []error{errRefused},
			wantCalls: []string{"do a", "do b", "do b", "undo b", "undo a"}, wantEnd: saga.Compensated, wantN: 4,
		},
		"is not known, as Probe fails": {
			probe:     func(context.Context, *order) (saga.Outcome, error) { return saga.Applied, errDown },
			wantCalls: []string{"do a", "do b", "do b", "do c"}, wantEnd: saga.Completed, wantN: 3,
		},
		"is undone when the time of the run is over": {
			timeout: time.Hour, downFor: time.Hour,
			wantCalls: []string{"do a", "do b", "undo b", "undo a"}, wantEnd: saga.Compensated, wantN: 3,
		},
		"is made again when there is just time": {
			timeout: time.Hour, downFor: time.Hour - time.Nanosecond,
			wantCalls: []string{"do a", "do b", "do b", "do c"}, wantEnd: saga.Completed, wantN: 3,
		},
		"is settled by Probe when the time is over, but the run is": {
			timeout: time.Hour, downFor: time.Hour,
			probe:     func(context.Context, *order) (saga.Outcome, error) { return saga.Applied, nil },
			wantCalls: []string{"do a", "do b", "undo b", "undo a"}, wantEnd: saga.Compensated, wantN: 3,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				var infos []saga.StepInfo
				b := l.step("b", append([]error{nil}, tt.says...)...)
				do := deadly(b.Do, 1)
				b.Do = func(ctx context.Context, o *order) error { infos = append(infos, saga.Info(ctx)); return do(ctx, o) }
				b.Probe, b.ReadOnly = tt.probe, tt.readOnly
				if tt.readOnly {
					b.Undo = nil
				}
				def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Timeout: tt.timeout, Steps: []saga.Step[order]{l.step("a"), b, l.step("c")}})
				store := &durable.MemoryStore{}
				first := &spy{MemoryStore: store}
				e := ignite(t, first, durable.Config{}, def)
				launch(t, e, def)
				synctest.Wait()
				first.kill(t, e)
				time.Sleep(max(tt.downFor, time.Minute)) // its lease is over by then
				e = ignite(t, store, durable.Config{}, def)
				o, err := attach(t, e, def)
				assert.Equal(t, tt.wantCalls, l.all())
				assert.Equal(t, tt.wantEnd, seen(t, e, "r1").Head.Status, "%v", err)
				assert.Equal(t, tt.wantN, o.N, "what the killed attempt wrote is lost")
				assert.Equal(t, 1, infos[0].Attempt)
				for _, again := range infos[1:] {
					assert.Equal(t, infos[0].Key, again.Key)
					assert.Equal(t, 2, again.Attempt)
				}
				seal(t, e)
			})
		})
	}
}

// G33, G21: a pivot under way when the process ended is neither left nor gone back
// from unless Probe knows that it had no effect.
func TestG33_PivotInFlight(t *testing.T) {
	tests := map[string]struct {
		probe     func(context.Context, *order) (saga.Outcome, error)
		says      error
		attempts  int
		wantCalls []string
		wantEnd   saga.Status
	}{
		"again":       {wantCalls: []string{"do a", "do p", "do p"}, wantEnd: saga.Completed},
		"refused":     {says: errRefused, attempts: 1, wantCalls: []string{"do a", "do p", "do p"}, wantEnd: saga.Stuck},
		"not applied": {probe: answers(saga.Rejected), says: errRefused, wantCalls: []string{"do a", "do p", "do p", "undo a"}, wantEnd: saga.Compensated},
		"applied":     {probe: answers(saga.Applied), wantCalls: []string{"do a", "do p"}, wantEnd: saga.Completed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				p := saga.Step[order]{
					Name: "p", Pivot: true, Probe: tt.probe, Do: deadly(l.fn("do p", nil, tt.says), 1),
					Retry: saga.Retry{Attempts: tt.attempts, Wait: time.Second, NoJitter: true},
				}
				def := saga.MustNew("checkout", []saga.Step[order]{l.step("a"), p})
				store := &durable.MemoryStore{}
				first := &spy{MemoryStore: store}
				e := ignite(t, first, durable.Config{}, def)
				launch(t, e, def)
				synctest.Wait()
				first.kill(t, e)
				e = ignite(t, store, durable.Config{}, def)
				_, _ = launch(t, e, def).Wait(t.Context())
				assert.Equal(t, tt.wantCalls, l.all())
				assert.Equal(t, tt.wantEnd, seen(t, e, "r1").Head.Status)
				seal(t, e)
			})
		})
	}
}

func answers(o saga.Outcome) func(context.Context, *order) (saga.Outcome, error) {
	return func(context.Context, *order) (saga.Outcome, error) { return o, nil }
}

// G7: attempts that the death of the process has ended have a number and do not
// count: the step has all its attempts left.
func TestG7_DeathIsNoAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		var numbers []int
		do := deadly(l.fn("do a", nil, errLost, nil, errLost), 1, 3)
		def := saga.MustNew("checkout", []saga.Step[order]{{
			Name: "a", Undo: l.fn("undo a"), Retry: saga.Retry{Attempts: 3, Wait: time.Second, NoJitter: true},
			Do: func(ctx context.Context, o *order) error {
				numbers = append(numbers, saga.Info(ctx).Attempt)
				return do(ctx, o)
			},
		}})
		store := &durable.MemoryStore{}
		for range 2 {
			mortal := &spy{MemoryStore: store}
			e := ignite(t, mortal, durable.Config{}, def)
			launch(t, e, def)
			time.Sleep(time.Minute)
			mortal.kill(t, e)
		}
		e := ignite(t, store, durable.Config{}, def)
		_, err := launch(t, e, def).Wait(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []int{1, 2, 3, 4, 5}, numbers)
		seal(t, e)
	})
}

// G35: a step during which the process ends again and again makes its run stuck, and
// is not made once more until somebody resumes it, who grants it as many deaths again.
func TestG35_CrashLoop(t *testing.T) {
	tests := map[string]struct {
		max, deaths int // MaxCrashes, and after how many of them it is stuck
		undo        bool
	}{
		"default":     {0, 3, false},
		"one":         {1, 1, false},
		"five":        {5, 5, false},
		"of Undo":     {2, 2, true},
		"not limited": {-1, 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				store, all := &durable.MemoryStore{}, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
				a, b := l.step("a"), l.step("b")
				if tt.undo {
					a.Undo, b.Do = deadly(a.Undo, all...), l.fn("do b", errRefused)
				} else {
					b.Do = deadly(b.Do, all...)
				}
				def := saga.MustNew("checkout", []saga.Step[order]{a, b})
				killed := "do b"
				if tt.undo {
					killed = "undo a"
				}
				dies := func() { // as a process that executes the run
					mortal := &spy{MemoryStore: store}
					e := ignite(t, mortal, durable.Config{MaxCrashes: tt.max}, def)
					launch(t, e, def)
					time.Sleep(time.Minute)
					mortal.kill(t, e)
				}
				for round := range 2 {
					if tt.deaths == 0 {
						for range 6 {
							dies()
						}
						assert.Len(t, l.all("do", "undo"), 1+6*(round+1))
						continue
					}
					for range tt.deaths {
						dies()
					}
					e := ignite(t, store, durable.Config{MaxCrashes: tt.max}, def)
					_, err := launch(t, e, def).Wait(t.Context())
					var failed *saga.Error
					require.ErrorAs(t, err, &failed)
					assert.Equal(t, saga.Stuck, failed.Status)
					assert.Equal(t, saga.ReasonCrashLoop, failed.Reason)
					assert.Equal(t, saga.ReasonCrashLoop, seen(t, e, "r1").Head.Reason)
					if !tt.undo {
						assert.Equal(t, "b", failed.Step)
					}
					calls := 0
					for _, line := range l.all() {
						if line == killed {
							calls++
						}
					}
					assert.Equal(t, tt.deaths*(round+1), calls)
					halt(t, e)
					if round == 0 {
						e = ignite(t, stingy{store}, durable.Config{}, def) // it executes nothing
						require.NoError(t, e.Resume(t.Context(), "r1", note))
						seal(t, e)
					}
				}
			})
		})
	}
}

// S17: a crash before the run is durable leaves no run and no effect.
func TestS17_CrashAheadOfTheCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		def := saga.MustNew("checkout", []saga.Step[order]{l.step("a")})
		store := &durable.MemoryStore{}
		require.True(t, dies(t, store, def, death{at: 0}))
		e := ignite(t, store, durable.Config{}, def)
		time.Sleep(time.Hour)
		_, err := e.Get(t.Context(), "r1")
		require.ErrorIs(t, err, durable.ErrNotFound)
		assert.Empty(t, l.all())
		seal(t, e)
	})
}

// S17: after a crash between the last result and the end the run is completed, and
// nothing is done for it.
func TestS17_CrashAheadOfTheEnd(t *testing.T) {
	for cut := 1; cut <= 5; cut++ {
		t.Run(fmt.Sprintf("%d events", cut), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := [][]string{{"do a", "do b"}, {"do a", "do b"}, {"do b"}, {"do b"}, nil}[cut-1]
				l := &ledger{}
				def := saga.MustNew("checkout", []saga.Step[order]{l.step("a"), l.step("b")})
				store := cutShort(t, def, "r1", cut)
				l.lines = nil
				e := ignite(t, store, durable.Config{}, def)
				run, err := durable.Find(t.Context(), e, def, "r1")
				require.NoError(t, err)
				o, err := run.Wait(t.Context())
				require.NoError(t, err)
				assert.Equal(t, calls, l.all())
				assert.Equal(t, 2, o.N)
				seal(t, e)
			})
		})
	}
}

// cutShort is a store in which only the first events of a run are that was executed
// to its end.
func cutShort(t *testing.T, def *saga.Saga[order], id string, events int) *durable.MemoryStore {
	t.Helper()
	whole, cut := &durable.MemoryStore{}, &durable.MemoryStore{}
	e := ignite(t, whole, durable.Config{}, def)
	run, err := durable.Start(t.Context(), e, def, id, order{})
	require.NoError(t, err)
	_, err = run.Wait(t.Context())
	var failed *saga.Error
	require.True(t, err == nil || errors.As(err, &failed), "%v", err)
	seal(t, e)
	h, all, err := whole.Load(t.Context(), id)
	require.NoError(t, err)
	h.Status, h.Reason, h.WakeAt = saga.Running, saga.ReasonNone, time.Now()
	require.NoError(t, cut.Create(t.Context(), h, 0, all[:min(events, len(all))]))
	return cut
}

// G18: what was before a group is undone when all of the group are, or have failed;
// that one has failed for good does not mean that the others need not be waited for.
func TestG18_UndoWaitsForAllOfAGroup(t *testing.T) {
	for name, keep := range map[string]bool{"held back": false, "with KeepUndoing": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				x, y := l.step("x"), l.step("y")
				x.Merge, y.Merge = saga.NoMerge[order], saga.NoMerge[order]
				x.Undo, y.Undo = l.fn("undo x", errRefused), l.fn("undo y", errDown)
				s := spec(l.step("a"), saga.Step[order]{Name: "g", Limit: 1, Parallel: []saga.Step[order]{x, y}}, l.step("b", errRefused))
				s.KeepUndoing = keep
				def := saga.MustNewWith(s)
				e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
				_, err := launch(t, e, def).Wait(t.Context())
				require.ErrorIs(t, err, saga.ErrStuck)
				if keep {
					assert.Equal(t, []string{"undo x", "undo y", "undo y", "undo a"}, l.all("undo"))
				} else {
					assert.NotContains(t, l.all("undo"), "undo a")
				}
				seal(t, e)
			})
		})
	}
}

package durable_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// misbehaviours are how a hook ends that does not return, with what is told of it.
var misbehaviours = map[string]struct {
	do    func()
	value any
}{
	"panics":                {func() { panic(errDown) }, errDown},
	"panics with ErrClosed": {func() { panic(durable.ErrClosed) }, durable.ErrClosed},
	"panics with a word":    {func() { panic("boom") }, "boom"},
	"exits":                 {runtime.Goexit, nil},
}

// G45: a Status hook that panics or exits when the engine itself changes the status, at a
// verb of an operator or at a wait, is told to Fault with all there is to know.
func TestG45_StatusHooksOfTheEngine(t *testing.T) {
	for name, m := range misbehaviours {
		for to, change := range map[saga.Status]func(e *durable.Engine) error{
			saga.Abandoned: func(e *durable.Engine) error { return e.Abandon(bg, "stuck", ann) },
			saga.Waiting: func(e *durable.Engine) error {
				return durable.Signal(bg, e, "waits", "ok", "yes") // and then for the next one
			},
		} {
			t.Run(name+" at "+to.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var faults []saga.FaultEvent
					misbehaves := false
					hooks := saga.Hooks{
						Status: func(_ context.Context, s saga.StatusEvent) {
							if misbehaves && s.To == to {
								m.do()
							}
						},
						Fault: func(_ context.Context, f saga.FaultEvent) { faults = append(faults, f) },
					}
					stuck := define("stuck", sticky("a", always), fails("b", errDown))
					waits := define("waits", approval("ok", 0), approval("again", 0))
					e := open(t, &durable.MemoryStore{}, durable.Config{Hooks: hooks}, stuck, waits)
					begin(t, e, stuck, "stuck")
					begin(t, e, waits, "waits")
					synctest.Wait()
					require.Empty(t, faults)
					misbehaves = true
					require.NoError(t, change(e))
					synctest.Wait()
					require.Len(t, faults, 1)
					f := faults[0]
					assert.Equal(t, "status", f.Op)
					assert.Equal(t, f.Saga, f.Run)
					var told *saga.PanicError
					require.ErrorAs(t, f.Err, &told)
					assert.Equal(t, m.value, told.Value)
					assert.Equal(t, m.value == nil, told.Goexit)
					if !told.Goexit {
						assert.Contains(t, string(told.Stack), "guarantees_hooks_verbs_test.go", "where it was")
					}
				})
			})
		}
	}
}

// G45: a hook that tells what a verb has done has the context of that call.
func TestG45_HooksOfVerbsHaveTheirContext(t *testing.T) {
	type caller struct{}
	for verb, call := range map[string]func(ctx context.Context, e *durable.Engine) error{
		"resume":  func(ctx context.Context, e *durable.Engine) error { return e.Resume(ctx, "r1", ann) },
		"skip":    func(ctx context.Context, e *durable.Engine) error { return e.Skip(ctx, "r1", "a", ann) },
		"abandon": func(ctx context.Context, e *durable.Engine) error { return e.Abandon(ctx, "r1", ann) },
		"abort":   func(ctx context.Context, e *durable.Engine) error { return e.Abort(ctx, "r2", ann) },
	} {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told, faults []any
				hooks := saga.Hooks{
					Status: func(ctx context.Context, s saga.StatusEvent) {
						if who := ctx.Value(caller{}); who != nil {
							told = append(told, who)
							assert.ErrorContains(t, s.Cause, verb+" by ann")
							panic("boom")
						}
					},
					Fault: func(ctx context.Context, _ saga.FaultEvent) { faults = append(faults, ctx.Value(caller{})) },
				}
				stuck, waits := define("stuck", sticky("a", always), fails("b", errDown)), define("waits", approval("ok", 0))
				e := open(t, &durable.MemoryStore{}, durable.Config{Hooks: hooks}, stuck, waits)
				begin(t, e, stuck, "r1")
				begin(t, e, waits, "r2")
				synctest.Wait()
				require.NoError(t, call(context.WithValue(bg, caller{}, "ann"), e))
				synctest.Wait()
				assert.Equal(t, []any{"ann"}, told, "once: what follows is no part of the call")
				assert.Equal(t, []any{"ann"}, faults)
			})
		})
	}
}

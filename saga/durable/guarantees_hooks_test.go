package durable_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// hooked are hooks that note what they are told.
func (l *ledger) hooked() saga.Hooks {
	return saga.Hooks{
		Status: func(_ context.Context, e saga.StatusEvent) { l.add("status %v", e.To) },
		StepStart: func(_ context.Context, i saga.StepInfo) {
			l.add("start %s %d %v", i.Step, i.Attempt, i.Undoing)
		},
		StepDone: func(_ context.Context, e saga.StepEvent) {
			l.add("end %s %d %v %v", e.Info.Step, e.Info.Attempt, e.Info.Undoing, e.Result)
		},
		Fault: func(_ context.Context, f saga.FaultEvent) { l.add("fault %s", f.Op) },
	}
}

// G45: hooks are told when it is durable what they are told, in order.
func TestG45_AfterTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		store := &spy{MemoryStore: &durable.MemoryStore{}, log: l}
		def := saga.MustNew("checkout", []saga.Step[order]{l.step("a"), l.step("b", errLost, errRefused)})
		e := ignite(t, store, durable.Config{Hooks: l.hooked()}, def)
		_, err := launch(t, e, def).Wait(t.Context())
		require.Error(t, err)
		synctest.Wait()
		assert.Equal(t, []string{
			"write created, started a", "status running", "start a 1 false", "do a",
			"write done a, started b", "end a 1 false applied", "start b 1 false", "do b",
			"write failed b", "end b 1 false unknown", "status waiting",
			"status running", "write started b", "start b 2 false", "do b",
			"write failed b, aborting b, undo-started b", "end b 2 false rejected", "status compensating", "start b 1 true", "undo b",
			"write undo-done b, undo-started a", "end b 1 true applied", "start a 1 true", "undo a",
			"write undo-done a, ended", "end a 1 true applied", "status compensated",
		}, l.all())
		seal(t, e)
	})
}

// G45: what was not written is told to nobody, and after a restart nothing is told
// twice.
func TestG45_AtMostOnce(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := range 8 {
			t.Run(fmt.Sprintf("death at write %d, after it: %v", at, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &ledger{}
					store, dead := &durable.MemoryStore{}, make(chan struct{})
					def := saga.MustNew("checkout", []saga.Step[order]{l.step("a"), l.step("b"), l.step("c", errRefused, errRefused)})
					dies := &mortal{Store: store, left: at, after: after, died: func() { close(dead) }}
					e := ignite(t, dies, durable.Config{Hooks: l.hooked()}, def)
					started, cancel := context.WithCancel(t.Context())
					go func() { _, _ = durable.Start(started, e, def, "r1", order{}) }()
					time.Sleep(time.Second)
					cancel()
					halt(t, e)
					e = ignite(t, store, durable.Config{Hooks: l.hooked()}, def)
					_, err := launch(t, e, def).Wait(t.Context())
					require.Error(t, err)
					synctest.Wait()
					told := map[string]int{}
					for _, line := range l.all("status", "start", "end") {
						told[line]++
						assert.Equal(t, 1, told[line], line)
					}
					seal(t, e)
				})
			})
		}
	}
}

// G45: a hook that panics, or exits its goroutine, changes nothing, and a hook may call
// the engine.
func TestG45_HooksDoNoHarm(t *testing.T) {
	for name, hook := range map[string]func(e *durable.Engine){
		"panics": func(*durable.Engine) { panic("hook") },
		"calls the engine": func(e *durable.Engine) {
			_, err := e.Get(context.Background(), "r1")
			if err != nil {
				panic(err)
			}
			err = e.Resume(context.Background(), "r1", note)
			if err != nil && !errors.Is(err, durable.ErrConflict) {
				panic(err)
			}
			for _, err := range e.List(context.Background(), durable.Query{}) {
				if err != nil {
					panic(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				var e *durable.Engine
				var faults atomic.Int64
				hooks := saga.Hooks{
					Status:    func(context.Context, saga.StatusEvent) { hook(e) },
					StepStart: func(context.Context, saga.StepInfo) { hook(e) },
					StepDone:  func(context.Context, saga.StepEvent) { hook(e) },
					Fault: func(_ context.Context, f saga.FaultEvent) {
						faults.Add(1)
						panic(f.Err)
					},
				}
				def := saga.MustNew("checkout", []saga.Step[order]{l.step("a"), l.step("b", errLost), l.step("c", errRefused)})
				e = ignite(t, &durable.MemoryStore{}, durable.Config{Hooks: hooks}, def)
				_, err := launch(t, e, def).Wait(t.Context())
				var failed *saga.Error
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, saga.Compensated, failed.Status)
				assert.Equal(t, []string{"do a", "do b", "do b", "do c", "undo b", "undo a"}, l.all())
				synctest.Wait()
				if name == "panics" {
					assert.Equal(t, int64(17), faults.Load(), "5 statuses, 6 starts and 6 ends")
				} else {
					assert.Zero(t, faults.Load())
				}
				seal(t, e)
			})
		})
	}
}

// G45: Around wraps every attempt of Do, apply and Undo, within its timeout, and what it
// returns is the result.
func TestG45_Around(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		cfg := durable.Config{Around: func(ctx context.Context, info saga.StepInfo, next func(context.Context) error) error {
			l.add("in %s %d %v", info.Step, info.Attempt, info.Undoing)
			assert.Equal(t, info, saga.Info(ctx))
			at, limited := ctx.Deadline()
			assert.True(t, limited)
			assert.Equal(t, time.Minute, time.Until(at))
			err := next(ctx)
			l.add("out")
			if info.Step == "c" {
				return errRefused
			}
			return err
		}, StepTimeout: time.Minute}
		wait := saga.Await(saga.Step[order]{Name: "w", Undo: l.fn("undo w")}, func(_ context.Context, _ *order, n int) error {
			l.add("apply %d", n)
			return nil
		})
		def := saga.MustNew("checkout", []saga.Step[order]{l.step("a", errLost), wait, l.step("c")})
		e := ignite(t, &durable.MemoryStore{}, cfg, def)
		run := launch(t, e, def)
		require.NoError(t, durable.Signal(t.Context(), e, "r1", "w", 7))
		_, err := run.Wait(t.Context())
		require.Error(t, err)
		assert.Equal(t, []string{
			"in a 1 false", "do a", "out", "in a 2 false", "do a", "out", "in w 1 false", "apply 7", "out", "in c 1 false", "do c", "out",
			"in w 1 true", "undo w", "out", "in a 1 true", "undo a", "out",
		}, l.all())
		seal(t, e)
	})
}

// A fault of the store is told with what could not be done, and with the run if there is
// one.
func TestG45_FaultsOfStores(t *testing.T) {
	for op, want := range map[string]saga.FaultEvent{
		"Claim":  {Op: "claim", Err: errStore},
		"List":   {Op: "sweep", Err: errStore},
		"Append": {Op: "append", Saga: "shop", Run: "r1", Err: errStore},
		"Load":   {Op: "load", Saga: "shop", Run: "r1", Err: errStore},
	} {
		t.Run(op, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var once sync.Once
				var told []saga.FaultEvent
				hooks := saga.Hooks{Fault: func(_ context.Context, f saga.FaultEvent) { told = append(told, f) }}
				store := &sagatest.FaultStore{Store: &durable.MemoryStore{}, Before: func(called string, _ int) (err error) {
					if called == op {
						once.Do(func() { err = errStore })
					}
					return err
				}}
				def := define("shop", saga.Sleep(saga.Step[order]{Name: "s"}, time.Minute), say("a"))
				e := open(t, store, durable.Config{Hooks: hooks}, def)
				begin(t, e, def, "r1")
				time.Sleep(time.Hour)
				assert.Equal(t, []saga.FaultEvent{want}, told)
				assert.Equal(t, saga.Completed, head(t, e, "r1").Status)
			})
		})
	}
}

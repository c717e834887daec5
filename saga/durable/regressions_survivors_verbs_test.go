package durable_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// G31, G41: what an engine remembers of a run is not taken for another one of that ID.
func TestG41_SameIDAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, def := &durable.MemoryStore{}, define("shop", say("a"))
		e := open(t, store, durable.Config{Retain: time.Second}, def)
		run := begin(t, e, def, "r1")
		time.Sleep(time.Minute)
		deleted, err := e.Sweep(bg)
		require.NoError(t, err)
		require.Equal(t, 1, deleted)
		again, err := durable.Start(bg, open(t, store, durable.Config{}, def), def, "r1", order{N: 7})
		require.NoError(t, err)
		_, err = again.Wait(bg)
		require.NoError(t, err)
		o, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, 7, o.N)
	})
}

// G30, G41: the error of a run that was executed here is the one that its step returned,
// also if its state is too large to be remembered.
func TestG41_ErrorOfALargeState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", saga.Step[order]{Name: "a", Do: func(_ context.Context, o *order) error {
			o.Log = []string{strings.Repeat("x", 10000)}
			return saga.Reject(errDown)
		}})
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		synctest.Wait()
		o, err := run.Wait(bg)
		require.ErrorIs(t, err, errDown)
		assert.Len(t, o.Log[0], 10000)
	})
}

// G31: a run of which there is no event is no run that could have been started.
func TestG31_RunWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, def := &durable.MemoryStore{}, define("shop", say("a"))
		require.NoError(t, store.Create(bg, durable.Head{ID: "r1", Saga: "shop", Status: saga.Stuck}, 0, nil))
		e := open(t, store, durable.Config{}, def)
		_, err := durable.Start(bg, e, def, "r1", order{})
		require.ErrorIs(t, err, durable.ErrConflict)
	})
}

// G31: if a context has ended while a run was created its cause is the error.
func TestG31_CauseOfTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def, store := define("shop", approval("ok", 0)), &meddler{Store: &durable.MemoryStore{}}
		e := open(t, store, durable.Config{}, def)
		ctx, cancel := context.WithCancelCause(bg)
		store.create.is(func() error { cancel(errDown); return errStore })
		_, err := durable.StartWith(ctx, e, def, durable.StartConfig{ID: "r1", Delay: time.Hour}, order{})
		require.ErrorIs(t, err, errDown)
		store.create.is(nil)
		begin(t, e, def, "r1")
		synctest.Wait()
		ctx, cancel = context.WithCancelCause(bg)
		store.append.is(func() error { cancel(errDown); return durable.ErrConflict })
		require.ErrorIs(t, durable.Signal(ctx, e, "r1", "ok", "yes"), errDown)
		store.append.is(nil)
	})
}

// G41, G42: a run that ends while the engine closes tells those who wait for it.
func TestG41_EndsDuringClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, later := make(chan struct{}), make(chan struct{})
		def, other := define("shop", held("a", opened)), define("other", held("a", later))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def, other)
		run := begin(t, e, def, "r1")
		begin(t, e, other, "r2")
		told := make(chan error, 1)
		go func() { _, err := run.Wait(bg); told <- err }()
		synctest.Wait()
		time.AfterFunc(time.Minute, func() { close(opened) })
		time.AfterFunc(time.Hour, func() { close(later) })
		require.NoError(t, e.Close(bg))
		require.NoError(t, <-told)
	})
}

// G38, G39, G40: a run whose journal the definition cannot follow can be abandoned, and not
// aborted; its state is an error.
func TestG39_AbortOfWhatMakesNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		before := define("shop", say("a"), say("b"), approval("ok", 0))
		e := open(t, store, durable.Config{}, before)
		begin(t, e, before, "r1")
		synctest.Wait()
		require.NoError(t, e.Close(bg))
		def := define("shop", say("a"), approval("ok", 0))
		e = open(t, store, durable.Config{}, def)
		err := e.Abort(bg, "r1", ann)
		require.ErrorIs(t, err, durable.ErrConflict)
		require.ErrorContains(t, err, `"b"`)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		synctest.Wait()
		require.Equal(t, saga.Stuck, status(t, e, "r1"))
		require.NoError(t, e.Abandon(bg, "r1", ann))
		_, err = begin(t, e, def, "r1").Wait(bg)
		var failed *saga.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, saga.Abandoned, failed.Status)
	})
}

// G40: the end state of a run of another definition is not taken for a zero one.
func TestG40_EndedByAnotherDefinition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, before := &durable.MemoryStore{}, define("shop", say("a"), say("b"))
		e := open(t, store, durable.Config{}, before)
		begin(t, e, before, "r1")
		synctest.Wait()
		require.NoError(t, e.Close(bg))
		def := define("shop", say("a"))
		run := begin(t, open(t, store, durable.Config{}, def), def, "r1")
		_, err := run.Wait(bg)
		require.ErrorContains(t, err, "definition has changed")
		_, _, err = run.State(bg)
		require.ErrorContains(t, err, "definition has changed")
	})
}

// G38: Get shows what is damaged as it is, and what is wrong with it.
func TestG38_GetOfWhatIsDamaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		require.NoError(t, store.Create(bg, durable.Head{ID: "r1", Saga: "shop", Status: saga.Stuck}, 0, [][]byte{[]byte("{oops")}))
		rec, err := open(t, store, durable.Config{}).Get(bg, "r1")
		require.NoError(t, err)
		require.Len(t, rec.Events, 1)
		assert.Equal(t, "{oops", string(rec.Events[0].Data))
		assert.NotEmpty(t, rec.Events[0].Err)
	})
}

// G39: a child that waits is no reason to resume a run of which another one is under way.
func TestG39_ResumeWhileAChildIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &lasts{}
		x, y := saga.Step[order]{Name: "x", Do: act("do x", saga.RetryAfter(errDown, time.Hour))}, w.step("y", time.Minute)
		z := (&tally{}).during("z", 2*time.Second) // when that ends what x waits for is written, too
		x.Merge, y.Merge, z.Merge = saga.NoMerge[order], saga.NoMerge[order], saga.NoMerge[order]
		def := saga.MustNewWith(saga.Spec[order]{Name: "shop", Clone: wound, Steps: []saga.Step[order]{{Name: "g", Parallel: []saga.Step[order]{x, y, z}}}})
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		begin(t, e, def, "r1")
		time.Sleep(3 * time.Second)
		require.ErrorIs(t, e.Resume(bg, "r1", ann), durable.ErrConflict)
		time.Sleep(2 * time.Hour)
		causes, _ := w.ended()
		assert.Empty(t, causes)
		assert.Equal(t, saga.Completed, status(t, e, "r1"))
	})
}

// G39: a run that an operator has resumed on its way back is compensating again.
func TestG39_ResumedOnTheWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened, calls := make(chan struct{}), 0
		a := say("a")
		a.Undo = func(context.Context, *order) error {
			if calls++; calls == 1 {
				return saga.Reject(errOnUndo)
			}
			<-opened
			return nil
		}
		def := define("shop", a, fails("b", errDown))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		require.NoError(t, e.Resume(bg, "r1", ann))
		synctest.Wait()
		assert.Equal(t, 2, calls)
		assert.Equal(t, saga.Compensating, status(t, e, "r1"))
		close(opened)
	})
}

// G37, G43: what comes while a store is being asked for work is seen after that.
func TestG43_ComesDuringAClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def, m := define("shop", say("a")), &meddler{Store: &durable.MemoryStore{}}
		e := open(t, m, durable.Config{Poll: time.Hour}, def)
		synctest.Wait()
		n := 0
		m.claimed.is(func() error {
			if n++; n == 1 {
				_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r2", Delay: time.Second}, order{})
				assert.NoError(t, err)
			}
			return nil
		})
		_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: 2 * time.Hour}, order{})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		assert.Equal(t, saga.Completed, status(t, e, "r2"))
	})
}

// G42: Close in a step waits for a namesake of its run, and not for itself.
func TestG42_CloseInANamesake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan struct{})
		inner := define("inner", held("a", opened))
		there := open(t, &durable.MemoryStore{}, durable.Config{}, inner)
		begin(t, there, inner, "r1")
		var took []time.Duration
		var e *durable.Engine
		def := define("shop", saga.Step[order]{Name: "a", Do: func(ctx context.Context, _ *order) error {
			for _, engine := range []*durable.Engine{there, e} {
				begun := time.Now()
				if err := engine.Close(ctx); err != nil {
					return err
				}
				took = append(took, time.Since(begun))
			}
			return nil
		}})
		e = open(t, &durable.MemoryStore{}, durable.Config{}, def)
		time.AfterFunc(time.Minute, func() { close(opened) })
		_, err := begin(t, e, def, "r1").Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{time.Minute, 0}, took)
	})
}

// G36: a lease counts from when it was asked for, however long the answer takes.
func TestG36_SlowStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, slow := 0, true
		def := define("shop", say("a"), saga.Step[order]{Name: "b", Do: func(context.Context, *order) error {
			calls++
			time.Sleep(20 * time.Second)
			return nil
		}})
		raw := &durable.MemoryStore{}
		store := &unsure{meddler: meddler{Store: raw}, after: func() error {
			if slow {
				slow = false
				time.Sleep(25 * time.Second)
			}
			return nil
		}}
		open(t, raw, durable.Config{}, def)
		e := open(t, store, durable.Config{Lease: 30 * time.Second}, def)
		_, err := begin(t, e, def, "r1").Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, 1, calls)
		assert.Equal(t, uint64(1), head(t, e, "r1").Epoch)
	})
}

// G35: an attempt that Close has cut short does not count as a death of the process, nor
// with those that come later.
func TestG35_CutShortAndThenACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, calls := &durable.MemoryStore{}, 0
		cfg := durable.Config{MaxCrashes: 2}
		def := define("shop", saga.Step[order]{Name: "a", Do: func(ctx context.Context, _ *order) error {
			if calls++; calls <= 2 {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}})
		e := ignite(t, store, cfg, def)
		launch(t, e, def)
		synctest.Wait()
		halt(t, e)
		dying := &spy{MemoryStore: store}
		e = ignite(t, dying, cfg, def)
		synctest.Wait()
		dying.kill(t, e)
		e = ignite(t, store, cfg, def)
		_, err := launch(t, e, def).Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, 3, calls)
		seal(t, e)
	})
}

// Sweep goes by Config.Clock, and tells how many it has deleted before it failed.
func TestSweep_TellsHowFarItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock, def := clock.NewMock(), define("shop", say("a"))
		store := &meddler{Store: &durable.MemoryStore{Clock: mock}}
		e := open(t, store, durable.Config{Clock: mock, Retain: 30 * time.Minute}, def)
		for _, id := range []string{"r1", "r2", "r3"} {
			begin(t, e, def, id)
		}
		synctest.Wait()
		deleted, err := e.Sweep(bg)
		require.NoError(t, err)
		require.Zero(t, deleted)
		mock.Add(31 * time.Minute)
		n := 0
		store.remove.is(func() error {
			if n++; n == 2 {
				return errStore
			}
			return nil
		})
		deleted, err = e.Sweep(bg)
		require.ErrorIs(t, err, errStore)
		assert.Equal(t, 1, deleted)
	})
}

// G42: of all children that are under way when the engine is closed, or an operator aborts
// their run, it is recorded what they come to, not of the first alone.
func TestG42_WhatAllChildrenComeTo(t *testing.T) {
	for _, abort := range []bool{false, true} {
		t.Run(fmt.Sprint(abort), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				var children []saga.Step[order]
				for i, name := range []string{"x", "y", "z"} {
					children = append(children, saga.Step[order]{
						Name: name, Merge: saga.NoMerge[order], Undo: l.fn("undo " + name),
						Do: func(context.Context, *order) error {
							l.add("do %s", name)
							time.Sleep(time.Duration(i+1) * time.Second)
							return nil
						},
					})
				}
				def := saga.MustNewWith(saga.Spec[order]{Name: "shop", Clone: wound, Steps: []saga.Step[order]{{Name: "g", Parallel: children}, say("b")}})
				store, want := &durable.MemoryStore{}, saga.Completed
				e := open(t, store, durable.Config{MaxCrashes: 1}, def)
				begin(t, e, def, "r1")
				synctest.Wait()
				if abort {
					want = saga.Compensated
					require.NoError(t, e.Abort(bg, "r1", ann))
					time.Sleep(time.Minute)
				} else {
					require.NoError(t, e.Close(bg))
					e = open(t, store, durable.Config{MaxCrashes: 1}, def)
					_, err := begin(t, e, def, "r1").Wait(bg)
					require.NoError(t, err)
				}
				rec, err := e.Get(bg, "r1")
				require.NoError(t, err)
				assert.Equal(t, want, rec.Head.Status)
				assert.Len(t, l.all("do"), 3)
				for _, name := range []string{"x", "y", "z"} {
					assert.Equal(t, 1, count(rec, "done", "g/"+name), "%q", journal(rec))
				}
			})
		})
	}
}

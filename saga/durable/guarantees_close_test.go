package durable_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

func TestS25_CloseWaitsForTheAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		opened := make(chan struct{})
		def := define("shop", held("a", opened), say("b"))
		e := open(t, store, durable.Config{}, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		time.AfterFunc(time.Minute, func() { close(opened) })
		begun := time.Now()
		require.NoError(t, e.Close(bg))
		assert.Equal(t, time.Minute, time.Since(begun))
		assert.Equal(t, []string{"created  0", "started a 1", "done a 1"}, story(t, e, "r1"), "it is recorded, and nothing else begins")
		h := head(t, e, "r1")
		assert.Empty(t, h.Owner, "the lease is given back")
		assert.Equal(t, saga.Running, h.Status)

		e = open(t, store, durable.Config{}, def)
		run, err := durable.Find(bg, e, def, "r1")
		require.NoError(t, err)
		begun = time.Now()
		end, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"do a", "do b"}, end.Log)
		assert.Zero(t, time.Since(begun), "no lease has to run out")
	})
}

func TestS25_CloseCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		attempts, causes := 0, []error(nil)
		def := define("shop", say("a"), saga.Step[order]{Name: "b", Undo: act("undo b"), Retry: saga.Retry{Attempts: 1}, Do: func(ctx context.Context, o *order) error {
			attempts++
			if attempts > 2 {
				return act("do b")(ctx, o)
			}
			<-ctx.Done()
			causes = append(causes, context.Cause(ctx))
			return ctx.Err()
		}})
		for i := range 2 {
			e := open(t, store, durable.Config{}, def)
			if i == 0 {
				begin(t, e, def, "r1")
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeoutCause(bg, time.Second, errDown)
			begun := time.Now()
			err := e.Close(ctx)
			cancel()
			require.ErrorIs(t, err, errDown, "its cause")
			require.ErrorContains(t, err, "r1")
			assert.Equal(t, time.Second, time.Since(begun))
			require.NoError(t, e.Close(bg))
			require.Len(t, causes, i+1)
			require.ErrorIs(t, causes[i], durable.ErrClosed)
			assert.Equal(t, saga.Running, head(t, e, "r1").Status, "nothing is undone")
		}
		e := open(t, store, durable.Config{}, def)
		end, err := begin(t, e, def, "r1").Wait(bg)
		require.NoError(t, err, "an attempt that Close has ended does not count")
		assert.Equal(t, []string{"do a", "do b"}, end.Log)
		assert.Contains(t, story(t, e, "r1"), "done b 3", "but has its number")
	})
}

// A compensation that Close has cut short is made again, and nothing else.
func TestS25_CloseDuringUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		attempts := 0
		a := say("a")
		a.UndoRetry = saga.Retry{Attempts: 1}
		a.Undo = func(ctx context.Context, o *order) error {
			if attempts++; attempts == 1 {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return act("undo a")(ctx, o)
		}
		def := define("shop", say("z"), a, fails("b", errDown))
		e := open(t, store, durable.Config{}, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		shut(t, e)
		assert.Equal(t, saga.Compensating, head(t, e, "r1").Status)
		e = open(t, store, durable.Config{}, def)
		end, err := begin(t, e, def, "r1").Wait(bg)
		require.EqualError(t, err, "saga: shop/r1: b: down (compensated)")
		assert.Equal(t, []string{"do z", "do a", "undo a", "undo z"}, end.Log)
	})
}

// A step that does not listen is waited for, however often it is asked to end.
func TestG42_CloseNamesWhatHasNotReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan struct{})
		deaf := define("shop", saga.Step[order]{Name: "a", Do: func(context.Context, *order) error { <-opened; return nil }})
		e := open(t, &durable.MemoryStore{}, durable.Config{}, deaf)
		for _, id := range []string{"r2", "r1"} {
			begin(t, e, deaf, id)
		}
		for range 3 {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			err := e.Close(ctx)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, `"r1" "r2"`)
		}
		close(opened)
		require.NoError(t, e.Close(bg))
		require.NoError(t, e.Close(bg), "again")
		assert.Contains(t, story(t, e, "r1"), "done a 1", "what it has come to counts: it returned nil")
	})
}

// What is over is over, also for a context that has ended.
func TestG42_CloseWithAnEndedContext(t *testing.T) {
	e := open(t, &durable.MemoryStore{}, durable.Config{})
	require.NoError(t, e.Close(bg))
	ended, cancel := context.WithCancel(bg)
	cancel()
	for i := range 1000 {
		require.NoError(t, e.Close(ended), "call %d", i)
	}
}

// From then on nothing is begun; what is there can be read.
func TestG42_AfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		def := define("shop", say("a"), approval("ok", 0))
		done := define("done", say("a"))
		e := open(t, store, durable.Config{}, def, done)
		run, ended := begin(t, e, def, "r1"), begin(t, e, done, "r2")
		synctest.Wait()
		require.NoError(t, e.Close(bg))

		for name, call := range map[string]func() error{
			"Start": func() error { _, err := durable.Start(bg, e, def, "r3", order{}); return err },
			"StartWith": func() error {
				_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r3", Delay: 1}, order{})
				return err
			},
			"Register": func() error { return durable.Register(e, define("new", say("a"))) },
			"Signal":   func() error { return durable.Signal(bg, e, "r1", "ok", "yes") },
			"Resume":   func() error { return e.Resume(bg, "r1", ann) },
			"Skip":     func() error { return e.Skip(bg, "r1", "ok", ann) },
			"Abort":    func() error { return e.Abort(bg, "r1", ann) },
			"Abandon":  func() error { return e.Abandon(bg, "r1", ann) },
			"Wait":     func() error { _, err := run.Wait(bg); return err },
		} {
			require.ErrorIs(t, call(), durable.ErrClosed, name)
		}
		assert.Equal(t, []string{"r1", "r2"}, ids(t, e, durable.Query{}))
		assert.Equal(t, saga.Waiting, head(t, e, "r1").Status)
		state, _, err := run.State(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"do a"}, state.Log)
		_, err = durable.Find(bg, e, def, "r1")
		require.NoError(t, err)
		_, err = ended.Wait(bg)
		require.NoError(t, err, "it has ended")

		e = open(t, store, durable.Config{}, def)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"), "the store stays open")
	})
}

// Who waits when the engine is closed is told.
func TestG42_WaitDuringClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", approval("ok", 0))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		told := make(chan error, 1)
		go func() { _, err := run.Wait(bg); told <- err }()
		time.Sleep(time.Minute)
		require.NoError(t, e.Close(bg))
		require.ErrorIs(t, <-told, durable.ErrClosed)
	})
}

// What is due is left to others from the moment on that Close is called.
func TestG42_NothingIsClaimedDuringClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan struct{})
		def, other := define("shop", held("a", opened)), define("other", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def, other)
		begin(t, e, def, "r1")
		_, err := durable.StartWith(bg, e, other, durable.StartConfig{ID: "r2", Delay: time.Second}, order{})
		require.NoError(t, err)
		time.AfterFunc(time.Minute, func() { close(opened) })
		require.NoError(t, e.Close(bg))
		assert.Equal(t, []string{"created  0"}, story(t, e, "r2"))
	})
}

// A step may close its engine: it is not waited for.
func TestG42_CloseInAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		var e *durable.Engine
		var closed error
		def := define("shop", saga.Step[order]{Name: "a", Do: func(ctx context.Context, o *order) error {
			closed = e.Close(ctx)
			return act("do a")(ctx, o)
		}}, say("b"))
		e = open(t, store, durable.Config{}, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		require.NoError(t, closed)
		require.NoError(t, e.Close(bg))
		assert.Equal(t, []string{"created  0", "started a 1", "done a 1"}, story(t, e, "r1"))
		next := open(t, store, durable.Config{}, def)
		_, err := begin(t, next, def, "r1").Wait(bg)
		require.NoError(t, err)
	})
}

// No goroutine outlives Close, whatever went on.
func TestS27_NoGoroutineOutlivesClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		defs := []*saga.Saga[order]{
			define("ends", say("a")), define("fails", say("a"), fails("b", errDown)), define("waits", approval("ok", time.Hour)),
			define("sleeps", saga.Sleep(saga.Step[order]{Name: "s"}, time.Hour)), define("sticks", sticky("a", always), fails("b", errDown)),
			define("works", held("a", nil)), define("retries", saga.Step[order]{Name: "a", Do: act("do a", errDown, errDown)}),
		}
		e := open(t, &durable.MemoryStore{}, durable.Config{}, defs...)
		for _, def := range defs {
			begin(t, e, def, def.Name())
			synctest.Wait()
		}
		shut(t, e)
		synctest.Wait()
		assert.Equal(t, before, runtime.NumGoroutine())
	})
}

// An engine that is closed leaves no trace in others: a lease that is endless is
// given back, too.
func TestG42_EndlessLeaseIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		def := define("shop", held("a", nil))
		e := open(t, store, durable.Config{Lease: -1}, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		assert.NotEmpty(t, head(t, e, "r1").Owner)
		assert.True(t, head(t, e, "r1").LeaseUntil.IsZero())
		shut(t, e)
		assert.Empty(t, head(t, e, "r1").Owner)
	})
}

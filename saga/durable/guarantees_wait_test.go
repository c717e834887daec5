package durable_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// What Wait says, in the engine that executes and in another one.
func TestG41_WaitTells(t *testing.T) {
	logs := map[saga.Status][]string{
		saga.Completed: {"do a"}, saga.Compensated: {"do a", "undo a"}, saga.Stuck: {"do a"}, saga.Abandoned: {"do a"},
	}
	for want, log := range logs {
		t.Run(want.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := destinies()[want]
				store := &durable.MemoryStore{}
				e := open(t, store, durable.Config{}, def)
				destined(t, e, def, want)
				other := open(t, store, durable.Config{}, def)
				for _, e := range []*durable.Engine{e, other} {
					run, err := durable.Find(bg, e, def, "r1")
					require.NoError(t, err)
					end, err := run.Wait(bg)
					assert.Equal(t, log, end.Log)
					again, err2 := run.Wait(bg)
					assert.Equal(t, end, again)
					assert.Equal(t, err, err2)
					if want == saga.Completed {
						require.NoError(t, err)
						continue
					}
					var failed *saga.Error
					require.ErrorAs(t, err, &failed)
					assert.Equal(t, want, failed.Status)
					assert.Equal(t, [3]string{"shop", "r1", "b"}, [3]string{failed.Saga, failed.Run, failed.Step})
					assert.EqualError(t, failed.Err, "down")
					assert.Equal(t, want == saga.Stuck, strings.Contains(err.Error(), "stuck"))
					if want == saga.Stuck {
						require.ErrorIs(t, err, saga.ErrStuck)
						assert.Equal(t, saga.ReasonUndoFailed, failed.Reason)
						require.Len(t, failed.Undo, 1)
						assert.Equal(t, "a", failed.Undo[0].Step)
						assert.EqualError(t, failed.Undo[0].Err, "cannot be undone")
					}
				}
			})
		})
	}
}

// The engine that has executed a run knows the error itself; of what was recorded
// only the text is left.
func TestG30_ErrorsOfOthersAreTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", fails("a", errDown))
		store := &durable.MemoryStore{}
		e, other := open(t, store, durable.Config{}, def), open(t, store, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		_, err := run.Wait(bg)
		require.ErrorIs(t, err, errDown)
		run, failed := durable.Find(bg, other, def, "r1")
		require.NoError(t, failed)
		_, told := run.Wait(bg)
		require.NotErrorIs(t, told, errDown)
		require.EqualError(t, told, err.Error())
	})
}

// Within one engine Wait returns at once, elsewhere after Poll at the latest.
func TestG41_WaitIsPrompt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		opened := make(chan struct{})
		def := define("shop", held("a", opened))
		const poll = 7 * time.Second
		e, other := open(t, store, durable.Config{Poll: poll}, def), open(t, store, durable.Config{Poll: poll}, def)
		run := begin(t, e, def, "r1")
		elsewhere, err := durable.Find(bg, other, def, "r1")
		require.NoError(t, err)
		const length = time.Minute
		time.AfterFunc(length, func() { close(opened) })
		begun := time.Now()
		var crew sync.WaitGroup
		for range 10 {
			crew.Go(func() {
				_, err := run.Wait(bg)
				assert.NoError(t, err)
				assert.Equal(t, length, time.Since(begun))
			})
			crew.Go(func() {
				_, err := elsewhere.Wait(bg)
				assert.NoError(t, err)
				assert.LessOrEqual(t, time.Since(begun), length+poll)
			})
		}
		crew.Wait()
	})
}

// Stuck is no end: Wait tells of it, and waits again when it goes on.
func TestG41_WaitAfterResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		def := define("shop", sticky("a", func() bool { return broken }), fails("b", errDown))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		for range 3 {
			_, err := run.Wait(bg)
			require.ErrorIs(t, err, saga.ErrStuck)
			require.NoError(t, e.Resume(bg, "r1", ann))
		}
		_, err := run.Wait(bg)
		require.ErrorIs(t, err, saga.ErrStuck)
		broken = false
		require.NoError(t, e.Resume(bg, "r1", ann))
		end, err := run.Wait(bg)
		require.EqualError(t, err, "saga: shop/r1: b: down (compensated)")
		require.NotErrorIs(t, err, saga.ErrStuck)
		assert.Equal(t, []string{"do a", "undo a"}, end.Log)
	})
}

func TestG41_WaitContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), approval("ok", 0))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		ctx, cancel := context.WithTimeoutCause(bg, time.Minute, errDown)
		defer cancel()
		begun := time.Now()
		_, err := run.Wait(ctx)
		require.ErrorIs(t, err, errDown, "the cause of its end")
		assert.Equal(t, time.Minute, time.Since(begun))
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"), "the run does not care")
		_, err = run.Wait(bg)
		require.NoError(t, err)
	})
}

// A step that waits for its own run would never end.
func TestS27_WaitForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e *durable.Engine
		var def *saga.Saga[order]
		try := func(ctx context.Context, id string) error {
			run, err := durable.Find(ctx, e, def, id)
			if err != nil {
				return saga.Reject(err)
			}
			if _, err = run.Wait(ctx); err != nil {
				return saga.Reject(err)
			}
			return nil
		}
		var onUndo error
		child := define("child", say("a"))
		def = define("shop", saga.Step[order]{
			Name: "a", Do: act("do a"), Undo: func(ctx context.Context, _ *order) error { onUndo = try(ctx, "r1"); return nil },
		}, saga.Step[order]{Name: "b", Do: func(ctx context.Context, _ *order) error {
			run, err := durable.Start(ctx, e, child, "r2", order{})
			if err != nil {
				return saga.Reject(err)
			}
			if _, err := run.Wait(ctx); err != nil { // another one may be waited for
				return saga.Reject(err)
			}
			within, cancel := context.WithCancel(context.WithValue(ctx, new(int), 1))
			defer cancel()
			return try(within, "r1")
		}})
		e = open(t, &durable.MemoryStore{}, durable.Config{}, def, child)
		begun := time.Now()
		run := begin(t, e, def, "r1")
		_, err := run.Wait(bg)
		require.ErrorIs(t, err, durable.ErrConflict)
		require.ErrorIs(t, onUndo, durable.ErrConflict)
		assert.Zero(t, time.Since(begun), "at once")
	})
}

// Runs of other sagas may have the same ID in another store, and be waited for.
func TestS27_WaitForANamesake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := define("inner", say("a"))
		there := open(t, &durable.MemoryStore{}, durable.Config{}, inner)
		def := define("shop", saga.Step[order]{Name: "a", Do: func(ctx context.Context, _ *order) error {
			run, err := durable.Start(ctx, there, inner, "r1", order{})
			if err == nil {
				_, err = run.Wait(ctx)
			}
			return err
		}})
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		_, err := begin(t, e, def, "r1").Wait(bg)
		require.NoError(t, err)
	})
}

func TestRun_State(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), approval("ok", 0), held("b", nil))
		store := &durable.MemoryStore{}
		e := open(t, store, durable.Config{}, def)
		run, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Labels: map[string]string{"k": "v"}}, order{N: 3})
		require.NoError(t, err)
		synctest.Wait()
		state, h, err := run.State(bg)
		require.NoError(t, err)
		assert.Equal(t, order{[]string{"do a"}, 3}, state)
		assert.Equal(t, saga.Waiting, h.Status)
		assert.Equal(t, "ok", h.Step, "where it stands")
		assert.Equal(t, map[string]string{"k": "v"}, h.Labels)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		synctest.Wait()
		state, h, err = run.State(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"do a", "ok yes"}, state.Log)
		assert.Equal(t, saga.Running, h.Status)
		assert.Equal(t, "b", h.Step)
		assert.NotEmpty(t, h.Owner)
		state.Log[0] = "mine"
		state, _, err = run.State(bg)
		require.NoError(t, err)
		assert.Equal(t, "do a", state.Log[0], "what was returned is the caller's")
		shut(t, e)
	})
}

// A run that was deleted is not there.
func TestG41_WaitForADeletedRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{Retain: time.Minute}, def)
		run := begin(t, e, def, "r1")
		time.Sleep(time.Hour)
		_, err := e.Sweep(bg)
		require.NoError(t, err)
		_, err = run.Wait(bg)
		require.ErrorIs(t, err, durable.ErrNotFound)
		_, _, err = run.State(bg)
		require.ErrorIs(t, err, durable.ErrNotFound)
		_, err = durable.Find(bg, e, def, "r1")
		require.ErrorIs(t, err, durable.ErrNotFound)
	})
}

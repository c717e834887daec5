package durable_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// limit is how long a context lasts.
func limit(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return -1
	}
	return time.Until(deadline)
}

// G9: Probe has the time that an attempt of Do has, which is StepTimeout if the step says
// nothing: one that hangs ends, and what it does not know is tried again.
func TestG9_TimeOfProbe(t *testing.T) {
	for own, want := range map[time.Duration]time.Duration{0: time.Minute, time.Second: time.Second, -1: -1} {
		t.Run(own.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				var ofDo, ofProbe time.Duration
				def := define("checkout", saga.Step[order]{
					Name: "a", Timeout: own, Retry: everySecond,
					Do: func(ctx context.Context, o *order) error {
						ofDo = limit(ctx)
						return l.fn("do a", errLost)(ctx, o)
					},
					Probe: func(ctx context.Context, _ *order) (saga.Outcome, error) {
						if ofProbe = limit(ctx); ofProbe > 0 {
							<-ctx.Done()
						}
						return saga.Unknown, nil
					},
				})
				e := ignite(t, &durable.MemoryStore{}, durable.Config{StepTimeout: time.Minute}, def)
				_, err := launch(t, e, def).Wait(bg)
				require.NoError(t, err)
				assert.Equal(t, want, ofDo)
				assert.Equal(t, want, ofProbe)
				assert.Equal(t, []string{"do a", "do a"}, l.all())
				seal(t, e)
			})
		})
	}
}

// G16, G26: Timeout of an Await is that of the wait: what it applies, its Probe and its
// Undo have the time of an attempt.
func TestG16_TimesOfAwait(t *testing.T) {
	for own, want := range map[time.Duration]time.Duration{0: time.Minute, time.Hour: time.Hour} {
		t.Run(own.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var ofApply, ofProbe, ofUndo time.Duration
				ok := saga.Await(saga.Step[order]{
					Name: "ok", Timeout: time.Second, UndoTimeout: own,
					Undo: func(ctx context.Context, _ *order) error { ofUndo = limit(ctx); return nil },
					Probe: func(ctx context.Context, _ *order) (saga.Outcome, error) {
						ofProbe = limit(ctx)
						return saga.Applied, nil
					},
				}, func(ctx context.Context, _ *order, _ string) error { ofApply = limit(ctx); return errLost })
				def := define("checkout", ok, fails("b", errDown))
				e := ignite(t, &durable.MemoryStore{}, durable.Config{StepTimeout: time.Minute}, def)
				run := launch(t, e, def)
				require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
				_, err := run.Wait(bg)
				require.Error(t, err)
				assert.Equal(t, time.Minute, ofApply)
				assert.Equal(t, time.Minute, ofProbe)
				assert.Equal(t, want, ofUndo)
				seal(t, e)
			})
		})
	}
}

// G35, G39: an Undo that kills the process again and again can be skipped.
func TestG39_SkipOfAnUndoThatKills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, store := &ledger{}, &durable.MemoryStore{}
		b := l.step("b")
		b.Undo = deadly(b.Undo, 1, 2, 3)
		def := define("checkout", l.step("a"), b, l.step("c", errRefused))
		for range 3 {
			mortal := &spy{MemoryStore: store}
			e := ignite(t, mortal, durable.Config{}, def)
			launch(t, e, def)
			time.Sleep(40 * time.Second)
			mortal.kill(t, e)
		}
		e := ignite(t, store, durable.Config{}, def)
		time.Sleep(40 * time.Second)
		h := seen(t, e, "r1").Head
		require.Equal(t, saga.Stuck, h.Status)
		require.Equal(t, saga.ReasonCrashLoop, h.Reason)
		require.Equal(t, "b", h.Step)
		require.ErrorIs(t, e.Skip(bg, "r1", "a", ann), durable.ErrConflict, "that is not where it stands")
		require.NoError(t, e.Skip(bg, "r1", "b", ann))
		time.Sleep(time.Second)
		assert.Equal(t, saga.Compensated, seen(t, e, "r1").Head.Status)
		assert.Equal(t, []string{"do a", "do b", "do c", "undo b", "undo b", "undo b", "undo a"}, l.all())
		seal(t, e)
	})
}

// G16, G22, G39: an Await after the pivot whose time is over waits once more when an
// operator resumes it, as long as it did at first.
func TestG39_ResumeOfAnAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ok := approval("ok", time.Minute)
		ok.Undo = nil
		def := define("checkout", saga.Step[order]{Name: "p", Pivot: true, Do: act("p")}, ok)
		e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := launch(t, e, def)
		for range 2 {
			begun := time.Now()
			_, err := run.Wait(bg)
			require.ErrorIs(t, err, saga.ErrStuck)
			assert.Equal(t, time.Minute, time.Since(begun))
			require.NoError(t, e.Resume(bg, "r1", ann))
			synctest.Wait()
		}
		require.Equal(t, saga.Waiting, seen(t, e, "r1").Head.Status)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		end, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"p", "ok yes"}, end.Log)
		seal(t, e)
	})
}

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

// Abort cancels the attempt under way, in this engine at once, elsewhere when it
// renews its lease or writes.
func TestS12_Abort(t *testing.T) {
	for name, elsewhere := range map[string]bool{"here": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, again := held("b", nil), make(chan struct{})
				undo := b.Undo
				b.Undo = func(ctx context.Context, o *order) error {
					<-again
					return undo(ctx, o)
				}
				def := define("shop", say("a"), b, say("c"))
				store := &durable.MemoryStore{}
				const lease = time.Minute
				e, other := open(t, store, durable.Config{Lease: lease}, def), open(t, store, durable.Config{Lease: lease}, def)
				run := begin(t, e, def, "r1")
				time.Sleep(time.Second)
				by := e
				if elsewhere {
					by = other
				}
				begun := time.Now()
				require.NoError(t, by.Abort(bg, "r1", ann))
				require.NoError(t, by.Abort(bg, "r1", ann), "again: it goes back already")
				close(again)
				end, err := run.Wait(bg)
				var failed *saga.Error
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, saga.Compensated, failed.Status)
				assert.Empty(t, failed.Step, "no step has failed")
				require.ErrorContains(t, err, "ann")
				require.ErrorContains(t, err, ann.Why)
				assert.Equal(t, []string{"do a", "undo b", "undo a"}, end.Log)
				if elsewhere {
					assert.LessOrEqual(t, time.Since(begun), lease/3)
				} else {
					assert.Zero(t, time.Since(begun))
				}
				require.ErrorIs(t, e.Abort(bg, "r1", ann), durable.ErrConflict, "it has ended")
			})
		})
	}
}

func TestS12_AbortOfWhatWaits(t *testing.T) {
	for name, step := range map[string]saga.Step[order]{
		"sleep":   saga.Sleep(saga.Step[order]{Name: "s"}, time.Hour),
		"await":   approval("s", 0),
		"attempt": {Name: "s", Do: act("do s", errDown), Undo: act("undo s"), Retry: saga.Retry{Wait: time.Hour, MaxWait: -1, NoJitter: true}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := define("shop", say("a"), step, say("z"))
				e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
				run := begin(t, e, def, "r1")
				time.Sleep(time.Minute)
				begun := time.Now()
				require.NoError(t, e.Abort(bg, "r1", ann))
				end, err := run.Wait(bg)
				require.Error(t, err)
				require.NotErrorIs(t, err, saga.ErrStuck)
				want := []string{"do a", "undo a"}
				if name == "attempt" {
					want = []string{"do a", "do s", "undo s", "undo a"}
				}
				assert.Equal(t, want, end.Log)
				assert.Zero(t, time.Since(begun))
			})
		})
	}
	t.Run("delay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			def := define("shop", say("a"))
			e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
			run, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: time.Hour}, order{})
			require.NoError(t, err)
			require.NoError(t, e.Abort(bg, "r1", ann))
			end, err := run.Wait(bg)
			require.Error(t, err)
			assert.Empty(t, end.Log)
			assert.Equal(t, saga.Compensated, head(t, e, "r1").Status)
		})
	})
}

func TestS12_AbortPastThePivot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := make(chan struct{})
		last := held("z", opened)
		last.Undo = nil
		def := define("shop", say("a"), saga.Step[order]{Name: "p", Do: act("do p"), Pivot: true}, last)
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		synctest.Wait()
		before := story(t, e, "r1")
		require.ErrorIs(t, e.Abort(bg, "r1", ann), durable.ErrConflict)
		assert.Equal(t, before, story(t, e, "r1"))
		close(opened)
		_, err := run.Wait(bg)
		require.NoError(t, err, "it was not disturbed")
	})
}

// Once it is abandoned no code of the saga runs.
func TestG39_AbandonIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := true
		def := define("shop", say("a"), sticky("b", func() bool { return broken }), fails("c", errDown))
		store := &durable.MemoryStore{}
		e := open(t, store, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		_, err := run.Wait(bg)
		require.ErrorIs(t, err, saga.ErrStuck)
		require.NoError(t, e.Abandon(bg, "r1", ann))
		broken = false
		open(t, store, durable.Config{}, def)
		time.Sleep(24 * time.Hour)
		h := head(t, e, "r1")
		assert.Equal(t, saga.Abandoned, h.Status)
		assert.True(t, h.WakeAt.IsZero())
		for name, verb := range verbs(e) {
			require.ErrorIs(t, verb(bg, "r1", ann), durable.ErrConflict, name)
		}
		end, err := run.Wait(bg)
		require.Error(t, err)
		assert.Equal(t, []string{"do a", "do b"}, end.Log)
	})
}

// G21, G39: a pivot in doubt when the run's time is over is tried again if an operator
// says so, with attempts as at the start.
func TestG39_ResumeAfterTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		p := saga.Step[order]{Name: "p", Pivot: true, Do: l.fn("do p", errLost, errLost, errLost, nil), Retry: saga.Retry{Wait: time.Hour, NoJitter: true}}
		def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Timeout: time.Minute, Steps: []saga.Step[order]{l.step("a"), p}})
		e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
		_, err := launch(t, e, def).Wait(bg)
		require.ErrorIs(t, err, saga.ErrStuck)
		time.Sleep(time.Hour)
		require.NoError(t, e.Resume(bg, "r1", ann))
		_, err = launch(t, e, def).Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"do a", "do p", "do p", "do p", "do p"}, l.all())
		seal(t, e)
	})
}

package durable_test

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// G19, G28, G29: an Undo that ends its goroutine, as t.FailNow does, is a failed attempt like
// any other: recorded, and made again after the wait, in another process too.
func TestG29_ExitOfUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		var at []time.Duration
		began := time.Now()
		a, b := l.step("a"), l.step("b")
		b.UndoRetry = everySecond
		b.Undo = func(context.Context, *order) error {
			at = append(at, time.Since(began))
			if len(at) < 6 {
				runtime.Goexit()
			}
			return nil
		}
		def := define("checkout", a, b, l.step("c", errRefused))
		store := &durable.MemoryStore{}
		e := ignite(t, store, durable.Config{}, def)
		launch(t, e, def)
		time.Sleep(2500 * time.Millisecond)
		seal(t, e)
		e = ignite(t, store, durable.Config{}, def)
		_, err := launch(t, e, def).Wait(bg)
		require.ErrorContains(t, err, errRefused.Error())
		assert.Equal(t, []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second, 5 * time.Second}, at)
		rec := seen(t, e, "r1")
		assert.Equal(t, saga.Compensated, rec.Head.Status)
		assert.NoError(t, sagatest.CheckLaw(def.Plan(), rec))
		assert.Equal(t, []string{"do a", "do b", "do c", "undo a"}, l.all())
		seal(t, e)
	})
}

// G42: Sweep is a verb, and deletes nothing once the engine is closed.
func TestG42_SweepAfterClose(t *testing.T) {
	e := open(t, &durable.MemoryStore{}, durable.Config{})
	require.NoError(t, e.Close(bg))
	_, err := e.Sweep(bg)
	assert.ErrorIs(t, err, durable.ErrClosed)
}

// A Signal that meets another write tries again by itself: nobody moves a Mock for that.
func TestG37_ConflictUnderAMock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := clock.NewMock()
		m := &meddler{Store: &durable.MemoryStore{Clock: mock}}
		def := define("checkout", approval("ok", 0))
		e := open(t, m, durable.Config{Clock: mock}, def)
		begin(t, e, def, "r1")
		synctest.Wait() // until it waits for the signal
		conflicts := 3
		m.append.is(func() error {
			if conflicts--; conflicts >= 0 {
				return durable.ErrConflict
			}
			return nil
		})
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		assert.Equal(t, -1, conflicts)
		m.append.is(nil)
	})
}

// G27: a wall clock that is set while a run is executed sets no instant that is recorded
// after that.
func TestG27_SetWithinAnExecution(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			l, w := &ledger{}, &wall{}
			a := l.step("a", errLost, nil)
			do := a.Do
			a.Do = func(ctx context.Context, o *order) error {
				w.set(off)
				return do(ctx, o)
			}
			a.Retry = saga.Retry{Attempts: 2, Wait: time.Minute, NoJitter: true}
			def := define("checkout", a)
			e := ignite(t, &durable.MemoryStore{Clock: w}, durable.Config{Clock: w}, def)
			began := time.Now()
			_, err := launch(t, e, def).Wait(bg)
			require.NoError(t, err)
			assert.Equal(t, time.Minute, time.Since(began).Truncate(time.Second))
			seal(t, e)
		})
	}
}

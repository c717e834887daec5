package durable_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// status is how far a run is.
func status(t *testing.T, e *durable.Engine, id string) saga.Status {
	t.Helper()
	return head(t, e, id).Status
}

// G27, G45: a run that goes back and waits for another attempt of an Undo is compensating,
// to its head, to the hook, and to a signal, which does not make the Undo come early.
func TestG45_WaitsOnTheWayBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []saga.Status
		var at []time.Duration
		begun := time.Now()
		a := say("a")
		a.UndoRetry = saga.Retry{Wait: time.Minute, NoJitter: true}
		a.Undo = func(context.Context, *order) error {
			if at = append(at, time.Since(begun)); len(at) == 1 {
				return errDown
			}
			return nil
		}
		def := define("shop", a, fails("b", errDown), approval("ok", 0))
		hooks := saga.Hooks{Status: func(_ context.Context, e saga.StatusEvent) { told = append(told, e.To) }}
		e := open(t, &durable.MemoryStore{}, durable.Config{Hooks: hooks}, def)
		run := begin(t, e, def, "r1")
		time.Sleep(10 * time.Second)
		assert.Equal(t, saga.Compensating, status(t, e, "r1"))
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		_, err := run.Wait(bg)
		require.Error(t, err)
		synctest.Wait()
		assert.Equal(t, []time.Duration{0, time.Minute}, at)
		assert.Equal(t, []saga.Status{saga.Running, saga.Compensating, saga.Compensated}, told)
	})
}

// G36: that the last write of a run was refused, as the run is another's by now, is told,
// with its saga.
func TestG36_FencedAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &durable.MemoryStore{}
		var faults []saga.FaultEvent
		define := func(d time.Duration) *saga.Saga[order] {
			return define("shop", saga.Step[order]{Name: "a", Do: func(context.Context, *order) error { time.Sleep(d); return nil }})
		}
		first := define(8 * time.Second)
		hooks := saga.Hooks{Fault: func(_ context.Context, f saga.FaultEvent) { faults = append(faults, f) }}
		e := ignite(t, stingy{shared}, durable.Config{Hooks: hooks}, first)
		other := ignite(t, shared, durable.Config{}, define(20*time.Second))
		_, err := launch(t, e, first).Wait(bg)
		require.NoError(t, err)
		require.Len(t, faults, 1)
		require.ErrorIs(t, faults[0].Err, durable.ErrFenced)
		assert.Equal(t, "shop", faults[0].Saga)
		assert.Equal(t, "r1", faults[0].Run)
		seal(t, e)
		seal(t, other)
	})
}

// G38: a run that cannot be read is tried again after Config.Poll, not when its lease ends.
func TestG38_ReadAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		store := &meddler{Store: cutShort(t, def, "r1", 1)}
		var n atomic.Int64
		store.load.is(func() error {
			if n.Add(1) == 1 {
				return errStore
			}
			return nil
		})
		e := open(t, store, durable.Config{Poll: 2 * time.Second})
		begun := time.Now()
		require.NoError(t, durable.Register(e, def))
		synctest.Wait()
		require.Equal(t, int64(1), n.Load())
		run, err := durable.Find(bg, e, def, "r1")
		require.NoError(t, err)
		_, err = run.Wait(bg)
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(begun), 4*time.Second)
	})
}

// A head tells the fingerprint of the definition that a run ran with last.
func TestHead_Fingerprint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &durable.MemoryStore{}
		one, two := define("shop", say("a"), approval("ok", 0)), define("shop", say("a"), approval("ok", 0), say("b"))
		e := open(t, store, durable.Config{}, one)
		begin(t, e, one, "r1")
		synctest.Wait()
		was := head(t, e, "r1").Fingerprint
		require.NoError(t, e.Close(bg))
		e = open(t, store, durable.Config{}, two)
		begin(t, e, two, "r2")
		synctest.Wait()
		now := head(t, e, "r2").Fingerprint
		require.NotEqual(t, was, now)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		synctest.Wait()
		assert.Equal(t, now, head(t, e, "r1").Fingerprint)
	})
}

// G31: a Start that cannot create and cannot read says so at once, whatever the store says.
func TestG31_StoreIsDown(t *testing.T) {
	for _, why := range []error{errStore, durable.ErrNotFound} {
		synctest.Test(t, func(t *testing.T) {
			def := define("shop", say("a"))
			store := &meddler{Store: &durable.MemoryStore{}}
			e := open(t, store, durable.Config{}, def)
			down := func() error { return why }
			store.create.is(down)
			store.load.is(down)
			begun := time.Now()
			_, err := durable.Start(bg, e, def, "r1", order{})
			require.Error(t, err)
			assert.Zero(t, time.Since(begun))
			store.create.is(nil)
			store.load.is(nil)
			time.Sleep(time.Hour)
			assert.Empty(t, ids(t, e, durable.Query{}))
		})
	}
}

// G36: a renewal that the store has refused is none, though the head it leaves is as before.
func TestG36_RenewalsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &lasts{}
		def := define("shop", w.step("a", time.Hour))
		store := &meddler{Store: &durable.MemoryStore{}}
		e := open(t, store, durable.Config{Lease: 30 * time.Second}, def)
		begin(t, e, def, "r1")
		store.append.is(func() error { return errStore })
		time.Sleep(31 * time.Second)
		causes, at := w.ended()
		require.Len(t, causes, 1)
		require.ErrorIs(t, causes[0], durable.ErrFenced)
		assert.Equal(t, 30*time.Second, at[0])
		store.append.is(nil)
		shut(t, e)
	})
}

// G37, G48: a signal that comes between the attempts to write that a run waits for it is
// not lost, and what was written is not written twice.
func TestG37_SignalBetweenWrites(t *testing.T) {
	for name, fails := range map[string]bool{"not written": true, "written": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := define("shop", say("a"), say("b"), approval("ok", 0))
				raw := &durable.MemoryStore{}
				store := &unsure{meddler: meddler{Store: raw}}
				other := open(t, raw, durable.Config{}, def)
				e := open(t, store, durable.Config{}, def)
				n := 0
				store.append.is(func() error {
					switch n++; {
					case n == 1:
						return durable.Signal(bg, other, "r1", "ok", "yes")
					case n == 2 && fails:
						return errStore
					}
					return nil
				})
				store.after = func() error {
					if n == 2 {
						return errStore
					}
					return nil
				}
				begin(t, e, def, "r1")
				time.Sleep(time.Minute)
				assert.Equal(t, saga.Completed, status(t, e, "r1"))
				rec, err := other.Get(bg, "r1")
				require.NoError(t, err)
				assert.Equal(t, 1, count(rec, "done", "a"))
				assert.Equal(t, 1, count(rec, "signal", "ok"))
			})
		})
	}
}

// An unsure store is a meddler with errors of appends that have worked.
type unsure struct {
	meddler

	after func() error
}

func (u *unsure) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	if err := u.meddler.Append(ctx, at, h, ttl, events); err != nil {
		return err
	}
	return u.after()
}

// count is how many events there are of a kind and a step.
func count(rec *durable.Record, kind, step string) (n int) {
	for _, e := range rec.Events {
		if e.Kind == kind && e.Step == step {
			n++
		}
	}
	return n
}

// G45, G48: what the last write tells is told, too, if the store said that it had failed.
func TestG45_LastWriteIsSaidToHaveFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []saga.Status
		var faults []error
		store := &unsure{meddler: meddler{Store: &durable.MemoryStore{}}, after: func() error { return errStore }}
		hooks := saga.Hooks{
			Status: func(_ context.Context, e saga.StatusEvent) { told = append(told, e.To) },
			Fault:  func(_ context.Context, f saga.FaultEvent) { faults = append(faults, f.Err) },
		}
		def := define("shop", say("a"))
		e := open(t, store, durable.Config{Hooks: hooks}, def)
		_, err := begin(t, e, def, "r1").Wait(bg)
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, []saga.Status{saga.Running, saga.Completed}, told)
		assert.Equal(t, []error{errStore}, faults)
	})
}

// G30: texts of errors come back from a journal as they were, whatever is in them.
func TestG30_TextsOfAllKinds(t *testing.T) {
	for _, text := range []string{"two\nlines", "a\ttab", "\x01", "\x7f", "caf\u00e9", "\u2028", `"`, `\`, "<a>", "&", "~ |"} {
		t.Run(strconv.Quote(text), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &durable.MemoryStore{}
				def := define("shop", fails("a", errors.New(text)))
				e := open(t, store, durable.Config{}, def)
				begin(t, e, def, "r1")
				synctest.Wait()
				require.NoError(t, e.Close(bg))
				e = open(t, store, durable.Config{}, def)
				_, err := begin(t, e, def, "r1").Wait(bg)
				require.EqualError(t, err, "saga: shop/r1: a: "+text+" (compensated)")
			})
		})
	}
}

// G37: a signal to a run that this engine executes ends no attempt, and keeps no lease.
func TestG37_SignalToWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &lasts{}
		def := define("shop", w.step("a", 8*time.Second), approval("ok", 0))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		until := head(t, e, "r1").LeaseUntil
		time.Sleep(5 * time.Second)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		synctest.Wait()
		assert.Equal(t, until, head(t, e, "r1").LeaseUntil)
		_, err := run.Wait(bg)
		require.NoError(t, err)
		causes, _ := w.ended()
		assert.Empty(t, causes)
		assert.Len(t, w.called(), 1)
		assert.False(t, slices.ContainsFunc(story(t, e, "r1"), func(line string) bool { return line == "interrupted a 1" }))
	})
}

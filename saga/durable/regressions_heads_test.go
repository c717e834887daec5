package durable_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// fewAndMany are numbers of failures that a journal tells of, and of which the head
// alone does.
var fewAndMany = []int{10, 100}

// interruptions is how many attempts a process left behind.
func interruptions(rec *durable.Record) (n int) {
	for _, ev := range rec.Events {
		if ev.Kind == "interrupted" {
			n++
		}
	}
	return n
}

// G6, G27, G44: a signal for a later step does not make the next attempt come early, and
// nor does it make it come late.
func TestG44_SignalIsNoRetry(t *testing.T) {
	for _, n := range fewAndMany {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				def := define("checkout", saga.Step[order]{Name: "a", Retry: everySecond, Do: func(context.Context, *order) error {
					l.add("do a")
					return errLost
				}}, approval("ok", 0))
				e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
				launch(t, e, def)
				time.Sleep(time.Duration(n)*time.Second - 500*time.Millisecond)
				require.Len(t, l.all(), n)
				require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
				time.Sleep(499 * time.Millisecond)
				assert.Len(t, l.all(), n, "not before its time")
				time.Sleep(2 * time.Millisecond)
				assert.Len(t, l.all(), n+1, "nor after it")
				seal(t, e)
			})
		})
	}
}

// G39, G44: a run that waits for another attempt can be resumed, also after a crash.
func TestG44_ResumeAfterACrash(t *testing.T) {
	for _, n := range fewAndMany {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &durable.MemoryStore{}
				mortal := &spy{MemoryStore: store}
				l, s := &ledger{}, &stubborn{fails: 1000, err: errLost}
				def := define("checkout", saga.Step[order]{Name: "a", Retry: everySecond, Do: deadly(func(ctx context.Context, o *order) error {
					l.add("do a")
					return s.attempt(ctx, o)
				}, n)})
				e := ignite(t, mortal, durable.Config{}, def)
				launch(t, e, def)
				time.Sleep(time.Duration(n)*time.Second - 500*time.Millisecond)
				mortal.kill(t, e)
				e = ignite(t, store, durable.Config{}, def)
				time.Sleep(60 * time.Second)
				got := len(l.all())
				require.Greater(t, got, n+10)
				require.Equal(t, saga.Waiting, seen(t, e, "r1").Head.Status)
				require.NoError(t, e.Resume(bg, "r1", ann))
				time.Sleep(time.Millisecond)
				seal(t, e)
				assert.Equal(t, upTo(got+1), s.numbers, "at once")
			})
		})
	}
}

// G8, G39, G44: a run whose step was only ever rejected is aborted without an Undo of it,
// and nothing counts as a crash.
func TestG44_AbortOfWhatWasRejected(t *testing.T) {
	for _, n := range fewAndMany {
		for _, crashes := range []int{0, 1} {
			t.Run(fmt.Sprint(n, " ", crashes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, s := &ledger{}, &stubborn{fails: 1000, err: saga.RetryAfter(errRefused, 0)}
					a := l.step("a")
					a.Do, a.Retry = s.attempt, everySecond
					def := define("checkout", a)
					e := ignite(t, &durable.MemoryStore{}, durable.Config{MaxCrashes: crashes}, def)
					run := launch(t, e, def)
					time.Sleep(time.Duration(n)*time.Second - 500*time.Millisecond)
					require.NoError(t, e.Abort(bg, "r1", ann))
					_, err := run.Wait(bg)
					require.Error(t, err)
					rec := seen(t, e, "r1")
					assert.Equal(t, saga.Compensated, rec.Head.Status)
					assert.Empty(t, l.all())
					assert.Zero(t, interruptions(rec))
					assert.NoError(t, sagatest.CheckLaw(def.Plan(), rec))
					seal(t, e)
				})
			})
		}
	}
}

// G7, G35, G42, G44: a Close between attempts, which follow one another without a wait, is
// no crash.
func TestG44_CloseIsNoCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, n := &durable.MemoryStore{}, 0
		def := define("checkout", saga.Step[order]{
			Name: "a", Retry: saga.Retry{Attempts: -1, Wait: -1},
			Do: slowly(func(context.Context, *order) error { n++; return errLost }),
		})
		e := ignite(t, store, durable.Config{}, def)
		launch(t, e, def)
		for range 5 {
			time.Sleep(100500 * time.Millisecond)
			e = restarted(t, e, store, def)
		}
		time.Sleep(100500 * time.Millisecond)
		rec := seen(t, e, "r1")
		assert.Equal(t, saga.Running, rec.Head.Status, rec.Head.Reason.String())
		assert.Zero(t, interruptions(rec))
		seal(t, e)
		assert.GreaterOrEqual(t, n, 600)
	})
}

// G35, G44: crashes are in a row only if no attempt between them came to its end.
func TestG44_CrashesInARow(t *testing.T) {
	for _, base := range fewAndMany {
		for _, between := range []int{0, 10} {
			t.Run(fmt.Sprint(base, " ", between), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					store := &durable.MemoryStore{}
					s, dies := &stubborn{fails: 1000, err: errLost}, map[int]bool{}
					for i := range 4 {
						dies[base+i*(between+1)] = true
					}
					def := define("checkout", saga.Step[order]{Name: "a", Retry: everySecond, Do: func(ctx context.Context, o *order) error {
						if err := s.attempt(ctx, o); !dies[len(s.numbers)] {
							return err
						}
						<-ctx.Done()
						return context.Cause(ctx)
					}})
					for range 4 {
						mortal := &spy{MemoryStore: store}
						e := ignite(t, mortal, durable.Config{}, def)
						launch(t, e, def)
						time.Sleep(150 * time.Second)
						mortal.kill(t, e)
					}
					e := ignite(t, store, durable.Config{}, def)
					time.Sleep(60 * time.Second)
					h := seen(t, e, "r1").Head
					seal(t, e)
					if between == 0 {
						assert.Equal(t, saga.ReasonCrashLoop, h.Reason)
					} else {
						assert.Equal(t, saga.Waiting, h.Status, h.Reason.String())
						assert.Greater(t, len(s.numbers), base+3*(between+1))
					}
				})
			})
		}
	}
}

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

// stubborn is a step whose Do, or Undo, fails so many times. It keeps the numbers of its
// attempts.
type stubborn struct {
	fails   int
	err     error
	numbers []int
	once    map[int]error // other answers, by number
}

func (s *stubborn) attempt(ctx context.Context, _ *order) error {
	s.numbers = append(s.numbers, saga.Info(ctx).Attempt)
	if err, ok := s.once[len(s.numbers)]; ok {
		return err
	}
	if len(s.numbers) <= s.fails {
		return s.err
	}
	return nil
}

// upTo are the numbers from 1 on.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i + 1
	}
	return all
}

var everySecond = saga.Retry{Attempts: -1, Wait: time.Second, Factor: 1, NoJitter: true}

// restarted closes an engine and opens another one.
func restarted(t *testing.T, e *durable.Engine, store durable.Store, def *saga.Saga[order]) *durable.Engine {
	t.Helper()
	seal(t, e)
	return ignite(t, store, durable.Config{}, def)
}

// G44: a journal stops to grow while a step fails, whatever the failure; numbers of
// attempts go on, over restarts too, and each comes at its time.
func TestG44_Bounded(t *testing.T) {
	for name, err := range map[string]error{"unknown": errLost, "rejected": saga.RetryAfter(errRefused, 0)} {
		for _, undo := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", undo), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &ledger{}
					s := &stubborn{fails: 149, err: err}
					a, b := l.step("a"), l.step("b")
					want := saga.Completed
					if undo {
						a.Undo, a.UndoRetry, b = s.attempt, everySecond, l.step("b", errRefused)
						want = saga.Compensated
					} else {
						a.Do, a.Retry = s.attempt, everySecond
					}
					def := saga.MustNew("checkout", []saga.Step[order]{within("in", saga.MustNew("in", []saga.Step[order]{a})), b})
					store := &durable.MemoryStore{}
					e := ignite(t, store, durable.Config{}, def)
					began := time.Now()
					launch(t, e, def)
					for range 4 {
						time.Sleep(30*time.Second - 1)
						e = restarted(t, e, store, def)
						time.Sleep(time.Nanosecond)
						synctest.Wait()
					}
					assert.Less(t, len(seen(t, e, "r1").Events), 148)
					_, _ = launch(t, e, def).Wait(bg)
					assert.Equal(t, 149*time.Second, time.Since(began).Truncate(time.Second))
					rec := seen(t, e, "r1")
					assert.Equal(t, want, rec.Head.Status)
					assert.Equal(t, upTo(150), s.numbers)
					assert.Less(t, len(rec.Events), 148)
					assert.NoError(t, sagatest.CheckLaw(def.Plan(), rec))
					seal(t, e)
				})
			})
		}
	}
}

// G6, G44: also attempts of which only the head tells are counted.
func TestG44_Counted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stubborn{fails: 1000, err: errLost}
		retry := everySecond
		retry.Attempts = 150
		def := define("checkout", saga.Step[order]{Name: "a", Do: s.attempt, Retry: retry})
		store := &durable.MemoryStore{}
		e := ignite(t, store, durable.Config{}, def)
		launch(t, e, def)
		time.Sleep(100500 * time.Millisecond)
		e = restarted(t, e, store, def)
		_, err := launch(t, e, def).Wait(bg)
		require.EqualError(t, err, "saga: checkout/r1: a: "+errLost.Error()+" (compensated)")
		assert.Equal(t, upTo(150), s.numbers)
		seal(t, e)
	})
}

// G8, G33, G44: a process that ends within an attempt of which only the head tells leaves
// the step tainted, though no attempt before it had, and what follows is counted on.
func TestG44_InFlight(t *testing.T) {
	for _, abort := range []bool{false, true} {
		t.Run(fmt.Sprint(abort), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				store := &durable.MemoryStore{}
				first := &spy{MemoryStore: store}
				s := &stubborn{fails: 1000, err: saga.RetryAfter(errRefused, 0)}
				a := l.step("a")
				a.Do, a.Retry = deadly(s.attempt, 100), everySecond
				def := define("checkout", a)
				e := ignite(t, first, durable.Config{}, def)
				launch(t, e, def)
				time.Sleep(99500 * time.Millisecond)
				first.kill(t, e)
				require.Len(t, s.numbers, 100)
				e = ignite(t, store, durable.Config{}, def) // which has to wait for the lease
				want := 150
				if abort {
					require.NoError(t, e.Abort(bg, "r1", ann))
					want = 100
				}
				s.once = map[int]error{150: errRefused}
				_, err := launch(t, e, def).Wait(bg)
				require.Error(t, err)
				assert.Equal(t, []string{"undo a"}, l.all())
				assert.Equal(t, saga.Compensated, seen(t, e, "r1").Head.Status)
				assert.Equal(t, upTo(want), s.numbers)
				seal(t, e)
			})
		})
	}
}

// G34, G44: the same within a compensation.
func TestG44_UndoInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		store := &durable.MemoryStore{}
		first := &spy{MemoryStore: store}
		s := &stubborn{fails: 149, err: errLost}
		a := l.step("a")
		a.Undo, a.UndoRetry = deadly(s.attempt, 100), everySecond
		def := define("checkout", a, l.step("b", errRefused))
		e := ignite(t, first, durable.Config{}, def)
		launch(t, e, def)
		time.Sleep(99500 * time.Millisecond)
		first.kill(t, e)
		require.Len(t, s.numbers, 100)
		e = ignite(t, store, durable.Config{}, def)
		_, err := launch(t, e, def).Wait(bg)
		require.Error(t, err)
		rec := seen(t, e, "r1")
		assert.Equal(t, saga.Compensated, rec.Head.Status)
		assert.Equal(t, upTo(150), s.numbers)
		assert.Less(t, len(rec.Events), 148)
		assert.NoError(t, sagatest.CheckLaw(def.Plan(), rec))
		seal(t, e)
	})
}

// G8, G11, G44: what is new about a failure is recorded, however many there were: that
// the step may be applied, and what was written.
func TestG44_News(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		s := &stubborn{fails: 1000, err: saga.RetryAfter(errRefused, 0), once: map[int]error{100: errLost, 150: errRefused}}
		a := l.step("a")
		a.Retry = everySecond
		a.Do = func(ctx context.Context, o *order) error {
			err := s.attempt(ctx, o)
			if len(s.numbers) == 120 {
				o.N = 7
			}
			return err
		}
		def := define("checkout", a)
		e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
		o, err := launch(t, e, def).Wait(bg)
		require.Error(t, err)
		assert.Equal(t, 8, o.N, "Undo adds one")
		assert.Equal(t, []string{"undo a"}, l.all())
		assert.Equal(t, upTo(150), s.numbers)
		assert.Less(t, len(seen(t, e, "r1").Events), 148)
		seal(t, e)
	})
}

// G9, G44: nor does a journal grow by what Probe says again and again.
func TestG44_Probed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		s, asked := &stubborn{fails: 149, err: errLost}, 0
		p := saga.Step[order]{Name: "p", Pivot: true, Do: s.attempt, Retry: everySecond, Probe: func(context.Context, *order) (saga.Outcome, error) {
			asked++
			return saga.Rejected, nil
		}}
		def := define("checkout", l.step("a"), p)
		e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
		_, err := launch(t, e, def).Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, upTo(150), s.numbers)
		assert.Equal(t, 149, asked)
		assert.Less(t, len(seen(t, e, "r1").Events), 64*3+10)
		seal(t, e)
	})
}

// G39, G44: an operator who resumes a run gives its step attempts that are recorded again,
// with numbers that go on.
func TestG44_Resumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stubborn{fails: 249, err: errLost}
		retry := everySecond
		retry.Attempts = 130
		def := define("checkout", saga.Step[order]{Name: "a", Do: s.attempt, Retry: retry})
		e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
		launch(t, e, def)
		time.Sleep(119500 * time.Millisecond)
		require.NoError(t, e.Resume(bg, "r1", ann))
		_, err := launch(t, e, def).Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, upTo(250), s.numbers)
		assert.Less(t, len(seen(t, e, "r1").Events), 2*148)
		seal(t, e)
	})
}

// G10, G44: children that fail at the same time keep their numbers, of which a head could
// tell only one.
func TestG44_Children(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := &stubborn{fails: 99, err: errLost}, &stubborn{fails: 99, err: errLost}
		child := func(name string, s *stubborn) saga.Step[order] {
			return saga.Step[order]{Name: name, Do: s.attempt, Retry: everySecond, Merge: saga.NoMerge[order]}
		}
		def := saga.MustNewWith(saga.Spec[order]{
			Name: "checkout", Clone: wound, Steps: []saga.Step[order]{{Name: "g", Parallel: []saga.Step[order]{child("x", x), child("y", y)}}},
		})
		store := &durable.MemoryStore{}
		e := ignite(t, store, durable.Config{}, def)
		launch(t, e, def)
		time.Sleep(90500 * time.Millisecond)
		e = restarted(t, e, store, def)
		_, err := launch(t, e, def).Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, upTo(100), x.numbers)
		assert.Equal(t, upTo(100), y.numbers)
		seal(t, e)
	})
}

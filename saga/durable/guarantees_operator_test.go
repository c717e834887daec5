package durable_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// verbs are what operators can do to a run.
func verbs(e *durable.Engine) map[string]func(ctx context.Context, id string, note durable.Note) error {
	return map[string]func(context.Context, string, durable.Note) error{
		"resume": e.Resume, "abort": e.Abort, "abandon": e.Abandon,
		"skip": func(ctx context.Context, id string, note durable.Note) error { return e.Skip(ctx, id, "a", note) },
	}
}

// Which verb is for which run: the others get ErrConflict, and change nothing.
func TestG39_WhichVerbsAreFit(t *testing.T) {
	fit := map[string][]saga.Status{
		"resume":  {saga.Stuck},
		"skip":    {saga.Stuck},
		"abort":   {saga.Running, saga.Waiting, saga.Compensating, saga.Stuck},
		"abandon": {saga.Stuck},
	}
	idle := map[string][]saga.Status{"abort": {saga.Compensating, saga.Stuck}} // it goes back already
	for verb, statuses := range fit {
		for status, def := range destinies() {
			t.Run(verb+" "+status.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
					destined(t, e, def, status)
					before, err := e.Get(bg, "r1")
					require.NoError(t, err)
					err = verbs(e)[verb](bg, "r1", ann)
					after, failed := e.Get(bg, "r1")
					require.NoError(t, failed)
					switch {
					case !contains(statuses, status):
						require.ErrorIs(t, err, durable.ErrConflict)
						assert.Equal(t, before, after)
					case contains(idle[verb], status):
						require.NoError(t, err)
						assert.Equal(t, before, after)
					default:
						require.NoError(t, err)
						said := after.Events[len(before.Events)]
						assert.Equal(t, "operator", said.Kind)
						assert.Equal(t, ann, durable.Note{By: said.By, Why: said.Why})
					}
					shut(t, e)
				})
			})
		}
	}
}

func contains(all []saga.Status, s saga.Status) bool {
	for _, one := range all {
		if one == s {
			return true
		}
	}
	return false
}

func TestG39_NoteIsRequired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := destinies()[saga.Stuck]
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		destined(t, e, def, saga.Stuck)
		before := story(t, e, "r1")
		for name, verb := range verbs(e) {
			for _, note := range []durable.Note{{}, {By: "ann"}, {Why: "so"}} {
				err := verb(bg, "r1", note)
				require.Error(t, err, name)
				require.NotErrorIs(t, err, durable.ErrConflict)
			}
			require.ErrorIs(t, verb(bg, "r2", ann), durable.ErrNotFound, name)
		}
		assert.Equal(t, before, story(t, e, "r1"))
	})
}

// Resume of a run that waits for another attempt is for the impatient.
func TestG39_ResumeTriesAtOnce(t *testing.T) {
	patient := saga.Retry{Attempts: 3, Wait: time.Hour, MaxWait: -1, Factor: 1, NoJitter: true}
	for name, c := range map[string]struct {
		def  *saga.Saga[order]
		want string
	}{
		"an action": {define("shop", saga.Step[order]{Name: "a", Do: act("do a", errDown, errDown), Retry: patient}), ""},
		"a compensation": {
			define("shop", saga.Step[order]{Name: "a", Do: act("do a"), Undo: act("undo a", errOnUndo, errOnUndo), UndoRetry: patient}, fails("b", errDown)),
			"saga: shop/r1: b: down (compensated)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := c.def
				store := &durable.MemoryStore{}
				e := open(t, store, durable.Config{}, def)
				run := begin(t, e, def, "r1")
				time.Sleep(time.Minute)
				begun := time.Now()
				require.NoError(t, e.Resume(bg, "r1", ann))
				synctest.Wait()
				require.NoError(t, e.Resume(bg, "r1", ann))
				_, err := run.Wait(bg)
				if c.want == "" {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, c.want)
				}
				assert.Zero(t, time.Since(begun))
			})
		})
	}
}

// What waits for an instant, or a signal, waits for no attempt: it is not for
// operators to shorten, and must not begin again either.
func TestG39_ResumeIsNotForOtherWaits(t *testing.T) {
	for name, step := range map[string]saga.Step[order]{
		"sleep":            saga.Sleep(saga.Step[order]{Name: "s"}, time.Hour),
		"await":            approval("s", 0),
		"await for a time": approval("s", time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := define("shop", say("a"), step)
				e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
				begin(t, e, def, "r1")
				begun := time.Now()
				time.Sleep(time.Minute)
				require.ErrorIs(t, e.Resume(bg, "r1", ann), durable.ErrConflict)
				time.Sleep(time.Hour - time.Since(begun))
				synctest.Wait()
				assert.Equal(t, name == "await", !head(t, e, "r1").Status.Ended(), story(t, e, "r1"))
			})
		})
	}
	t.Run("delay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			def := define("shop", say("a"))
			e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
			_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: time.Hour}, order{})
			require.NoError(t, err)
			require.ErrorIs(t, e.Resume(bg, "r1", ann), durable.ErrConflict)
		})
	})
}

// Nor is it for an attempt that is under way already.
func TestG39_ResumeIsNotForAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := held("b", nil)
		do := step.Do
		step.Do = func(ctx context.Context, o *order) error {
			if saga.Info(ctx).Attempt == 1 {
				return errDown
			}
			return do(ctx, o)
		}
		def := define("shop", say("a"), step)
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		begin(t, e, def, "r1")
		time.Sleep(time.Minute)
		require.Equal(t, "started b 2", story(t, e, "r1")[len(story(t, e, "r1"))-1])
		require.ErrorIs(t, e.Resume(bg, "r1", ann), durable.ErrConflict)
		shut(t, e)
	})
}

// What Skip and Abort say of a run that is stuck, by why it is.
func TestG39_StuckGoesOn(t *testing.T) {
	pivot := func(errs ...error) saga.Step[order] {
		return saga.Step[order]{Name: "p", Do: act("do p", errs...), Pivot: true, Retry: saga.Retry{Attempts: 1}}
	}
	noUndo := func(s saga.Step[order]) saga.Step[order] { s.Undo = nil; return s }
	unknown := func() *saga.Saga[order] { return define("shop", say("a"), pivot(errDown), noUndo(say("z"))) }
	forward := func() *saga.Saga[order] {
		return define("shop", say("a"), pivot(), saga.Step[order]{Name: "y", Do: act("do y", saga.Reject(errDown))}, noUndo(say("z")))
	}
	undo := func() *saga.Saga[order] {
		n := 0
		return define("shop", say("a"), sticky("b", func() bool { n++; return n == 1 }), fails("c", errDown))
	}
	skip := func(step string) func(*durable.Engine) error {
		return func(e *durable.Engine) error { return e.Skip(bg, "r1", step, ann) }
	}
	resume := func(e *durable.Engine) error { return e.Resume(bg, "r1", ann) }
	abort := func(e *durable.Engine) error { return e.Abort(bg, "r1", ann) }
	for name, c := range map[string]struct {
		def    *saga.Saga[order]
		reason saga.Reason
		do     func(*durable.Engine) error
		want   error
		status saga.Status
		log    []string
	}{
		"pivot unknown, resume": {unknown(), saga.ReasonPivotUnknown, resume, nil, saga.Completed, []string{"do a", "do p", "do p", "do z"}},
		"pivot unknown, skip":   {unknown(), saga.ReasonPivotUnknown, skip("p"), nil, saga.Completed, []string{"do a", "do p", "do z"}},
		"pivot unknown, abort":  {unknown(), saga.ReasonPivotUnknown, abort, nil, saga.Compensated, []string{"do a", "do p", "undo a"}},
		"pivot, skip another":   {unknown(), saga.ReasonPivotUnknown, skip("a"), durable.ErrConflict, saga.Stuck, []string{"do a", "do p"}},
		"forward, resume":       {forward(), saga.ReasonForwardFailed, resume, nil, saga.Completed, []string{"do a", "do p", "do y", "do y", "do z"}},
		"forward, skip":         {forward(), saga.ReasonForwardFailed, skip("y"), nil, saga.Completed, []string{"do a", "do p", "do y", "do z"}},
		"forward, abort":        {forward(), saga.ReasonForwardFailed, abort, durable.ErrConflict, saga.Stuck, []string{"do a", "do p", "do y"}},
		"undo, resume":          {undo(), saga.ReasonUndoFailed, resume, nil, saga.Compensated, []string{"do a", "do b", "undo b", "undo a"}},
		"undo, skip":            {undo(), saga.ReasonUndoFailed, skip("b"), nil, saga.Compensated, []string{"do a", "do b", "undo a"}},
		"undo, skip another":    {undo(), saga.ReasonUndoFailed, skip("a"), durable.ErrConflict, saga.Stuck, []string{"do a", "do b"}},
		"undo, skip the cause":  {undo(), saga.ReasonUndoFailed, skip("c"), durable.ErrConflict, saga.Stuck, []string{"do a", "do b"}},
		"undo, skip nothing":    {undo(), saga.ReasonUndoFailed, skip("nix"), durable.ErrConflict, saga.Stuck, []string{"do a", "do b"}},
		"undo, abort":           {undo(), saga.ReasonUndoFailed, abort, nil, saga.Stuck, []string{"do a", "do b"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := open(t, &durable.MemoryStore{}, durable.Config{}, c.def)
				run := begin(t, e, c.def, "r1")
				synctest.Wait()
				h := head(t, e, "r1")
				require.Equal(t, saga.Stuck, h.Status)
				require.Equal(t, c.reason, h.Reason)
				require.True(t, h.WakeAt.IsZero())
				require.Empty(t, h.Owner)
				require.ErrorIs(t, c.do(e), c.want)
				end, err := run.Wait(bg)
				assert.Equal(t, c.log, end.Log)
				h = head(t, e, "r1")
				assert.Equal(t, c.status, h.Status)
				switch c.status {
				case saga.Completed:
					require.NoError(t, err)
				case saga.Stuck:
					require.ErrorIs(t, err, saga.ErrStuck)
				default:
					require.Error(t, err)
				}
				assert.Equal(t, c.status == saga.Stuck, h.Reason != saga.ReasonNone)
			})
		})
	}
}

func TestS11_KeepUndoing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := saga.MustNewWith(saga.Spec[order]{Name: "shop", KeepUndoing: true, Steps: []saga.Step[order]{say("1"), sticky("2", always), say("3"), fails("4", errDown)}})
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		end, err := run.Wait(bg)
		require.ErrorIs(t, err, saga.ErrStuck)
		require.ErrorIs(t, err, errDown)
		assert.Equal(t, []string{"do 1", "do 2", "do 3", "undo 3", "undo 1"}, end.Log)
		var failed *saga.Error
		require.ErrorAs(t, err, &failed)
		require.Len(t, failed.Undo, 1)
		assert.Equal(t, "2", failed.Undo[0].Step)

		require.NoError(t, e.Skip(bg, "r1", "2", ann))
		end, err = run.Wait(bg)
		require.EqualError(t, err, "saga: shop/r1: 4: down (compensated)")
		assert.Equal(t, []string{"do 1", "do 2", "do 3", "undo 3", "undo 1"}, end.Log)
		rec, err := e.Get(bg, "r1")
		require.NoError(t, err)
		said := rec.Events[len(rec.Events)-2]
		assert.Equal(t, "operator", said.Kind)
		assert.Equal(t, "2", said.Step)
		assert.Equal(t, ann, durable.Note{By: said.By, Why: said.Why})
	})
}

// Resume has a compensation that failed tried again as often as one likes, with
// fresh attempts, and the run can still end compensated.
func TestG39_ResumeWithFreshAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		a := say("a")
		a.UndoRetry = saga.Retry{Attempts: 2, Wait: time.Second, NoJitter: true}
		a.Undo = func(ctx context.Context, o *order) error {
			if tries++; tries < 6 {
				return errOnUndo
			}
			return act("undo a")(ctx, o)
		}
		def := define("shop", a, fails("b", errDown))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		for i := range 2 {
			_, err := run.Wait(bg)
			require.ErrorIs(t, err, saga.ErrStuck)
			assert.Equal(t, 2*(i+1), tries)
			var failed *saga.Error
			require.ErrorAs(t, err, &failed)
			require.Len(t, failed.Undo, 1)
			assert.Equal(t, tries, failed.Undo[0].Attempts, "numbers are never used twice")
			require.NoError(t, e.Resume(bg, "r1", ann))
		}
		_, err := run.Wait(bg)
		require.EqualError(t, err, "saga: shop/r1: b: down (compensated)")
		assert.Equal(t, 6, tries)
	})
}

// Of operators that are quick together each verb counts once.
func TestG37_OperatorsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := destinies()[saga.Stuck]
		store := &durable.MemoryStore{}
		e, other := open(t, store, durable.Config{}, def), open(t, store, durable.Config{}, def)
		destined(t, e, def, saga.Stuck)
		const n = 16
		errs := make(chan error, n)
		for i := range n {
			by := []*durable.Engine{e, other}[i%2]
			go func() { errs <- by.Abandon(bg, "r1", durable.Note{By: fmt.Sprint(i), Why: "enough"}) }()
		}
		won := 0
		for range n {
			if err := <-errs; err == nil {
				won++
			} else {
				require.ErrorIs(t, err, durable.ErrConflict)
			}
		}
		assert.Equal(t, 1, won)
	})
}

// What an operator says is durable, or it was not said.
func TestG39_StoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := destinies()[saga.Stuck]
		store := &meddler{Store: &durable.MemoryStore{}}
		e := open(t, store, durable.Config{}, def)
		destined(t, e, def, saga.Stuck)
		before := story(t, e, "r1")
		store.append.is(func() error { return errStore })
		require.ErrorIs(t, e.Abandon(bg, "r1", ann), errStore)
		store.append.is(nil)
		store.load.is(func() error { return errStore })
		require.ErrorIs(t, e.Abandon(bg, "r1", ann), errStore)
		store.load.is(nil)
		assert.Equal(t, before, story(t, e, "r1"))
		ctx, cancel := context.WithCancelCause(bg)
		cancel(errors.New("gone home"))
		require.ErrorContains(t, e.Abandon(ctx, "r1", ann), "gone home")
		assert.Equal(t, before, story(t, e, "r1"))
	})
}

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

// slowly is an action that takes a second, whatever its context says.
func slowly(do func(context.Context, *order) error) func(context.Context, *order) error {
	return func(ctx context.Context, o *order) error {
		time.Sleep(time.Second)
		return do(ctx, o)
	}
}

// asked is a Probe that always gives the same answer.
func asked(says saga.Outcome) func(context.Context, *order) (saga.Outcome, error) {
	return func(context.Context, *order) (saga.Outcome, error) { return says, nil }
}

// levels are a step at the top level, and within a saga within.
func levels() map[string]func(saga.Step[order]) saga.Step[order] {
	return map[string]func(saga.Step[order]) saga.Step[order]{
		"plain":  func(s saga.Step[order]) saga.Step[order] { return s },
		"within": func(s saga.Step[order]) saga.Step[order] { return within("in", define("in", s)) },
	}
}

// G8, G34, G39: an attempt that comes to its end though it was aborted counts as what it
// says, and the run goes back from there; Probe is not asked any more.
func TestG39_AbortBesideAnAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		says   error
		probe  func(context.Context, *order) (saga.Outcome, error)
		undone bool
	}{
		"applied":                {nil, nil, true},
		"applied, with a Probe":  {nil, asked(saga.Rejected), true},
		"rejected":               {errRefused, nil, false},
		"rejected, with a Probe": {errRefused, asked(saga.Applied), false},
		"again":                  {saga.RetryAfter(errRefused, time.Second), nil, false},
		"unknown":                {errLost, nil, true},
		"unknown, with a Probe":  {errLost, asked(saga.Rejected), true},
	} {
		for where, put := range levels() {
			t.Run(name+" "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &ledger{}
					b := saga.Step[order]{Name: "b", Do: slowly(l.fn("do b", c.says)), Undo: l.fn("undo b"), Probe: c.probe, Retry: everySecond}
					def := define("checkout", l.step("a"), put(b), saga.Step[order]{Name: "c", Do: l.fn("do c")})
					e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
					run := launch(t, e, def)
					time.Sleep(500 * time.Millisecond)
					require.NoError(t, e.Abort(bg, "r1", ann))
					_, err := run.Wait(bg)
					require.ErrorContains(t, err, ann.Why)
					rec := seen(t, e, "r1")
					assert.Equal(t, saga.Compensated, rec.Head.Status, rec.Head.Reason.String())
					want := []string{"do a", "do b", "undo b", "undo a"}
					if !c.undone {
						want = []string{"do a", "do b", "undo a"}
					}
					assert.Equal(t, want, l.all())
					assert.NoError(t, sagatest.CheckLaw(def.Plan(), rec))
					seal(t, e)
				})
			})
		}
	}
}

// G9, G20, G39: a pivot under way cannot be aborted, by whichever engine, and the run goes
// on as if nobody had asked.
func TestG39_AbortOfAPivotUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		says  error
		probe func(context.Context, *order) (saga.Outcome, error)
		want  []string
	}{
		"applied":                 {nil, nil, []string{"do a", "do p", "do c"}},
		"rejected":                {errRefused, nil, []string{"do a", "do p", "undo a"}},
		"again":                   {saga.RetryAfter(errRefused, time.Second), nil, []string{"do a", "do p", "do p", "do c"}},
		"unknown":                 {errLost, nil, []string{"do a", "do p", "do p", "do c"}},
		"applied, as Probe says":  {errLost, asked(saga.Applied), []string{"do a", "do p", "do c"}},
		"rejected, as Probe says": {errLost, asked(saga.Rejected), []string{"do a", "do p", "do p", "do c"}},
	} {
		for where, put := range levels() {
			for _, elsewhere := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " ", where, " ", elsewhere), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						l, store := &ledger{}, &durable.MemoryStore{}
						p := saga.Step[order]{Name: "p", Pivot: true, Do: slowly(l.fn("do p", c.says)), Probe: c.probe, Retry: everySecond}
						def := define("checkout", l.step("a"), put(p), saga.Step[order]{Name: "c", Do: l.fn("do c")})
						e := ignite(t, store, durable.Config{}, def)
						run := launch(t, e, def)
						by := e
						if elsewhere {
							by = ignite(t, store, durable.Config{}, def)
						}
						time.Sleep(500 * time.Millisecond)
						before := story(t, e, "r1")
						require.ErrorIs(t, by.Abort(bg, "r1", ann), durable.ErrConflict)
						assert.Equal(t, before, story(t, e, "r1"), "it is not recorded")
						_, err := run.Wait(bg)
						assert.Equal(t, name == "rejected", err != nil, "%v", err)
						assert.Equal(t, c.want, l.all())
						assert.NoError(t, sagatest.CheckLaw(def.Plan(), seen(t, e, "r1")))
						seal(t, e)
						seal(t, by)
					})
				})
			}
		}
	}
}

// G21, G39: a pivot that waits for another attempt is aborted if it had none that may have
// had an effect, and is not if there is doubt.
func TestG39_AbortOfAPivotThatWaits(t *testing.T) {
	for _, doubt := range []bool{false, true} {
		t.Run(fmt.Sprint(doubt), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, says := &ledger{}, saga.RetryAfter(errRefused, time.Minute)
				want := []string{"do a", "do p", "undo a"}
				if doubt {
					says, want = saga.RetryAfter(errLost, time.Minute), []string{"do a", "do p", "do p"}
				}
				p := saga.Step[order]{Name: "p", Pivot: true, Do: l.fn("do p", says), Retry: everySecond}
				def := define("checkout", l.step("a"), p)
				e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
				run := launch(t, e, def)
				time.Sleep(30 * time.Second)
				require.Equal(t, saga.Waiting, seen(t, e, "r1").Head.Status)
				if err := e.Abort(bg, "r1", ann); doubt {
					require.ErrorIs(t, err, durable.ErrConflict)
				} else {
					require.NoError(t, err)
				}
				_, err := run.Wait(bg)
				assert.Equal(t, !doubt, err != nil, "%v", err)
				assert.Equal(t, want, l.all())
				seal(t, e)
			})
		})
	}
}

// G11, G32, G35: what Do has written is there for Undo also if the owner notices an Abort
// of somebody else only as it writes the result, and no crash is counted.
func TestG11_ResultBesideAnAbort(t *testing.T) {
	for _, crashes := range []int{1, 0} {
		t.Run(fmt.Sprint(crashes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, saw := &durable.MemoryStore{}, -1
				def := define("checkout", saga.Step[order]{
					Name: "a",
					Do: slowly(func(_ context.Context, o *order) error {
						o.N = 7 // as the number of a booking
						return nil
					}),
					Undo: func(_ context.Context, o *order) error { saw = o.N; return nil },
				}, say("b"))
				owner := ignite(t, store, durable.Config{MaxCrashes: crashes}, def)
				run := launch(t, owner, def)
				other := ignite(t, store, durable.Config{MaxCrashes: crashes}, def)
				time.Sleep(500 * time.Millisecond)
				require.NoError(t, other.Abort(bg, "r1", ann))
				_, err := run.Wait(bg)
				require.Error(t, err)
				rec := seen(t, owner, "r1")
				assert.Equal(t, saga.Compensated, rec.Head.Status, rec.Head.Reason.String())
				assert.Equal(t, 7, saw)
				for _, ev := range rec.Events {
					assert.NotEqual(t, "interrupted", ev.Kind)
				}
				seal(t, owner)
				seal(t, other)
			})
		})
	}
}

// G34, G37, G48: an Abort while the owner waits to write once more, after an error of the
// store, does not make it drop the run, not even if its lease never ends.
func TestG48_AbortBesideAnError(t *testing.T) {
	for _, lease := range []time.Duration{-1, 30 * time.Second} {
		t.Run(lease.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, m := &ledger{}, &meddler{Store: &durable.MemoryStore{}}
				a := l.step("a")
				a.Do = slowly(func(context.Context, *order) error {
					m.append.is(func() error { m.append.is(nil); return errStore })
					return nil
				})
				def := define("checkout", a, say("b"))
				e := ignite(t, m, durable.Config{Lease: lease}, def)
				run := launch(t, e, def)
				time.Sleep(1500 * time.Millisecond)
				require.NoError(t, e.Abort(bg, "r1", ann))
				ctx, cancel := context.WithTimeout(bg, 10*time.Second)
				defer cancel()
				_, err := run.Wait(ctx)
				require.ErrorContains(t, err, ann.Why)
				assert.Equal(t, []string{"undo a"}, l.all())
				assert.Equal(t, saga.Compensated, seen(t, e, "r1").Head.Status)
				seal(t, e)
			})
		})
	}
}

package durable_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// turns are hooks that note from where to where the status of a run goes, and why.
func (l *ledger) turns() saga.Hooks {
	return saga.Hooks{Status: func(_ context.Context, e saga.StatusEvent) {
		line := e.From.String() + " -> " + e.To.String()
		if e.Reason != saga.ReasonNone {
			line += ", " + e.Reason.String()
		}
		if e.Cause != nil && strings.Contains(e.Cause.Error(), ann.Why) {
			line += ", " + ann.By
		}
		l.add("%s", line)
	}}
}

// hopeless is a step whose compensation fails for good, a second after it began.
func hopeless(name string) saga.Step[order] {
	s := sticky(name, always)
	s.Undo = slowly(s.Undo)
	return s
}

// G38, G40, G45: that a run is stuck as its definition is another one, or its journal
// makes no sense, is told like any other change.
func TestG45_StatusOfAChangedDefinition(t *testing.T) {
	for name, c := range map[string]struct {
		then *saga.Saga[order]
		want string
	}{
		"definition": {define("checkout", say("b"), approval("ok", 0)), "running -> stuck, definition changed"},
		"state":      {saga.MustNewWith(saga.Spec[order]{Name: "checkout", Codec: illiterate{}, Steps: []saga.Step[order]{say("a"), approval("ok", 0)}}), "running -> stuck, journal unreadable"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, store := &ledger{}, &durable.MemoryStore{}
				old := define("checkout", say("a"), approval("ok", 0))
				e := ignite(t, store, durable.Config{}, old)
				launch(t, e, old)
				time.Sleep(time.Second)
				seal(t, e)
				e = ignite(t, store, durable.Config{Hooks: l.turns()}, c.then)
				require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
				time.Sleep(time.Second)
				require.Equal(t, saga.Stuck, seen(t, e, "r1").Head.Status)
				assert.Equal(t, []string{"waiting -> running", c.want}, l.all())
				seal(t, e)
			})
		})
	}
}

// G39, G45: what operators make of a run is told, with their note as the cause, and recorded
// with its verb.
func TestG45_StatusByOperators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		def := define("checkout", hopeless("a"), approval("ok", 0))
		e := ignite(t, &durable.MemoryStore{}, durable.Config{Hooks: l.turns()}, def)
		launch(t, e, def)
		for _, verb := range []func(context.Context, string, durable.Note) error{e.Abort, e.Resume, e.Abandon} {
			time.Sleep(time.Minute)
			require.NoError(t, verb(bg, "r1", ann))
		}
		time.Sleep(time.Second)
		assert.Equal(t, []string{
			"none -> running", "running -> waiting",
			"waiting -> compensating, ann", "compensating -> stuck, undo failed, ann",
			"stuck -> compensating, ann", "compensating -> stuck, undo failed, ann",
			"stuck -> abandoned, ann",
		}, l.all())
		var verbs []string
		for _, ev := range seen(t, e, "r1").Events {
			if ev.Kind == "operator" {
				verbs = append(verbs, ev.Verb+" by "+ev.By)
			}
		}
		assert.Equal(t, []string{"abort by ann", "resume by ann", "abandon by ann"}, verbs)
		seal(t, e)
	})
}

// G39, G45: the same of Skip.
func TestG45_StatusBySkip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		a := say("0")
		a.Undo = slowly(a.Undo)
		def := define("checkout", a, hopeless("a"), fails("b", errDown))
		e := ignite(t, &durable.MemoryStore{}, durable.Config{Hooks: l.turns()}, def)
		launch(t, e, def)
		time.Sleep(time.Minute)
		require.NoError(t, e.Skip(bg, "r1", "a", ann))
		time.Sleep(time.Minute)
		assert.Equal(t, []string{
			"none -> running", "running -> compensating", "compensating -> stuck, undo failed",
			"stuck -> compensating, ann", "compensating -> compensated",
		}, l.all())
		seal(t, e)
	})
}

// G45: the first status is told also of a run that got a signal, or was aborted, before it
// began.
func TestG45_StatusOfWhatHasNotBegun(t *testing.T) {
	for name, want := range map[string][]string{
		"signal": {"none -> running", "running -> completed"},
		"abort":  {"none -> compensating, ann", "compensating -> compensated, ann"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				def := define("checkout", say("a"), approval("ok", 0))
				e := ignite(t, &durable.MemoryStore{}, durable.Config{Hooks: l.turns()}, def)
				run, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: time.Minute}, order{})
				require.NoError(t, err)
				if name == "abort" {
					require.NoError(t, e.Abort(bg, "r1", ann))
				} else {
					require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
				}
				_, err = run.Wait(bg)
				assert.Equal(t, name == "abort", err != nil, "%v", err)
				synctest.Wait()
				assert.ElementsMatch(t, want, l.all()) // what an operator does may be told late
				seal(t, e)
			})
		})
	}
}

// G45: that a run goes on is told once, also if the store is out of order just then.
func TestG45_StatusBesideAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, m := &ledger{}, &meddler{Store: &durable.MemoryStore{}}
		def := define("checkout", say("a"), saga.Sleep(saga.Step[order]{Name: "s"}, time.Minute), say("b"))
		e := ignite(t, m, durable.Config{Hooks: l.turns()}, def)
		launch(t, e, def)
		time.Sleep(time.Second)
		m.load.is(func() error { return errStore })
		time.Sleep(5 * time.Minute)
		m.load.is(nil)
		time.Sleep(5 * time.Minute)
		require.Equal(t, saga.Completed, seen(t, e, "r1").Head.Status)
		assert.Equal(t, []string{"none -> running", "running -> waiting", "waiting -> running", "running -> completed"}, l.all())
		seal(t, e)
	})
}

// G45: hooks of children run at the same time, so that one may wait for another.
func TestG45_HooksOfChildren(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		both := make(chan struct{})
		hooks := saga.Hooks{StepDone: func(_ context.Context, e saga.StepEvent) {
			if n.Add(1) == 2 {
				close(both)
			}
			select {
			case <-both:
			case <-time.After(time.Hour):
				assert.Failf(t, "it is alone", "%s", e.Info.Step)
			}
		}}
		child := func(name string) saga.Step[order] {
			s := say(name)
			s.Merge = saga.NoMerge[order]
			return s
		}
		def := saga.MustNewWith(saga.Spec[order]{
			Name: "checkout", Clone: wound, Steps: []saga.Step[order]{{Name: "g", Parallel: []saga.Step[order]{child("x"), child("y")}}},
		})
		e := ignite(t, &durable.MemoryStore{}, durable.Config{Hooks: hooks}, def)
		_, err := launch(t, e, def).Wait(bg)
		require.NoError(t, err)
		seal(t, e)
	})
}

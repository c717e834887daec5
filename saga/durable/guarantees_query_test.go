package durable_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

func TestGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), approval("ok", time.Hour), saga.Step[order]{
			Name: "b", Do: act("do b", errDown, saga.Reject(errOnUndo)), Undo: act("undo b"), Retry: saga.Retry{Wait: time.Second, NoJitter: true},
		})
		e := open(t, &durable.MemoryStore{}, durable.Config{Name: "host"}, def)
		begun := time.Now().UTC()
		run, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Labels: map[string]string{"k": "v"}}, order{N: 1})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		rec, err := e.Get(bg, "r1")
		require.NoError(t, err)
		waits := rec.Events[len(rec.Events)-1]
		assert.Equal(t, "waiting", waits.Kind)
		assert.Equal(t, begun.Add(time.Hour), waits.Wake.UTC())
		assert.Equal(t, begun.Add(time.Hour), rec.Head.WakeAt.UTC())

		require.NoError(t, durable.SignalWith(bg, e, durable.SignalConfig{Run: "r1", Step: "ok", DedupID: "m1"}, "yes"))
		_, err = run.Wait(bg)
		require.Error(t, err)
		rec, err = e.Get(bg, "r1")
		require.NoError(t, err)
		var kinds []string
		last := begun
		for i, ev := range rec.Events {
			assert.Equal(t, i+1, ev.N)
			assert.False(t, ev.At.Before(last), "%v", ev)
			last = ev.At
			kinds = append(kinds, fmt.Sprint(ev.Kind, " ", ev.Step))
		}
		assert.Equal(t, []string{
			"created ", "started a", "done a", "waiting ok", "signal ok", "started ok", "done ok", "started b", "failed b", "started b", "failed b", "aborting b",
			"undo-started b", "undo-done b", "undo-started ok", "undo-done ok", "undo-started a", "undo-done a", "ended ",
		}, kinds)
		at := func(kind string) durable.Event {
			return rec.Events[slices.IndexFunc(rec.Events, func(ev durable.Event) bool { return ev.Kind == kind })]
		}
		assert.JSONEq(t, `{"Log":null,"N":1}`, string(at("created").Data))
		failed := at("failed")
		assert.Equal(t, []any{"down", true, saga.Unknown, 1, begun.Add(61 * time.Second)}, []any{failed.Err, failed.Tainted, failed.Outcome, failed.Attempt, failed.Wake.UTC()})
		assert.Equal(t, saga.Applied, at("done").Outcome)
		assert.Equal(t, "cannot be undone", at("aborting").Err)

		h := rec.Head
		assert.Equal(t, []any{"r1", "shop", def.Fingerprint(), saga.Compensated, saga.ReasonNone}, []any{h.ID, h.Saga, h.Fingerprint, h.Status, h.Reason})
		assert.Equal(t, map[string]string{"k": "v"}, h.Labels)
		assert.Equal(t, []time.Time{begun, begun.Add(61 * time.Second)}, []time.Time{h.CreatedAt.UTC(), h.UpdatedAt.UTC()})
		assert.Empty(t, h.Owner)
		assert.True(t, h.WakeAt.IsZero())

		rec.Events[0].Data[0], rec.Head.Labels["k"] = 'x', "x"
		again, err := e.Get(bg, "r1")
		require.NoError(t, err)
		assert.Equal(t, "v", again.Head.Labels["k"], "what was returned is the caller's")
		assert.JSONEq(t, `{"Log":null,"N":1}`, string(again.Events[0].Data))
	})
}

// Who executes a run is told by its name, and engines of one name are told apart.
func TestConfig_Name(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", held("a", nil))
		store := &durable.MemoryStore{}
		e, other := open(t, store, durable.Config{Name: "host"}, def), open(t, store, durable.Config{Name: "host"}, def)
		begin(t, e, def, "r1")
		begin(t, other, def, "r2")
		synctest.Wait()
		a, b := head(t, e, "r1").Owner, head(t, e, "r2").Owner
		assert.Regexp(t, "^host-", a)
		assert.Regexp(t, "^host-", b)
		assert.NotEqual(t, a, b)
		shut(t, e)
		shut(t, other)
	})
}

func TestList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop, bank := define("shop", say("a")), define("bank", approval("ok", 0))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, shop, bank)
		var first, second, red []string
		for i := range 250 {
			id := fmt.Sprintf("r%03d", i)
			def, color := shop, map[string]string{"color": "blue", "size": "s"}
			if i%5 == 0 {
				color["color"] = "red"
				red = append(red, id)
			}
			if i%2 == 1 {
				def = bank
				second = append(second, id)
			} else {
				first = append(first, id)
			}
			_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: id, Labels: color}, order{})
			require.NoError(t, err)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		all := slices.Sorted(slices.Values(append(slices.Clone(first), second...)))
		when := head(t, e, "r100").UpdatedAt
		for name, c := range map[string]struct {
			q    durable.Query
			want []string
		}{
			"all":               {durable.Query{}, all},
			"in small pages":    {durable.Query{Limit: 7}, all},
			"in one page":       {durable.Query{Limit: 1000}, all},
			"of a saga":         {durable.Query{Saga: "bank"}, second},
			"of no saga":        {durable.Query{Saga: "nix"}, nil},
			"that have ended":   {durable.Query{Status: []saga.Status{saga.Completed, saga.Compensated}}, first},
			"that wait":         {durable.Query{Status: []saga.Status{saga.Waiting}}, second},
			"with a label":      {durable.Query{Labels: map[string]string{"color": "red"}}, red},
			"with both":         {durable.Query{Labels: map[string]string{"color": "red", "size": "s"}}, red},
			"with another size": {durable.Query{Labels: map[string]string{"color": "red", "size": "xl"}}, nil},
			"of before":         {durable.Query{UpdatedBefore: when}, all[:100]},
			"all of it":         {durable.Query{Saga: "shop", UpdatedBefore: when, Status: []saga.Status{saga.Completed}, Limit: 3}, first[:50]},
		} {
			got := ids(t, e, c.q)
			slices.Sort(got)
			assert.Equal(t, c.want, got, name)
		}
	})
}

// Who has seen enough stops, and an error is the last thing that comes.
func TestList_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		pages := 0
		store := &meddler{Store: &durable.MemoryStore{}}
		store.list.is(func() error { pages++; return nil })
		e := open(t, store, durable.Config{}, def)
		for i := range 30 {
			begin(t, e, def, fmt.Sprint(i))
		}
		synctest.Wait()
		pages = 0
		seen := 0
		for _, err := range e.List(bg, durable.Query{Limit: 10}) {
			require.NoError(t, err)
			if seen++; seen == 10 {
				break
			}
		}
		assert.Equal(t, 1, pages, "no page is asked for in vain")

		store.list.is(func() error {
			if pages++; pages > 3 {
				return errStore
			}
			return nil
		})
		pages, seen = 1, 0
		var errs []error
		for h, err := range e.List(bg, durable.Query{Limit: 10}) {
			if err != nil {
				errs = append(errs, err)
				assert.Zero(t, h)
				continue
			}
			seen++
		}
		assert.Equal(t, 20, seen)
		require.Len(t, errs, 1)
		require.ErrorIs(t, errs[0], errStore)

		store.list.is(nil)
		ctx, cancel := context.WithCancelCause(bg)
		cancel(errDown)
		for _, err := range e.List(ctx, durable.Query{}) {
			require.ErrorIs(t, err, errDown)
		}
	})
}

func TestSweep(t *testing.T) {
	for name, c := range map[string]struct {
		retain, wait time.Duration
		want         int
	}{
		"not yet":           {time.Minute, time.Minute - 1, 0},
		"long enough":       {time.Minute, time.Minute + 1, 3},
		"by default":        {0, 7*24*time.Hour + 1, 3},
		"not yet, either":   {0, 7*24*time.Hour - 1, 0},
		"kept for ever":     {-1, 1000 * time.Hour, 0},
		"for a moment only": {1, 2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &durable.MemoryStore{}
				var defs []*saga.Saga[order]
				for status := range destinies() {
					defs = append(defs, define(status.String(), stepsOf(status)...))
				}
				e := open(t, store, durable.Config{Retain: c.retain, StepTimeout: -1, Lease: -1}, defs...)
				for _, def := range defs {
					begin(t, e, def, def.Name())
				}
				synctest.Wait()
				require.NoError(t, e.Abandon(bg, saga.Abandoned.String(), ann))
				synctest.Wait()
				time.Sleep(c.wait)
				deleted, err := e.Sweep(bg)
				require.NoError(t, err)
				assert.Equal(t, c.want, deleted)
				left := ids(t, e, durable.Query{})
				for _, alive := range []saga.Status{saga.Running, saga.Compensating, saga.Stuck} {
					assert.Contains(t, left, alive.String())
				}
				shut(t, e)
			})
		})
	}
}

// An engine sweeps by itself, at least once an hour.
func TestSweep_ByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{Retain: 24 * time.Hour}, def)
		time.Sleep(90 * time.Minute)
		begin(t, e, def, "r1")
		time.Sleep(24*time.Hour - 1)
		require.Equal(t, []string{"r1"}, ids(t, e, durable.Query{}), "not early")
		time.Sleep(time.Hour + 1)
		assert.Empty(t, ids(t, e, durable.Query{}))
	})
}

// The ID is free again when the run was deleted, and stuck runs never are.
func TestG31_AsLongAsItIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		def := define("shop", saga.Step[order]{Name: "a", Do: func(context.Context, *order) error { n++; return nil }})
		stuck := define("stuck", stepsOf(saga.Stuck)...)
		e := open(t, &durable.MemoryStore{}, durable.Config{Retain: time.Hour}, def, stuck)
		begin(t, e, stuck, "s")
		begin(t, e, def, "r1")
		time.Sleep(30 * time.Minute)
		begin(t, e, def, "r1")
		synctest.Wait()
		assert.Equal(t, 1, n)
		time.Sleep(365 * 24 * time.Hour)
		begin(t, e, def, "r1")
		synctest.Wait()
		assert.Equal(t, 2, n)
		assert.Equal(t, saga.Stuck, head(t, e, "s").Status)
	})
}

// What somebody else changes or deletes meanwhile is left to him.
func TestSweep_Races(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		store := &meddler{Store: &durable.MemoryStore{}}
		e := open(t, store, durable.Config{Retain: 1}, def)
		for i := range 3 {
			begin(t, e, def, fmt.Sprint(i))
		}
		time.Sleep(time.Minute)
		says := []error{durable.ErrConflict, durable.ErrNotFound, errStore}
		store.remove.is(func() error {
			err := says[0]
			says = says[1:]
			return err
		})
		deleted, err := e.Sweep(bg)
		require.ErrorIs(t, err, errStore)
		assert.Zero(t, deleted)
		store.remove.is(nil)
		store.list.is(func() error { return errStore })
		_, err = e.Sweep(bg)
		require.ErrorIs(t, err, errStore)
		store.list.is(nil)
		deleted, err = e.Sweep(bg)
		require.NoError(t, err)
		assert.Equal(t, 3, deleted)
	})
}

// Sweeping says what goes wrong to Hooks.Fault, and is tried again.
func TestSweep_FaultByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		store := &meddler{Store: &durable.MemoryStore{}}
		faults := make(chan saga.FaultEvent, 100)
		cfg := durable.Config{Retain: time.Minute, Hooks: saga.Hooks{Fault: func(_ context.Context, f saga.FaultEvent) { faults <- f }}}
		e := open(t, store, cfg, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		store.list.is(func() error { return errStore })
		time.Sleep(2*time.Hour + 1)
		require.NotEmpty(t, faults)
		require.ErrorIs(t, (<-faults).Err, errStore)
		store.list.is(nil)
		time.Sleep(time.Hour + 1)
		assert.Empty(t, ids(t, e, durable.Query{}))
	})
}

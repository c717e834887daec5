package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

func TestG52_OpenRefuses(t *testing.T) {
	_, err := durable.Open(nil, durable.Config{})
	require.ErrorContains(t, err, "nil Store")
	bad := map[string]durable.Config{
		"Poll":             {Poll: -1},
		"Retry.Factor":     {Retry: saga.Retry{Factor: 0.5}},
		"UndoRetry.Factor": {UndoRetry: saga.Retry{Factor: -1}},
	}
	for field, cfg := range bad {
		_, err := durable.Open(&durable.MemoryStore{}, cfg)
		require.ErrorContains(t, err, field)
	}
	_, err = durable.Open(&durable.MemoryStore{}, durable.Config{Poll: -1, Retry: saga.Retry{Factor: 0.5}, UndoRetry: saga.Retry{Factor: 0.5}})
	for _, field := range []string{"Poll", "Retry.Factor", "UndoRetry.Factor"} {
		require.ErrorContains(t, err, field, "all at once")
	}
}

// What a Retry may be is the same for an engine as for Run, and for the steps.
func TestG52_FactorsOfAllRunners(t *testing.T) {
	for f, good := range map[float64]bool{
		math.NaN(): false, math.Inf(1): false, math.Inf(-1): false, -1: false, math.SmallestNonzeroFloat64: false, 0.999: false,
		0: true, 1: true, 1e300: true, 1e301: true, math.MaxFloat64: true,
	} {
		retry := saga.Retry{Factor: f}
		e, opened := durable.Open(&durable.MemoryStore{}, durable.Config{Retry: retry})
		_, opens := durable.Open(&durable.MemoryStore{}, durable.Config{UndoRetry: retry})
		_, made := saga.New("shop", []saga.Step[order]{{Name: "a", Do: act("do a"), Retry: retry}})
		ran := define("shop", say("a")).RunWith(bg, saga.RunConfig{Retry: retry}, &order{})
		for runner, err := range map[string]error{"Retry of an engine": opened, "UndoRetry": opens, "a step": made, "Run": ran} {
			if good {
				require.NoError(t, err, "%v of %s", f, runner)
			} else {
				require.ErrorContains(t, err, fmt.Sprintf("Retry.Factor is %v, want 1 or more, and finite", f), runner)
			}
		}
		if good {
			require.NoError(t, e.Close(bg))
		}
	}
}

// Any number that is not refused works, also those that mean: none.
func TestG52_ConfigOfExtremes(t *testing.T) {
	const most = 1<<63 - 1
	for name, cfg := range map[string]durable.Config{
		"negative": {
			MaxRunning: -1, Lease: -1, StepTimeout: -1, MaxCrashes: -1, MaxState: -1, Retain: -1,
			Retry: saga.Retry{Attempts: -1, Wait: -1, MaxWait: -1}, UndoRetry: saga.Retry{Attempts: -1, Wait: -1, MaxWait: -1},
		},
		"least": {
			MaxRunning: math.MinInt, Lease: math.MinInt64, StepTimeout: math.MinInt64, MaxCrashes: math.MinInt, MaxState: math.MinInt, Retain: math.MinInt64,
			Retry: saga.Retry{Attempts: math.MinInt, Wait: math.MinInt64, MaxWait: math.MinInt64},
		},
		"most": {
			MaxRunning: math.MaxInt, Lease: most, Poll: most, StepTimeout: most, MaxCrashes: math.MaxInt, MaxState: math.MaxInt, Retain: most,
			Retry: saga.Retry{Attempts: math.MaxInt, MaxWait: most, Factor: math.MaxFloat64},
		},
		"one": {MaxRunning: 1, Lease: time.Second, Poll: 1, StepTimeout: time.Second, MaxCrashes: 1, Retain: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := define("shop", say("a"), saga.Step[order]{Name: "b", Do: act("do b", errDown)}, saga.Sleep(saga.Step[order]{Name: "c"}, time.Millisecond))
				e := open(t, &durable.MemoryStore{}, cfg, def)
				run := begin(t, e, def, "r1")
				time.Sleep(time.Second)
				_, h, err := run.State(bg)
				if err == nil { // kept for a moment only it may be gone
					assert.Equal(t, saga.Completed, h.Status)
				}
			})
		})
	}
}

func TestG52_RegisterRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		require.ErrorContains(t, durable.Register(nil, def), "Engine")
		require.ErrorContains(t, durable.Register(&durable.Engine{}, def), "Engine")
		require.ErrorContains(t, durable.Register[order](e, nil), "Saga")
		require.ErrorContains(t, durable.Register(e, &saga.Saga[order]{}), "Saga")
		require.Error(t, durable.Register(e, def), "twice")
		require.ErrorIs(t, durable.Register(e, define("shop", say("b"))), durable.ErrConflict, "another one of that name")
		require.NoError(t, durable.Register(e, define("bank", say("a"))))
	})
}

type (
	unencodable  struct{ F func() }
	undecodable  struct{ N int }
	unpredicable struct{ A any }
)

func (undecodable) MarshalJSON() ([]byte, error) { return []byte(`"seven"`), nil }

// G44: a state that cannot be encoded is found when the saga is registered, also one
// of a saga within.
func TestG44_RegisterRefusesStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := open(t, &durable.MemoryStore{}, durable.Config{})
		none := saga.MustNew("none", []saga.Step[unencodable]{{Name: "a", Do: func(context.Context, *unencodable) error { return nil }}})
		require.ErrorContains(t, durable.Register(e, none), "none")
		oneWay := saga.MustNew("one way", []saga.Step[undecodable]{{Name: "a", Do: func(context.Context, *undecodable) error { return nil }}})
		require.ErrorContains(t, durable.Register(e, oneWay), "one way")
		within := define("within", saga.Sub(saga.Step[order]{Name: "a"}, none, func(*order) unencodable { return unencodable{} }, nil))
		require.ErrorContains(t, durable.Register(e, within), "none")
		each := define("each", saga.ForEach(saga.Step[order]{Name: "a"}, func(*order) []undecodable { return nil }, oneWay, nil))
		require.ErrorContains(t, durable.Register(e, each), "one way")
		run, err := durable.Start(bg, e, none, "r1", unencodable{})
		require.Error(t, err)
		assert.Nil(t, run)
	})
}

func TestG44_StartRefusesStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := saga.MustNew("shop", []saga.Step[unpredicable]{{Name: "a", Do: func(context.Context, *unpredicable) error { return nil }}})
		e := open(t, &durable.MemoryStore{}, durable.Config{MaxState: 20})
		require.NoError(t, durable.Register(e, def))
		_, err := durable.Start(bg, e, def, "r1", unpredicable{func() {}})
		var unsupported *json.UnsupportedTypeError
		require.ErrorAs(t, err, &unsupported)
		_, err = durable.Start(bg, e, def, "r1", unpredicable{strings.Repeat("x", 20)})
		require.ErrorContains(t, err, "MaxState")
		require.NotContains(t, err.Error(), "xxx", "states are in no error")
		_, err = e.Get(bg, "r1")
		require.ErrorIs(t, err, durable.ErrNotFound)
		_, err = durable.Start(bg, e, def, "r1", unpredicable{strings.Repeat("x", 20-len(`{"A":""}`))})
		require.NoError(t, err, "as large as can be")
	})
}

// doors are all that takes a context, an engine or an ID.
func doors(ctx context.Context, e *durable.Engine, def *saga.Saga[order], id string) map[string]func() error {
	return map[string]func() error{
		"Start": func() error { _, err := durable.Start(ctx, e, def, id, order{}); return err },
		"StartWith": func() error {
			_, err := durable.StartWith(ctx, e, def, durable.StartConfig{ID: id}, order{})
			return err
		},
		"Find":   func() error { _, err := durable.Find(ctx, e, def, id); return err },
		"Signal": func() error { return durable.Signal(ctx, e, id, "ok", "yes") },
		"SignalWith": func() error {
			return durable.SignalWith(ctx, e, durable.SignalConfig{Run: id, Step: "ok", DedupID: "m1"}, "yes")
		},
		"Get":     func() error { _, err := e.Get(ctx, id); return err },
		"Resume":  func() error { return e.Resume(ctx, id, ann) },
		"Skip":    func() error { return e.Skip(ctx, id, "ok", ann) },
		"Abort":   func() error { return e.Abort(ctx, id, ann) },
		"Abandon": func() error { return e.Abandon(ctx, id, ann) },
	}
}

func TestG52_NothingPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), approval("ok", 0))
		var none context.Context
		var nobody *durable.Engine
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		for what, all := range map[string]map[string]func() error{
			"nil context":  doors(none, e, def, "r1"),
			"nil engine":   doors(bg, nobody, def, "r1"),
			"zero engine":  doors(bg, &durable.Engine{}, def, "r1"),
			"empty ID":     doors(bg, e, def, ""),
			"oversized ID": doors(bg, e, def, strings.Repeat("x", 257)),
		} {
			for name, call := range all {
				err := call()
				require.Error(t, err, "%s of %s", name, what)
				require.NotErrorIs(t, err, durable.ErrNotFound, "%s of %s", name, what)
				require.NotErrorIs(t, err, durable.ErrConflict, "%s of %s", name, what)
			}
		}
		for _, bad := range []*saga.Saga[order]{nil, {}, define("other", say("a")), define("shop", say("a"))} {
			for _, name := range []string{"Start", "StartWith", "Find"} {
				require.Error(t, doors(bg, e, bad, "r1")[name](), name)
			}
		}
		for _, e := range []*durable.Engine{nil, {}} {
			assert.NotPanics(t, func() { assert.Error(t, e.Close(bg)) })
			_, err := e.Sweep(bg)
			require.Error(t, err)
			for _, err := range e.List(bg, durable.Query{}) {
				require.Error(t, err)
			}
		}
		require.Error(t, e.Close(none))
		_, err := e.Sweep(none)
		require.Error(t, err)
		for _, err := range e.List(none, durable.Query{}) {
			require.Error(t, err)
		}
		assert.Empty(t, ids(t, e, durable.Query{}), "before any effect")
	})
}

func TestG52_Handles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var none context.Context
		for _, run := range []*durable.Run[order]{nil, {}} {
			assert.NotPanics(t, func() { assert.Empty(t, run.ID()) })
			_, err := run.Wait(bg)
			require.Error(t, err)
			_, _, err = run.State(bg)
			require.Error(t, err)
		}
		def := define("shop", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		_, err := run.Wait(none)
		require.Error(t, err)
		_, _, err = run.State(none)
		require.Error(t, err)
	})
}

// IDs are any bytes, up to 256.
func TestG52_IDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		def := define("shop", saga.Step[order]{Name: "a", Do: func(ctx context.Context, _ *order) error {
			keys = append(keys, saga.Info(ctx).Key)
			return nil
		}})
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		for _, id := range []string{"r1", strings.Repeat("x", 256), "a/b", "../..", "\x00", "\xff\xfe", " ", "%2F", "\n", "caf\u00e9"} {
			_, err := begin(t, e, def, id).Wait(bg)
			require.NoError(t, err, "%q", id)
			assert.Equal(t, id, head(t, e, id).ID)
			key := keys[len(keys)-1]
			assert.LessOrEqual(t, len(key), 255)
			assert.NotContains(t, keys[:len(keys)-1], key)
		}
	})
}

// Find is for runs of that saga alone.
func TestFind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def, other := define("shop", say("a")), define("other", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def, other)
		begin(t, e, def, "r1")
		run, err := durable.Find(bg, e, def, "r1")
		require.NoError(t, err)
		assert.Equal(t, "r1", run.ID())
		_, err = durable.Find(bg, e, def, "r2")
		require.ErrorIs(t, err, durable.ErrNotFound)
		_, err = durable.Find(bg, e, other, "r1")
		require.ErrorIs(t, err, durable.ErrConflict)
	})
}

// Verbs for a run of a saga that is not registered here are refused, and change
// nothing.
func TestG52_SagaNotRegistered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", sticky("a", always), approval("ok", 0), fails("b", errDown))
		store := &durable.MemoryStore{}
		e, other := open(t, store, durable.Config{}, def), open(t, store, durable.Config{})
		begin(t, e, def, "r1")
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		synctest.Wait()
		before := story(t, e, "r1")
		for name, call := range doors(bg, other, def, "r1") {
			if name == "Get" {
				require.NoError(t, call(), "reading needs no definition")
				continue
			}
			require.ErrorContains(t, call(), "not registered", name)
		}
		assert.Equal(t, before, story(t, e, "r1"))
	})
}

// S27: hooks that panic, or call back into the engine, change nothing.
func TestS27_HooksThatMisbehave(t *testing.T) {
	var e *durable.Engine
	back := func(ctx context.Context) {
		for _, ctx := range []context.Context{ctx, bg} {
			if _, err := e.Get(ctx, "r1"); err != nil && !errors.Is(err, durable.ErrNotFound) && ctx.Err() == nil {
				panic(err)
			}
			for _, err := range e.List(ctx, durable.Query{}) {
				_ = err
			}
			_ = e.Resume(ctx, "r1", ann)
			_ = durable.Signal(ctx, e, "r1", "ok", "yes")
			_, _ = e.Sweep(ctx)
		}
	}
	for name, do := range map[string]func(context.Context){
		"panics":     func(context.Context) { panic("hook") },
		"panics too": func(context.Context) { _ = []int{}[len(ann.By)] },
		"calls back": back,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := define("shop", say("a"), approval("ok", time.Hour), saga.Step[order]{Name: "b", Do: act("do b", errDown)}, fails("c", errDown))
				e = open(t, &durable.MemoryStore{}, durable.Config{Hooks: saga.Hooks{
					Status:    func(ctx context.Context, _ saga.StatusEvent) { do(ctx) },
					StepStart: func(ctx context.Context, _ saga.StepInfo) { do(ctx) },
					StepDone:  func(ctx context.Context, _ saga.StepEvent) { do(ctx) },
					Fault:     func(ctx context.Context, _ saga.FaultEvent) { do(ctx) },
				}}, def)
				run := begin(t, e, def, "r1")
				err := durable.SignalWith(bg, e, durable.SignalConfig{Run: "r1", Step: "ok"}, "yes")
				if name == "calls back" && err != nil {
					require.ErrorIs(t, err, durable.ErrConflict)
				} else {
					require.NoError(t, err)
				}
				end, err := run.Wait(bg)
				require.ErrorContains(t, err, "down (compensated)")
				assert.Equal(t, []string{"do a", "ok yes", "do b", "do b", "undo ok", "undo a"}, end.Log)
			})
		})
	}
}

// Hooks may start runs and close the engine for good, in a goroutine of their own.
func TestS27_HooksThatStartAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var e *durable.Engine
		def, next := define("shop", say("a")), define("next", say("a"))
		closed := make(chan error, 1)
		e = open(t, &durable.MemoryStore{}, durable.Config{MaxRunning: 1, Hooks: saga.Hooks{Status: func(ctx context.Context, s saga.StatusEvent) {
			switch {
			case s.To == saga.Completed && s.Saga == "shop":
				_, err := durable.Start(ctx, e, next, "r2", order{})
				assert.NoError(t, err)
			case s.To == saga.Completed:
				go func() { closed <- e.Close(bg) }()
			}
		}}}, def, next)
		_, err := begin(t, e, def, "r1").Wait(bg)
		require.NoError(t, err)
		require.NoError(t, <-closed)
		assert.Equal(t, saga.Completed, head(t, e, "r2").Status)
	})
}

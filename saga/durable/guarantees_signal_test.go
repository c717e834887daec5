package durable_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

func TestS15_SignalAfterTheStepIsReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), approval("ok", 0), say("b"))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		time.Sleep(24 * time.Hour)
		h := head(t, e, "r1")
		assert.Equal(t, saga.Waiting, h.Status)
		assert.True(t, h.WakeAt.IsZero(), "it waits for a signal alone")
		assert.Empty(t, h.Owner)

		begun := time.Now()
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		end, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"do a", "ok yes", "do b"}, end.Log)
		assert.Zero(t, time.Since(begun), "within one engine it is noticed at once")
	})
}

// A signal that comes early is used when its step is reached; nothing before it is
// left out.
func TestS15_SignalBeforeTheStepIsReached(t *testing.T) {
	within := saga.MustNew("within", []saga.Step[order]{say("x"), approval("ok", time.Hour), say("y")})
	state := func(o *order) order { return order{} }
	group := saga.Step[order]{Name: "g", Parallel: []saga.Step[order]{approval("ok", time.Hour), say("y")}}
	for i := range group.Parallel {
		group.Parallel[i].Merge = func(dst, src *order) { dst.Log = append(dst.Log, src.Log[len(src.Log)-1]) }
	}
	for name, c := range map[string]struct {
		path string
		step saga.Step[order]
		want string
	}{
		"at the top": {"ok", approval("ok", time.Hour), "do a, do s, do b, ok yes, do z"},
		"in a Sub": {
			"in/ok", saga.Sub(saga.Step[order]{Name: "in"}, within, state, func(o *order, end order) { o.Log = append(o.Log, end.Log...) }),
			"do a, do s, do b, do x, ok yes, do y, do z",
		},
		"in a ForEach": {"all/0/ok", saga.ForEach(saga.Step[order]{Name: "all"}, func(*order) []order { return make([]order, 1) }, within,
			func(o *order, ends []order) { o.Log = append(o.Log, ends[0].Log...) }), "do a, do s, do b, do x, ok yes, do y, do z"},
		"in a Parallel": {"g/ok", group, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := saga.MustNewWith(saga.Spec[order]{Name: "shop", Clone: func(o *order) order { return order{append([]string(nil), o.Log...), o.N} }, Steps: []saga.Step[order]{
					say("a"), saga.Sleep(saga.Step[order]{Name: "first"}, time.Minute), say("s"), saga.Sleep(saga.Step[order]{Name: "second"}, time.Minute), say("b"), c.step, say("z"),
				}})
				store := &durable.MemoryStore{}
				e := open(t, store, durable.Config{}, def)
				run := begin(t, e, def, "r1")
				synctest.Wait()
				require.NoError(t, durable.Signal(bg, e, "r1", c.path, "yes"))
				time.Sleep(90 * time.Second)
				require.NoError(t, e.Close(bg)) // it has to come out of the journal, too
				e = open(t, store, durable.Config{}, def)
				run, err := durable.Find(bg, e, def, run.ID())
				require.NoError(t, err)
				begun := time.Now()
				end, err := run.Wait(bg)
				require.NoError(t, err, story(t, e, "r1"))
				if c.want != "" {
					assert.Equal(t, c.want, strings.Join(end.Log, ", "))
				} else {
					assert.ElementsMatch(t, []string{"do a", "do s", "do b", "ok yes", "do y", "do z"}, end.Log)
				}
				assert.Equal(t, 30*time.Second, time.Since(begun), "the second Sleep is as long as ever")
			})
		})
	}
}

// A signal to a run that somebody executes, or that sleeps, does not disturb that.
func TestG37_SignalDisturbsNothing(t *testing.T) {
	const free = -1
	for name, first := range map[string]func(opened chan struct{}) saga.Step[order]{
		"executes": func(opened chan struct{}) saga.Step[order] { return held("first", opened) },
		"sleeps":   func(chan struct{}) saga.Step[order] { return saga.Sleep(saga.Step[order]{Name: "first"}, time.Hour) },
		"retries": func(chan struct{}) saga.Step[order] {
			return saga.Step[order]{Name: "first", Do: act("do first", errDown), Retry: saga.Retry{Wait: time.Hour, MaxWait: free, NoJitter: true}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun, opened := time.Now(), make(chan struct{})
				var took time.Duration
				def := define("shop", first(opened), approval("ok", 0), saga.Step[order]{Name: "z", Do: func(context.Context, *order) error {
					took = time.Since(begun)
					return nil
				}})
				store := &durable.MemoryStore{}
				e := open(t, store, durable.Config{StepTimeout: free}, def)
				other := open(t, store, durable.Config{StepTimeout: free}, def)
				run := begin(t, e, def, "r1")
				time.AfterFunc(time.Hour, func() { close(opened) })
				time.Sleep(30 * time.Minute)
				require.NoError(t, durable.Signal(bg, other, "r1", "ok", "yes"))
				end, err := run.Wait(bg)
				require.NoError(t, err)
				assert.Equal(t, "ok yes", end.Log[len(end.Log)-1])
				assert.Equal(t, time.Hour, took)
			})
		})
	}
}

func TestS15_SignalNeverComes(t *testing.T) {
	for name, restart := range map[string]bool{"one process": false, "another process": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := define("shop", say("a"), approval("ok", time.Hour))
				store := &durable.MemoryStore{}
				e := open(t, store, durable.Config{Poll: time.Minute}, def)
				begin(t, e, def, "r1")
				begun := time.Now()
				time.Sleep(59 * time.Minute)
				if restart {
					require.NoError(t, e.Close(bg))
					e = open(t, store, durable.Config{Poll: time.Minute}, def)
				}
				time.Sleep(time.Minute - 1)
				assert.Equal(t, saga.Waiting, head(t, e, "r1").Status, "not early")
				run, err := durable.Find(bg, e, def, "r1")
				require.NoError(t, err)
				limit, cancel := context.WithTimeoutCause(bg, time.Hour, errDown)
				defer cancel()
				end, err := run.Wait(limit)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				assert.InDelta(t, time.Hour, time.Since(begun), 1)
				var failed *saga.Error
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, "ok", failed.Step)
				assert.Equal(t, saga.Rejected, failed.Outcome)
				assert.Equal(t, saga.Compensated, failed.Status)
				assert.Equal(t, []string{"do a", "undo a"}, end.Log, "what was rejected is not undone")
			})
		})
	}
}

// A signal in the last moment is in time.
func TestS15_SignalAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", approval("ok", time.Hour))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		time.Sleep(time.Hour - 1)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		_, err := run.Wait(bg)
		require.NoError(t, err)
	})
}

func TestS15_DedupID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", approval("ok", 0), approval("then", 0))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		first := durable.SignalConfig{Run: "r1", Step: "ok", DedupID: "m1"}
		send := func(cfg durable.SignalConfig, text string) error { return durable.SignalWith(bg, e, cfg, text) }
		require.NoError(t, send(first, "yes"))
		require.NoError(t, send(first, "yes"))
		synctest.Wait()
		require.NoError(t, send(first, "other"), "after it was applied")
		require.ErrorIs(t, send(durable.SignalConfig{Run: "r1", Step: "ok", DedupID: "m2"}, "no"), durable.ErrConflict)
		require.ErrorIs(t, send(durable.SignalConfig{Run: "r1", Step: "ok"}, "no"), durable.ErrConflict, "it has none to know it by")
		assert.NotContains(t, story(t, e, "r1"), "signal then 0", "the DedupID is of the step")

		require.NoError(t, send(durable.SignalConfig{Run: "r1", Step: "then"}, "yes"))
		require.ErrorIs(t, send(durable.SignalConfig{Run: "r1", Step: "then"}, "yes"), durable.ErrConflict, "twice without DedupID")
		end, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"ok yes", "then yes"}, end.Log)
		require.NoError(t, send(first, "yes"), "after the end")
	})
}

func TestG16_SignalOfARunThatHasEnded(t *testing.T) {
	for _, want := range []saga.Status{saga.Completed, saga.Compensated, saga.Abandoned} {
		t.Run(want.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				never := approval("ok", 0)
				never.When = func(*order) bool { return false }
				last := say("z")
				if want != saga.Completed {
					last = fails("z", errDown)
				}
				def := define("shop", sticky("a", func() bool { return want == saga.Abandoned }), never, last)
				e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
				destined(t, e, def, want)
				before := story(t, e, "r1")
				require.ErrorIs(t, durable.Signal(bg, e, "r1", "ok", "yes"), durable.ErrConflict)
				assert.Equal(t, before, story(t, e, "r1"))
			})
		})
	}
}

func TestG16_SignalForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), approval("ok", 0))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		before := story(t, e, "r1")
		require.ErrorIs(t, durable.Signal(bg, e, "r2", "ok", "yes"), durable.ErrNotFound, "no such run")
		for _, step := range []string{"nix", "a", "", "ok/ok", "/", "ok/", "a/ok"} {
			require.ErrorIs(t, durable.Signal(bg, e, "r1", step, "yes"), durable.ErrNotFound, "%q is no Await", step)
		}
		for _, v := range []any{7, nil, order{}, []byte("yes"), new(string)} {
			err := durable.Signal(bg, e, "r1", "ok", v)
			require.Error(t, err, "%T", v)
			require.NotErrorIs(t, err, durable.ErrNotFound)
			require.NotErrorIs(t, err, durable.ErrConflict)
		}
		assert.Equal(t, before, story(t, e, "r1"), "nothing is recorded")
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
	})
}

// apply is an attempt like Do: it is made again, and undone.
func TestG16_ApplyIsAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		var at []time.Duration
		begun := time.Now()
		step := saga.Step[order]{Name: "ok", Undo: act("undo ok"), Timeout: time.Hour, Retry: saga.Retry{Wait: time.Second, NoJitter: true}}
		def := define("shop", saga.Await(step, func(ctx context.Context, o *order, text string) error {
			keys, at = append(keys, saga.Info(ctx).Key), append(at, time.Since(begun))
			o.Log = append(o.Log, text)
			if saga.Info(ctx).Attempt < 3 {
				return errDown
			}
			return nil
		}), fails("z", errDown))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		end, err := run.Wait(bg)
		require.ErrorIs(t, err, errDown)
		assert.Equal(t, []time.Duration{0, time.Second, 3 * time.Second}, at)
		assert.Equal(t, []string{"shop/r1/ok/do", "shop/r1/ok/do", "shop/r1/ok/do"}, keys)
		assert.Equal(t, []string{"yes", "yes", "yes", "undo ok"}, end.Log)
	})
}

// The Timeout of the step is for the wait, that of an attempt is StepTimeout.
func TestG16_ApplyIsUnderStepTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		step := saga.Step[order]{Name: "ok", Timeout: time.Second, Retry: saga.Retry{Attempts: 1}}
		def := define("shop", saga.Await(step, func(ctx context.Context, _ *order, _ string) error {
			begun := time.Now()
			<-ctx.Done()
			took = time.Since(begun)
			return context.Cause(ctx)
		}))
		e := open(t, &durable.MemoryStore{}, durable.Config{StepTimeout: time.Hour}, def)
		run := begin(t, e, def, "r1")
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		_, err := run.Wait(bg)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Hour, took)
	})
}

func TestG16_ApplyRejects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), saga.Await(saga.Step[order]{Name: "ok", Undo: act("undo ok")}, func(_ context.Context, _ *order, yes bool) error {
			if !yes {
				return saga.Reject(errDown)
			}
			return nil
		}))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", false))
		end, err := run.Wait(bg)
		require.ErrorIs(t, err, errDown)
		assert.Equal(t, []string{"do a", "undo a"}, end.Log)
	})
}

// What the Codec of the saga does is done to signals, too: it is the place to encrypt.
func TestG16_SignalIsDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), approval("ok", 0))
		memory := &durable.MemoryStore{}
		store := &meddler{Store: memory}
		e := open(t, store, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		synctest.Wait()
		store.append.is(func() error { return errStore })
		require.ErrorIs(t, durable.Signal(bg, e, "r1", "ok", "lost"), errStore)
		store.append.is(nil)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		rec, err := e.Get(bg, "r1")
		require.NoError(t, err)
		i := 0
		for ; rec.Events[i].Kind != "signal"; i++ {
		}
		assert.JSONEq(t, `"yes"`, string(rec.Events[i].Data))
		assert.Equal(t, "ok", rec.Events[i].Step)
		_, err = run.Wait(bg)
		require.NoError(t, err)
	})
}

// The context of a Signal is of the call alone.
func TestG37_SignalContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", approval("ok", 0))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		ctx, cancel := context.WithCancelCause(bg)
		cancel(errDown)
		require.ErrorIs(t, durable.Signal(ctx, e, "r1", "ok", "no"), errDown)
		require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
		_, err := run.Wait(bg)
		require.NoError(t, err)
	})
}

// Signals to a run that writes all the time get their turn, and so does the run.
func TestG37_ManySignalsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20
		steps := make([]saga.Step[order], n)
		names := make([]string, n)
		for i := range n {
			names[i] = string(rune('a' + i))
			steps[i] = approval(names[i], time.Hour)
		}
		def := define("shop", steps...)
		store := &durable.MemoryStore{}
		engines := []*durable.Engine{open(t, store, durable.Config{}, def), open(t, store, durable.Config{}, def)}
		run := begin(t, engines[0], def, "r1")
		for i, name := range names {
			go func() { assert.NoError(t, durable.Signal(bg, engines[i%2], "r1", name, "yes")) }()
		}
		end, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, n, len(end.Log))
	})
}

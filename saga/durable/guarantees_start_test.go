package durable_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// stepsOf are the steps of a saga whose runs get to a status; to Abandoned with a
// word of an operator.
func stepsOf(s saga.Status) []saga.Step[order] {
	switch s {
	case saga.Running:
		return []saga.Step[order]{say("a"), held("b", nil)}
	case saga.Waiting:
		return []saga.Step[order]{say("a"), saga.Sleep(saga.Step[order]{Name: "b"}, 1<<62)}
	case saga.Compensating:
		return []saga.Step[order]{{Name: "a", Do: act("do a"), Undo: held("", nil).Do}, fails("b", errDown)}
	case saga.Compensated:
		return []saga.Step[order]{say("a"), fails("b", errDown)}
	case saga.Stuck, saga.Abandoned:
		return []saga.Step[order]{sticky("a", always), fails("b", errDown)}
	default:
		return []saga.Step[order]{say("a")}
	}
}

// destinies are sagas by what becomes of their runs.
func destinies() map[saga.Status]*saga.Saga[order] {
	all := make(map[saga.Status]*saga.Saga[order])
	for s := saga.Running; s <= saga.Abandoned; s++ {
		all[s] = define("shop", stepsOf(s)...)
	}
	return all
}

// destined starts the run "r1" and lets become of it what the saga is made for.
func destined(t *testing.T, e *durable.Engine, def *saga.Saga[order], want saga.Status) {
	t.Helper()
	begin(t, e, def, "r1")
	synctest.Wait()
	if want == saga.Abandoned {
		require.NoError(t, e.Abandon(bg, "r1", ann))
	}
	require.Equal(t, want, head(t, e, "r1").Status)
}

// shut closes an engine whose steps would not return.
func shut(t *testing.T, e *durable.Engine) {
	t.Helper()
	over, cancel := context.WithCancel(bg)
	cancel()
	_ = e.Close(over)
	require.NoError(t, e.Close(bg))
}

func TestG31_SameStartIsSameRun(t *testing.T) {
	other := define("other", say("a"))
	for want, def := range destinies() {
		t.Run(want.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := open(t, &durable.MemoryStore{}, durable.Config{}, def, other)
				destined(t, e, def, want)
				before, err := e.Get(bg, "r1")
				require.NoError(t, err)

				run, err := durable.Start(bg, e, def, "r1", order{})
				require.NoError(t, err)
				assert.Equal(t, "r1", run.ID())
				_, err = durable.Start(bg, e, def, "r1", order{N: 1})
				require.ErrorIs(t, err, durable.ErrConflict, "another state")
				_, err = durable.Start(bg, e, other, "r1", order{})
				require.ErrorIs(t, err, durable.ErrConflict, "another saga")

				synctest.Wait()
				after, err := e.Get(bg, "r1")
				require.NoError(t, err)
				assert.Equal(t, before, after)
				shut(t, e)
			})
		})
	}
}

// The state that counts is the one that it began with.
func TestG31_ComparesWithTheFirstState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		end, err := run.Wait(bg)
		require.NoError(t, err)
		_, err = durable.Start(bg, e, def, "r1", end)
		require.ErrorIs(t, err, durable.ErrConflict)
		begin(t, e, def, "r1")
	})
}

func TestS16_ConcurrentStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c tally
		def := define("shop", c.during("a", time.Second))
		store := &durable.MemoryStore{}
		engines := []*durable.Engine{open(t, store, durable.Config{}, def), open(t, store, durable.Config{}, def)}
		const callers = 64
		ends, errs := make([]order, callers), make([]error, callers)
		var crew sync.WaitGroup
		for i := range callers {
			crew.Go(func() {
				run, err := durable.Start(bg, engines[i%2], def, "r1", order{N: 7})
				if errs[i] = err; err == nil {
					ends[i], errs[i] = run.Wait(bg)
				}
			})
		}
		crew.Wait()
		for i := range callers {
			require.NoError(t, errs[i])
			require.Equal(t, order{[]string{"do a"}, 7}, ends[i])
		}
		assert.Equal(t, 1, c.total(), "how often it was done")
	})
}

// Of concurrent calls that want different runs one gets its own.
func TestS16_ConcurrentStartsWithOtherStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		const callers = 64
		errs := make([]error, callers)
		var crew sync.WaitGroup
		for i := range callers {
			crew.Go(func() { _, errs[i] = durable.Start(bg, e, def, "r1", order{N: i}) })
		}
		crew.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				require.ErrorIs(t, err, durable.ErrConflict)
			}
		}
		assert.Equal(t, 1, won)
	})
}

// ways are those in which Start makes a run: to execute it, for later, and for when
// there is room.
func ways() map[string]struct {
	running int
	delay   time.Duration
} {
	return map[string]struct {
		running int
		delay   time.Duration
	}{"at once": {0, 0}, "later": {0, time.Hour}, "when there is room": {1, 0}}
}

// crowd takes the one place there is, if there is one only.
func crowd(t *testing.T, e *durable.Engine, def *saga.Saga[order], running int) {
	t.Helper()
	if running == 1 {
		begin(t, e, def, "crowd")
		synctest.Wait()
	}
}

func TestG31_DurableWhenItReturns(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := define("shop", held("a", nil))
				store := &meddler{Store: &durable.MemoryStore{}}
				e := open(t, store, durable.Config{MaxRunning: way.running}, def)
				crowd(t, e, def, way.running)
				store.create.is(func() error { time.Sleep(time.Minute); return nil })
				begun := time.Now()
				_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: way.delay}, order{})
				require.NoError(t, err)
				assert.Equal(t, time.Minute, time.Since(begun))
				_, _, err = store.Store.Load(bg, "r1")
				require.NoError(t, err)
				shut(t, e)
			})
		})
	}
}

func TestG31_StoreFails(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				def := define("shop", held("a", nil))
				store := &meddler{Store: &durable.MemoryStore{}}
				e := open(t, store, durable.Config{MaxRunning: way.running}, def)
				crowd(t, e, def, way.running)
				cfg := durable.StartConfig{ID: "r1", Delay: way.delay}
				store.create.is(func() error { return errStore })
				_, err := durable.StartWith(bg, e, def, cfg, order{})
				require.ErrorIs(t, err, errStore)
				_, err = e.Get(bg, "r1")
				require.ErrorIs(t, err, durable.ErrNotFound)

				store.create.is(nil)
				_, err = durable.StartWith(bg, e, def, cfg, order{})
				require.NoError(t, err)
				shut(t, e)
			})
		})
	}
}

// Neither the end of a context nor a deadline has to do with the run.
func TestG31_ContextIsOfTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), saga.Sleep(saga.Step[order]{Name: "b"}, time.Hour), say("c"))
		store := &meddler{Store: &durable.MemoryStore{}}
		e := open(t, store, durable.Config{}, def)
		ctx, cancel := context.WithCancelCause(bg)
		run, err := durable.Start(ctx, e, def, "r1", order{})
		require.NoError(t, err)
		cancel(errDown)
		end, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"do a", "do c"}, end.Log)

		_, err = durable.Start(ctx, e, def, "r2", order{})
		require.ErrorIs(t, err, errDown, "that it had ended before")
		_, err = e.Get(bg, "r2")
		require.ErrorIs(t, err, durable.ErrNotFound)

		store.create.is(func() error { time.Sleep(time.Minute); return nil })
		ctx, stop := context.WithTimeout(bg, time.Second)
		defer stop()
		_, err = durable.Start(ctx, e, def, "r3", order{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(time.Minute)
		end, err = begin(t, e, def, "r3").Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, []string{"do a", "do c"}, end.Log)
	})
}

func TestStart_Labels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan map[string]string, 2)
		look := saga.Step[order]{Name: "a", Do: func(ctx context.Context, _ *order) error {
			labels := saga.Info(ctx).Labels
			seen <- labels
			labels["by"] = "step"
			return nil
		}}
		def := define("shop", look, saga.Sleep(saga.Step[order]{Name: "b"}, time.Hour), saga.Step[order]{Name: "c", Do: look.Do})
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		labels := map[string]string{"by": "web"}
		run, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Labels: labels}, order{})
		require.NoError(t, err)
		labels["by"] = "caller"
		_, err = run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, "web", head(t, e, "r1").Labels["by"])
		<-seen // is the map that the step has changed
		<-seen
		assert.Equal(t, []string{"r1"}, ids(t, e, durable.Query{Labels: map[string]string{"by": "web"}}))
		assert.Empty(t, ids(t, e, durable.Query{Labels: map[string]string{"by": "step"}}))
	})
}

func TestStart_Delay(t *testing.T) {
	for name, c := range map[string]struct{ delay, want time.Duration }{
		"none":     {0, 0},
		"negative": {-time.Hour, 0},
		"least":    {1, 1},
		"an hour":  {time.Hour, time.Hour},
		"a day":    {24 * time.Hour, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at time.Duration
				begun := time.Now()
				def := define("shop", saga.Step[order]{Name: "a", Do: func(context.Context, *order) error { at = time.Since(begun); return nil }})
				e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
				run, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: c.delay}, order{})
				require.NoError(t, err)
				assert.Zero(t, time.Since(begun), "Start does not wait")
				_, err = run.Wait(bg)
				require.NoError(t, err)
				assert.Equal(t, c.want, at)
			})
		})
	}
}

// A delay without end is no wait that overflows.
func TestStart_DelayForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		_, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: 1<<63 - 1}, order{})
		require.NoError(t, err)
		time.Sleep(365 * 24 * time.Hour)
		assert.Equal(t, []string{"created  0"}, story(t, e, "r1"))
	})
}

package durable_test

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// What a Config means that says nothing: every default that its fields promise.
func TestConfig_Defaults(t *testing.T) {
	t.Run("MaxRunning", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := &tally{}
			def := define("shop", c.during("a", time.Second))
			e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
			for i := range 70 {
				begin(t, e, def, string(rune('A'+i)))
			}
			time.Sleep(time.Minute)
			assert.Equal(t, 64, c.peak())
			assert.Equal(t, 70, c.total())
		})
	})
	t.Run("Name and Lease", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			def := define("shop", held("a", nil))
			e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
			begin(t, e, def, "r1")
			h := head(t, e, "r1")
			assert.Equal(t, 30*time.Second, time.Until(h.LeaseUntil))
			host, err := os.Hostname()
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(h.Owner, host+"-"), h.Owner)
			shut(t, e)
		})
	})
	t.Run("StepTimeout", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			def := define("shop", saga.Step[order]{Name: "a", Retry: saga.Retry{Attempts: 1}, Do: func(ctx context.Context, _ *order) error {
				<-ctx.Done()
				return context.Cause(ctx)
			}})
			e, begun := open(t, &durable.MemoryStore{}, durable.Config{}, def), time.Now()
			_, err := begin(t, e, def, "r1").Wait(bg)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Equal(t, 5*time.Minute, time.Since(begun))
		})
	})
	t.Run("MaxState", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			def := define("shop", say("a"))
			e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
			state := order{Log: []string{""}}
			least, err := json.Marshal(state)
			require.NoError(t, err)
			state.Log[0] = strings.Repeat("x", 1<<20-len(least))
			_, err = durable.Start(bg, e, def, "r1", state)
			require.NoError(t, err)
			state.Log[0] += "x"
			_, err = durable.Start(bg, e, def, "r2", state)
			require.ErrorContains(t, err, "MaxState")
			synctest.Wait()
		})
	})
	t.Run("Retry and UndoRetry", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a := &stubborn{fails: 40, err: errDown}
			b := &stubborn{fails: 1000, err: errDown}
			def := define("shop", saga.Step[order]{Name: "a", Do: act("do a"), Undo: a.attempt}, saga.Step[order]{Name: "b", Do: b.attempt})
			e := open(t, &durable.MemoryStore{}, durable.Config{UndoRetry: saga.Retry{Wait: time.Second, Factor: 1, NoJitter: true}}, def)
			var begun time.Time
			_, err := begin(t, e, def, "r1").Wait(bg)
			require.ErrorContains(t, err, errDown.Error())
			assert.Len(t, b.numbers, 5)
			assert.Len(t, a.numbers, 41, "as long as it takes")
			rec, err := e.Get(bg, "r1")
			require.NoError(t, err)
			for _, event := range rec.Events {
				if event.Kind == "undo-started" && begun.IsZero() {
					begun = event.At
				}
			}
			assert.Equal(t, 40*time.Second, time.Since(begun), "by the UndoRetry of the Config")
		})
	})
}

// G6: the waits of attempts go by Config.Rand.
func TestG6_RandOfTheConfig(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		cfg := durable.Config{
			Rand:  func() uint64 { asked++; return 0 },
			Retry: saga.Retry{Wait: time.Minute},
		}
		def := define("shop", saga.Step[order]{Name: "a", Do: act("do a", errDown)})
		e := open(t, &durable.MemoryStore{}, cfg, def)
		_, err := begin(t, e, def, "r1").Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, 1, asked)
	})
}

// G25: the context of a step ends with its attempt at the latest when the run does.
func TestG25_ContextsEndWithTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept := make(chan context.Context, 1)
		def := define("shop", saga.Step[order]{Name: "a", Timeout: -1, Do: func(ctx context.Context, _ *order) error { kept <- ctx; return nil }})
		e := open(t, &durable.MemoryStore{}, durable.Config{StepTimeout: -1}, def)
		_, err := begin(t, e, def, "r1").Wait(bg)
		require.NoError(t, err)
		synctest.Wait()
		require.ErrorIs(t, (<-kept).Err(), context.Canceled)
	})
}

// G35, G39: the attempt that an operator has cut short is no death of the process.
func TestG35_AbortIsNoCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), held("b", nil))
		e := open(t, &durable.MemoryStore{}, durable.Config{MaxCrashes: 1}, def)
		run := begin(t, e, def, "r1")
		synctest.Wait()
		require.NoError(t, e.Abort(bg, "r1", ann))
		_, err := run.Wait(bg)
		require.ErrorContains(t, err, "aborted")
		rec, err := e.Get(bg, "r1")
		require.NoError(t, err)
		assert.Equal(t, saga.Compensated, rec.Head.Status)
		cut := slices.IndexFunc(rec.Events, func(e durable.Event) bool { return e.Kind == "interrupted" })
		require.Positive(t, cut)
		assert.Equal(t, 2, cut-slices.IndexFunc(rec.Events, func(e durable.Event) bool { return e.Kind == "started" && e.Step == "b" }), "%v", journal(rec))
	})
}

// G36: who has lost its run before it could read it does nothing to it.
func TestG36_ClaimedBeforeItWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		def := define("shop", say("a"), saga.Step[order]{Name: "b", Do: func(context.Context, *order) error { calls++; return nil }})
		mock, faults := clock.NewMock(), &ledger{}
		mock.Set(time.Now().Add(time.Second))
		raw := &durable.MemoryStore{Clock: mock}
		h, events, err := cutShort(t, def, "r1", 3).Load(bg, "r1")
		require.NoError(t, err)
		require.NoError(t, raw.Create(bg, h, 0, events))
		calls = 0
		store := &meddler{Store: raw}
		e, err := durable.Open(store, durable.Config{Hooks: faults.hooked()})
		require.NoError(t, err)
		claimed := false
		store.load.is(func() error {
			if !claimed {
				claimed = true
				mock.Add(time.Minute) // by the time of the store the lease is over
				heads, _, err := raw.Claim(bg, durable.ClaimRequest{Owner: "other", TTL: -1, Limit: 1, Sagas: []string{"shop"}})
				assert.NoError(t, err)
				assert.Len(t, heads, 1)
			}
			return nil
		})
		require.NoError(t, durable.Register(e, def))
		time.Sleep(10 * time.Second)
		assert.Zero(t, calls)
		h = head(t, e, "r1")
		assert.Equal(t, "other", h.Owner)
		assert.Equal(t, saga.Running, h.Status)
		assert.Contains(t, faults.all("fault"), "fault load")
		require.NoError(t, e.Close(bg))
	})
}

// G36: an engine that has claimed its own run anew, as its lease was over, discards what
// the attempt from before comes to, as it would that of another.
func TestG36_ClaimedAnewByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &durable.MemoryStore{}
		def := define("shop", saga.Step[order]{Name: "a", Do: func(ctx context.Context, o *order) error {
			if saga.Info(ctx).Attempt == 1 {
				time.Sleep(8 * time.Second)
			}
			o.N = saga.Info(ctx).Attempt
			return nil
		}}, say("b"))
		e := ignite(t, brief{shared}, durable.Config{Poll: time.Second}, def)
		o, err := launch(t, e, def).Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, 2, o.N)
		assert.Equal(t, []string{"created", "started a 1", "interrupted a 1", "started a 2", "done a 2", "started b 1", "done b 1", "ended"}, plain(seen(t, e, "r1")))
		seal(t, e)
	})
}

// A brief store gives shorter leases than it is asked for to who creates a run.
type brief struct{ *durable.MemoryStore }

func (s brief) Create(ctx context.Context, h durable.Head, _ time.Duration, events [][]byte) error {
	return s.MemoryStore.Create(ctx, h, 5*time.Second, events)
}

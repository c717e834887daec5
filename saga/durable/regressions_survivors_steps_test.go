package durable_test

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// G22: a signal that does not come in time after the pivot undoes nothing.
func TestG22_SignalNeverComesAfterThePivot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", say("a"), saga.Step[order]{Name: "p", Pivot: true, Do: act("do p")}, saga.Await(
			saga.Step[order]{Name: "ok", Timeout: time.Minute}, func(context.Context, *order, string) error { return nil },
		))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		o, err := begin(t, e, def, "r1").Wait(bg)
		var failed *saga.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, saga.Stuck, failed.Status)
		assert.Equal(t, saga.ReasonForwardFailed, failed.Reason)
		assert.Equal(t, saga.Rejected, failed.Outcome)
		assert.Equal(t, []string{"do a", "do p"}, o.Log)
	})
}

// G16: a run that waits for a signal is found by the present name of the step, and a
// second signal is refused, by whatever name.
func TestG16_RenamedWhileItWaits(t *testing.T) {
	for _, waits := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store, opened := &durable.MemoryStore{}, make(chan struct{})
			if waits {
				close(opened)
			}
			before := define("shop", held("a", opened), approval("ok", 0))
			e := open(t, store, durable.Config{}, before)
			begin(t, e, before, "r1")
			synctest.Wait()
			if !waits {
				require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
				shut(t, e)
			}
			require.NoError(t, e.Close(bg))
			approve := approval("approve", 0)
			approve.Was = []string{"ok"}
			def := define("shop", held("a", opened), approve)
			e = open(t, store, durable.Config{}, def)
			err := durable.Signal(bg, e, "r1", "approve", "yes")
			if waits {
				require.NoError(t, err)
				time.Sleep(time.Hour)
				assert.Equal(t, saga.Completed, status(t, e, "r1"))
			} else {
				require.ErrorIs(t, err, durable.ErrConflict)
				shut(t, e)
			}
		})
	}
}

// G16, G44: a journal tells once that a step waits for its signal, though others come.
func TestG44_WaitsAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", approval("one", 0), approval("two", 0))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		require.NoError(t, durable.Signal(bg, e, "r1", "two", "yes"))
		synctest.Wait()
		rec, err := e.Get(bg, "r1")
		require.NoError(t, err)
		assert.Equal(t, 1, count(rec, "waiting", "one"))
		require.NoError(t, durable.Signal(bg, e, "r1", "one", "yes"))
		synctest.Wait()
		assert.Equal(t, saga.Completed, status(t, e, "r1"))
	})
}

// G20, G42: Close that is cut short ends what follows the pivot, too.
func TestG42_CutShortAfterThePivot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &lasts{}
		def := define("shop", saga.Step[order]{Name: "p", Pivot: true, Do: act("do p")}, w.step("a", time.Hour))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		shut(t, e)
		causes, _ := w.ended()
		require.Len(t, causes, 1)
		require.ErrorIs(t, causes[0], durable.ErrClosed)
	})
}

// G34, G42: an Undo that did not begin, as the engine was closed while another one was
// under way, has not failed; one that was cut short is no death of the process.
func TestG42_CloseBetweenUndos(t *testing.T) {
	for name, heeds := range map[string]bool{"cut short": true, "it returns nil": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, calls := &durable.MemoryStore{}, 0
				b := say("b")
				b.Do = act("do b", errDown)
				b.Retry = saga.Retry{Wait: -1}
				b.Undo = func(ctx context.Context, o *order) error {
					if calls++; calls == 1 {
						<-ctx.Done()
						if heeds {
							return context.Cause(ctx)
						}
					}
					return act("undo b")(ctx, o)
				}
				def := define("shop", say("a"), b, fails("c", errDown))
				e := open(t, store, durable.Config{MaxCrashes: 1}, def)
				begin(t, e, def, "r1")
				synctest.Wait()
				shut(t, e)
				assert.Equal(t, saga.Compensating, status(t, e, "r1"))
				assert.Equal(t, heeds, slices.Contains(story(t, e, "r1"), "interrupted b 1"), "%q", story(t, e, "r1"))
				e = open(t, store, durable.Config{MaxCrashes: 1}, def)
				o, err := begin(t, e, def, "r1").Wait(bg)
				require.ErrorContains(t, err, "(compensated)")
				assert.Equal(t, []string{"do a", "do b", "do b", "undo b", "undo a"}, o.Log)
			})
		})
	}
}

// G19, G39: Skip of one of two items whose Undo has failed holds back what was before them.
func TestG39_SkipOneOfTwoItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := saga.Step[order]{Name: "x", Do: act("do x"), Undo: func(context.Context, *order) error { return saga.Reject(errOnUndo) }}
		each := saga.ForEach(saga.Step[order]{Name: "each"}, func(*order) []order { return make([]order, 2) }, define("item", broken), nil)
		def := define("shop", say("a"), each, fails("c", errDown))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		synctest.Wait()
		require.Equal(t, saga.Stuck, status(t, e, "r1"))
		require.NoError(t, e.Skip(bg, "r1", "each/0/x", ann))
		synctest.Wait()
		require.Equal(t, saga.Stuck, status(t, e, "r1"))
		rec, err := e.Get(bg, "r1")
		require.NoError(t, err)
		assert.Zero(t, count(rec, "undo-started", "a"))
		assert.Equal(t, saga.ReasonUndoFailed, rec.Events[len(rec.Events)-1].Reason)
		require.NoError(t, e.Skip(bg, "r1", "each/1/x", ann))
		o, err := run.Wait(bg)
		require.ErrorContains(t, err, "(compensated)")
		assert.Equal(t, []string{"do a", "undo a"}, o.Log)
	})
}

// G11, G19, G44: after many failures of an Undo the one that is final is recorded, and what
// one has written.
func TestG44_LastFailureOfAnUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []int
		s := &stubborn{fails: 99, err: errDown, once: map[int]error{100: saga.Reject(errOnUndo)}}
		a := saga.Step[order]{Name: "a", Do: act("do a"), UndoRetry: everySecond, Undo: func(ctx context.Context, o *order) error {
			seen = append(seen, o.N)
			if len(seen) == 80 {
				o.N = 7
			}
			return s.attempt(ctx, o)
		}}
		def := define("shop", a, fails("b", errDown))
		store := &durable.MemoryStore{}
		e := ignite(t, store, durable.Config{}, def)
		launch(t, e, def)
		time.Sleep(89500 * time.Millisecond)
		e = restarted(t, e, store, def)
		run := launch(t, e, def)
		_, err := run.Wait(bg)
		require.ErrorIs(t, err, saga.ErrStuck)
		require.Len(t, seen, 100)
		assert.Equal(t, 7, seen[99])
		require.NoError(t, e.Skip(bg, "r1", "a", ann))
		o, err := run.Wait(bg)
		require.ErrorContains(t, err, "(compensated)")
		assert.Equal(t, 7, o.N)
		seal(t, e)
	})
}

// G6, G43: of children that wait the one that is due first decides when the run goes on.
func TestG43_FirstOfTheChildren(t *testing.T) {
	for _, waits := range [][]time.Duration{{time.Minute, time.Hour}, {time.Hour, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			var children []saga.Step[order]
			var at []time.Duration
			begun := time.Now()
			for i, d := range waits {
				n := 0
				children = append(children, saga.Step[order]{Name: string(rune('x' + i)), Merge: saga.NoMerge[order], Do: func(context.Context, *order) error {
					if n++; n == 1 {
						time.Sleep(time.Duration(i+1) * time.Millisecond) // one after the other
						return saga.RetryAfter(errDown, d)
					}
					at = append(at, time.Since(begun).Truncate(time.Second))
					return nil
				}})
			}
			def := saga.MustNewWith(saga.Spec[order]{Name: "shop", Clone: wound, Steps: []saga.Step[order]{{Name: "g", Parallel: children}}})
			e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
			_, err := begin(t, e, def, "r1").Wait(bg)
			require.NoError(t, err)
			assert.Equal(t, []time.Duration{time.Minute, time.Hour}, at)
		})
	}
}

// G30: what is known about the step that has failed comes back from a journal.
func TestG30_OutcomeFromAJournal(t *testing.T) {
	for want, steps := range map[saga.Status][]saga.Step[order]{
		saga.Compensated: {say("a"), fails("b", errDown)},
		saga.Stuck:       {{Name: "p", Pivot: true, Do: act("do p")}, fails("b", errDown)},
	} {
		synctest.Test(t, func(t *testing.T) {
			store, def := &durable.MemoryStore{}, define("shop", steps...)
			begin(t, open(t, store, durable.Config{}, def), def, "r1")
			synctest.Wait()
			_, err := begin(t, open(t, store, durable.Config{}, def), def, "r1").Wait(bg)
			var failed *saga.Error
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, want, failed.Status)
			assert.Equal(t, saga.Rejected, failed.Outcome)
		})
	}
}

// A turned codec is JSON from the end to the beginning.
type turned struct{ refuses bool }

func (c turned) Marshal(v any) ([]byte, error) {
	if c.refuses {
		return nil, errDown
	}
	data, err := json.Marshal(v)
	slices.Reverse(data)
	return data, err
}

func (turned) Unmarshal(data []byte, v any) error {
	data = slices.Clone(data)
	slices.Reverse(data)
	return json.Unmarshal(data, v)
}

// G16, G44: a saga within has a codec of its own, for its signals too, and Register looks
// at it wherever it stands.
func TestG16_CodecWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		approval := saga.Await(saga.Step[order]{Name: "ok"}, func(_ context.Context, o *order, text string) error {
			if text == "yes" {
				o.N = 1
			}
			return nil
		})
		sub := func(codec saga.Codec) saga.Step[order] {
			return within("in", saga.MustNewWith(saga.Spec[order]{Name: "in", Codec: codec, Steps: []saga.Step[order]{approval}}))
		}
		def := define("shop", sub(turned{}))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		synctest.Wait()
		require.NoError(t, durable.Signal(bg, e, "r1", "in/ok", "yes"))
		o, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, 1, o.N)
		rec, err := e.Get(bg, "r1")
		require.NoError(t, err)
		i := slices.IndexFunc(rec.Events, func(e durable.Event) bool { return e.Kind == "signal" })
		assert.Equal(t, `"sey"`, string(rec.Events[i].Data))

		child := sub(turned{refuses: true})
		child.Merge = saga.NoMerge[order]
		bad := saga.MustNewWith(saga.Spec[order]{Name: "bad", Clone: wound, Steps: []saga.Step[order]{{Name: "g", Parallel: []saga.Step[order]{child}}}})
		require.ErrorIs(t, durable.Register(e, bad), errDown)
	})
}

// G10, G44: children that are sagas within and fail at the same time keep their numbers, too.
func TestG44_SagasInAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x, y := &stubborn{fails: 99, err: errLost}, &stubborn{fails: 99, err: errLost}
		child := func(name string, s *stubborn) saga.Step[order] {
			c := within(name, define(name, saga.Step[order]{Name: "s", Do: s.attempt, Retry: everySecond}))
			c.Merge = saga.NoMerge[order]
			return c
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

// G13, G34: what the children of a group that has failed wrote is there for the Undos, after
// a restart too.
func TestG13_MergedAndRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []int
		a := say("a")
		a.Undo = func(ctx context.Context, o *order) error {
			if seen = append(seen, o.N); len(seen) == 1 {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return nil
		}
		x := saga.Step[order]{Name: "x", Merge: func(dst, src *order) { dst.N += src.N }, Do: func(_ context.Context, o *order) error {
			o.N = 7
			return saga.Reject(errDown)
		}}
		def := saga.MustNewWith(saga.Spec[order]{Name: "shop", Clone: wound, Steps: []saga.Step[order]{a, {Name: "g", Parallel: []saga.Step[order]{x}}}})
		store := &durable.MemoryStore{}
		e := open(t, store, durable.Config{}, def)
		begin(t, e, def, "r1")
		synctest.Wait()
		shut(t, e)
		o, err := begin(t, open(t, store, durable.Config{}, def), def, "r1").Wait(bg)
		require.ErrorContains(t, err, "(compensated)")
		assert.Equal(t, []int{7, 7}, seen)
		assert.Equal(t, 7, o.N)
	})
}

package durable_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// flaky are sagas that go through what the process can die in.
func flaky() map[string]func(*world) []saga.Step[order] {
	again := func(s saga.Step[order], w *world, fails int) saga.Step[order] {
		undo, n := s.Undo, 0
		s.UndoRetry = saga.Retry{Wait: time.Second, NoJitter: true}
		s.Undo = func(ctx context.Context, o *order) error {
			_ = undo(ctx, o)
			w.mu.Lock()
			defer w.mu.Unlock()
			if n++; n <= fails {
				return errDown
			}
			return nil
		}
		return s
	}
	child := func(s saga.Step[order]) saga.Step[order] {
		s.Merge = func(dst, src *order) { dst.N += src.N }
		return s
	}
	two := func(*order) []order { return make([]order, 2) }
	return map[string]func(*world) []saga.Step[order]{
		"Undo is tried again": func(w *world) []saga.Step[order] {
			return []saga.Step[order]{again(w.step("a"), w, 2), again(w.step("b"), w, 1), w.step("c", errRefused)}
		},
		"Undo in groups is tried again": func(w *world) []saga.Step[order] {
			x, y := child(again(w.step("x"), w, 1)), child(again(w.step("y"), w, 1))
			return []saga.Step[order]{
				within("in", saga.MustNew("in", []saga.Step[order]{again(w.step("s"), w, 1)})),
				{Name: "g", Parallel: []saga.Step[order]{x, y}},
				w.step("c", errRefused),
			}
		},
		"several at the same time": func(w *world) []saga.Step[order] {
			item := saga.MustNew("item", []saga.Step[order]{w.step("x", errLost, nil), w.step("y")})
			return []saga.Step[order]{
				saga.ForEach(saga.Step[order]{Name: "items"}, two, item, nil),
				{Name: "g", Parallel: []saga.Step[order]{child(w.step("p", errLost, nil)), child(w.step("q")), child(w.step("r"))}},
				w.step("c", errRefused),
			}
		},
		"one of several fails": func(w *world) []saga.Step[order] {
			item := saga.MustNew("item", []saga.Step[order]{w.step("x"), w.step("y", errLost, errRefused)})
			return []saga.Step[order]{w.step("a"), saga.ForEach(saga.Step[order]{Name: "items"}, two, item, nil)}
		},
		"groups within groups": func(w *world) []saga.Step[order] {
			sub := saga.MustNewWith(saga.Spec[order]{Name: "in", Clone: wound, Steps: []saga.Step[order]{
				{Name: "g", Parallel: []saga.Step[order]{child(w.step("x")), child(w.step("y"))}},
				saga.Sleep(saga.Step[order]{Name: "s"}, 2*time.Second), w.step("z"),
			}})
			return []saga.Step[order]{saga.ForEach(saga.Step[order]{Name: "items", Limit: 2}, two, sub, nil), w.step("c", errRefused)}
		},
	}
}

// G34: as TestG34_Crashes, for what takes several processes to undo, and what has
// several attempts under way at once. With and without KeepUndoing.
func TestG34_CrashesInGroupsAndRetries(t *testing.T) {
	for name, steps := range flaky() {
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, KeepUndoing %v", name, keep), func(t *testing.T) {
				define := func(w *world) *saga.Saga[order] {
					return saga.MustNewWith(saga.Spec[order]{Name: "checkout", Steps: steps(w), Clone: wound, KeepUndoing: keep})
				}
				for i, first := range deaths(t, nil, define, nil) {
					if i%8 == 0 {
						deaths(t, []death{first}, define, nil)
					}
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

// G34: once an Undo has begun no action is made any more, wherever the process dies.
func TestG34_NoActionAfterUndo(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := range 9 {
			t.Run(fmt.Sprintf("death at write %d, after it: %v", at, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &ledger{}
					b := l.step("b")
					b.Undo = l.fn("undo b", errDown, errDown)
					def := saga.MustNew("checkout", []saga.Step[order]{l.step("a"), b, l.step("c", errRefused, errRefused, errRefused)})
					store := &durable.MemoryStore{}
					dies(t, store, def, death{at, after})
					e := ignite(t, store, durable.Config{}, def)
					_, err := launch(t, e, def).Wait(t.Context())
					require.Error(t, err)
					assert.Equal(t, saga.Compensated, seen(t, e, "r1").Head.Status)
					back := false
					for _, line := range l.all() {
						back = back || line[0] == 'u'
						assert.Equal(t, back, line[0] == 'u', "%v", l.all())
					}
					seal(t, e)
				})
			})
		}
	}
}

// G34: a run that waits for a signal goes on with it wherever the process dies, and
// applies it.
func TestG34_CrashesAroundASignal(t *testing.T) {
	for _, early := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for at := range 6 {
				t.Run(fmt.Sprintf("early %v, death at write %d, after it: %v", early, at, after), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { aroundASignal(t, early, death{at, after}) })
				})
			}
		}
	}
}

func aroundASignal(t *testing.T, early bool, d death) {
	l, dead := &ledger{}, make(chan struct{})
	wait := saga.Await(saga.Step[order]{Name: "w"}, func(_ context.Context, o *order, n int) error {
		l.add("apply %d", n)
		o.N = n
		return nil
	})
	def := saga.MustNew("checkout", []saga.Step[order]{sleep("s"), wait, l.step("b")})
	store := &durable.MemoryStore{}
	e := ignite(t, &mortal{Store: store, left: d.at, after: d.after, died: func() { close(dead) }}, durable.Config{}, def)
	visit := func(e *durable.Engine) error { // what a client does, again and again
		if _, err := durable.Start(t.Context(), e, def, "r1", order{}); err != nil {
			return err
		}
		if !early {
			time.Sleep(2 * time.Hour)
		}
		return durable.SignalWith(t.Context(), e, durable.SignalConfig{Run: "r1", Step: "w", DedupID: "once"}, 7)
	}
	_ = visit(e)
	time.Sleep(3 * time.Hour)
	halt(t, e)
	e = ignite(t, store, durable.Config{}, def)
	require.NoError(t, visit(e))
	run, err := durable.Find(t.Context(), e, def, "r1")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
	defer cancel()
	o, err := run.Wait(ctx)
	require.NoError(t, err, "%v", plain(seen(t, e, "r1")))
	assert.Equal(t, 8, o.N)
	assert.NotEmpty(t, l.all("apply"))
	seal(t, e)
}

// S13, G12: what When has said holds after restarts, whatever it would say then, for
// steps of all kinds.
func TestS13_WhenIsNotAskedAgain(t *testing.T) {
	for _, yes := range []bool{false, true} {
		for kind := range kinds(&ledger{}) {
			t.Run(fmt.Sprintf("%s, %v", kind, yes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					asked := 0
					of := func(answer bool) *saga.Saga[order] {
						l := &ledger{}
						k := kinds(l)[kind]
						k.When = func(*order) bool { asked++; return answer }
						return saga.MustNewWith(spec(l.step("a"), k, sleep("s"), l.step("b")))
					}
					store := &durable.MemoryStore{}
					def := of(yes)
					e := ignite(t, store, durable.Config{}, def)
					launch(t, e, def)
					synctest.Wait()
					require.Equal(t, 1, asked)
					assert.Contains(t, plain(seen(t, e, "r1")), "decided k")
					halt(t, e)
					def = of(!yes)
					e = ignite(t, store, durable.Config{}, def)
					if kind == "await" && yes {
						require.NoError(t, durable.Signal(t.Context(), e, "r1", "k", 1))
					}
					_, err := launch(t, e, def).Wait(t.Context())
					require.NoError(t, err)
					assert.Equal(t, 1, asked)
					events := fmt.Sprint(plain(seen(t, e, "r1")))
					assert.Equal(t, yes, regexp.MustCompile(`(started|done) k`).MatchString(events), events)
					seal(t, e)
				})
			})
		}
	}
}

// G12: wherever the process dies, a step that was left out stays so.
func TestG12_WhenAndCrashes(t *testing.T) {
	for _, after := range []bool{false, true} {
		for at := range 5 {
			t.Run(fmt.Sprintf("death at write %d, after it: %v", at, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, answers := &ledger{}, []bool{}
					b := l.step("b")
					b.When = func(o *order) bool { answers = append(answers, o.N > 1); return o.N > 1 }
					def := saga.MustNew("checkout", []saga.Step[order]{l.step("a"), b, l.step("c"), l.step("d")})
					store := &durable.MemoryStore{}
					dies(t, store, def, death{at, after})
					e := ignite(t, store, durable.Config{}, def)
					_, err := launch(t, e, def).Wait(t.Context())
					require.NoError(t, err)
					assert.NotContains(t, l.all(), "do b")
					assert.NotContains(t, answers, true, "it is never asked once a later step has run")
					seal(t, e)
				})
			})
		}
	}
}

// G26: the Timeout of the Spec counts from the start, also while no process runs.
func TestG26_TimeoutAcrossRestarts(t *testing.T) {
	for name, tt := range map[string]struct {
		down time.Duration
		want []string
	}{
		"just in time": {time.Hour - time.Nanosecond, []string{"do a", "do b"}},
		"over":         {time.Hour, []string{"do a", "undo a"}},
		"long over":    {100 * time.Hour, []string{"do a", "undo a"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				steps := []saga.Step[order]{l.step("a"), saga.Sleep(saga.Step[order]{Name: "s"}, time.Minute), l.step("b")}
				def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Timeout: time.Hour, Steps: steps})
				store := &durable.MemoryStore{}
				e := ignite(t, store, durable.Config{}, def)
				launch(t, e, def)
				synctest.Wait()
				seal(t, e)
				time.Sleep(tt.down)
				e = ignite(t, store, durable.Config{}, def)
				_, err := attach(t, e, def)
				if len(tt.want) > 0 && tt.want[1] == "undo a" {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
				assert.Equal(t, tt.want, l.all())
				seal(t, e)
			})
		})
	}
}

// G26: a run that waits for a signal goes back when its time is over, although
// nothing happens to it.
func TestG26_TimeoutWhileWaitingForASignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		wait := saga.Await(saga.Step[order]{Name: "w"}, func(context.Context, *order, int) error { return nil })
		def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Timeout: time.Hour, Steps: []saga.Step[order]{l.step("a"), wait}})
		e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
		begun := time.Now()
		run := launch(t, e, def)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
		defer cancel()
		_, err := run.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, saga.Compensated, seen(t, e, "r1").Head.Status)
		assert.Equal(t, time.Hour, time.Since(begun))
		assert.Equal(t, []string{"do a", "undo a"}, l.all())
		seal(t, e)
	})
}

// S20: a wall clock that is set back makes nothing early and loses no lease; what
// waits for an instant waits for it.
func TestS20_WallClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c, begun := &lasts{}, &wall{}, time.Now()
		store := &durable.MemoryStore{Clock: c}
		def := saga.MustNew("checkout", []saga.Step[order]{
			w.step("a", 20*time.Minute), saga.Sleep(saga.Step[order]{Name: "s"}, 10*time.Minute), w.step("b", time.Second),
		})
		e := ignite(t, store, durable.Config{Clock: c}, def)
		other := ignite(t, store, durable.Config{Clock: c}, def)
		run := launch(t, e, def)
		time.Sleep(5 * time.Minute)
		c.set(-time.Hour)
		time.Sleep(16 * time.Minute)
		h := seen(t, e, "r1").Head
		assert.Equal(t, uint64(1), h.Epoch, "no lease is lost")
		assert.Equal(t, saga.Waiting, h.Status)
		c.set(-2 * time.Hour)
		_, err := run.Wait(t.Context())
		require.NoError(t, err)
		causes, _ := w.ended()
		assert.Empty(t, causes)
		assert.Len(t, w.called(), 2)
		assert.GreaterOrEqual(t, time.Since(begun), time.Hour+30*time.Minute, "it sleeps at least until it is 10 minutes later on the wall")
		assert.LessOrEqual(t, time.Since(begun), 2*time.Hour+31*time.Minute)
		seal(t, e)
		seal(t, other)
	})
}

// S20: nor does it end an attempt early or late, as its time is not on the wall.
func TestS20_WallClockAndTimeouts(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, c := &lasts{}, &wall{}
				a := w.step("a", time.Hour)
				a.Timeout, a.Retry.Attempts = 10*time.Minute, 1
				def := saga.MustNew("checkout", []saga.Step[order]{a})
				e := ignite(t, &durable.MemoryStore{Clock: c}, durable.Config{Clock: c}, def)
				run := launch(t, e, def)
				time.Sleep(time.Minute)
				c.set(off)
				_, err := run.Wait(t.Context())
				require.ErrorIs(t, err, context.DeadlineExceeded)
				_, at := w.ended()
				assert.Equal(t, []time.Duration{10 * time.Minute}, at)
				seal(t, e)
			})
		})
	}
}

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
)

// A deploy is a saga before and after, while a run sleeps at step s.
type deploy struct {
	before, after func(l *ledger) saga.Spec[order]
	calls         []string // after the deploy
	status        saga.Status
}

func spec(steps ...saga.Step[order]) saga.Spec[order] {
	return saga.Spec[order]{Name: "checkout", Steps: steps, Clone: wound}
}

func sleep(name string) saga.Step[order] { return saga.Sleep(saga.Step[order]{Name: name}, time.Hour) }

// as is a step with former names.
func as(s saga.Step[order], was ...string) saga.Step[order] { s.Was = was; return s }

// last is a step without Undo, and the point of no return.
func last(s saga.Step[order]) saga.Step[order] { s.Undo, s.Pivot = nil, true; return s }

func within(name string, sub *saga.Saga[order]) saga.Step[order] {
	return saga.Sub(saga.Step[order]{Name: name}, sub, func(o *order) order { return order{N: o.N} }, func(o *order, end order) { o.N = end.N })
}

func usual(l *ledger) saga.Spec[order] {
	return spec(l.step("a"), l.step("b"), sleep("s"), l.step("c"))
}

func deploys() map[string]deploy {
	return map[string]deploy{
		"nothing": {usual, usual, []string{"do c"}, saga.Completed},
		"a step removed": {
			usual, func(l *ledger) saga.Spec[order] { return spec(l.step("b"), sleep("s"), l.step("c")) }, nil, saga.Stuck,
		},
		"the step removed where it stands": {
			usual, func(l *ledger) saga.Spec[order] { return spec(l.step("a"), l.step("b"), l.step("c")) }, nil, saga.Stuck,
		},
		"a step removed that was not reached": {
			usual, func(l *ledger) saga.Spec[order] { return spec(l.step("a"), l.step("b"), sleep("s")) }, nil, saga.Completed,
		},
		"renamed": {
			usual, func(l *ledger) saga.Spec[order] { return spec(l.step("a"), l.step("z"), sleep("s"), l.step("c")) }, nil, saga.Stuck,
		},
		"renamed with Was": {
			usual, func(l *ledger) saga.Spec[order] {
				return spec(l.step("a"), as(l.step("z"), "y", "b"), as(sleep("t"), "s"), l.step("c", errRefused))
			}, []string{"do c", "undo z", "undo a"}, saga.Compensated,
		},
		"retired": {
			usual, func(l *ledger) saga.Spec[order] {
				s := spec(l.step("b"), sleep("s"), l.step("c", errRefused))
				s.Retired = []saga.Step[order]{{Name: "a", Undo: l.fn("undo old a")}}
				return s
			}, []string{"do c", "undo b", "undo old a"}, saga.Compensated,
		},
		"retired in the middle, under another name": {
			usual, func(l *ledger) saga.Spec[order] {
				s := spec(l.step("a"), sleep("s"), l.step("c", errRefused))
				s.Retired = []saga.Step[order]{{Name: "old", Was: []string{"b"}, Undo: l.fn("undo old b", errDown), UndoRetry: saga.Retry{Wait: time.Second}}}
				return s
			}, []string{"do c", "undo old b", "undo old b", "undo a"}, saga.Compensated,
		},
		"all retired": {
			usual, func(l *ledger) saga.Spec[order] {
				s := spec(sleep("s"), l.step("c", errRefused))
				s.Retired = []saga.Step[order]{{Name: "b", Undo: l.fn("undo old b")}, {Name: "a", Undo: l.fn("undo old a")}}
				return s
			}, []string{"do c", "undo old b", "undo old a"}, saga.Compensated,
		},
		"retired without Undo": {
			usual, func(l *ledger) saga.Spec[order] {
				s := spec(l.step("b"), sleep("s"), l.step("c", errRefused))
				s.Retired = []saga.Step[order]{{Name: "a"}}
				return s
			}, []string{"do c", "undo b"}, saga.Compensated,
		},
		"another order": {
			usual, func(l *ledger) saga.Spec[order] { return spec(l.step("b"), l.step("a"), sleep("s"), l.step("c")) }, nil, saga.Stuck,
		},
		"another order ahead": {
			func(l *ledger) saga.Spec[order] { return spec(l.step("a"), sleep("s"), l.step("c"), l.step("d")) },
			func(l *ledger) saga.Spec[order] { return spec(l.step("a"), sleep("s"), l.step("d"), l.step("c")) },
			[]string{"do d", "do c"},
			saga.Completed,
		},
		"a step moved behind": {
			usual, func(l *ledger) saga.Spec[order] { return spec(l.step("a"), sleep("s"), l.step("b"), l.step("c")) }, nil, saga.Stuck,
		},
		"a step inserted ahead": {
			usual, func(l *ledger) saga.Spec[order] {
				return spec(l.step("a"), l.step("b"), sleep("s"), l.step("new"), l.step("c"))
			}, []string{"do new", "do c"}, saga.Completed,
		},
		"a step inserted behind": {
			usual, func(l *ledger) saga.Spec[order] {
				return spec(l.step("new"), l.step("a"), l.step("new2"), l.step("b"), l.step("new3"), sleep("s"), l.step("c", errRefused))
			}, []string{"do c", "undo b", "undo a"}, saga.Compensated,
		},
		"the pivot added ahead": {
			usual, func(l *ledger) saga.Spec[order] { return spec(l.step("a"), l.step("b"), sleep("s"), last(l.step("c"))) },
			[]string{"do c"},
			saga.Completed,
		},
		"the pivot added where it was": {
			usual, func(l *ledger) saga.Spec[order] {
				c := l.step("c")
				c.Undo = nil
				return spec(l.step("a"), last(l.step("b")), sleep("s"), c)
			}, nil, saga.Stuck,
		},
		"the pivot removed": {
			func(l *ledger) saga.Spec[order] { return spec(l.step("a"), last(l.step("b")), sleep("s")) },
			usual, nil, saga.Stuck,
		},
		"the pivot moved ahead": {
			func(l *ledger) saga.Spec[order] { return spec(l.step("a"), last(l.step("b")), sleep("s")) },
			func(l *ledger) saga.Spec[order] { return spec(l.step("a"), l.step("b"), sleep("s"), last(l.step("c"))) }, nil, saga.Stuck,
		},
		"the pivot moved back": {
			func(l *ledger) saga.Spec[order] { return spec(l.step("a"), last(l.step("b")), sleep("s")) },
			func(l *ledger) saga.Spec[order] {
				b := l.step("b")
				b.Undo = nil
				return spec(last(l.step("a")), b, sleep("s"))
			}, nil, saga.Stuck,
		},
		"names within a saga within": {
			func(l *ledger) saga.Spec[order] {
				return spec(l.step("a"), within("in", saga.MustNew("in", []saga.Step[order]{l.step("x"), sleep("s"), l.step("y")})))
			},
			func(l *ledger) saga.Spec[order] {
				return spec(l.step("a"), as(within("inner", saga.MustNew("in", []saga.Step[order]{as(l.step("x2"), "x"), sleep("s"), l.step("new"), l.step("y", errRefused)})), "in"))
			},
			[]string{"do new", "do y", "undo new", "undo x2", "undo a"},
			saga.Compensated,
		},
		"a step removed within a saga within": {
			func(l *ledger) saga.Spec[order] {
				return spec(l.step("a"), within("in", saga.MustNew("in", []saga.Step[order]{l.step("x"), sleep("s"), l.step("y")})))
			},
			func(l *ledger) saga.Spec[order] {
				return spec(l.step("a"), within("in", saga.MustNew("in", []saga.Step[order]{sleep("s"), l.step("y")})))
			}, nil, saga.Stuck,
		},
	}
}

// deployed executes a run before and after, and returns the store and what was called
// after.
func deployed(t *testing.T, d deploy, ids ...string) (*durable.MemoryStore, *ledger, *durable.Engine, *saga.Saga[order]) {
	t.Helper()
	store, l := &durable.MemoryStore{}, &ledger{}
	def := saga.MustNewWith(d.before(l))
	e := ignite(t, store, durable.Config{}, def)
	for _, id := range ids {
		_, err := durable.Start(t.Context(), e, def, id, order{})
		require.NoError(t, err)
	}
	time.Sleep(time.Minute)
	seal(t, e)
	l.lines = nil
	def = saga.MustNewWith(d.after(l))
	return store, l, ignite(t, store, durable.Config{}, def), def
}

// G40, S18: steps are found by name. What has no place makes the run stuck, and it
// goes on when the definition has a place for it again.
func TestG40_Changes(t *testing.T) {
	for name, d := range deploys() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, l, e, _ := deployed(t, d, "r1")
				time.Sleep(2 * time.Hour)
				h := seen(t, e, "r1").Head
				assert.Equal(t, d.status, h.Status)
				assert.Equal(t, d.calls, l.all())
				if d.status != saga.Stuck {
					seal(t, e)
					return
				}
				assert.Equal(t, saga.ReasonDefinitionChanged, h.Reason)
				require.NoError(t, e.Resume(t.Context(), "r1", note)) // nothing is mended
				time.Sleep(time.Minute)
				assert.Equal(t, saga.Stuck, seen(t, e, "r1").Head.Status)
				seal(t, e)
				e = ignite(t, store, durable.Config{}, saga.MustNewWith(d.before(l)))
				require.NoError(t, e.Resume(t.Context(), "r1", note))
				time.Sleep(2 * time.Hour)
				assert.Equal(t, saga.Completed, seen(t, e, "r1").Head.Status)
				for _, done := range []string{"do a", "do b", "do x"} {
					assert.NotContains(t, l.all(), done)
				}
				seal(t, e)
			})
		})
	}
}

// S18: a deploy that removed a step leaves runs that were there before stuck, and all
// others go on.
func TestS18_OneRunAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, e, def := deployed(t, deploys()["a step removed"], "r1", "r2")
		run, err := durable.Start(t.Context(), e, def, "r3", order{})
		require.NoError(t, err)
		_, err = run.Wait(t.Context())
		require.NoError(t, err)
		run, err = durable.Find(t.Context(), e, def, "r1")
		require.NoError(t, err)
		_, err = run.Wait(t.Context())
		require.ErrorIs(t, err, saga.ErrStuck)
		var failed *saga.Error
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, saga.ReasonDefinitionChanged, failed.Reason)
		assert.Equal(t, []string{"do b", "do c"}, l.all())
		seal(t, e)
	})
}

// G10, S18: a step that was renamed keeps its keys in runs that began with the old
// name, and so do the steps within it.
func TestG10_KeysAfterARename(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys := map[string][]string{}
		keyed := func(name string, do, undo error) saga.Step[order] {
			fn := func(what string, says error) func(context.Context, *order) error {
				return func(ctx context.Context, _ *order) error {
					info := saga.Info(ctx)
					keys[what] = append(keys[what], info.Key)
					if info.Undoing {
						keys["do of "+what] = append(keys["do of "+what], info.DoKey)
					}
					return says
				}
			}
			return saga.Step[order]{Name: name, Do: fn("do "+name, do), Undo: fn("undo "+name, undo), Retry: saga.Retry{Wait: time.Hour, MaxWait: time.Hour, NoJitter: true}}
		}
		child := func(s saga.Step[order]) saga.Step[order] { s.Merge = saga.NoMerge[order]; return s }
		d := deploy{
			before: func(*ledger) saga.Spec[order] {
				return spec(keyed("a", nil, nil), within("in", saga.MustNew("in", []saga.Step[order]{keyed("x", nil, nil)})),
					saga.Step[order]{Name: "g", Parallel: []saga.Step[order]{child(keyed("p", nil, nil))}}, keyed("b", errLost, nil))
			},
			after: func(*ledger) saga.Spec[order] {
				return spec(as(keyed("a2", nil, nil), "a"), as(within("in2", saga.MustNew("in", []saga.Step[order]{as(keyed("x2", nil, nil), "x")})), "in"),
					as(saga.Step[order]{Name: "g2", Parallel: []saga.Step[order]{as(child(keyed("p2", nil, nil)), "p")}}, "g"), as(keyed("b2", errRefused, nil), "b"))
			},
		}
		store, _, e, def := deployed(t, d, "r1")
		run, err := durable.Find(t.Context(), e, def, "r1")
		require.NoError(t, err)
		_, err = run.Wait(t.Context())
		require.Error(t, err)
		assert.Equal(t, keys["do b"], keys["do b2"])
		for old, renamed := range map[string]string{"a": "a2", "x": "x2", "p": "p2", "b": "b2"} {
			require.Len(t, keys["undo "+renamed], 1, renamed)
			assert.Equal(t, keys["do "+old], keys["do of undo "+renamed])
		}
		assert.Equal(t, []string{"checkout/r1/a/undo"}, keys["undo a2"])
		assert.Equal(t, []string{"checkout/r1/in/x/undo"}, keys["undo x2"])
		seal(t, e)
		_ = store
	})
}

// kinds are steps of all kinds by one name, all of which wait within it or at it.
func kinds(l *ledger) map[string]saga.Step[order] {
	inner := saga.MustNew("inner", []saga.Step[order]{sleep("s")})
	nap := sleep("s")
	nap.Merge = saga.NoMerge[order]
	wait := l.step("k")
	wait.Do, wait.Timeout = nil, time.Hour
	return map[string]saga.Step[order]{
		"do":       l.step("k", errLost),
		"await":    saga.Await(wait, func(context.Context, *order, int) error { return nil }),
		"sleep":    sleep("k"),
		"sub":      within("k", inner),
		"foreach":  saga.ForEach(saga.Step[order]{Name: "k"}, func(*order) []order { return make([]order, 1) }, inner, nil),
		"parallel": {Name: "k", Parallel: []saga.Step[order]{nap}},
	}
}

// G40: a step that is of another kind than that of which something was recorded makes
// the run stuck, whether it waits there, or is past it.
func TestG40_OtherKind(t *testing.T) {
	for _, past := range []bool{false, true} {
		for from := range kinds(&ledger{}) {
			for to := range kinds(&ledger{}) {
				if from == "await" && past { // its signal does not come, so that it is not past it
					continue
				}
				t.Run(fmt.Sprintf("%s to %s, past it: %v", from, to, past), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { otherKind(t, from, to, past) })
				})
			}
		}
	}
}

func otherKind(t *testing.T, from, to string, past bool) {
	of := func(kind string) func(l *ledger) saga.Spec[order] {
		return func(l *ledger) saga.Spec[order] {
			k := kinds(l)[kind]
			if kind == "do" {
				k.Retry = saga.Retry{Wait: time.Hour, MaxWait: time.Hour, NoJitter: true}
			}
			return spec(l.step("a"), k, saga.Sleep(saga.Step[order]{Name: "long"}, 20*time.Hour))
		}
	}
	store, l := &durable.MemoryStore{}, &ledger{}
	def := saga.MustNewWith(of(from)(l))
	e := ignite(t, store, durable.Config{}, def)
	launch(t, e, def)
	time.Sleep(time.Minute)
	if past {
		time.Sleep(2 * time.Hour)
		require.Contains(t, plain(seen(t, e, "r1")), "waiting long")
	}
	seal(t, e)
	l.lines = nil
	e = ignite(t, store, durable.Config{}, saga.MustNewWith(of(to)(l)))
	time.Sleep(60 * time.Hour)
	h := seen(t, e, "r1").Head
	if from != to {
		assert.Equal(t, saga.Stuck, h.Status)
		assert.Equal(t, saga.ReasonDefinitionChanged, h.Reason)
		assert.Empty(t, l.all())
	} else if from != "await" {
		assert.Equal(t, saga.Completed, h.Status)
	}
	seal(t, e)
}

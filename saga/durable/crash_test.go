package durable_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

var errDead = errors.New("the process is dead")

// A mortal is a store whose process dies with a write: before it, or after it.
type mortal struct {
	durable.Store
	mu    sync.Mutex
	left  int // writes until then; negative: it lives for ever
	after bool
	dead  bool
	died  func()
}

func (m *mortal) write(do func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	if m.left != 0 {
		m.left--
		return do()
	}
	m.dead = true
	if m.after {
		_ = do()
	}
	m.died()
	return errDead
}

func (m *mortal) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	return m.write(func() error { return m.Store.Create(ctx, h, ttl, events) })
}

func (m *mortal) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	return m.write(func() error { return m.Store.Append(ctx, at, h, ttl, events) })
}

func (m *mortal) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return durable.Head{}, nil, errDead
	}
	return m.Store.Load(ctx, id)
}

func (m *mortal) Claim(ctx context.Context, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return nil, -1, errDead
	}
	return m.Store.Claim(ctx, req)
}

// A world is what the steps of a saga have their effects on.
type world struct {
	mu    sync.Mutex
	log   []string // every effect: "a", and "-a" when it is undone
	done  map[string]bool
	calls map[string]int
}

func (w *world) act(ctx context.Context, name string, undo bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := saga.Info(ctx).Key
	if w.done == nil {
		w.done, w.calls = map[string]bool{}, map[string]int{}
	}
	if w.calls[key]++; w.done[key] {
		return // the other side knows the key
	}
	w.done[key] = true
	if undo {
		name = "-" + name
		if !w.done[saga.Info(ctx).DoKey] {
			return // nothing to undo
		}
	}
	w.log = append(w.log, name)
}

// step has an effect and then says what it is told to, at its n-th call.
func (w *world) step(name string, says ...error) saga.Step[order] {
	return saga.Step[order]{
		Name: name,
		Do: func(ctx context.Context, o *order) error {
			w.mu.Lock()
			n := w.calls[saga.Info(ctx).Key]
			w.mu.Unlock()
			var err error
			if len(says) > 0 {
				err = says[min(n, len(says)-1)]
			}
			if err == nil || !strings.Contains(err.Error(), "refused") {
				w.act(ctx, name, false)
			} else {
				w.mu.Lock()
				if w.calls == nil {
					w.done, w.calls = map[string]bool{}, map[string]int{}
				}
				w.calls[saga.Info(ctx).Key]++
				w.mu.Unlock()
			}
			o.N++
			return err
		},
		Undo:  func(ctx context.Context, _ *order) error { w.act(ctx, name, true); return nil },
		Retry: saga.Retry{Attempts: 3, Wait: time.Second, NoJitter: true},
	}
}

var (
	errLost    = errors.New("the answer is lost")
	errRefused = saga.Reject(errors.New("refused"))
)

// sagas are what is crashed, with what the effects are in the end.
func sagas() map[string]struct {
	make func(w *world) *saga.Saga[order]
	want []string
} {
	type c = struct {
		make func(w *world) *saga.Saga[order]
		want []string
	}
	of := func(steps ...saga.Step[order]) *saga.Saga[order] {
		return saga.MustNewWith(saga.Spec[order]{Name: "checkout", Steps: steps, Clone: func(o *order) order { return order{slices.Clone(o.Log), o.N} }})
	}
	merge := func(s saga.Step[order]) saga.Step[order] {
		s.Merge = func(dst, src *order) { dst.N += src.N }
		return s
	}
	noUndo := func(s saga.Step[order]) saga.Step[order] { s.Undo = nil; return s }
	pivot := func(s saga.Step[order]) saga.Step[order] { s.Undo, s.Pivot = nil, true; return s }
	sub := func(name string, steps ...saga.Step[order]) saga.Step[order] {
		return saga.Sub(saga.Step[order]{Name: name}, saga.MustNew(name, steps), func(o *order) order { return order{N: o.N} }, func(o *order, end order) { o.N = end.N })
	}
	return map[string]c{
		"completes":       {func(w *world) *saga.Saga[order] { return of(w.step("a"), w.step("b"), w.step("c")) }, []string{"a", "b", "c"}},
		"is refused":      {func(w *world) *saga.Saga[order] { return of(w.step("a"), w.step("b"), w.step("c", errRefused)) }, []string{"a", "b", "-b", "-a"}},
		"loses an answer": {func(w *world) *saga.Saga[order] { return of(w.step("a", errLost, nil), w.step("b")) }, []string{"a", "b"}},
		"loses them all":  {func(w *world) *saga.Saga[order] { return of(w.step("a"), w.step("b", errLost)) }, []string{"a", "b", "-b", "-a"}},
		"has a pivot": {func(w *world) *saga.Saga[order] {
			return of(w.step("a"), pivot(w.step("b", errLost, nil)), noUndo(w.step("c", errLost, nil)))
		}, []string{"a", "b", "c"}},
		"sleeps": {func(w *world) *saga.Saga[order] {
			return of(w.step("a"), saga.Sleep(saga.Step[order]{Name: "s"}, time.Hour), w.step("b"))
		}, []string{"a", "b"}},
		"has one within": {func(w *world) *saga.Saga[order] {
			return of(w.step("a"), sub("in", w.step("x"), w.step("y")), w.step("b", errRefused))
		}, []string{"a", "x", "y", "-y", "-x", "-a"}},
		"has items": {func(w *world) *saga.Saga[order] {
			return of(w.step("a"), saga.ForEach(saga.Step[order]{Name: "items", Limit: 1}, func(*order) []order { return make([]order, 2) },
				saga.MustNew("item", []saga.Step[order]{w.step("x")}), func(o *order, ends []order) { o.N += len(ends) }), w.step("b", errRefused))
		}, nil},
		"has a group": {func(w *world) *saga.Saga[order] {
			return of(w.step("a"), saga.Step[order]{Name: "g", Limit: 1, Parallel: []saga.Step[order]{merge(w.step("x")), merge(w.step("y"))}}, w.step("b"))
		}, []string{"a", "x", "y", "b"}},
		"has a group that fails": {func(w *world) *saga.Saga[order] {
			return of(w.step("a"), saga.Step[order]{Name: "g", Parallel: []saga.Step[order]{merge(w.step("x")), merge(w.step("y", errRefused))}}, w.step("b"))
		}, nil},
	}
}

// G34: wherever the process dies, and however often, every run comes to the end it
// would have come to, or to the one that going back leads to; no effect is left
// half undone, and none comes twice.
func TestG34_Crashes(t *testing.T) {
	for name, c := range sagas() {
		t.Run(name, func(t *testing.T) {
			once := deaths(t, nil, c.make, c.want)
			for _, first := range once {
				deaths(t, []death{first}, c.make, c.want)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// A death is that of a process at its n-th write.
type death struct {
	at    int
	after bool
}

// deaths has a run die everywhere, after it has died before, and returns where it
// could.
func deaths(t *testing.T, before []death, define func(*world) *saga.Saga[order], want []string) (all []death) {
	t.Helper()
	for _, after := range []bool{false, true} {
		for at := 0; ; at++ {
			d, died := death{at, after}, false
			synctest.Test(t, func(t *testing.T) { died = crash(t, append(slices.Clone(before), d), define, want) })
			if t.Failed() || !died {
				break
			}
			all = append(all, d)
		}
	}
	return all
}

// crash executes a run by a process that dies, by another one that does, and so on,
// and at last by one that lives. It reports whether all have died.
func crash(t *testing.T, deaths []death, define func(*world) *saga.Saga[order], want []string) bool {
	t.Helper()
	w := &world{done: map[string]bool{}, calls: map[string]int{}}
	def := define(w)
	store := &durable.MemoryStore{}
	for _, d := range deaths {
		if !dies(t, store, def, d) {
			return false
		}
	}
	e, err := durable.Open(store, durable.Config{})
	require.NoError(t, err)
	require.NoError(t, durable.Register(e, def))
	run, err := durable.Start(t.Context(), e, def, "r1", order{})
	require.NoError(t, err)
	_, err = run.Wait(t.Context())
	rec, failed := e.Get(t.Context(), "r1")
	require.NoError(t, failed)
	story := fmt.Sprintf("%v: %v, %v\n%s", deaths, rec.Head.Status, err, strings.Join(journal(rec), "\n"))
	assert.True(t, rec.Head.Status.Ended(), story)
	balance := map[string]int{}
	for _, line := range w.log {
		if name, undone := strings.CutPrefix(line, "-"); undone {
			balance[name]--
		} else {
			balance[line]++
		}
	}
	for name, n := range balance {
		if rec.Head.Status == saga.Completed {
			assert.Positive(t, n, "%s of %v, %s", name, w.log, story)
		} else {
			assert.Zero(t, n, "%s of %v, %s", name, w.log, story)
		}
	}
	if want != nil {
		assert.Equal(t, want, w.log, story)
	}
	require.NoError(t, e.Close(t.Context()))
	return true
}

func journal(rec *durable.Record) (lines []string) {
	for _, e := range rec.Events {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", e.Kind, e.Step, e.Attempt, e.Err)))
	}
	return lines
}

// dies executes a run by a process that dies, and reports whether it did.
func dies(t *testing.T, store durable.Store, def *saga.Saga[order], d death) bool {
	t.Helper()
	dead := make(chan struct{})
	e, err := durable.Open(&mortal{Store: store, left: d.at, after: d.after, died: func() { close(dead) }}, durable.Config{})
	require.NoError(t, err)
	require.NoError(t, durable.Register(e, def))
	over := make(chan struct{})
	go func() {
		run, err := durable.Start(t.Context(), e, def, "r1", order{})
		if err == nil {
			_, _ = run.Wait(t.Context())
		}
		close(over)
	}()
	select {
	case <-dead:
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_ = e.Close(ended)
		require.NoError(t, e.Close(t.Context()))
		<-over
		return true
	case <-over:
		require.NoError(t, e.Close(t.Context()))
		return false
	}
}

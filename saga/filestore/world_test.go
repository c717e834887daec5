package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A world is what sagas have their effects on: a file with a line for each, which
// outlives the processes, and knows the keys of those that were there.
type world struct {
	dir   string
	file  *os.File
	tells bool // of every effect

	mu  sync.Mutex
	all []string // "do key" and "undo key", the key being that of the action
	had map[string]bool
}

func openWorld(dir string) (*world, error) {
	w := &world{dir: dir, had: map[string]bool{}}
	data, err := os.ReadFile(w.path())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		w.all, w.had[line] = append(w.all, line), true
	}
	w.file, err = os.OpenFile(w.path(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	return w, err
}

// act has an effect, unless it was there, or there is nothing to undo.
func (w *world) act(ctx context.Context) (again bool, err error) {
	info := saga.Info(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	line := "do " + info.Key
	if info.Undoing {
		if line = "undo " + info.DoKey; !w.had["do "+info.DoKey] {
			return false, nil
		}
	}
	if w.had[line] {
		return true, nil
	}
	if _, err := fmt.Fprintln(w.file, line); err != nil { // one write, which a kill does not tear
		return false, err
	}
	w.all, w.had[line] = append(w.all, line), true
	if w.tells {
		fmt.Printf("%s.\n", line)
	}
	return false, nil
}

func (w *world) step(name string) saga.Step[int] {
	do := func(ctx context.Context, n *int) error { *n++; _, err := w.act(ctx); return err }
	fast := saga.Retry{Attempts: -1, Wait: -1}
	return saga.Step[int]{Name: name, Do: do, Undo: do, Retry: fast, UndoRetry: fast}
}

// losing is a step whose first answer is lost.
func (w *world) losing(name string) saga.Step[int] {
	s := w.step(name)
	s.Do = func(ctx context.Context, n *int) error {
		if again, err := w.act(ctx); err != nil || again {
			return err
		}
		return errors.New("the answer is lost")
	}
	return s
}

func (w *world) refusing(name string) saga.Step[int] {
	s := w.step(name)
	s.Do = func(context.Context, *int) error { return saga.Reject(errors.New("refused")) }
	return s
}

// engine opens an engine with the sagas of this world.
func (w *world) engine(store durable.Store) (*durable.Engine, map[string]*saga.Saga[int], error) {
	child := func(s saga.Step[int]) saga.Step[int] { s.Merge = func(dst, src *int) { *dst += *src }; return s }
	pivot := func(s saga.Step[int]) saga.Step[int] {
		s.Pivot, s.Undo, s.UndoRetry = true, nil, saga.Retry{}
		return s
	}
	last := func(s saga.Step[int]) saga.Step[int] { s.Undo, s.UndoRetry = nil, saga.Retry{}; return s }
	inner := saga.MustNew("inner", []saga.Step[int]{w.step("x"), w.step("y")})
	defs := map[string]*saga.Saga[int]{
		"completes": saga.MustNew("completes", []saga.Step[int]{w.step("a"), w.step("b"), w.step("c")}),
		"fails":     saga.MustNew("fails", []saga.Step[int]{w.step("a"), w.losing("b"), w.refusing("c")}),
		"loses":     saga.MustNew("loses", []saga.Step[int]{w.losing("a"), saga.Sub(saga.Step[int]{Name: "in"}, inner, func(n *int) int { return *n }, nil), w.step("c")}),
		"group": saga.MustNew("group", []saga.Step[int]{
			w.step("a"), {Name: "g", Parallel: []saga.Step[int]{child(w.step("x")), child(w.losing("y")), child(w.step("z"))}}, w.refusing("c"),
		}),
		"pivot": saga.MustNew("pivot", []saga.Step[int]{w.step("a"), pivot(w.losing("p")), last(w.losing("c"))}),
	}
	engine, err := durable.Open(store, durable.Config{Lease: -1, MaxCrashes: -1})
	if err != nil {
		return nil, nil, err
	}
	for _, def := range defs {
		if err := durable.Register(engine, def); err != nil {
			return nil, nil, err
		}
	}
	return engine, defs, nil
}

// wrong is what the effects of a run have of a history that is not lawful.
func (w *world) wrong(h durable.Head, status saga.Status) (found []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := map[string]int{"completes": 3, "fails": 2, "loses": 4, "group": 4, "pivot": 3}[h.Saga]
	prefix := h.Saga + "/" + strings.ReplaceAll(h.ID, "/", "%2F") + "/"
	var done []string // and not undone
	all, back := 0, false
	for _, line := range w.all {
		verb, key, _ := strings.Cut(line, " ")
		switch path, ours := strings.CutPrefix(key, prefix); {
		case !ours:
		case verb == "do":
			if all++; back {
				found = append(found, line+" after the run went back")
			}
			done = append(done, path)
		case strings.HasPrefix(path, "g/"): // of a group any order will do
			back, done = true, remove(done, path)
		default:
			if back = true; len(done) == 0 || done[len(done)-1] != path {
				found = append(found, fmt.Sprintf("%s, of %v", line, done))
			}
			done = remove(done, path)
		}
	}
	if all != want {
		found = append(found, fmt.Sprintf("%d effects, want %d", all, want))
	}
	if status == saga.Compensated && len(done) > 0 || status == saga.Completed && (back || len(done) != want) {
		found = append(found, fmt.Sprintf("%v are left, and it is %v", done, status))
	}
	return found
}

func remove(all []string, one string) (rest []string) {
	for _, s := range all {
		if s != one {
			rest = append(rest, s)
		}
	}
	return rest
}

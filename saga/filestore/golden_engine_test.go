package filestore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// goldenJournals is the environment variable that makes TestG40_goldenJournals write a
// golden directory. It is used once for each format of events, which is then read for
// ever.
const goldenJournals = "FILESTORE_TEST_JOURNALS"

// stories are the runs of testdata/journals1.
var stories = []story{
	{saga: "tree", id: "asks", resumes: yes, status: saga.Completed, state: count{5, "yes"}},
	{saga: "linear", id: "plain", ends: true, status: saga.Completed, state: count{N: 3}},
	{
		saga: "linear", id: "compensated", says: map[string][]string{"do b": {"lost"}, "do c": {"refused"}, "undo b": {"lost"}},
		ends: true, status: saga.Compensated, state: count{N: 7},
	},
	{
		saga: "linear", id: "crashed", says: map[string][]string{"do b": {"hangs"}},
		status: saga.Completed, calls: []string{"do b", "do c"}, state: count{N: 3},
	},
	{
		saga: "linear", id: "stopped", says: map[string][]string{"do b": {"hangs", "hangs"}}, then: []func(*durable.Engine, string) error{stop},
		status: saga.Completed, calls: []string{"do b", "do c"}, state: count{N: 3},
	},
	{
		saga: "linear", id: "back", says: map[string][]string{"do c": {"refused"}, "undo b": {"hangs"}},
		status: saga.Compensated, calls: []string{"undo b", "undo a"}, state: count{N: 5},
	},
	{
		saga: "linear", id: "stuck", says: map[string][]string{"do c": {"refused"}, "undo b": {"refused"}}, resumes: resume,
		status: saga.Compensated, calls: []string{"undo b", "undo a"}, state: count{N: 6},
	},
	{
		saga: "linear", id: "skipped", says: map[string][]string{"do c": {"refused"}, "undo b": {"refused"}, "undo a": {"hangs"}},
		then: []func(*durable.Engine, string) error{skip("b")}, status: saga.Compensated, calls: []string{"undo a"}, state: count{N: 5},
	},
	{
		saga: "linear", id: "resumed", says: map[string][]string{"do c": {"refused"}, "undo b": {"refused", "hangs"}},
		then: []func(*durable.Engine, string) error{resume}, status: saga.Compensated, calls: []string{"undo b", "undo a"}, state: count{N: 6},
	},
	{
		saga: "linear", id: "aborted", says: map[string][]string{"do b": {"hangs"}, "undo b": {"hangs"}},
		then: []func(*durable.Engine, string) error{abort}, status: saga.Compensated, calls: []string{"undo b", "undo a"}, state: count{N: 3},
	},
	{
		saga: "linear", id: "abandoned", says: map[string][]string{"do c": {"refused"}, "undo b": {"refused"}},
		then: []func(*durable.Engine, string) error{abandon}, ends: true, status: saga.Abandoned, state: count{N: 4},
	},
	{
		saga: "patient", id: "retries", says: map[string][]string{"do b": {"lost"}},
		status: saga.Completed, calls: []string{"do b"}, state: count{N: 3},
	},
	{
		saga: "pivot", id: "pivot unknown", says: map[string][]string{"do p": {"lost", "lost", "lost"}}, resumes: skip("p"),
		status: saga.Completed, calls: []string{"do z"}, state: count{N: 5},
	},
	{
		saga: "pivot", id: "forward failed", says: map[string][]string{"do z": {"refused"}}, resumes: resume,
		status: saga.Completed, calls: []string{"do z"}, state: count{N: 4},
	},
	{
		saga: "pivot", id: "past the pivot", says: map[string][]string{"do z": {"hangs"}},
		status: saga.Completed, calls: []string{"do z"}, state: count{N: 3},
	},
	{
		saga: "tree", id: "item", says: map[string][]string{"do items/1/x": {"hangs"}}, resumes: yes,
		status: saga.Completed, calls: []string{"do items/1/x", "do g/l", "do g/r"}, state: count{5, "yes"},
	},
	{
		saga: "tree", id: "child", says: map[string][]string{"do g/r": {"hangs"}}, resumes: yes,
		status: saga.Completed, calls: []string{"do g/r"}, state: count{5, "yes"},
	},
	{
		saga: "tree", id: "signalled", says: map[string][]string{"do in/y": {"hangs", "hangs", "hangs"}}, then: []func(*durable.Engine, string) error{yes, stop},
		status: saga.Completed, calls: []string{"do in/y", "do items/0/x", "do items/1/x", "do g/l", "do g/r"}, state: count{6, "yes"},
	},
	{
		saga: "tree", id: "child failed", says: map[string][]string{"do g/r": {"refused"}, "undo in/y": {"hangs"}},
		status: saga.Compensated, calls: []string{"undo in/y", "undo in/x"}, state: count{N: 5},
	},
}

func writeJournals(t *testing.T, dir string) {
	t.Helper()
	var files map[string][]byte
	var journals string
	synctest.Test(t, func(t *testing.T) {
		d := filestore.NewMemDir(nil)
		store, err := filestore.OpenDir(d, filestore.Config{SegmentSize: 32768, Garbage: -1})
		require.NoError(t, err)
		for i := range stories {
			require.NoError(t, stories[i].play(store))
		}
		journals = told(t, store)
		closeStore(t, store)
		files = d.Files()
	})
	files["journals.txt"] = []byte(journals)
	for name, data := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
	}
}

// told is what an engine makes of all journals.
func told(t *testing.T, store durable.Store) string {
	t.Helper()
	engine, err := durable.Open(store, durable.Config{Retain: -1}) // it knows no saga, and executes nothing
	require.NoError(t, err)
	defer func() { require.NoError(t, engine.Close(bg)) }()
	var b strings.Builder
	for _, s := range stories {
		rec, err := engine.Get(bg, s.id)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s, of %s: %v %v\n", s.id, rec.Head.Saga, rec.Head.Status, rec.Head.Reason)
		for _, e := range rec.Events {
			at := e.At.Sub(rec.Events[0].At)
			line := fmt.Sprintf("\t%d %v %s %q %d %v %v %v %q %q %q %s", e.N, at, e.Kind, e.Step, e.Attempt, e.Outcome, e.Tainted, e.Reason, e.Err, e.By, e.Why, e.Data)
			if !e.Wake.IsZero() {
				line += fmt.Sprint(" ", e.Wake.Sub(e.At))
			}
			fmt.Fprintln(&b, strings.TrimRight(line, " "))
		}
	}
	return b.String()
}

// TestG40_goldenJournals: journals that the first release wrote, with all kinds of events
// that there are, are read as they were, and their runs come to the ends that they had.
func TestG40_goldenJournals(t *testing.T) {
	if dir := os.Getenv(goldenJournals); dir != "" {
		writeJournals(t, dir)
		return
	}
	files := golden(t, "journals1")
	synctest.Test(t, func(t *testing.T) {
		store, err := filestore.OpenDir(filestore.NewMemDir(files), filestore.Config{})
		require.NoError(t, err)
		want, err := os.ReadFile(filepath.Join("testdata", "journals1", "journals.txt"))
		require.NoError(t, err)
		assert.Equal(t, string(want), told(t, store))
		complete(t, store)
		time.Sleep(48 * time.Hour) // all that waits for an instant is due
		sc := newScript()
		engine, defs, err := sc.engine(store)
		require.NoError(t, err)
		time.Sleep(2 * time.Hour)
		for _, s := range stories {
			if s.resumes != nil {
				require.NoError(t, s.resumes(engine, s.id), s.id)
			}
			run, err := durable.Find(bg, engine, defs[s.saga], s.id)
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(bg, 100*time.Hour)
			state, err := run.Wait(ctx)
			cancel()
			rec, failed := engine.Get(bg, s.id)
			require.NoError(t, failed)
			assert.Equal(t, s.status, rec.Head.Status, "%s: %v", s.id, err)
			assert.Equal(t, s.state, state, s.id)
			sc.mu.Lock()
			assert.Equal(t, s.calls, sc.log[s.id], s.id)
			sc.mu.Unlock()
		}
		require.NoError(t, engine.Close(bg))
		closeStore(t, store)
	})
}

// complete checks that there are events of all kinds, with all that they may have.
func complete(t *testing.T, store durable.Store) {
	t.Helper()
	has := map[string]bool{}
	for _, s := range stories {
		h, events, err := store.Load(bg, s.id)
		require.NoError(t, err)
		assert.Equal(t, s.ends, h.Status.Ended(), s.id)
		for _, data := range events {
			var e map[string]any
			require.NoError(t, json.Unmarshal(data, &e))
			for field := range e {
				has[field] = true
			}
			has[fmt.Sprint("kind ", e["kind"])] = true
			has[fmt.Sprint("verb ", e["verb"])] = true
			has[fmt.Sprint("of ", e["of"])] = true
		}
	}
	for _, what := range strings.Fields("created started done failed interrupted decided aborting undo-started undo-done undo-failed waiting signal stuck operator ended") {
		assert.True(t, has["kind "+what], what)
	}
	for _, what := range strings.Fields("stop resume skip abort abandon") {
		assert.True(t, has["verb "+what], what)
	}
	for _, what := range strings.Fields("sub foreach parallel sleep await") {
		assert.True(t, has["of "+what], what)
	}
	for _, field := range strings.Fields("kind step of at wake attempt outcome tainted pivot final status reason verb err by why data items") {
		assert.True(t, has[field], field)
	}
}

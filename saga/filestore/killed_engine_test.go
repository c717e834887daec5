package filestore_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// killedDir is the environment variable that makes TestG34_killed a child.
const killedDir = "FILESTORE_TEST_KILLED"

// killSize is how many directories are used, and how often the process that uses one is
// killed.
func killSize() (dirs, kills int) {
	switch {
	case raceEnabled:
		return 2, 20
	case testing.Short():
		return 2, 40
	case os.Getenv("MAINSTAY_DEEP") != "":
		return 400, 50
	}
	return 40, 50
}

// TestG34_killed: a process that executes sagas is killed, and another one goes on,
// until that is killed. In the end all runs have ended as they should, those too that
// were only just started; what was told is so; all is done or all is undone, in
// order.
func TestG34_killed(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		executeUntilKilled(t, dir)
		return
	}
	dirs, kills := killSize()
	var runs, effects, early atomic.Int64
	t.Run("all", func(t *testing.T) {
		for n := range dirs {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				k := &killing{dir: t.TempDir(), random: rand.New(rand.NewPCG(uint64(n), 1)), started: map[string]bool{}, ended: map[string]string{}}
				for life := range kills {
					if k.kill(t, life); t.Failed() {
						return
					}
				}
				r, e := k.check(t)
				runs.Add(int64(r))
				effects.Add(int64(e))
				early.Add(int64(r - len(k.ended)))
			})
		}
	})
	t.Logf("%d kills, %d runs, %d effects, %d of the runs not told to have ended", dirs*kills, runs.Load(), effects.Load(), early.Load())
	assert.Greater(t, runs.Load(), int64(dirs*kills))
}

// A killing is a directory whose users are killed, and what they have told.
type killing struct {
	dir     string
	random  *rand.Rand
	started map[string]bool
	ended   map[string]string // with which status
}

// kill lets a process begin, and kills it a little later.
func (k *killing) kill(t *testing.T, life int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestG34_killed$")
	cmd.Env = append(os.Environ(), killedDir+"="+k.dir, fmt.Sprintf("%s_LIFE=%d", killedDir, life), "GOMAXPROCS=2", "GOGC=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	in, err := cmd.StdinPipe() // it ends when this process does
	require.NoError(t, err)
	defer func() { _ = in.Close() }()
	require.NoError(t, cmd.Start())
	said := bufio.NewScanner(out)
	for n := k.random.IntN(18); n >= 0 && said.Scan(); n-- {
		k.hear(said.Text())
	}
	if wait := time.Duration(k.random.IntN(300)) * time.Microsecond; wait > 100*time.Microsecond {
		for begun := time.Now(); time.Since(begun) < wait; { // a timer is not as exact
		}
	}
	require.NoError(t, cmd.Process.Kill())
	for said.Scan() {
		k.hear(said.Text())
	}
	requireKilled(t, cmd.Wait())
}

func (k *killing) hear(line string) {
	what, rest, _ := strings.Cut(strings.TrimSuffix(line, "."), " ")
	switch id, status, _ := strings.Cut(rest, " "); {
	case !strings.HasSuffix(line, "."): // it was killed as it spoke
	case what == "started":
		k.started[id] = true
	case what == "ended":
		k.ended[id] = status
	}
}

// check brings all runs to their ends, and looks at them.
func (k *killing) check(t *testing.T) (runs, effects int) {
	t.Helper()
	w, err := openWorld(k.dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, w.file.Close()) }()
	store, err := filestore.Open(k.dir, killedConfig)
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close(bg)) }()
	engine, defs, err := w.engine(store)
	require.NoError(t, err)
	defer func() { require.NoError(t, engine.Close(bg)) }()
	seen := map[string]bool{}
	for h, err := range engine.List(bg, durable.Query{}) {
		require.NoError(t, err)
		runs++
		seen[h.ID] = true
		run, err := durable.Find(bg, engine, defs[h.Saga], h.ID)
		require.NoError(t, err)
		_, _ = run.Wait(bg)
		rec, err := engine.Get(bg, h.ID)
		require.NoError(t, err)
		status := rec.Head.Status
		require.NoError(t, sagatest.CheckLaw(defs[h.Saga].Plan(), rec), h.ID)
		assert.Equal(t, endOf(h.Saga), status, h.ID)
		if told, ok := k.ended[h.ID]; ok {
			assert.Equal(t, told, status.String(), h.ID)
		}
		assert.Empty(t, w.wrong(h, status), h.ID)
	}
	for id := range k.started {
		assert.True(t, seen[id], "%s was acknowledged, and is gone", id)
	}
	return runs, len(w.all)
}

// executeUntilKilled executes what there is and starts more, until it is killed.
func executeUntilKilled(t *testing.T, dir string) {
	t.Helper()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1) // the parent has gone
	}()
	w, err := openWorld(dir)
	require.NoError(t, err)
	w.tells = true
	store, err := filestore.Open(dir, killedConfig)
	require.NoError(t, err)
	engine, defs, err := w.engine(store)
	require.NoError(t, err)
	slots := make(chan struct{}, 3) // runs at a time, so that some end before the next kill
	follow := func(name, id string) {
		defer func() { <-slots }()
		run, err := durable.Find(bg, engine, defs[name], id)
		if !assert.NoError(t, err) {
			return
		}
		_, _ = run.Wait(bg)
		_, h, err := run.State(bg)
		assert.NoError(t, err)
		fmt.Printf("ended %s %s.\n", id, h.Status)
	}
	for h, err := range engine.List(bg, durable.Query{}) {
		require.NoError(t, err)
		if !h.Status.Ended() {
			slots <- struct{}{}
			go follow(h.Saga, h.ID)
		}
	}
	life := os.Getenv(killedDir + "_LIFE")
	n, err := strconv.Atoi(life)
	require.NoError(t, err)
	names := []string{"completes", "fails", "loses", "group", "pivot"}
	for i := 0; ; i++ {
		slots <- struct{}{}
		name := names[(n+i)%len(names)]
		id := fmt.Sprintf("%s/%s.%d", name, life, i)
		_, err := durable.Start(bg, engine, defs[name], id, 0)
		require.NoError(t, err)
		fmt.Printf("started %s.\n", id)
		go follow(name, id)
	}
}

var killedConfig = filestore.Config{SegmentSize: 100_000, Garbage: 0.3}

// endOf is how runs of a saga of a world end.
func endOf(name string) saga.Status {
	if name == "fails" || name == "group" {
		return saga.Compensated
	}
	return saga.Completed
}

func (w *world) path() string { return filepath.Join(w.dir, "effects") }

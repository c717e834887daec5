package filestore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// poisonDir is the environment variable that makes TestG35_poison a child.
const poisonDir = "FILESTORE_TEST_POISON"

// TestG35_poison: a step kills its process, really, again and again, until its run is
// parked. Of the others, which are started anew in every life, none is, and the last
// process lives.
func TestG35_poison(t *testing.T) {
	if dir := os.Getenv(poisonDir); dir != "" {
		executePoison(t, dir)
		return
	}
	dir, deaths := t.TempDir(), 0
	for ; deaths < 10; deaths++ {
		cmd := exec.Command(os.Args[0], "-test.run=^TestG35_poison$")
		cmd.Env = append(os.Environ(), poisonDir+"="+dir, fmt.Sprintf("%s_LIFE=%d", poisonDir, deaths))
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		requireKilled(t, err, string(out))
	}
	assert.Equal(t, 3, deaths, "what Config.MaxCrashes is by default")
	store := open(t, dir, filestore.Config{})
	for h, err := range allHeads(store) {
		require.NoError(t, err)
		if h.Saga == "poison" {
			assert.Equal(t, saga.Stuck, h.Status)
			assert.Equal(t, saga.ReasonCrashLoop, h.Reason)
			assert.Equal(t, "kills", h.Step)
		} else {
			assert.Equal(t, saga.Completed, h.Status, h.ID)
		}
	}
	assert.Equal(t, 1+10*(deaths+1), store.Stats().Runs)
}

// allHeads are the heads in a store, of which there are few.
func allHeads(store *filestore.Store) func(func(durable.Head, error) bool) {
	return func(yield func(durable.Head, error) bool) {
		heads, _, err := store.List(bg, durable.Query{Limit: 1000})
		for _, h := range heads {
			if !yield(h, err) {
				return
			}
		}
	}
}

// executePoison executes the poison saga, which kills the process when three of each ten
// others are in the midst of a step, and the rest has ended.
func executePoison(t *testing.T, dir string) {
	t.Helper()
	store, err := filestore.Open(dir, filestore.Config{})
	require.NoError(t, err)
	engine, err := durable.Open(store, durable.Config{Lease: -1})
	require.NoError(t, err)
	life := os.Getenv(poisonDir + "_LIFE")
	var left atomic.Int64 // what the poison waits for
	left.Store(10)
	quiet := make(chan struct{})
	do := func(ctx context.Context, n *int) error {
		*n++
		if info := saga.Info(ctx); info.Step == "b" && strings.HasPrefix(info.Run, life+".") {
			if left.Add(-1) == 0 {
				close(quiet)
			}
			if *n == 2 && strings.HasSuffix(info.Run, "!") { // in flight when the process dies
				select {
				case <-ctx.Done():
				case <-time.After(time.Second): // it does not die any more
				}
			}
		}
		return nil
	}
	good := saga.MustNew("good", []saga.Step[int]{{Name: "a", Do: do}, {Name: "b", Do: do}, {Name: "c", Do: do}})
	poison := saga.MustNew("poison", []saga.Step[int]{{Name: "kills", Do: func(context.Context, *int) error {
		<-quiet
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			return err
		}
		return self.Kill()
	}}})
	require.NoError(t, durable.Register(engine, good))
	require.NoError(t, durable.Register(engine, poison))
	bad, err := durable.Start(bg, engine, poison, "poison", 0)
	require.NoError(t, err)
	for i := range 10 {
		id := fmt.Sprintf("%s.%d", life, i)
		if i%3 == 0 {
			id += "!"
		}
		_, err := durable.Start(bg, engine, good, id, 0)
		require.NoError(t, err)
	}
	_, err = bad.Wait(bg) // if it is parked this process lives
	require.ErrorIs(t, err, saga.ErrStuck)
	for h, err := range allHeads(store) {
		require.NoError(t, err)
		if h.Saga == "good" {
			run, err := durable.Find(bg, engine, good, h.ID)
			require.NoError(t, err)
			_, err = run.Wait(bg)
			require.NoError(t, err, h.ID)
		}
	}
	require.NoError(t, engine.Close(bg))
	require.NoError(t, store.Close(bg))
}

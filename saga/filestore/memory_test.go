package filestore_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// TestG50_memoryOfRuns: a run that waits takes less than 1 KiB, whatever is in its
// journal, also after a restart.
func TestG50_memoryOfRuns(t *testing.T) {
	if raceEnabled {
		return
	}
	const runs = 20_000
	dir := t.TempDir()
	cfg := filestore.Config{NoSync: true}
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	s := open(t, dir, cfg)
	for i := range runs {
		h := head(fmt.Sprintf("order-%d", i))
		h.Status, h.WakeAt = saga.Waiting, time.Now().Add(time.Hour)
		require.NoError(t, s.Create(bg, h, 0, [][]byte{make([]byte, 1500)}))
	}
	check := func() {
		t.Helper()
		perRun := (float64(used()) - float64(before) - 16<<20) / runs // 16 MiB: what a log may keep to write with
		require.Less(t, perRun, 1024.0)
		require.Equal(t, runs, s.Stats().Runs)
	}
	check()
	closeStore(t, s)
	s = open(t, dir, cfg)
	check()
}

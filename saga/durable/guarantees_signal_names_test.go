package durable_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A step has one signal, by whatever name it is called.
func TestG16_SignalByAFormerName(t *testing.T) {
	for _, names := range [][2]string{{"approve", "ok"}, {"ok", "approve"}} {
		t.Run(names[0], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ok := approval("ok", 0)
				ok.Was = []string{"approve"}
				def := define("shop", say("a"), saga.Sleep(saga.Step[order]{Name: "s"}, time.Hour), ok, approval("last", 0))
				store := &durable.MemoryStore{}
				e := open(t, store, durable.Config{}, def)
				run := begin(t, e, def, "r1")
				synctest.Wait()
				first := durable.SignalConfig{Run: "r1", Step: names[0], DedupID: "m1"}
				require.NoError(t, durable.SignalWith(bg, e, first, "yes"))
				require.ErrorIs(t, durable.Signal(bg, e, "r1", names[1], "no"), durable.ErrConflict)
				first.Step = names[1]
				require.NoError(t, durable.SignalWith(bg, e, first, "yes"), "one DedupID")
				time.Sleep(2 * time.Hour)
				require.NoError(t, durable.Signal(bg, e, "r1", "last", "yes"))
				end, err := run.Wait(bg)
				require.NoError(t, err)
				assert.Equal(t, []string{"do a", "ok yes", "last yes"}, end.Log)
			})
		})
	}
}

// An element that is none gets no signal, and the run is none the worse for it.
func TestG16_SignalForNoElement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		within := define("within", approval("ok", time.Hour))
		def := define("shop", saga.ForEach(saga.Step[order]{Name: "all"}, func(*order) []order { return make([]order, 2) }, within, nil))
		e := open(t, &durable.MemoryStore{}, durable.Config{}, def)
		run := begin(t, e, def, "r1")
		synctest.Wait()
		for _, path := range []string{"all/x/ok", "all/-1/ok", "all//ok", "all/0/nix", "all/0", "all/ok", "all/00/ok", "all/+1/ok"} {
			require.ErrorIs(t, durable.Signal(bg, e, "r1", path, "yes"), durable.ErrNotFound, path)
		}
		_ = durable.Signal(bg, e, "r1", "all/99/ok", "yes") // nobody knows how many there will be
		require.NoError(t, durable.Signal(bg, e, "r1", "all/1/ok", "yes"))
		require.NoError(t, durable.Signal(bg, e, "r1", "all/0/ok", "yes"))
		_, err := run.Wait(bg)
		require.NoError(t, err)
	})
}

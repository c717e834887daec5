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

// When the store says that it failed, and it has not, the run is there.
func TestG31_WrittenAfterAll(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opened := make(chan struct{})
				def := define("shop", held("a", opened))
				store := &meddler{Store: &durable.MemoryStore{}}
				e := open(t, store, durable.Config{MaxRunning: way.running}, def)
				crowd(t, e, def, way.running)
				store.created.is(func() error { return errStore })
				run, err := durable.StartWith(bg, e, def, durable.StartConfig{ID: "r1", Delay: way.delay}, order{})
				require.NoError(t, err)
				close(opened)
				end, err := run.Wait(bg)
				require.NoError(t, err)
				assert.Equal(t, []string{"do a"}, end.Log)
			})
		})
	}
}

// When the store fails, and there is a run already, that is what it is about.
func TestG31_TakenBehindAnError(t *testing.T) {
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opened := make(chan struct{})
				def := define("shop", held("a", opened))
				memory := &durable.MemoryStore{}
				begin(t, open(t, memory, durable.Config{}, def), def, "r1")
				store := &meddler{Store: memory}
				e := open(t, store, durable.Config{MaxRunning: way.running}, def)
				crowd(t, e, def, way.running)
				store.create.is(func() error { return errStore })
				cfg := durable.StartConfig{ID: "r1", Delay: way.delay}
				run, err := durable.StartWith(bg, e, def, cfg, order{})
				require.NoError(t, err)
				_, err = durable.StartWith(bg, e, def, cfg, order{N: 1})
				require.ErrorIs(t, err, durable.ErrConflict)
				close(opened)
				_, err = run.Wait(bg)
				require.NoError(t, err)
			})
		})
	}
}

// Start of a run that there is does not hold it up.
func TestG31_StartHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		def := define("shop", saga.Sleep(saga.Step[order]{Name: "s"}, time.Hour), say("a"))
		store := &meddler{Store: &durable.MemoryStore{}}
		e := open(t, store, durable.Config{}, def)
		begun := time.Now()
		run := begin(t, e, def, "r1")
		time.Sleep(time.Hour - time.Millisecond)
		store.create.is(func() error { time.Sleep(2 * time.Millisecond); return nil })
		begin(t, e, def, "r1")
		_, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Equal(t, time.Hour+time.Millisecond, time.Since(begun))
	})
}

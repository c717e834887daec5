package filestore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// G32: an engine whose store has failed for good starts no step that it could not
// record, also when it is closed in a hurry.
func TestS19_NoStepThatIsNotRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := filestore.NewMemDir(nil)
		store, err := filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		var second atomic.Bool
		def := saga.MustNew("two", []saga.Step[order]{
			{Name: "a", Do: func(context.Context, *order) error { return nil }},
			{Name: "b", Do: func(context.Context, *order) error { second.Store(true); return nil }},
		})
		syncs := 0
		d.Before = func(op, _ string) error {
			if op == "sync" {
				if syncs++; syncs == 2 { // "a is done, b is started"
					return errDisk
				}
			}
			return nil
		}
		engine, err := durable.Open(store, durable.Config{})
		require.NoError(t, err)
		require.NoError(t, durable.Register(engine, def))
		_, err = durable.Start(bg, engine, def, "r", order{})
		require.NoError(t, err)
		synctest.Wait()
		require.False(t, second.Load())
		ctx, cancel := context.WithCancel(bg)
		cancel()
		_ = engine.Close(ctx)
		synctest.Wait()
		require.NoError(t, store.Close(bg))
		require.False(t, second.Load(), "its start was never recorded")
	})
}

package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

type order struct{ Reserved, Charged bool }

// A store and an engine: what is started is finished, if need be by the next
// process.
func Example() {
	dir, remove := tempDir()
	defer remove()
	ctx := context.Background()
	checkout := saga.MustNew("checkout", []saga.Step[order]{
		{Name: "reserve", Do: func(_ context.Context, o *order) error { o.Reserved = true; return nil }},
		{Name: "charge", Do: func(_ context.Context, o *order) error { o.Charged = true; return nil }},
	})

	store, err := filestore.Open(dir, filestore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close(ctx) }()
	engine, err := durable.Open(store, durable.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = engine.Close(ctx) }() // before the store
	if err := durable.Register(engine, checkout); err != nil {
		fmt.Println(err)
		return
	}
	run, err := durable.Start(ctx, engine, checkout, "order-42", order{})
	if err != nil {
		fmt.Println(err)
		return
	}
	end, err := run.Wait(ctx)
	fmt.Println(end.Reserved, end.Charged, err)
	// Output:
	// true true <nil>
}

// TestS19_failedSync: the n-th sync fails. Start has ErrFailed, or the step that
// waited for it goes no further, and no other Do starts; when the directory is opened
// again the run is resumed.
func TestS19_failedSync(t *testing.T) {
	for n := range 5 {
		synctest.Test(t, func(t *testing.T) {
			d := filestore.NewMemDir(nil)
			store, err := filestore.OpenDir(d, filestore.Config{})
			require.NoError(t, err)
			var done [3]atomic.Int32
			var failed atomic.Bool
			do := func(i int) func(context.Context, *order) error {
				return func(context.Context, *order) error {
					require.False(t, failed.Load(), "sync %d, step %d", n, i)
					done[i].Add(1)
					return nil
				}
			}
			def := saga.MustNew("three", []saga.Step[order]{{Name: "a", Do: do(0)}, {Name: "b", Do: do(1)}, {Name: "c", Do: do(2)}})
			syncs := 0
			d.Before = func(op, _ string) error {
				if op == "sync" {
					if syncs++; syncs == n+1 {
						failed.Store(true)
						return errDisk
					}
				}
				return nil
			}
			engine, err := durable.Open(store, durable.Config{})
			require.NoError(t, err)
			require.NoError(t, durable.Register(engine, def))
			_, err = durable.Start(bg, engine, def, "r", order{})
			if n == 0 {
				require.ErrorIs(t, err, filestore.ErrFailed)
			} else {
				require.NoError(t, err)
			}
			synctest.Wait()
			failed.Store(false)
			ctx, cancel := context.WithCancel(bg)
			cancel() // the engine cannot record anything: it is not waited for
			_ = engine.Close(ctx)
			synctest.Wait()
			_ = store.Close(bg)

			d.Before = nil
			store, err = filestore.OpenDir(d.Crash(true, func() bool { return n%2 == 0 }), filestore.Config{})
			require.NoError(t, err)
			engine, err = durable.Open(store, durable.Config{})
			require.NoError(t, err)
			require.NoError(t, durable.Register(engine, def))
			run, err := durable.Find(bg, engine, def, "r")
			if n == 0 && errors.Is(err, durable.ErrNotFound) {
				run, err = durable.Start(bg, engine, def, "r", order{})
			}
			require.NoError(t, err)
			_, err = run.Wait(bg)
			require.NoError(t, err)
			for i := range done {
				require.Positive(t, done[i].Load())
			}
			require.NoError(t, engine.Close(bg))
			require.NoError(t, store.Close(bg))
		})
	}
}

package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// tempDir is a directory for an example, and what removes it.
func tempDir() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "filestore")
	if err != nil {
		panic(err)
	}
	return dir, func() { _ = os.RemoveAll(dir) }
}

// tempStore is a store for an example, and what closes and removes it.
func tempStore() (store *filestore.Store, remove func()) {
	dir, removeDir := tempDir()
	store, err := filestore.Open(dir, filestore.Config{Garbage: -1})
	if err != nil {
		panic(err)
	}
	return store, func() {
		_ = store.Close(context.Background())
		removeDir()
	}
}

// A store is opened, an engine would now work with it, and it is closed.
func ExampleOpen() {
	dir, remove := tempDir()
	defer remove()
	ctx := context.Background()

	store, err := filestore.Open(dir, filestore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close(ctx) }()

	_, err = filestore.Open(dir, filestore.Config{})
	fmt.Println("again:", errors.Is(err, filestore.ErrLocked))

	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Running, WakeAt: time.Now()}
	fmt.Println("created:", store.Create(ctx, run, 0, [][]byte{[]byte("first event")}))
	head, events, err := store.Load(ctx, "order-42")
	fmt.Println("loaded:", head.Status, head.Rev, string(events[0]), err)
	// Output:
	// again: true
	// created: <nil>
	// loaded: running 1 first event <nil>
}

// A store is closed, and what it has acknowledged is there when it is opened again.
func ExampleStore_Close() {
	dir, remove := tempDir()
	defer remove()
	ctx := context.Background()
	store, err := filestore.Open(dir, filestore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = store.Create(ctx, durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Stuck}, 0, nil)
	fmt.Println(err)

	patience, cancel := context.WithTimeout(ctx, 10*time.Second) // for calls under way
	defer cancel()
	fmt.Println(store.Close(patience))
	_, _, err = store.Load(ctx, "order-42")
	fmt.Println(errors.Is(err, durable.ErrClosed))

	store, err = filestore.Open(dir, filestore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("runs:", store.Stats().Runs)
	fmt.Println(store.Close(ctx))
	// Output:
	// <nil>
	// <nil>
	// true
	// runs: 1
	// <nil>
}

// A directory is looked at while it is in use: by a check of health, or before a
// backup is trusted.
func ExampleVerify() {
	dir, remove := tempDir()
	defer remove()
	ctx := context.Background()
	store, err := filestore.Open(dir, filestore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = store.Close(ctx) }()
	err = store.Create(ctx, durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Completed}, 0, nil)
	fmt.Println(err)

	st, err := filestore.Verify(dir)
	fmt.Println(st.Runs, "run,", st.Unended, "unended:", err)

	damage(dir)
	_, err = filestore.Verify(dir)
	var corrupt *filestore.CorruptError
	if errors.As(err, &corrupt) {
		fmt.Println(corrupt.File, errors.Is(err, filestore.ErrCorrupt))
	}
	// Output:
	// <nil>
	// 1 run, 0 unended: <nil>
	// 00000001.saga true
}

// damage changes a byte of the first segment of a directory.
func damage(dir string) {
	f, err := os.OpenFile(dir+"/00000001.saga", os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt([]byte{'?'}, 200)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		panic(err)
	}
}

// Runs that were deleted leave dead bytes behind. What the store does by itself
// when a file is mostly dead, Compact does at once and to the end.
func ExampleStore_Compact() {
	store, remove := tempStore()
	defer remove()
	ctx := context.Background()
	var err error
	for i := range 100 {
		id := fmt.Sprintf("order-%d", i)
		err = errors.Join(err, store.Create(ctx, durable.Head{ID: id, Saga: "checkout", Status: saga.Completed}, 0, nil))
		if i > 0 {
			err = errors.Join(err, store.Delete(ctx, id, 1))
		}
	}
	fmt.Println(err)

	fmt.Println("dead:", store.Stats().Dead > 0)
	fmt.Println(store.Compact(ctx))
	fmt.Println("dead:", store.Stats().Dead, "runs:", store.Stats().Runs)
	// Output:
	// <nil>
	// dead: true
	// <nil>
	// dead: 0 runs: 1
}

// What a monitor shows of a store.
func ExampleStore_Stats() {
	store, remove := tempStore()
	defer remove()
	ctx := context.Background()
	run := durable.Head{ID: "order-42", Saga: "checkout", Status: saga.Running}
	err := store.Create(ctx, run, 0, nil)
	run.Status = saga.Completed
	fmt.Println(errors.Join(err, store.Append(ctx, 1, run, 0, nil)))

	st := store.Stats()
	fmt.Println("runs:", st.Runs, "unended:", st.Unended, "segments:", st.Segments)
	fmt.Println("records:", st.Records, "bytes:", st.Bytes > 0, "cut off:", st.CutOff)
	fmt.Println("failed:", st.Err)
	// Output:
	// <nil>
	// runs: 1 unended: 0 segments: 1
	// records: 2 bytes: true cut off: 0
	// failed: <nil>
}

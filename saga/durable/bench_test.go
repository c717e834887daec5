package durable_test

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// BenchmarkRun starts runs of five trivial steps on a MemoryStore and waits for them,
// some at a time.
func BenchmarkRun(b *testing.B) {
	ok := func(context.Context, *order) error { return nil }
	var steps []saga.Step[order]
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		steps = append(steps, saga.Step[order]{Name: name, Do: ok, Undo: ok})
	}
	def := saga.MustNew("checkout", steps)
	e, err := durable.Open(&durable.MemoryStore{}, durable.Config{})
	if err == nil {
		err = durable.Register(e, def)
	}
	if err != nil {
		b.Fatal(err)
	}
	var id atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			run, err := durable.Start(bg, e, def, strconv.FormatInt(id.Add(1), 10), order{})
			if err == nil {
				_, err = run.Wait(bg)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	if err := e.Close(bg); err != nil {
		b.Fatal(err)
	}
}

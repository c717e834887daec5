package sagabench

import (
	"strconv"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// What a run takes that sleeps.
var memoryRows = []bench.Memory{
	{
		Name:  "One of 100,000 sleeping runs, filestore",
		Note:  "It has made a step and sleeps for a day. All of the heap is counted, that of the engine and that of the store; the journal is on disk.",
		N:     100_000,
		Limit: 1024,
		Ours: bench.MemoryCase{Name: "mainstay, filestore", Prepare: func(n int) func() any {
			return func() any {
				dir, remove := directory()
				store := got(filestore.Open(dir, filestore.Config{NoSync: true}))
				e := asleep(store, n)
				return sleepers(func() error {
					defer remove()
					must(e.Close(background))
					return store.Close(background)
				})
			}
		}},
	},
	{
		Name: "One of 100,000 sleeping runs, MemoryStore",
		Note: "The same with a store that keeps the journals in memory, too.",
		N:    100_000,
		Ours: bench.MemoryCase{Name: "mainstay, MemoryStore", Prepare: func(n int) func() any {
			return func() any {
				e := asleep(&durable.MemoryStore{}, n)
				return sleepers(func() error { return e.Close(background) })
			}
		}},
	},
}

// sleepers are what has to be closed in the end.
type sleepers func() error

func (s sleepers) Close() error { return s() }

// asleep is an engine with n runs that sleep.
func asleep(store durable.Store, n int) *durable.Engine {
	e := got(durable.Open(store, durable.Config{}))
	def := saga.MustNew(sagaName, []saga.Step[int]{
		{Name: "a", Do: count, Undo: uncount},
		saga.Sleep(saga.Step[int]{Name: "b"}, 24*time.Hour),
		{Name: "c", Do: count},
	})
	must(durable.Register(e, def))
	each(n, func(i int) { got(durable.Start(background, e, def, "order-"+strconv.Itoa(i), 0)) })
	for sleeping(e) < n {
		time.Sleep(10 * time.Millisecond)
	}
	return e
}

func sleeping(e *durable.Engine) (n int) {
	for _, err := range e.List(background, durable.Query{Status: []saga.Status{saga.Waiting}, Limit: 1000}) {
		must(err)
		n++
	}
	return n
}

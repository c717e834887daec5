package sagabench

import (
	"context"
	"errors"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// oursInMemory is Run, without an engine.
func oursInMemory(steps int, rejected bool) bench.Case {
	return bench.Case{Name: "mainstay Run", New: func() bench.Run {
		all := make([]saga.Step[int], steps)
		for i := range all {
			all[i] = saga.Step[int]{Name: stepNames[i], Do: count, Undo: uncount}
		}
		if rejected {
			no := saga.Reject(errNo)
			all[steps-1].Do = func(context.Context, *int) error { return no }
		}
		def := saga.MustNew(sagaName, all)
		return inMemory(steps, rejected, func(n *int) error { return def.Run(background, n) })
	}}
}

// oursSaga is the saga of the durable rows.
func oursSaga(l load, m *made) *saga.Saga[int] {
	all := make([]saga.Step[int], durableSteps)
	for i := range all {
		all[i] = saga.Step[int]{
			Name: stepNames[i],
			Do: func(_ context.Context, n *int) (err error) {
				*n, err = m.step(l, i, *n)
				return saga.Reject(err)
			},
			Undo: func(_ context.Context, n *int) error {
				m.undo()
				*n--
				return nil
			},
		}
	}
	return saga.MustNew(sagaName, all)
}

// oursOn executes sagas in an engine on a store.
func oursOn(store durable.Store, l load, m *made) engine {
	e := got(durable.Open(store, durable.Config{MaxRunning: max(64, l.inFlight)}))
	def := oursSaga(l, m)
	must(durable.Register(e, def))
	return engine{
		run: func(id string) (int, error) {
			run, err := durable.Start(background, e, def, id, 0)
			if err != nil {
				return 0, err
			}
			n, err := run.Wait(background)
			if errors.Is(err, saga.ErrStuck) || err != nil && n != 0 {
				return n, errors.New("it has not gone back")
			}
			return n, err
		},
		close: func() { must(e.Close(background)) },
	}
}

func oursInStore(l load, m *made) engine { return oursOn(&durable.MemoryStore{}, l, m) }

func oursOnFiles(l load, m *made) engine {
	dir, remove := directory()
	store := got(filestore.Open(dir, filestore.Config{}))
	e := oursOn(store, l, m)
	engineClose := e.close
	e.close = func() {
		engineClose()
		must(store.Close(background))
		remove()
	}
	e.saw = func(sagas int) error {
		s := store.Stats()
		return want(s.Runs == sagas && s.Unended == 0 && s.Syncs > 0,
			"there are %d runs, not %d, of which %d have not ended, after %d syncs", s.Runs, sagas, s.Unended, s.Syncs)
	}
	return e
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// An orderService takes orders, and executes the saga for each. What it knows is in
// the journal in its directory, so that it can crash and go on where it was.
type orderService struct {
	dir    string
	def    *saga.Saga[Purchase]
	topics *topics
	tempo  tempo
	random func() uint64
	server *server // its handler is that of this service

	turn sync.Mutex // is held by who opens or closes it

	mu     sync.Mutex
	work   *work            // nil: it has crashed, or was not opened
	orders map[string]Order // those whose end will be told
	starts int              // how often it was opened
}

// A work is an engine on the store in a directory.
type work struct {
	engine *durable.Engine
	store  *filestore.Store
	broken *atomic.Bool // every call of the store fails
}

var errBroken = errors.New("the disk is gone")

// open opens the journal, goes on with the runs in it, and lets customers in. It does
// nothing if the service is open.
func (s *orderService) open(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.working() != nil {
		return nil
	}
	store, err := filestore.Open(s.dir, filestore.Config{})
	if err != nil {
		return err
	}
	broken := new(atomic.Bool)
	// It stands in for a disk that fails: a process cannot crash and be looked at.
	faulty := &sagatest.FaultStore{Store: store, Before: func(string, int) error {
		if broken.Load() {
			return errBroken
		}
		return nil
	}}
	engine, err := durable.Open(faulty, s.config())
	if err != nil {
		return errors.Join(err, store.Close(ctx))
	}
	w := &work{engine, store, broken}
	if err = durable.Register(engine, s.def); err == nil { // runs that were left go on
		err = s.remember(ctx, engine)
	}
	if err != nil {
		return errors.Join(err, w.close(ctx))
	}
	if err = s.server.start(ctx); err != nil {
		return errors.Join(err, w.close(ctx))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.work = w
	s.starts++
	return nil
}

// working is the engine with its store, nil if the service is not open.
func (s *orderService) working() *work {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.work
}

// stop is the end of working.
func (s *orderService) stop() *work {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.work
	s.work = nil
	return w
}

func (s *orderService) config() durable.Config {
	retry := saga.Retry{Wait: s.tempo.wait(), MaxWait: s.tempo.patience()}
	return durable.Config{
		Name:       office,
		MaxCrashes: -1, // it is no fault of a run that we crash the service
		Poll:       s.tempo.wait(),
		Retry:      retry,
		UndoRetry:  retry,
		Rand:       s.random,
		Hooks:      s.topics.sagaHooks(s.over),
	}
}

// remember reads what the journal knows. The hooks of a service that has crashed may
// not have come to telling how a run has ended, so that is told again.
func (s *orderService) remember(ctx context.Context, engine *durable.Engine) error {
	for h, err := range engine.List(ctx, durable.Query{}) {
		if err != nil {
			return err
		}
		run, err := durable.Find(ctx, engine, s.def, h.ID)
		if err != nil {
			return err
		}
		state, _, err := run.State(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.orders[h.ID] = state.Order
		s.mu.Unlock()
		// It may have ended since it was listed, and its hook did not know the order
		// yet. If it ends later than this the hook does.
		if _, h, err = run.State(ctx); err != nil {
			return err
		}
		if final(h.Status) {
			_ = s.topics.ended.TryPublish(ctx, Ended{Order: state.Order, Status: h.Status, Again: true})
		}
	}
	return nil
}

// over is told by a hook that a run has ended.
func (s *orderService) over(ctx context.Context, run string, end saga.Status) {
	s.mu.Lock()
	o, ok := s.orders[run]
	s.mu.Unlock()
	if ok {
		_ = s.topics.ended.TryPublish(ctx, Ended{Order: o, Status: end})
	}
}

// handler is what the service serves. If its store fails it has customers come again
// later, without asking the store.
func (s *orderService) handler(<-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.place)
	door := breaker.MustNew("door", breaker.Config{OpenFor: s.tempo.open()})
	return breakerhttp.Middleware(door)(mux)
}

// place starts the run of an order. A customer that does not know whether that has
// worked may ask again: there is one run for the ID.
func (s *orderService) place(w http.ResponseWriter, r *http.Request) {
	var o Order
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	if err != nil {
		answer(w, http.StatusBadRequest, reply{Error: "the order is no order: " + err.Error()})
		return
	}
	s.mu.Lock()
	at := s.work
	if _, known := s.orders[o.ID]; !known {
		s.orders[o.ID] = o
	}
	s.mu.Unlock()
	if at == nil {
		answer(w, http.StatusServiceUnavailable, reply{Error: "not open"})
		return
	}
	_, err = durable.Start(r.Context(), at.engine, s.def, o.ID, Purchase{Order: o})
	switch {
	case errors.Is(err, durable.ErrConflict):
		answer(w, http.StatusConflict, reply{Error: "there is another order with this ID"})
	case err != nil:
		answer(w, http.StatusServiceUnavailable, reply{Error: err.Error()})
	default:
		answer(w, http.StatusAccepted, reply{Receipt: o.ID})
	}
}

// crash ends the service as the death of its process would: the store fails in the
// middle of whatever it does, and the engine is dropped. It reports whether the
// service was open.
func (s *orderService) crash() bool {
	s.turn.Lock()
	defer s.turn.Unlock()
	w := s.stop()
	if w == nil {
		return false
	}
	w.broken.Store(true)
	s.server.kill()
	now, end := context.WithCancel(context.Background())
	end()
	_ = w.close(now) // it fails: nothing can be written any more
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.orders) // what it knew is in the journal, or nowhere
	return true
}

// heads are all runs there are.
func (s *orderService) heads(ctx context.Context) (heads []durable.Head, err error) {
	w := s.working()
	if w == nil {
		return nil, errors.New("the order service is not open")
	}
	for h, err := range w.engine.List(ctx, durable.Query{}) {
		if err != nil {
			return nil, err
		}
		heads = append(heads, h)
	}
	return heads, nil
}

// close ends the service as one should.
func (s *orderService) close(ctx context.Context) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	err := s.server.leave(ctx)
	w := s.stop()
	if w == nil {
		return err
	}
	return errors.Join(err, w.close(ctx))
}

// close waits for the attempts under way. When ctx ends they are cut short.
func (w *work) close(ctx context.Context) error {
	err := w.engine.Close(ctx)
	if err != nil {
		err = errors.Join(err, w.engine.Close(context.WithoutCancel(ctx)))
	}
	return errors.Join(err, w.store.Close(context.WithoutCancel(ctx)))
}

package durable

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// An Engine executes durable runs of the sagas that were registered with it, its own
// and those that another process has left. It is safe for concurrent use. It has
// goroutines from Open on, for which Close waits.
type Engine struct {
	store Store
	cfg   Config
	time  timeline
	owner string
	run   saga.RunConfig // of every run

	ctx    context.Context //nolint:containedctx // of everything it does; ends when Close is cut short
	cancel context.CancelCauseFunc
	nudge  chan struct{} // there may be work
	crew   sync.WaitGroup
	gone   chan struct{} // closed when nothing runs any more

	// mu guards the fields below.
	mu       sync.Mutex
	programs map[string]program
	active   map[string]*execution // runs that this engine executes, by ID
	next     map[string]claimed    // what it has claimed of them since
	running  map[string]int        // how many of each saga
	reserved int                   // room for what is being claimed
	waiting  map[string][]chan *end
	ends     ends
	closing  bool
	closed   chan struct{} // closed when it begins to close
}

type program = core.Program[*saga.RunConfig, *saga.Error]

// Open makes an engine on a store. Its error joins all problems of cfg; each names the
// field and the value. It starts goroutines, which [Engine.Close] ends, and executes
// nothing before a saga is registered.
func Open(store Store, cfg Config) (*Engine, error) {
	if store == nil {
		return nil, errNilStore
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.withDefaults()
	e := &Engine{
		store: store, cfg: cfg, time: timeline{cfg.Clock},
		owner: cfg.Name + "-" + strconv.FormatUint(rand.Uint64(), 36),
		run: saga.RunConfig{
			Grace: unlimited, Retry: cfg.Retry, UndoRetry: cfg.UndoRetry, Clock: cfg.Clock, Rand: cfg.Rand, Hooks: cfg.Hooks, Around: cfg.Around,
		},
		nudge:    make(chan struct{}, 1),
		gone:     make(chan struct{}),
		programs: make(map[string]program),
		active:   make(map[string]*execution),
		next:     make(map[string]claimed),
		running:  make(map[string]int),
		waiting:  make(map[string][]chan *end),
		closed:   make(chan struct{}),
	}
	e.ctx, e.cancel = context.WithCancelCause(context.Background())
	e.crew.Go(e.schedule)
	if cfg.Retain >= 0 {
		e.crew.Go(e.sweeping)
	}
	return e, nil
}

// Register makes an engine execute runs of a saga, also those that are there
// already. The error tells that another saga of that name is registered, or that
// its codec cannot encode and decode a zero state.
func Register[S any](e *Engine, s *saga.Saga[S]) error {
	p, err := known(e, s)
	if err != nil {
		return err
	}
	if err := p.Encodable(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closing:
		return ErrClosed
	case e.programs[p.Name()] != nil:
		return about(ErrConflict, "a saga named %q is registered already", p.Name())
	}
	e.programs[p.Name()] = p
	e.wake()
	return nil
}

// known is the program of a saga, and checks that there are both.
func known[S any](e *Engine, s *saga.Saga[S]) (program, error) {
	switch {
	case e == nil || e.store == nil:
		return nil, errZeroEngine
	case s == nil || s.Program() == nil:
		return nil, errZeroSaga
	}
	return s.Program(), nil
}

// registered is known for a saga that has to be registered.
func registered[S any](e *Engine, s *saga.Saga[S]) (program, error) {
	p, err := known(e, s)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.programs[p.Name()] != p {
		return nil, fmt.Errorf("durable: the saga %q is not registered", p.Name())
	}
	return p, nil
}

// wake tells the scheduler that there may be work.
func (e *Engine) wake() {
	select {
	case e.nudge <- struct{}{}:
	default:
	}
}

// Close stops claiming and starting runs, waits for the attempts under way, and
// records them. When ctx ends first their contexts end with ErrClosed, and the error
// is its cause and names the runs that have not returned. Nothing is undone because
// of it; another engine goes on. The store stays open. It may be called again. In a
// step of this engine it returns at once: it would wait for that step.
func (e *Engine) Close(ctx context.Context) error {
	switch {
	case e == nil || e.store == nil:
		return errZeroEngine
	case ctx == nil:
		return errNilContext
	}
	e.mu.Lock()
	if !e.closing {
		e.closing = true
		close(e.closed)
		go func() {
			e.crew.Wait()
			e.cancel(ErrClosed)
			close(e.gone)
		}()
	}
	for _, x := range e.active {
		x.stop(ErrClosed, false)
	}
	inside := e.inside(ctx)
	e.mu.Unlock()
	if inside {
		return nil
	}
	select {
	case <-e.gone: // what is over is over, whatever has become of ctx
		return nil
	default:
	}
	select {
	case <-e.gone:
		return nil
	case <-ctx.Done():
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var left []string
	for id, x := range e.active {
		x.stop(ErrClosed, true)
		left = append(left, id)
	}
	if len(left) == 0 {
		return fmt.Errorf("durable: Close: %w", context.Cause(ctx))
	}
	slices.Sort(left)
	return fmt.Errorf("durable: Close: %w, with runs under way: %q", context.Cause(ctx), left)
}

// inside reports whether ctx is that of a step of this engine. mu is held.
func (e *Engine) inside(ctx context.Context) bool {
	info := saga.Info(ctx)
	x := e.active[info.Run]
	return x != nil && info.Step != "" && x.of == info.Saga
}

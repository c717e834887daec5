package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// A count is the state of the sagas of the golden journals.
type count struct {
	N    int
	Said string
}

// A script says what the calls of steps come to, each in turn, and notes them. What it
// does not know works.
type script struct {
	mu   sync.Mutex
	says map[string][]string // by run and step: "lost", "refused", "hangs"
	log  map[string][]string // by run
	hung chan struct{}       // sent to by a call that hangs
}

func newScript() *script {
	return &script{says: map[string][]string{}, log: map[string][]string{}, hung: make(chan struct{}, 1)}
}

func (s *script) call(ctx context.Context, c *count) error {
	info := saga.Info(ctx)
	what := "do " + info.Step
	if info.Undoing {
		what = "undo " + info.Step
	}
	s.mu.Lock()
	s.log[info.Run] = append(s.log[info.Run], what)
	key, reply := info.Run+": "+what, ""
	if all := s.says[key]; len(all) > 0 {
		reply, s.says[key] = all[0], all[1:]
	}
	s.mu.Unlock()
	c.N++
	switch reply {
	case "lost":
		return errors.New("the answer is lost")
	case "refused":
		return saga.Reject(errors.New("refused"))
	case "hangs":
		s.hung <- struct{}{}
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

func (s *script) step(name string) saga.Step[count] {
	retry := saga.Retry{Attempts: 3, Wait: time.Second, NoJitter: true}
	return saga.Step[count]{Name: name, Do: s.call, Undo: s.call, Retry: retry, UndoRetry: retry}
}

// defs are the sagas of the golden journals. They must stay as they are.
func (s *script) defs() map[string]*saga.Saga[count] {
	child := func(name string) saga.Step[count] {
		c := s.step(name)
		c.Merge = func(dst, src *count) { dst.N = max(dst.N, src.N) }
		return c
	}
	forward := func(name string, pivot bool) saga.Step[count] {
		c := s.step(name)
		c.Undo, c.UndoRetry, c.Pivot = nil, saga.Retry{}, pivot
		return c
	}
	never := s.step("never")
	never.When = func(*count) bool { return false }
	patient := s.step("b")
	patient.Retry.Wait, patient.Retry.MaxWait = 10*time.Hour, -1
	inner := saga.MustNew("inner", []saga.Step[count]{s.step("x"), s.step("y")})
	item := saga.MustNew("item", []saga.Step[count]{s.step("x")})
	return map[string]*saga.Saga[count]{
		"linear":  saga.MustNew("linear", []saga.Step[count]{s.step("a"), s.step("b"), s.step("c")}),
		"patient": saga.MustNew("patient", []saga.Step[count]{s.step("a"), patient}),
		"pivot":   saga.MustNew("pivot", []saga.Step[count]{s.step("a"), forward("p", true), forward("z", false)}),
		"tree": saga.MustNew("tree", []saga.Step[count]{
			never,
			saga.Sub(saga.Step[count]{Name: "in"}, inner, func(c *count) count { return *c }, func(c *count, end count) { c.N = end.N }),
			saga.ForEach(saga.Step[count]{Name: "items", Limit: 1}, func(c *count) []count { return make([]count, 2) }, item,
				func(c *count, ends []count) { c.N += len(ends) }),
			{Name: "g", Limit: 1, Parallel: []saga.Step[count]{child("l"), child("r")}},
			saga.Sleep(saga.Step[count]{Name: "nap"}, time.Hour),
			saga.Await(saga.Step[count]{Name: "ok", Timeout: 1000 * time.Hour}, func(_ context.Context, c *count, text string) error {
				c.Said = text
				return nil
			}),
		}),
	}
}

// engine opens an engine that knows them.
func (s *script) engine(store durable.Store) (*durable.Engine, map[string]*saga.Saga[count], error) {
	engine, err := durable.Open(store, durable.Config{Lease: -1, Retain: -1})
	if err != nil {
		return nil, nil, err
	}
	defs := s.defs()
	for _, def := range defs {
		if err := durable.Register(engine, def); err != nil {
			return nil, nil, err
		}
	}
	return engine, defs, nil
}

var byHand = durable.Note{By: "ann", Why: "as agreed"}

// A story is a golden run: how it came to be as it is in the directory, and how it ends.
type story struct {
	saga, id string
	says     map[string][]string                   // what its steps came to, see script
	then     []func(*durable.Engine, string) error // what was done when it hung, was stuck or waited
	ends     bool                                  // it had ended
	resumes  func(*durable.Engine, string) error   // what brings it to its end; nil: the engine by itself
	status   saga.Status                           // at the end
	calls    []string                              // from the directory to the end
	state    count                                 // at the end
}

func stop(e *durable.Engine, _ string) error { // as a process does that is told to end at once
	ctx, cancel := context.WithCancel(bg)
	cancel()
	_ = e.Close(ctx)
	return e.Close(bg)
}

func resume(e *durable.Engine, id string) error  { return e.Resume(bg, id, byHand) }
func abort(e *durable.Engine, id string) error   { return e.Abort(bg, id, byHand) }
func abandon(e *durable.Engine, id string) error { return e.Abandon(bg, id, byHand) }
func yes(e *durable.Engine, id string) error     { return durable.Signal(bg, e, id, "ok", "yes") }

func skip(step string) func(*durable.Engine, string) error {
	return func(e *durable.Engine, id string) error { return e.Skip(bg, id, step, byHand) }
}

// A cord is a store that can be cut, as if the process at this side of it were dead.
type cord struct {
	*filestore.Store
	mu  sync.Mutex
	cut bool
}

func (c *cord) isCut() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return durable.ErrNotFound
	}
	return nil
}

func (c *cord) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	if err := c.isCut(); err != nil {
		return err
	}
	return c.Store.Append(ctx, at, h, ttl, events)
}

func (c *cord) Claim(ctx context.Context, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
	if err := c.isCut(); err != nil {
		return nil, -1, err
	}
	return c.Store.Claim(ctx, req)
}

// play makes a story happen, as far as it is in the directory.
func (s *story) play(store *filestore.Store) error {
	sc := newScript()
	for step, says := range s.says {
		sc.says[s.id+": "+step] = slices.Clone(says)
	}
	c := &cord{Store: store}
	engine, defs, err := sc.engine(c)
	if err != nil {
		return err
	}
	run, err := durable.Start(bg, engine, defs[s.saga], s.id, count{})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		over := make(chan struct{})
		go func() {
			ctx, cancel := context.WithTimeout(bg, 2*time.Hour)
			defer cancel()
			_, _ = run.Wait(ctx) // until it has ended, is stuck, or waits for somebody
			close(over)
		}()
		select {
		case <-over:
		case <-sc.hung:
		}
		if i == len(s.then) {
			break
		}
		if err := s.then[i](engine, s.id); err != nil {
			return fmt.Errorf("%s: %w", s.id, err)
		}
		time.Sleep(time.Second)
		if h, _, err := store.Load(bg, s.id); err != nil || h.Owner == "" && h.Status == saga.Running { // it was stopped
			if engine, defs, err = sc.engine(c); err != nil {
				return err
			}
			if run, err = durable.Find(bg, engine, defs[s.saga], s.id); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	c.cut = true
	c.mu.Unlock()
	return stop(engine, s.id)
}

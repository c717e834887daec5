package durable_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

var (
	bg       = context.Background()
	ann      = durable.Note{By: "ann", Why: "the bank has called"}
	errStore = errors.New("the store is out of order")
)

// open opens an engine that has registered some sagas. It is closed at the end of the
// test; whoever closes it himself may do so.
func open(t *testing.T, store durable.Store, cfg durable.Config, defs ...*saga.Saga[order]) *durable.Engine {
	t.Helper()
	e, err := durable.Open(store, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close(bg)) })
	for _, def := range defs {
		require.NoError(t, durable.Register(e, def))
	}
	return e
}

// define makes a saga.
func define(name string, steps ...saga.Step[order]) *saga.Saga[order] {
	return saga.MustNew(name, steps)
}

// begin starts a run with a zero state.
func begin(t *testing.T, e *durable.Engine, def *saga.Saga[order], id string) *durable.Run[order] {
	t.Helper()
	run, err := durable.Start(bg, e, def, id, order{})
	require.NoError(t, err)
	return run
}

// head is how a run is at present.
func head(t *testing.T, e *durable.Engine, id string) durable.Head {
	t.Helper()
	rec, err := e.Get(bg, id)
	require.NoError(t, err)
	return rec.Head
}

// story is the journal of a run, see journal.
func story(t *testing.T, e *durable.Engine, id string) []string {
	t.Helper()
	rec, err := e.Get(bg, id)
	require.NoError(t, err)
	return journal(rec)
}

// ids are the runs that a query finds.
func ids(t *testing.T, e *durable.Engine, q durable.Query) (all []string) {
	t.Helper()
	for h, err := range e.List(bg, q) {
		require.NoError(t, err)
		all = append(all, h.ID)
	}
	return all
}

// say is a step that writes into the state that it was done, and that it was undone.
func say(name string) saga.Step[order] {
	return saga.Step[order]{Name: name, Do: act("do " + name), Undo: act("undo " + name)}
}

// fails is a step that fails for good with its first attempt.
func fails(name string, err error) saga.Step[order] {
	return saga.Step[order]{Name: name, Do: func(context.Context, *order) error { return saga.Reject(err) }}
}

// sticky is a step whose compensation fails for good as long as broken says so.
func sticky(name string, broken func() bool) saga.Step[order] {
	s := say(name)
	s.Undo = func(ctx context.Context, o *order) error {
		if broken() {
			return saga.Reject(errOnUndo)
		}
		return act("undo "+name)(ctx, o)
	}
	return s
}

var errOnUndo = errors.New("cannot be undone")

func always() bool { return true }

// held is a step that goes on when a channel is closed, or its context ends: then it
// fails with the cause.
func held(name string, open <-chan struct{}) saga.Step[order] {
	s := say(name)
	s.Do = func(ctx context.Context, o *order) error {
		select {
		case <-open:
			return act("do "+name)(ctx, o)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return s
}

// approval is a step that waits for a text, and writes it into the state.
func approval(name string, limit time.Duration) saga.Step[order] {
	return saga.Await(saga.Step[order]{Name: name, Timeout: limit, Undo: act("undo " + name)}, func(_ context.Context, o *order, text string) error {
		o.Log = append(o.Log, name+" "+text)
		return nil
	})
}

// A tally counts what happens at the same time.
type tally struct {
	mu             sync.Mutex
	now, most, all int
	order          []string
}

func (c *tally) enter(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now++
	c.all++
	c.most = max(c.most, c.now)
	c.order = append(c.order, name)
}

func (c *tally) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now--
}

// peak is how many there were at once, total how many there were.
func (c *tally) peak() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.most
}

func (c *tally) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

func (c *tally) names() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.order)
}

// during is a step that takes a while, and is counted.
func (c *tally) during(name string, d time.Duration) saga.Step[order] {
	s := say(name)
	s.Do = func(ctx context.Context, o *order) error {
		c.enter(saga.Info(ctx).Run)
		defer c.leave()
		time.Sleep(d)
		return act("do "+name)(ctx, o)
	}
	return s
}

// A meddler is a store whose calls somebody else comes before. It has no Watch.
type meddler struct {
	durable.Store

	create, append, load, list, remove before

	created before // its error is that of a Create that has worked
	claimed before // comes after Claim, and has no error
}

// A before is what comes before a call: if it fails the call is not made.
type before struct{ do atomic.Pointer[func() error] }

// is has do come before, from now on; nil: nothing.
func (b *before) is(do func() error) { b.do.Store(&do) }

func (b *before) call() error {
	if do := b.do.Load(); do != nil && *do != nil {
		return (*do)()
	}
	return nil
}

func (m *meddler) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	if err := m.create.call(); err != nil {
		return err
	}
	return errors.Join(m.Store.Create(ctx, h, ttl, events), m.created.call())
}

func (m *meddler) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	if err := m.append.call(); err != nil {
		return err
	}
	return m.Store.Append(ctx, at, h, ttl, events)
}

func (m *meddler) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	if err := m.load.call(); err != nil {
		return durable.Head{}, nil, err
	}
	return m.Store.Load(ctx, id)
}

func (m *meddler) Claim(ctx context.Context, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
	heads, next, err := m.Store.Claim(ctx, req)
	_ = m.claimed.call()
	return heads, next, err
}

func (m *meddler) List(ctx context.Context, q durable.Query) ([]durable.Head, string, error) {
	if err := m.list.call(); err != nil {
		return nil, "", err
	}
	return m.Store.List(ctx, q)
}

func (m *meddler) Delete(ctx context.Context, id string, at uint64) error {
	if err := m.remove.call(); err != nil {
		return err
	}
	return m.Store.Delete(ctx, id, at)
}

package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

var errDisk = errors.New("the disk is gone")

// A ledger is what happened, in one order: calls, writes and hooks.
type ledger struct {
	mu    sync.Mutex
	lines []string
	calls map[string]int
}

func (l *ledger) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// all is what happened so far, of the kinds asked for: the first words of lines.
func (l *ledger) all(kinds ...string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if first, _, _ := strings.Cut(line, " "); len(kinds) == 0 || slices.Contains(kinds, first) {
			lines = append(lines, line)
		}
	}
	return lines
}

// nth is how often something was called, with this call.
func (l *ledger) nth(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls == nil {
		l.calls = map[string]int{}
	}
	l.calls[what]++
	return l.calls[what]
}

// fn is an action or a compensation that says what it is told to at its n-th call,
// and nil after that.
func (l *ledger) fn(what string, says ...error) func(context.Context, *order) error {
	return func(_ context.Context, o *order) error {
		n := l.nth(what)
		l.add("%s", what)
		o.N++
		if n <= len(says) {
			return says[n-1]
		}
		return nil
	}
}

// step is a step with Do and Undo, which is tried again a second later.
func (l *ledger) step(name string, says ...error) saga.Step[order] {
	return saga.Step[order]{
		Name: name, Do: l.fn("do "+name, says...), Undo: l.fn("undo " + name),
		Retry: saga.Retry{Wait: time.Second, NoJitter: true}, UndoRetry: saga.Retry{Wait: time.Second, NoJitter: true},
	}
}

// A spy is a store that tells what is written, fails when it is told to, and can be
// cut off, as if the process at this side of it were dead.
type spy struct {
	*durable.MemoryStore
	log *ledger // nil: nobody wants to know

	before, after func(n int) error // of the n-th write; nil: nothing

	one    sync.Mutex // held while something is written
	mu     sync.Mutex
	writes int
	down   error // what every call says; nil: it works
}

func (s *spy) say(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
}

func (s *spy) said() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *spy) write(events [][]byte, do func() error) error {
	s.mu.Lock()
	s.writes++
	n, down := s.writes, s.down
	s.mu.Unlock()
	if down != nil {
		return down
	}
	if s.before != nil {
		if err := s.before(n); err != nil {
			return err
		}
	}
	if err := s.logged(events, do); err != nil {
		return err
	}
	if s.after != nil {
		return s.after(n)
	}
	return nil
}

// logged does a write and logs it, before another one that follows from it can be.
func (s *spy) logged(events [][]byte, do func() error) error {
	s.one.Lock()
	defer s.one.Unlock()
	err := do()
	if err == nil && s.log != nil {
		s.log.add("write %s", told(events))
	}
	return err
}

// told is what events are about.
func told(events [][]byte) string {
	lines := make([]string, len(events))
	for i, data := range events {
		var e struct{ Kind, Step string }
		if err := json.Unmarshal(data, &e); err != nil {
			e.Kind = err.Error()
		}
		lines[i] = strings.TrimSpace(e.Kind + " " + e.Step)
	}
	if len(lines) == 0 {
		return "nothing"
	}
	return strings.Join(lines, ", ")
}

func (s *spy) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	return s.write(events, func() error { return s.MemoryStore.Create(ctx, h, ttl, events) })
}

func (s *spy) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	return s.write(events, func() error { return s.MemoryStore.Append(ctx, at, h, ttl, events) })
}

func (s *spy) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	if err := s.said(); err != nil {
		return durable.Head{}, nil, err
	}
	return s.MemoryStore.Load(ctx, id)
}

func (s *spy) Claim(ctx context.Context, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
	if err := s.said(); err != nil {
		return nil, -1, err
	}
	return s.MemoryStore.Claim(ctx, req)
}

// kill ends a process: nothing more of what it does is recorded.
func (s *spy) kill(t *testing.T, e *durable.Engine) {
	t.Helper()
	s.say(errDead)
	halt(t, e)
}

// halt ends an engine at once.
func halt(t *testing.T, e *durable.Engine) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_ = e.Close(ended)
	require.NoError(t, e.Close(t.Context()))
}

// ignite opens an engine that knows a saga.
func ignite(t *testing.T, store durable.Store, cfg durable.Config, def *saga.Saga[order]) *durable.Engine {
	t.Helper()
	e, err := durable.Open(store, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { // if the test has failed before it did so
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Close(ended)
		_ = e.Close(context.Background())
	})
	require.NoError(t, durable.Register(e, def))
	return e
}

// launch starts the run r1.
func launch(t *testing.T, e *durable.Engine, def *saga.Saga[order]) *durable.Run[order] {
	t.Helper()
	run, err := durable.Start(t.Context(), e, def, "r1", order{})
	require.NoError(t, err)
	return run
}

// attach waits for the run r1 that there is.
func attach(t *testing.T, e *durable.Engine, def *saga.Saga[order]) (order, error) {
	t.Helper()
	run, err := durable.Find(t.Context(), e, def, "r1")
	require.NoError(t, err)
	return run.Wait(t.Context())
}

// seen is a run as it is in the store.
func seen(t *testing.T, e *durable.Engine, id string) *durable.Record {
	t.Helper()
	rec, err := e.Get(t.Context(), id)
	require.NoError(t, err)
	return rec
}

// seal closes an engine that has nothing to wait for.
func seal(t *testing.T, e *durable.Engine) {
	t.Helper()
	require.NoError(t, e.Close(t.Context()))
}

// A wall is a clock whose wall time can be set, which its monotonic time does not
// notice. What it was set to is carried by the location of its instants, as a
// monotonic reading would be.
type wall struct {
	mu  sync.Mutex
	off time.Duration
}

func (w *wall) set(off time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.off = off
}

func (w *wall) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Round(0).Add(w.off).In(time.FixedZone(w.off.String(), 0))
}

func (w *wall) Since(t time.Time) time.Duration {
	off, _ := time.ParseDuration(t.Location().String()) // UTC: it never was set
	return time.Since(t.Add(-off))
}

func (w *wall) AfterFunc(d time.Duration, f func()) *clock.Timer { return clock.New().AfterFunc(d, f) }

// wound is what sagas need whose state has slices.
func wound(o *order) order { return order{slices.Clone(o.Log), o.N} }

var note = durable.Note{By: "ops", Why: "a test"}

package saga_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// A state is what the sagas of the tests work on.
type state struct {
	Sum   int
	Wrote string
}

var (
	bg          = context.Background()
	errDown     = errors.New("the other side is down")
	errOther    = errors.New("something else")
	errDeclined = errors.New("card declined")
	rejected    = saga.Reject(errDeclined)
)

// What a script has an attempt do besides returning an error.
type deed func(ctx context.Context, s *state) error

func panics(value any) deed { return func(context.Context, *state) error { panic(value) } }

func exits() deed {
	return func(context.Context, *state) error {
		runtime.Goexit()
		return nil
	}
}

// hangs returns the cause of its context when that ends.
func hangs() deed {
	return func(ctx context.Context, _ *state) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}
}

// A script makes steps that do as they are told, and keeps what was called.
type script struct {
	mu    sync.Mutex
	begun time.Time
	lines []string
	at    []time.Duration // since begun, of each line
}

func newScript() *script { return &script{begun: time.Now()} }

func (s *script) note(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	s.at = append(s.at, time.Since(s.begun))
}

// trace is what was called, in order.
func (s *script) trace() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.lines...)
}

// times are when it was called.
func (s *script) times() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Duration(nil), s.at...)
}

// acts is a function whose n-th call gives the n-th answer, and later ones the
// last: nil, an error or a deed. Without answers it is nil always.
func (s *script) acts(line string, answers ...any) func(context.Context, *state) error {
	n := 0
	return func(ctx context.Context, st *state) error {
		s.note(line)
		if len(answers) == 0 {
			return nil
		}
		s.mu.Lock()
		answer := answers[min(n, len(answers)-1)]
		n++
		s.mu.Unlock()
		switch a := answer.(type) {
		case nil:
			return nil
		case error:
			return a
		case deed:
			return a(ctx, st)
		}
		panic(fmt.Sprintf("a script knows nothing of %T", answer))
	}
}

// step is one with an Undo that succeeds.
func (s *script) step(name string, answers ...any) saga.Step[state] {
	return saga.Step[state]{Name: name, Do: s.acts("do "+name, answers...), Undo: s.acts("undo " + name)}
}

// bare is one without an Undo.
func (s *script) bare(name string, answers ...any) saga.Step[state] {
	return saga.Step[state]{Name: name, Do: s.acts("do "+name, answers...)}
}

// pivot is one that is the pivot.
func (s *script) pivot(name string, answers ...any) saga.Step[state] {
	step := s.bare(name, answers...)
	step.Pivot = true
	return step
}

// child makes a step fit for Parallel.
func child(step saga.Step[state]) saga.Step[state] {
	step.Merge = saga.NoMerge[state]
	return step
}

func group(name string, children ...saga.Step[state]) saga.Step[state] {
	for i := range children {
		if children[i].Merge == nil {
			children[i] = child(children[i])
		}
	}
	return saga.Step[state]{Name: name, Parallel: children}
}

// inner makes a step of a saga within, on the same type of state.
func inner(name string, steps ...saga.Step[state]) saga.Step[state] {
	return saga.Sub(saga.Step[state]{Name: name}, saga.MustNew(name, steps), func(s *state) state { return *s }, func(s *state, end state) { *s = end })
}

// patient tries again, so many times in all, without a wait.
func patient(attempts int) saga.Retry { return saga.Retry{Attempts: attempts, Wait: -1} }

// run runs steps with a config and returns the error.
func run(t *testing.T, cfg saga.RunConfig, steps ...saga.Step[state]) error {
	t.Helper()
	return saga.MustNew("checkout", steps).RunWith(t.Context(), cfg, &state{})
}

// failure is an error as the *Error that it has to be.
func failure(t *testing.T, err error) *saga.Error {
	t.Helper()
	var e *saga.Error
	require.ErrorAs(t, err, &e)
	return e
}

// ended checks how a run ended.
func ended(t *testing.T, err error, status saga.Status, reason saga.Reason, step string, cause error) *saga.Error {
	t.Helper()
	e := failure(t, err)
	assert.Equal(t, status, e.Status)
	assert.Equal(t, reason, e.Reason)
	assert.Equal(t, step, e.Step)
	assert.ErrorIs(t, err, cause)
	assert.Equal(t, status == saga.Stuck, errors.Is(err, saga.ErrStuck))
	return e
}

// aside calls f on a goroutine of its own, and tells how that ended.
func aside(f func()) (returned bool, panicked any) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		defer func() { panicked = recover() }()
		f()
		returned = true
	}()
	<-over
	return returned, panicked
}

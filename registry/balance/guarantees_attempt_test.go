package balance_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// G37: a panic in fn is a failure, ends the pick, and goes on to the caller, with
// its value. So does Goexit.
func TestG37_unwinding(t *testing.T) {
	for name, abort := range map[string]func(){
		"panic":  func() { panic(errSick) },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			told := make(chan error, 10)
			gate := balance.GateFunc(func(context.Context) (func(error), error) { return func(err error) { told <- err }, nil })
			r, b := with(t, balance.Config{
				Gate:      func(*registry.Endpoint) balance.Gate { return gate },
				IsFailure: func(error) bool { return false }, // it is one all the same
				Retry:     balance.Retry{Attempts: 3, AttemptTimeout: time.Hour},
			}, numbered(3)...)
			var id string
			var value any
			var n int
			var wg sync.WaitGroup
			wg.Go(func() {
				defer func() { value = recover() }()
				_, _ = balance.Do(bg, b, func(_ context.Context, e *registry.Endpoint) (int, error) {
					n++
					id = e.ID()
					assert.Equal(t, 1, e.InFlight())
					abort()
					return 0, nil
				})
				assert.Fail(t, "Do returned")
			})
			wg.Wait()
			if name == "panic" {
				assert.Same(t, errSick, value)
			} else {
				assert.Nil(t, value)
			}
			assert.Equal(t, 1, n, "no retry")
			assert.Empty(t, inFlight(r))
			assert.EqualValues(t, 1, members(b)[id].Failures)
			require.Len(t, told, 1)
			assert.ErrorContains(t, <-told, "panicked or called runtime.Goexit")
			a := attempts{}
			_, err := balance.Do(bg, b, a.call)
			require.NoError(t, err, "it works on")
		})
	}
}

// G37: AttemptTimeout ends the context of the attempt, with DeadlineExceeded as
// its cause; fn is waited for, and the next attempt has a time of its own.
func TestG37_attemptTimeout(t *testing.T) {
	bothClocks(t, func(t *testing.T, c registry.Clock, pass func(time.Duration)) {
		r := newRegistry(t, registry.Config{Clock: c})
		registerAll(t, r, numbered(3)...)
		b := newBalancer(t, r, balance.Config{Retry: balance.Retry{AttemptTimeout: time.Second}})
		began, goOn := make(chan string, 3), make(chan struct{})
		result := async(func() error {
			_, err := balance.Do(bg, b, func(ctx context.Context, e *registry.Endpoint) (int, error) {
				began <- e.ID()
				<-ctx.Done()
				assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
				<-goOn
				return 0, context.Cause(ctx)
			})
			return err
		})
		first := <-began
		pass(time.Second - 1)
		assert.Equal(t, map[string]int{first: 1}, inFlight(r))
		pass(time.Hour)
		assert.Equal(t, map[string]int{first: 1}, inFlight(r), "it was left alone before it returned")
		assert.Empty(t, began)
		goOn <- struct{}{}
		second := <-began
		assert.NotEqual(t, first, second)
		pass(time.Second - 1)
		assert.Equal(t, map[string]int{second: 1}, inFlight(r))
		pass(1)
		goOn <- struct{}{}
		require.ErrorIs(t, <-result, context.DeadlineExceeded)
		assert.EqualValues(t, 1, members(b)[first].Failures)
		assert.EqualValues(t, 1, members(b)[second].Failures)
		assert.Empty(t, inFlight(r))
	})
}

// G26, G37: most functions return ctx.Err() when their time is over. That is a
// failure of the endpoint on every clock, though a context that a Clock ends says
// Canceled.
func TestG37_timeoutIsFailure(t *testing.T) {
	bothClocks(t, func(t *testing.T, c registry.Clock, pass func(time.Duration)) {
		r := newRegistry(t, registry.Config{Clock: c})
		registerAll(t, r, numbered(1)...)
		b := newBalancer(t, r, balance.Config{Retry: balance.Retry{AttemptTimeout: time.Second}})
		result := async(func() error {
			_, err := balance.Do(bg, b, func(ctx context.Context, _ *registry.Endpoint) (int, error) {
				<-ctx.Done()
				return 0, ctx.Err()
			})
			return err
		})
		pass(time.Second)
		require.Error(t, <-result)
		assert.EqualValues(t, 1, members(b)["i000"].Failures)
	})
}

// G37: without AttemptTimeout fn has the context of the caller, and with one what
// the caller put into it.
func TestG37_context(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(bg, key{}, "v")
	for name, d := range map[string]time.Duration{"none": 0, "negative": -1, "some": time.Hour} {
		t.Run(name, func(t *testing.T) {
			_, b := with(t, balance.Config{Retry: balance.Retry{AttemptTimeout: d}}, numbered(1)...)
			var ended func() error
			_, err := balance.Do(ctx, b, func(ctx context.Context, _ *registry.Endpoint) (int, error) {
				ended = ctx.Err
				assert.Equal(t, "v", ctx.Value(key{}))
				_, timed := ctx.Deadline()
				assert.Equal(t, d > 0, timed)
				return 0, ctx.Err()
			})
			require.NoError(t, err)
			assert.Equal(t, d > 0, ended() != nil, "what was made for the attempt is released")
		})
	}
}

// G37: a caller that gives up is no failure of the endpoint, also while the time
// of the attempt runs.
func TestG37_callerGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []registry.Clock{nil, clock.NewMock()} {
			r := newRegistry(t, registry.Config{Clock: c})
			registerAll(t, r, numbered(2)...)
			b := newBalancer(t, r, balance.Config{Retry: balance.Retry{AttemptTimeout: time.Minute}})
			ctx, cancel := context.WithCancel(bg)
			var id string
			result := async(func() error {
				_, err := balance.Do(ctx, b, func(ctx context.Context, e *registry.Endpoint) (int, error) {
					id = e.ID()
					<-ctx.Done()
					return 0, context.Cause(ctx)
				})
				return err
			})
			synctest.Wait()
			cancel()
			require.ErrorIs(t, <-result, context.Canceled)
			assert.Zero(t, members(b)[id].Failures)
			assert.Empty(t, inFlight(r))
		}
	})
}

// G26, G37: what a call came to is its error, unless that is about the end of its
// context. A deadline is a failure, and to give up is none, however either is told.
func TestG37_whatTheGateIsTold(t *testing.T) {
	const attempt, caller = time.Second, 2 * time.Second
	wait := func(ctx context.Context) { <-ctx.Done() }
	type call struct {
		timeout time.Duration // of the attempt
		fn      func(ctx context.Context, leave context.CancelCauseFunc) error
		want    error
		failure bool
	}
	bubbles(t, map[string]call{
		"done though the caller left": {attempt, func(_ context.Context, leave context.CancelCauseFunc) error {
			leave(errGate)
			return nil
		}, nil, false},
		"done though time was over": {attempt, func(ctx context.Context, _ context.CancelCauseFunc) error {
			wait(ctx)
			return nil
		}, nil, false},
		"the error of the timeout": {attempt, func(ctx context.Context, _ context.CancelCauseFunc) error {
			wait(ctx)
			return ctx.Err()
		}, context.DeadlineExceeded, true},
		"the error of the caller's deadline": {0, func(ctx context.Context, _ context.CancelCauseFunc) error {
			wait(ctx)
			return ctx.Err()
		}, context.DeadlineExceeded, true},
		"the cause of the caller's deadline": {0, func(ctx context.Context, _ context.CancelCauseFunc) error {
			wait(ctx)
			return context.Cause(ctx)
		}, errGate, true},
		"the cause of the caller": {attempt, func(ctx context.Context, leave context.CancelCauseFunc) error {
			leave(errGate)
			return context.Cause(ctx)
		}, context.Canceled, false},
	}, func(t *testing.T, c call) {
		gates := newGateLog()
		_, b := with(t, balance.Config{Gate: gates.gate, Retry: balance.Retry{Attempts: 1, AttemptTimeout: c.timeout}}, instance("a"))
		ctx, stop := context.WithTimeoutCause(bg, caller, errGate)
		defer stop()
		ctx, leave := context.WithCancelCause(ctx)
		defer leave(nil)
		_, _ = balance.Do(ctx, b, func(ctx context.Context, _ *registry.Endpoint) (int, error) { return 0, c.fn(ctx, leave) })
		told := gates.told["a"]
		require.Len(t, told, 1)
		require.ErrorIs(t, told[0], c.want)
		assert.Equal(t, c.failure, members(b)["a"].Failures == 1)
		if c.failure {
			assert.NotErrorIs(t, told[0], context.Canceled)
		}
	})
}

// G37: an error that is not about the end of the context is not taken for it, also
// if the time of the attempt is over.
func TestG37_anErrorOfItsOwnAfterTheTimeout(t *testing.T) {
	bothClocks(t, func(t *testing.T, c registry.Clock, pass func(time.Duration)) {
		gates := newGateLog()
		r := newRegistry(t, registry.Config{Clock: c})
		registerAll(t, r, instance("a"))
		b := newBalancer(t, r, balance.Config{
			Gate:      gates.gate,
			IsFailure: func(err error) bool { return errors.Is(err, context.DeadlineExceeded) },
			Retry:     balance.Retry{Attempts: 1, AttemptTimeout: time.Second},
		})
		result := async(func() error {
			_, err := balance.Do(bg, b, func(ctx context.Context, _ *registry.Endpoint) (int, error) {
				<-ctx.Done()
				return 0, errSick
			})
			return err
		})
		pass(time.Second)
		require.Equal(t, errSick, <-result)
		assert.Equal(t, []error{nil}, gates.told["a"], "it is no failure here")
		assert.Zero(t, members(b)["a"].Failures)
	})
}

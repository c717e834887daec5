package balance_test

import (
	"context"
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

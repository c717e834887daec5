package main

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eapache/go-resiliency/breaker"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	gozero "github.com/zeromicro/go-zero/core/breaker"
	"github.com/zeromicro/go-zero/core/logx"

	mainstay "github.com/mainstay-go/mainstay/breaker"
)

// What the comparison in README.md says of each library, shown by running it.
// All but go-zero's, which looks at no breaker's clock, are on the fake time of a
// bubble.

var errDown = errors.New("down")

const (
	openFor   = time.Minute
	afterOpen = openFor + 1 // gobreaker is open to the end inclusive
)

// A rival is a breaker that opens at the first failure, for a minute.
type rival struct {
	call func(ctx context.Context, fn func() error) error
}

func rivals() map[string]rival {
	m := mainstay.MustNew("x", mainstay.Config{
		Trip: mainstay.ConsecutiveFailures(1), OpenFor: openFor, CloseAfter: 1, Jitter: -1,
	})
	g := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{
		Timeout: openFor, ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 1 },
	})
	f := failsafe.With[any](circuitbreaker.NewBuilder[any]().WithFailureThreshold(1).WithDelay(openFor).Build())
	e := breaker.New(1, 1, openFor)
	return map[string]rival{
		"mainstay": {func(ctx context.Context, fn func() error) error {
			return m.Run(ctx, func(context.Context) error { return fn() })
		}},
		"gobreaker": {func(_ context.Context, fn func() error) error {
			_, err := g.Execute(func() (int, error) { return 0, fn() })
			return err
		}},
		"failsafe-go": {func(ctx context.Context, fn func() error) error {
			return f.WithContext(ctx).Run(fn)
		}},
		"go-resiliency": {func(_ context.Context, fn func() error) error { return e.Run(fn) }},
	}
}

func ok() error { return nil }

// eachRival runs a test for each rival on fake time.
func eachRival(t *testing.T, test func(t *testing.T, name string, s rival)) {
	t.Helper()
	for name := range rivals() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, name, rivals()[name])
				time.Sleep(openFor) // go-resiliency's goroutine
			})
		})
	}
}

// afterProbe opens the breaker, lets a probe end by end, and tells whether an
// hour later, with a caller every minute, anything has been admitted.
func afterProbe(s rival, probe func() error) (admitted bool) {
	_ = s.call(context.Background(), func() error { return errDown })
	time.Sleep(afterOpen)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer func() { _ = recover() }()
		_ = s.call(context.Background(), probe)
	}()
	<-gone
	for range 60 {
		time.Sleep(afterOpen)
		if s.call(context.Background(), ok) == nil {
			return true
		}
	}
	return false
}

func TestFactProbeThatExits(t *testing.T) {
	recovers := map[string]bool{"mainstay": true, "gobreaker": false, "failsafe-go": false, "go-resiliency": true}
	eachRival(t, func(t *testing.T, name string, s rival) {
		assert.Equal(t, recovers[name], afterProbe(s, func() error { runtime.Goexit(); return nil }))
	})
}

func TestFactProbeThatPanics(t *testing.T) {
	recovers := map[string]bool{"mainstay": true, "gobreaker": true, "failsafe-go": false, "go-resiliency": true}
	eachRival(t, func(t *testing.T, name string, s rival) {
		assert.Equal(t, recovers[name], afterProbe(s, func() error { panic("probe") }))
	})
}

// How many of 20 callers at once a half-open breaker admits.
func TestFactHalfOpen(t *testing.T) {
	admits := map[string]int{"mainstay": 1, "gobreaker": 1, "failsafe-go": 1, "go-resiliency": 20}
	eachRival(t, func(t *testing.T, name string, s rival) {
		_ = s.call(context.Background(), func() error { return errDown })
		time.Sleep(afterOpen)
		synctest.Wait()
		running, end := make(chan struct{}, 20), make(chan struct{})
		for range 20 {
			go func() {
				_ = s.call(context.Background(), func() error {
					running <- struct{}{}
					<-end
					return nil
				})
			}()
		}
		synctest.Wait()
		assert.Len(t, running, admits[name])
		close(end)
	})
}

// Whether a caller who cancels opens a breaker with default classification.
func TestFactCallerCancels(t *testing.T) {
	opens := map[string]bool{"mainstay": false, "gobreaker": true, "failsafe-go": true, "go-resiliency": true}
	eachRival(t, func(t *testing.T, name string, s rival) {
		ctx, cancel := context.WithCancel(context.Background())
		_ = s.call(ctx, func() error {
			cancel()
			return ctx.Err()
		})
		assert.Equal(t, opens[name], s.call(context.Background(), ok) != nil)
	})
}

// What a rejection tells: a cause, and the time left.
func TestFactRejection(t *testing.T) {
	eachRival(t, func(t *testing.T, name string, s rival) {
		_ = s.call(context.Background(), func() error { return errDown })
		time.Sleep(openFor / 2)
		err := s.call(context.Background(), ok)
		switch name {
		case "mainstay":
			var rejected *mainstay.RejectedError
			require.ErrorAs(t, err, &rejected)
			assert.Equal(t, errDown, rejected.Cause)
			assert.Equal(t, openFor/2, rejected.RetryAfter())
		case "gobreaker":
			assert.Equal(t, gobreaker.ErrOpenState, err)
		case "failsafe-go":
			assert.Equal(t, circuitbreaker.ErrOpen, err)
		case "go-resiliency":
			assert.Equal(t, breaker.ErrBreakerOpen, err)
		}
	})
}

// Whether opening starts a goroutine.
func TestFactGoroutines(t *testing.T) {
	starts := map[string]int{"mainstay": 0, "gobreaker": 0, "failsafe-go": 0, "go-resiliency": 1}
	eachRival(t, func(t *testing.T, name string, s rival) {
		before := runtime.NumGoroutine()
		_ = s.call(context.Background(), func() error { return errDown })
		assert.Equal(t, starts[name], runtime.NumGoroutine()-before)
	})
}

// go-zero's breaker sheds by chance: while every call fails it refuses some and
// still admits others. A rejection is a plain error, and nothing runs in the
// background.
func TestFactGoZero(t *testing.T) {
	logx.Disable()
	b := gozero.NewBreaker(gozero.WithName("x"))
	for range 5 {
		_ = b.Do(func() error { return errDown })
	}
	admitted, shed := 0, 0
	for range 2000 {
		switch err := b.Do(func() error { return errDown }); {
		case errors.Is(err, gozero.ErrServiceUnavailable):
			assert.Equal(t, gozero.ErrServiceUnavailable, err)
			shed++
		default:
			admitted++
		}
	}
	assert.Positive(t, admitted)
	assert.Positive(t, shed)
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	assert.NotContains(t, string(stacks), "go-zero/core/breaker.")

	// A call that panics or exits its goroutine, and one whose caller cancelled,
	// are failures.
	for _, fn := range []func() error{
		func() error { panic("call") },
		func() error { runtime.Goexit(); return nil },
		func() error { return context.Canceled },
	} {
		b := gozero.NewBreaker(gozero.WithName("y"))
		refused := false
		for range 200 {
			done := make(chan error, 1)
			go func() {
				defer close(done)
				defer func() { _ = recover() }()
				done <- b.Do(fn)
			}()
			refused = refused || errors.Is(<-done, gozero.ErrServiceUnavailable)
		}
		assert.True(t, refused)
	}
}

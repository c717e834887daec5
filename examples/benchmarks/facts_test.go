package main

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
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

// What .github/COMPARED.md says of each breaker in its rows in italics, shown by
// running it. All but go-zero, whose breaker is never open for a time, are on the
// fake time of a bubble.

var errDown = errors.New("down")

const (
	limit     = 3 // failures that open, probes admitted, successes that close
	openFor   = time.Minute
	afterOpen = openFor + 1 // gobreaker is open to the end inclusive
	crowd     = 20
)

// A rival is a breaker with that limit wherever it has one.
type rival struct {
	call  func(ctx context.Context, fn func() error) error
	state func() string
}

func rivals() map[string]rival {
	m := mainstay.MustNew("x", mainstay.Config{
		Trip: mainstay.ConsecutiveFailures(limit), OpenFor: openFor, Probes: limit, CloseAfter: limit,
	})
	g := gobreaker.NewCircuitBreaker[int](gobreaker.Settings{
		Timeout: openFor, MaxRequests: limit,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= limit },
	})
	e := breaker.New(limit, limit, openFor)
	return map[string]rival{
		"mainstay": {
			func(ctx context.Context, fn func() error) error {
				return m.Run(ctx, func(context.Context) error { return fn() })
			},
			func() string { return m.State().String() },
		},
		"gobreaker": {
			func(_ context.Context, fn func() error) error {
				_, err := g.Execute(func() (int, error) { return 0, fn() })
				return err
			},
			func() string { return g.State().String() },
		},
		"failsafe-go": failsafeRival(circuitbreaker.NewBuilder[any]().
			WithFailureThreshold(limit).WithSuccessThreshold(limit)),
		"go-resiliency": {
			func(_ context.Context, fn func() error) error { return e.Run(fn) },
			func() string { return [...]string{"closed", "open", "half-open"}[e.GetState()] },
		},
	}
}

func failsafeRival(cfg circuitbreaker.Builder[any]) rival {
	b := cfg.WithDelay(openFor).Build()
	f := failsafe.With[any](b)
	return rival{
		func(ctx context.Context, fn func() error) error { return f.WithContext(ctx).Run(fn) },
		func() string { return b.State().String() },
	}
}

func ok() error { return nil }

func down() error { return errDown }

// open has the breaker open, and fails if it is not, or was before its limit.
func (s rival) open(t *testing.T, failures int) {
	t.Helper()
	for range failures {
		require.Equal(t, "closed", s.state())
		require.Equal(t, errDown, s.call(t.Context(), down))
	}
	require.Equal(t, "open", s.state())
}

// alone makes a call on a goroutine of its own, which may panic or exit.
func (s rival) alone(fn func() error) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		defer func() { _ = recover() }()
		_ = s.call(context.Background(), fn)
	}()
	<-gone
}

// comesBack reports whether in the hour to come, with a caller every minute,
// one is admitted.
func (s rival) comesBack() bool {
	for range 60 {
		time.Sleep(afterOpen)
		if s.call(context.Background(), ok) == nil {
			return true
		}
	}
	return false
}

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

// A press is a crowd of callers whose calls do not end by themselves.
type press struct {
	rival
	admitted atomic.Int64
	end      chan struct{} // each receive ends one, a close all
}

// push adds callers and returns how many calls have been admitted by now.
func (p *press) push(callers int) int {
	for range callers {
		go func() {
			_ = p.call(context.Background(), func() error {
				p.admitted.Add(1)
				<-p.end
				return nil
			})
		}()
	}
	synctest.Wait()
	return int(p.admitted.Load())
}

// What a half-open breaker with slots for 3 admits: of 20 callers at once, and
// of another 20 when one of the first has come back well; and whether it ever
// admits anyone again if the rest do not come back.
func TestFactHalfOpen(t *testing.T) {
	type admits struct {
		first, both int
		afterAll    bool
	}
	want := map[string]admits{
		"mainstay":      {limit, limit + 1, true}, // at once, and each slot has a lease
		"gobreaker":     {limit, limit, false},    // in all
		"failsafe-go":   {limit, limit + 1, false},
		"go-resiliency": {crowd, 2 * crowd, true},
	}
	eachRival(t, func(t *testing.T, name string, s rival) {
		s.open(t, limit)
		time.Sleep(afterOpen)
		p := press{rival: s, end: make(chan struct{})}
		defer close(p.end)
		var got admits
		got.first = p.push(crowd)
		p.end <- struct{}{}
		synctest.Wait() // until it has been told
		got.both = p.push(crowd)
		got.afterAll = s.comesBack()
		assert.Equal(t, want[name], got)
	})
}

// failsafe-go's slots: as many as successes close, else as failures open.
func TestFactHalfOpenFailsafe(t *testing.T) {
	for successes, want := range map[uint]int{2: 2, 0: 5} {
		synctest.Test(t, func(t *testing.T) {
			cfg := circuitbreaker.NewBuilder[any]().WithFailureThreshold(5)
			if successes > 0 {
				cfg = cfg.WithSuccessThreshold(successes)
			}
			s := failsafeRival(cfg)
			s.open(t, 5)
			time.Sleep(afterOpen)
			p := press{rival: s, end: make(chan struct{})}
			defer close(p.end)
			assert.Equal(t, want, p.push(crowd))
		})
	}
}

// A fate is what becomes of a half-open breaker whose probes do not return.
type fate struct {
	state     string // after the first of 20, one after the other
	admitted  int    // of the 20
	comesBack bool
}

func fateOf(t *testing.T, s rival, probe func()) fate {
	t.Helper()
	s.open(t, limit)
	time.Sleep(afterOpen)
	var f fate
	for i := range crowd {
		s.alone(func() error {
			f.admitted++
			probe()
			return nil
		})
		if i == 0 {
			f.state = s.state()
		}
	}
	f.comesBack = s.comesBack()
	return f
}

func TestFactProbeThatPanics(t *testing.T) {
	fails := fate{"open", 1, true}
	want := map[string]fate{
		"mainstay": fails, "gobreaker": fails, "go-resiliency": fails,
		"failsafe-go": {"half-open", limit, false},
	}
	eachRival(t, func(t *testing.T, name string, s rival) {
		assert.Equal(t, want[name], fateOf(t, s, func() { panic("probe") }))
	})
}

func TestFactProbeThatExits(t *testing.T) {
	blocks := fate{"half-open", limit, false}
	want := map[string]fate{
		"mainstay":  {"open", 1, true},
		"gobreaker": blocks, "failsafe-go": blocks,
		"go-resiliency": {"half-open", crowd, true}, // neither a failure nor a success
	}
	eachRival(t, func(t *testing.T, name string, s rival) {
		assert.Equal(t, want[name], fateOf(t, s, runtime.Goexit))
	})
}

// What it is, with default classification, that a caller cancels just before
// the failure that would open: a failure opens already, a success starts the
// row of failures over.
func TestFactCallerCancels(t *testing.T) {
	want := map[string]string{
		"mainstay": "ignored", "gobreaker": "failure", "failsafe-go": "failure", "go-resiliency": "failure",
	}
	eachRival(t, func(t *testing.T, name string, s rival) {
		for range limit - 1 {
			_ = s.call(t.Context(), down)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_ = s.call(ctx, func() error {
			cancel()
			return ctx.Err()
		})
		got := "failure"
		if s.state() == "closed" {
			got = "success"
			if _ = s.call(t.Context(), down); s.state() == "open" {
				got = "ignored"
			}
		}
		assert.Equal(t, want[name], got)
	})
}

// What a rejection tells: a cause, and the time left.
func TestFactRejection(t *testing.T) {
	eachRival(t, func(t *testing.T, name string, s rival) {
		s.open(t, limit)
		time.Sleep(openFor / 2)
		err := s.call(t.Context(), ok)
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

// failsafe-go's breaker tells what its rejection does not.
func TestFactRejectionFailsafe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := circuitbreaker.NewBuilder[any]().WithDelay(openFor).Build()
		b.Open()
		time.Sleep(openFor / 2)
		assert.Equal(t, openFor/2, b.RemainingDelay())
	})
}

// Whether opening starts a goroutine.
func TestFactGoroutines(t *testing.T) {
	starts := map[string]int{"mainstay": 0, "gobreaker": 0, "failsafe-go": 0, "go-resiliency": 1}
	eachRival(t, func(t *testing.T, name string, s rival) {
		before := runtime.NumGoroutine()
		s.open(t, limit)
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
		_ = b.Do(down)
	}
	admitted, shed := 0, 0
	for range 2000 {
		switch err := b.Do(down); {
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
			err := <-done // one call at a time
			refused = refused || errors.Is(err, gozero.ErrServiceUnavailable)
		}
		assert.True(t, refused)
	}
}

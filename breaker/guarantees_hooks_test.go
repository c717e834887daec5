package breaker_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G30: what the events of a whole life say.
func TestG30_eventFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := breaker.MustNew("payments", breaker.Config{
			Trip: breaker.FailureRate(0.5, 4, breaker.LastN(10)), CloseAfter: 1, Hooks: r.transition(),
		})
		began := time.Now()
		time.Sleep(time.Minute)
		passing(t, b, 2)
		failing(t, b, 2)
		opened := time.Now()
		e := r.last(t)
		assert.Equal(t, "payments", e.Name)
		assert.Equal(t, breaker.Closed, e.From)
		assert.Equal(t, breaker.Open, e.To)
		assert.Equal(t, opened, e.At)
		assert.Equal(t, breaker.ReasonFailures, e.Reason)
		assert.Equal(t, errBoom, e.Cause)
		assert.Equal(t, openFor, e.OpenFor)
		assert.False(t, e.WouldOpen)
		assert.Equal(t, breaker.Closed, e.Before.State)
		assert.Equal(t, began, e.Before.Since)
		assert.Equal(t, tallies{Calls: 4, Failures: 2}, tallies{e.Before.Calls, e.Before.Failures, 0, 0})
		assert.InDelta(t, 0.5, e.Before.FailureRate, 0)

		time.Sleep(time.Hour)
		passing(t, b, 1)
		all := r.all()
		require.Len(t, all, 3)
		e = all[1]
		assert.Equal(t, time.Now(), e.At)
		assert.Equal(t, opened, e.Before.Since)
		assert.Equal(t, errBoom, e.Before.Cause)
		assert.Zero(t, e.OpenFor)
		require.NoError(t, e.Cause)
		e = all[2]
		assert.Equal(t, opened.Add(openFor), e.Before.Since)
		assert.EqualValues(t, 1, e.Before.Calls)
		chained(t, all)

		b.ForceOpen(errOther)
		assert.Equal(t, errOther, r.last(t).Cause)
	})
}

// G30: the hook has returned when the call does, and when a probe begins.
func TestG30_hookReturnsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		returned := 0
		cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1), CloseAfter: 1}
		cfg.Hooks.Transition = func(context.Context, breaker.Transition) {
			time.Sleep(time.Second)
			returned++
		}
		b := breaker.MustNew("b", cfg)
		failing(t, b, 1)
		assert.Equal(t, 1, returned)
		time.Sleep(openFor)
		require.NoError(t, b.Run(t.Context(), func(context.Context) error {
			assert.Equal(t, 2, returned)
			return nil
		}))
		assert.Equal(t, 3, returned)
		b.Trip(0, nil)
		assert.Equal(t, 4, returned)
	})
}

// G30: a slow hook holds up its own caller and the later events, but no other
// caller, and not the state.
func TestG30_slowHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		record := r.hooks().Transition
		release := make(chan struct{})
		cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1), CloseAfter: 1}
		cfg.Hooks.Transition = func(ctx context.Context, tr breaker.Transition) {
			record(ctx, tr)
			if tr.Reason == breaker.ReasonFailures {
				<-release
			}
		}
		b := breaker.MustNew("b", cfg)
		var slow sync.WaitGroup
		slow.Go(func() { _ = b.Run(context.Background(), returning(errBoom)) })
		synctest.Wait()

		refused(t, b)
		time.Sleep(openFor)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
		b.Trip(time.Hour, nil)
		assert.Len(t, r.all(), 1)
		close(release)
		slow.Wait()
		assert.Equal(t, []string{
			"closed > open: failures",
			"open > half-open: open time over",
			"half-open > closed: probes passed",
			"closed > open: trip",
		}, r.steps())
	})
}

// G30: an event goes to the Hooks in force when it happened, although others
// are when it is delivered.
func TestG30_hooksInForce(t *testing.T) {
	var first, second recorder
	var b *breaker.Breaker
	record := first.hooks().Transition
	cfg := breaker.Config{}
	cfg.Hooks.Transition = func(ctx context.Context, tr breaker.Transition) {
		record(ctx, tr)
		if tr.To == breaker.Open {
			b.Reset() // waits until this event is delivered
			assert.NoError(t, b.Reconfigure(breaker.Config{Hooks: second.transition()}))
			b.ForceClosed()
		}
	}
	b = breaker.MustNew("b", cfg)
	b.Trip(0, nil)
	assert.Equal(t, []string{"closed > open: trip", "open > closed: reset"}, first.steps())
	assert.Equal(t, []string{"closed > forced-closed: forced"}, second.steps())
	require.NoError(t, b.Reconfigure(breaker.Config{}))
	b.Auto()
	assert.Len(t, second.all(), 1)
}

// G31: every method may be called from every hook.
func TestG31_everyMethod(t *testing.T) {
	methods := map[string]func(context.Context, *breaker.Breaker){
		"Name":     func(_ context.Context, b *breaker.Breaker) { b.Name() },
		"State":    func(_ context.Context, b *breaker.Breaker) { b.State() },
		"Snapshot": func(_ context.Context, b *breaker.Breaker) { b.Snapshot() },
		"Run":      func(ctx context.Context, b *breaker.Breaker) { _ = b.Run(ctx, returning(errBoom)) },
		"Do": func(ctx context.Context, b *breaker.Breaker) {
			_, _ = breaker.Do(ctx, b, func(context.Context) (int, error) { return 0, nil })
		},
		"Allow": func(ctx context.Context, b *breaker.Breaker) {
			p, _ := b.Allow(ctx)
			p.Progress()
			p.Done(nil)
		},
		"Trip":        func(_ context.Context, b *breaker.Breaker) { b.Trip(time.Second, nil) },
		"ForceOpen":   func(_ context.Context, b *breaker.Breaker) { b.ForceOpen(nil) },
		"ForceClosed": func(_ context.Context, b *breaker.Breaker) { b.ForceClosed() },
		"Auto":        func(_ context.Context, b *breaker.Breaker) { b.Auto() },
		"Reset":       func(_ context.Context, b *breaker.Breaker) { b.Reset() },
		"Reconfigure": func(_ context.Context, b *breaker.Breaker) { _ = b.Reconfigure(breaker.Config{}) },
	}
	for _, hook := range []string{"Transition", "Rejected", "Done"} {
		inBubbles(t, methods, func(t *testing.T, method func(context.Context, *breaker.Breaker)) {
			var b *breaker.Breaker
			depth, ran := 0, 0
			within := func(ctx context.Context) {
				ran++
				if depth++; depth <= 3 { // a Run in the Done of Run would never end
					method(ctx, b)
				}
				depth--
			}
			cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1), CloseAfter: 1}
			switch hook {
			case "Transition":
				cfg.Hooks.Transition = func(ctx context.Context, _ breaker.Transition) { within(ctx) }
			case "Rejected":
				cfg.Hooks.Rejected = func(ctx context.Context, _ *breaker.RejectedError) { within(ctx) }
			case "Done":
				cfg.Hooks.Done = func(ctx context.Context, _ breaker.Completion) { within(ctx) }
			}
			b = breaker.MustNew("b", cfg)
			for range 3 {
				_ = b.Run(t.Context(), returning(errBoom))
				_ = b.Run(t.Context(), returning(nil))
				time.Sleep(openFor)
				_ = b.Run(t.Context(), returning(nil))
				b.Reset()
				require.NoError(t, b.Reconfigure(cfg))
			}
			assert.NotZero(t, ran)
			assert.Zero(t, b.Snapshot().HookPanics)
		})
	}
}

// G31: each hook that panics is contained and counted, and does not touch the
// result of the call.
func TestG31_panics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), CloseAfter: 1, Hooks: breaker.Hooks{
			Transition: func(context.Context, breaker.Transition) { panic("transition") },
			Rejected:   func(context.Context, *breaker.RejectedError) { panic(errOther) },
			Done:       func(context.Context, breaker.Completion) { panic(nil) }, //nolint:govet // on purpose
		}})
		passing(t, b, 1)
		assert.EqualValues(t, 1, b.Snapshot().HookPanics)
		failing(t, b, 1)
		assert.EqualValues(t, 3, b.Snapshot().HookPanics)
		refused(t, b)
		assert.EqualValues(t, 4, b.Snapshot().HookPanics)
		time.Sleep(openFor)
		passing(t, b, 1)
		assert.EqualValues(t, 7, b.Snapshot().HookPanics)
		b.ForceOpen(nil)
		assert.EqualValues(t, 8, b.Snapshot().HookPanics)
	})
}

// G31: a goroutine that a hook ends has delivered what was pending, each time.
func TestG31_goexitDeliversPending(t *testing.T) {
	var r recorder
	var b *breaker.Breaker
	record := r.hooks().Transition
	cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1)}
	cfg.Hooks.Transition = func(ctx context.Context, tr breaker.Transition) {
		record(ctx, tr)
		if len(r.all()) == 1 {
			b.Reset()
			b.ForceClosed()
			b.ForceOpen(nil)
		}
		runtime.Goexit()
	}
	b = breaker.MustNew("b", cfg)
	_, returned := exiting(func() { _ = b.Run(context.Background(), returning(errBoom)) })
	assert.False(t, returned)
	assert.Equal(t, []string{
		"closed > open: failures",
		"open > closed: reset",
		"closed > forced-closed: forced",
		"forced-closed > forced-open: forced",
	}, r.steps())
	assert.EqualValues(t, 4, b.Snapshot().HookPanics)
}

// G31: a Goexit of each hook is counted like a panic; that of fn, whose hooks
// return, is not.
func TestG31_goexitsCount(t *testing.T) {
	exit := true
	end := func() {
		if exit {
			runtime.Goexit()
		}
	}
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Hooks: breaker.Hooks{
			Transition: func(context.Context, breaker.Transition) { end() },
			Rejected:   func(context.Context, *breaker.RejectedError) { end() },
			Done:       func(context.Context, breaker.Completion) { end() },
		}})
		run := func(fn func(context.Context) error) {
			_, returned := exiting(func() { _ = b.Run(context.Background(), fn) })
			assert.False(t, returned)
		}
		run(returning(nil))
		assert.EqualValues(t, 1, b.Snapshot().HookPanics, "Done")
		run(returning(errBoom))
		assert.EqualValues(t, 3, b.Snapshot().HookPanics, "Transition, Done")
		run(returning(nil))
		assert.EqualValues(t, 4, b.Snapshot().HookPanics, "Rejected")
		exit = false
		b.Reset()
		run(func(context.Context) error { runtime.Goexit(); return nil })
		assertState(t, breaker.Open, b)
		assert.EqualValues(t, 4, b.Snapshot().HookPanics, "fn")
	})
}

// G31: whichever hook ends the goroutine of a probe, its slot is free and the
// call is reported once.
func TestG31_goexitOfProbe(t *testing.T) {
	hooks := map[string]func(*breaker.Config){
		"Done": func(cfg *breaker.Config) {
			cfg.Hooks.Done = func(context.Context, breaker.Completion) { runtime.Goexit() }
		},
		"Transition": func(cfg *breaker.Config) {
			cfg.CloseAfter = 1
			cfg.Hooks.Transition = func(_ context.Context, tr breaker.Transition) {
				if tr.From == breaker.HalfOpen {
					runtime.Goexit()
				}
			}
		},
	}
	for form, call := range forms {
		inBubbles(t, hooks, func(t *testing.T, hook func(*breaker.Config)) {
			cfg := breaker.Config{CloseAfter: 2}
			hook(&cfg)
			b := halfOpened(t, cfg)
			_, returned := exiting(func() { _ = call(context.Background(), b, returning(nil)) })
			assert.False(t, returned, form)
			s := b.Snapshot()
			assert.Zero(t, s.Probes, form)
			assert.Zero(t, s.Ignored+s.Late, form)
			if cfg.CloseAfter == 1 {
				assertState(t, breaker.Closed, b)
			} else {
				assert.Equal(t, tallies{Calls: 1}, tally(b), form)
			}
		})
	}
}

// G31: the call whose event a hook exits from is told to Done all the same:
// it was reported.
func TestG31_goexitBeforeDone(t *testing.T) {
	var r recorder
	cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1), Hooks: r.hooks()}
	cfg.Hooks.Transition = func(context.Context, breaker.Transition) { runtime.Goexit() }
	b := breaker.MustNew("b", cfg)
	_, returned := exiting(func() { _ = b.Run(context.Background(), returning(errBoom)) })
	assert.False(t, returned)
	assert.Len(t, r.completions, 1)
}

// G32: whose context the hooks get.
func TestG32_contexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var seen []string
		see := func(ctx context.Context, hook string) {
			who, _ := ctx.Value(key{}).(string)
			if ctx == context.Background() {
				who = "background"
			}
			seen = append(seen, hook+" of "+who)
		}
		as := func(who string) context.Context { return context.WithValue(t.Context(), key{}, who) }
		expect := func(want ...string) {
			t.Helper()
			assert.Equal(t, want, seen)
			seen = nil
		}
		b := breaker.MustNew("b", breaker.Config{
			Trip: breaker.ConsecutiveFailures(1), CloseAfter: 1, ProbeLease: time.Second, Ramp: time.Second,
			Hooks: breaker.Hooks{
				Transition: func(ctx context.Context, tr breaker.Transition) { see(ctx, tr.To.String()) },
				Rejected:   func(ctx context.Context, _ *breaker.RejectedError) { see(ctx, "rejected") },
				Done:       func(ctx context.Context, _ breaker.Completion) { see(ctx, "done") },
			},
		})
		_ = b.Run(as("a"), returning(errBoom))
		expect("open of a", "done of a")
		_ = b.Run(as("b"), returning(nil))
		expect("rejected of b")
		time.Sleep(openFor)
		_, _ = b.Allow(as("c"))
		expect("half-open of c")
		time.Sleep(time.Second)
		_, _ = b.Allow(as("d"))
		expect("open of d", "rejected of d")
		time.Sleep(openFor)
		p, err := b.Allow(as("e"))
		require.NoError(t, err)
		time.Sleep(time.Second / 2)
		p.Progress()
		expect("half-open of e", "recovering of e", "done of e")
		time.Sleep(time.Second)
		_ = b.Run(as("f"), returning(nil))
		expect("closed of f", "done of f")
		b.Trip(0, nil)
		b.Reset()
		b.ForceOpen(nil)
		b.Auto()
		b.ForceClosed()
		expect("open of background", "closed of background", "forced-open of background",
			"closed of background", "forced-closed of background")
	})
}

// G32: Rejected and Done run on the goroutine of their call, with what it gets.
func TestG32_onTheCallersGoroutine(t *testing.T) {
	var got *breaker.RejectedError
	var rejected, done string
	b := breaker.MustNew("b", breaker.Config{Hooks: breaker.Hooks{
		Rejected: func(_ context.Context, e *breaker.RejectedError) { got, rejected = e, goroutine() },
		Done:     func(context.Context, breaker.Completion) { done = goroutine() },
	}})
	passing(t, b, 1)
	assert.Equal(t, goroutine(), done)
	b.ForceOpen(nil)
	assert.Same(t, refusal(t, b), got)
	assert.Equal(t, goroutine(), rejected)
}

// G32: what Done tells of a call.
func TestG32_completion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{CloseAfter: 2, CloseOf: 9, Hooks: breaker.Hooks{Done: r.hooks().Done}})
		_ = b.Run(t.Context(), lasting(time.Second, errBoom))
		assert.Equal(t, breaker.Completion{Name: "b", Outcome: breaker.Failure, Err: errBoom, Took: time.Second, Probe: true}, r.completed(t))
		p := issued(t, b)
		time.Sleep(time.Minute)
		p.Record(breaker.Ignored, errOther)
		assert.Equal(t, breaker.Completion{Name: "b", Outcome: breaker.Ignored, Err: errOther, Took: time.Minute, Probe: true}, r.completed(t))
		passing(t, b, 2)
		passing(t, b, 1)
		assert.Equal(t, breaker.Completion{Name: "b"}, r.completed(t))
		p = issued(t, b)
		b.Reset()
		p.Done(errBoom)
		assert.Equal(t, breaker.Completion{Name: "b", Outcome: breaker.Failure, Err: errBoom, Late: true}, r.completed(t))
		assert.Len(t, r.completions, 6)
	})
}

package breaker_test

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// reports are the ways to report through a permit, and what each counts as.
var reports = map[string]struct {
	report func(*breaker.Permit)
	counts tallies
}{
	"Done(nil)":    {func(p *breaker.Permit) { p.Done(nil) }, tallies{Calls: 1}},
	"Done(err)":    {func(p *breaker.Permit) { p.Done(errBoom) }, tallies{Calls: 1, Failures: 1}},
	"Record":       {func(p *breaker.Permit) { p.Record(breaker.Failure, nil) }, tallies{Calls: 1, Failures: 1}},
	"Record, else": {func(p *breaker.Permit) { p.Record(breaker.Ignored, nil) }, tallies{Ignored: 1}},
}

// G7: the first report counts, of whatever kind the others are.
func TestG7_firstReportCounts(t *testing.T) {
	for first, want := range reports {
		for second, other := range reports {
			b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(1, 100, breaker.LastN(100))})
			p := issued(t, b)
			want.report(p)
			other.report(p)
			p.Trip(time.Hour, errBoom)
			p.Progress()
			assert.Equal(t, want.counts, tally(b), "%s, then %s", first, second)
			assertState(t, breaker.Closed, b)
		}
	}
	b := breaker.MustNew("b", breaker.Config{})
	p := issued(t, b)
	p.Trip(time.Hour, errBoom)
	b.Reset()
	p.Done(errBoom)
	p.Trip(time.Hour, errBoom)
	assertState(t, breaker.Closed, b)
	assert.Zero(t, b.Snapshot().Late)
}

// G7: a second report frees no second slot.
func TestG7_oneSlotPerProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := halfOpened(t, breaker.Config{Probes: 2})
		first, second := issued(t, b), issued(t, b)
		first.Done(nil)
		first.Done(nil)
		first.Record(breaker.Ignored, nil)
		assert.Equal(t, 1, b.Snapshot().Probes)
		third := issued(t, b)
		first.Done(nil)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		assert.Equal(t, tallies{Calls: 1}, tally(b))
		second.Done(nil)
		third.Done(nil)
		assertState(t, breaker.Closed, b)
	})
}

// G7: reports of different kinds from several goroutines at once.
func TestG7_concurrentReports(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureRate(1, 1<<20, breaker.LastN(1<<20))})
	for i := range uint64(500) {
		p := issued(t, b)
		var reporters sync.WaitGroup
		for _, r := range reports {
			reporters.Go(func() { r.report(p) })
		}
		reporters.Wait()
		got := tally(b)
		require.Equal(t, i+1, got.Calls+got.Ignored)
	}
}

// G7: a deferred Done after a failed Allow is safe, and counts nothing.
func TestG7_doneAfterFailedAllow(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{})
	b.Trip(-1, nil)
	before := b.Snapshot()
	func() {
		p, err := b.Allow(t.Context())
		defer p.Done(err)
		require.Error(t, err)
	}()
	before.Rejected++
	assert.Equal(t, before, b.Snapshot())
}

// G8: whatever a late report says, it adds one to Late and does nothing else.
func TestG8_lateReports(t *testing.T) {
	ends := map[string]func(*testing.T, *breaker.Breaker){
		"Reset":       func(_ *testing.T, b *breaker.Breaker) { b.Reset() },
		"Trip":        func(_ *testing.T, b *breaker.Breaker) { b.Trip(time.Hour, errOther) },
		"ForceOpen":   func(_ *testing.T, b *breaker.Breaker) { b.ForceOpen(errOther) },
		"ForceClosed": func(_ *testing.T, b *breaker.Breaker) { b.ForceClosed() },
		"and Auto": func(_ *testing.T, b *breaker.Breaker) {
			b.ForceClosed()
			b.Auto()
		},
		"another fails": func(t *testing.T, b *breaker.Breaker) { failing(t, b, 1) },
		"lost": func(t *testing.T, b *breaker.Breaker) {
			time.Sleep(openFor)
			refused(t, b)
		},
		"others close": func(t *testing.T, b *breaker.Breaker) { passing(t, b, 3) },
	}
	all := map[string]func(*breaker.Permit){
		"Trip":     func(p *breaker.Permit) { p.Trip(2*time.Hour, errBoom) },
		"Trip(-1)": func(p *breaker.Permit) { p.Trip(-1, errBoom) },
	}
	for name, r := range reports {
		all[name] = r.report
	}
	for how, report := range all {
		inBubbles(t, ends, func(t *testing.T, end func(*testing.T, *breaker.Breaker)) {
			b := halfOpened(t, breaker.Config{Probes: 2})
			p := issued(t, b)
			end(t, b)
			before := b.Snapshot()
			report(p)
			before.Late++
			assert.Equal(t, before, b.Snapshot(), how)
		})
	}
}

// G8: a probe whose lease has ended does not free the slot of its successor,
// nor count beside it.
func TestG8_lostProbeAndItsSuccessor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recorder
		b := halfOpened(t, breaker.Config{CloseAfter: 2, CloseOf: 4, ProbeLease: time.Second, Hooks: r.hooks()})
		lost := issued(t, b)
		time.Sleep(time.Second)
		next := issued(t, b)
		assert.Equal(t, tallies{Calls: 1, Failures: 1}, tally(b))

		lost.Done(nil)
		assert.True(t, r.completed(t).Late)
		assert.Equal(t, tallies{Calls: 1, Failures: 1, Late: 1}, tally(b))
		assert.Equal(t, 1, b.Snapshot().Probes)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		next.Done(nil)
		assert.False(t, r.completed(t).Late)
		passing(t, b, 1)
		assertState(t, breaker.Closed, b)
	})
}

// G8, G18: outcomes are ordered by the end of their calls.
func TestG8_ordering(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(2, breaker.LastN(3))})
	first := issued(t, b)
	passing(t, b, 3)
	failing(t, b, 1)
	first.Done(errBoom)
	assertState(t, breaker.Open, b)
}

// G9: in a closed stay, with every form of call.
func TestG9_abortedCalls(t *testing.T) {
	aborts := map[string]func(context.Context) error{
		"panic":  explode,
		"goexit": func(context.Context) error { runtime.Goexit(); return nil },
	}
	for form, call := range forms {
		if form == "Allow" {
			continue // reports what its caller does
		}
		for how, fn := range aborts {
			t.Run(form+" "+how, func(t *testing.T) {
				var r recorder
				b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(2), Hooks: r.hooks()})
				for range 2 {
					panicked, returned := exiting(func() {
						defer func() { assert.NotZero(t, len(r.completions), "not reported when the call is left") }()
						_ = call(context.Background(), b, fn)
					})
					assert.False(t, returned)
					if how == "panic" {
						assert.Equal(t, errBoom, panicked)
					} else {
						assert.Nil(t, panicked)
					}
					done := r.completed(t)
					assert.True(t, done.Aborted)
					assert.Equal(t, breaker.Failure, done.Outcome)
					assert.NoError(t, done.Err)
				}
				assertState(t, breaker.Open, b)
				assert.Len(t, r.completions, 2)
				require.Error(t, b.Snapshot().Cause)
				assert.Contains(t, b.Snapshot().Cause.Error(), "panicked or exited")
			})
		}
	}
}

// G9: without hooks and with plain counting the panic counts as well.
func TestG9_panicWithoutHooks(t *testing.T) {
	for form, call := range forms {
		if form == "Allow" {
			continue
		}
		b := breaker.MustNew("b", breaker.Config{})
		for range 5 {
			assertState(t, breaker.Closed, b)
			assert.PanicsWithValue(t, errBoom, func() { _ = call(t.Context(), b, explode) })
		}
		assertState(t, breaker.Open, b)
	}
}

// G9: a hook that panics while the caller's panic passes does not swallow it.
func TestG9_panicPastHooks(t *testing.T) {
	cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1)}
	cfg.Hooks.Transition = func(context.Context, breaker.Transition) { panic(errOther) }
	cfg.Hooks.Done = func(context.Context, breaker.Completion) { panic(errOther) }
	b := breaker.MustNew("b", cfg)
	assert.PanicsWithValue(t, errBoom, func() { _ = b.Run(t.Context(), explode) })
	assert.EqualValues(t, 2, b.Snapshot().HookPanics)

	quiet := breaker.Config{Trip: breaker.ConsecutiveFailures(1)}
	quiet.Hooks.Transition = func(context.Context, breaker.Transition) {}
	b = breaker.MustNew("b", quiet)
	assert.PanicsWithValue(t, errBoom, func() { _ = b.Run(t.Context(), explode) })
	assert.Zero(t, b.Snapshot().HookPanics)
}

// G9: a classifier that panics has not judged; the call is over all the same.
func TestG9_classifierPanics(t *testing.T) {
	classify := func(context.Context, error) breaker.Outcome { panic(errOther) }
	for form, call := range forms {
		if form == "DoResult" {
			continue
		}
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(2), Classify: classify})
		for range 2 {
			assert.PanicsWithValue(t, errOther, func() { _ = call(t.Context(), b, returning(errBoom)) }, form)
		}
		assertState(t, breaker.Open, b)
	}
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1)})
	assert.PanicsWithValue(t, errOther, func() {
		_, _ = breaker.DoResult(t.Context(), b, func(context.Context) (int, error) { return 0, nil },
			func(int, error) breaker.Outcome { panic(errOther) })
	})
	assertState(t, breaker.Open, b)
}

// G10: ignored outcomes enter no window, of no kind of rule.
func TestG10_ignoredCountsNowhere(t *testing.T) {
	rules := map[string]breaker.Rule{
		"consecutive": breaker.ConsecutiveFailures(2),
		"count, last": breaker.FailureCount(2, breaker.LastN(2)),
		"rate, last":  breaker.FailureRate(1, 2, breaker.LastN(2)),
		"count":       breaker.FailureCount(2, breaker.Within(time.Hour)),
		"rate":        breaker.FailureRate(0.5, 2, breaker.Within(time.Hour)),
		"slow":        breaker.SlowRate(time.Second, 0.01, -1, breaker.LastN(10)),
		"any":         breaker.Any(breaker.ConsecutiveFailures(2), breaker.FailureRate(0.5, 2, breaker.Within(time.Hour))),
	}
	inBubbles(t, rules, func(t *testing.T, rule breaker.Rule) {
		b := breaker.MustNew("b", breaker.Config{Trip: rule})
		failing(t, b, 1)
		before := b.Snapshot()
		for range 50 {
			p := issued(t, b)
			time.Sleep(time.Second) // slow, but no caller gave up
			p.Record(breaker.Ignored, errBoom)
		}
		before.Ignored += 50
		assert.Equal(t, before, b.Snapshot())
		if before.SlowOf == 0 {
			failing(t, b, 1)
			assertState(t, breaker.Open, b)
		}
	})
}

// G10: permits dropped unreported while closed cost nothing.
func TestG10_droppedWhileClosed(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{})
	before := b.Snapshot()
	for range 100_000 {
		_, err := b.Allow(t.Context())
		require.NoError(t, err)
	}
	assert.Equal(t, before, b.Snapshot())
}

// G11: rejections leave all counts as they are, in every state that rejects.
func TestG11_rejectionIsNoOutcome(t *testing.T) {
	for _, state := range []string{"open", "half-open, full", "recovering", "forced open"} {
		synctest.Test(t, func(t *testing.T) {
			var r recorder
			b := inState[state](t, breaker.Config{Hooks: r.hooks()})
			before, completions := b.Snapshot(), len(r.completions)
			for range 100 {
				refused(t, b)
			}
			before.Rejected += 100
			assert.Equal(t, before, b.Snapshot(), state)
			assert.Len(t, r.completions, completions, state)
		})
	}
}

// G11: fn runs once, on the caller's goroutine with the caller's context, and
// what it returns comes back as it is.
func TestG11_passedThrough(t *testing.T) {
	for state, newBreaker := range inState {
		synctest.Test(t, func(t *testing.T) {
			b := newBreaker(t, breaker.Config{CloseOf: 6})
			type result struct{ n int }
			want := &result{1}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ran := 0
			fn := func(got context.Context) (*result, error) {
				ran++
				assert.Equal(t, ctx, got)
				return want, errBoom
			}
			caller := goroutine()
			v, err := breaker.Do(ctx, b, func(ctx context.Context) (*result, error) {
				assert.Equal(t, caller, goroutine())
				return fn(ctx)
			})
			if ran == 0 {
				assert.Nil(t, v, state)
				assert.ErrorIs(t, err, breaker.ErrRejected, state)
				return
			}
			assert.Equal(t, 1, ran, state)
			assert.Same(t, want, v, state)
			assert.Same(t, errBoom, err, state)

			v, err = breaker.DoResult(ctx, b, fn, func(got *result, err error) breaker.Outcome {
				assert.Same(t, want, got)
				assert.Same(t, errBoom, err)
				return breaker.Success
			})
			assert.Same(t, want, v, state)
			assert.Same(t, errBoom, err, state)
			assert.Equal(t, 2, ran, state)
		})
	}
}

// goroutine tells goroutines apart.
func goroutine() string {
	trace := make([]byte, 64)
	name, _, _ := strings.Cut(string(trace[:runtime.Stack(trace, false)]), "[")
	return name
}

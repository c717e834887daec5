package main

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// The differences between gobreaker and package breaker that .github/MIGRATION.md
// tells of, each shown by running both.

// Settings that are left zero.
func TestMigrationDefaults(t *testing.T) {
	type defaults struct {
		failures, probes int // in a row that open; successful ones that close
		openFor          time.Duration
	}
	pairs(t, gobreaker.Settings{}, breaker.Config{}, func(t *testing.T, old, now rival) {
		find := func(r rival) (d defaults) {
			for ; r.state() == "closed"; d.failures++ {
				_ = r.call(t.Context(), down)
			}
			for ; r.state() == "open"; d.openFor += time.Second {
				time.Sleep(time.Second)
			}
			for ; r.state() == "half-open"; d.probes++ {
				require.NoError(t, r.call(t.Context(), ok))
			}
			return d
		}
		assert.Equal(t, defaults{6, 1, 61 * time.Second}, find(old), "open for 60 s and to the end inclusive")
		assert.Equal(t, defaults{5, 3, 30 * time.Second}, find(now))
	})
}

// A negative time is the default there, and here no time that ends.
func TestMigrationNegative(t *testing.T) {
	settings := gobreaker.Settings{Timeout: -1, ReadyToTrip: rowOf}
	pairs(t, settings, breaker.Config{OpenFor: -1}, func(t *testing.T, old, now rival) {
		old.open(t, row)
		now.open(t, row)
		time.Sleep(time.Hour)
		assert.Equal(t, "half-open", old.state())
		assert.Equal(t, "open", now.state())
	})
	_, err := breaker.New("x", breaker.Config{CloseAfter: -1})
	assert.ErrorContains(t, err, "CloseAfter")
}

const row = 5 // failures that open in the tests below

func countOf(c gobreaker.Counts) bool { return c.TotalFailures >= row }

func rowOf(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= row }

// Interval begins when it will, Within ends now; and the row of failures starts
// over with Interval.
func TestMigrationInterval(t *testing.T) {
	for name, c := range map[string]struct {
		settings gobreaker.Settings
		rule     breaker.Rule
		old, now string
	}{
		"a window": {
			gobreaker.Settings{Interval: time.Minute, ReadyToTrip: countOf},
			breaker.FailureCount(row, breaker.Within(time.Minute)), "closed", "open",
		},
		"with BucketPeriod": {
			gobreaker.Settings{Interval: time.Minute, BucketPeriod: time.Second, ReadyToTrip: countOf},
			breaker.FailureCount(row, breaker.Within(time.Minute)), "open", "open",
		},
		"a row": {
			gobreaker.Settings{Interval: time.Minute, ReadyToTrip: rowOf},
			breaker.ConsecutiveFailures(row), "closed", "open",
		},
	} {
		t.Run(name, func(t *testing.T) {
			pairs(t, c.settings, breaker.Config{Trip: c.rule}, func(t *testing.T, old, now rival) {
				const s = time.Second
				for _, gap := range []time.Duration{57 * s, s, s, 2 * s, s} { // the minute ends before the fourth
					time.Sleep(gap)
					_ = old.call(t.Context(), down)
					_ = now.call(t.Context(), down)
				}
				assert.Equal(t, c.old, old.state())
				assert.Equal(t, c.now, now.state())
			})
		})
	}
}

// A call that is still under way when its Interval ends counts for nothing; and all
// the while it is a request that has not failed.
func TestMigrationCallsUnderWay(t *testing.T) {
	hang := func() error {
		time.Sleep(20 * time.Second)
		return errDown
	}
	settings := gobreaker.Settings{Interval: 10 * time.Second, ReadyToTrip: countOf}
	cfg := breaker.Config{Trip: breaker.FailureCount(row, breaker.Within(10*time.Second))}
	pairs(t, settings, cfg, func(t *testing.T, old, now rival) {
		for range 100 {
			go func() { _ = old.call(context.Background(), hang) }()
			go func() { _ = now.call(context.Background(), hang) }()
			time.Sleep(time.Second)
		}
		assert.Equal(t, "closed", old.state())
		assert.NotEqual(t, "closed", now.state())
		time.Sleep(time.Minute)
	})

	half := func(c gobreaker.Counts) bool { return c.Requests >= 10 && 2*c.TotalFailures >= c.Requests }
	settings = gobreaker.Settings{ReadyToTrip: half}
	cfg = breaker.Config{Trip: breaker.FailureRate(0.5, 10, breaker.LastN(100))}
	pairs(t, settings, cfg, func(t *testing.T, old, now rival) {
		for range 100 {
			go func() { _ = old.call(context.Background(), hang) }()
			go func() { _ = now.call(context.Background(), hang) }()
		}
		synctest.Wait()
		for range 20 {
			_ = old.call(t.Context(), down)
			_ = now.call(t.Context(), down)
		}
		assert.Equal(t, "closed", old.state(), "20 of 120")
		assert.Equal(t, "open", now.state(), "20 of 20")
		time.Sleep(time.Minute)
	})
}

// OnStateChange has the lock of the breaker, Transition none.
func TestMigrationHookAndLock(t *testing.T) {
	// within reports whether another goroutine may look at the state meanwhile.
	within := func(state func() string) bool {
		looked := make(chan struct{})
		go func() {
			state()
			close(looked)
		}()
		for stacks := make([]byte, 1<<20); ; runtime.Gosched() {
			select {
			case <-looked:
				return true
			default:
			}
			for g := range strings.SplitSeq(string(stacks[:runtime.Stack(stacks, true)]), "\n\n") {
				if strings.Contains(g, "[sync.Mutex.Lock") && strings.Contains(g, "gobreaker") {
					return false
				}
			}
		}
	}
	var g *gobreaker.CircuitBreaker[int]
	old := true
	g = gobreaker.NewCircuitBreaker[int](gobreaker.Settings{
		ReadyToTrip: rowOf,
		OnStateChange: func(string, gobreaker.State, gobreaker.State) {
			old = within(func() string { return g.State().String() })
		},
	})
	var m *breaker.Breaker
	now := false
	m = breaker.MustNew("x", breaker.Config{Hooks: breaker.Hooks{
		Transition: func(context.Context, breaker.Transition) { now = within(func() string { return m.State().String() }) },
	}})
	for range row {
		_, _ = g.Execute(func() (int, error) { return 0, errDown })
		_ = m.Run(t.Context(), func(context.Context) error { return errDown })
	}
	assert.False(t, old, "State waits")
	assert.True(t, now)
}

// State turns gobreaker half-open and tells OnStateChange; ours waits for a call.
// The numbers of the states are others, their names the same.
func TestMigrationStates(t *testing.T) {
	var told, hooked []string
	settings := gobreaker.Settings{
		ReadyToTrip: rowOf, Timeout: openFor,
		OnStateChange: func(_ string, _, to gobreaker.State) { told = append(told, to.String()) },
	}
	cfg := breaker.Config{OpenFor: openFor, Hooks: breaker.Hooks{
		Transition: func(_ context.Context, tr breaker.Transition) { hooked = append(hooked, tr.To.String()) },
	}}
	pairs(t, settings, cfg, func(t *testing.T, old, now rival) {
		old.open(t, row)
		now.open(t, row)
		time.Sleep(afterOpen)
		assert.Equal(t, "half-open", old.state())
		assert.Equal(t, "half-open", now.state())
		assert.Equal(t, []string{"open", "half-open"}, told)
		assert.Equal(t, []string{"open"}, hooked)
		assert.NoError(t, now.call(t.Context(), ok))
		assert.Equal(t, []string{"open", "half-open"}, hooked)
	})
	assert.Equal(t, []int{0, 1, 2}, []int{int(gobreaker.StateClosed), int(gobreaker.StateHalfOpen), int(gobreaker.StateOpen)})
	assert.Equal(t, []int{0, 2, 1}, []int{int(breaker.Closed), int(breaker.HalfOpen), int(breaker.Open)})
}

// IsExcluded and IsSuccessful are asked about nil too, Classify only about errors, and
// with the context of the call: its end is not that of another.
func TestMigrationClassify(t *testing.T) {
	var old, now []error
	settings := gobreaker.Settings{IsSuccessful: func(err error) bool {
		old = append(old, err)
		return err == nil
	}}
	cfg := breaker.Config{Classify: func(ctx context.Context, err error) breaker.Outcome {
		now = append(now, err)
		return breaker.DefaultClassify(ctx, err)
	}}
	pairs(t, settings, cfg, func(t *testing.T, g, m rival) {
		for _, fn := range []func() error{ok, down} {
			_ = g.call(t.Context(), fn)
			_ = m.call(t.Context(), fn)
		}
		assert.Equal(t, []error{nil, errDown}, old)
		assert.Equal(t, []error{errDown}, now)
		for range row {
			_ = m.call(t.Context(), func() error { return context.Canceled }) // by somebody else
		}
		assert.Equal(t, "open", m.state())
	})
}

// A call whose context has ended is made by gobreaker, which knows of none.
func TestMigrationContext(t *testing.T) {
	pairs(t, gobreaker.Settings{}, breaker.Config{}, func(t *testing.T, old, now rival) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		assert.Equal(t, errDown, old.call(ctx, down))
		assert.Equal(t, context.Canceled, now.call(ctx, down))
	})
}

// To report twice counts twice; a probe that is never reported blocks for good.
func TestMigrationTwoStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gobreaker.NewTwoStepCircuitBreaker[int](gobreaker.Settings{ReadyToTrip: rowOf, Timeout: openFor})
		m := breaker.MustNew("x", breaker.Config{OpenFor: openFor})
		done, err := g.Allow()
		require.NoError(t, err)
		permit, err := m.Allow(t.Context())
		require.NoError(t, err)
		for range row {
			done(errDown)
			permit.Done(errDown)
		}
		assert.Equal(t, gobreaker.StateOpen, g.State())
		assert.Equal(t, breaker.Closed, m.State())

		m.Trip(0, nil)
		time.Sleep(afterOpen)
		_, err = g.Allow()
		require.NoError(t, err)
		_, err = m.Allow(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Hour)
		_, err = g.Allow()
		assert.Equal(t, gobreaker.ErrTooManyRequests, err)
		_, err = m.Allow(t.Context()) // finds that the lease is over
		assert.ErrorIs(t, err, breaker.ErrOpen)
		time.Sleep(openFor)
		_, err = m.Allow(t.Context())
		assert.NoError(t, err)
	})
}

// Rejections have to be matched by errors.Is.
func TestMigrationErrors(t *testing.T) {
	pairs(t, gobreaker.Settings{ReadyToTrip: rowOf}, breaker.Config{}, func(t *testing.T, old, now rival) {
		old.open(t, row)
		now.open(t, row)
		assert.True(t, old.call(t.Context(), ok) == gobreaker.ErrOpenState) //nolint:errorlint // it is what old code does
		err := now.call(t.Context(), ok)
		assert.False(t, err == breaker.ErrOpen) //nolint:errorlint // it is what old code does
		assert.ErrorIs(t, err, breaker.ErrOpen)
		assert.ErrorIs(t, err, breaker.ErrRejected)
		assert.NotErrorIs(t, err, errDown)
	})
}

// pairs runs a test with a breaker of each, on fake time.
func pairs(t *testing.T, settings gobreaker.Settings, cfg breaker.Config, test func(t *testing.T, old, now rival)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := gobreaker.NewCircuitBreaker[int](settings)
		m := breaker.MustNew("x", cfg)
		test(t, rival{
			func(_ context.Context, fn func() error) error {
				_, err := g.Execute(func() (int, error) { return 0, fn() })
				return err
			},
			func() string { return g.State().String() },
		}, rival{
			func(ctx context.Context, fn func() error) error {
				return m.Run(ctx, func(context.Context) error { return fn() })
			},
			func() string { return m.State().String() },
		})
	})
}

package saga_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// A deafClock tells the time, and its timers do not fire.
type deafClock struct{ *clock.Mock }

func (deafClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	return clock.NewMock().AfterFunc(d, f)
}

// passes lets time pass on a clock whose timers nobody hears.
func passes(c deafClock, d time.Duration, answer error) deed {
	return func(context.Context, *state) error { c.Set(c.Now().Add(d)); return answer }
}

// G27: an instant has come when now is not before it, though no timer has fired.
func TestG27_WithoutTimers(t *testing.T) {
	const limit = time.Minute
	for name, c := range map[string]struct {
		steps func(s *script, c deafClock, d time.Duration) []saga.Step[state]
		early []string // when the clock is a nanosecond before the instant
		come  []string
		cause error // of the failure once it has come
	}{
		"Timeout between two steps": {
			func(s *script, c deafClock, d time.Duration) []saga.Step[state] {
				return []saga.Step[state]{s.step("a", passes(c, d, nil)), s.step("b")}
			},
			[]string{"do a", "do b"},
			[]string{"do a", "undo a"},
			context.DeadlineExceeded,
		},
		"Timeout before another attempt": {
			func(s *script, c deafClock, d time.Duration) []saga.Step[state] {
				a := s.step("a", passes(c, d, saga.RetryAfter(rejected, 0)), nil)
				a.Retry = patient(2)
				return []saga.Step[state]{a}
			},
			[]string{"do a", "do a"},
			[]string{"do a"},
			context.DeadlineExceeded,
		},
		"Timeout in a Sleep of nothing": {
			func(s *script, c deafClock, d time.Duration) []saga.Step[state] {
				at := func(*state) time.Time { c.Set(c.Now().Add(d)); return c.Now() }
				return []saga.Step[state]{s.step("a"), saga.SleepUntil(saga.Step[state]{Name: "s"}, at), s.step("b")}
			},
			[]string{"do a", "do b"},
			[]string{"do a", "undo a"},
			context.DeadlineExceeded,
		},
		"Grace between two compensations": {
			func(s *script, c deafClock, d time.Duration) []saga.Step[state] {
				b := s.step("b")
				b.Undo = s.acts("undo b", passes(c, d, nil))
				return []saga.Step[state]{s.step("a"), b, s.step("c", rejected)}
			},
			[]string{"do a", "do b", "do c", "undo b", "undo a"},
			[]string{"do a", "do b", "do c", "undo b"},
			errDeclined,
		},
		"Grace before another compensation": {
			func(s *script, c deafClock, d time.Duration) []saga.Step[state] {
				a := s.step("a")
				a.Undo, a.UndoRetry = s.acts("undo a", passes(c, d, errDown), nil), patient(2)
				return []saga.Step[state]{a, s.step("c", rejected)}
			},
			[]string{"do a", "do c", "undo a", "undo a"},
			[]string{"do a", "do c", "undo a"},
			errDeclined,
		},
		"Grace after the pivot": {
			func(s *script, c deafClock, d time.Duration) []saga.Step[state] {
				b := s.bare("b", errDown, passes(c, d, errDown), nil)
				b.Retry = saga.Retry{Wait: -1}
				return []saga.Step[state]{s.pivot("a"), b}
			},
			[]string{"do a", "do b", "do b", "do b"},
			[]string{"do a", "do b", "do b"},
			context.DeadlineExceeded,
		},
		"Grace between two steps after the pivot": {
			func(s *script, c deafClock, d time.Duration) []saga.Step[state] {
				b := s.bare("b", errDown, passes(c, d, nil))
				b.Retry = saga.Retry{Wait: -1}
				return []saga.Step[state]{s.pivot("a"), b, s.bare("c")}
			},
			[]string{"do a", "do b", "do b", "do c"},
			[]string{"do a", "do b", "do b"},
			context.DeadlineExceeded,
		},
		"Grace of a pivot that may be applied": {
			func(s *script, c deafClock, d time.Duration) []saga.Step[state] {
				p := s.pivot("a", errDown, passes(c, d, errDown), nil)
				p.Retry = saga.Retry{Wait: -1}
				return []saga.Step[state]{p}
			},
			[]string{"do a", "do a", "do a"},
			[]string{"do a", "do a"},
			context.DeadlineExceeded,
		},
	} {
		for _, d := range []time.Duration{limit - 1, limit} {
			t.Run(fmt.Sprint(name, " ", d), func(t *testing.T) {
				s, mock := newScript(), deafClock{clock.NewMock()}
				spec := saga.Spec[state]{Name: "checkout", Steps: c.steps(s, mock, d)}
				cfg := saga.RunConfig{Clock: mock, Grace: limit}
				if name[0] == 'T' {
					spec.Timeout, cfg.Grace = limit, -1
				}
				err := saga.MustNewWith(spec).RunWith(t.Context(), cfg, &state{})
				if d < limit {
					assert.Equal(t, c.early, s.trace())
					return
				}
				assert.Equal(t, c.come, s.trace())
				require.ErrorIs(t, err, c.cause)
			})
		}
	}
}

// clocks are those that a run can have, at instants of all kinds.
func clocks() map[string]func() saga.Clock {
	mock := func(at time.Time) func() saga.Clock {
		return func() saga.Clock {
			m := clock.NewMock()
			m.Set(at)
			return m
		}
	}
	return map[string]func() saga.Clock{
		"system":  func() saga.Clock { return nil },
		"Mock":    mock(time.Unix(0, 0)),
		"of 2200": mock(time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)),
		"of 1700": mock(time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
}

// G27: limits that are longer than time end nothing, and negative ones are none.
func TestG27_ExtremeLimits(t *testing.T) {
	for name, newClock := range clocks() {
		for _, d := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1, -1, math.MinInt64} {
			t.Run(fmt.Sprint(name, " ", d), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, c := newScript(), newClock()
					slow := deed(func(ctx context.Context, _ *state) error {
						if m, ok := c.(*clock.Mock); ok {
							m.Add(time.Hour)
						}
						time.Sleep(time.Hour)
						return ctx.Err()
					})
					step := func(name string, answers ...any) saga.Step[state] {
						step := s.step(name, answers...)
						step.Undo = s.acts("undo "+name, slow)
						step.Timeout, step.UndoTimeout = d, d
						return step
					}
					spec := saga.Spec[state]{Name: "sub", Timeout: d, Steps: []saga.Step[state]{step("b", slow)}}
					sub := saga.Sub(saga.Step[state]{Name: "i"}, saga.MustNewWith(spec), func(*state) state { return state{} }, nil)
					spec.Steps = []saga.Step[state]{step("a", slow), sub, step("c", rejected)}
					err := saga.MustNewWith(spec).RunWith(t.Context(), saga.RunConfig{Clock: c, Grace: d}, &state{})
					assert.Empty(t, ended(t, err, saga.Compensated, saga.ReasonNone, "c", errDeclined).Undo)
					assert.Equal(t, []string{"do a", "do b", "do c", "undo b", "undo a"}, s.trace())

					s = newScript()
					spec.Steps = []saga.Step[state]{s.pivot("p", saga.RetryAfter(rejected, 0), slow), s.bare("q", slow)}
					spec.Steps[0].Retry, spec.Steps[1].Timeout = patient(2), d
					err = saga.MustNewWith(spec).RunWith(t.Context(), saga.RunConfig{Clock: c, Grace: d}, &state{})
					require.NoError(t, err)
				})
			})
		}
	}
}

// G27: waits that are longer than time do not end of themselves, however they have
// grown.
func TestG27_ExtremeWaits(t *testing.T) {
	last := func(random uint64) func() uint64 { return func() uint64 { return random } }
	retry := func(r saga.Retry) func(*script) saga.Step[state] {
		return func(s *script) saga.Step[state] {
			a := s.step("a", errDown)
			r.Attempts = 2
			a.Retry = r
			return a
		}
	}
	for name, step := range map[string]func(*script) saga.Step[state]{
		"Wait":          retry(saga.Retry{Wait: math.MaxInt64, MaxWait: -1, NoJitter: true}),
		"MaxWait":       retry(saga.Retry{Wait: math.MaxInt64, MaxWait: math.MaxInt64, NoJitter: true}),
		"least MaxWait": retry(saga.Retry{Wait: math.MaxInt64, MaxWait: math.MinInt64, NoJitter: true}),
		"with jitter":   retry(saga.Retry{Wait: math.MaxInt64, MaxWait: -1}),
		"Factor": func(s *script) saga.Step[state] {
			a := s.step("a", saga.RetryAfter(errDown, 1), errDown)
			a.Retry = saga.Retry{Attempts: 3, Wait: 1, MaxWait: -1, Factor: math.MaxFloat64, NoJitter: true}
			return a
		},
		"RetryAfter": func(s *script) saga.Step[state] {
			a := s.step("a", saga.RetryAfter(errDown, math.MaxInt64))
			a.Retry = patient(2)
			return a
		},
		"Sleep": func(s *script) saga.Step[state] {
			s.note("do a")
			s.note("undo a")
			return saga.Sleep(saga.Step[state]{Name: "s"}, math.MaxInt64)
		},
		"SleepUntil": func(s *script) saga.Step[state] {
			s.note("do a")
			s.note("undo a")
			return saga.SleepUntil(saga.Step[state]{Name: "s"}, func(*state) time.Time { return time.Unix(1<<40, 0) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, timeout := range []time.Duration{0, math.MaxInt64} {
					s := newScript()
					ctx, cancel := context.WithTimeoutCause(t.Context(), 24*365*time.Hour, errOther)
					spec := saga.Spec[state]{Name: "checkout", Timeout: timeout, Steps: []saga.Step[state]{step(s)}}
					err := saga.MustNewWith(spec).RunWith(ctx, saga.RunConfig{Rand: last(math.MaxUint64)}, &state{})
					cancel()
					assert.Empty(t, ended(t, err, saga.Compensated, saga.ReasonNone, "", errOther).Undo)
					if name == "Factor" {
						assert.Equal(t, []string{"do a", "do a", "undo a"}, s.trace())
						continue
					}
					assert.Equal(t, []string{"do a", "undo a"}, s.trace())
				}
			})
		})
	}
}

// G27: waits that are less than nothing are none.
func TestG27_NegativeWaits(t *testing.T) {
	for name, newClock := range clocks() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClock()
				s := newScript()
				a := s.step("a", errDown, saga.RetryAfter(errDown, math.MinInt64), nil)
				a.Retry = saga.Retry{Attempts: 3, Wait: math.MinInt64, MaxWait: math.MinInt64}
				sleep := saga.Sleep(saga.Step[state]{Name: "s"}, math.MinInt64)
				until := saga.SleepUntil(saga.Step[state]{Name: "u"}, func(*state) time.Time { return time.Time{} })
				spec := saga.Spec[state]{Name: "checkout", Timeout: time.Hour, Steps: []saga.Step[state]{a, sleep, until, s.step("b")}}
				require.NoError(t, saga.MustNewWith(spec).RunWith(t.Context(), saga.RunConfig{Clock: c}, &state{}))
				assert.Equal(t, []string{"do a", "do a", "do a", "do b"}, s.trace())
				assert.Zero(t, time.Since(s.begun))
			})
		})
	}
}

// G6, G27: a wait that has grown beyond all bounds is still at most MaxWait.
func TestG27_GrowthWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		a := s.step("a", errDown)
		a.Retry = saga.Retry{Attempts: 1200, Wait: 1, MaxWait: time.Second, NoJitter: true}
		require.ErrorIs(t, run(t, saga.RunConfig{}, a), errDown)
		times := s.times()
		for n := 40; n < 1200; n++ {
			require.Equal(t, time.Second, times[n]-times[n-1], "before attempt %d", n+1)
		}
	})
}

// G27: a clock that is set back makes everything later by that, and nothing early.
func TestG27_SetBack(t *testing.T) {
	const wait = time.Minute
	for name, c := range map[string]struct {
		steps func(s *script, now time.Time) []saga.Step[state]
		want  []string // once it has come
		err   error
	}{
		"a wait": {
			func(s *script, _ time.Time) []saga.Step[state] {
				a := s.step("a", saga.RetryAfter(rejected, wait), nil)
				a.Retry = patient(2)
				return []saga.Step[state]{a}
			},
			[]string{"do a", "do a"},
			nil,
		},
		"a wait of Undo": {
			func(s *script, _ time.Time) []saga.Step[state] {
				a := s.step("a", errDown)
				a.Undo = s.acts("undo a", saga.RetryAfter(rejected, wait), nil)
				return []saga.Step[state]{a}
			},
			[]string{"do a", "undo a", "undo a"},
			errDown,
		},
		"Sleep": {
			func(s *script, _ time.Time) []saga.Step[state] {
				return []saga.Step[state]{saga.Sleep(saga.Step[state]{Name: "s"}, wait), s.step("a")}
			},
			[]string{"do a"},
			nil,
		},
		"SleepUntil": {
			func(s *script, now time.Time) []saga.Step[state] {
				return []saga.Step[state]{saga.SleepUntil(saga.Step[state]{Name: "s"}, func(*state) time.Time { return now.Add(wait) }), s.step("a")}
			},
			[]string{"do a"},
			nil,
		},
		"the timeout of a step": {
			func(s *script, _ time.Time) []saga.Step[state] {
				a := s.bare("a", hangs())
				a.Timeout = wait
				return []saga.Step[state]{a, s.step("b")}
			},
			[]string{"do a"},
			context.DeadlineExceeded,
		},
		"the timeout of the run": {
			func(s *script, _ time.Time) []saga.Step[state] {
				sub := saga.MustNewWith(saga.Spec[state]{Name: "sub", Timeout: wait, Steps: []saga.Step[state]{s.bare("a", hangs()), s.step("b")}})
				return []saga.Step[state]{saga.Sub(saga.Step[state]{Name: "i"}, sub, func(*state) state { return state{} }, nil)}
			},
			[]string{"do a"},
			context.DeadlineExceeded,
		},
		"the grace": {
			func(s *script, _ time.Time) []saga.Step[state] {
				a := s.step("a", errDown)
				a.Undo = s.acts("undo a", hangs())
				return []saga.Step[state]{a}
			},
			[]string{"do a", "undo a"},
			errDown,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, mock := newScript(), clock.NewMock()
				mock.Set(time.Unix(1<<30, 0))
				cfg := saga.RunConfig{Clock: mock, Grace: -1}
				if name == "the grace" {
					cfg.Grace = wait
				}
				over := make(chan error, 1)
				go func() {
					over <- saga.MustNew("checkout", c.steps(s, mock.Now())).RunWith(t.Context(), cfg, &state{})
				}()
				synctest.Wait()
				mock.Add(wait / 2)
				mock.Set(mock.Now().Add(-time.Hour))
				mock.Add(time.Hour + wait/2 - 1)
				synctest.Wait()
				assert.Empty(t, over, "a nanosecond before the instant")
				mock.Add(1)
				synctest.Wait()
				require.Len(t, over, 1)
				assert.ErrorIs(t, <-over, c.err)
				assert.Equal(t, c.want, s.trace())
			})
		})
	}
}

// G27: an instant long past has come, also for a clock that stands before the start
// of the run.
func TestG27_SetBackBeforeTheStart(t *testing.T) {
	for name, sleep := range map[string]saga.Step[state]{
		"SleepUntil": saga.SleepUntil(saga.Step[state]{Name: "s"}, func(*state) time.Time { return time.Time{} }),
		"Sleep":      saga.Sleep(saga.Step[state]{Name: "s"}, math.MinInt64),
	} {
		t.Run(name, func(t *testing.T) {
			s, mock := newScript(), deafClock{clock.NewMock()}
			spec := saga.Spec[state]{Name: "checkout", Timeout: time.Hour, Steps: []saga.Step[state]{s.step("a", passes(mock, -time.Second, nil)), sleep, s.step("b")}}
			require.NoError(t, saga.MustNewWith(spec).RunWith(t.Context(), saga.RunConfig{Clock: mock}, &state{}))
			assert.Equal(t, []string{"do a", "do b"}, s.trace())
		})
	}
}

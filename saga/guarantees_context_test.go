package saga_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// G24: what has ended before Run does not begin.
func TestG24_EndedBefore(t *testing.T) {
	s := newScript()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOther)
	assert.Equal(t, errOther, saga.MustNew("checkout", []saga.Step[state]{s.step("a")}).Run(ctx, &state{}))
	assert.Empty(t, s.trace())
}

// G17, G24: a caller who leaves in the middle of a step ends its context; the step
// counts by what it says, the run goes back, and contexts of Undo live, with the
// caller's values.
func TestG24_CallerLeaves(t *testing.T) {
	for name, c := range map[string]struct {
		answer error
		undoes bool // of the step in flight
	}{
		"nil":    {nil, true},
		"cause":  {errOther, true},
		"error":  {errDown, true},
		"Reject": {rejected, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			ctx, cancel := context.WithCancelCause(context.WithValue(t.Context(), errDown, "kept"))
			b := s.step("b", deed(func(ctx context.Context, _ *state) error {
				cancel(errOther)
				<-ctx.Done()
				assert.Equal(t, errOther, context.Cause(ctx))
				return c.answer
			}))
			b.Retry = patient(5)
			a := s.step("a")
			a.Undo = s.acts("undo a", deed(func(ctx context.Context, _ *state) error {
				assert.NoError(t, ctx.Err())
				assert.Equal(t, "kept", ctx.Value(errDown))
				return nil
			}))
			err := saga.MustNew("checkout", []saga.Step[state]{a, b, s.step("c")}).Run(ctx, &state{})
			want := []string{"do a", "do b"}
			if c.undoes {
				want = append(want, "undo b")
			}
			assert.Equal(t, append(want, "undo a"), s.trace())
			step := ""
			if errors.Is(c.answer, errDeclined) {
				step = "b"
			}
			_ = ended(t, err, saga.Compensated, saga.ReasonNone, step, errOther)
			if c.answer != nil {
				assert.ErrorIs(t, err, c.answer)
			}
		})
	}
}

// G24: when the last step is applied it does not matter that the caller has left.
func TestG24_LeavesDuringTheLast(t *testing.T) {
	s := newScript()
	ctx, cancel := context.WithCancel(t.Context())
	last := s.step("b", deed(func(context.Context, *state) error { cancel(); return nil }))
	require.NoError(t, saga.MustNew("checkout", []saga.Step[state]{s.step("a"), last}).Run(ctx, &state{}))
	assert.Equal(t, []string{"do a", "do b"}, s.trace())
}

// G24: a wait ends with the context.
func TestG24_LeavesDuringAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, steps := range map[string]func(s *script) []saga.Step[state]{
			"for another attempt": func(s *script) []saga.Step[state] {
				b := s.step("b", errDown)
				b.Retry = saga.Retry{Attempts: 2, Wait: time.Hour, MaxWait: -1, NoJitter: true}
				return []saga.Step[state]{s.step("a"), b}
			},
			"of Sleep": func(s *script) []saga.Step[state] {
				return []saga.Step[state]{s.step("a"), s.step("b"), saga.Sleep(saga.Step[state]{Name: "s"}, time.Hour)}
			},
		} {
			s := newScript()
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errOther)
			err := saga.MustNew("checkout", steps(s)).Run(ctx, &state{})
			cancel()
			_ = ended(t, err, saga.Compensated, saga.ReasonNone, "", errOther)
			assert.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, s.trace(), name)
			assert.Equal(t, time.Minute, time.Since(s.begun), name)
		}
	})
}

// G25: a function that ignores its context is waited for.
func TestG25_NobodyIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		deaf := s.step("a", deed(func(ctx context.Context, _ *state) error {
			time.Sleep(time.Hour)
			assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
			return ctx.Err()
		}))
		deaf.Timeout = time.Second
		_ = ended(t, run(t, saga.RunConfig{}, deaf), saga.Compensated, saga.ReasonNone, "a", context.DeadlineExceeded)
		assert.Equal(t, time.Hour, time.Since(s.begun))
	})
}

// G25: Timeout is for one attempt of Do, UndoTimeout of Undo, and one is that of the
// other if it is zero.
func TestG25_Timeouts(t *testing.T) {
	for name, c := range map[string]struct {
		do, undo time.Duration
		wantDo   time.Duration
		wantUndo time.Duration // 0: none
	}{
		"both":     {time.Second, time.Minute, time.Second, time.Minute},
		"one":      {time.Second, 0, time.Second, time.Second},
		"not Undo": {time.Second, -1, time.Second, 0},
		"only":     {0, time.Minute, 0, time.Minute},
		"none":     {-1, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				left := func(ctx context.Context) time.Duration {
					if d, ok := ctx.Deadline(); ok {
						return time.Until(d)
					}
					return 0
				}
				a := s.step("a", deed(func(ctx context.Context, _ *state) error { assert.Equal(t, c.wantDo, left(ctx)); return errDown }))
				a.Undo = s.acts("undo a", deed(func(ctx context.Context, _ *state) error { assert.Equal(t, c.wantUndo, left(ctx)); return nil }))
				a.Timeout, a.UndoTimeout = c.do, c.undo
				require.Error(t, run(t, saga.RunConfig{Grace: -1}, a))
			})
		})
	}
}

// G26: the time of the run is over in the middle of a step, in a wait, and between
// two steps.
func TestG26_Timeout(t *testing.T) {
	for name, steps := range map[string]func(s *script) []saga.Step[state]{
		"in a step": func(s *script) []saga.Step[state] { return []saga.Step[state]{s.step("a"), s.step("b", hangs())} },
		"in a step within": func(s *script) []saga.Step[state] {
			return []saga.Step[state]{s.step("a"), inner("in", s.step("b", hangs()))}
		},
		"in a group": func(s *script) []saga.Step[state] {
			return []saga.Step[state]{s.step("a"), group("g", s.step("b", hangs()))}
		},
		"between two": func(s *script) []saga.Step[state] {
			slow := deed(func(context.Context, *state) error { time.Sleep(time.Minute); return nil })
			return []saga.Step[state]{s.step("a"), s.step("b", slow), s.step("c")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				def := saga.MustNewWith(saga.Spec[state]{Name: "checkout", Steps: steps(s), Timeout: time.Minute})
				_ = ended(t, def.Run(t.Context(), &state{}), saga.Compensated, saga.ReasonNone, "", context.DeadlineExceeded)
				assert.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, s.trace())
				assert.Equal(t, time.Minute, time.Since(s.begun))
			})
		})
	}
}

// G6, G26: if the next attempt could not begin in time, the step fails at once; so
// does a Sleep that would wait in vain.
func TestG6_NoPointInWaiting(t *testing.T) {
	for name, c := range map[string]struct {
		wait time.Duration
		runs int
	}{"just in time": {time.Minute - 1, 2}, "too late": {time.Minute, 1}, "never": {math.MaxInt64, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScript()
				a := s.step("a", saga.RetryAfter(rejected, c.wait))
				a.Retry = saga.Retry{Attempts: 2}
				def := saga.MustNewWith(saga.Spec[state]{Name: "checkout", Steps: []saga.Step[state]{a}, Timeout: time.Minute})
				err := def.Run(t.Context(), &state{})
				require.ErrorIs(t, err, errDeclined)
				assert.Equal(t, c.runs == 1, errors.Is(err, context.DeadlineExceeded))
				assert.Len(t, s.trace(), c.runs)
				assert.Equal(t, time.Duration(c.runs-1)*c.wait, time.Since(s.begun))

				s = newScript()
				sleep := saga.Sleep(saga.Step[state]{Name: "s"}, c.wait)
				def = saga.MustNewWith(saga.Spec[state]{Name: "checkout", Steps: []saga.Step[state]{sleep}, Timeout: time.Minute})
				err = def.Run(t.Context(), &state{})
				assert.Equal(t, c.runs == 1, errors.Is(err, context.DeadlineExceeded))
				assert.Equal(t, time.Duration(c.runs-1)*c.wait, time.Since(s.begun))
			})
		})
	}
}

// G15, G26: the Timeout of a saga within counts from its start.
func TestG15_TimeoutWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScript()
		sub := saga.MustNewWith(saga.Spec[state]{Name: "sub", Steps: []saga.Step[state]{s.step("b", hangs())}, Timeout: time.Second})
		in := saga.Sub(saga.Step[state]{Name: "in"}, sub, func(s *state) state { return *s }, nil)
		a := s.step("a", deed(func(context.Context, *state) error { time.Sleep(time.Hour); return nil }))
		_ = ended(t, run(t, saga.RunConfig{}, a, in, s.step("c")), saga.Compensated, saga.ReasonNone, "", context.DeadlineExceeded)
		assert.Equal(t, []string{"do a", "do b", "undo b", "undo a"}, s.trace())
		assert.Equal(t, time.Hour+time.Second, time.Since(s.begun))
	})
}

// G25: on a clock of one's own all waits and timeouts are on that clock, and
// contexts have no Deadline.
func TestG25_Mock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock, s := clock.NewMock(), newScript()
		a := s.step("a", saga.RetryAfter(rejected, time.Hour), nil)
		a.Retry = patient(2)
		b := s.step("b", deed(func(ctx context.Context, _ *state) error {
			_, ok := ctx.Deadline()
			assert.False(t, ok)
			<-ctx.Done()
			return context.Cause(ctx)
		}))
		b.Timeout = time.Minute
		over := make(chan error)
		go func() {
			over <- run(t, saga.RunConfig{Clock: mock}, a, saga.Sleep(saga.Step[state]{Name: "s"}, time.Hour), b)
		}()
		for _, step := range []struct {
			d    time.Duration
			want int
		}{{0, 1}, {time.Hour - 1, 1}, {1, 2}, {time.Hour - 1, 2}, {1, 3}, {time.Minute - 1, 3}, {1, 5}} {
			synctest.Wait()
			mock.Add(step.d)
			synctest.Wait()
			assert.Len(t, s.trace(), step.want, "after %v more", step.d)
		}
		_ = ended(t, <-over, saga.Compensated, saga.ReasonNone, "b", context.DeadlineExceeded)
	})
}

// SleepUntil asks for the instant once, and one that is over is no wait.
func TestSleepUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, asked := time.Now(), 0
		until := func(d time.Duration) saga.Step[state] {
			return saga.SleepUntil(saga.Step[state]{Name: d.String()}, func(*state) time.Time { asked++; return begun.Add(d) })
		}
		require.NoError(t, run(t, saga.RunConfig{}, until(time.Hour), until(time.Minute), until(-time.Hour), saga.Sleep(saga.Step[state]{Name: "s"}, -1)))
		assert.Equal(t, time.Hour, time.Since(begun))
		assert.Equal(t, 3, asked)
	})
}

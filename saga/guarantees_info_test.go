package saga_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// G10: keys are equal for all attempts of one thing and different for all others.
func TestG10_Keys(t *testing.T) {
	var infos []saga.StepInfo
	keep := func(answer error) func(context.Context, *state) error {
		return func(ctx context.Context, _ *state) error {
			infos = append(infos, saga.Info(ctx))
			return answer
		}
	}
	step := func(name string, answer error) saga.Step[state] {
		return saga.Step[state]{Name: name, Do: keep(answer), Undo: keep(errDown), Retry: patient(2), UndoRetry: patient(2)}
	}
	err := run(t, saga.RunConfig{ID: "order 42"}, step("a", nil), inner("in", step("a", nil)), step("b", errDown))
	require.Error(t, err)
	var got []string
	for _, i := range infos {
		assert.Equal(t, "checkout", i.Saga)
		assert.Equal(t, "order 42", i.Run)
		assert.Nil(t, i.Labels)
		line := i.Step + " " + i.Key
		if i.Undoing {
			line += " " + i.DoKey + " " + i.Outcome.String()
		}
		got = append(got, line)
	}
	assert.Equal(t, []string{
		"a checkout/order%2042/a/do", "in/a checkout/order%2042/in/a/do", "b checkout/order%2042/b/do", "b checkout/order%2042/b/do",
		"b checkout/order%2042/b/undo checkout/order%2042/b/do unknown", "b checkout/order%2042/b/undo checkout/order%2042/b/do unknown",
		"in/a checkout/order%2042/in/a/undo checkout/order%2042/in/a/do applied", "in/a checkout/order%2042/in/a/undo checkout/order%2042/in/a/do applied",
		"a checkout/order%2042/a/undo checkout/order%2042/a/do applied", "a checkout/order%2042/a/undo checkout/order%2042/a/do applied",
	}, got)
	for i, want := range []int{1, 1, 1, 2, 1, 2, 1, 2, 1, 2} {
		assert.Equal(t, want, infos[i].Attempt)
	}
}

// keyOf is the key of the only step of a saga, all names given.
func keyOf(t *testing.T, sagaName, id, step string) string {
	t.Helper()
	var key string
	def := saga.MustNew(sagaName, []saga.Step[state]{{Name: step, Do: func(ctx context.Context, _ *state) error {
		key = saga.Info(ctx).Key
		return nil
	}}})
	require.NoError(t, def.RunWith(bg, saga.RunConfig{ID: id}, &state{}))
	return key
}

// G10: keys are fit for a header, and no two names make the same one.
func TestG10_KeysOfAnyName(t *testing.T) {
	seen := map[string][3]string{}
	names := []string{"a", "a%2Fb", "%", "%25", "a b", "\u00e9", "~", strings.Repeat("x", 128), strings.Repeat("\u00e9", 60)}
	ids := append([]string{"a/b", "\x00", "\xff", strings.Repeat("y", 256), strings.Repeat("y", 255) + "z", strings.Repeat("/", 256)}, names...)
	for _, name := range names {
		for _, id := range ids {
			for _, step := range names {
				key := keyOf(t, name, id, step)
				assert.LessOrEqual(t, len(key), 255)
				assert.Equal(t, -1, strings.IndexFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }), "%q", key)
				now := [3]string{name, id, step}
				if before, ok := seen[key]; ok {
					assert.Fail(t, "a key twice", "%q of %q and %q", key, before, now)
				}
				seen[key] = now
			}
		}
	}
}

// A run without an ID has a random one, the same for all that ask, and none if nobody
// does.
func TestRunID(t *testing.T) {
	ids := map[string]bool{}
	for range 100 {
		err := run(t, saga.RunConfig{}, saga.Step[state]{Name: "a", Do: func(ctx context.Context, _ *state) error {
			return errors.New(saga.Info(ctx).Run)
		}})
		e := failure(t, err)
		assert.EqualError(t, e.Err, e.Run)
		ids[e.Run] = true
	}
	assert.Len(t, ids, 100)
	n := uint64(0)
	counting := saga.RunConfig{Rand: func() uint64 { n++; return n }}
	silent := saga.Step[state]{Name: "b", Do: func(context.Context, *state) error { return rejected }}
	e := failure(t, run(t, counting, silent))
	assert.Empty(t, e.Run)
	require.EqualError(t, e, "saga: checkout: b: card declined (compensated)")
	assert.Zero(t, n)

	var asked string // only when the failure is there
	asks := saga.Step[state]{
		Name: "a", Do: func(context.Context, *state) error { return nil },
		Undo: func(ctx context.Context, _ *state) error { asked = saga.Info(ctx).Run; return nil },
	}
	e = failure(t, run(t, counting, asks, silent))
	assert.Equal(t, "10000000000002000000000000", asked)
	assert.Equal(t, asked, e.Run)
}

// G45: what hooks are told, in order.
func TestG45_Hooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, begun := newScript(), time.Now()
		hooks := saga.Hooks{
			Status: func(_ context.Context, e saga.StatusEvent) {
				assert.Equal(t, "checkout", e.Saga)
				assert.Equal(t, "r1", e.Run)
				line := e.To.String() + " at " + e.At.Sub(begun).String()
				if e.From != 0 {
					line = e.From.String() + " -> " + line
				}
				if e.Cause != nil {
					line += ": " + e.Cause.Error()
				}
				s.note(line)
			},
			StepStart: func(_ context.Context, i saga.StepInfo) { s.note("start " + i.Key) },
			StepDone: func(_ context.Context, e saga.StepEvent) {
				line := "done " + e.Info.Key + " " + e.Result.String() + " took " + e.Took.String() + " wait " + e.Wait.String()
				if e.Err != nil {
					line += ": " + e.Err.Error()
				}
				s.note(line)
			},
		}
		a := s.step("a", saga.RetryAfter(errDown, time.Minute), nil)
		a.Retry = patient(2)
		b := s.step("b", deed(func(context.Context, *state) error { time.Sleep(time.Second); return rejected }))
		require.Error(t, run(t, saga.RunConfig{ID: "r1", Hooks: hooks}, a, b))
		assert.Equal(t, []string{
			"running at 0s",
			"start checkout/r1/a/do", "do a", "done checkout/r1/a/do unknown took 0s wait 1m0s: the other side is down",
			"start checkout/r1/a/do", "do a", "done checkout/r1/a/do applied took 0s wait -1ns",
			"start checkout/r1/b/do", "do b", "done checkout/r1/b/do rejected took 1s wait -1ns: card declined",
			"running -> compensating at 1m1s: card declined",
			"start checkout/r1/a/undo", "undo a", "done checkout/r1/a/undo applied took 0s wait -1ns",
			"compensating -> compensated at 1m1s: card declined",
		}, s.trace())
	})
}

// G45: a hook that panics changes nothing, and Fault is told, also of its own.
func TestG45_HooksThatPanic(t *testing.T) {
	s := newScript()
	var faults []string
	hooks := saga.Hooks{
		Status:    func(context.Context, saga.StatusEvent) { panic("boom") },
		StepStart: func(context.Context, saga.StepInfo) { panic("boom") },
		StepDone:  func(context.Context, saga.StepEvent) { panic("boom") },
		Fault: func(_ context.Context, e saga.FaultEvent) {
			faults = append(faults, e.Op)
			assert.ErrorContains(t, e.Err, "boom")
			panic("again")
		},
	}
	require.NoError(t, run(t, saga.RunConfig{Hooks: hooks}, s.step("a")))
	assert.Equal(t, []string{"status", "step start", "step done", "status"}, faults)
	assert.Equal(t, []string{"do a"}, s.trace())
}

// G45: Around wraps every attempt, within its timeout, and has the last word.
func TestG45_Around(t *testing.T) {
	s := newScript()
	a := s.step("a", errDown)
	a.Timeout = time.Hour
	b := s.step("b", errDown)
	b.Retry = patient(2)
	around := func(ctx context.Context, info saga.StepInfo, next func(context.Context) error) error {
		s.note("around " + info.Key)
		err := next(context.WithValue(ctx, errDown, "more"))
		if info.Step == "a" {
			_, ok := ctx.Deadline()
			assert.True(t, ok)
			return nil // whatever Do has said
		}
		return err
	}
	require.Error(t, run(t, saga.RunConfig{ID: "r", Around: around}, a, b))
	assert.Equal(t, []string{
		"around checkout/r/a/do", "do a", "around checkout/r/b/do", "do b", "around checkout/r/b/do", "do b",
		"around checkout/r/b/undo", "undo b", "around checkout/r/a/undo", "undo a",
	}, s.trace())

	seen := ""
	require.NoError(t, run(t, saga.RunConfig{Around: around}, saga.Step[state]{Name: "c", Do: func(ctx context.Context, _ *state) error {
		seen = ctx.Value(errDown).(string) + saga.Info(ctx).Step
		return nil
	}}))
	assert.Equal(t, "morec", seen)
}

// G28: what Around panics with is a panic of the step.
func TestG45_AroundPanics(t *testing.T) {
	s := newScript()
	def := saga.MustNew("checkout", []saga.Step[state]{s.step("a")})
	cfg := saga.RunConfig{Around: func(context.Context, saga.StepInfo, func(context.Context) error) error { panic("boom") }}
	_, panicked := aside(func() { _ = def.RunWith(bg, cfg, &state{}) })
	assert.IsType(t, &saga.Error{}, panicked)
	assert.Empty(t, s.trace())
}

package saga_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// G2: what has become of one run is nothing to the next one of the same Saga, whatever
// the two come to.
func TestG2_OneRunIsNothingToTheNext(t *testing.T) {
	type says map[string][]any
	plans := map[string]says{
		"all is well":     {},
		"tried again":     {"do a": {errDown}},
		"rejected":        {"do b": {rejected}},
		"tainted":         {"do b": {errDown, rejected}},
		"Undo fails":      {"do c": {rejected}, "undo b": {errOther, rejected}},
		"Undo again":      {"do c": {rejected}, "undo b": {errOther}, "undo a": {errOther}},
		"a panic":         {"do b": {panics("oops")}},
		"an exit":         {"do b": {exits()}},
		"pivot rejected":  {"do p": {rejected}},
		"pivot tainted":   {"do p": {errDown, rejected}},
		"pivot at last":   {"do p": {errDown}},
		"stuck after it":  {"do d": {rejected}},
		"again after it":  {"do d": {errDown}},
		"panic after it":  {"do d": {panics("oops")}},
		"the first fails": {"do a": {errDown, errDown}},
	}
	var plan says // of the run that is under way
	var lines []string
	call := func(line string) func(context.Context, *state) error {
		return func(ctx context.Context, st *state) error {
			info := saga.Info(ctx)
			lines = append(lines, fmt.Sprint(line, " ", info.Attempt, info.Outcome))
			if info.Attempt > len(plan[line]) {
				return nil
			}
			if does, ok := plan[line][info.Attempt-1].(deed); ok {
				return does(ctx, st)
			}
			return plan[line][info.Attempt-1].(error)
		}
	}
	define := func() *saga.Saga[state] {
		var steps []saga.Step[state]
		for _, name := range []string{"a", "b", "c", "p", "d"} {
			step := saga.Step[state]{Name: name, Do: call("do " + name), Pivot: name == "p", Retry: patient(2), UndoRetry: patient(2)}
			if name < "d" {
				step.Undo = call("undo " + name)
			}
			steps = append(steps, step)
		}
		return saga.MustNew("checkout", steps)
	}
	// run is all that can be seen of a run.
	run := func(def *saga.Saga[state], by says) []string {
		plan, lines = by, nil
		returned, panicked := aside(func() { lines = append(lines, fmt.Sprint(def.RunWith(bg, saga.RunConfig{ID: "r"}, &state{}))) })
		if e, ok := panicked.(*saga.Error); ok {
			panicked = fmt.Sprintf("%+v", e.Error())
		}
		return append(lines, fmt.Sprint(returned, panicked))
	}
	for first, before := range plans {
		for second, by := range plans {
			used := define()
			run(used, before)
			assert.Equal(t, run(define(), by), run(used, by), "%s after %s", second, first)
		}
	}
}

// G45: StepStart is told of every attempt, also if there is no other hook.
func TestG45_StepStartAlone(t *testing.T) {
	s := newScript()
	hooks := saga.Hooks{StepStart: func(_ context.Context, i saga.StepInfo) { s.note("start " + i.Step) }}
	require.NoError(t, run(t, saga.RunConfig{Hooks: hooks}, s.step("a"), s.step("b")))
	assert.Equal(t, []string{"start a", "do a", "start b", "do b"}, s.trace())
}

// G45: StepDone tells of an Undo what was known about its action.
func TestG45_OutcomeOfTheAction(t *testing.T) {
	told := map[string]saga.Outcome{}
	hooks := saga.Hooks{StepDone: func(_ context.Context, e saga.StepEvent) {
		if e.Info.Undoing {
			told[e.Info.Step] = e.Info.Outcome
		}
	}}
	s := newScript()
	require.Error(t, run(t, saga.RunConfig{Hooks: hooks}, s.step("a"), s.step("b", errDown)))
	assert.Equal(t, map[string]saga.Outcome{"a": saga.Applied, "b": saga.Unknown}, told)
}

// G28: a panic of an Undo is not forgotten because of what fails after it.
func TestG28_PanicOfTheFirstUndo(t *testing.T) {
	s := newScript()
	a, b := s.step("a"), s.step("b")
	a.Undo, b.Undo = s.acts("undo a", saga.Reject(errOther)), s.acts("undo b", panics("oops"))
	b.UndoRetry = patient(1)
	e := unwound(t, a, b, s.step("c", rejected))
	assert.Equal(t, saga.Stuck, e.Status)
	assert.Len(t, e.Undo, 2)
}

// G6: waits of Undo go by the UndoRetry of the run, and by its Rand.
func TestG6_WaitsOfUndo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		s := newScript()
		a := s.step("a")
		a.Undo = s.acts("undo a", errDown, nil)
		cfg := saga.RunConfig{
			ID: "r", Rand: func() uint64 { asked++; return 1 << 63 },
			Retry: saga.Retry{Wait: time.Second}, UndoRetry: saga.Retry{Wait: 20 * time.Second},
		}
		require.ErrorIs(t, run(t, cfg, a, s.step("b", rejected)), errDeclined)
		assert.Equal(t, 1, asked)
		assert.Equal(t, []time.Duration{0, 0, 0, 10 * time.Second}, s.times())
	})
}

// G5: a Reject of its own is one, also if it is about why the context has ended.
func TestG5_RejectOfTheCause(t *testing.T) {
	s := newScript()
	ctx, cancel := context.WithCancelCause(bg)
	b := s.step("b", deed(func(ctx context.Context, _ *state) error {
		cancel(errOther)
		<-ctx.Done()
		return saga.Reject(context.Cause(ctx))
	}))
	err := saga.MustNew("checkout", []saga.Step[state]{s.step("a"), b}).Run(ctx, &state{})
	require.ErrorIs(t, err, errOther)
	assert.Equal(t, saga.Rejected, failure(t, err).Outcome)
	assert.Equal(t, []string{"do a", "do b", "undo a"}, s.trace())
}

// G25: contexts of attempts and of Probe end with them, whatever is left of their Timeout,
// and also those that nobody has waited for.
func TestG25_TimedContextsEnd(t *testing.T) {
	for name, c := range map[string]saga.Clock{"system": nil, "a Clock": clock.NewMock()} {
		for _, waits := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", waits), func(t *testing.T) {
				var kept []context.Context
				var done []<-chan struct{}
				keep := func(ctx context.Context) {
					if kept = append(kept, ctx); waits {
						done = append(done, ctx.Done())
					}
					assert.NoError(t, ctx.Err())
				}
				a := saga.Step[state]{
					Name: "a", Timeout: time.Hour, Retry: patient(2),
					Do:    func(ctx context.Context, _ *state) error { keep(ctx); return errDown },
					Undo:  func(ctx context.Context, _ *state) error { keep(ctx); return nil },
					Probe: func(ctx context.Context, _ *state) (saga.Outcome, error) { keep(ctx); return saga.Unknown, nil },
				}
				require.ErrorIs(t, run(t, saga.RunConfig{Clock: c}, a), errDown)
				require.Len(t, kept, 5)
				for _, ctx := range kept {
					require.ErrorIs(t, ctx.Err(), context.Canceled)
				}
				for _, ch := range done {
					<-ch
				}
			})
		}
	}
}

// G24, G27: Err of a context tells what has ended it, whether or not somebody waits for
// that or a timer has fired.
func TestG27_ErrIsNotLate(t *testing.T) {
	for _, waits := range []bool{false, true} {
		for name, c := range map[string]struct {
			ends func(cancel func(), c deafClock)
			want error
		}{
			"the caller leaves": {func(cancel func(), _ deafClock) { cancel() }, context.Canceled},
			"the time is over":  {func(_ func(), c deafClock) { c.Set(c.Now().Add(time.Minute)) }, context.DeadlineExceeded},
			"to the nanosecond": {func(_ func(), c deafClock) { c.Set(c.Now().Add(time.Minute - 1)) }, nil},
		} {
			t.Run(fmt.Sprint(name, " ", waits), func(t *testing.T) {
				mock := deafClock{clock.NewMock()}
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				var told error
				a := saga.Step[state]{Name: "a", Timeout: time.Minute, Do: func(ctx context.Context, _ *state) error {
					if waits {
						ctx.Done()
					}
					c.ends(cancel, mock)
					if told = ctx.Err(); told != nil {
						told = context.Cause(ctx)
					}
					return nil
				}}
				require.NoError(t, saga.MustNew("checkout", []saga.Step[state]{a}).RunWith(ctx, saga.RunConfig{Clock: mock}, &state{}))
				assert.Equal(t, c.want, told)
			})
		}
	}
}

package saga_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/saga"
)

// G18, G29: a goroutine that exits within a plain step, as t.FailNow does, exits when all
// is compensated, and does not panic.
func TestG29_ExitOfAPlainStep(t *testing.T) {
	for at, want := range [][]string{{"do a", "undo a"}, {"do a", "do b", "undo b", "undo a"}} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			s := newScript()
			answers := [2]any{}
			answers[at] = exits()
			def := saga.MustNew("checkout", []saga.Step[state]{s.step("a", answers[0]), s.step("b", answers[1])})
			returned, panicked := aside(func() { _ = def.Run(bg, &state{}) })
			assert.False(t, returned)
			assert.Nil(t, panicked)
			assert.Equal(t, want, s.trace())
		})
	}
}

// A chance makes sagas and what their steps do, the same ones from the same seed.
type chance struct {
	*rand.Rand
	trace []string
	leave func() // ends the context of the run
}

func (c *chance) oneIn(n int) bool { return c.IntN(n) == 0 }

// plan is what the calls of a function come to; 0, and whatever comes later, is nil.
func (c *chance) plan(oneIn int) []int {
	plan := make([]int, 4)
	for k := range plan {
		if c.oneIn(oneIn) {
			plan[k] = c.IntN(10)
		}
	}
	return plan
}

// acts is a function that writes down all that it is given.
func (c *chance) acts(what string, plan []int) func(context.Context, *state) error {
	n := 0
	return func(ctx context.Context, s *state) error {
		s.Sum++
		info, answer := saga.Info(ctx), 0
		if n < len(plan) {
			answer = plan[n]
		}
		n++
		_, limited := ctx.Deadline()
		c.trace = append(c.trace, fmt.Sprint(what, " ", info.Step, info.Attempt, info.Undoing, info.Outcome, info.Key, info.DoKey,
			ctx.Err(), context.Cause(ctx), limited, s.Sum))
		return c.answer(answer)
	}
}

func (c *chance) answer(n int) error {
	switch n {
	case 1, 2:
		return errDown
	case 3:
		return rejected
	case 4:
		return saga.RetryAfter(errDown, time.Second)
	case 5:
		return saga.RetryAfter(rejected, 0)
	case 6:
		panic(errOther)
	case 7:
		runtime.Goexit()
	case 8:
		c.leave()
	case 9:
		c.leave()
		return errDown
	}
	return nil
}

func (c *chance) classify() func(error) error {
	return []func(error) error{
		func(error) error { return nil },
		saga.Reject,
		func(error) error { panic("classify") },
		func(err error) error { return err },
	}[c.IntN(4)]
}

// define makes a saga in whose steps nothing but plain actions are, at the top level.
func (c *chance) define() *saga.Saga[state] {
	steps := make([]saga.Step[state], 1+c.IntN(7))
	pivot := -1
	if c.oneIn(3) {
		pivot = c.IntN(len(steps))
	}
	for i := range steps {
		s := &steps[i]
		s.Name, s.Pivot = fmt.Sprint("s", i), i == pivot
		s.Do = c.acts("do", c.plan(3))
		if !c.oneIn(3) {
			s.Retry = saga.Retry{Attempts: 1 + c.IntN(4), NoJitter: true}
		}
		if (pivot < 0 || i < pivot) && !c.oneIn(6) {
			s.Undo = c.acts("undo", c.plan(4))
			if c.oneIn(2) {
				s.UndoTimeout = time.Second
			}
		}
		if c.oneIn(6) {
			s.Timeout = time.Second
		}
		if c.oneIn(8) {
			yes := c.oneIn(2)
			s.When = func(*state) bool { return yes }
		}
		if c.oneIn(5) {
			says := saga.Outcome(c.IntN(3))
			s.Probe = func(context.Context, *state) (saga.Outcome, error) {
				c.trace = append(c.trace, "probe")
				return says, nil
			}
		}
		if c.oneIn(5) {
			s.Classify = c.classify()
		}
		s.ReadOnly = s.Undo == nil && !s.Pivot && c.oneIn(4)
	}
	spec := saga.Spec[state]{Name: "checkout", Steps: steps}
	if c.oneIn(6) {
		spec.Timeout = time.Second
	}
	return saga.MustNewWith(spec)
}

// verdict is all that can be told of an error.
func verdict(err any) string {
	e, ok := err.(*saga.Error)
	if !ok {
		return fmt.Sprint(err)
	}
	line := fmt.Sprint(e.Error(), "|", e.Step, e.Status, e.Reason, e.Outcome)
	for _, u := range e.Undo {
		line += fmt.Sprint("|", u.Step, u.Attempts, u.Outcome, u.Err)
	}
	return line
}

// lived is the trace of a run and how it ended.
func lived(t *testing.T, seed uint64, cfg saga.RunConfig) (trace []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := &chance{Rand: rand.New(rand.NewPCG(seed, 2)), leave: cancel}
		def, end := c.define(), ""
		var s state
		returned, panicked := aside(func() { end = verdict(def.RunWith(ctx, cfg, &s)) })
		trace = append(c.trace, fmt.Sprint(returned, verdict(panicked), s.Sum, " ", end))
	})
	return trace
}

// G45: whatever its steps do, a run that nobody looks at, which has a way of its own
// through plain steps, is the same one as with hooks, and with an Around.
func TestG45_LookedAtOrNot(t *testing.T) {
	sagas := uint64(2000)
	if raceEnabled {
		sagas = 200
	}
	for seed := range sagas {
		cfg := saga.RunConfig{ID: "r1", Rand: func() uint64 { return 0 }}
		bare := lived(t, seed, cfg)
		cfg.Hooks.StepStart = func(context.Context, saga.StepInfo) {}
		hooked := lived(t, seed, cfg)
		cfg.Hooks, cfg.Around = saga.Hooks{}, func(ctx context.Context, _ saga.StepInfo, next func(context.Context) error) error { return next(ctx) }
		around := lived(t, seed, cfg)
		if !assert.Equal(t, bare, hooked, "seed %d", seed) || !assert.Equal(t, bare, around, "seed %d", seed) {
			return
		}
	}
}

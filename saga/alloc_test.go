package saga_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/saga"
)

// What a run in memory allocates, which is most of what it costs.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		return // the detector allocates; the same test runs without it
	}
	ok := func(context.Context, *state) error { return nil }
	says := func(err error) func(context.Context, *state) error {
		return func(context.Context, *state) error { return err }
	}
	step := func(name string, do func(context.Context, *state) error) saga.Step[state] {
		return saga.Step[state]{Name: name, Do: do, Undo: ok}
	}
	a, b := step("a", ok), step("b", ok)
	pivot, again := saga.Step[state]{Name: "p", Do: ok, Pivot: true}, step("c", says(saga.RetryAfter(rejected, 0)))
	again.Retry = patient(10)
	when := step("w", ok)
	when.When = func(*state) bool { return false }
	var many []saga.Step[state]
	for i := range 60 {
		many = append(many, step(strconv.Itoa(i), ok))
	}
	for name, c := range map[string]struct {
		steps []saga.Step[state]
		most  float64
	}{
		"one step":                  {[]saga.Step[state]{a}, 1},
		"three steps":               {[]saga.Step[state]{a, b, step("c", ok)}, 1},
		"four, one left out":        {[]saga.Step[state]{a, b, when, step("c", ok)}, 2},
		"the last is rejected":      {[]saga.Step[state]{a, b, step("c", says(rejected))}, 16},
		"rejected ten times":        {[]saga.Step[state]{a, b, again}, 16 + 9*3},
		"sixty":                     {many, 3 + 56}, // contexts for all but four,
		"a pivot, and one after it": {[]saga.Step[state]{a, pivot, {Name: "c", Do: ok}}, 9},
	} {
		t.Run(name, func(t *testing.T) {
			def, st := saga.MustNew("checkout", c.steps), state{}
			assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _ = def.Run(bg, &st) }), c.most)
		})
	}
	plain := saga.MustNew("checkout", []saga.Step[state]{a})
	for name, c := range map[string]struct {
		do   func()
		most float64
	}{
		"Reject":            {func() { _ = saga.Reject(errDown) }, 1},
		"Reject of nil":     {func() { _ = saga.Reject(nil) }, 0},
		"RetryAfter":        {func() { _ = saga.RetryAfter(errDown, time.Second) }, 1},
		"RetryAfter of nil": {func() { _ = saga.RetryAfter(nil, time.Second) }, 0},
		"Name":              {func() { _ = plain.Name() }, 0},
		"Info outside":      {func() { _ = saga.Info(bg) }, 0},
		"misuse":            {func() { _ = plain.Run(bg, nil) }, 0},
	} {
		assert.LessOrEqual(t, testing.AllocsPerRun(100, c.do), c.most, name)
	}
}

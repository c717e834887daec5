package sagatest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// explored is every schedule that there is of a saga, in the order in which they come.
func explored[S any](t *testing.T, x Explorer[S]) (lines []string, turns map[string]bool) {
	t.Helper()
	turns = map[string]bool{}
	var known events
	for level := []schedule{nil}; len(level) > 0; {
		var next []schedule
		for _, s := range level {
			lines = append(lines, s.String())
			met, err := try(t, x, s, &known)
			require.NoError(t, err, s)
			for _, m := range met {
				turns[m.at+": "+m.does] = true
			}
			next = append(next, s.children(met, x.crashes())...)
		}
		level = next
	}
	return lines, turns
}

// K3: every way in which an attempt, a compensation and a write can end is there, also of
// the attempts that are made after a crash.
func TestK3_Turns(t *testing.T) {
	_, turns := explored(t, explorer(1, careful))
	for _, want := range []string{
		"do a 1: rejected", "do a 1: lost", "do a 1: lost after", "do a 2: rejected", "do a 2: lost", "do a 2: lost after",
		"do a 3: rejected", // after a crash, as that does not count
		"undo a 1: lost", "undo a 1: lost after", "undo a 2: lost", "undo a 2: lost after",
		"write created + started a 1: crash before", "write created + started a 1: crash after it",
		"write done a 1 + ended: crash before", "write done a 1 + ended: crash after it",
		"write failed a 1: crash before", "write started a 2: crash after it", "write undo-failed a 1: crash after it",
		"write interrupted a 1 + started a 2: crash before", // if it could die twice
		"write undo-done a 1 + ended: crash before", "write undo-done a 1 + ended: crash after it",
	} {
		assert.True(t, turns[want], want)
	}
	for _, never := range []string{"undo a 1: rejected", "do a 4: lost", "undo a 4: lost"} {
		assert.False(t, turns[never], never)
	}
}

// K3: a crash loses what was not written, and what was done is done.
func TestK3_Crashes(t *testing.T) {
	var calls []int
	x := Explorer[int]{Setup: func() (*saga.Saga[int], int) {
		n := 0
		return saga.MustNew("count", []saga.Step[int]{{Name: "a", Do: func(_ context.Context, s *int) error {
			n++
			*s++
			calls = append(calls, n*10+*s)
			return nil
		}}}), 0
	}}
	for line, want := range map[string][]int{
		"write created + started a 1: crash before":   {11},
		"write created + started a 1: crash after it": {11},
		"write done a 1 + ended: crash before":        {11, 21}, // the state is that of before
		"write done a 1 + ended: crash after it":      {11},
		"do a 1: lost":                                {11},
		"do a 1: lost after":                          {11, 22},
	} {
		s, err := parse(line)
		require.NoError(t, err)
		calls = nil
		_, err = try(t, x, s, new(events))
		require.NoError(t, err)
		assert.Equal(t, want, calls, line)
	}
}

// K4: what makes a schedule fail.
func TestK4_Failures(t *testing.T) {
	works := func(context.Context, *int) error { return nil }
	objects := errors.New("no")
	for name, c := range map[string]struct {
		def   func() *saga.Saga[int]
		check func(saga.Status, int) error
		want  string
	}{
		"Check objects": {
			func() *saga.Saga[int] { return saga.MustNew("s", []saga.Step[int]{{Name: "a", Do: works}}) },
			func(saga.Status, int) error { return objects }, "of a run that is completed, Check says: no",
		},
		"it does not end": {
			func() *saga.Saga[int] {
				return saga.MustNew("s", []saga.Step[int]{
					{Name: "a", Do: works, Undo: func(context.Context, *int) error { return objects }},
					{Name: "b", Do: func(context.Context, *int) error { return saga.Reject(objects) }},
				})
			},
			nil, "does not end: it is compensating at a",
		},
		"it does not end, at once": {
			func() *saga.Saga[int] {
				return saga.MustNew("s", []saga.Step[int]{
					{Name: "a", Do: works, Undo: func(context.Context, *int) error { return objects }, UndoRetry: saga.Retry{Wait: -1}},
					{Name: "b", Do: func(context.Context, *int) error { return saga.Reject(objects) }},
				})
			},
			nil, "does not end: it is compensating at a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := Explorer[int]{Setup: func() (*saga.Saga[int], int) { return c.def(), 0 }, Check: c.check, MaxSchedules: 10}
			_, _, err := explore(t, x, nil)
			require.ErrorContains(t, err, c.want)
		})
	}
	d := newDirector(nil, new(events))
	d.key(saga.StepInfo{Step: "a", Key: "1"})
	d.key(saga.StepInfo{Step: "a", Key: "1"})
	d.key(saga.StepInfo{Step: "a", Key: "2", Undoing: true})
	require.NoError(t, d.wrong)
	d.key(saga.StepInfo{Step: "a", Key: "3"})
	require.Error(t, d.wrong, "one thing has two keys")
	d = newDirector(nil, new(events))
	d.key(saga.StepInfo{Step: "a", Key: "1"})
	d.key(saga.StepInfo{Step: "b", Key: "1"})
	require.Error(t, d.wrong, "two things have one key")
	store := &durable.MemoryStore{}
	lawless := [][]byte{[]byte(`{"kind":"created","at":"2000-01-01T00:00:00Z"}`), []byte(`{"kind":"ended","at":"2000-01-01T00:00:00Z","status":5}`)}
	require.NoError(t, store.Create(t.Context(), durable.Head{ID: "run", Status: saga.Completed}, 0, lawless))
	def := saga.MustNew("s", []saga.Step[int]{{Name: "a", Do: works}})
	err := judge(t.Context(), Explorer[int]{}, newDirector(nil, new(events)), store, def, 0, nil)
	require.ErrorContains(t, err, "a is not done")
}

// K5: all schedules are tried if there is room, none twice, those with fewer turns first.
func TestK5_All(t *testing.T) {
	lines, _ := explored(t, explorer(1, careful))
	x := explorer(1, careful)
	x.MaxSchedules = 0
	n, _, err := explore(t, x, nil)
	require.NoError(t, err)
	assert.Len(t, lines, n)
	assert.Greater(t, n, 1000)
	turns := 0
	for _, line := range lines {
		s, err := parse(line)
		if line != "" {
			require.NoError(t, err)
			assert.GreaterOrEqual(t, len(s), turns, line)
			turns = len(s)
		}
	}
	assert.Greater(t, turns, 4)
	slices.Sort(lines)
	assert.Len(t, slices.Compact(lines), n)
}

// K5: if there is no room for all it is a sample, the same for the same Seed.
func TestK5_Sample(t *testing.T) {
	finds := func(seed uint64) (first schedule) {
		rare := explorer(2, careful)
		check := rare.Check
		seen := 0
		rare.Seed, rare.MaxSchedules = seed, 150
		rare.Check = func(end saga.Status, s int) error {
			if seen++; seen == 140 {
				return errors.New("this one")
			}
			return check(end, s)
		}
		_, first, err := explore(t, rare, nil)
		require.Error(t, err)
		return first
	}
	assert.Equal(t, finds(1), finds(1))
	assert.NotEqual(t, finds(1), finds(2))
	x := explorer(2, careful)
	x.MaxSchedules = 150
	n, _, err := explore(t, x, nil)
	require.NoError(t, err)
	assert.Equal(t, 150, n)
}

// K6: lines of one turn and of many are what they were when they are read again, and
// replay nothing else.
func TestK6_Replay(t *testing.T) {
	lines, _ := explored(t, explorer(1, careful))
	for _, line := range lines[1:] {
		s, err := parse(line)
		require.NoError(t, err)
		assert.Equal(t, line, s.String())
	}
	looked := 0
	x := explorer(1, careful)
	x.Check = func(end saga.Status, _ int) error {
		looked++
		if end != saga.Compensated {
			return errors.New("it was not replayed")
		}
		return nil
	}
	x.Only = "do a 1: lost after; do a 2: rejected; write undo-done a 1 + ended: crash after it"
	assert.Equal(t, 1, Explore(t, x))
	assert.Equal(t, 1, looked)
}

// BenchmarkExplore is one schedule.
func BenchmarkExplore(b *testing.B) {
	run := testing.InternalTest{Name: "schedules", F: func(t *testing.T) {
		x := explorer(3, careful)
		x.MaxSchedules = b.N
		if _, _, err := explore(t, x, nil); err != nil {
			b.Error(err)
		}
	}}
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{run})
}

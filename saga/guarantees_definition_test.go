package saga_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

func do(context.Context, *state) error { return nil }

func probe(context.Context, *state) (saga.Outcome, error) { return 0, nil }

// G1: every mistake is told, with the place, the field and the value.
func TestG1_Mistakes(t *testing.T) {
	good := saga.Step[state]{Name: "good", Do: do}
	sub := saga.MustNew("sub", []saga.Step[state]{good})
	pivoting := saga.MustNew("pivoting", []saga.Step[state]{{Name: "p", Do: do, Pivot: true}})
	undoing := saga.MustNew("undoing", []saga.Step[state]{{Name: "u", Do: do, Undo: do}})
	in := func(s *state) state { return *s }
	items := func(*state) []state { return nil }
	step := func(change func(*saga.Step[state])) []saga.Step[state] {
		s := saga.Step[state]{Name: "a", Do: do}
		change(&s)
		return []saga.Step[state]{s}
	}
	var nilSub *saga.Saga[state]
	for name, c := range map[string]struct {
		steps []saga.Step[state]
		want  []string // each in the error
	}{
		"no step":          {nil, []string{`Steps is empty, want at least one step`}},
		"no name":          {step(func(s *saga.Step[state]) { s.Name = "" }), []string{`Steps[0] "".Name is "", want 1 to 128 bytes`}},
		"a slash":          {step(func(s *saga.Step[state]) { s.Name = "a/b" }), []string{`Name is "a/b"`}},
		"not UTF-8":        {step(func(s *saga.Step[state]) { s.Name = "\xff" }), []string{`Name is "\xff"`}},
		"a line feed":      {step(func(s *saga.Step[state]) { s.Name = "a\nb" }), []string{`Name is "a\nb"`}},
		"too long":         {step(func(s *saga.Step[state]) { s.Name = strings.Repeat("x", 129) }), []string{`... (129 bytes), want 1 to 128 bytes`}},
		"twice":            {[]saga.Step[state]{good, good}, []string{`Steps[1] "good".Name is "good", want a name used once`}},
		"Was a sibling":    {append(step(func(s *saga.Step[state]) { s.Was = []string{"good"} }), good), []string{`Steps[1] "good".Name is "good", want a name used once`}},
		"Was itself":       {step(func(s *saga.Step[state]) { s.Was = []string{"a"} }), []string{`.Was is "a", want a name used once`}},
		"Was malformed":    {step(func(s *saga.Step[state]) { s.Was = []string{""} }), []string{`.Was is "", want 1 to 128`}},
		"no kind":          {step(func(s *saga.Step[state]) { s.Do = nil }), []string{`Steps[0] "a" is of no kind`}},
		"Do and Parallel":  {step(func(s *saga.Step[state]) { s.Parallel = []saga.Step[state]{child(good)} }), []string{`is of several kinds`}},
		"Do and Sleep":     {step(func(s *saga.Step[state]) { *s = saga.Sleep(*s, 1) }), []string{`is of several kinds`}},
		"Sleep and Sub":    {step(func(s *saga.Step[state]) { s.Do = nil; *s = saga.Sub(saga.Sleep(*s, 1), sub, in, nil) }), []string{`it has two kinds, sleep and sub, want one`}},
		"empty Parallel":   {step(func(s *saga.Step[state]) { s.Do = nil; s.Parallel = []saga.Step[state]{} }), []string{`.Parallel is empty`}},
		"no Merge":         {step(func(s *saga.Step[state]) { s.Do = nil; s.Parallel = []saga.Step[state]{good} }), []string{`.Parallel[0] "good".Merge is nil, want one for children`}},
		"useless Merge":    {step(func(s *saga.Step[state]) { s.Merge = saga.NoMerge[state] }), []string{`.Merge is set`}},
		"two pivots":       {[]saga.Step[state]{{Name: "a", Do: do, Pivot: true}, {Name: "b", Do: do, Pivot: true}}, []string{`Steps[1] "b".Pivot is set, want one pivot, and there is Steps[0] "a"`}},
		"a pivot within":   {[]saga.Step[state]{{Name: "a", Do: do, Pivot: true}, saga.Sub(saga.Step[state]{Name: "b"}, pivoting, in, nil)}, []string{`Steps[1] "b".Pivot is set, want one pivot`}},
		"Undo of a pivot":  {step(func(s *saga.Step[state]) { s.Pivot, s.Undo = true, do }), []string{`.Undo is set, want none on the pivot`}},
		"Undo after it":    {[]saga.Step[state]{{Name: "a", Do: do, Pivot: true}, {Name: "b", Do: do, Undo: do}}, []string{`Steps[1] "b".Undo is set, want none after the pivot Steps[0] "a"`}},
		"Undo within":      {[]saga.Step[state]{{Name: "a", Do: do, Pivot: true}, saga.Sub(saga.Step[state]{Name: "b"}, undoing, in, nil)}, []string{`Steps[1] "b".Undo is set, want none after`}},
		"Undo in a group":  {[]saga.Step[state]{{Name: "a", Do: do, Pivot: true}, group("g", saga.Step[state]{Name: "b", Do: do, Undo: do})}, []string{`Steps[1] "g".Parallel[0] "b".Undo is set`}},
		"pivot in a group": {[]saga.Step[state]{group("g", saga.Step[state]{Name: "b", Do: do, Pivot: true})}, []string{`.Pivot is set, want none within parallel`}},
		"of items":         {[]saga.Step[state]{saga.ForEach(saga.Step[state]{Name: "g"}, items, pivoting, nil)}, []string{`.Pivot is set, want none within foreach`}},
		"ReadOnly pivot":   {step(func(s *saga.Step[state]) { s.ReadOnly, s.Pivot = true, true }), []string{`.ReadOnly is set, want no Pivot`}},
		"ReadOnly Undo":    {step(func(s *saga.Step[state]) { s.ReadOnly, s.Undo = true, do }), []string{`.ReadOnly is set, want no Undo`}},
		"Factor":           {step(func(s *saga.Step[state]) { s.Retry.Factor, s.UndoRetry.Factor = 0.5, math.NaN() }), []string{`.Retry.Factor is 0.5, want 1 or more`, `.UndoRetry.Factor is NaN`}},
		"endless Factor":   {step(func(s *saga.Step[state]) { s.Retry.Factor = math.Inf(1) }), []string{`.Retry.Factor is +Inf`}},
		"nil sub":          {[]saga.Step[state]{saga.Sub(saga.Step[state]{Name: "a"}, nilSub, in, nil), saga.ForEach(saga.Step[state]{Name: "b"}, items, nilSub, nil)}, []string{`Steps[0] "a": sub is nil`, `Steps[1] "b": sub is nil`}},
		"nil functions": {[]saga.Step[state]{
			saga.Sub[state, state](saga.Step[state]{Name: "a"}, sub, nil, nil),
			saga.ForEach[state, state](saga.Step[state]{Name: "b"}, nil, sub, nil),
			saga.SleepUntil(saga.Step[state]{Name: "c"}, nil),
			saga.Await[state, int](saga.Step[state]{Name: "d"}, nil),
		}, []string{`"a": in is nil`, `"b": items is nil`, `"c": at is nil`, `"d": apply is nil`}},
		"fields that a Sub does not use": {[]saga.Step[state]{saga.Sub(saga.Step[state]{
			Name: "a", Undo: do, Probe: probe, Classify: saga.Reject, Retry: patient(1), UndoRetry: patient(1), Timeout: 1, UndoTimeout: 1, Pivot: true, ReadOnly: true, Limit: 1,
		}, sub, in, nil)}, []string{`.Undo is set, want it left zero`, `.Probe is`, `.Classify is`, `.Retry is`, `.UndoRetry is`, `.Timeout is`, `.UndoTimeout is`, `.Pivot is`, `.ReadOnly is`, `.Limit is`}},
		"a Limit of nothing": {step(func(s *saga.Step[state]) { s.Limit = 1 }), []string{`.Limit is set, want it left zero, as a step of kind do does not use it`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := saga.New("checkout", c.steps)
			require.Error(t, err)
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Contains(t, err.Error(), `saga: New("checkout"): `)
			assert.Equal(t, len(c.want), strings.Count(err.Error(), "\n")+1, "nothing else: %v", err)
			assert.Panics(t, func() { saga.MustNew("checkout", c.steps) })
		})
	}
}

// G1: of the saga as a whole, and all at once.
func TestG1_Spec(t *testing.T) {
	good := saga.Step[state]{Name: "good", Do: do, Was: []string{"old"}}
	_, err := saga.NewWith(saga.Spec[state]{
		Name: "a/b", Steps: []saga.Step[state]{good, {Name: "", Do: do}},
		Retired: []saga.Step[state]{{Name: "old"}, {Name: "gone", Do: do}, {Name: "left", Was: []string{"good"}}, {Name: ""}, {Name: "r", UndoRetry: saga.Retry{Factor: -1}}},
	})
	for _, want := range []string{
		`Name is "a/b"`, `Steps[1] "".Name is ""`, `Retired[0] "old".Name is "old", want a name used once`,
		`Retired[1] "gone" is more than retired`, `Retired[2] "left".Was is "good", want a name used once`, `Retired[3] "".Name is ""`, `Retired[4] "r".UndoRetry.Factor is -1`,
	} {
		assert.ErrorContains(t, err, want)
	}
	_, err = saga.NewWith(saga.Spec[state]{
		Name: "checkout", Steps: []saga.Step[state]{good}, Timeout: -1, MaxRunning: -1,
		Retired: []saga.Step[state]{{Name: "gone", Was: []string{"long gone"}, Undo: do, UndoRetry: patient(1), UndoTimeout: 1, Classify: saga.Reject}},
	})
	assert.NoError(t, err)
}

// G13: what has to have a Clone is found, and the field is named.
func TestG1_Clone(t *testing.T) {
	assert.NoError(t, shares[struct {
		N int
		S string
		T time.Time
		A [2]float64
		E [0]*int
	}]())
	assert.ErrorContains(t, shares[*int](), "would share S")
	assert.ErrorContains(t, shares[struct{ In struct{ List []int } }](), "would share S.In.List")
	assert.ErrorContains(t, shares[struct{ M map[string]int }](), "S.M")
	assert.ErrorContains(t, shares[struct{ A [1]chan int }](), "S.A[0]")
	assert.ErrorContains(t, shares[struct{ F func() }](), "S.F")
	assert.ErrorContains(t, shares[struct{ e error }](), "S.e")

	steps := []saga.Step[[]int]{{Name: "a", Do: func(context.Context, *[]int) error { return nil }}}
	_, err := saga.New("checkout", steps)
	assert.NoError(t, err, "nothing is copied")
	group := saga.Step[[]int]{Name: "g", Parallel: []saga.Step[[]int]{{Name: "a", Do: steps[0].Do, Merge: saga.NoMerge[[]int]}}}
	_, err = saga.NewWith(saga.Spec[[]int]{Name: "checkout", Steps: []saga.Step[[]int]{group}, Clone: func(s *[]int) []int { return *s }})
	assert.NoError(t, err)
}

// shares is the error for a group of a saga on S without a Clone.
func shares[S any]() error {
	step := saga.Step[S]{Name: "a", Do: func(context.Context, *S) error { return nil }, Merge: saga.NoMerge[S]}
	_, err := saga.New("checkout", []saga.Step[S]{{Name: "g", Parallel: []saga.Step[S]{step}}})
	return err
}

// G16: in memory there are no signals, wherever the Await is.
func TestG16_AwaitInMemory(t *testing.T) {
	s := newScript()
	await := saga.Await(saga.Step[state]{Name: "approve"}, func(context.Context, *state, string) error { return nil })
	for name, step := range map[string]saga.Step[state]{
		"here": await, "within": inner("i", await), "in a group": group("g", await),
		"per item": saga.ForEach(saga.Step[state]{Name: "i"}, func(*state) []state { return nil }, saga.MustNew("item", []saga.Step[state]{await}), nil),
	} {
		err := run(t, saga.RunConfig{}, s.step("a"), step)
		assert.ErrorContains(t, err, `"checkout" has an Await`, name)
		assert.Empty(t, s.trace())
	}
}

// G52: misuse is an error before any effect.
func TestG52_Misuse(t *testing.T) {
	s := newScript()
	def := saga.MustNew("checkout", []saga.Step[state]{s.step("a")})
	var none *saga.Saga[state]
	for want, err := range map[string]error{
		"nil context":      def.Run(nil, &state{}),                       //nolint:staticcheck // that is the misuse
		"nil context ":     def.RunWith(nil, saga.RunConfig{}, &state{}), //nolint:staticcheck // that is the misuse
		"nil state":        def.Run(bg, nil),
		"nil state ":       def.RunWith(bg, saga.RunConfig{}, nil),
		"nil or zero Saga": none.Run(bg, &state{}),
		"or zero Saga, ":   (&saga.Saga[state]{}).RunWith(bg, saga.RunConfig{}, &state{}),
		"ID is":            def.RunWith(bg, saga.RunConfig{ID: strings.Repeat("x", 257)}, &state{}),
		"Retry.Factor is":  def.RunWith(bg, saga.RunConfig{Retry: saga.Retry{Factor: 0.5}}, &state{}),
		"UndoRetry.Factor": def.RunWith(bg, saga.RunConfig{UndoRetry: saga.Retry{Factor: -2}}, &state{}),
	} {
		assert.ErrorContains(t, err, strings.TrimSpace(want))
	}
	assert.Empty(t, s.trace())
	for _, zero := range []*saga.Saga[state]{nil, {}} {
		assert.Empty(t, zero.Name()+zero.Mermaid()+zero.DOT()+zero.Fingerprint())
		assert.Nil(t, zero.Plan())
		assert.Nil(t, zero.Lint())
	}
	assert.Zero(t, saga.Info(bg))
	assert.Zero(t, saga.Info(nil)) //nolint:staticcheck // that is the misuse
}

package breaker_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// G35: the identity of a snapshot and its counters, in each state.
func TestG35_snapshotPerState(t *testing.T) {
	want := map[string]breaker.Snapshot{
		"closed":          {State: breaker.Closed},
		"open":            {State: breaker.Open, Reason: breaker.ReasonTrip, Cause: errBoom, Trips: 1, RetryAfter: openFor},
		"half-open, full": {State: breaker.HalfOpen, Reason: breaker.ReasonOpenTimeOver, Cause: errBoom, Trips: 1, Probes: 1, Rejected: 1},
		"recovering":      {State: breaker.Recovering, Reason: breaker.ReasonProbesPassed, Cause: errBoom, Trips: 1, Rejected: 1},
		"forced open":     {State: breaker.ForcedOpen, Reason: breaker.ReasonForced, Cause: errBoom},
		"forced closed":   {State: breaker.ForcedClosed, Reason: breaker.ReasonForced, Cause: errBoom, Trips: 1, Rejected: 1},
	}
	for state, want := range want {
		synctest.Test(t, func(t *testing.T) {
			b := inState[state](t, breaker.Config{})
			want.Name, want.Since = "b", time.Now()
			assert.Equal(t, want, b.Snapshot(), state)
			assert.Equal(t, want.State, b.State(), state)
			assert.Equal(t, "b", b.Name())
		})
	}
}

// G35: rates are 0 without calls, not NaN.
func TestG35_ratesWithoutCalls(t *testing.T) {
	for _, rule := range []breaker.Rule{
		{},
		breaker.FailureRate(0.5, 0, breaker.LastN(1)),
		breaker.Any(breaker.FailureRate(0.5, -1, breaker.Within(time.Second)), breaker.SlowRate(1, 0.5, -1, breaker.LastN(1))),
	} {
		s := breaker.MustNew("b", breaker.Config{Trip: rule}).Snapshot()
		assert.True(t, s.FailureRate == 0 && s.SlowRate == 0, "%v", rule)
	}
}

// G36: a transition allocates O(rules).
func TestG36_transitionsAllocateLittle(t *testing.T) {
	if raceEnabled {
		return // the detector allocates
	}
	rules := []breaker.Rule{}
	for n := 1; n <= 8; n++ {
		rules = append(rules, breaker.FailureCount(n, breaker.LastN(thousand)))
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.Any(rules...)})
		got := testing.AllocsPerRun(50, func() {
			b.Trip(0, nil)
			b.Reset()
		})
		assert.LessOrEqual(t, got, float64(8+4*n))
	}
}

// G37: what happened to a breaker is not kept: neither events nor outcomes,
// rejections or stays.
func TestG37_memoryDoesNotGrow(t *testing.T) {
	c := newFakeClock()
	cfg := breaker.Config{
		Trip:       breaker.Any(breaker.ConsecutiveFailures(3), breaker.FailureRate(0.5, 9, breaker.Within(time.Second)), breaker.FailureCount(9, breaker.LastN(99))),
		CloseAfter: 1, Ramp: time.Second, Backoff: 2, Clock: c,
	}
	cfg.Hooks.Transition = func(context.Context, breaker.Transition) {}
	b := breaker.MustNew("b", cfg)
	cycles := func(n int) uint64 {
		for range n {
			_, _ = b.Allow(context.Background())
			for range 20 {
				_ = b.Run(context.Background(), returning(errBoom))
			}
			_, _ = b.Allow(context.Background())
			c.advance(time.Hour)
			for range 20 {
				_ = b.Run(context.Background(), returning(nil))
			}
			b.ForceOpen(nil)
			b.Auto()
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := cycles(100)
	after := cycles(5000)
	assert.Less(t, after, before+64<<10)
	assert.Greater(t, b.Snapshot().Trips, uint64(2000))
}

// G38: misuse of a call is an error that says so, and counts nowhere.
func TestG38_calls(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{})
	ok := returning(nil)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	cases := map[string]struct {
		ctx  context.Context //nolint:containedctx // a table of arguments
		b    *breaker.Breaker
		fn   func(context.Context) error
		want string
	}{
		"ctx":                {nil, b, ok, "nil context"},
		"breaker":            {t.Context(), nil, ok, "nil *Breaker"},
		"zero breaker":       {t.Context(), new(breaker.Breaker), ok, "zero Breaker"},
		"fn":                 {t.Context(), b, nil, "nil function"},
		"fn, when cancelled": {cancelled, b, nil, "nil function"},
	}
	do := func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
		if fn == nil {
			_, err := breaker.Do[int](ctx, b, nil)
			return err
		}
		return forms["Do"](ctx, b, fn)
	}
	doResult := func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
		if fn == nil {
			_, err := breaker.DoResult[int](ctx, b, nil, nil)
			return err
		}
		return forms["DoResult"](ctx, b, fn)
	}
	for name, c := range cases {
		for form, call := range map[string]func(context.Context, *breaker.Breaker, func(context.Context) error) error{
			"Do": do, "DoResult": doResult, "Run": forms["Run"], "Allow": forms["Allow"],
		} {
			if form == "Allow" && c.fn == nil {
				continue
			}
			before := b.Snapshot()
			err := call(c.ctx, c.b, c.fn)
			assert.ErrorContains(t, err, "breaker: "+c.want, "%s %s", form, name)
			assert.NotErrorIs(t, err, breaker.ErrRejected)
			assert.Equal(t, before, b.Snapshot())
		}
	}
	p, err := b.Allow(nil) //nolint:staticcheck // on purpose
	require.Error(t, err)
	assert.NotPanics(t, func() { p.Done(errBoom) })
}

// G38: misuse while the breaker is not closed takes no slot and moves nothing.
func TestG38_callsOfOtherStates(t *testing.T) {
	for state, newBreaker := range inState {
		synctest.Test(t, func(t *testing.T) {
			b := newBreaker(t, breaker.Config{})
			before := b.Snapshot()
			require.Error(t, b.Run(t.Context(), nil), state)
			require.Error(t, b.Run(nil, returning(nil)), state) //nolint:staticcheck // on purpose
			_, err := breaker.Do[int](t.Context(), b, nil)
			require.Error(t, err, state)
			assert.NotErrorIs(t, err, breaker.ErrRejected)
			assert.Equal(t, before, b.Snapshot(), state)
		})
	}
}

// G38: methods without an error result panic, Reconfigure returns an error.
func TestG38_methods(t *testing.T) {
	methods := map[string]func(*breaker.Breaker){
		"Name":        func(b *breaker.Breaker) { b.Name() },
		"State":       func(b *breaker.Breaker) { b.State() },
		"Snapshot":    func(b *breaker.Breaker) { b.Snapshot() },
		"Trip":        func(b *breaker.Breaker) { b.Trip(0, nil) },
		"ForceOpen":   func(b *breaker.Breaker) { b.ForceOpen(nil) },
		"ForceClosed": func(b *breaker.Breaker) { b.ForceClosed() },
		"Auto":        func(b *breaker.Breaker) { b.Auto() },
		"Reset":       func(b *breaker.Breaker) { b.Reset() },
	}
	for name, method := range methods {
		assert.Panics(t, func() { method(nil) }, "nil: %s", name)
		assert.Panics(t, func() { method(new(breaker.Breaker)) }, "zero: %s", name)
	}
	var none *breaker.Breaker
	assert.ErrorContains(t, none.Reconfigure(breaker.Config{}), "nil *Breaker")
	assert.ErrorContains(t, new(breaker.Breaker).Reconfigure(breaker.Config{}), "zero Breaker")
}

// G38: the same for a group.
func TestG38_group(t *testing.T) {
	methods := map[string]func(*breaker.Group[string]){
		"Get":    func(g *breaker.Group[string]) { g.Get("a") },
		"All":    func(g *breaker.Group[string]) { g.All() },
		"Delete": func(g *breaker.Group[string]) { g.Delete("a") },
		"Len":    func(g *breaker.Group[string]) { g.Len() },
	}
	for name, method := range methods {
		assert.PanicsWithError(t, "breaker: nil *Group", func() { method(nil) }, name)
		assert.PanicsWithError(t, "breaker: zero Group, use NewGroup", func() { method(new(breaker.Group[string])) }, name)
	}
	results := map[string]func(*breaker.Group[string]) error{
		"GetWith":     func(g *breaker.Group[string]) error { _, err := g.GetWith("a", breaker.Config{}); return err },
		"Reconfigure": func(g *breaker.Group[string]) error { return g.Reconfigure(breaker.Config{}) },
	}
	for name, result := range results {
		require.EqualError(t, result(nil), "breaker: nil *Group", name)
		require.EqualError(t, result(new(breaker.Group[string])), "breaker: zero Group, use NewGroup", name)
	}
}

// G38: MustNew and MustNewGroup panic with the error of New.
func TestG38_must(t *testing.T) {
	invalid := breaker.Config{Jitter: 2}
	_, want := breaker.New("b", invalid)
	require.Error(t, want)
	assert.PanicsWithError(t, want.Error(), func() { breaker.MustNew("b", invalid) })
	assert.PanicsWithError(t, want.Error(), func() { breaker.MustNewGroup(breaker.GroupConfig[int]{Config: invalid}) })
	_, err := breaker.NewGroup(breaker.GroupConfig[int]{Config: invalid})
	assert.EqualError(t, err, want.Error())
}

// G39: which sentinel matches the rejections of which state.
func TestG39_sentinels(t *testing.T) {
	matches := map[string][]error{
		"open":            {breaker.ErrRejected, breaker.ErrOpen},
		"forced open":     {breaker.ErrRejected, breaker.ErrOpen},
		"half-open, full": {breaker.ErrRejected, breaker.ErrTooManyProbes},
		"recovering":      {breaker.ErrRejected},
	}
	for state, matches := range matches {
		synctest.Test(t, func(t *testing.T) {
			err := inState[state](t, breaker.Config{}).Run(t.Context(), returning(nil))
			for _, sentinel := range []error{breaker.ErrRejected, breaker.ErrOpen, breaker.ErrTooManyProbes} {
				want := slices.Contains(matches, sentinel)
				assert.Equal(t, want, errors.Is(err, sentinel), "%s: %v", state, sentinel)
			}
			assert.False(t, errors.Is(err, errBoom), "%s matches its cause", state)
			assert.NoError(t, errors.Unwrap(err), state)
		})
	}
}

// G39: rejections of one stay are one value; the next stay has another.
func TestG39_sharedWithinAStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1)})
		failing(t, b, 1)
		first := refusal(t, b)
		time.Sleep(time.Second)
		assert.Same(t, first, refusal(t, b))
		time.Sleep(openFor)
		assert.Zero(t, first.RetryAfter())
		failing(t, b, 1)
		assert.NotSame(t, first, refusal(t, b))
		assert.Zero(t, first.RetryAfter(), "of a stay that is over")
		assert.Equal(t, openFor, refusal(t, b).RetryAfter())
	})
}

// G39: an error made by hand has no estimate, and Error tells what there is.
func TestG39_text(t *testing.T) {
	for want, e := range map[string]*breaker.RejectedError{
		`breaker: "b" is open`:                                          {Name: "b", State: breaker.Open},
		`breaker: "b" is open, opened by failures: EOF`:                 {Name: "b", State: breaker.Open, Reason: breaker.ReasonFailures, Cause: io.EOF},
		`breaker: "b" is forced-open`:                                   {Name: "b", State: breaker.ForcedOpen, Reason: breaker.ReasonForced},
		`breaker: "b" is half-open, too many probes, opened by trip`:    {Name: "b", State: breaker.HalfOpen, Reason: breaker.ReasonTrip},
		`breaker: "b" is recovering, call shed, opened by probe failed`: {Name: "b", State: breaker.Recovering, Reason: breaker.ReasonProbeFailed},
	} {
		assert.EqualError(t, e, want)
		assert.Zero(t, e.RetryAfter())
		assert.ErrorIs(t, e, breaker.ErrRejected)
	}
}

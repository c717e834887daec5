package breaker_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// Each of these was a bug, or a change of the code that no test noticed.

// G31, G10: a hook that ends the probe's goroutine leaves a probe that never
// began: it is not slow, however old the breaker is.
func TestRegression_goexitAtHalfOpenIsNotSlow(t *testing.T) {
	c := newFakeClock()
	var done []breaker.Completion
	ctx, cancel := context.WithCancel(context.Background())
	b := breaker.MustNew("b", breaker.Config{
		Trip: breaker.SlowRate(time.Second, 1, 1, breaker.LastN(1)), Clock: c,
		Hooks: breaker.Hooks{
			Transition: func(_ context.Context, tr breaker.Transition) {
				if tr.To == breaker.HalfOpen {
					c.advance(time.Hour)
					cancel()
					runtime.Goexit()
				}
			},
			Done: func(_ context.Context, d breaker.Completion) { done = append(done, d) },
		},
	})
	c.advance(time.Hour)
	b.Trip(time.Second, errBoom)
	c.advance(time.Second)
	_, returned := exiting(func() { _ = b.Run(ctx, returning(nil)) })
	assert.False(t, returned)
	assertState(t, breaker.HalfOpen, b)
	assert.Zero(t, b.Snapshot().Probes)
	require.Len(t, done, 1)
	assert.Equal(t, breaker.Completion{Name: "b", Outcome: breaker.Ignored, Probe: true}, done[0])
}

// Snapshot.Since of a member is its own begin, not its group's.
func TestRegression_sinceOfMember(t *testing.T) {
	c := newFakeClock()
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{Config: breaker.Config{Clock: c}})
	c.advance(24 * time.Hour)
	assert.Equal(t, c.Now(), g.Get(1).Snapshot().Since)
	other, err := g.GetWith(2, breaker.Config{Initial: breaker.ForcedOpen})
	require.NoError(t, err)
	assert.Equal(t, c.Now(), other.Snapshot().Since)
}

// G40: a hit of a key just added calls no user code.
func TestRegression_nameOncePerKey(t *testing.T) {
	names := 0
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{Name: func(int) string { names++; return "x" }})
	for key := range 1000 {
		g.Get(key)
	}
	for range 2000 {
		g.Get(7)
	}
	g.Get(1000)
	for range 500 {
		g.Get(1000)
	}
	assert.Equal(t, 1001, names)
}

// Transition.Before is the stay that ended, without the opening that follows.
func TestRegression_beforeDoesNotCountTheOpening(t *testing.T) {
	var r recorder
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Hooks: r.transition()})
	failing(t, b, 1)
	assert.Zero(t, r.last(t).Before.Trips)
	assert.EqualValues(t, 1, b.Snapshot().Trips)
	b.Reset()
	b.Trip(0, nil)
	assert.EqualValues(t, 1, r.last(t).Before.Trips)
	assert.EqualValues(t, 2, b.Snapshot().Trips)
}

// Snapshot.Reason is that of a transition; Reset of a closed breaker is none.
func TestRegression_resetOfClosedIsNoTransition(t *testing.T) {
	b := breaker.MustNew("b", breaker.Config{})
	b.Reset()
	assert.Equal(t, breaker.ReasonNone, b.Snapshot().Reason)
}

// G41: an explicit call pins also a breaker that began in that state.
func TestRegression_pinOfInitialState(t *testing.T) {
	for initial, force := range map[breaker.State]func(*breaker.Breaker){
		breaker.ForcedOpen:   func(b *breaker.Breaker) { b.ForceOpen(errBoom) },
		breaker.ForcedClosed: func(b *breaker.Breaker) { b.ForceClosed() },
	} {
		c := newFakeClock()
		g := breaker.MustNewGroup(breaker.GroupConfig[int]{Max: 2, IdleFor: time.Minute, Config: breaker.Config{Clock: c}})
		b, err := g.GetWith(-1, breaker.Config{Initial: initial})
		require.NoError(t, err)
		force(b)
		force(b)
		for key := range 100 {
			c.advance(time.Hour)
			g.Get(key)
		}
		assert.Same(t, b, g.Get(-1))
	}
}

// G41: a breaker that was tripped under its initial forced state is not clean.
func TestRegression_trippedUnderForceIsNotClean(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{Max: 2, Config: breaker.Config{Initial: breaker.ForcedClosed}})
	b := g.Get(-1)
	b.Trip(time.Hour, errBoom)
	for key := range 100 {
		g.Get(key)
	}
	assert.Same(t, b, g.Get(-1))
}

// G29: Group.Reconfigure ignores Initial, for breakers to come too: one that was
// dropped for room comes back as it was.
func TestRegression_groupReconfigureIgnoresInitial(t *testing.T) {
	g := breaker.MustNewGroup(breaker.GroupConfig[int]{})
	require.NoError(t, g.Reconfigure(breaker.Config{Initial: breaker.ForcedOpen}))
	assertState(t, breaker.Closed, g.Get(1))
}

// An Any of nothing is an error wherever it stands.
func TestRegression_nestedEmptyAny(t *testing.T) {
	_, err := breaker.New("b", breaker.Config{Trip: breaker.Any(breaker.ConsecutiveFailures(3), breaker.Any())})
	assert.ErrorContains(t, err, "Any of an Any of 0 rules")
}

// G8: a success of a suspended stay is late once that is over.
func TestRegression_lateUnderForce(t *testing.T) {
	for name, end := range map[string]func(*breaker.Breaker){
		"trip":  func(b *breaker.Breaker) { b.Trip(time.Hour, nil) },
		"reset": func(b *breaker.Breaker) { b.Reset() },
	} {
		b := breaker.MustNew("b", breaker.Config{})
		p := issued(t, b)
		b.ForceOpen(nil)
		end(b)
		p.Done(nil)
		assert.EqualValues(t, 1, b.Snapshot().Late, name)
	}
}

// G29: values that a smaller history had not kept are not counted when it grows,
// whatever the clock.
func TestRegression_grownHistory(t *testing.T) {
	c := newFakeClock()
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(2, breaker.Within(time.Millisecond)), Clock: c})
	c.advance(-15 * time.Millisecond)
	for range 3 {
		failing(t, b, 1)
		c.advance(time.Millisecond)
	}
	require.NoError(t, b.Reconfigure(breaker.Config{Trip: breaker.FailureCount(4, breaker.Within(time.Millisecond))}))
	failing(t, b, 1)
	assertState(t, breaker.Closed, b)
	assert.EqualValues(t, 1, b.Snapshot().Failures)
}

// G29, G8: a call admitted before a window by time was put in force counts in it,
// at the time of its end.
func TestRegression_windowByTimeAddedMeanwhile(t *testing.T) {
	c := newFakeClock()
	b := breaker.MustNew("b", breaker.Config{Clock: c})
	p := issued(t, b)
	c.advance(time.Hour)
	require.NoError(t, b.Reconfigure(breaker.Config{Trip: breaker.FailureRate(0.5, 1, breaker.Within(10*time.Second))}))
	p.Done(nil)
	assert.EqualValues(t, 1, b.Snapshot().Calls)
}

// G28: Trip under a forced state, when the open time underneath is over, is a
// new opening; a forced-closed Snapshot tells its cause.
func TestRegression_tripUnderForceAfterTheOpenTime(t *testing.T) {
	c := newFakeClock()
	b := breaker.MustNew("b", breaker.Config{Clock: c})
	b.Trip(time.Second, errOther)
	b.ForceClosed()
	assert.Equal(t, errOther, b.Snapshot().Cause)
	c.advance(time.Minute)
	b.Trip(time.Second, errBoom)
	assert.EqualValues(t, 2, b.Snapshot().Trips)
	assert.Equal(t, errBoom, b.Snapshot().Cause)
	b.Auto()
	assertState(t, breaker.Open, b)
	c.advance(time.Second)
	assertState(t, breaker.HalfOpen, b)
}

// G25, G27: a lease ends with a call, and Trip is none: one event, its own.
func TestRegression_tripEndsNoLease(t *testing.T) {
	var r recorder
	c := newFakeClock()
	b := halfOpened(t, breaker.Config{ProbeLease: time.Second, Clock: c, Hooks: r.transition()})
	issued(t, b)
	c.advance(time.Hour)
	events := len(r.all())
	b.Trip(90*time.Second, errBoom)
	require.Len(t, r.all(), events+1)
	assert.Equal(t, breaker.ReasonTrip, r.last(t).Reason)
	assert.Equal(t, 90*time.Second, r.last(t).OpenFor)
	assert.Equal(t, errBoom, r.last(t).Cause)
}

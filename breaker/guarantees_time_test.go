package breaker_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// lifecycle takes a breaker, which is closed, through all that time can do to
// it, and back to closed.
func lifecycle(t *testing.T, b *breaker.Breaker, c *fakeClock) {
	t.Helper()
	failing(t, b, 2)
	require.Equal(t, tallies{Calls: 2, Failures: 2}, tally(b))
	failing(t, b, 1)
	require.Equal(t, breaker.Open, b.State())
	require.Equal(t, c.Now(), b.Snapshot().Since)
	c.advance(openFor - 1)
	require.Equal(t, time.Nanosecond, refusal(t, b).RetryAfter())
	c.advance(1)
	issued(t, b)
	c.advance(openFor - 1)
	require.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
	c.advance(1)
	require.Equal(t, openFor, refusal(t, b).RetryAfter(), "the lease is over")
	c.advance(openFor)
	passing(t, b, 1)
	require.Equal(t, breaker.Recovering, b.State())
	refused(t, b) // a ramp from 0
	c.advance(time.Minute)
	failing(t, b, 1)
	require.Equal(t, breaker.Closed, b.State())
	require.Equal(t, tallies{Calls: 1, Failures: 1}, tally(b))
	c.advance(time.Second)
	require.Equal(t, tallies{}, tally(b))
}

func lifecycleConfig(c *fakeClock) breaker.Config {
	return breaker.Config{
		Trip: breaker.FailureCount(3, breaker.Within(time.Second)), CloseAfter: 1,
		Ramp: time.Minute, RampFrom: -1, Clock: c,
	}
}

// G33: no instant means "unset", whenever the clock begins.
func TestG33_anyBegin(t *testing.T) {
	for _, begin := range []time.Time{
		{},
		time.Unix(0, 0),
		time.Unix(0, -1),
		time.Unix(0, 1),
		time.Unix(-1<<40, 0),
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		c := newFakeClock()
		c.set(begin)
		b := breaker.MustNew("b", lifecycleConfig(c))
		assert.Equal(t, begin, b.Snapshot().Since)
		lifecycle(t, b, c)
	}
}

// G33: a dropped breaker is garbage, in whatever state, with an open time to
// come and a probe that never reports.
func TestG33_droppedIsGarbage(t *testing.T) {
	kept := func() weak.Pointer[breaker.Breaker] {
		b := breaker.MustNew("b", breaker.Config{OpenFor: 1, ProbeLease: time.Hour, Probes: 2})
		b.Trip(1, errBoom)
		for b.State() == breaker.Open {
			runtime.Gosched()
		}
		issued(t, b)
		failing(t, b, 1)
		b.Trip(time.Hour, errBoom)
		return weak.Make(b)
	}()
	for range 10 {
		runtime.GC()
	}
	assert.Nil(t, kept.Value())
}

// G33: the source has no goroutine, channel, timer or finalizer.
func TestG33_nothingToClose(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	parsed := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				assert.Fail(t, "a goroutine", set.Position(n.Pos()))
			case *ast.CallExpr:
				if fn, ok := n.Fun.(*ast.Ident); ok && fn.Name == "make" {
					_, channel := n.Args[0].(*ast.ChanType)
					assert.False(t, channel, "a channel: %v", set.Position(n.Pos()))
				}
			case *ast.SelectorExpr:
				if pkg, ok := n.X.(*ast.Ident); ok {
					switch pkg.Name + "." + n.Sel.Name {
					case "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick", "time.After", "time.Sleep",
						"context.AfterFunc", "runtime.SetFinalizer", "runtime.AddCleanup":
						assert.Fail(t, "a "+n.Sel.Name, set.Position(n.Pos()))
					}
				}
			}
			return true
		})
	}
	assert.Greater(t, parsed, 15)
}

// G34: an open stay that finds itself in the future starts over from now.
func TestG34_openBackward(t *testing.T) {
	for _, back := range []time.Duration{1, time.Second, openFor, 100 * 365 * 24 * time.Hour} {
		c := newFakeClock()
		b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Clock: c})
		c.advance(time.Hour)
		failing(t, b, 1)
		early := refusal(t, b)
		c.advance(-back)
		assert.Equal(t, openFor, early.RetryAfter())
		assert.Equal(t, openFor, b.Snapshot().RetryAfter)
		assert.Equal(t, openFor, refusal(t, b).RetryAfter())
		assert.Equal(t, c.Now(), b.Snapshot().Since)
		c.advance(openFor - 1)
		assert.Equal(t, time.Nanosecond, early.RetryAfter())
		refused(t, b)
		c.advance(1)
		passing(t, b, 1)
		assertState(t, breaker.HalfOpen, b)
	}
}

// G34: going back within an open stay does not start it over.
func TestG34_openBackwardWithin(t *testing.T) {
	c := newFakeClock()
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.ConsecutiveFailures(1), Clock: c})
	failing(t, b, 1)
	c.advance(20 * time.Second)
	refused(t, b)
	c.advance(-15 * time.Second)
	assert.Equal(t, openFor-5*time.Second, refusal(t, b).RetryAfter())
	c.advance(openFor - 5*time.Second)
	passing(t, b, 1)
}

// G34: neither does a lease take longer.
func TestG34_leaseBackward(t *testing.T) {
	c := newFakeClock()
	b := halfOpened(t, breaker.Config{ProbeLease: time.Minute, Clock: c})
	c.advance(time.Hour)
	p := issued(t, b)
	c.advance(-time.Hour)
	assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
	p.Progress()
	assertState(t, breaker.HalfOpen, b)
	c.advance(time.Minute - 1)
	assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
	c.advance(1)
	assert.ErrorIs(t, refusal(t, b), breaker.ErrOpen)
	assert.Equal(t, breaker.ReasonProbeLost, b.Snapshot().Reason)
}

// G34: nor a ramp.
func TestG34_rampBackward(t *testing.T) {
	c := newFakeClock()
	b := halfOpened(t, breaker.Config{CloseAfter: 1, Ramp: time.Minute, RampFrom: -1, Clock: c})
	c.advance(time.Hour)
	passing(t, b, 1)
	c.advance(-time.Hour)
	refused(t, b)
	c.advance(time.Minute - 1)
	assertState(t, breaker.Recovering, b)
	refused(t, b)
	c.advance(1)
	passing(t, b, 1)
	assertState(t, breaker.Closed, b)
}

// G34: nor the rest that ends a backoff.
func TestG34_stableAfterBackward(t *testing.T) {
	c := newFakeClock()
	b := breaker.MustNew("b", breaker.Config{
		Trip: breaker.ConsecutiveFailures(1), Backoff: 2, StableAfter: time.Minute, CloseAfter: 1, Clock: c,
	})
	failing(t, b, 1)
	c.advance(time.Hour)
	passing(t, b, 1)
	c.advance(-time.Hour)
	passing(t, b, 1)
	c.advance(time.Minute)
	failing(t, b, 1)
	assert.Equal(t, openFor, refusal(t, b).RetryAfter())
}

// G34: nor the silence of a forced-closed breaker.
func TestG34_wouldOpenBackward(t *testing.T) {
	c := newFakeClock()
	var r recorder
	b := breaker.MustNew("b", breaker.Config{
		Trip: breaker.ConsecutiveFailures(1), Initial: breaker.ForcedClosed, Hooks: r.transition(), Clock: c,
	})
	c.advance(time.Hour)
	failing(t, b, 1)
	c.advance(-time.Hour)
	c.advance(openFor)
	failing(t, b, 1)
	assert.Len(t, r.all(), 2)
}

// G34: going back clears no window; outcomes count in the newest bucket.
func TestG34_windowsBackward(t *testing.T) {
	const w = 10 * time.Second
	rules := map[string]breaker.Rule{
		"rate":  breaker.FailureRate(1, 4, breaker.Within(w)),
		"count": breaker.FailureCount(4, breaker.Within(w)),
	}
	for name, rule := range rules {
		for _, back := range []time.Duration{1, 3 * time.Second, w, w + 3*time.Second, 100*w + 7*time.Second, 100 * 365 * 24 * time.Hour} {
			c := newFakeClock()
			b := breaker.MustNew("b", breaker.Config{Trip: rule, Clock: c})
			c.advance(time.Hour)
			failing(t, b, 1)
			c.advance(-back)
			assert.Equal(t, tallies{Calls: 1, Failures: 1}, tally(b), "%s, %v back", name, back)
			failing(t, b, 2)
			assert.Equal(t, tallies{Calls: 3, Failures: 3}, tally(b), "%s, %v back", name, back)
			c.advance(back)
			assert.Equal(t, tallies{Calls: 3, Failures: 3}, tally(b), "%s, %v back", name, back)
			failing(t, b, 1)
			assertState(t, breaker.Open, b)
		}
	}
}

// G34: a jump forward, of any size, only expires things, and all goes on.
func TestG34_jumpForward(t *testing.T) {
	for _, years := range []int{1, 100, 290, 300, 2000} {
		jump := func(c *fakeClock) { c.set(c.Now().AddDate(years, 0, 0)) }

		c := newFakeClock()
		b := breaker.MustNew("b", lifecycleConfig(c))
		failing(t, b, 2)
		jump(c)
		assert.Equal(t, tallies{}, tally(b), "%d years", years)
		failing(t, b, 3)
		assertState(t, breaker.Open, b)
		c.advance(openFor)
		assert.Equal(t, breaker.HalfOpen, b.State(), "open for ever %d years on", years)

		c = newFakeClock()
		b = breaker.MustNew("b", lifecycleConfig(c))
		failing(t, b, 3)
		jump(c)
		passing(t, b, 1) // out of open
		assertState(t, breaker.Recovering, b)
		c.advance(time.Minute)
		_ = b.Run(context.Background(), returning(nil))
		assert.Equal(t, breaker.Closed, b.State(), "recovering for ever %d years on", years)
	}
}

// G34: a jump by as much as a Duration can tell, and by one nanosecond more.
func TestG34_longestJump(t *testing.T) {
	for _, more := range []time.Duration{-1, 0, 1} {
		c := newFakeClock()
		b := breaker.MustNew("b", lifecycleConfig(c))
		failing(t, b, 3)
		c.set(time.Unix(0, math.MaxInt64).Add(more))
		passing(t, b, 1)
		assertState(t, breaker.Recovering, b)
	}
}

// G34: nor does going back by centuries lengthen anything.
func TestG34_centuriesBackward(t *testing.T) {
	for _, years := range []int{100, 300, 2000} {
		c := newFakeClock()
		c.set(time.Date(4000, 1, 1, 0, 0, 0, 0, time.UTC))
		back := func() { c.set(c.Now().AddDate(-years, 0, 0)) }
		cfg := lifecycleConfig(c)
		cfg.ProbeLease = time.Minute
		b := breaker.MustNew("b", cfg)

		failing(t, b, 2)
		back()
		assert.Equal(t, tallies{Calls: 2, Failures: 2}, tally(b), "%d years", years)
		failing(t, b, 1)
		assertState(t, breaker.Open, b)
		back()
		assert.Equal(t, openFor, refusal(t, b).RetryAfter(), "%d years", years)
		c.advance(openFor)
		issued(t, b)
		c.set(time.Date(4000, 1, 1, 0, 0, 0, 0, time.UTC))
		assert.Equal(t, breaker.ReasonProbeLost, refusal(t, b).Reason)
		c.advance(openFor)
		issued(t, b)
		back()
		assert.ErrorIs(t, refusal(t, b), breaker.ErrTooManyProbes)
		c.advance(time.Minute)
		assert.ErrorIs(t, refusal(t, b), breaker.ErrOpen)
		c.advance(openFor)
		passing(t, b, 1)
		back()
		refused(t, b)
		c.advance(time.Minute)
		passing(t, b, 1)
		assert.Equal(t, breaker.Closed, b.State(), "%d years", years)
	}
}

// G34: to and fro, further than a Duration can tell.
func TestG34_thereAndBack(t *testing.T) {
	c := newFakeClock()
	b := breaker.MustNew("b", lifecycleConfig(c))
	past, future := time.Unix(0, 0).AddDate(-290, 0, 0), time.Unix(0, 0).AddDate(290, 0, 0)
	c.set(future)
	failing(t, b, 3)
	c.set(past)
	assert.Equal(t, openFor, refusal(t, b).RetryAfter())
	c.advance(openFor)
	failing(t, b, 1)
	assertState(t, breaker.Open, b)
	c.set(future)
	passing(t, b, 1)
	assertState(t, breaker.Recovering, b)
}

// G34: the longest window holds what came before time went back.
func TestG34_longestWindowBackward(t *testing.T) {
	c := newFakeClock()
	b := breaker.MustNew("b", breaker.Config{Trip: breaker.FailureCount(3, breaker.Within(math.MaxInt64)), Clock: c})
	c.advance(-time.Hour)
	assert.Equal(t, tallies{}, tally(b))
	failing(t, b, 1)
	c.advance(-time.Hour)
	failing(t, b, 1)
	assert.Equal(t, tallies{Calls: 2, Failures: 2}, tally(b))
	c.advance(100 * 365 * 24 * time.Hour)
	failing(t, b, 1)
	assertState(t, breaker.Open, b)
}

// G33: on a clock that stands still nothing ends, and the rest works.
func TestG33_standingStill(t *testing.T) {
	b := breaker.MustNew("b", lifecycleConfig(newFakeClock()))
	passing(t, b, 100)
	failing(t, b, 3)
	for range 100 {
		assert.Equal(t, openFor, refusal(t, b).RetryAfter())
	}
	b.Reset()
	passing(t, b, 1)
}

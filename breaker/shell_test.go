package breaker

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Tests of the locking shell that need to stand between two steps of it.

// G18: a success that was told to some counters when Reconfigure replaced
// another counts once.
func TestSuccessDuringReconfigure(t *testing.T) {
	rule := func(n int) Rule {
		return Any(FailureRate(0.5, 10, LastN(10)), FailureRate(0.5, 10, LastN(n)))
	}
	b := MustNew("b", Config{Trip: rule(20)})
	c := call{e: b.cur.Load(), ctx: context.Background()}
	require.NoError(t, b.Reconfigure(Config{Trip: rule(30)}))
	told, done := c.e.succeeded(sight{took: unknown})
	require.False(t, done)
	require.Len(t, told, 1)
	c.report(report{outcome: Success, told: told})
	cur := b.cur.Load()
	for i, k := range cur.counters {
		calls, _ := k.counts(0, &cur.set.rules[i])
		assert.Equal(t, int64(1), calls, "rule %d", i)
	}
}

// G30: whoever leaves the critical section with events has the delivery. Else
// another goroutine could still be running the half-open hook when the probe
// begins.
func TestDeliveryIsClaimedUnderTheLock(t *testing.T) {
	b := MustNew("b", Config{Hooks: Hooks{Transition: func(context.Context, Transition) {}}})
	b.mu.Lock()
	b.queue(context.Background(), b.cur.Load(), Transition{}, moment{})
	require.True(t, b.unlock())
	b.mu.Lock()
	require.False(t, b.unlock(), "somebody is at it")
	b.deliver()
	b.mu.Lock()
	b.queue(context.Background(), b.cur.Load(), Transition{}, moment{})
	assert.True(t, b.unlock(), "and has finished")
	b.deliver()
	assert.Nil(t, b.past.Load().events, "what was delivered is garbage")
}

// A full half-open breaker refuses without the lock.
func TestTooManyProbesTakesNoLock(t *testing.T) {
	b := MustNew("b", Config{ProbeLease: -1})
	b.mu.Lock()
	m := b.time.moment()
	b.enter(context.Background(), b.halfOpen(ReasonOpenTimeOver, m), m)
	b.mu.Unlock()
	p, err := b.Allow(context.Background())
	require.NoError(t, err)
	b.mu.Lock()
	_, err = b.Allow(context.Background())
	b.mu.Unlock()
	require.ErrorIs(t, err, ErrTooManyProbes)
	p.Done(nil)
}

// A healthy call and a healthy rejection take none either.
func TestHealthyPathTakesNoLock(t *testing.T) {
	for _, trip := range []Rule{
		{}, FailureRate(0.5, 0, LastN(10)), FailureRate(0.5, 0, Within(minBucket*10)), FailureCount(5, Within(minBucket)),
	} {
		b := MustNew("b", Config{Trip: trip})
		b.mu.Lock()
		err := b.Run(context.Background(), func(context.Context) error { return nil })
		b.Snapshot()
		b.mu.Unlock()
		require.NoError(t, err)
		b.Trip(-1, nil)
		b.mu.Lock()
		_, err = b.Allow(context.Background())
		b.mu.Unlock()
		require.ErrorIs(t, err, ErrOpen)
	}
}

// G37: members that were dropped do not pile up where Get finds its hits.
func TestDroppedMembersAreForgotten(t *testing.T) {
	g := MustNewGroup(GroupConfig[int]{Max: 16})
	for key := range 10_000 {
		for range 40 {
			g.Get(key)
		}
	}
	assert.LessOrEqual(t, len(*g.hits.Load()), 4*16)
	assert.LessOrEqual(t, len(g.ring), 32)
	assert.LessOrEqual(t, len(g.fresh), 32)
}

// A Clock that changes the breaker whenever it is read does not hang it.
func TestMeddlingClock(t *testing.T) {
	b := MustNew("b", Config{})
	b.time = newTimeline(meddler{&settableClock{}, b})
	b.Trip(0, nil)
	assert.Equal(t, Open, b.State())
}

type meddler struct {
	*settableClock
	b *Breaker
}

func (m meddler) Since(t time.Time) time.Duration {
	m.b.changes.Add(1)
	return m.settableClock.Since(t)
}

// G36: an explicit call makes ready what the first rejection counts in.
func TestFirstRejectionAllocatesNoMore(t *testing.T) {
	b := MustNew("b", Config{})
	b.ForceOpen(nil)
	assert.NotNil(t, b.past.Load())
	assert.NotNil(t, MustNew("b", Config{Initial: ForcedOpen}).past.Load())
}

// G40: a hit takes no lock, as soon as the key is not new any more.
func TestGroupHitTakesNoLock(t *testing.T) {
	g := MustNewGroup(GroupConfig[int]{})
	want := g.Get(1)
	g.Get(1) // a lookup for each key there is: now they are merged
	g.mu.Lock()
	defer g.mu.Unlock()
	assert.Same(t, want, g.Get(1))
}

// G37: members that nobody looks up again are let go where they once were hits.
func TestDroppedHitsAreForgotten(t *testing.T) {
	const most = 100
	g := MustNewGroup(GroupConfig[int]{Max: most})
	for key := range most {
		g.Get(key)
	}
	for range most {
		g.Get(0)
	}
	require.Len(t, *g.hits.Load(), most, "all are hits")
	for key := range 10 * most {
		g.Get(most + key)
	}
	dropped := 0
	for _, m := range *g.hits.Load() {
		if m.use.Load() == gone {
			dropped++
		}
	}
	assert.LessOrEqual(t, dropped, len(*g.hits.Load())/2+1)
}

// G8: an outcome that comes after the end of its stay finds the counter retired,
// of whatever kind, and changes nothing.
func TestRetiredCountersRefuse(t *testing.T) {
	for _, rule := range []Rule{
		ConsecutiveFailures(9),
		FailureRate(1, 9, LastN(9)),
		FailureCount(9, Within(time.Hour)),
		FailureRate(1, 9, Within(time.Hour)),
	} {
		r := &rule.parts[0]
		k := newCounter(r)
		require.True(t, k.good(1))
		require.False(t, k.bad(1, r, true))
		calls, bad := k.counts(1, r)
		require.Equal(t, int64(1), bad)
		for range 2 {
			k.retire()
			assert.False(t, k.good(1), "%v", rule)
		}
		calls2, bad2 := k.counts(1, r)
		assert.Equal(t, []int64{calls, bad}, []int64{calls2, bad2}, "%v", rule)
	}
	for _, rule := range []Rule{
		ConsecutiveFailures(1),
		FailureRate(1, 1, LastN(9)),
		FailureCount(1, Within(time.Hour)),
		FailureRate(1, 1, Within(time.Hour)),
	} {
		r := &rule.parts[0]
		k := newCounter(r)
		require.True(t, k.bad(1, r, true))
		assert.False(t, k.good(1), "%v: the opening retires it", rule)
	}
}

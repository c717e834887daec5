package breaker_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/breaker"
)

func succeed(context.Context) (int, error) { return 1, nil }
func fail(context.Context) (int, error)    { return 0, errDown }
func runOK(context.Context) error          { return nil }

// G36: calls, rejections and reads allocate nothing (scenario 35).
func TestAllocations(t *testing.T) {
	if raceEnabled {
		return // the detector allocates; the same test runs without it
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	const never = 1 << 20
	hour := time.Hour
	configs := map[string]breaker.Config{
		"consecutive": {Trip: breaker.ConsecutiveFailures(1 << 30)},
		"last":        {Trip: breaker.FailureCount(never, breaker.LastN(never))},
		"within":      {Trip: breaker.FailureRate(1, 1<<30, breaker.Within(hour))},
		"log":         {Trip: breaker.FailureCount(never, breaker.Within(hour))},
		"slow":        {Trip: breaker.SlowRate(hour, 1, 0, breaker.LastN(100))},
		"any": {
			Trip:      breaker.Any(breaker.ConsecutiveFailures(1<<30), breaker.SlowRate(hour, 1, 0, breaker.Within(hour))),
			MinBudget: time.Millisecond,
		},
		"ramp": {OpenFor: 1, CloseAfter: 1, Ramp: hour, RampFrom: 0.5},
	}
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			b := breaker.MustNew(name, cfg)
			if cfg.Ramp > 0 {
				b.Trip(1, nil)
				for b.State() != breaker.Recovering {
					_ = b.Run(ctx, runOK)
				}
			}
			none := func(what string, f func()) {
				t.Helper()
				assert.Zero(t, testing.AllocsPerRun(200, f), what)
			}
			none("Do", func() { _, _ = breaker.Do(ctx, b, succeed) })
			if cfg.Ramp == 0 {
				none("Do that fails", func() { _, _ = breaker.Do(ctx, b, fail); _, _ = breaker.Do(ctx, b, succeed) })
			}
			none("DoResult", func() { _, _ = breaker.DoResult(ctx, b, succeed, nil) })
			none("Run", func() { _ = b.Run(ctx, runOK) })
			none("Allow and Done", func() {
				p, _ := b.Allow(ctx)
				p.Done(nil)
			})
			none("State", func() { _ = b.State() })
			none("Snapshot", func() { _ = b.Snapshot() })
		})
	}

	none := func(what string, f func()) {
		t.Helper()
		assert.Zero(t, testing.AllocsPerRun(200, f), what)
	}
	open := breaker.MustNew("open", breaker.Config{})
	open.Trip(-1, errDown)
	none("rejection", func() { _, _ = breaker.Do(ctx, open, succeed) })
	forced := breaker.MustNew("forced", breaker.Config{Initial: breaker.ForcedOpen})
	none("rejection when forced open", func() { _, _ = forced.Allow(ctx) })

	half := breaker.MustNew("half", breaker.Config{OpenFor: 1, ProbeLease: -1})
	half.Trip(1, errDown)
	for half.State() != breaker.HalfOpen {
		runtime.Gosched()
	}
	probe, err := half.Allow(ctx)
	assert.NoError(t, err)
	none("too many probes", func() { _, _ = half.Allow(ctx) })
	probe.Done(nil)

	g := breaker.MustNewGroup(breaker.GroupConfig[string]{})
	for range 3 {
		g.Get("a")
	}
	none("Group.Get", func() { g.Get("a") })
	g.Get("b")
	none("Group.Get of a key just added", func() { g.Get("b") })
}

// G37: what a breaker takes does not grow with traffic, and is small.
func TestSizes(t *testing.T) {
	if raceEnabled {
		return // the detector's own memory counts; the same test runs without it
	}
	assert.LessOrEqual(t, breaker.BreakerSize, uintptr(400))
	assert.LessOrEqual(t, breaker.PermitSize, uintptr(64))

	alone := perObject(1000, func(n int) any {
		all := make([]*breaker.Breaker, n)
		for i := range all {
			all[i] = breaker.MustNew("x", breaker.Config{})
		}
		return all
	})
	t.Logf("a breaker alone takes %d bytes", alone)
	assert.LessOrEqual(t, alone, uint64(768))

	keys := make([]string, 100_000)
	for i := range keys {
		keys[i] = fmt.Sprint(i)
	}
	grouped := perObject(len(keys), func(n int) any {
		g := breaker.MustNewGroup(breaker.GroupConfig[string]{Max: -1})
		for _, key := range keys {
			g.Get(key)
		}
		for _, key := range keys {
			g.Get(key)
		}
		return g
	})
	t.Logf("a breaker in a group of %d takes %d bytes", len(keys), grouped)
	assert.LessOrEqual(t, grouped, uint64(384))

	b := breaker.MustNew("busy", breaker.Config{Trip: breaker.Any(
		breaker.FailureRate(1, 1<<20, breaker.LastN(1<<20)),
		breaker.FailureRate(1, 1<<30, breaker.Within(time.Hour)),
	)})
	grown := perObject(1, func(int) any {
		for i := range 200_000 {
			if i%3 == 0 {
				_, _ = breaker.Do(context.Background(), b, fail)
			} else {
				_, _ = breaker.Do(context.Background(), b, succeed)
			}
		}
		return b
	})
	assert.LessOrEqual(t, grown, uint64(16<<10), "bytes after 200,000 calls")
}

// perObject is how many bytes of the heap each of n objects keeps alive.
func perObject(n int, alloc func(n int) any) uint64 {
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	kept := alloc(n)
	after := heap()
	runtime.KeepAlive(kept)
	return (max(after, before) - before) / uint64(n)
}

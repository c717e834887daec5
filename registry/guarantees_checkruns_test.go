package registry_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// The contract of a check on every clock: when it runs, when it times out, what
// its context is, and what comes of it.
func TestG21_OnEveryClock(t *testing.T) {
	bothClocks(t, func(t *testing.T, c registry.Clock, pass func(time.Duration)) {
		r := newRegistry(t, registry.Config{Clock: c})
		starts, ends := newLog(c), newLog(c)
		register(t, r, checked("a", registry.Check{
			InitialDelay: 5 * time.Second, Interval: 20 * time.Second, Timeout: 3 * time.Second,
			FailuresBeforeCritical: 2, RemoveAfter: 30 * time.Second,
			Func: func(ctx context.Context, _ registry.Instance) error {
				starts.add()
				_, ok := ctx.Deadline()
				assert.Equal(t, c == nil, ok, "only a deadline in real time is one")
				<-ctx.Done()
				assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
				ends.add()
				return ctx.Err()
			},
		}))
		pass(28*time.Second - 1)
		assert.Equal(t, registry.Starting, healthOf(t, r, "a"))
		pass(time.Nanosecond)
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
		pass(20 * time.Second)
		assert.Equal(t, seconds(5, 25, 45), starts.take())
		assert.Equal(t, seconds(8, 28, 48), ends.take())
		pass(10*time.Second - 1)
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
		pass(time.Nanosecond)
		assert.Empty(t, present(r.Service("orders")))
		pass(time.Minute)
		assert.Empty(t, starts.take())
	})
}

// Runs start an interval after one another, however long they take, and never
// overlap: what is due meanwhile is left out, and not made up for.
func TestG21_Schedule(t *testing.T) {
	type row struct {
		check registry.Check
		takes time.Duration
		want  []time.Duration // the starts of the first minute
	}
	bubbles(t, map[string]row{
		"by default":                {registry.Check{}, 0, seconds(0, 10, 20, 30, 40, 50)},
		"another interval":          {registry.Check{Interval: 25 * time.Second}, 0, seconds(0, 25, 50)},
		"after a delay":             {registry.Check{InitialDelay: 7 * time.Second}, 0, seconds(7, 17, 27, 37, 47, 57)},
		"negative delay":            {registry.Check{InitialDelay: -1}, 0, seconds(0, 10, 20, 30, 40, 50)},
		"slow":                      {registry.Check{Timeout: 9 * time.Second}, 8 * time.Second, seconds(0, 10, 20, 30, 40, 50)},
		"slower than the interval":  {registry.Check{Timeout: -1}, 25 * time.Second, seconds(0, 30)},
		"hung":                      {registry.Check{}, 32 * time.Second, seconds(0, 40)},
		"hung, at another interval": {registry.Check{Interval: 4 * time.Second}, 9 * time.Second, seconds(0, 12, 24, 36, 48)},
	}, func(t *testing.T, c row) {
		r := newRegistry(t, registry.Config{})
		starts := newLog(nil)
		var running atomic.Int32
		c.check.Func = func(context.Context, registry.Instance) error {
			assert.EqualValues(t, 1, running.Add(1), "two at once")
			starts.add()
			time.Sleep(c.takes)
			running.Add(-1)
			return nil
		}
		l := register(t, r, checked("a", c.check))
		time.Sleep(time.Minute - 1)
		require.NoError(t, l.Deregister())
		assert.Equal(t, c.want, starts.take())
		time.Sleep(time.Minute)
		assert.Empty(t, starts.take(), "it has left")
	})
}

// A run that starts late, because its timer was late, does not put the next one
// off.
func TestG21_ALateTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newHandClock()
		r := newRegistry(t, registry.Config{Clock: c})
		starts := newLog(c)
		register(t, r, checked("a", registry.Check{Func: func(context.Context, registry.Instance) error {
			starts.add()
			return nil
		}}))
		c.run(time.Second)
		c.sleep(3 * time.Second) // that of the run at 10 goes off at 13
		c.run(30 * time.Second)
		assert.Equal(t, seconds(0, 13, 20, 30), starts.take())
	})
}

// Every interval is longer or shorter by its own random share. One row is the
// share, the random number, and the interval.
func TestG21_Jitter(t *testing.T) {
	type row struct {
		share float64
		draw  uint64
		want  time.Duration
	}
	bubbles(t, map[string]row{
		"default, least":  {0, 0, 9 * time.Second},
		"default, middle": {0, 1 << 63, 10 * time.Second},
		"default, most":   {0, math.MaxUint64, 11 * time.Second},
		"half, least":     {0.5, 0, 5 * time.Second},
		"half, most":      {0.5, math.MaxUint64, 15 * time.Second},
		"half, quarter":   {0.5, 1 << 62, 7500 * time.Millisecond},
		"none":            {-1, 0, 10 * time.Second},
	}, func(t *testing.T, c row) {
		r := newRegistry(t, registry.Config{Rand: func() uint64 { return c.draw }})
		starts := newLog(nil)
		in := checked("a", registry.Check{Func: func(context.Context, registry.Instance) error {
			starts.add()
			return nil
		}})
		in.Check.Jitter = c.share
		register(t, r, in)
		time.Sleep(5*c.want + time.Second)
		times := starts.take()
		require.Len(t, times, 6)
		for i, at := range times {
			assert.InDelta(t, time.Duration(i)*c.want, at, 100, "run %d", i)
		}
	})
}

// A run that has not ended at its Timeout has failed at that instant, not before
// and not when it ends.
func TestG21_TimeoutIsAFailureAtThatInstant(t *testing.T) {
	bubbles(t, map[string]struct {
		interval, timeout, want time.Duration
	}{
		"by default":            {0, 0, 2 * time.Second},
		"of a short interval":   {time.Second, 0, time.Second},
		"given":                 {0, 7 * time.Second, 7 * time.Second},
		"as long as it can be":  {0, 10 * time.Second, 10 * time.Second},
		"none, until the end":   {0, -1, 45 * time.Second},
		"a very short interval": {1, 0, 1},
	}, func(t *testing.T, c struct{ interval, timeout, want time.Duration }) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, checked("a", registry.Check{
			Interval: c.interval, Timeout: c.timeout, FailuresBeforeCritical: 1,
			Func: func(ctx context.Context, _ registry.Instance) error {
				at, ok := ctx.Deadline()
				assert.Equal(t, c.timeout >= 0, ok)
				if ok {
					assert.Equal(t, c.want, time.Until(at))
				}
				time.Sleep(45 * time.Second) // whatever ctx says
				return errSick
			},
		}))
		time.Sleep(c.want - 1)
		synctest.Wait()
		assert.Equal(t, registry.Starting, healthOf(t, r, "a"))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
		require.NoError(t, l.Deregister())
	})
}

// While a run hangs every run that is due fails without starting. What the hung
// one returns in the end says nothing.
func TestG21_WhileItHangs(t *testing.T) {
	bubbles(t, map[string]error{"nothing": nil, "an error": errSick}, func(t *testing.T, result error) {
		r := newRegistry(t, registry.Config{})
		var runs atomic.Int32
		l := register(t, r, checked("a", registry.Check{
			FailuresBeforeCritical: 5, SuccessesBeforePassing: 2,
			Func: func(context.Context, registry.Instance) error {
				if runs.Add(1) == 1 {
					time.Sleep(45 * time.Second)
					return result
				}
				return nil
			},
		}))
		time.Sleep(40*time.Second - 1) // failures at 2, 10, 20, 30 and 40
		synctest.Wait()
		assert.Equal(t, registry.Starting, healthOf(t, r, "a"))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
		assert.Equal(t, "check timed out and has not returned", l.Endpoint().HealthReason())
		assert.EqualValues(t, 1, runs.Load())
		time.Sleep(19 * time.Second) // it has returned, and one that passes was made at 50
		synctest.Wait()
		assert.EqualValues(t, 2, runs.Load())
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"), "one pass so far")
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
	})
}

// No more than MaxChecks run at once, and all get their turn.
func TestG21_MaxChecks(t *testing.T) {
	bubbles(t, map[string]struct{ max, want int }{
		"default":   {0, 64},
		"one":       {1, 1},
		"some":      {7, 7},
		"unlimited": {-1, 70},
	}, func(t *testing.T, c struct{ max, want int }) {
		const n = 70
		r := newRegistry(t, registry.Config{MaxChecks: c.max})
		var running, most atomic.Int64
		all := numbered(n, 0)
		for i := range all {
			all[i].Check = registry.Check{Interval: time.Hour, Timeout: 2 * time.Second, Func: func(context.Context, registry.Instance) error {
				now := running.Add(1)
				for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
				}
				time.Sleep(time.Second)
				running.Add(-1)
				return nil
			}}
		}
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, all...)
		require.NoError(t, err)
		synctest.Wait()
		assert.EqualValues(t, c.want, running.Load())
		time.Sleep(time.Duration((n+c.want-1)/c.want) * time.Second)
		synctest.Wait()
		assert.EqualValues(t, c.want, most.Load())
		assert.Len(t, withHealth(r.Service("orders"), registry.Passing), n)
	})
}

// Waiting for a turn is no failure, however long it takes, and the Timeout begins
// with the run.
func TestG21_WaitingIsNoFailure(t *testing.T) {
	bothClocks(t, func(t *testing.T, c registry.Clock, pass func(time.Duration)) {
		r := newRegistry(t, registry.Config{MaxChecks: 1, Clock: c})
		end := make(chan struct{})
		register(t, r, checked("a", registry.Check{Timeout: -1, Func: func(context.Context, registry.Instance) error {
			<-end
			return nil
		}}))
		pass(time.Second)
		starts := newLog(c)
		register(t, r, checked("b", registry.Check{FailuresBeforeCritical: 1, Func: func(ctx context.Context, _ registry.Instance) error {
			starts.add()
			<-ctx.Done()
			return nil
		}}))
		pass(100 * time.Second)
		assert.Equal(t, registry.Starting, healthOf(t, r, "b"))
		assert.Empty(t, starts.take())
		close(end)
		pass(2*time.Second - 1)
		assert.Len(t, starts.take(), 1, "none is made up for")
		assert.Equal(t, registry.Starting, healthOf(t, r, "b"))
	})
}

// A run that hangs gives its turn to others at its Timeout, once.
func TestG21_HungGivesItsTurnBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{MaxChecks: 1})
		end := make(chan struct{})
		register(t, r, checked("a", registry.Check{Timeout: 3 * time.Second, Interval: time.Hour, Func: func(context.Context, registry.Instance) error {
			<-end
			return nil
		}}))
		synctest.Wait()
		var running, most atomic.Int32
		starts := newLog(nil)
		for _, id := range []string{"b", "c"} {
			register(t, r, checked(id, registry.Check{Interval: 10 * time.Second, Func: func(context.Context, registry.Instance) error {
				starts.add()
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Second)
				running.Add(-1)
				return nil
			}}))
		}
		time.Sleep(3*time.Second - 1)
		synctest.Wait()
		assert.Empty(t, starts.take())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, seconds(3), starts.take())
		time.Sleep(2 * time.Second)
		assert.Equal(t, seconds(4), starts.take())
		close(end) // must not give another turn away
		time.Sleep(time.Minute)
		assert.EqualValues(t, 1, most.Load())
	})
}

// Who leaves before its turn is never run, and takes no turn away. Who leaves
// during its run gives it back when it returns.
func TestG21_LeavingGivesTheTurnBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{MaxChecks: 1})
		runs := make(chan string, 10)
		with := func(id string) registry.Instance {
			return checked(id, registry.Check{Timeout: -1, Func: func(ctx context.Context, in registry.Instance) error {
				runs <- in.ID
				<-ctx.Done()
				return context.Cause(ctx)
			}})
		}
		a := register(t, r, with("a"))
		assert.Equal(t, "a", received(t, runs))
		b := register(t, r, with("b"))
		synctest.Wait()
		c := register(t, r, with("c"))
		synctest.Wait()
		require.NoError(t, b.Deregister())
		nothing(t, runs)
		require.NoError(t, a.Deregister())
		assert.Equal(t, "c", received(t, runs))
		require.NoError(t, c.Deregister())
		register(t, r, with("d"))
		assert.Equal(t, "d", received(t, runs))
	})
}

// Whoever comes and goes, in whatever moment, no turn is lost. This needs real
// time and several processors.
func TestG21_NoTurnIsLost(t *testing.T) {
	r := newRegistry(t, registry.Config{MaxChecks: 1})
	with := func(service string) registry.Instance {
		in := checked("a", registry.Check{Func: func(context.Context, registry.Instance) error { return nil }})
		in.Service = service
		return in
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for range 300 {
				if l, err := r.Register(bg, with(fmt.Sprint("s", w))); assert.NoError(t, err) {
					runtime.Gosched()
					assert.NoError(t, l.Deregister())
				}
			}
		})
	}
	wg.Wait()
	register(t, r, with("orders"))
	ctx, cancel := context.WithTimeout(bg, 20*time.Second)
	defer cancel()
	s := r.Service("orders").Snapshot()
	for s.At(0).Health() != registry.Passing {
		var err error
		s, err = r.Service("orders").Wait(ctx, s.Index())
		require.NoError(t, err, "its turn does not come")
	}
}

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// healths are those of an instance after the run that is due now and after n-1
// later ones, as the first letters of their names.
func healths(tb testing.TB, r *registry.Registry, id string, n int, interval time.Duration) string {
	tb.Helper()
	var all []byte
	for i := range n {
		if i > 0 {
			time.Sleep(interval)
		}
		synctest.Wait()
		all = append(all, healthOf(tb, r, id).String()[0]-'a'+'A')
	}
	return string(all)
}

// One row is the settings of a check, what its runs come to, and the health after
// each: S(tarting), P(assing), W(arning), C(ritical). Panics and Goexits fail.
func TestG20_ThresholdsInARow(t *testing.T) {
	bubbles(t, map[string]struct {
		failures, successes int // 0: the default
		script, want        string
	}{
		"the first pass":                {0, 0, "PP", "PP"},
		"the first warning":             {0, 0, "WWPP", "WWWP"},
		"a pass after two failures":     {0, 0, "FFP", "SSP"},
		"3 failures by default":         {0, 0, "PFFFF", "PPPCC"},
		"2 successes by default":        {0, 0, "FFFPPP", "SSCCPP"},
		"a pass breaks the row":         {3, 0, "PFFPFFF", "PPPPPPC"},
		"a warning does too":            {3, 0, "PFFWFFF", "PPPWWWC"},
		"a failure breaks the way back": {1, 3, "PFPPFPPP", "PCCCCCCP"},
		"warnings on the way back":      {1, 3, "FWPW", "CCCW"},
		"at once":                       {1, 1, "FPFPW", "CPCPW"},
		"panic and Goexit":              {3, 1, "PXGFP", "PPPCP"},
		"many":                          {5, 4, "PFFFFFPPPP", "PPPPPCCCCP"},
	}, func(t *testing.T, c struct {
		failures, successes int
		script, want        string
	},
	) {
		r := newRegistry(t, registry.Config{})
		s := script{left: c.script}
		register(t, r, checked("a", registry.Check{
			Func: s.check, FailuresBeforeCritical: c.failures, SuccessesBeforePassing: c.successes, InitialDelay: time.Second,
		}))
		assert.Equal(t, registry.Starting, healthOf(t, r, "a"))
		time.Sleep(time.Second)
		assert.Equal(t, c.want, healths(t, r, "a", len(c.want), 10*time.Second))
	})
}

// An instance with a check starts as Starting, and is not usable before its first
// pass, however long that takes.
func TestG20_StartsAsStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		s := script{left: "P"}
		l := register(t, r, checked("a", registry.Check{Func: s.check, InitialDelay: time.Hour}))
		assert.Equal(t, registry.Starting, healthOf(t, r, "a"))
		assert.Equal(t, "not checked yet", l.Endpoint().HealthReason())
		assert.False(t, l.Endpoint().Live().Acquire(registry.Warning))
		assert.Equal(t, 1, r.Stats().Checks)
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
		assert.Empty(t, l.Endpoint().HealthReason())
		assert.True(t, l.Endpoint().Live().Acquire(registry.Warning))
		changes := j.take()
		require.Len(t, changes, 2)
		assert.Equal(t, registry.Starting, changes[0].After.Health())
		assert.Equal(t, registry.ReasonHealth, changes[1].Reason)
		assert.Equal(t, time.Hour, changes[1].At.Sub(changes[0].At))
	})
}

// At another address it is another process: it starts as Starting again. At the
// same one it keeps what its check has found, whatever else is new.
func TestG20_AnotherAddrIsStarting(t *testing.T) {
	bubbles(t, map[string]func(*testing.T, *registry.Registry, *registry.Lease, registry.Instance) *registry.Lease{
		"registered again": func(t *testing.T, r *registry.Registry, _ *registry.Lease, in registry.Instance) *registry.Lease {
			return register(t, r, in)
		},
		"updated": func(t *testing.T, _ *registry.Registry, l *registry.Lease, in registry.Instance) *registry.Lease {
			require.NoError(t, l.Update(in))
			return l
		},
	}, func(t *testing.T, replace func(*testing.T, *registry.Registry, *registry.Lease, registry.Instance) *registry.Lease) {
		r := newRegistry(t, registry.Config{})
		register(t, r, instance("b")) // somebody else
		s := script{left: "PFP"}
		in := checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 2})
		l := register(t, r, in)
		time.Sleep(15 * time.Second) // a pass and one failure
		in.Version = "2"
		l = replace(t, r, l, in)
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
		synctest.Wait()
		assert.Equal(t, 2, s.runs(), "no run out of turn")
		in.Addr, in.Check.InitialDelay = "10.0.0.2:80", time.Second
		l = replace(t, r, l, in)
		assert.Equal(t, registry.Starting, healthOf(t, r, "a"))
		assert.Equal(t, registry.Passing, healthOf(t, r, "b"))
		assert.Equal(t, 1, r.Stats().Checks)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, 3, s.runs(), "checked as if it were new")
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
		require.NoError(t, l.Err())
	})
}

// Another text at equal health changes nothing, and wakes nobody.
func TestG20_OutputAloneIsNoChange(t *testing.T) {
	bubbles(t, map[string]func(n int32) error{
		"failing": func(n int32) error { return fmt.Errorf("failure %d", n) },
		"warning": func(n int32) error { return registry.Warn(fmt.Errorf("remark %d", n)) },
	}, func(t *testing.T, result func(int32) error) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		var n atomic.Int32
		register(t, r, checked("a", registry.Check{FailuresBeforeCritical: 1, Func: func(context.Context, registry.Instance) error {
			return result(n.Add(1))
		}}))
		synctest.Wait()
		before := r.Service("orders").Snapshot()
		assert.Contains(t, before.At(0).HealthReason(), " 1")
		ctx, cancel := context.WithCancel(bg)
		updates, end := watch(ctx, r.Service("orders"))
		received(t, updates)
		j.take()
		time.Sleep(100 * time.Second)
		synctest.Wait()
		assert.EqualValues(t, 11, n.Load())
		assert.Same(t, before, r.Service("orders").Snapshot())
		nothing(t, updates)
		assert.Empty(t, j.told())
		cancel()
		require.ErrorIs(t, received(t, end), context.Canceled)
	})
}

// Warn is found wherever it is in a chain; Warn(nil) is a pass.
func TestG20_Warn(t *testing.T) {
	require.NoError(t, registry.Warn(nil))
	warn := registry.Warn(errSick)
	require.ErrorIs(t, warn, errSick)
	require.EqualError(t, warn, "sick")
	bubbles(t, map[string]struct {
		err  error
		want registry.Health
	}{
		"itself":  {warn, registry.Warning},
		"wrapped": {fmt.Errorf("disk: %w", warn), registry.Warning},
		"joined":  {errors.Join(errors.New("disk"), warn), registry.Warning},
		"of nil":  {registry.Warn(nil), registry.Passing},
		"no":      {errSick, registry.Critical},
	}, func(t *testing.T, c struct {
		err  error
		want registry.Health
	},
	) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, checked("a", registry.Check{
			FailuresBeforeCritical: 1,
			Func:                   func(context.Context, registry.Instance) error { return c.err },
		}))
		synctest.Wait()
		assert.Equal(t, c.want, healthOf(t, r, "a"))
		if c.err != nil {
			assert.Equal(t, strings.ReplaceAll(c.err.Error(), "\n", " "), l.Endpoint().HealthReason())
		}
	})
}

// A check that an instance gets later says nothing before it has run, and takes
// with it what it said.
func TestG20_AddedAndTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		l := register(t, r, instance("a"))
		s := script{left: "F"}
		require.NoError(t, l.Update(checked("a", registry.Check{Func: s.check})))
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"), "it has been in use")
		assert.Equal(t, "PPCC", healths(t, r, "a", 4, 10*time.Second))
		require.NoError(t, l.Update(instance("a")))
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
		assert.Zero(t, r.Stats().Checks)
		runs := s.runs()
		time.Sleep(time.Minute)
		assert.Equal(t, runs, s.runs())
		register(t, r, checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 1}))
		assert.Equal(t, "CC", healths(t, r, "a", 2, 10*time.Second))
		register(t, r, instance("a"))
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
	})
}

// Settings are replaced with the registration, and the count goes on.
func TestG20_OtherSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := script{left: "PFFFFPPP"}
		register(t, r, checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 10, SuccessesBeforePassing: 10}))
		assert.Equal(t, "PPPP", healths(t, r, "a", 4, 10*time.Second))
		index := r.Service("orders").Snapshot().Index()
		register(t, r, checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 4, SuccessesBeforePassing: 3}))
		assert.Equal(t, index, r.Service("orders").Snapshot().Index(), "a check is not content")
		time.Sleep(10 * time.Second)
		assert.Equal(t, "CCCP", healths(t, r, "a", 4, 10*time.Second))
	})
}

// Of a fed instance the check runs here, and its word is one of several.
func TestG20_AFedInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		p, stop := feed(t, r, "f")
		s := script{left: "PF"}
		in := checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 2})
		p.put(registry.Warning, in)
		assert.Equal(t, registry.Warning, healthOf(t, r, "a"))
		p.put(registry.Passing, in)
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
		stop()
		assert.Empty(t, present(r.Service("orders")))
		assert.Zero(t, r.Stats().Checks)
	})
}

// RemoveAfter counts from when the instance became Critical, to the nanosecond,
// and takes it out as by hand.
func TestG20_RemoveAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		s := script{left: "PF"}
		in := checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 2, RemoveAfter: time.Minute})
		in.TTL = 9 * time.Second
		l := register(t, r, in)
		kept := async(func() error { return l.KeepAlive(bg) })
		time.Sleep(20*time.Second + time.Minute - 1) // Critical with the second failure
		synctest.Wait()
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Empty(t, present(r.Service("orders")))
		assert.Equal(t, []string{"registered a", "health a", "health a", "unhealthy a"}, j.told())
		require.ErrorIs(t, received(t, kept), registry.ErrLeaseLost)
		lost(t, l, registry.ErrLeaseLost)
		runs := s.runs()
		time.Sleep(time.Minute)
		assert.Empty(t, present(r.Service("orders")))
		assert.Equal(t, runs, s.runs())
	})
}

// Only being Critical without a break counts. One row is RemoveAfter, the script,
// and the second at which the instance is removed; 0 if it is not.
func TestG20_RemoveAfterNeedsToLast(t *testing.T) {
	bubbles(t, map[string]struct {
		after  time.Duration
		script string
		gone   int
	}{
		"at once Critical":        {25 * time.Second, "F", 25},
		"recovered in time":       {25 * time.Second, "FFPW", 0},
		"recovered, and again":    {25 * time.Second, "FFPF", 55},
		"before the next failure": {5 * time.Second, "F", 5},
		"zero":                    {0, "F", 0},
		"negative":                {-1, "F", 0},
	}, func(t *testing.T, c struct {
		after  time.Duration
		script string
		gone   int
	},
	) {
		r := newRegistry(t, registry.Config{})
		s := script{left: c.script}
		l := register(t, r, checked("a", registry.Check{
			Func: s.check, FailuresBeforeCritical: 1, SuccessesBeforePassing: 1, RemoveAfter: c.after,
		}))
		at := newLog(nil)
		go func() {
			<-l.Done()
			at.add()
		}()
		time.Sleep(10 * time.Minute)
		if c.gone == 0 {
			assert.Empty(t, at.take())
			assert.Len(t, present(r.Service("orders")), 1)
			require.NoError(t, l.Deregister())
			return
		}
		assert.Equal(t, seconds(float64(c.gone)), at.take())
	})
}

// Who is Critical already is subject to a new RemoveAfter from then on.
func TestG20_AnotherRemoveAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := script{left: "F"}
		with := func(after time.Duration) registry.Instance {
			return checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 1, RemoveAfter: after})
		}
		register(t, r, with(time.Minute))
		time.Sleep(30 * time.Second)
		register(t, r, with(-1))
		time.Sleep(time.Hour - 30*time.Second)
		require.Len(t, present(r.Service("orders")), 1)
		register(t, r, with(2*time.Hour))
		time.Sleep(time.Hour - 1)
		require.Len(t, present(r.Service("orders")), 1)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		require.Empty(t, present(r.Service("orders")), "two hours after it became Critical")
		register(t, r, with(time.Hour))
		time.Sleep(time.Minute)
		register(t, r, with(time.Second)) // over already
		synctest.Wait()
		assert.Empty(t, present(r.Service("orders")))
	})
}

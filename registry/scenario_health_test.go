package registry_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// Given FailuresBeforeCritical 3, When F F P F F F, Then Critical only after the
// last; SuccessesBeforePassing likewise; new output at equal health wakes nobody.
func TestS14_Thresholds(t *testing.T) {
	bothClocks(t, func(t *testing.T, c registry.Clock, pass func(time.Duration)) {
		r := newRegistry(t, registry.Config{Clock: c})
		results := "PFFPFFFFPPFPPPP"
		want := "PPPPPPCCCCCCCPP"
		var n atomic.Int32
		register(t, r, checked("a", registry.Check{
			FailuresBeforeCritical: 3, SuccessesBeforePassing: 3,
			Func: func(context.Context, registry.Instance) error {
				i := n.Add(1) - 1
				if results[i] == 'P' {
					return nil
				}
				return fmt.Errorf("output %d", i)
			},
		}))
		ctx, cancel := context.WithCancel(bg)
		updates, end := watch(ctx, r.Service("orders"))
		pass(time.Second)
		for len(updates) > 0 {
			<-updates
		}
		for i := range want {
			assert.Equal(t, want[i], healthOf(t, r, "a").String()[0]-'a'+'A', "run %d", i)
			woken := i > 0 && want[i] != want[i-1]
			assert.Equal(t, woken, len(updates) > 0, "run %d", i)
			if woken {
				require.Len(t, received(t, updates).Changed, 1)
			}
			if i < len(want)-1 {
				pass(10 * time.Second)
			}
		}
		cancel()
		require.ErrorIs(t, received(t, end), context.Canceled)
	})
}

// Given a check that blocks past Timeout, panics or calls Goexit, Then it counts
// as failed, the next run is on schedule, two runs never overlap.
func TestS15_BadChecks(t *testing.T) {
	bubbles(t, map[string]func(ctx context.Context) error{
		"obeys":  func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) },
		"late":   func(context.Context) error { time.Sleep(5 * time.Second); return nil },
		"panic":  func(context.Context) error { return outcome('X') },
		"Goexit": func(context.Context) error { return outcome('G') },
	}, func(t *testing.T, bad func(context.Context) error) {
		r := newRegistry(t, registry.Config{})
		starts := newLog(nil)
		var running atomic.Int32
		var well atomic.Bool
		register(t, r, checked("a", registry.Check{
			FailuresBeforeCritical: 3, SuccessesBeforePassing: 1,
			Func: func(ctx context.Context, _ registry.Instance) error {
				assert.EqualValues(t, 1, running.Add(1))
				defer running.Add(-1)
				starts.add()
				if !well.Load() {
					return bad(ctx)
				}
				return nil
			},
		}))
		time.Sleep(19 * time.Second)
		synctest.Wait()
		assert.Equal(t, registry.Starting, healthOf(t, r, "a"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
		well.Store(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
		assert.Equal(t, seconds(0, 10, 20, 30), starts.take())
	})
}

// Given Drain with 3 calls in flight, Then no new pick, Drain returns when they end
// or ctx ends, the instance is gone, changes are Draining then removed; with
// DrainGrace not before it is over.
func TestS20_Drain(t *testing.T) {
	bubbles(t, map[string]struct {
		grace, timeout time.Duration
		ends           [3]time.Duration // of the calls
		want           time.Duration
		err            error
	}{
		"the calls end": {0, time.Minute, [3]time.Duration{1 * time.Second, 3 * time.Second, 2 * time.Second}, 3 * time.Second, nil},
		"ctx ends":      {0, 2 * time.Second, [3]time.Duration{1 * time.Second, 3 * time.Second, 4 * time.Second}, 2 * time.Second, context.DeadlineExceeded},
		"the grace":     {5 * time.Second, time.Minute, [3]time.Duration{1 * time.Second, 3 * time.Second, 2 * time.Second}, 5 * time.Second, nil},
	}, func(t *testing.T, c struct {
		grace, timeout time.Duration
		ends           [3]time.Duration
		want           time.Duration
		err            error
	},
	) {
		var j journal
		r := newRegistry(t, registry.Config{DrainGrace: c.grace, Hooks: j.hooks()})
		register(t, r, instance("b"))
		l := register(t, r, instance("a"))
		e := l.Endpoint()
		live := begin(t, e, 3)
		for _, end := range c.ends {
			time.AfterFunc(end, live.Release)
		}
		ctx, cancel := context.WithTimeout(bg, c.timeout)
		defer cancel()
		times := newLog(nil)
		done := async(func() error {
			err := l.Drain(ctx)
			times.add()
			return err
		})
		synctest.Wait()
		assert.False(t, e.Live().Acquire(registry.Warning))
		assert.Equal(t, 3, e.InFlight())
		assert.Equal(t, registry.Passing, healthOf(t, r, "b"))
		err := <-done
		if c.err == nil {
			require.NoError(t, err)
		} else {
			require.ErrorIs(t, err, c.err)
		}
		assert.Equal(t, []time.Duration{c.want}, times.take())
		assert.Equal(t, []string{"b"}, present(r.Service("orders")))
		assert.Equal(t, []string{"registered b", "registered a", "health a", "drained a"}, j.told())
		time.Sleep(time.Minute)
		assert.Zero(t, e.InFlight())
	})
}

// Given a hook that registers, deregisters and panics, Then nothing deadlocks,
// order holds, Stats.Panics counts it.
func TestS24_AHookThatDoesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *registry.Registry
		var told []string
		var index uint64
		r = newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(c registry.Change) {
			assert.Greater(t, c.Index, index)
			index = c.Index
			told = append(told, fmt.Sprint(c.Reason, " ", c.ID))
			switch c.ID {
			case "a":
				_, err := r.Register(bg, instance("b"))
				assert.NoError(t, err)
				panic("a")
			case "b":
				assert.NoError(t, r.Deregister(bg, "orders", "c"))
				panic("b")
			default:
				panic("c")
			}
		}}})
		told = nil
		_, err := r.Register(bg, instance("c"))
		require.NoError(t, err)
		register(t, r, instance("a"))
		assert.Equal(t, []string{"registered c", "registered a", "registered b", "deregistered c"}, told)
		assert.EqualValues(t, 4, r.Stats().Panics)
		assert.Equal(t, []string{"a", "b"}, present(r.Service("orders")))
	})
}

package registry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A panic and a Goexit are failures, counted and reported, and the next run is on
// schedule.
func TestG21_PanicsAreFailures(t *testing.T) {
	bubbles(t, map[string]struct {
		letter string
		fault  registry.PanicError
		reason string
	}{
		"panic":  {"X", registry.PanicError{Value: "sick"}, "registry: panic: sick"},
		"Goexit": {"G", registry.PanicError{Goexit: true}, "registry: runtime.Goexit was called"},
	}, func(t *testing.T, c struct {
		letter string
		fault  registry.PanicError
		reason string
	},
	) {
		var faults []*registry.PanicError
		r := newRegistry(t, registry.Config{MaxChecks: 1, Hooks: registry.Hooks{Fault: func(p *registry.PanicError) {
			faults = append(faults, p)
		}}})
		s := script{left: c.letter + c.letter + "PP"}
		l := register(t, r, checked("a", registry.Check{Func: s.check, FailuresBeforeCritical: 2}))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		assert.Equal(t, registry.Critical, healthOf(t, r, "a"))
		assert.Equal(t, c.reason, l.Endpoint().HealthReason())
		assert.EqualValues(t, 2, r.Stats().Panics)
		require.Len(t, faults, 2)
		assert.Equal(t, c.letter == "X", len(faults[0].Stack) > 0)
		faults[0].Stack = nil
		assert.Equal(t, c.fault, *faults[0])
		time.Sleep(20 * time.Second)
		synctest.Wait()
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"))
	})
}

// What a check panics with can be told like an error that it returns.
func TestG21_PanicWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fault error
		r := newRegistry(t, registry.Config{Hooks: registry.Hooks{Fault: func(p *registry.PanicError) { fault = p }}})
		register(t, r, checked("a", registry.Check{Func: func(context.Context, registry.Instance) error { panic(errSick) }}))
		synctest.Wait()
		require.ErrorIs(t, fault, errSick)
	})
}

// leave are the ways in which the check of instance a, which has a TTL of a
// minute and is alone, comes to its end.
var leave = map[string]func(t *testing.T, r *registry.Registry, l *registry.Lease, in registry.Instance){
	"Deregister": func(t *testing.T, _ *registry.Registry, l *registry.Lease, _ registry.Instance) {
		require.NoError(t, l.Deregister())
	},
	"by hand": func(t *testing.T, r *registry.Registry, _ *registry.Lease, _ registry.Instance) {
		require.NoError(t, r.Deregister(bg, "orders", "a"))
	},
	"Drain": func(t *testing.T, _ *registry.Registry, l *registry.Lease, _ registry.Instance) {
		require.NoError(t, l.Drain(bg))
	},
	"expired": func(*testing.T, *registry.Registry, *registry.Lease, registry.Instance) {
		time.Sleep(time.Minute)
		synctest.Wait()
	},
	"another Addr": func(t *testing.T, _ *registry.Registry, l *registry.Lease, in registry.Instance) {
		in.Addr, in.Check.InitialDelay = "10.0.0.2:80", time.Hour
		require.NoError(t, l.Update(in))
	},
	"check taken away": func(t *testing.T, r *registry.Registry, _ *registry.Lease, in registry.Instance) {
		in.Check = registry.Check{}
		register(t, r, in)
	},
	"Close": func(t *testing.T, r *registry.Registry, _ *registry.Lease, _ registry.Instance) {
		require.NoError(t, r.Close(bg))
	},
}

// When its check comes to an end the context of a run is cancelled, and what the
// run returns says nothing any more.
func TestG21_EndCancelsTheRun(t *testing.T) {
	bubbles(t, leave, func(t *testing.T, end func(*testing.T, *registry.Registry, *registry.Lease, registry.Instance)) {
		r := newRegistry(t, registry.Config{})
		causes := make(chan error, 1)
		in := checked("a", registry.Check{
			Timeout: -1, FailuresBeforeCritical: 1, SuccessesBeforePassing: 1,
			Func: func(ctx context.Context, _ registry.Instance) error {
				<-ctx.Done()
				causes <- context.Cause(ctx)
				return errSick
			},
		})
		in.TTL = time.Minute
		l := register(t, r, in)
		nothing(t, causes)
		end(t, r, l, in)
		assert.Equal(t, context.Canceled, received(t, causes))
		assert.Empty(t, withHealth(r.Service("orders"), registry.Critical))
	})
}

// What is no end of the check leaves its run alone.
func TestG21_OtherChangesLeaveTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		end := make(chan struct{})
		results := make(chan error, 2)
		in := checked("a", registry.Check{Timeout: -1, Func: func(ctx context.Context, _ registry.Instance) error {
			<-end
			results <- ctx.Err()
			return ctx.Err()
		}})
		in.TTL = time.Hour
		l := register(t, r, in)
		synctest.Wait()
		require.NoError(t, l.Renew())
		require.NoError(t, l.SetHealth(registry.Warning, ""))
		require.NoError(t, r.SetHealth(bg, "orders", "a", registry.Draining, ""))
		in.Version = "2"
		require.NoError(t, l.Update(in))
		register(t, r, instance("b"))
		register(t, r, in)
		require.NoError(t, r.SetHealth(bg, "orders", "a", 0, ""))
		nothing(t, results)
		close(end)
		require.NoError(t, received(t, results))
		assert.Equal(t, registry.Passing, healthOf(t, r, "a"), "it counts")
	})
}

// Registered again with equal content and another function while a run is under
// way: the run goes on and counts, there is no second one beside it, and the
// next one is the new function's.
func TestG21_AnotherFuncDuringARun(t *testing.T) {
	bubbles(t, map[string]error{"the old one passes": nil, "the old one fails": errSick}, func(t *testing.T, result error) {
		r := newRegistry(t, registry.Config{})
		end := make(chan struct{})
		calls := make(chan string, 10)
		with := func(name string, f checkFunc) registry.Instance {
			return checked("a", registry.Check{
				Timeout: -1, FailuresBeforeCritical: 1, SuccessesBeforePassing: 1,
				Func: func(ctx context.Context, in registry.Instance) error {
					calls <- name
					return f(ctx, in)
				},
			})
		}
		register(t, r, with("old", func(ctx context.Context, _ registry.Instance) error {
			<-end
			return errors.Join(result, ctx.Err())
		}))
		assert.Equal(t, "old", received(t, calls))
		before := r.Service("orders").Snapshot().Index()
		l := register(t, r, with("new", func(context.Context, registry.Instance) error { return registry.Warn(errSick) }))
		assert.Equal(t, before, r.Service("orders").Snapshot().Index())
		time.Sleep(15 * time.Second) // one was due
		nothing(t, calls)
		close(end)
		synctest.Wait()
		want := registry.Passing
		if result != nil {
			want = registry.Critical
		}
		assert.Equal(t, want, healthOf(t, r, "a"))
		time.Sleep(5*time.Second - 1)
		nothing(t, calls)
		time.Sleep(time.Nanosecond)
		assert.Equal(t, "new", received(t, calls))
		assert.Equal(t, registry.Warning, healthOf(t, r, "a"))
		assert.Equal(t, registry.Warning, l.Endpoint().Health())
	})
}

// A shorter interval counts from now on, a longer one from the next run. To
// register again and again does not put the next run off.
func TestG21_AnotherInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		starts := newLog(nil)
		every := func(interval time.Duration) registry.Instance {
			return checked("a", registry.Check{Interval: interval, InitialDelay: time.Second, Func: func(context.Context, registry.Instance) error {
				starts.add()
				return nil
			}})
		}
		register(t, r, every(time.Hour))
		time.Sleep(5 * time.Second)
		register(t, r, every(10*time.Second))
		for range 19 {
			time.Sleep(time.Second)
			register(t, r, every(10*time.Second))
		}
		time.Sleep(6 * time.Second) // half a minute
		assert.Equal(t, seconds(1, 15, 25), starts.take())
		register(t, r, every(time.Minute))
		time.Sleep(2 * time.Minute)
		assert.Equal(t, seconds(35, 95), starts.take())
	})
}

// A check may call the registry that runs it, also about its own instance.
func TestG21_ACheckCallsTheRegistry(t *testing.T) {
	type calls = func(ctx context.Context, r *registry.Registry, in registry.Instance) error
	bubbles(t, map[string]struct {
		call calls
		want registry.Health // 0: it is gone
	}{
		"SetHealth": {func(ctx context.Context, r *registry.Registry, in registry.Instance) error {
			return r.SetHealth(ctx, in.Service, in.ID, registry.Down, "by its check")
		}, registry.Down},
		"Deregister": {func(ctx context.Context, r *registry.Registry, in registry.Instance) error {
			err := r.Deregister(ctx, in.Service, in.ID)
			return errors.Join(err, ended(ctx))
		}, 0},
		"Drain": {func(ctx context.Context, r *registry.Registry, in registry.Instance) error {
			err := r.Drain(ctx, in.Service, in.ID)
			return errors.Join(err, ended(ctx))
		}, 0},
		"Register again": {func(_ context.Context, r *registry.Registry, in registry.Instance) error {
			_, err := r.Register(bg, in)
			return err
		}, registry.Passing},
		"Register elsewhere": {func(ctx context.Context, r *registry.Registry, in registry.Instance) error {
			in.Addr, in.Check.InitialDelay = "10.0.0.2:80", time.Hour
			_, err := r.Register(bg, in)
			return errors.Join(err, ended(ctx))
		}, registry.Starting},
		"reading": {func(ctx context.Context, r *registry.Registry, in registry.Instance) error {
			s, err := r.Service(in.Service).Wait(ctx, 0)
			if err == nil && (s.Len() != 1 || r.Stats().Checks != 1 || r.Sweep() != 0) {
				return errSick
			}
			return err
		}, registry.Passing},
		"Close": {func(_ context.Context, r *registry.Registry, in registry.Instance) error {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				return errors.New("it does not wait for itself")
			}
			return nil
		}, registry.Starting},
	}, func(t *testing.T, c struct {
		call calls
		want registry.Health
	},
	) {
		var r *registry.Registry
		r = newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(registry.Change) { r.Stats() }}})
		results := make(chan error, 10)
		register(t, r, checked("a", registry.Check{Timeout: -1, FailuresBeforeCritical: 1, Func: func(ctx context.Context, in registry.Instance) error {
			err := c.call(ctx, r, in)
			results <- err
			return err
		}}))
		time.Sleep(5 * time.Second)
		require.NoError(t, received(t, results))
		e, ok := r.Service("orders").Get("a") // of a closed registry as well
		require.Equal(t, c.want != 0, ok)
		if ok {
			assert.Equal(t, c.want, e.Health())
		}
	})
}

// ended is an error unless ctx has ended.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return errors.New("the context goes on")
	}
	return nil
}

// What a check is given is a copy of the instance as it is registered, defaults
// and all.
func TestG21_ACheckGetsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		got := make(chan registry.Instance, 10)
		in := checked("", registry.Check{Func: func(_ context.Context, in registry.Instance) error {
			got <- in
			return nil
		}})
		in.Meta, in.Tags = map[string]string{"k": "v"}, []string{"b", "a"}
		l := register(t, r, in)
		for range 2 {
			one := received(t, got)
			assert.Equal(t, "10.0.0.1:80", one.ID)
			assert.Equal(t, []string{"a", "b"}, one.Tags)
			assert.Equal(t, map[string]string{"k": "v"}, one.Meta)
			assert.Equal(t, 100, one.Weight)
			assert.Equal(t, 2*time.Second, one.Check.Timeout)
			one.Meta["k"], one.Tags[0] = "changed", "changed"
			time.Sleep(10 * time.Second)
		}
		in.Version = "2"
		require.NoError(t, l.Update(in))
		received(t, got)
		time.Sleep(10 * time.Second)
		assert.Equal(t, "2", received(t, got).Version)
		assert.True(t, l.Endpoint().HasTag("a"))
	})
}

package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// bg is the context of everything that needs no other.
var bg = context.Background()

var (
	_ registry.Clock = (*clock.Mock)(nil)
	_ registry.Clock = clock.New()
)

// newRegistry makes a registry that is closed when the test is over.
func newRegistry(tb testing.TB, cfg registry.Config) *registry.Registry {
	tb.Helper()
	r, err := registry.New(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, r.Close(bg)) })
	return r
}

// instance is one of service "orders", which most tests are about.
func instance(id string) registry.Instance {
	return registry.Instance{Service: "orders", ID: id, Addr: "10.0.0.1:80"}
}

// leased is an instance with a TTL; a negative one is none.
func leased(id string, ttl time.Duration) registry.Instance {
	in := instance(id)
	in.TTL = ttl
	return in
}

// instanceOf is one of another service.
func instanceOf(service, id string) registry.Instance {
	in := instance(id)
	in.Service = service
	return in
}

// register registers an instance, which has to be accepted.
func register(tb testing.TB, r *registry.Registry, in registry.Instance) *registry.Lease {
	tb.Helper()
	l, err := r.Register(bg, in)
	require.NoError(tb, err)
	return l
}

// numbered are n instances of service "orders", of which the first one is i000.
func numbered(n int, ttl time.Duration) []registry.Instance {
	all := make([]registry.Instance, n)
	for i := range all {
		all[i] = leased(fmt.Sprintf("i%03d", i), ttl)
	}
	return all
}

// ids are those of some endpoints.
func ids(all []*registry.Endpoint) []string {
	names := make([]string, len(all))
	for i, e := range all {
		names[i] = e.ID()
	}
	return names
}

// present are the IDs in the snapshot of a service now.
func present(s *registry.Service) []string {
	return ids(slices.Collect(s.Snapshot().All()))
}

// withHealth are the IDs that have a health in the snapshot of a service now.
func withHealth(s *registry.Service, h registry.Health) []string {
	var all []string
	for e := range s.Snapshot().All() {
		if e.Health() == h {
			all = append(all, e.ID())
		}
	}
	return all
}

// fields are the fields that an error refuses, in its order.
func fields(err error) []string {
	var e *registry.Error
	var all interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &all):
		var names []string
		for _, one := range all.Unwrap() {
			names = append(names, fields(one)...)
		}
		return names
	case errors.As(err, &e):
		return []string{e.Field}
	default:
		return []string{"no Error: " + err.Error()}
	}
}

// journal is what the hooks of a registry were told, in order.
type journal struct {
	mu      sync.Mutex
	changes []registry.Change
	turns   []registry.Preservation
}

// hooks are those that write the journal.
func (j *journal) hooks() registry.Hooks {
	return registry.Hooks{
		Change: func(c registry.Change) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.changes = append(j.changes, c)
		},
		Preservation: func(p registry.Preservation) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.turns = append(j.turns, p)
		},
	}
}

// take returns the changes so far and forgets them. Changes that a read or a
// timer has caused are told by another goroutine: call synctest.Wait before.
func (j *journal) take() []registry.Change {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := j.changes
	j.changes = nil
	return all
}

// told are the changes since the last call as text, "reason id" each.
func (j *journal) told() []string {
	var all []string
	for _, c := range j.take() {
		all = append(all, fmt.Sprint(c.Reason, " ", c.ID))
	}
	return all
}

// preserved are the turns of preservation so far.
func (j *journal) preserved() []registry.Preservation {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.turns)
}

// A handClock is a Clock whose time a test moves with or without the timers that
// are due: what a process does not live through moves the time alone.
type handClock struct {
	timers *clock.Mock
	asleep atomic.Int64 // what has passed without timers
}

func newHandClock() *handClock { return &handClock{timers: clock.NewMock()} }

func (c *handClock) Now() time.Time { return c.timers.Now().Add(time.Duration(c.asleep.Load())) }

func (c *handClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func (c *handClock) AfterFunc(d time.Duration, f func()) *clock.Timer {
	return c.timers.AfterFunc(d, f)
}

// sleep lets time pass, and runs no timer.
func (c *handClock) sleep(d time.Duration) { c.asleep.Add(int64(d)) }

// wake runs the timers of the next d, which are late because of sleep. No time
// passes. Like run it has to be called in a bubble.
func (c *handClock) wake(d time.Duration) {
	synctest.Wait()
	c.sleep(-d)
	c.run(d)
}

// run lets time pass, and runs the timers that are due meanwhile.
func (c *handClock) run(d time.Duration) {
	synctest.Wait()
	c.timers.Add(d)
	synctest.Wait()
}

// received waits for a value that has to come; it is for tests in bubbles.
func received[T any](tb testing.TB, ch <-chan T) T {
	tb.Helper()
	synctest.Wait()
	select {
	case v := <-ch:
		return v
	default:
		require.FailNow(tb, "nothing came")
		panic("unreachable")
	}
}

// nothing waits, and expects that no value comes.
func nothing[T any](tb testing.TB, ch <-chan T) {
	tb.Helper()
	synctest.Wait()
	select {
	case v, ok := <-ch:
		assert.Fail(tb, "something came", "%v %v", v, ok)
	default:
	}
}

// watch ranges over a service on a goroutine of its own until ctx ends. All
// updates, and the error at the end, are in the channels; the second one is
// closed when the loop is over.
func watch(ctx context.Context, s *registry.Service) (<-chan registry.Update, <-chan error) {
	updates, end := make(chan registry.Update, 1000), make(chan error, 1)
	go func() {
		defer close(end)
		for u, err := range s.Watch(ctx) {
			if err != nil {
				end <- err
				return
			}
			updates <- u
		}
	}()
	return updates, end
}

// bubbles runs a test once for each case, each in a bubble and subtest of its own.
func bubbles[C any](t *testing.T, cases map[string]C, f func(*testing.T, C)) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, c) }) })
	}
}

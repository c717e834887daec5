package registry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// The reason of a removal is told to watchers, however late they look.
func TestG17_Reasons(t *testing.T) {
	for reason, end := range map[registry.Reason]func(r *registry.Registry, l *registry.Lease) error{
		registry.ReasonDeregistered: func(_ *registry.Registry, l *registry.Lease) error { return l.Deregister() },
		registry.ReasonDrained:      func(r *registry.Registry, _ *registry.Lease) error { return r.Drain(bg, "orders", "a") },
		registry.ReasonExpired: func(*registry.Registry, *registry.Lease) error {
			time.Sleep(time.Minute)
			return nil
		},
	} {
		t.Run(string(reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry(t, registry.Config{})
				l := register(t, r, leased("a", time.Minute))
				first := true
				for u, err := range r.Service("orders").Watch(bg) {
					require.NoError(t, err)
					if first {
						first = false
						require.NoError(t, end(r, l))
						continue
					}
					require.Len(t, u.Removed, 1)
					assert.Equal(t, reason, u.Removed[0].Reason)
					assert.Equal(t, "a", u.Removed[0].Endpoint.ID())
					break
				}
			})
		})
	}
}

// Nothing is lost between the first snapshot and the enrolment, and no update
// contradicts an earlier one: whoever enrols in the middle of changes ends with
// the last of them.
func TestG17_EnrollingAmongChanges(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	s := r.Service("orders")
	rounds := 300
	if raceEnabled {
		rounds = 60
	}
	var wg sync.WaitGroup
	for i := range rounds {
		for k := range 4 {
			wg.Go(func() {
				if !replayed(t, bg, s, func(snap *registry.Snapshot) bool {
					e, ok := snap.Get("last")
					return ok && e.Version() == fmt.Sprint(i)
				}) {
					assert.Fail(t, "the end was missed", "round %d", i)
				}
			})
			id := fmt.Sprint(k % 3)
			if k%2 == 0 {
				register(t, r, instance(id))
			} else {
				_ = r.Deregister(bg, "orders", id)
			}
		}
		last := instance("last")
		last.Version = fmt.Sprint(i)
		register(t, r, last)
		wg.Wait()
		require.NoError(t, r.Deregister(bg, "orders", "last"))
	}
}

// replayed watches a service until a snapshot is the one to end with, and reports
// whether there was one. The deltas of all updates have to give each snapshot.
func replayed(t *testing.T, ctx context.Context, s *registry.Service, last func(*registry.Snapshot) bool) bool {
	t.Helper()
	r := newReplay(t)
	for u, err := range s.Watch(ctx) {
		if err != nil || !r.apply(u) {
			return false
		}
		if last(u.Snapshot) {
			return true
		}
	}
	return false
}

// A replay is the members of a service according to deltas alone.
type replay struct {
	t     *testing.T
	index uint64
	have  map[string]*registry.Endpoint
}

func newReplay(t *testing.T) *replay {
	t.Helper()
	return &replay{t: t, have: make(map[string]*registry.Endpoint)}
}

// apply takes an update into account, and reports whether it fits. It may run on
// any goroutine.
func (r *replay) apply(u registry.Update) bool {
	r.t.Helper()
	ok := true
	check := func(good bool, what string, e *registry.Endpoint) {
		if !good {
			id := ""
			if e != nil {
				id = e.ID()
			}
			ok = assert.Fail(r.t, what, "%s at %d after %d", id, u.Snapshot.Index(), r.index)
		}
	}
	check(u.Reset == (r.index == 0), "Reset", nil)
	check(u.Snapshot.Index() > r.index, "the index does not grow", nil)
	r.index = u.Snapshot.Index()
	sorted := func(all []*registry.Endpoint) {
		for i := 1; i < len(all); i++ {
			check(all[i-1].ID() < all[i].ID(), "out of order", all[i])
		}
	}
	sorted(u.Added)
	sorted(u.Changed)
	for i, gone := range u.Removed {
		e := gone.Endpoint
		check(i == 0 || u.Removed[i-1].Endpoint.ID() < e.ID(), "out of order", e)
		check(r.have[e.ID()] != nil && r.have[e.ID()].Generation() == e.Generation(), "not what this watcher was given", e)
		check(gone.Reason != "", "no reason", e)
		delete(r.have, e.ID())
	}
	for _, e := range u.Changed {
		check(r.have[e.ID()] != nil, "changed, and not there", e)
		r.have[e.ID()] = e
	}
	for _, e := range u.Added {
		check(r.have[e.ID()] == nil, "added, and there", e)
		r.have[e.ID()] = e
	}
	check(len(r.have) == u.Snapshot.Len(), "the number differs", nil)
	for e := range u.Snapshot.All() {
		have := r.have[e.ID()]
		// A newer generation of equal content is in the snapshot, and no change.
		same := have != nil && have.Version() == e.Version() && have.Addr() == e.Addr() && have.Health() == e.Health()
		check(same, "replaying gives something else", e)
		r.have[e.ID()] = e
	}
	return ok
}

// However slow, a watcher keeps one snapshot; it has no goroutine and delays
// nobody.
func TestG18_SlowWatchersCostOneSnapshot(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	s := r.Service("orders")
	var refs []weak.Pointer[registry.Snapshot]
	goroutines := runtime.NumGoroutine()
	l := register(t, r, instance("a"))
	first := weak.Make(s.Snapshot())
	n := 0
	for u, err := range s.Watch(bg) {
		require.NoError(t, err)
		if n++; n == 2 {
			assert.Equal(t, []string{"a"}, ids(u.Changed))
			break
		}
		assert.Equal(t, goroutines, runtime.NumGoroutine())
		for i := range 1000 {
			in := instance("a")
			in.Version = fmt.Sprint(i)
			require.NoError(t, l.Update(in))
			refs = append(refs, weak.Make(s.Snapshot()))
		}
		for range 3 {
			runtime.GC()
		}
		kept := 0
		for _, ref := range refs {
			if ref.Value() != nil {
				kept++
			}
		}
		assert.Equal(t, 1, kept, "the present one, and none of those in between")
		assert.NotNil(t, first.Value(), "what the delta is made from")
	}
	assert.Zero(t, r.Stats().Watchers)
}

// The loop ends with one pair; break frees the watcher at once, and so do a
// return, a panic and Goexit.
func TestG18_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		s := r.Service("orders")
		register(t, r, instance("a"))
		pairs := func(ctx context.Context) <-chan []error {
			ch := make(chan []error, 1)
			go func() {
				var all []error
				for u, err := range s.Watch(ctx) {
					if err != nil {
						assert.Equal(t, registry.Update{}, u)
					}
					all = append(all, err)
				}
				ch <- all
			}()
			synctest.Wait()
			return ch
		}
		ctx, cancel := context.WithCancelCause(bg)
		cause := errors.New("enough")
		cancelled, closing := pairs(ctx), pairs(bg)
		assert.Equal(t, 2, r.Stats().Watchers)
		cancel(cause)
		assert.Equal(t, []error{nil, cause}, received(t, cancelled))
		assert.Equal(t, []error{cause}, received(t, pairs(ctx)), "a context that has ended")
		assert.Equal(t, 1, r.Stats().Watchers)

		require.NoError(t, firstError(s, bg))
		assert.Panics(t, func() {
			for _, err := range s.Watch(bg) {
				panic(err)
			}
		})
		go func() {
			for _, err := range s.Watch(bg) {
				assert.NoError(t, err)
				runtime.Goexit()
			}
		}()
		synctest.Wait()
		assert.Equal(t, 1, r.Stats().Watchers)

		require.NoError(t, r.Close(bg))
		all := received(t, closing)
		require.Len(t, all, 2)
		require.ErrorIs(t, all[1], registry.ErrClosed)
		all = received(t, pairs(bg))
		require.Len(t, all, 1)
		require.ErrorIs(t, all[0], registry.ErrClosed)
		assert.Zero(t, r.Stats().Watchers)
	})
}

// Of an end and a change at once the end counts, and one loop can be run again.
func TestG18_CancelledAmongChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		seq := r.Service("orders").Watch(t.Context())
		for range 2 {
			n := 0
			for u, err := range seq {
				require.NoError(t, err)
				assert.Equal(t, n == 0, u.Reset)
				if n++; n == 2 {
					break
				}
				register(t, r, v2withID(fmt.Sprint(r.Stats().Index)))
			}
		}
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		n := 0
		for _, err := range r.Service("orders").Watch(ctx) {
			if n++; n == 1 {
				register(t, r, instance("b"))
				cancel()
				continue
			}
			require.ErrorIs(t, err, context.Canceled)
		}
		assert.Equal(t, 2, n)
	})
}

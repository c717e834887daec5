package main

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
)

func newWatch(out io.Writer) *watch {
	return &watch{log: newTimeline(out), names: map[string]string{"10.0.0.1:80": "a"}}
}

// kinds are what the events are about.
func kinds(events []event) []what {
	var all []what
	for _, e := range events {
		all = append(all, e.what)
	}
	return all
}

// What a registry tells its hook, of instances that come to different ends.
func TestWatch_change(t *testing.T) {
	for _, tc := range []struct {
		name string
		life func(t *testing.T, r *registry.Registry, l *registry.Lease)
		want []what
	}{
		{"expired", func(*testing.T, *registry.Registry, *registry.Lease) { time.Sleep(2 * time.Second) }, []what{joined, expired}},
		{"drained", func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.Drain(t.Context()))
		}, []what{joined, isDraining, drained}},
		{"deregistered", func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.Deregister())
		}, []what{joined, removed}},
		{"ill for a while", func(t *testing.T, _ *registry.Registry, l *registry.Lease) {
			require.NoError(t, l.SetHealth(registry.Warning, "so so"))
			require.NoError(t, l.SetHealth(registry.Critical, "too bad"))
			require.NoError(t, l.SetHealth(registry.Critical, "too bad still"))
			require.NoError(t, l.SetHealth(registry.Passing, ""))
		}, []what{joined, critical, recovered}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatch(io.Discard)
				r := registry.MustNew(registry.Config{Hooks: registry.Hooks{Change: w.change}})
				l, err := r.Register(t.Context(), registry.Instance{ID: "a", Service: service, Addr: "10.0.0.1:80", TTL: time.Second})
				require.NoError(t, err)
				tc.life(t, r, l)
				synctest.Wait()
				events := w.take()
				assert.Equal(t, tc.want, kinds(events))
				for _, e := range events {
					assert.Equal(t, "a", e.id)
				}
				assert.Empty(t, w.take(), "taken")
				assert.NoError(t, r.Close(t.Context()))
			})
		})
	}
}

// Calls and picks are those at the time of the event.
func TestWatch_calls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatch(io.Discard)
		r := registry.MustNew(registry.Config{Hooks: registry.Hooks{Change: w.change}})
		l, err := r.Register(t.Context(), registry.Instance{ID: "a", Service: service, Addr: "10.0.0.1:80"})
		require.NoError(t, err)
		live := l.Endpoint().Live()
		for range 3 {
			require.True(t, live.Acquire(registry.Passing))
		}
		live.Release()
		done := make(chan error)
		go func() { done <- l.Drain(t.Context()) }()
		synctest.Wait()
		live.Release()
		live.Release()
		require.NoError(t, <-done)

		events := w.take()[1:]
		require.Len(t, events, 2)
		assert.Equal(t, []int{2, 0}, []int{events[0].calls, events[1].calls})
		assert.Equal(t, []uint64{3, 3}, []uint64{events[0].picks, events[1].picks})
		assert.NoError(t, r.Close(t.Context()))
	})
}

func TestWatch_transition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := newWatch(&out)
		b := breaker.MustNew("10.0.0.1:80", breaker.Config{
			Trip: breaker.ConsecutiveFailures(1), CloseAfter: 1, Hooks: breaker.Hooks{Transition: w.transition},
		})
		call := func(err error) {
			p, refused := b.Allow(t.Context())
			require.NoError(t, refused)
			p.Done(err)
		}
		call(errors.Join(io.EOF))
		time.Sleep(time.Minute)
		call(nil)
		b.ForceOpen(nil) // nothing that happens here
		b.Reset()
		assert.Equal(t, []what{opened, halfOpened, closed, closed}, kinds(w.take()))
		assert.Contains(t, out.String(), " 0.00s      a breaker open (failures: EOF)\n60.00s      a breaker half-open\n60.00s      a breaker closed\n")

		b.Trip(0, nil)
		assert.Equal(t, "trip", w.take()[0].note, "without a cause")
	})
}

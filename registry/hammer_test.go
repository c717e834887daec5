package registry_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// rounds is how often something is tried that goes wrong, if it does, only when two
// goroutines meet in a moment of a few nanoseconds.
func rounds() int {
	if raceEnabled {
		return 500 // the detector is slow, and looks for other things
	}
	return 5_000
}

// G14: a Drain that has returned has removed the instance, whoever of several
// callers it was that did.
func TestG14_DrainedIsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen atomic.Int64
		for range rounds() {
			r := newRegistry(t, registry.Config{DrainGrace: time.Millisecond})
			l := register(t, r, instance("a"))
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					if l.Drain(t.Context()) == nil && r.Service("orders").Snapshot().Len() > 0 {
						seen.Add(1)
					}
				})
			}
			all.Wait()
		}
		assert.Zero(t, seen.Load())
	})
}

// G8: who is told that a lease is lost can see why.
func TestG8_LostIsShown(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	seen := 0
	for range rounds() {
		l := register(t, r, leased("a", time.Hour))
		generation := l.Endpoint().Generation()
		var all sync.WaitGroup
		all.Go(func() {
			for l.Renew() == nil {
				continue
			}
			if e, ok := r.Service("orders").Get("a"); ok && e.Generation() == generation {
				seen++
			}
		})
		for range 100 {
			_ = r.Service("orders").Snapshot()
		}
		require.NoError(t, l.Deregister())
		all.Wait()
	}
	assert.Zero(t, seen)
}

// G9: nobody sees an instance with a term that is over, also if it was over when it
// began: its new TTL counts from a renewal long ago.
func TestG9_UpdateIsOverAtOnce(t *testing.T) {
	seen := 0
	for range rounds() {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk, Preserve: registry.Preserve{MaxEvict: -1}})
		l := register(t, r, leased("a", 10*time.Millisecond))
		clk.sleep(5 * time.Millisecond)
		var all sync.WaitGroup
		all.Go(func() {
			for {
				e, ok := r.Service("orders").Get("a")
				if ok && e.Instance().TTL == time.Millisecond {
					seen++
				}
				if !ok {
					return
				}
			}
		})
		_ = l.Update(leased("a", time.Millisecond)) // it may find the lease lost
		all.Wait()
	}
	assert.Zero(t, seen)
}

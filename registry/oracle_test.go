package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// G17: many watchers, some of them slow, paused or cancelled again and again,
// beside many writers. Replaying the deltas of each gives every snapshot it was
// given, and the last one is the end. With MAINSTAY_DEEP set there are a million
// mutations.
func TestWatchOracle(t *testing.T) {
	for name, c := range map[string]struct{ base, ids, mutations int }{
		"a page":     {0, 50, 20_000},
		"many pages": {5_000, 500, 2_000},
	} {
		t.Run(name, func(t *testing.T) {
			switch {
			case os.Getenv("MAINSTAY_DEEP") != "":
				c.mutations *= 50
			case raceEnabled:
				c.mutations /= 5
			}
			oracle(t, c.base, c.ids, c.mutations)
		})
	}
}

func oracle(t *testing.T, base, ids, mutations int) {
	t.Helper()
	const writers, watchers = 4, 32
	r := newRegistry(t, registry.Config{})
	s := r.Service("orders")
	if base > 0 {
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(base, -1)...)
		require.NoError(t, err)
	}
	gate := make(chan struct{})
	ended := func(snap *registry.Snapshot) bool { _, ok := snap.Get("~end"); return ok }
	var updates, loops atomic.Int64
	var watching, writing sync.WaitGroup
	for i := range watchers {
		watching.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(i), 1))
			for {
				ctx, cancel := context.WithCancel(bg)
				rep, left := newReplay(t), 1+rnd.IntN(50)
				if i%4 == 3 && loops.Load() <= watchers {
					left = 1 // on a slow machine there are few updates, and some loop has to be cancelled
				}
				loops.Add(1)
				for u, err := range s.Watch(ctx) {
					if err != nil {
						assert.ErrorIs(t, err, context.Canceled)
						break
					}
					updates.Add(1)
					if !rep.apply(u) || ended(u.Snapshot) {
						cancel()
						return
					}
					switch i % 4 {
					case 1: // slow
						for range rnd.IntN(1000) {
							runtime.Gosched()
						}
					case 2: // paused, up to the end of all writing
						if left--; left == 0 {
							<-gate
						}
					case 3: // cancelled, and another loop
						if left--; left == 0 {
							cancel()
						}
					default:
						runtime.Gosched()
					}
				}
				cancel()
			}
		})
	}
	for w := range writers {
		writing.Go(func() { mutate(t, r, w, ids/writers, mutations/writers) })
	}
	writing.Wait()
	close(gate)
	register(t, r, instance("~end"))
	watching.Wait()
	assert.Zero(t, r.Stats().Watchers)
	assert.Greater(t, updates.Load(), int64(watchers))
	assert.Greater(t, loops.Load(), int64(watchers))
}

// mutate changes instances of its own at random.
func mutate(t *testing.T, r *registry.Registry, writer, ids, n int) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(uint64(writer), 2))
	leases := make(map[string]*registry.Lease)
	for i := range n {
		id := fmt.Sprint("w", writer, " ", rnd.IntN(ids))
		in := instance(id)
		in.Version = fmt.Sprint(i)
		var err error
		switch l := leases[id]; {
		case l == nil:
			leases[id], err = r.Register(bg, in)
		case i%5 == 0:
			err = l.Update(in)
		case i%5 == 1:
			err = l.SetHealth(registry.Health(1+rnd.IntN(3)), "")
		case i%5 == 2: // another generation, of equal content
			leases[id], err = r.Register(bg, l.Endpoint().Instance())
		case i%5 == 3:
			leases[id], err = r.Register(bg, in)
		default:
			delete(leases, id)
			err = l.Deregister()
		}
		if !assert.NoError(t, err) {
			return
		}
		if i%16 == 0 {
			runtime.Gosched()
		}
	}
}

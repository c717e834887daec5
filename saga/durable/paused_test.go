package durable_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// pauseSize is how many seeds there are.
func pauseSize() uint64 {
	switch {
	case raceEnabled:
		return 100
	case testing.Short():
		return 300
	case os.Getenv("MAINSTAY_DEEP") != "":
		return 200_000
	}
	return 10_000
}

// G36: 3 to 16 engines share a store, and each of them stands still again and again, for
// up to ten times as long as a lease lasts. No write of one whose run it is not any more
// is accepted, and what the runs have done in the end is lawful.
func TestG36_PausedWorkers(t *testing.T) {
	var stale, late, claims atomic.Int64
	t.Run("all", func(t *testing.T) {
		const shards = 4
		for shard := range uint64(shards) {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for seed := shard; seed < pauseSize() && !t.Failed(); seed += shards {
					synctest.Test(t, func(t *testing.T) {
						u, c := paused(t, seed)
						stale.Add(int64(u.stale))
						late.Add(int64(c.late))
						for _, epoch := range u.epochs {
							claims.Add(int64(epoch - 1))
						}
					})
				}
			})
		}
	})
	t.Logf("%d stale writes, all rejected; %d effects that came late; %d claims", stale.Load(), late.Load(), claims.Load())
	assert.Greater(t, stale.Load(), int64(pauseSize()/10))
	assert.Greater(t, late.Load(), int64(pauseSize()/10))
}

func paused(t *testing.T, seed uint64) (*umpire, *counter) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 5))
	u := &umpire{MemoryStore: &durable.MemoryStore{}, epochs: map[string]uint64{}, owners: map[string]int{}}
	c := &counter{had: map[string]bool{}, random: rand.New(rand.NewPCG(seed, 6))}
	def := c.define(random)
	over := make(chan struct{})
	var engines []*durable.Engine
	var workers sync.WaitGroup
	for n := range 3 + random.IntN(14) {
		w := &worker{umpire: u, n: n}
		e, err := durable.Open(w, durable.Config{Lease: ttl, Poll: ttl, Retain: -1, MaxCrashes: -1, Clock: w, Around: w.around})
		require.NoError(t, err)
		require.NoError(t, durable.Register(e, def))
		engines = append(engines, e)
		own := rand.New(rand.NewPCG(seed, uint64(100+n)))
		workers.Go(func() {
			for {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(own.Int64N(int64(2 * ttl)))):
				}
				w.pause(time.Duration(own.Int64N(int64(10 * ttl))))
			}
		})
	}
	var all []string
	for i := range 1 + random.IntN(3) {
		id := fmt.Sprint("r", i)
		_, err := durable.Start(t.Context(), engines[random.IntN(len(engines))], def, id, order{})
		require.NoError(t, err)
		all = append(all, id)
	}
	ends := idle(t, u, all)
	close(over)
	workers.Wait()
	broken := u.broken
	for _, id := range all {
		rec := seen(t, engines[0], id)
		status, ended := ends[id]
		if !ended {
			broken = append(broken, id+" does not end")
		}
		broken = append(broken, c.wrong(id, status)...)
		if err := sagatest.CheckLaw(def.Plan(), rec); err != nil {
			broken = append(broken, err.Error())
		}
	}
	for _, e := range engines {
		seal(t, e)
	}
	require.Empty(t, broken, "seed %d\n%s\n%v", seed, def.Mermaid(), strings.Join(c.log, ", "))
	return u, c
}

// define makes a saga of two to five steps: some whose answer is lost, perhaps a group,
// a pivot, or an end that is refused.
func (c *counter) define(random *rand.Rand) *saga.Saga[order] {
	var steps []saga.Step[order]
	one := func(name string) saga.Step[order] {
		if random.IntN(3) == 0 {
			return c.step(name, errLost)
		}
		return c.step(name, nil)
	}
	for i := range 2 + random.IntN(2) {
		steps = append(steps, one(fmt.Sprint("s", i)))
	}
	switch random.IntN(3) {
	case 0:
		x, y := one("x"), one("y")
		x.Merge, y.Merge = saga.NoMerge[order], saga.NoMerge[order]
		steps = append(steps, saga.Step[order]{Name: "g", Parallel: []saga.Step[order]{x, y}})
	case 1:
		s := saga.Sub(saga.Step[order]{Name: "in"}, saga.MustNew("in", []saga.Step[order]{one("x"), one("y")}), func(o *order) order { return *o }, nil)
		steps = append(steps, s)
	}
	switch random.IntN(3) {
	case 0:
		steps = append(steps, c.step("no", errRefused))
	case 1:
		p := one("p")
		p.Pivot, p.Undo, p.UndoRetry = true, nil, saga.Retry{}
		steps = append(steps, p)
	}
	return saga.MustNewWith(saga.Spec[order]{Name: "checkout", Steps: steps, Clone: wound})
}

package durable_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// G35, G38: a saga that kills the process in its step is parked after so many deaths.
// All others are executed as if it were not there, those too that were under way when
// it did, and from then on nothing dies any more.
func TestG35_PoisonSaga(t *testing.T) {
	for name, tt := range map[string]struct{ max, deaths int }{
		"two": {2, 2}, "default": {0, 3}, "five": {5, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, c := &durable.MemoryStore{}, &counter{had: map[string]bool{}}
				var ids []string
				died := 0
				for ; ; died++ {
					require.LessOrEqual(t, died, tt.deaths, "it dies again and again")
					if !poisoned(t, store, c, tt.max, died, &ids) {
						break
					}
				}
				assert.Equal(t, tt.deaths, died)
				e := ignite(t, store, durable.Config{}, c.good())
				for _, id := range ids {
					assert.Equal(t, saga.Completed, seen(t, e, id).Head.Status, id)
					assert.Empty(t, c.wrong(id, saga.Completed), id)
				}
				h := seen(t, e, "poison").Head
				assert.Equal(t, saga.Stuck, h.Status)
				assert.Equal(t, saga.ReasonCrashLoop, h.Reason)
				assert.Equal(t, "kills", h.Step)
				seal(t, e)
			})
		})
	}
}

// good is a saga of three steps of a second each.
func (c *counter) good() *saga.Saga[order] {
	step := func(name string) saga.Step[order] {
		return saga.Step[order]{Name: name, Do: func(ctx context.Context, _ *order) error {
			time.Sleep(time.Second)
			info := saga.Info(ctx)
			c.mu.Lock()
			defer c.mu.Unlock()
			if !c.had[info.Key] {
				c.had[info.Key] = true
				c.log = append(c.log, info.Run+" "+info.Step)
			}
			return nil
		}}
	}
	return define("checkout", step("a"), step("b"), step("c"))
}

// poisoned is the life of a process that executes the poison saga, and others: some from
// its beginning on, some that it has just begun when it dies. It reports whether it died.
func poisoned(t *testing.T, store *durable.MemoryStore, c *counter, maxCrashes, life int, ids *[]string) bool {
	t.Helper()
	r := &reaper{MemoryStore: store, dead: make(chan struct{})}
	time.Sleep(time.Minute) // until all leases are over: who is claimed just ahead of a death again and again is parked, too
	good, def := c.good(), r.poison()
	e := ignite(t, r, durable.Config{MaxCrashes: maxCrashes}, good)
	require.NoError(t, durable.Register(e, def))
	_, err := durable.Start(t.Context(), e, def, "poison", order{})
	require.NoError(t, err)
	start := func(n int) {
		for i := range n {
			id := fmt.Sprintf("%d.%d.%d", life, n, i)
			_, err := durable.Start(t.Context(), e, good, id, order{})
			require.NoError(t, err)
			*ids = append(*ids, id)
		}
	}
	start(10)
	time.Sleep(3500 * time.Millisecond)
	if !r.isOver() {
		start(11)
	}
	select {
	case <-r.dead:
	case <-time.After(3 * time.Hour):
	}
	halt(t, e)
	return r.isOver()
}

// poison is a saga of which a step takes five seconds to kill the process.
func (r *reaper) poison() *saga.Saga[order] {
	return define("poison", say("a"), saga.Step[order]{Name: "kills", Do: func(ctx context.Context, _ *order) error {
		time.Sleep(5 * time.Second)
		r.mu.Lock()
		if !r.over {
			r.dies()
		}
		r.mu.Unlock()
		<-ctx.Done()
		return context.Cause(ctx)
	}})
}

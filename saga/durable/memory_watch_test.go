package durable_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// G47: hints come when something is due earlier than was told, and not else.
func TestG47_memoryHints(t *testing.T) {
	c := newMemoryClock(memoryEpoch)
	s := &durable.MemoryStore{Clock: c}
	hints, err := s.Watch(t.Context())
	require.NoError(t, err)
	for _, step := range []struct {
		what string
		do   func()
		told bool
	}{
		{"one that sleeps", func() { memoryCreate(t, s, memoryEpoch.Add(time.Minute), "a") }, true},
		{"one that sleeps longer", func() { memoryCreate(t, s, memoryEpoch.Add(time.Hour), "b") }, false},
		{"one that sleeps less long", func() { memoryCreate(t, s, memoryEpoch.Add(time.Second), "c") }, true},
		{"one that waits for a signal", func() { memoryCreate(t, s, time.Time{}, "d") }, false},
		{"a signal", func() { memoryAppend(t, s, "d", 0, func(h *durable.Head) { h.WakeAt = memoryEpoch }) }, true},
		{"an event for one that is due", func() { memoryAppend(t, s, "d", 0, func(*durable.Head) {}) }, false},
		{"the end of a lease", func() { memoryClaim(t, s, time.Minute, 1) }, true},
		{"a renewal", func() { memoryAppend(t, s, "d", time.Minute, func(*durable.Head) {}) }, false},
		{"a later renewal", func() {
			c.pass(100 * time.Millisecond)
			memoryAppend(t, s, "d", time.Minute, func(*durable.Head) {})
		}, false},
		{"a shorter lease", func() { memoryAppend(t, s, "d", time.Millisecond, func(*durable.Head) {}) }, true},
		{"an endless lease", func() { memoryAppend(t, s, "d", -1, func(*durable.Head) {}) }, false},
		{"a release", func() { memoryAppend(t, s, "d", 0, func(h *durable.Head) { h.Owner = "" }) }, true},
		{"the end of a run", func() { memoryAppend(t, s, "d", 0, func(h *durable.Head) { h.Status = saga.Completed }) }, false},
		{"another saga", func() {
			h := memoryHead("e", memoryEpoch.Add(2*time.Hour))
			h.Saga = "refund"
			require.NoError(t, s.Create(t.Context(), h, 0, nil))
		}, true},
		{"time", func() { c.pass(time.Minute) }, false},
		{"claims of all", func() { memoryClaim(t, s, -1, 10) }, false},
		{"two at once", func() {
			memoryCreate(t, s, memoryEpoch.Add(-time.Second), "f")
			memoryCreate(t, s, memoryEpoch.Add(-time.Minute), "g")
		}, true},
	} {
		step.do()
		assert.Equal(t, step.told, memoryTold(hints), step.what)
		assert.False(t, memoryTold(hints), "%s: one hint", step.what)
	}
}

// G47: a channel is forgotten when its context ends, is not closed, and nobody
// waits for one that does not listen.
func TestG47_memoryWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(durable.MemoryStore)
		ctx, cancel := context.WithCancel(t.Context())
		left, err := s.Watch(ctx)
		require.NoError(t, err)
		stays, err := s.Watch(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 2, durable.MemoryWatchers(s))
		for i := range 10 {
			memoryCreate(t, s, memoryEpoch.Add(-time.Duration(i)*time.Hour), fmt.Sprint(i))
		}
		assert.True(t, memoryTold(left))
		cancel()
		synctest.Wait()
		assert.Equal(t, 1, durable.MemoryWatchers(s))
		memoryCreate(t, s, memoryEpoch.Add(-time.Hour*24), "early")
		assert.False(t, memoryTold(left))
		assert.True(t, memoryTold(stays))
	})
}

// G47: an engine that sleeps as long as next says, unless there is a hint, is never
// late, whoever writes.
func TestG47_memoryNothingIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(durable.MemoryStore)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var mu sync.Mutex
		woke := make(map[string]time.Time)
		for range 2 {
			hints, err := s.Watch(ctx)
			require.NoError(t, err)
			wg.Go(func() {
				for ctx.Err() == nil {
					heads, next, err := s.Claim(ctx, durable.ClaimRequest{Owner: "me", TTL: -1, Limit: 3, Sagas: []string{"checkout"}})
					if err != nil {
						return
					}
					mu.Lock()
					for _, h := range heads {
						woke[h.ID] = time.Now()
					}
					mu.Unlock()
					var over <-chan time.Time
					if next >= 0 {
						over = time.After(next)
					}
					select {
					case <-hints:
					case <-over:
					case <-ctx.Done():
					}
				}
			})
		}
		want := make(map[string]time.Time)
		for i := range 500 {
			at := time.Now().Add(time.Duration(i*7919%1000) * time.Millisecond)
			h := memoryHead(fmt.Sprint(i), at)
			ttl := time.Duration(0)
			if i%3 == 0 {
				h.Owner, ttl = "dead", time.Duration(i*104729%1500)*time.Millisecond+1
				at = time.Now().Add(max(ttl, time.Until(at)))
			}
			assert.NoError(t, s.Create(ctx, h, ttl, nil))
			want[h.ID] = at
			time.Sleep(time.Duration(i%5) * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		cancel()
		wg.Wait()
		assert.Equal(t, want, woke)
	})
}

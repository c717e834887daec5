package durable_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

var (
	_ durable.Store   = (*durable.MemoryStore)(nil)
	_ durable.Watcher = (*durable.MemoryStore)(nil)
)

// memoryEpoch is where the clocks of these tests begin.
var memoryEpoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// A memoryClock has a wall time that can be set, besides the time that passes.
type memoryClock struct {
	mu     sync.Mutex
	wall   time.Time
	passed time.Duration // since it was made, by which Since goes
	set    map[time.Time]time.Duration
}

func newMemoryClock(wall time.Time) *memoryClock {
	return &memoryClock{wall: wall, set: make(map[time.Time]time.Duration)}
}

// Now remembers what it returns, as the monotonic reading of a time.Time does.
func (c *memoryClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set[c.wall] = c.passed
	return c.wall
}

func (c *memoryClock) Since(t time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passed - c.set[t]
}

func (c *memoryClock) AfterFunc(time.Duration, func()) *clock.Timer { panic("a store has no timers") }

// pass lets time pass.
func (c *memoryClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall, c.passed = c.wall.Add(d), c.passed+d
}

// jump sets the wall time.
func (c *memoryClock) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall = c.wall.Add(d)
}

// memoryHead is that of a run of "checkout" that wakes at an instant.
func memoryHead(id string, wake time.Time) durable.Head {
	return durable.Head{ID: id, Saga: "checkout", Status: saga.Waiting, WakeAt: wake}
}

// memoryCreate creates runs that wake one after the other.
func memoryCreate(tb testing.TB, s durable.Store, wake time.Time, ids ...string) {
	tb.Helper()
	for i, id := range ids {
		require.NoError(tb, s.Create(context.Background(), memoryHead(id, wake.Add(time.Duration(i)*time.Second)), 0, nil))
	}
}

// memoryAppend changes a run at whatever Rev it is.
func memoryAppend(tb testing.TB, s durable.Store, id string, ttl time.Duration, change func(h *durable.Head)) durable.Head {
	tb.Helper()
	h, _, err := s.Load(context.Background(), id)
	require.NoError(tb, err)
	change(&h)
	require.NoError(tb, s.Append(context.Background(), h.Rev, h, ttl, nil))
	h, _, err = s.Load(context.Background(), id)
	require.NoError(tb, err)
	return h
}

// memoryClaim claims runs of "checkout", and returns their IDs.
func memoryClaim(tb testing.TB, s durable.Store, ttl time.Duration, limit int) (ids []string, next time.Duration) {
	tb.Helper()
	heads, next, err := s.Claim(context.Background(), durable.ClaimRequest{Owner: "me", TTL: ttl, Limit: limit, Sagas: []string{"checkout"}})
	require.NoError(tb, err)
	return memoryIDs(heads), next
}

func memoryIDs(heads []durable.Head) (ids []string) {
	for _, h := range heads {
		ids = append(ids, h.ID)
	}
	return ids
}

// memoryTold reports whether there is a hint.
func memoryTold(hints <-chan struct{}) bool {
	select {
	case <-hints:
		return true
	default:
		return false
	}
}

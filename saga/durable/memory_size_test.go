package durable_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// memoryFilled is a store with runs as an engine leaves them when they wait: two
// records of their journal, and two labels.
func memoryFilled(tb testing.TB, runs int) *durable.MemoryStore {
	tb.Helper()
	s := new(durable.MemoryStore)
	event := make([]byte, 120)
	for i := range runs {
		h := durable.Head{
			ID: fmt.Sprintf("order-%010d", i), Saga: "checkout", Fingerprint: "4f1d2c", Step: "approve", Status: saga.Running, Owner: "host/abcdef",
			WakeAt: memoryEpoch, CreatedAt: memoryEpoch, UpdatedAt: memoryEpoch,
			Labels: map[string]string{"tenant": "acme", "traceparent": fmt.Sprintf("00-%032d-%016d-01", i, i)},
		}
		require.NoError(tb, s.Create(context.Background(), h, time.Minute, [][]byte{event}))
		h.Status, h.Owner, h.WakeAt = saga.Waiting, "", memoryEpoch.Add(time.Duration(i*7919%runs)*time.Second)
		require.NoError(tb, s.Append(context.Background(), 1, h, 0, [][]byte{event}))
	}
	return s
}

func memoryInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A waiting run takes less than 1 KiB, at the worst moment too: when what grows by
// doubling has just grown.
func TestMemoryOfWaitingRuns(t *testing.T) {
	if raceEnabled {
		return // the detector takes memory too; the same test runs without it
	}
	for _, runs := range []int{50_000, 60_000, 70_000} {
		before := memoryInUse()
		s := memoryFilled(t, runs)
		each := (memoryInUse() - before) / uint64(runs)
		assert.Less(t, each, uint64(1024), "%d runs", runs)
		assert.Greater(t, each, uint64(256), "%d runs: this is not what they take", runs)
		runtime.KeepAlive(s)
	}
}

// BenchmarkMemoryStoreWaiting tells what a million waiting runs take.
func BenchmarkMemoryStoreWaiting(b *testing.B) {
	const runs = 1_000_000
	for b.Loop() {
		before := memoryInUse()
		s := memoryFilled(b, runs)
		b.ReportMetric(float64(memoryInUse()-before)/runs, "B/run")
		runtime.KeepAlive(s)
	}
}

// BenchmarkMemoryStoreWake claims a run and puts it to sleep again, among others
// that sleep.
func BenchmarkMemoryStoreWake(b *testing.B) {
	for _, runs := range []int{1000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(runs), func(b *testing.B) {
			c := newMemoryClock(memoryEpoch)
			s := memoryFilled(b, runs)
			s.Clock = c
			ctx := context.Background()
			req := durable.ClaimRequest{Owner: "me", TTL: time.Minute, Limit: 1, Sagas: []string{"checkout"}}
			b.ReportAllocs()
			for b.Loop() {
				heads, next, err := s.Claim(ctx, req)
				if err != nil {
					b.Fatal(err)
				}
				if len(heads) == 0 {
					c.wall = c.wall.Add(next)
					continue
				}
				h := heads[0]
				h.Owner, h.WakeAt = "", h.WakeAt.Add(time.Duration(runs)*time.Second)
				if err := s.Append(ctx, h.Rev, h, 0, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

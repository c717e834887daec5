package eventbusbench

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

func TestSumOf(t *testing.T) {
	sum := int64(0)
	for n := range 3 * distinct {
		require.Equal(t, sum, sumOf(n), n)
		sum += small.data[n%distinct]
	}
	assert.Equal(t, small.data[distinct-1], large.data[distinct-1][15])
}

func TestSizesOfData(t *testing.T) {
	assert.EqualValues(t, 8, unsafe.Sizeof(small.data[0]))
	assert.EqualValues(t, 128, unsafe.Sizeof(large.data[0]))
	assert.GreaterOrEqual(t, unsafe.Sizeof(tally{}), uintptr(128), "no two share a cache line")
}

// A fault is a bus that does not do what it says.
type fault func(n int, handlers []handler[int64], data *[distinct]int64)

func faulty(do fault) maker[int64] {
	return func(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
		var mu sync.Mutex
		return func(n int) (failed int) {
			mu.Lock()
			defer mu.Unlock()
			do(n, handlers, data)
			return 0
		}, func() {}
	}
}

// Losing an event, handling one twice, or one instead of another is found out.
func TestFaultsAreFound(t *testing.T) {
	loses := faulty(func(n int, handlers []handler[int64], data *[distinct]int64) {
		for i := range n {
			for j, fn := range handlers {
				if i == n/2 && j == 1 {
					continue
				}
				must(fn(background, data[i%distinct]))
			}
		}
	})
	repeats := faulty(func(n int, handlers []handler[int64], data *[distinct]int64) {
		for i := range n {
			for j, fn := range handlers {
				must(fn(background, data[i%distinct]))
				if i == n-1 && j == 1 {
					must(fn(background, data[i%distinct]))
				}
			}
		}
	})
	mistakes := faulty(func(n int, handlers []handler[int64], data *[distinct]int64) {
		for range n {
			for _, fn := range handlers {
				must(fn(background, data[0]))
			}
		}
	})
	for name, test := range map[string]struct {
		set  maker[int64]
		want string
	}{
		"loses":    {loses, "of 50 operations 0 passed"},
		"repeats":  {repeats, "handled 51 events"},
		"mistakes": {mistakes, "of sum 50000, not 50 of sum"},
	} {
		synctest.Test(t, func(t *testing.T) {
			assert.ErrorContains(t, bench.Try(delivery(name, 3, small, test.set), 50), test.want)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		assert.ErrorContains(t, bench.Try(latency("loses", 3, small, loses), 5), "of 5 operations 0 passed")
		assert.ErrorContains(t, bench.Try(contended("loses", 2, 3, small, loses), 50), "of 50 operations 0 passed")
	})
}

// A publish that is refused is no delivery.
func TestRefusalsAreFound(t *testing.T) {
	refuses := func(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
		publish, closing := functionLoop(data, handlers)
		return func(n int) int { return publish(n) + 1 }, closing
	}
	assert.ErrorContains(t, bench.Try(delivery("refuses", 1, small, refuses), 5), "1 failed")
	assert.ErrorContains(t, bench.Try(latency("refuses", 1, small, refuses), 5), "5 failed")
}

// A subscription that is still there after its Cancel is found out, and one that
// is gone though nobody cancelled it.
func TestFaultyMembershipsAreFound(t *testing.T) {
	stays := func(data *[distinct]int64, handlers []handler[int64]) membership {
		m := copiedList(data, handlers)
		m.change = func(fn handler[int64]) error {
			handlers = append(handlers, fn)
			return nil
		}
		m.publish = func(n int) (failed int) {
			for _, fn := range handlers {
				_ = fn(background, data[0])
			}
			return 0
		}
		return m
	}
	assert.ErrorContains(t, bench.Try(changes("stays", 3, stays), 1), "had been cancelled")
	synctest.Test(t, func(t *testing.T) {
		goes := func(data *[distinct]int64, handlers []handler[int64]) membership {
			return copiedList(data, handlers[1:])
		}
		assert.ErrorContains(t, bench.Try(changes("goes", 3, goes), 1), "did not reach all")
	})
}

// Latency ends with the last handler, not with the first or with the publisher,
// and pauses are none of it.
func TestLatencyIsThatOfTheLastHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
			for i, fn := range handlers {
				handlers[i] = func(ctx context.Context, v int64) error {
					time.Sleep(time.Duration(i+1) * time.Microsecond)
					return fn(ctx, v)
				}
			}
			publish, closing := channels[int64](capacity)(data, handlers)
			return func(n int) int {
				defer time.Sleep(time.Millisecond)
				return publish(n)
			}, closing
		}
		run := latency("slow", 5, small, slow).New()
		defer run.Close()
		took := make([]time.Duration, 3)
		passed, failed := run.Laps(took)
		assert.Equal(t, []int{3, 0}, []int{passed, failed})
		for _, d := range took {
			assert.Equal(t, 5*time.Microsecond, d)
		}
	})
}

// Publishers publish at the same time, and all of them their share.
func TestContendedPublishersAreSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls, at atomic.Int64
		together := func(data *[distinct]int64, handlers []handler[int64]) (feed, func()) {
			publish, closing := oursQueued(data, handlers)
			return func(n int) int {
				calls.Add(1)
				assert.Equal(t, 10, n)
				time.Sleep(time.Second)
				at.Store(time.Now().UnixNano())
				return publish(n)
			}, closing
		}
		began := time.Now()
		require.NoError(t, bench.Try(contended("together", 8, 2, small, together), 80))
		assert.EqualValues(t, 8, calls.Load())
		assert.Equal(t, began.Add(time.Second).UnixNano(), at.Load())
	})
}

// watermill keeps a goroutine for every message that is not acknowledged.
func TestWatermillAcknowledges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := delivery("watermill", 3, small, watermill).New()
		defer run.Close()
		before := runtime.NumGoroutine()
		passed, _ := run.Loop(10)
		synctest.Wait()
		assert.Equal(t, 10, passed)
		assert.Equal(t, before, runtime.NumGoroutine())
	})
}

// An idle bus has no goroutine, whatever topics and queues it has, and one for
// each subscription with a handler; a Sync topic has none.
func TestIdleBusHasNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := runtime.NumGoroutine()
		goroutines := func() int {
			synctest.Wait()
			return runtime.NumGoroutine() - before
		}
		b, queued := ours[int64](eventbus.TopicConfig{}, nil)
		direct := eventbus.MustNewTopic[int64](b, "y", eventbus.TopicConfig{Sync: true})
		got(queued.Queue(background, eventbus.SubscribeConfig[int64]{OnFull: eventbus.DropOldest}))
		got(direct.Subscribe(background, small.count(new(tally))))
		must(queued.Publish(background, 1))
		must(direct.Publish(background, 1))
		assert.Zero(t, goroutines())

		got(queued.Subscribe(background, small.count(new(tally))))
		assert.Equal(t, 1, goroutines())
		ended, cancel := context.WithCancel(background)
		cancel()
		_ = b.Close(ended)
		assert.Zero(t, goroutines())
	})
}

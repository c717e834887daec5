package registry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

func TestS11_AsleepThroughTenThousandChanges(t *testing.T) {
	heap := func() uint64 {
		var m runtime.MemStats
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	r := newRegistry(t, registry.Config{Clock: clock.NewMock()})
	s := r.Service("orders")
	for _, in := range numbered(10, -1) {
		register(t, r, in)
	}
	rep := newReplay(t)
	n := 0
	var before uint64
	for u, err := range s.Watch(bg) {
		require.NoError(t, err)
		require.True(t, rep.apply(u))
		if n++; n == 2 {
			assert.Same(t, s.Snapshot(), u.Snapshot)
			assert.Less(t, int64(heap())-int64(before), int64(64<<10), "memory grew by nothing but the state")
			break
		}
		before = heap()
		for i := range 10_000 {
			in := instance(fmt.Sprint("x", i%20))
			in.Version = fmt.Sprint(i)
			if i%3 == 0 {
				_ = r.Deregister(bg, "orders", in.ID)
			} else {
				register(t, r, in)
			}
		}
	}
	assert.Equal(t, 2, n)
}

func TestS12_CancelledWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Clock: clock.NewMock()})
		register(t, r, instance("a"))
		ctx, cancel := context.WithCancelCause(bg)
		cause := errors.New("enough")
		var ends []<-chan error
		for i := range 10 {
			updates, end := watch(ctx, r.Service([]string{"orders", "absent"}[i%2]))
			received(t, updates)
			ends = append(ends, end)
		}
		cancel(cause)
		for _, end := range ends {
			require.ErrorIs(t, received(t, end), cause)
			_, open := <-end
			assert.False(t, open, "one pair, and the loop is over")
		}
		assert.Zero(t, r.Stats().Watchers)
	}) // fails if a goroutine is left
}

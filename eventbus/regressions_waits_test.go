package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// flushing begins a Flush in a bubble, and returns whether it has returned.
func flushing(t *testing.T, b *eventbus.Bus) func() bool {
	t.Helper()
	over := false
	go func() {
		assert.NoError(t, b.Flush(bg))
		over = true
	}()
	synctest.Wait()
	return func() bool {
		synctest.Wait()
		return over
	}
}

// A Flush does not wait for what was published after it, though a reader takes more
// than one event at once: neither if the first events are not covered, nor if they
// are lost.
func TestRegression_G33_NotForWhatComesLater(t *testing.T) {
	t.Run("From in the future", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{From: 50})
			require.NoError(t, err)
			publish(t, x, ints(1, 50)...)
			flushed := flushing(t, b)
			publish(t, x, ints(51, 60)...)
			e, err := q.Next(bg)
			require.NoError(t, err)
			require.EqualValues(t, 50, e.Seq)
			assert.False(t, flushed())
			_, err = q.Next(bg) // it comes back
			require.NoError(t, err)
			assert.True(t, flushed())
			q.Cancel()
			closed(t, b)
		})
	})
	t.Run("lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
			first, gate := make(chan struct{}), make(chan struct{})
			s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest}, func(_ context.Context, i int) error {
				switch {
				case i == 1:
					<-first
				case i > 990:
					<-gate
				}
				return nil
			})
			require.NoError(t, err)
			publish(t, x, 1)
			synctest.Wait()
			publish(t, x, ints(2, 990)...)
			flushed := flushing(t, b)
			publish(t, x, ints(991, 2000)...) // most of the others are lost
			close(first)
			assert.True(t, flushed())
			assert.NotZero(t, s.Stats().Lagged)
			close(gate)
			closed(t, b)
		})
	})
}

// It notices that what it waits for was lost, also when keys are not at work in
// the order of age.
func TestRegression_G33_WhatWasLostIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[string](t, eventbus.Config{}, eventbus.TopicConfig{})
		gates := map[string]chan struct{}{"a0": make(chan struct{}), "b": make(chan struct{}), "c": make(chan struct{})}
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[string]{
			Workers: 2, Capacity: 3, OnFull: eventbus.DropOldest, Key: func(s string) string { return s[:1] },
		}, func(_ context.Context, s string) error {
			if g := gates[s]; g != nil {
				<-g
			}
			return nil
		})
		require.NoError(t, err)
		publish(t, x, "a0", "a1")
		synctest.Wait()
		flushed := flushing(t, b)
		publish(t, x, "b")
		synctest.Wait()
		publish(t, x, "c")
		close(gates["a0"]) // a1 becomes ready, after c
		assert.False(t, flushed())
		publish(t, x, "d", "e", "f")
		assert.True(t, flushed(), "a1 is lost")
		assert.EqualValues(t, 1, s.Stats().Lagged)
		close(gates["b"])
		close(gates["c"])
		closed(t, b)
	})
}

// A publisher that was let in while it asks a function does not hold up the end of
// a bus that is cut short, though a Queue was disconnected by its event.
func TestRegression_G34_APublisherInAFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, _ := stuck(t, x, eventbus.SubscribeConfig[int]{Capacity: 1})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 2, OnFull: eventbus.Disconnect})
		require.NoError(t, err)
		publish(t, x, 1)
		synctest.Wait()
		publish(t, x, 2)
		go func() { assert.NoError(t, x.Publish(bg, 3)) }()
		synctest.Wait()
		asked := make(chan struct{})
		f, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Filter: func(int) bool { <-asked; return true }}, func(context.Context, int) error { return nil })
		require.NoError(t, err)
		synctest.Wait()
		f.Cancel()
		g.open()
		synctest.Wait()
		require.EqualValues(t, 3, x.Stats().Seq)
		ended, cancel := context.WithCancel(bg)
		cancel()
		require.NoError(t, q.Drain(ended))
		require.NoError(t, b.Close(ended))
		close(asked)
		<-q.Done()
		require.ErrorIs(t, q.Err(), eventbus.ErrFull)
		accounted(t, 2, q.Subscription)
	})
}

// An idle worker makes no room if all that waits is of keys that others are at.
func TestRegression_G27_TheOtherWorkerCannotHelp(t *testing.T) {
	for _, sameKey := range []bool{true, false} {
		t.Run(fmt.Sprint(sameKey), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				var errs []error
				_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{
					Workers: 2, Capacity: 1,
					Key: func(i int) string {
						if sameKey {
							return "k"
						}
						return fmt.Sprint(i)
					},
				}, func(ctx context.Context, i int) error {
					if i == 1 {
						errs = append(errs, x.Publish(ctx, 2), x.Publish(ctx, 3), x.Publish(ctx, 4))
					}
					return nil
				})
				require.NoError(t, err)
				publish(t, x, 1)
				synctest.Wait()
				require.Len(t, errs, 3)
				require.NoError(t, errs[0])
				for _, err := range errs[1:] {
					assert.Equal(t, sameKey, errors.Is(err, eventbus.ErrWouldDeadlock), err)
				}
				closed(t, b)
			})
		})
	}
}

// A worker that becomes idle completes the circle: then it is found by those who
// wait already.
func TestRegression_G27_TheLastWorkerBecomesIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[string](t, eventbus.Config{}, eventbus.TopicConfig{})
		gate := make(chan struct{})
		var found error
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[string]{
			Workers: 2, Capacity: 1, Key: func(s string) string { return s[:1] },
		}, func(ctx context.Context, s string) error {
			switch s {
			case "b":
				<-gate
			case "a1":
				found = errors.Join(x.Publish(ctx, "a2"), x.Publish(ctx, "a3"))
			}
			return nil
		})
		require.NoError(t, err)
		publish(t, x, "b")
		synctest.Wait()
		publish(t, x, "a1")
		synctest.Wait()
		require.NoError(t, found, "b may yet make room")
		assert.Equal(t, 1, x.Stats().Waiting)
		close(gate)
		synctest.Wait()
		require.ErrorIs(t, found, eventbus.ErrWouldDeadlock)
		closed(t, b)
	})
}

// Once on a Sync topic counts the event that it handled, and those before that its
// filter failed at.
func TestRegression_G20_OnceAfterAFilterThatPanicked(t *testing.T) {
	for _, sync := range []bool{true, false} {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: sync})
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Once: true, Filter: func(i int) bool {
			if i == 1 {
				panic(i)
			}
			return true
		}}, func(context.Context, int) error { return nil })
		require.NoError(t, err)
		assert.Equal(t, sync, x.Publish(bg, 1) != nil)
		require.NoError(t, x.Publish(bg, 2))
		<-s.Done()
		assert.EqualValues(t, 1, s.Stats().Failed)
		assert.EqualValues(t, 1, s.Stats().Handled)
		closed(t, b)
	}
}

// A Sync handler that ends the goroutine fails the event, whatever the one before
// it was.
func TestRegression_G19_GoexitAfterAHandlerWithAFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Filter: all}, func(context.Context, int) error { return nil })
		require.NoError(t, err)
		s, err := x.Subscribe(bg, func(context.Context, int) error { runtime.Goexit(); return nil })
		require.NoError(t, err)
		go func() { _ = x.Publish(bg, 1) }()
		synctest.Wait()
		assert.EqualValues(t, 1, s.Stats().Failed)
		assert.Zero(t, s.Stats().Handled)
		closed(t, b)
	})
}

// A handler may return while what it published from other goroutines waits. That
// the circle seems to open while somebody looks at it ends in no panic.
func TestRegression_G35_HandlersThatDoNotWait(t *testing.T) {
	const topics = 6
	hops := int64(300_000)
	if raceEnabled {
		hops = 20_000
	}
	b := eventbus.MustNew(eventbus.Config{})
	var ring [topics]*eventbus.Topic[int]
	for i := range ring {
		ring[i] = eventbus.MustNewTopic[int](b, fmt.Sprint(i), eventbus.TopicConfig{Capacity: 1})
	}
	var flying, done atomic.Int64
	for i := range ring {
		_, err := ring[i].Subscribe(bg, func(ctx context.Context, v int) error {
			done.Add(1)
			for range 2 {
				if flying.Load() > 60 {
					break
				}
				flying.Add(1)
				go func() {
					defer flying.Add(-1)
					_ = ring[(i+1)%topics].Publish(ctx, v)
				}()
			}
			for range rand.IntN(3) {
				runtime.Gosched()
			}
			return nil
		})
		require.NoError(t, err)
	}
	for done.Load() < hops {
		for _, x := range ring {
			_ = x.TryPublish(bg, 1)
		}
		runtime.Gosched()
	}
	ctx, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	assert.NoError(t, b.Close(ctx))
}

package eventbus_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// first is a Filter that passes all, and calls f when it is asked for the first time:
// on the goroutine that subscribes, while the past is being looked at.
func first(f func()) func(int) bool {
	asked := false
	return func(int) bool {
		if !asked {
			asked = true
			f()
		}
		return true
	}
}

// Flush waits for what came while the past was looked at, and for no more.
func TestG33_FlushWhileThePastIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 3})
		publish(t, x, 1, 2, 3)
		gate, flushed := make(chan struct{}), false
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Filter: first(func() {
			publish(t, x, 4)
			go func() {
				assert.NoError(t, b.Flush(bg))
				flushed = true
			}()
			synctest.Wait()
		})}, func(_ context.Context, i int) error {
			if i == 4 {
				<-gate
			}
			return nil
		})
		require.NoError(t, err)
		synctest.Wait()
		assert.False(t, flushed)
		close(gate)
		synctest.Wait()
		assert.True(t, flushed)
		closed(t, b)
	})
}

// Nor does it forget what is waited for when an older event is lost.
func TestG33_FlushWhileEventsAreLost(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				gate, flushed := make(chan struct{}), false
				_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 2, Filter: q.filter},
					func(context.Context, int) error {
						<-gate
						return nil
					})
				require.NoError(t, err)
				publish(t, x, 1)
				synctest.Wait()
				publish(t, x, 2, 3)
				go func() {
					assert.NoError(t, b.Flush(bg))
					flushed = true
				}()
				synctest.Wait()
				publish(t, x, 4) // and 2 is lost
				gate <- struct{}{}
				synctest.Wait()
				assert.False(t, flushed, "3 is being handled")
				gate <- struct{}{}
				synctest.Wait()
				assert.True(t, flushed)
				close(gate)
				closed(t, b)
			})
		})
	}
}

// With several workers the past comes first too, what came meanwhile comes after it,
// all of one key, and counts against the capacity.
func TestG29_KeysWhileThePastIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 2})
		publish(t, x, 1, 2)
		gate := make(chan struct{})
		var seen []int
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{
			From: eventbus.Oldest, Capacity: 3, Workers: 2, Key: func(int) string { return "k" },
			Filter: first(func() { publish(t, x, 3, 4, 5) }),
		}, func(_ context.Context, i int) error {
			<-gate
			seen = append(seen, i)
			return nil
		})
		require.NoError(t, err)
		synctest.Wait()
		require.ErrorIs(t, x.TryPublish(bg, 6), eventbus.ErrFull)
		assert.Equal(t, 4, s.Stats().Depth)
		close(gate)
		closed(t, b)
		assert.Equal(t, ints(1, 5), seen)
		accounted(t, 5, s)
	})
}

// A bus may be closed meanwhile: it waits for the past, of which nothing may be left.
func TestG34_CloseWhileThePastIsLookedAt(t *testing.T) {
	for name, pass := range map[string]bool{"nothing passes": false, "all passes": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 2})
				publish(t, x, 1, 2)
				over := false
				close := first(func() {
					go func() {
						assert.NoError(t, b.Close(bg))
						over = true
					}()
					synctest.Wait()
				})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Filter: func(i int) bool { return close(i) && pass }})
				require.NoError(t, err)
				synctest.Wait()
				assert.Equal(t, !pass, over)
				n := 0
				for range q.Chan() {
					n++
				}
				<-q.Done()
				synctest.Wait()
				assert.True(t, over)
				assert.Equal(t, pass, n == 2)
				accounted(t, 2, q.Subscription)
			})
		})
	}
}

// If the closing is cut short the past is discarded, and counted and told.
func TestG14_ThePastOfABusThatWasHalted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told uint64
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
			Dropped: func(d eventbus.Drop) { told += d.Discarded },
		}}, eventbus.TopicConfig{History: 2})
		publish(t, x, 1, 2)
		ended, cancel := context.WithCancel(bg)
		cancel()
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Filter: first(func() { _ = b.Close(ended) })},
			func(context.Context, int) error { return nil })
		require.NoError(t, err)
		<-s.Done()
		accounted(t, 2, s)
		assert.EqualValues(t, 2, s.Stats().Discarded)
		assert.EqualValues(t, 2, told)
	})
}

// Nil is a value of interfaces, and what asks for any gets it.
func TestG30_APatternOfAnyGetsNil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[error](t, eventbus.Config{}, eventbus.TopicConfig{})
		j := new(journal[any])
		_, err := eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[any]{}, j.handle)
		require.NoError(t, err)
		publish(t, x, nil, assert.AnError)
		closed(t, b)
		assert.Equal(t, []any{nil, assert.AnError}, j.data())
	})
}

// A hook that panics when a queue is discarded is counted for the topic.
func TestG18_TheHookOfADiscardMayPanic(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(eventbus.Drop) { panic("hook") }}}, eventbus.TopicConfig{})
			s, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: q.filter})
			require.NoError(t, err)
			publish(t, x, 1, 2)
			s.Cancel()
			<-s.Done()
			assert.EqualValues(t, 1, x.Stats().HookPanics)
			closed(t, b)
		})
	}
}

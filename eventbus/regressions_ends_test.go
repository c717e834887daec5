package eventbus_test

import (
	"context"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// isOver reports whether a channel is closed.
func isOver(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// inTime runs f, which must have returned after d.
func inTime(t *testing.T, d time.Duration, f func()) {
	t.Helper()
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		f()
	}()
	time.Sleep(d)
	synctest.Wait()
	assert.True(t, isOver(returned), "it waits")
}

// slowDrops is a hook that waits for the gate. A test opens it at its end.
func slowDrops(t *testing.T) (hooks eventbus.Hooks, open func()) {
	t.Helper()
	gate := make(chan struct{})
	return eventbus.Hooks{Dropped: func(eventbus.Drop) { <-gate }}, func() { close(gate) }
}

// Flush waited for ever for a subscription that begins in the future.
func TestRegression_G33_FlushBesideTheFuture(t *testing.T) {
	flush := func(b *eventbus.Bus) error {
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		return b.Flush(ctx)
	}
	for _, kind := range queues {
		cfg := eventbus.SubscribeConfig[int]{From: 4, Filter: kind.filter}
		t.Run("handler, "+kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				g, _ := stuck(t, x, cfg)
				require.NoError(t, flush(b))
				for i := 1; i <= 3; i++ {
					publish(t, x, i)
					require.NoError(t, flush(b))
				}
				publish(t, x, 4)
				require.ErrorIs(t, flush(b), context.DeadlineExceeded)
				g.open()
				require.NoError(t, flush(b))
				assert.Equal(t, []int{4}, g.data())
				closed(t, b)
			})
		})
		t.Run("Queue, "+kind.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				q, err := x.Queue(bg, cfg)
				require.NoError(t, err)
				publish(t, x, ints(1, 3)...)
				require.NoError(t, flush(b))
				publish(t, x, 4)
				require.ErrorIs(t, flush(b), context.DeadlineExceeded)
				e, err := q.Next(bg)
				require.NoError(t, err)
				assert.Equal(t, 4, e.Data)
				_, err = q.Next(endedCtx)
				require.ErrorIs(t, err, assert.AnError)
				require.NoError(t, flush(b))
				closed(t, b)
			})
		})
	}
}

// A Flush that was given up left its watch with every subscription that had
// something to do.
func TestRegression_G33_AFlushLeavesNothingBehind(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	for _, kind := range queues {
		for range 2 {
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: kind.filter})
			require.NoError(t, err)
			defer q.Cancel()
		}
	}
	publish(t, x, 1)
	flush := func(n int) int64 {
		for range n {
			require.ErrorIs(t, b.Flush(endedCtx), assert.AnError)
		}
		var m runtime.MemStats
		for range 3 {
			runtime.GC()
		}
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // far from the limit
	}
	before := flush(1000)
	assert.Less(t, flush(10_000)-before, int64(512<<10))
}

// A Drain or Close waited for a hook that was told of the end of a subscription by
// somebody else, whatever its own context said.
func TestRegression_G24_ASlowHookHoldsUpNoEnd(t *testing.T) {
	for name, end := range cuts {
		for _, kind := range queues {
			t.Run(name+" "+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					hooks, open := slowDrops(t)
					b, x := newTopic[int](t, eventbus.Config{Hooks: hooks}, eventbus.TopicConfig{})
					q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: kind.filter})
					require.NoError(t, err)
					publish(t, x, 1, 2)
					go q.Cancel() // it is in the hook
					synctest.Wait()
					assert.True(t, isOver(q.Done()))
					inTime(t, 0, func() { assert.NoError(t, end(b, q.Subscription)) })
					inTime(t, 0, func() { assert.NoError(t, b.Close(bg)) })
					accounted(t, 2, q.Subscription)
					assert.EqualValues(t, 2, q.Stats().Discarded)
					open()
				})
			})
		}
	}
}

// No hook at all: what was disconnected was not done before the dead letter of
// another subscription had found room.
func TestRegression_G24_ADeadLetterHoldsUpNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		letters, err := dead.Queue(bg, eventbus.SubscribeConfig[eventbus.Failure]{Name: "letters", Capacity: 1})
		require.NoError(t, err)
		_, spoiled := subscribe(t, x, eventbus.SubscribeConfig[int]{DeadLetter: dead, Filter: func(i int) bool { panic(i) }})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1, OnFull: eventbus.Disconnect, Filter: all})
		require.NoError(t, err)
		publish(t, x, 1)
		go publish(t, x, 2)
		synctest.Wait()
		assert.Equal(t, 1, dead.Stats().Waiting, "the second letter")
		assert.True(t, isOver(q.Done()))
		require.ErrorIs(t, q.Err(), eventbus.ErrFull)
		inTime(t, 0, func() { assert.NoError(t, q.Drain(endedCtx)) })
		inTime(t, 0, func() {
			var drain *eventbus.DrainError
			if assert.ErrorAs(t, b.Close(endedCtx), &drain) && assert.Len(t, drain.Left, 1) {
				assert.Equal(t, "letters", drain.Left[0].Name)
			}
		})
		accounted(t, 1, q.Subscription)
		accounted(t, 2, spoiled)
		accounted(t, 1, letters.Subscription)
	})
}

// The workers of a subscription began to work, and so could come to an end, only
// after the hooks that Subscribe had called.
func TestRegression_G34_AHookClosesTheBusInSubscribe(t *testing.T) {
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			var b *eventbus.Bus
			told := 0
			b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Failed: func(ctx context.Context, f eventbus.Failure) {
				told++
				assert.Equal(t, 1, f.Event.Data)
				assert.NoError(t, b.Close(ctx))
			}}}, eventbus.TopicConfig{History: 2})
			publish(t, x, 1, 2)
			j := new(journal[int])
			inTime(t, 0, func() {
				s, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Workers: workers, Filter: func(i int) bool {
					if i == 1 {
						panic("one")
					}
					return true
				}}, j.handle)
				if assert.NoError(t, err) {
					assert.True(t, isOver(s.Done()))
					assert.NoError(t, s.Err())
					accounted(t, 2, s)
				}
			})
			assert.Equal(t, 1, told)
			assert.Equal(t, []int{2}, j.data())
		})
	}
}

// So a slow hook in Subscribe held up Close, or beyond the end of its context.
func TestRegression_G34_ASlowHookInSubscribe(t *testing.T) {
	for _, kind := range queues {
		for _, history := range []int{0, 1} {
			synctest.Test(t, func(t *testing.T) {
				hooks, open := slowDrops(t)
				b, x := newTopic[int](t, eventbus.Config{Hooks: hooks}, eventbus.TopicConfig{History: history})
				subscribe(t, x, eventbus.SubscribeConfig[int]{}) // else they are lost, and the hook is told so
				publish(t, x, ints(1, 3)...)
				require.NoError(t, b.Flush(bg))
				var s *eventbus.Subscription
				j := new(journal[int])
				go func() {
					var err error
					s, err = x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{From: 2, Filter: kind.filter}, j.handle)
					assert.NoError(t, err)
				}()
				synctest.Wait()
				inTime(t, time.Second, func() {
					ctx, cancel := context.WithTimeout(bg, time.Second)
					defer cancel()
					err := b.Close(ctx)
					if kind.filter == nil || history == 0 {
						assert.NoError(t, err, "it had time for what history has")
						return
					}
					var drain *eventbus.DrainError
					if assert.ErrorAs(t, err, &drain, "history has not been judged") && assert.Len(t, drain.Left, 1) {
						assert.EqualValues(t, 1, drain.Left[0].Discarded)
					}
				})
				open()
				synctest.Wait()
				assert.True(t, isOver(s.Done()))
				accounted(t, 2, s)
				assert.EqualValues(t, 2-history, s.Stats().Lagged)
				assert.Len(t, j.data(), int(s.Stats().Handled)) //nolint:gosec // small
			})
		}
	}
}

// The error of a bridge that had been closed was lost if Close was cut short.
func TestRegression_G34_BridgesAndWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		s := attach(t, b, &bridgeOf{close: func(context.Context) error { return io.ErrClosedPipe }}, both)
		s.Cancel()
		synctest.Wait()
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: "q"})
		require.NoError(t, err)
		publish(t, x, 1)
		for range 2 {
			err := b.Close(endedCtx)
			require.ErrorIs(t, err, io.ErrClosedPipe)
			require.ErrorContains(t, err, s.Name())
			left(t, err, 0, 0, 1)
		}
		accounted(t, 1, q.Subscription)
	})
}

// What had nothing to do but to end seemed to be cut short if it was drained, or the
// bus closed, with a context that had ended.
func TestRegression_G24_NothingWasLeft(t *testing.T) {
	for name, end := range cuts {
		for _, kinds := range [][]kind{queuedKinds[:], syncKinds[:]} {
			for _, k := range kinds {
				k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
					s := k.subscribe(t, b, x, nil, func(context.Context, int) error { return nil })
					publish(t, x, 1, 2)
					synctest.Wait()
					require.NoError(t, end(b, s), name)
					assert.True(t, isOver(s.Done()))
					require.NoError(t, s.Err(), name)
					closed(t, b)
				})
			}
		}
		for _, kind := range queues {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: kind.filter})
				require.NoError(t, err)
				require.NoError(t, end(b, q.Subscription), name)
				assert.True(t, isOver(q.Done()))
				require.NoError(t, q.Err(), name)
				for _, err := range q.Events(bg) {
					assert.Fail(t, "a pair", err)
				}
				_, err = q.Next(bg)
				require.Equal(t, eventbus.ErrClosed, err)
				closed(t, b)
			})
		}
		synctest.Test(t, func(t *testing.T) {
			b := eventbus.MustNew(eventbus.Config{})
			s, err := eventbus.Respond(bg, b, func(_ context.Context, i int) (int, error) { return i, nil })
			require.NoError(t, err)
			_, err = eventbus.Request[int](bg, b, 1)
			require.NoError(t, err)
			require.NoError(t, end(b, s), name)
			assert.True(t, isOver(s.Done()))
			require.NoError(t, s.Err(), name)
			closed(t, b)
		})
	}
}

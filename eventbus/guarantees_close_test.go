package eventbus_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Flush waits for what was accepted before it, retries included, and for nothing
// that comes after.
func TestG33_FlushWaitsForWhatWasAccepted(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			calls := make(chan int)
			s := k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.Retry = eventbus.Retry{Attempts: 2, Wait: time.Second} },
				func(_ context.Context, i int) error {
					calls <- i
					if i == 3 {
						return assert.AnError
					}
					return nil
				})
			require.NoError(t, b.Flush(bg), "nothing to wait for")
			publish(t, x, 1, 2, 3)
			flushed := make(chan error, 1)
			go func() { flushed <- b.Flush(bg) }()
			synctest.Wait()
			publish(t, x, 4, 5) // not waited for
			for _, want := range []int{1, 2, 3, 3} {
				require.Empty(t, flushed)
				assert.Equal(t, want, <-calls)
				synctest.Wait()
			}
			require.Len(t, flushed, 1)
			require.NoError(t, <-flushed)
			assert.Equal(t, 4, <-calls)
			assert.Equal(t, 5, <-calls)
			closed(t, b)
			accounted(t, 5, s)
		})
	}
}

// What is lost, discarded or given up is settled too.
func TestG33_WhatSettlesAnEvent(t *testing.T) {
	for _, q := range queues {
		for name, settle := range map[string]func(x *eventbus.Topic[int], q *eventbus.Queue[int]){
			"overflow": func(x *eventbus.Topic[int], q *eventbus.Queue[int]) {
				for i := range 3 {
					assert.NoError(t, x.Publish(bg, 10+i))
				}
				go func() { _, _ = q.Next(bg) }() // lag is noticed by a reader at the latest
			},
			"Cancel": func(_ *eventbus.Topic[int], q *eventbus.Queue[int]) { q.Cancel() },
			"reading": func(_ *eventbus.Topic[int], q *eventbus.Queue[int]) {
				for _, err := range q.Events(bg) {
					assert.NoError(t, err)
					if q.Stats().Depth == 0 {
						break
					}
				}
			},
		} {
			t.Run(name+", "+q.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
					q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 3, Filter: q.filter})
					require.NoError(t, err)
					publish(t, x, 1, 2, 3)
					flushed := make(chan error, 1)
					go func() { flushed <- b.Flush(bg) }()
					synctest.Wait()
					require.Empty(t, flushed)
					settle(x, q)
					synctest.Wait()
					require.Len(t, flushed, 1)
					require.NoError(t, <-flushed)
					q.Cancel()
					closed(t, b)
				})
			})
		}
	}
}

func TestG33_FlushUntilTheEndOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, _ := stuck(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 1)
		ctx, cancel := context.WithTimeoutCause(bg, time.Second, assert.AnError)
		defer cancel()
		began := time.Now()
		assert.Equal(t, assert.AnError, b.Flush(ctx))
		assert.Equal(t, time.Second, time.Since(began))
		g.open()
		require.NoError(t, b.Flush(bg))
		closed(t, b)
	})
}

// Chains of handlers: what a handler publishes is another event.
func TestG33_NotWhatHandlersPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{})
		g, _ := stuck(t, y, eventbus.SubscribeConfig[int]{})
		_, err := x.Subscribe(bg, y.Publish)
		require.NoError(t, err)
		publish(t, x, 1)
		require.NoError(t, b.Flush(bg), "y's handler is stuck, but its event came later")
		g.open()
		closed(t, b)
		assert.Equal(t, []int{1}, g.data())
	})
}

// At once nothing new is taken, and publishers that wait are released.
func TestG34_CloseRefusesAtOnce(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
				g, s := stuck(t, x, eventbus.SubscribeConfig[int]{Filter: q.filter})
				publish(t, x, 1)
				synctest.Wait()
				publish(t, x, 2)
				waiting := make(chan error, 2)
				for range 2 {
					go func() { waiting <- x.Publish(bg, 3) }()
				}
				synctest.Wait()
				closing := make(chan error, 1)
				go func() { closing <- b.Close(bg) }()
				synctest.Wait()
				require.Len(t, waiting, 2)
				require.ErrorIs(t, <-waiting, eventbus.ErrClosed)
				require.ErrorIs(t, <-waiting, eventbus.ErrClosed)
				require.ErrorIs(t, x.Publish(bg, 4), eventbus.ErrClosed)
				_, err := x.Subscribe(bg, func(context.Context, int) error { return nil })
				require.ErrorIs(t, err, eventbus.ErrClosed)
				require.Empty(t, closing)
				g.open()
				require.NoError(t, <-closing)
				<-s.Done()
				assert.Equal(t, []int{1, 2}, g.data())
			})
		})
	}
}

// The counts of a Close that is cut short are exact for every subscription, also
// those whose worker had taken more than it started.
func TestG34_ExactCountsOfWhatWasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 2000})
		type sub struct {
			*eventbus.Subscription
			handled int
		}
		var subs []*sub
		var mu sync.Mutex
		for i, k := range slices.Concat(queuedKinds[:6], queuedKinds[:6]) {
			s := &sub{}
			upTo := 100 * (i % 4) // then it is stuck
			s.Subscription = k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.Name = fmt.Sprint("s", i) },
				func(ctx context.Context, v int) error {
					if v == upTo {
						<-ctx.Done()
						<-time.After(time.Hour)
					}
					mu.Lock()
					s.handled++
					mu.Unlock()
					return nil
				})
			subs = append(subs, s)
		}
		idle, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{Name: "idle"})
		publish(t, x, ints(0, 999)...)
		synctest.Wait()
		ended, cancel := context.WithCancelCause(bg)
		cancel(assert.AnError)
		err := b.Close(ended)
		require.ErrorIs(t, err, assert.AnError)
		var drain *eventbus.DrainError
		require.ErrorAs(t, err, &drain)
		require.Len(t, drain.Left, len(subs), "not the one that was done")
		assert.Len(t, idle.data(), 1000)
		for i, left := range drain.Left {
			assert.Equal(t, fmt.Sprint("s", i), left.Name)
			assert.Equal(t, 1, left.Running)
			assert.EqualValues(t, 999-100*(i%4), left.Discarded)
			assert.EqualValues(t, 100*(i%4), left.Handled)
			assert.Zero(t, left.Depth)
		}
		assert.Contains(t, err.Error(), `"s0"`)
		assert.Contains(t, err.Error(), "and 9 more")
		for i, s := range subs {
			<-s.Done()
			assert.Equal(t, 100*(i%4)+1, s.handled)
			accounted(t, 1000, s.Subscription)
		}
	})
}

// An ended context means stop now, even where nobody has to wait.
func TestG34_StopNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended, cancel := context.WithCancel(bg)
		cancel()
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		require.NoError(t, b.Close(ended), "nothing was left")
		require.ErrorIs(t, x.Publish(bg, 1), eventbus.ErrClosed)

		b, x = newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		publish(t, x, 1, 2)
		err = b.Close(ended)
		var drain *eventbus.DrainError
		require.ErrorAs(t, err, &drain)
		assert.EqualValues(t, 2, drain.Left[0].Discarded)
		assert.Equal(t, err, b.Close(bg))
		_, err = q.Next(bg)
		require.ErrorIs(t, err, eventbus.ErrClosed)
	})
}

// The first of several contexts to end decides for all.
func TestG34_TheFirstToEndDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, _ := stuck(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 1)
		began := time.Now()
		results := make(chan error, 3)
		for _, d := range []time.Duration{time.Hour, time.Second, time.Minute} {
			ctx, cancel := context.WithTimeout(bg, d)
			defer cancel()
			go func() { results <- b.Close(ctx) }()
		}
		for range 3 {
			require.ErrorIs(t, <-results, context.DeadlineExceeded)
		}
		assert.Equal(t, time.Second, time.Since(began))
		g.open()
	})
}

// Dead letters come last, and are accepted until then.
func TestG34_DeadLettersLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "a.dead", eventbus.TopicConfig{Capacity: 1})
		letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: 2, Wait: time.Second}},
			func(context.Context, int) error { return assert.AnError })
		require.NoError(t, err)
		publish(t, x, ints(1, 20)...)
		closing := make(chan error, 1)
		go func() { closing <- b.Close(bg) }()
		synctest.Wait()
		require.ErrorIs(t, dead.Publish(bg, eventbus.Failure{}), eventbus.ErrClosed, "but for dead letters of the bus itself")
		require.NoError(t, <-closing)
		assert.Len(t, letters.data(), 20)
	})
}

// Afterwards every verb says that it is closed, and nothing panics or blocks.
func TestG35_AfterClose(t *testing.T) {
	for _, sync := range []bool{false, true} {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: sync})
		s, err := x.Subscribe(bg, func(context.Context, int) error { return nil })
		require.NoError(t, err)
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		r, err := eventbus.Respond(bg, b, func(context.Context, int) (int, error) { return 1, nil })
		require.NoError(t, err)
		closed(t, b)

		nop := func(context.Context, int) error { return nil }
		for name, verb := range map[string]func() error{
			"Publish":       func() error { return x.Publish(bg, 1) },
			"PublishWith":   func() error { return x.PublishWith(bg, eventbus.PublishConfig{Key: "k"}, 1) },
			"TryPublish":    func() error { return x.TryPublish(bg, 1) },
			"PublishBatch":  func() error { _, err := x.PublishBatch(bg, ints(1, 3)); return err },
			"type Publish":  func() error { return eventbus.Publish(bg, b, "new") },
			"Subscribe":     func() error { _, err := x.Subscribe(bg, nop); return err },
			"SubscribeWith": func() error { _, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{}, nop); return err },
			"Queue":         func() error { _, err := x.Queue(bg, eventbus.SubscribeConfig[int]{}); return err },
			"SubscribePattern": func() error {
				_, err := eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[any]{}, func(context.Context, eventbus.Event[any]) error { return nil })
				return err
			},
			"type Subscribe": func() error {
				_, err := eventbus.Subscribe(bg, b, func(context.Context, string) error { return nil })
				return err
			},
			"NewTopic":   func() error { _, err := eventbus.NewTopic[int](b, "y", eventbus.TopicConfig{}); return err },
			"known name": func() error { _, err := eventbus.NewTopic[int](b, "x", eventbus.TopicConfig{}); return err },
			"Request":    func() error { _, err := eventbus.Request[int](bg, b, 1); return err },
			"Respond": func() error {
				_, err := eventbus.Respond(bg, b, func(context.Context, string) (int, error) { return 1, nil })
				return err
			},
			"Next": func() error { _, err := q.Next(bg); return err },
			"Events": func() error {
				var last error
				pairs := 0
				for _, err := range x.Events(bg) {
					pairs++
					last = err
				}
				assert.Equal(t, 1, pairs)
				return last
			},
		} {
			assert.ErrorIs(t, verb(), eventbus.ErrClosed, name)
		}
		for _, s := range []*eventbus.Subscription{s, q.Subscription, r} {
			s.Cancel()
			require.NoError(t, s.Drain(bg))
			<-s.Done()
			require.NoError(t, s.Err())
		}
		require.NoError(t, b.Flush(bg))
		closed(t, b)
		assert.False(t, x.HasSubscribers())
		assert.Zero(t, x.Stats().Seq)
		for range q.Chan() {
			t.Error("nothing to receive")
		}
	}
}

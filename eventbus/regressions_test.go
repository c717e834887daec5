package eventbus_test

import (
	"context"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Once on a Sync topic ended the subscription before its retries, and so them.
func TestRegression_G20_OnceIsRetriedOnASyncTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		calls := 0
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Once: true, Retry: eventbus.Retry{Attempts: -1, Wait: time.Second}},
			func(context.Context, int) error {
				if calls++; calls < 3 {
					return assert.AnError
				}
				return nil
			})
		require.NoError(t, err)
		require.NoError(t, x.Publish(bg, 1))
		assert.Equal(t, 3, calls)
		<-s.Done()

		// It can be cancelled while it waits, all the same.
		s, err = x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Once: true, Retry: eventbus.Retry{Attempts: -1, Wait: time.Second}},
			func(context.Context, int) error { return assert.AnError })
		require.NoError(t, err)
		time.AfterFunc(10*time.Second, s.Cancel)
		require.ErrorIs(t, x.Publish(bg, 2), assert.AnError)
		<-s.Done()
		closed(t, b)
	})
}

// The end of a subscription in a retry wait told Handled of an attempt twice.
func TestRegression_G16_HandledIsToldOfEachAttemptOnce(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		var attempts []int
		k.bus.Hooks.Handled = func(_ context.Context, h eventbus.Handling) { attempts = append(attempts, h.Attempt) }
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			s := k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.Retry = eventbus.Retry{Attempts: -1, Wait: time.Second} },
				func(context.Context, int) error { return assert.AnError })
			time.AfterFunc(2*time.Second, s.Cancel)
			_ = x.Publish(bg, 1)
			<-s.Done()
			closed(t, b)
			assert.Equal(t, []int{1, 2}, attempts)
		})
	}
}

// A hook that ended the goroutine of a reader left the others waiting for it, and
// one that ended the goroutine of Cancel left the subscription without an end.
func TestRegression_G18_GoexitOfDropped(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
					Dropped: func(eventbus.Drop) { runtime.Goexit() },
				}}, eventbus.TopicConfig{})
				var ending []*eventbus.Queue[int]
				for range 3 {
					q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.Disconnect, Capacity: 1, Filter: q.filter})
					require.NoError(t, err)
					ending = append(ending, q)
				}
				lagging, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 1, Filter: q.filter})
				require.NoError(t, err)
				go publish(t, x, 1, 2) // the second disconnects all three, and each of the hooks ends the goroutine
				synctest.Wait()
				for _, q := range ending {
					<-q.Done()
					require.ErrorIs(t, q.Err(), eventbus.ErrFull)
				}
				go func() { _, _ = lagging.Next(bg) }()
				synctest.Wait()
				ctx, cancel := context.WithTimeout(bg, time.Second)
				defer cancel()
				_, err = lagging.Next(ctx)
				if err != nil {
					require.ErrorIs(t, err, context.DeadlineExceeded)
				}
				go lagging.Cancel()
				synctest.Wait()
				closed(t, b)
				assert.Positive(t, x.Stats().HookPanics)
			})
		})
	}
}

// An event that a Queue's channel held out was lost to the account when another
// reader went on, and one received meanwhile was not counted as handled.
func TestRegression_G25_ChannelBesideOtherReaders(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 100})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: q.filter})
				require.NoError(t, err)
				c := q.Chan()
				publish(t, x, 1, 2, 3)
				synctest.Wait() // the channel holds out the first
				for _, want := range []int{2, 3} {
					e, err := q.Next(bg)
					require.NoError(t, err)
					assert.Equal(t, want, e.Data)
				}
				ended := make(chan error, 1)
				go func() {
					_, err := q.Next(bg)
					ended <- err
				}()
				synctest.Wait() // it waits for a fourth, which is coming back for the third
				accounted(t, 3, q.Subscription)
				st := q.Stats()
				assert.Equal(t, []int{2, 0, 1}, []int{int(st.Handled), st.Running, st.Depth})
				flushed := make(chan error, 1)
				go func() { flushed <- b.Flush(bg) }()
				synctest.Wait()
				require.Empty(t, flushed)
				assert.Equal(t, 1, (<-c).Data)
				require.NoError(t, <-flushed)
				assert.EqualValues(t, 3, q.Stats().Handled)

				publish(t, x, 4)
				require.NoError(t, <-ended)
				publish(t, x, 5)
				synctest.Wait()
				closing := make(chan error, 1)
				go func() { closing <- b.Close(bg) }()
				synctest.Wait()
				_, err = q.Next(bg)
				require.ErrorIs(t, err, eventbus.ErrClosed, "nothing is left but what the channel has")
				synctest.Wait()
				require.Empty(t, closing)
				assert.Equal(t, 5, (<-c).Data)
				require.NoError(t, <-closing)
				_, open := <-c
				assert.False(t, open)
				assert.EqualValues(t, 5, q.Stats().Handled)
			})
		})
	}
}

// A publisher waited for two subscriptions, one of which found room: as long as
// the other had none, it went on to count as waiting for both, which looked like
// a circle when the handler of the first published in its turn.
func TestRegression_G27_OneOfTwoHasRoomAgain(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
				y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{Capacity: 1})
				cfg := eventbus.SubscribeConfig[int]{Filter: q.filter}
				gate := make(chan struct{})
				s, err := x.SubscribeWith(bg, cfg, func(ctx context.Context, i int) error {
					if i == 1 {
						<-gate
						return nil
					}
					return y.Publish(ctx, i)
				})
				require.NoError(t, err)
				slow, err := x.Queue(bg, cfg)
				require.NoError(t, err)
				_, err = y.SubscribeWith(bg, cfg, func(ctx context.Context, i int) error {
					if i == 10 {
						return x.Publish(ctx, 3)
					}
					return nil
				})
				require.NoError(t, err)
				publish(t, x, 1)
				synctest.Wait()
				_, err = slow.Next(bg)
				require.NoError(t, err)
				publish(t, x, 2) // both are full
				publish(t, y, 10)
				synctest.Wait() // its handler waits for both
				publish(t, y, 11)
				close(gate)
				synctest.Wait() // the handler of x waits for that of y, which waits for the reader
				for _, want := range []int{2, 3} {
					e, err := slow.Next(bg)
					require.NoError(t, err)
					assert.Equal(t, want, e.Data)
				}
				slow.Cancel()
				closedEventually(t, b)
				assert.Zero(t, s.Stats().Failed)
			})
		})
	}
}

// A subscription that ended at the gate of its topic left it closed: whoever
// waited for another one was not let in when that had room.
func TestRegression_G8_TheGateOfOneThatEnded(t *testing.T) {
	for name, end := range map[string]func(*eventbus.Subscription){
		"Cancel": (*eventbus.Subscription).Cancel,
		"Drain": func(s *eventbus.Subscription) {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			_ = s.Drain(ctx)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
				behind, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
				require.NoError(t, err)
				reads, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
				require.NoError(t, err)
				next := func(want int) {
					e, err := reads.Next(bg)
					require.NoError(t, err)
					assert.Equal(t, want, e.Data)
				}
				publish(t, x, 1)
				next(1)
				for _, i := range []int{2, 3} {
					go func() { assert.NoError(t, x.Publish(bg, i)) }()
					synctest.Wait()
				}
				end(behind.Subscription)
				next(2)
				synctest.Wait()
				next(3)
				reads.Cancel()
				closed(t, b)
			})
		})
	}
}

// A Queue with From was over as soon as Close came while its own functions were
// asked about the past, with all of that still in it.
func TestRegression_G34_CloseWhileHistoryIsJudged(t *testing.T) {
	for name, pass := range map[string]bool{"all pass": true, "none passes": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 2})
				publish(t, x, 1, 2)
				closing := make(chan error, 1)
				first := true
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Filter: func(int) bool {
					if first {
						first = false
						go func() { closing <- b.Close(bg) }()
						synctest.Wait()
					}
					return pass
				}})
				require.NoError(t, err)
				n := 0
				for _, err := range q.Events(bg) {
					require.NoError(t, err)
					n++
				}
				require.NoError(t, <-closing)
				<-q.Done()
				assert.Equal(t, pass, n == 2)
				accounted(t, 2, q.Subscription)
				assert.Zero(t, q.Stats().Depth)
			})
		})
	}
}

// Close could return a moment before a subscription that had been cancelled was
// done, because that left the list first.
func TestRegression_G34_AllIsDoneWhenCloseReturns(t *testing.T) {
	for range 2000 {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		inside, gate := make(chan struct{}), make(chan struct{})
		s, err := x.Subscribe(bg, func(context.Context, int) error {
			close(inside)
			<-gate
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 1)
		<-inside
		s.Cancel()
		close(gate)
		closed(t, b)
		select {
		case <-s.Done():
		default:
			require.FailNow(t, "closed, and not done")
		}
	}
}

// A batch was cut when it was published. One that waited then, and was longer than
// the capacity of a subscription that came meanwhile, waited for ever.
func TestRegression_G10_ASmallerSubscriptionComesWhileABatchWaits(t *testing.T) {
	for _, around := range [][]eventbus.Interceptor{nil, {through}} {
		for _, q := range queues {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{AroundPublish: around}, eventbus.TopicConfig{Capacity: 4})
				large, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
				require.NoError(t, err)
				n, err := x.PublishBatch(bg, ints(1, 4))
				require.NoError(t, err)
				assert.Equal(t, 4, n)
				result := make(chan int, 1)
				go func() {
					n, err := x.PublishBatch(bg, ints(5, 8))
					assert.NoError(t, err)
					result <- n
				}()
				synctest.Wait()
				small, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 2, Filter: q.filter})
				require.NoError(t, err)
				for i := 1; i <= 8; i++ {
					e, err := large.Next(bg)
					require.NoError(t, err)
					assert.Equal(t, i, e.Data)
					if i > 4 {
						e, err = small.Next(bg)
						require.NoError(t, err)
						assert.Equal(t, i, e.Data)
					}
				}
				assert.Equal(t, 4, <-result)
				large.Cancel()
				small.Cancel()
				closed(t, b)
			})
		}
	}
}

// A subscription with Disconnect, which no publisher waits for, hid from those who
// wait that another one had room again.
func TestRegression_G8_DisconnectHidesNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		unread, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.Disconnect})
		require.NoError(t, err)
		read, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		publish(t, x, 1) // both are full
		result := make(chan error, 1)
		go func() { result <- x.Publish(bg, 2) }()
		synctest.Wait()
		_, err = read.Next(bg)
		require.NoError(t, err)
		require.NoError(t, <-result)
		<-unread.Done()
		require.ErrorIs(t, unread.Err(), eventbus.ErrFull)
		read.Cancel()
		closed(t, b)
	})
}

package eventbus_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// exits has f run on a goroutine that it ends, and waits for that.
func exits(t *testing.T, f func()) {
	t.Helper()
	returned, ended := false, make(chan struct{})
	go func() {
		defer close(ended)
		f()
		returned = true
	}()
	<-ended
	require.False(t, returned)
}

// A filter that ended the goroutine of a publisher in line left that in line, and
// everybody behind it.
func TestRegression_G8_AFilterEndsAPublisherInLine(t *testing.T) {
	for _, q := range queues {
		for _, ended := range []int{2, 3, 4} { // first, second and last in line
			t.Run(fmt.Sprint(q.name, " ", ended), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
					read, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: q.filter})
					require.NoError(t, err)
					publish(t, x, 1)
					var accepted []int
					for i := 2; i <= 4; i++ {
						go func() {
							assert.NoError(t, x.Publish(bg, i))
							accepted = append(accepted, i)
						}()
						synctest.Wait()
					}
					require.Equal(t, 3, x.Stats().Waiting)
					j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{Filter: func(i int) bool {
						if i == ended {
							runtime.Goexit()
						}
						return true
					}})
					want := slices.DeleteFunc(ints(1, 4), func(i int) bool { return i == ended })
					for _, i := range want {
						e, err := read.Next(bg)
						require.NoError(t, err)
						assert.Equal(t, i, e.Data)
						synctest.Wait()
					}
					assert.Equal(t, want[1:], accepted)
					assert.Zero(t, x.Stats().Waiting)
					read.Cancel()
					closed(t, b)
					assert.Equal(t, want[1:], j.data())
				})
			})
		}
	}
}

// A function that ended the goroutine of a subscriber, asked about history, left
// a subscription that nobody has and every publisher has to wait for.
func TestRegression_G29_AFunctionEndsTheSubscriber(t *testing.T) {
	var x *eventbus.Topic[int]
	leave := func() bool {
		publish(t, x, 3) // it is covered
		runtime.Goexit()
		return true
	}
	bubbles(t, map[string]eventbus.SubscribeConfig[int]{
		"filter": {Filter: func(i int) bool { return i != 1 || leave() }},
		"key":    {Workers: 2, Key: func(i int) string { return fmt.Sprint(i != 1 || leave()) }},
	}, func(t *testing.T, cfg eventbus.SubscribeConfig[int]) {
		var drops []eventbus.Drop
		var b *eventbus.Bus
		b, x = newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
			Dropped: func(d eventbus.Drop) { drops = append(drops, d) },
		}}, eventbus.TopicConfig{History: 3})
		cfg.From, cfg.Capacity = eventbus.Oldest, 1
		publish(t, x, 1, 2)
		exits(t, func() {
			_, _ = x.SubscribeWith(bg, cfg, func(context.Context, int) error {
				assert.Fail(t, "nobody has that subscription")
				return nil
			})
		})
		if cfg.Workers == 0 {
			exits(t, func() { _, _ = x.Queue(bg, cfg) })
		}
		synctest.Wait() // its worker ends
		for i, d := range drops {
			assert.EqualValues(t, i+3, d.Discarded, "the past, and what came meanwhile")
		}
		assert.Len(t, drops, int(x.Stats().Seq)-2)
		assert.False(t, x.HasSubscribers())
		assert.Empty(t, x.Stats().Subscriptions)
		publish(t, x, 4, 5, 6)
		require.NoError(t, b.Flush(bg))
		closed(t, b)
	})
}

// A publisher in front that asks a new filter counted as waiting for those that had
// been full before: the handler of one of them, that publishes to where a handler
// is full which is in line here, seemed to have closed a circle.
func TestRegression_G27_NobodyKnowsWhatTheFrontWaitsFor(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
				y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{Capacity: 1})
				cfg := eventbus.SubscribeConfig[int]{Name: "full", Filter: q.filter}
				gate, asked := make(chan struct{}), make(chan struct{})
				s, err := x.SubscribeWith(bg, cfg, func(ctx context.Context, i int) error {
					switch i {
					case 1:
						<-gate
					case 2:
						return y.Publish(ctx, 12)
					}
					return nil
				})
				require.NoError(t, err)
				onY := make([]int, 0, 3)
				_, err = y.SubscribeWith(bg, cfg, func(ctx context.Context, i int) error {
					onY = append(onY, i)
					if i == 10 {
						return x.Publish(ctx, 3)
					}
					return nil
				})
				require.NoError(t, err)
				publish(t, x, 1)
				synctest.Wait()
				publish(t, x, 2) // x is full
				publish(t, y, 10)
				synctest.Wait() // its handler waits for that of x
				publish(t, y, 11)
				_, err = x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Filter: func(i int) bool {
					if i == 3 {
						<-asked
					}
					return false
				}}, func(context.Context, int) error { return nil })
				require.NoError(t, err)
				synctest.Wait() // the publisher in line asks the filter
				close(gate)
				synctest.Wait() // 2 has been taken, and its handler waits for that of y
				err = x.TryPublish(bg, 4)
				require.ErrorIs(t, err, eventbus.ErrFull)
				var e *eventbus.Error
				require.ErrorAs(t, err, &e)
				assert.NotEqual(t, "full", e.Subscription, "it has room")
				close(asked)
				closedEventually(t, b)
				assert.Equal(t, []int{10, 11, 12}, onY)
				assert.EqualValues(t, 3, s.Stats().Handled)
			})
		})
	}
}

// A subscription from an event that will never be had a limit beyond all numbers,
// which was less than nothing: whoever published waited for it.
func TestRegression_G29_FromTheEndOfTime(t *testing.T) {
	for _, policy := range []eventbus.Overflow{eventbus.Block, eventbus.Fail, eventbus.Disconnect, eventbus.DropOldest} {
		for _, capacity := range []int{1, 1 << 30} {
			for _, from := range []int64{math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64 - 1<<30} {
				t.Run(policy.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1 << 30})
						j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
						never, s := subscribe(t, x, eventbus.SubscribeConfig[int]{OnFull: policy, Capacity: capacity, From: from})
						ctx, cancel := context.WithTimeout(bg, time.Second)
						defer cancel()
						for i := range 100 {
							require.NoError(t, x.Publish(ctx, i+1))
						}
						assert.Zero(t, s.Stats().Depth)
						closed(t, b)
						require.NoError(t, s.Err())
						assert.Equal(t, ints(1, 100), j.data())
						assert.Empty(t, never.data())
						accounted(t, 0, s)
					})
				})
			}
		}
	}
}

// The count of a batch on a Sync topic left out events at which handlers failed,
// with interceptors, and had those that were refused, without.
func TestRegression_G10_TheCountOfABatchOnASyncTopic(t *testing.T) {
	refuses := func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			if e.Data == 102 {
				return assert.AnError
			}
			return next(ctx, e)
		}
	}
	for _, around := range [][]eventbus.Interceptor{nil, {through}, {through, refuses}} {
		b, x := newTopic[int](t, eventbus.Config{AroundPublish: around}, eventbus.TopicConfig{Sync: true})
		var saw []int
		s, err := x.Subscribe(bg, func(ctx context.Context, i int) error {
			saw = append(saw, i)
			switch i {
			case 1, 3:
				return assert.AnError
			case 302:
				return b.Close(ctx) // not waited for: this handler runs here
			}
			return nil
		})
		require.NoError(t, err)
		n, err := x.PublishBatch(bg, ints(1, 4))
		assert.Equal(t, 4, n, "handlers failed at accepted events")
		var joined interface{ Unwrap() []error }
		require.ErrorAs(t, err, &joined)
		assert.Len(t, joined.Unwrap(), 2)
		assert.EqualValues(t, 2, s.Stats().Failed)

		if len(around) == 2 {
			n, err = x.PublishBatch(bg, ints(101, 103))
			assert.Equal(t, 1, n, "the second was refused")
			require.ErrorIs(t, err, assert.AnError)
			assert.Equal(t, 101, saw[len(saw)-1])
		}

		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.Fail, Capacity: 1})
		require.NoError(t, err)
		n, err = x.PublishBatch(bg, ints(201, 203))
		assert.Equal(t, 1, n, "the queue had no room for the second")
		require.ErrorIs(t, err, eventbus.ErrFull)
		assert.Equal(t, 201, saw[len(saw)-1])
		q.Cancel()

		n, err = x.PublishBatch(bg, ints(301, 304))
		assert.Equal(t, 2, n)
		require.ErrorIs(t, err, eventbus.ErrClosed)
		assert.Equal(t, 302, saw[len(saw)-1])
	}
}

// An interceptor that let an event through twice and told an error had the batch
// count more events than it has.
func TestRegression_G10_NoMoreThanTheBatchHas(t *testing.T) {
	twice := func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			_ = next(ctx, e)
			_ = next(ctx, e)
			return assert.AnError
		}
	}
	b, x := newTopic[int](t, eventbus.Config{AroundPublish: []eventbus.Interceptor{twice}}, eventbus.TopicConfig{})
	n, err := x.PublishBatch(bg, ints(1, 2))
	require.ErrorIs(t, err, assert.AnError)
	assert.Equal(t, 2, n)
	closed(t, b)
}

// A time that a publisher gave lost its zone, overflowed if it was centuries away,
// and had no age.
func TestRegression_G40_TimesAreThoseThatWereGiven(t *testing.T) {
	times := givenTimes()
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		var ages []time.Duration
		var told failures
		k.bus.Hooks = eventbus.Hooks{Failed: told.hook, Handled: func(_ context.Context, h eventbus.Handling) { ages = append(ages, h.Age) }}
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) {
				c.Retry = eventbus.Retry{Attempts: 2, Wait: 3 * time.Second}
			}, func(context.Context, int) error { return assert.AnError })
			want := make([]time.Duration, 0, 2*len(times))
			for i, at := range times {
				_ = x.PublishWith(bg, eventbus.PublishConfig{Time: at}, i)
				time.Sleep(time.Minute)
				want = append(want, 0, 3*time.Second)
			}
			closed(t, b)
			require.Len(t, told.list(), 2*len(times))
			for i, f := range told.list() {
				assert.Equal(t, times[i/2].Round(0), f.Event.Time())
			}
			assert.Equal(t, want, ages, "since they were published")
		})
	}
}

// A hook that ended the goroutine of a publish on a Sync topic kept its handlers
// from being called, and those who left from ever being done.
func TestRegression_G19_AHookEndsASyncPublish(t *testing.T) {
	dropped := eventbus.Hooks{Dropped: func(eventbus.Drop) { runtime.Goexit() }}
	failed := eventbus.Hooks{Failed: func(context.Context, eventbus.Failure) { runtime.Goexit() }}
	type hooked struct {
		hooks eventbus.Hooks
		queue eventbus.SubscribeConfig[int]
	}
	bubbles(t, map[string]hooked{
		"Dropped": {dropped, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropNewest, Capacity: 1}},
		"Failed": {failed, eventbus.SubscribeConfig[int]{Filter: func(i int) bool {
			if i == 2 {
				panic("two")
			}
			return true
		}}},
	}, func(t *testing.T, c hooked) {
		b, x := newTopic[int](t, eventbus.Config{Hooks: c.hooks}, eventbus.TopicConfig{Sync: true})
		var saw []int
		var handlers []*eventbus.Subscription
		for range 2 {
			s, err := x.Subscribe(bg, func(_ context.Context, i int) error {
				saw = append(saw, i)
				return nil
			})
			require.NoError(t, err)
			handlers = append(handlers, s)
		}
		q, err := x.Queue(bg, c.queue)
		require.NoError(t, err)
		publish(t, x, 1)
		exits(t, func() { _ = x.Publish(bg, 2) })
		assert.Equal(t, []int{1, 1, 2, 2}, saw)
		handlers[0].Cancel()
		synctest.Wait()
		select {
		case <-handlers[0].Done():
		default:
			assert.Fail(t, "cancelled, and not done")
		}
		assert.EqualValues(t, 2, handlers[0].Stats().Handled)
		_, err = q.Next(bg)
		require.NoError(t, err)
		publish(t, x, 3)
		assert.Equal(t, []int{1, 1, 2, 2, 3}, saw)
		go q.Cancel() // it drops what is left, and the hook ends this goroutine, too
		closed(t, b)
	})
}

// The error of a publish that a handler made, and returned, stood for the error of
// the event that it was called for.
func TestRegression_G5_TheErrorOfANestedPublish(t *testing.T) {
	for _, k := range syncKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{Sync: true})
			s := k.subscribe(t, b, x, nil, func(ctx context.Context, i int) error {
				switch i {
				case 1:
					return x.Publish(ctx, 2)
				case 2:
					return y.Publish(ctx, 3)
				}
				return assert.AnError
			})
			inner := k.subscribe(t, b, y, nil, func(context.Context, int) error { return assert.AnError })
			publishes := []struct {
				topic string
				sub   *eventbus.Subscription
				seq   int64
			}{{"x", s, 1}, {"x", s, 2}, {"y", inner, 1}}
			err := x.Publish(bg, 1)
			require.ErrorIs(t, err, assert.AnError)
			for _, p := range publishes {
				var e *eventbus.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, p.topic, e.Topic)
				assert.Equal(t, p.sub.Name(), e.Subscription)
				assert.Equal(t, p.seq, e.Seq)
				err = e.Err
			}
			assert.Equal(t, assert.AnError, err)
			assert.EqualValues(t, 2, s.Stats().Failed)
			assert.EqualValues(t, 1, inner.Stats().Failed)
			closed(t, b)
		})
	}
}

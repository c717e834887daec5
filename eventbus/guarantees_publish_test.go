package eventbus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Ring or mailbox: whatever is said of a queue holds for both.
var queues = [...]struct {
	name   string
	filter func(int) bool
}{{"ring", nil}, {"mailbox", func(int) bool { return true }}}

// The account adds up the moment Publish returns, whatever the policy.
func TestG6_InTheQueueOrCountedAsLost(t *testing.T) {
	cases := make(map[string]eventbus.SubscribeConfig[int])
	for _, q := range queues {
		for _, p := range []eventbus.Overflow{eventbus.DropOldest, eventbus.DropNewest, eventbus.Unbounded} {
			cases[q.name+" "+p.String()] = eventbus.SubscribeConfig[int]{OnFull: p, Capacity: 5, Filter: q.filter}
		}
		cases[q.name+" with room"] = eventbus.SubscribeConfig[int]{Capacity: 20, Filter: q.filter}
	}
	bubbles(t, cases, func(t *testing.T, cfg eventbus.SubscribeConfig[int]) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, s := stuck(t, x, cfg)
		publish(t, x, 1)
		synctest.Wait()
		n := 20
		if cfg.OnFull == eventbus.Unbounded {
			n = 6 // the next would disconnect it
		}
		for i := 2; i <= n; i++ {
			publish(t, x, i)
			accounted(t, i, s)
		}
		g.open()
		closed(t, b)
		accounted(t, n, s)
	})
}

// What is accepted stays so: neither the end of a sibling nor a later refusal
// takes it back, and the failure of a handler is not the publisher's.
func TestG6_NothingLaterUndoesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		g, _ := stuck(t, x, eventbus.SubscribeConfig[int]{Capacity: 2})
		_, err := x.Subscribe(ctx, func(context.Context, int) error { return assert.AnError })
		require.NoError(t, err)
		require.NoError(t, x.Publish(ctx, 1))
		synctest.Wait()
		require.NoError(t, x.Publish(ctx, 2))
		require.NoError(t, x.Publish(ctx, 3))
		require.ErrorIs(t, x.TryPublish(ctx, 4), eventbus.ErrFull)
		cancel() // the sibling's end, and that of the publisher's context
		synctest.Wait()
		g.open()
		closed(t, b)
		assert.Equal(t, []int{1, 2, 3}, g.data())
	})
}

func TestG6_SyncEveryHandlerReturnedNil(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
	handled := 0
	for range 3 {
		_, err := x.Subscribe(bg, func(_ context.Context, i int) error {
			handled++
			if i == 2 && handled%3 == 0 { // the last of the three
				return assert.AnError
			}
			return nil
		})
		require.NoError(t, err)
	}
	require.NoError(t, x.Publish(bg, 1))
	assert.Equal(t, 3, handled)
	assert.ErrorIs(t, x.Publish(bg, 2), assert.AnError)
	closed(t, b)
}

// refusal is a way to have a publish refused.
type refusal struct {
	filter  func(int) bool // of the one that refuses: ring or mailbox
	policy  eventbus.Overflow
	publish func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) error
	want    error
}

func TestG7_ARefusalLeavesNoTrace(t *testing.T) {
	cases := make(map[string]refusal)
	for _, q := range queues {
		cases["Fail, "+q.name] = refusal{q.filter, eventbus.Fail, func(_ *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) error {
			return x.Publish(bg, 99)
		}, eventbus.ErrFull}
		cases["Fail, batch, "+q.name] = refusal{q.filter, eventbus.Fail, func(t *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) error {
			n, err := x.PublishBatch(bg, []int{98, 99})
			assert.Zero(t, n)
			return err
		}, eventbus.ErrFull}
		cases["TryPublish, "+q.name] = refusal{q.filter, eventbus.Block, func(_ *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) error {
			return x.TryPublish(bg, 99)
		}, eventbus.ErrFull}
		cases["end of context, "+q.name] = refusal{q.filter, eventbus.Block, func(_ *testing.T, _ *eventbus.Bus, x *eventbus.Topic[int]) error {
			ctx, cancel := context.WithTimeoutCause(bg, time.Second, assert.AnError)
			defer cancel()
			return x.Publish(ctx, 99)
		}, assert.AnError}
	}
	bubbles(t, cases, func(t *testing.T, c refusal) {
		drops := 0
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(eventbus.Drop) { drops++ }}},
			eventbus.TopicConfig{History: 3})
		cfg := func(p eventbus.Overflow, filter func(int) bool) eventbus.SubscribeConfig[int] {
			return eventbus.SubscribeConfig[int]{Name: p.String(), OnFull: p, Capacity: 2, Filter: filter}
		}
		var gates []*gated[int]
		var subs []*eventbus.Subscription
		for _, q := range queues {
			for _, p := range []eventbus.Overflow{eventbus.DropOldest, eventbus.DropNewest, eventbus.Disconnect, eventbus.Unbounded} {
				g, s := stuck(t, x, cfg(p, q.filter))
				gates, subs = append(gates, g), append(subs, s)
			}
		}
		g, s := stuck(t, x, cfg(c.policy, c.filter))
		gates, subs = append(gates, g), append(subs, s)
		publish(t, x, 1)
		synctest.Wait() // all workers are inside
		publish(t, x, 2, 3)

		before := x.Stats()
		err := c.publish(t, b, x)
		require.ErrorIs(t, err, c.want)
		after := x.Stats()
		before.Waited, after.Waited = 0, 0
		assert.Equal(t, before, after)
		assert.Zero(t, drops)
		for _, s := range subs {
			assert.NotPanics(t, func() {
				select {
				case <-s.Done():
					t.Errorf("%s has ended", s.Name())
				default:
				}
			})
		}
		for _, g := range gates {
			g.open()
		}
		synctest.Wait()
		publish(t, x, 4)
		closed(t, b)
		for i, g := range gates {
			assert.Equal(t, []int{1, 2, 3, 4}, g.data(), subs[i].Name())
		}
		late := x.Stats()
		assert.EqualValues(t, 4, late.Seq)
	})
}

func TestG7_RefusalsThatHistoryNeverSees(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 5})
	require.ErrorIs(t, x.PublishWith(bg, eventbus.PublishConfig{Mandatory: true}, 1), eventbus.ErrNoSubscriber)
	assert.Zero(t, x.Stats().Retained)
	closed(t, b)
	require.ErrorIs(t, x.Publish(bg, 1), eventbus.ErrClosed)
	assert.Zero(t, x.Stats().Retained)
	assert.Zero(t, x.Stats().Seq)
}

// Some join the line with one event, some with a batch; whoever came first enters
// first, even where a later one would fit.
func TestG8_InOrderOfArrival(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 3})
				var saw []int
				gate := make(chan struct{})
				_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Filter: q.filter}, func(_ context.Context, i int) error {
					<-gate
					saw = append(saw, i)
					return nil
				})
				require.NoError(t, err)
				publish(t, x, 0)
				synctest.Wait()
				publish(t, x, 1, 2, 3)
				var wg sync.WaitGroup
				next := 4
				for i := range 20 {
					data := ints(next, next+i%3)
					next += len(data)
					wg.Go(func() {
						if len(data) == 1 {
							assert.NoError(t, x.Publish(bg, data[0]))
							return
						}
						n, err := x.PublishBatch(bg, data)
						assert.NoError(t, err)
						assert.Len(t, data, n)
					})
					synctest.Wait()
				}
				assert.Equal(t, 20, x.Stats().Waiting)
				require.ErrorIs(t, x.TryPublish(bg, 0), eventbus.ErrFull)
				for range next {
					gate <- struct{}{}
					synctest.Wait()
				}
				wg.Wait()
				closed(t, b)
				assert.Equal(t, ints(0, next-1), saw)
				assert.Zero(t, x.Stats().Waiting)
			})
		})
	}
}

// Whatever gives room to a publisher that waits, wakes it.
func TestG8_WhatEndsTheWaiting(t *testing.T) {
	type way struct {
		cfg eventbus.SubscribeConfig[int]
		end func(t *testing.T, q *eventbus.Queue[int], cancel func())
	}
	cases := make(map[string]way)
	for _, q := range queues {
		for name, end := range map[string]func(*testing.T, *eventbus.Queue[int], func()){
			"Next": func(t *testing.T, q *eventbus.Queue[int], _ func()) {
				_, err := q.Next(bg)
				assert.NoError(t, err)
			},
			"Chan":   func(_ *testing.T, q *eventbus.Queue[int], _ func()) { <-q.Chan() },
			"Cancel": func(_ *testing.T, q *eventbus.Queue[int], _ func()) { q.Cancel() },
			"end of the subscriber's context": func(_ *testing.T, _ *eventbus.Queue[int], cancel func()) {
				cancel()
			},
			"Drain": func(t *testing.T, q *eventbus.Queue[int], _ func()) {
				ctx, cancel := context.WithTimeout(bg, time.Second)
				defer cancel()
				assert.Error(t, q.Drain(ctx), "nobody reads it")
			},
		} {
			cases[name+", "+q.name] = way{eventbus.SubscribeConfig[int]{Capacity: 1, Filter: q.filter}, end}
		}
	}
	bubbles(t, cases, func(t *testing.T, w way) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		q, err := x.Queue(ctx, w.cfg)
		require.NoError(t, err)
		publish(t, x, 1)
		var waited time.Duration
		result := make(chan error, 1)
		go func() {
			began := time.Now()
			err := x.Publish(bg, 2)
			waited = time.Since(began)
			result <- err
		}()
		synctest.Wait()
		require.Empty(t, result)
		assert.Equal(t, 1, x.Stats().Waiting)
		time.Sleep(time.Minute)
		w.end(t, q, cancel)
		assert.NoError(t, <-result)
		assert.Equal(t, time.Minute, waited)
		assert.Equal(t, waited, x.Stats().Waited)
		q.Cancel()
		closed(t, b)
	})
}

// A subscription that joins while a publisher waits gets the event, and may be one
// more that it waits for.
func TestG8_JoiningWhileAPublisherWaits(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
				first, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: q.filter})
				require.NoError(t, err)
				publish(t, x, 1)
				result := make(chan error, 1)
				go func() { result <- x.Publish(bg, 2) }()
				synctest.Wait()

				asked := 0
				second, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: func(i int) bool {
					asked = i
					return true
				}})
				require.NoError(t, err)
				third, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.Fail})
				require.NoError(t, err)
				_, err = first.Next(bg)
				require.NoError(t, err)
				require.NoError(t, <-result)
				assert.Equal(t, 2, asked, "the filter of one that joined late is asked too")
				for _, q := range []*eventbus.Queue[int]{first, second, third} {
					e, err := q.Next(bg)
					require.NoError(t, err)
					assert.Equal(t, 2, e.Data)
					q.Cancel()
				}
				closed(t, b)
			})
		})
	}
}

func TestG8_TheCauseOfTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		publish(t, x, 1)
		ended, cancel := context.WithCancelCause(bg)
		cancel(assert.AnError)
		assert.Equal(t, assert.AnError, x.Publish(ended, 2), "no room, and the context has ended")

		// Of two that wait, the end of one is nothing to the other.
		ctx, cancel := context.WithCancelCause(bg)
		results := [2]chan error{make(chan error, 1), make(chan error, 1)}
		for i, c := range []context.Context{ctx, bg} {
			go func() { results[i] <- x.Publish(c, 3+i) }()
			synctest.Wait()
		}
		cancel(assert.AnError)
		assert.Equal(t, assert.AnError, <-results[0])
		require.Empty(t, results[1])
		for _, want := range []int{1, 4} {
			e, err := q.Next(bg)
			require.NoError(t, err)
			assert.Equal(t, want, e.Data)
		}
		require.NoError(t, <-results[1])
		q.Cancel()
		closed(t, b)
	})
}

func TestG9_TryPublishNamesTheSubscription(t *testing.T) {
	for _, q := range queues {
		for _, policy := range []eventbus.Overflow{eventbus.Block, eventbus.Fail} {
			t.Run(fmt.Sprint(q.name, policy), func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				full, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: "slow", OnFull: policy, Capacity: 1, Filter: q.filter})
				require.NoError(t, err)
				_, err = x.Queue(bg, eventbus.SubscribeConfig[int]{})
				require.NoError(t, err)
				require.NoError(t, x.TryPublish(bg, 1))
				err = x.TryPublish(bg, 2)
				require.ErrorIs(t, err, eventbus.ErrFull)
				var e *eventbus.Error
				require.ErrorAs(t, err, &e)
				assert.Equal(t, eventbus.Error{Topic: "x", Subscription: "slow", Err: eventbus.ErrFull}, *e)
				_, err = full.Next(bg)
				require.NoError(t, err)
				require.NoError(t, x.TryPublish(bg, 3))
				ctx, cancel := context.WithCancel(bg)
				cancel()
				require.ErrorAs(t, b.Close(ctx), new(*eventbus.DrainError))
			})
		}
	}
}

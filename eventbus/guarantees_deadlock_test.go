package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// relay has a handler of from publish to to once the gate is open, and collects
// what is refused.
func relay(t *testing.T, from, to *eventbus.Topic[int], cfg eventbus.SubscribeConfig[int], gate chan struct{}, refused *[]error) *eventbus.Subscription {
	t.Helper()
	var mu sync.Mutex
	s, err := from.SubscribeWith(bg, cfg, func(ctx context.Context, i int) error {
		<-gate
		if i == 0 {
			return nil
		}
		err := to.Publish(ctx, i-1)
		if err != nil {
			mu.Lock()
			*refused = append(*refused, err)
			mu.Unlock()
		}
		return err
	})
	require.NoError(t, err)
	return s
}

func TestS27_G27_TwoTopicsInACircle(t *testing.T) {
	for _, q := range queues {
		for _, policy := range []eventbus.Overflow{eventbus.Block, eventbus.DropOldest} {
			t.Run(fmt.Sprint(q.name, policy), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := eventbus.MustNew(eventbus.Config{})
					x := eventbus.MustNewTopic[int](b, "A", eventbus.TopicConfig{Capacity: 1})
					y := eventbus.MustNewTopic[int](b, "B", eventbus.TopicConfig{Capacity: 1})
					cfg := eventbus.SubscribeConfig[int]{OnFull: policy, Filter: q.filter}
					var refused [2][]error
					gate := make(chan struct{})
					relay(t, x, y, cfg, gate, &refused[0])
					relay(t, y, x, cfg, gate, &refused[1])
					for range 2 { // one inside each handler, and one behind it
						publish(t, x, 20)
						publish(t, y, 20)
						synctest.Wait()
					}
					close(gate)
					for range 100 {
						require.NoError(t, x.Publish(bg, 20))
						require.NoError(t, y.Publish(bg, 20))
					}
					closedEventually(t, b)
					all := slices.Concat(refused[0], refused[1])
					all = slices.DeleteFunc(all, func(err error) bool { return errors.Is(err, eventbus.ErrClosed) })
					if policy == eventbus.DropOldest {
						assert.Empty(t, all)
						return
					}
					require.NotEmpty(t, all)
					for _, err := range all {
						require.ErrorIs(t, err, eventbus.ErrWouldDeadlock)
						var e *eventbus.Error
						require.ErrorAs(t, err, &e)
						assert.ElementsMatch(t, []string{"A", "B"}, e.Cycle)
						assert.Equal(t, e.Topic, e.Cycle[0])
						assert.Contains(t, e.Error(), "cycle "+e.Cycle[0]+" -> "+e.Cycle[1])
					}
				})
			})
		}
	}
}

// A handler that publishes into its own full topic is told at once.
func TestS28_G27_ItsOwnFullTopic(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 2})
				var errs []error
				s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Filter: q.filter}, func(ctx context.Context, i int) error {
					if i > 0 {
						return nil
					}
					began := time.Now()
					for range 3 {
						errs = append(errs, x.Publish(ctx, 1))
					}
					assert.Zero(t, time.Since(began))
					return nil
				})
				require.NoError(t, err)
				publish(t, x, 0)
				synctest.Wait()
				require.Len(t, errs, 3)
				require.NoError(t, errs[0])
				require.NoError(t, errs[1])
				require.ErrorIs(t, errs[2], eventbus.ErrWouldDeadlock)
				var e *eventbus.Error
				require.ErrorAs(t, errs[2], &e)
				assert.Equal(t, []string{"x"}, e.Cycle)
				closed(t, b)
				accounted(t, 3, s)
			})
		})
	}
}

// Another worker, another subscription's reader or a timer may free the room:
// then a handler waits as anybody.
func TestG27_NoAlarmWhereSomebodyMayFreeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		// Two workers: while one publishes into its own topic the other sleeps.
		var mu sync.Mutex
		var errs []error
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Workers: 2}, func(ctx context.Context, i int) error {
			switch i {
			case 1:
				time.Sleep(time.Minute)
			case 2:
				for range 2 {
					err := x.Publish(ctx, 3)
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 1)
		synctest.Wait()
		publish(t, x, 2)
		synctest.Wait()
		closed(t, b)
		for _, err := range errs { // Close may have come first
			if err != nil {
				assert.NotErrorIs(t, err, eventbus.ErrWouldDeadlock)
			}
		}
		assert.Len(t, errs, 2)
		assert.EqualValues(t, 0, s.Stats().Failed)
	})
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{}) // whose reader is no handler
		require.NoError(t, err)
		_, err = y.Subscribe(bg, x.Publish)
		require.NoError(t, err)
		publish(t, x, 1)
		publish(t, y, 2)
		time.Sleep(time.Hour)
		for _, want := range []int{1, 2} {
			e, err := q.Next(bg)
			require.NoError(t, err)
			assert.Equal(t, want, e.Data)
		}
		q.Cancel()
		closed(t, b)
	})
}

// The circle may close only when the line moves on: those behind the first wait
// for what the first waited for, and then for something else.
func TestG27_FoundWhenTheLineMovesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{Capacity: 1})
		// The reader of q frees room; the handler of x does not, while it publishes to x.
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 2})
		require.NoError(t, err)
		result := make(chan error, 2)
		_, err = x.Subscribe(bg, func(ctx context.Context, i int) error {
			if i == 1 {
				result <- x.Publish(ctx, 10) // room in both
				result <- x.Publish(ctx, 11) // q is full, and this subscription
			}
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 1)
		synctest.Wait()
		require.NoError(t, <-result)
		select {
		case err := <-result:
			require.ErrorIs(t, err, eventbus.ErrWouldDeadlock, "its own subscription is full, whatever q does")
		default:
			for range 2 {
				_, err := q.Next(bg)
				require.NoError(t, err)
			}
			synctest.Wait()
			require.ErrorIs(t, <-result, eventbus.ErrWouldDeadlock)
		}
		q.Cancel()
		closed(t, b)
	})
}

// Handlers on a Sync topic wait with the context of the handler that published.
func TestG27_ThroughASyncTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		s := eventbus.MustNewTopic[int](b, "sync", eventbus.TopicConfig{Sync: true})
		_, err := s.Subscribe(bg, x.Publish)
		require.NoError(t, err)
		var errs []error
		_, err = x.Subscribe(bg, func(ctx context.Context, i int) error {
			if i == 1 {
				errs = append(errs, s.Publish(ctx, 2), s.Publish(ctx, 3))
			}
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 1)
		closedEventually(t, b)
		require.Len(t, errs, 2)
		require.NoError(t, errs[0])
		require.ErrorIs(t, errs[1], eventbus.ErrWouldDeadlock)
	})
}

// closedEventually lets the handlers come to rest before it closes the bus.
func closedEventually(t *testing.T, b *eventbus.Bus) {
	t.Helper()
	synctest.Wait()
	closed(t, b)
}

// The hook is called at 1, 2, 4 ... times StallAfter, about the publisher in
// front, and there is a timer only while somebody waits.
func TestG28_StallsOfALine(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stalls []eventbus.Stall
				began := time.Now()
				var at []time.Duration
				b, x := newTopic[int](t, eventbus.Config{StallAfter: time.Second, Hooks: eventbus.Hooks{Stalled: func(s eventbus.Stall) {
					stalls, at = append(stalls, s), append(at, time.Since(began))
				}}}, eventbus.TopicConfig{Capacity: 1})
				var all []*eventbus.Queue[int]
				for _, name := range []string{"first", "second"} {
					q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: name, Filter: q.filter})
					require.NoError(t, err)
					all = append(all, q)
				}
				roomy, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{Name: "roomy"})
				publish(t, x, 1)
				for i := range 2 {
					go func() { assert.NoError(t, x.Publish(bg, 2+i)) }()
					synctest.Wait()
					time.Sleep(500 * time.Millisecond)
				}
				time.Sleep(2500 * time.Millisecond) // 3.5 s and 3 s
				synctest.Wait()
				assert.Equal(t, []time.Duration{time.Second, 2 * time.Second}, at)
				for i, s := range stalls {
					assert.Equal(t, at[i], s.For)
					assert.Equal(t, 2, s.Waiting)
					require.Len(t, s.Subscriptions, 2)
					assert.Equal(t, "first", s.Subscriptions[0].Name)
					assert.Equal(t, "second", s.Subscriptions[1].Name)
					assert.Equal(t, 1, s.Subscriptions[1].Depth)
				}
				// One of them has room: the stall is that of the other.
				_, err := all[0].Next(bg)
				require.NoError(t, err)
				time.Sleep(time.Second) // 4 s of the first publisher
				synctest.Wait()
				require.Len(t, stalls, 3)
				require.Len(t, stalls[2].Subscriptions, 1)
				assert.Equal(t, "second", stalls[2].Subscriptions[0].Name)
				for _, q := range all {
					q.Cancel()
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				assert.Len(t, stalls, 3, "nobody waits")
				closed(t, b)
				assert.Equal(t, []int{1, 2, 3}, roomy.data())
			})
		})
	}
}

func TestG28_NeverOrByDefault(t *testing.T) {
	for name, c := range map[string]struct {
		after time.Duration
		want  []time.Duration
	}{
		"default": {0, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second}},
		"never":   {-1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var at []time.Duration
				b, x := newTopic[int](t, eventbus.Config{StallAfter: c.after, Hooks: eventbus.Hooks{
					Stalled: func(s eventbus.Stall) { at = append(at, s.For) },
				}}, eventbus.TopicConfig{Capacity: 1})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
				require.NoError(t, err)
				publish(t, x, 1)
				ctx, cancel := context.WithTimeout(bg, time.Minute)
				defer cancel()
				require.ErrorIs(t, x.Publish(ctx, 2), context.DeadlineExceeded)
				time.Sleep(time.Hour)
				synctest.Wait()
				assert.Equal(t, c.want, at)
				assert.Equal(t, time.Minute, x.Stats().Waited)
				q.Cancel()
				closed(t, b)
			})
		})
	}
}

// No timer of an idle bus, or of one with a publisher that does not wait: the
// clock is asked for none.
func TestG28_G41_NoTimerWhereNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &countingClock{Clock: newMock()}
		b, x := newTopic[int](t, eventbus.Config{Clock: c, Hooks: eventbus.Hooks{Stalled: func(eventbus.Stall) {}}}, eventbus.TopicConfig{Capacity: 2})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		_, _ = subscribe(t, x, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: 3}})
		publish(t, x, 1, 2)
		require.ErrorIs(t, x.TryPublish(bg, 3), eventbus.ErrFull)
		synctest.Wait()
		assert.Zero(t, c.timers.Load())
		go func() { assert.NoError(t, x.Publish(bg, 3)) }()
		synctest.Wait()
		assert.EqualValues(t, 1, c.timers.Load())
		q.Cancel()
		closed(t, b)
	})
}

// A countingClock counts what it is asked for.
type countingClock struct {
	eventbus.Clock
	reads, timers atomic.Int64
}

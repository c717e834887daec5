package eventbus_test

import (
	"context"
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

// Cancel returns at once, though the handler runs; what waits is discarded, and
// the call that runs may go on to its end.
func TestG23_CancelDoesNotWait(t *testing.T) {
	for _, k := range queuedKinds {
		var drops []eventbus.Drop
		k.bus.Hooks.Dropped = func(d eventbus.Drop) { drops = append(drops, d) }
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			gate := make(chan struct{})
			var saw []int
			s := k.subscribe(t, b, x, nil, func(ctx context.Context, i int) error {
				<-gate
				assert.NoError(t, ctx.Err())
				saw = append(saw, i)
				return nil
			})
			publish(t, x, 1)
			synctest.Wait()
			publish(t, x, ints(2, 100)...)
			s.Cancel()
			s.Cancel()
			st := s.Stats()
			assert.EqualValues(t, 99, st.Discarded)
			assert.Equal(t, 1, st.Running)
			assert.Zero(t, st.Depth)
			assert.False(t, x.HasSubscribers())
			require.NoError(t, s.Err(), "not yet")
			synctest.Wait()
			select {
			case <-s.Done():
				t.Error("done while a call runs")
			default:
			}
			close(gate)
			<-s.Done()
			publish(t, x, 101)
			synctest.Wait()
			assert.Equal(t, []int{1}, saw)
			assert.NoError(t, s.Err())
			accounted(t, 100, s)
			require.NotEmpty(t, drops)
			assert.Equal(t, eventbus.Drop{Topic: s.Stats().Topic, Subscription: s.Name(), Discarded: 99}, drops[0])
			closed(t, b)
		})
	}
}

// A handler that is removed is not called any more, though events that came
// before are still on their way: after Done none runs or starts.
func TestG23_NothingAfterDone(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		t.Run(k.name, func(t *testing.T) {
			b, x := newTopic[int](t, k.bus, k.topic)
			stop := make(chan struct{})
			var wg sync.WaitGroup
			for range 2 {
				wg.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
							assert.NoError(t, x.Publish(bg, 1))
						}
					}
				})
			}
			for range 50 {
				var over atomic.Bool
				s := k.subscribe(t, b, x, nil, func(context.Context, int) error {
					assert.False(t, over.Load())
					return nil
				})
				for s.Stats().Handled == 0 && k.topic.History == 0 {
					// until it is in the thick of it
					_ = x.HasSubscribers()
				}
				s.Cancel()
				<-s.Done()
				over.Store(true)
				st := s.Stats()
				assert.Zero(t, st.Depth)
				assert.Zero(t, st.Running)
				assert.Equal(t, st, s.Stats(), "the numbers are final")
			}
			close(stop)
			wg.Wait()
			closed(t, b)
		})
	}
}

// A Sync subscription that is cancelled in the middle of a publish is not called
// by it, unless its call has begun.
func TestG23_CancelWithinASyncPublish(t *testing.T) {
	for _, k := range syncKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var second *eventbus.Subscription
			first := k.subscribe(t, b, x, nil, func(context.Context, int) error {
				second.Cancel()
				return nil
			})
			calls := 0
			second = k.subscribe(t, b, x, nil, func(context.Context, int) error {
				calls++
				return nil
			})
			publish(t, x, 1, 2)
			<-second.Done()
			assert.Zero(t, calls)
			assert.EqualValues(t, 1, second.Stats().Discarded, "covered, and not started")
			accounted(t, 1, second)
			accounted(t, 2, first)
			closed(t, b)
		})
	}
}

// From the call of Drain on it takes nothing new, and it is done when the queue
// is empty.
func TestG24_DrainFinishesTheQueue(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var saw []int
			gate := make(chan struct{})
			s := k.subscribe(t, b, x, nil, func(_ context.Context, i int) error {
				<-gate
				saw = append(saw, i)
				return nil
			})
			publish(t, x, ints(1, 100)...)
			results := make(chan error, 2)
			for range 2 {
				go func() { results <- s.Drain(bg) }()
			}
			synctest.Wait()
			require.Empty(t, results)
			publish(t, x, 101)
			assert.False(t, x.HasSubscribers())
			close(gate)
			require.NoError(t, <-results)
			require.NoError(t, <-results)
			<-s.Done()
			assert.Equal(t, ints(1, 100), saw)
			require.NoError(t, s.Err())
			require.NoError(t, s.Drain(bg), "ending twice is harmless")
			s.Cancel()
			accounted(t, 100, s)
			closed(t, b)
		})
	}
}

func TestG24_DrainThatIsCutShort(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var saw []int
			s := k.subscribe(t, b, x, nil, func(ctx context.Context, i int) error {
				saw = append(saw, i)
				<-ctx.Done()
				return context.Cause(ctx)
			})
			publish(t, x, 1)
			synctest.Wait()
			publish(t, x, ints(2, 10)...)
			ctx, cancel := context.WithTimeoutCause(bg, time.Minute, assert.AnError)
			defer cancel()
			began := time.Now()
			err := s.Drain(ctx)
			assert.Equal(t, time.Minute, time.Since(began))
			require.ErrorIs(t, err, assert.AnError)
			var drain *eventbus.DrainError
			require.ErrorAs(t, err, &drain)
			require.Len(t, drain.Left, 1)
			assert.EqualValues(t, 9, drain.Left[0].Discarded)
			assert.Equal(t, s.Name(), drain.Left[0].Name)
			<-s.Done()
			assert.Equal(t, []int{1}, saw)
			require.ErrorIs(t, s.Err(), eventbus.ErrClosed)
			require.NoError(t, s.Drain(ctx))
			assert.EqualValues(t, 1, s.Stats().Failed)
			accounted(t, 10, s)
			closed(t, b)
		})
	}
}

// Two subscriptions of one function are two.
func TestG24_TwinsAreTwo(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var calls atomic.Int32
			fn := func(context.Context, int) error {
				calls.Add(1)
				return nil
			}
			var twins []*eventbus.Subscription
			for range 3 {
				twins = append(twins, k.subscribe(t, b, x, nil, fn))
			}
			publish(t, x, 1)
			require.NoError(t, b.Flush(bg))
			twins[1].Cancel()
			require.NoError(t, twins[0].Drain(bg))
			publish(t, x, 2)
			closed(t, b)
			assert.EqualValues(t, 4, calls.Load())
			assert.EqualValues(t, 2, twins[2].Stats().Handled)
		})
	}
}

// A Sync subscription has no queue to drain, so Drain is Cancel.
func TestG24_DrainOfASyncSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		gate := make(chan struct{})
		s, err := x.Subscribe(bg, func(context.Context, int) error {
			<-gate
			return nil
		})
		require.NoError(t, err)
		go publish(t, x, 1)
		synctest.Wait()
		require.NoError(t, s.Drain(bg), "it does not wait for the publisher")
		select {
		case <-s.Done():
			t.Error("done while a call runs")
		default:
		}
		close(gate)
		<-s.Done()
		closed(t, b)
	})
}

// The end of the context given to Subscribe, even before it returned.
func TestG23_AContextThatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancelCause(bg)
	cancel(assert.AnError)
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			_, err := k.with(b, x, ctx, k.sub, func(context.Context, int) error { return nil })
			assert.Equal(t, assert.AnError, err)
			assert.False(t, x.HasSubscribers())
			closed(t, b)
		})
	}
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	_, err := x.Queue(ctx, eventbus.SubscribeConfig[int]{})
	assert.Equal(t, assert.AnError, err)
	for _, err := range x.Events(ctx) {
		assert.Equal(t, assert.AnError, err)
	}
	closed(t, b)
}

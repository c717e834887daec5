package eventbus_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Defects, seen in the libraries named, of those who consume.

// kelindar/event: consumers look for events every 500 us, busy or not, so that
// what is published waits for the next look, idle types burn CPU, and a goroutine
// for each type outlives its subscribers. In a bubble time stands still as long as
// somebody can run: an event that is handled at its own instant waited for no timer.
func TestTrap_consumersThatPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		base := runtime.NumGoroutine()
		var at []time.Time
		s, err := x.Subscribe(bg, func(context.Context, int) error {
			at = append(at, time.Now())
			return nil
		})
		require.NoError(t, err)
		for range 3 {
			published := time.Now()
			publish(t, x, 1)
			synctest.Wait()
			assert.Equal(t, published, at[len(at)-1])
			time.Sleep(time.Hour)
		}
		s.Cancel()
		<-s.Done()
		synctest.Wait()
		assert.Equal(t, base, runtime.NumGoroutine())
		closed(t, b)
	})
}

// kelindar/event: the limit of a queue begins anew with every look, so a stuck
// handler piles up events without end. tailscale: queues without bounds.
func TestTrap_limitsThatAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 10})
		g, s := stuck(t, x, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest})
		for i := range 1000 {
			publish(t, x, i)
			time.Sleep(time.Millisecond)
		}
		assert.Equal(t, 10, s.Stats().Depth)
		assert.Equal(t, 1, s.Stats().Running)
		g.open()
		closed(t, b)
		assert.Len(t, g.data(), 11)
	})
}

// asaskevich/EventBus: the code of a function is compared, so that unsubscribing
// one closure removes another.
func TestTrap_closuresOfOneFunction(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
	var saw []int
	closure := func(id int) func(context.Context, int) error {
		return func(context.Context, int) error {
			saw = append(saw, id)
			return nil
		}
	}
	var subs []*eventbus.Subscription
	for id := range 3 {
		s, err := x.Subscribe(bg, closure(id))
		require.NoError(t, err)
		subs = append(subs, s)
	}
	subs[2].Cancel()
	publish(t, x, 1)
	assert.Equal(t, []int{0, 1}, saw)
	closed(t, b)
}

// cskr/pubsub, dustin/go-broadcast: unsubscribing on the goroutine that reads
// deadlocks, because the other side waits for it to read.
func TestTrap_unsubscribingWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		var queues []*eventbus.Queue[int]
		for range 2 {
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
			require.NoError(t, err)
			queues = append(queues, q)
		}
		together(
			func() {
				for i := range 10 {
					assert.NoError(t, x.Publish(bg, i))
				}
			},
			func() {
				for e := range queues[0].Chan() {
					if e.Data == 3 {
						queues[0].Cancel()
						<-queues[0].Done()
					}
				}
			},
			func() {
				for e, err := range queues[1].Events(bg) {
					assert.NoError(t, err)
					if e.Data == 5 {
						queues[1].Cancel()
					}
				}
			},
		)
		closed(t, b)
	})
}

// tailscale: a second subscription to a type panics. maniartech/signals: handlers
// that return errors are skipped, and those without a key cannot be removed.
func TestTrap_subscribingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		calls := 0
		var mu sync.Mutex
		fn := func(context.Context, order) error {
			mu.Lock()
			defer mu.Unlock()
			calls++
			return assert.AnError
		}
		first, err := eventbus.Subscribe(bg, b, fn)
		require.NoError(t, err)
		_, err = eventbus.Subscribe(bg, b, fn)
		require.NoError(t, err)
		require.NoError(t, eventbus.Publish(bg, b, order{1}))
		synctest.Wait()
		first.Cancel()
		require.NoError(t, eventbus.Publish(bg, b, order{2}))
		closed(t, b)
		assert.Equal(t, 3, calls)
	})
}

// tokio's broadcast: a loop over events ends without a word when it has lagged, as
// if that were the end.
func TestTrap_aLoopThatEndsAtLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 2})
		require.NoError(t, err)
		publish(t, x, 1, 2, 3, 4)
		go func() { assert.NoError(t, b.Close(bg)) }()
		var saw []int
		var lag uint64
		for e, err := range q.Events(bg) {
			require.NoError(t, err)
			saw, lag = append(saw, e.Data), lag+e.Lag
		}
		assert.Equal(t, []int{3, 4}, saw)
		assert.EqualValues(t, 2, lag)
	})
}

// By hand: "take one, put one" as drop-oldest loses the order with two publishers
// and hangs at capacity 0; the channel is closed while somebody sends.
func TestTrap_dropOldestByHand(t *testing.T) {
	for _, q := range queues {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropOldest, Capacity: 1, Filter: q.filter})
		require.NoError(t, err)
		var last int64
		var sum uint64
		together(
			func() {
				for range 2000 {
					assert.NoError(t, x.Publish(bg, 1))
				}
			},
			func() {
				for range 2000 {
					assert.NoError(t, x.Publish(bg, 2))
				}
				q.Cancel()
			},
			func() {
				for e := range q.Chan() {
					assert.Greater(t, e.Seq, last)
					last = e.Seq
					sum += 1 + e.Lag
				}
			},
		)
		<-q.Done()
		st := q.Stats()
		assert.GreaterOrEqual(t, st.Handled+st.Lagged+st.Discarded, uint64(2000))
		assert.LessOrEqual(t, sum, st.Handled+st.Lagged)
		closed(t, b)
	}
}

// defradb: a buffer that nobody reads blocks for ever, and nobody knows who.
func TestTrap_aQueueThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stalled []string
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Stalled: func(s eventbus.Stall) {
			for _, sub := range s.Subscriptions {
				stalled = append(stalled, sub.Name)
			}
		}}}, eventbus.TopicConfig{Capacity: 1})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: "forgotten"})
		require.NoError(t, err)
		publish(t, x, 1)
		ctx, cancel := context.WithTimeout(bg, 6*time.Second)
		defer cancel()
		require.ErrorIs(t, x.Publish(ctx, 2), context.DeadlineExceeded)
		synctest.Wait()
		assert.Equal(t, []string{"forgotten"}, stalled)
		q.Cancel()
		closed(t, b)
	})
}

// AxonFramework, MediatR: one handler that fails silences those after it.
func TestTrap_oneFailureSilencesTheRest(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
	calls := 0
	for i := range 5 {
		_, err := x.Subscribe(bg, func(context.Context, int) error {
			calls++
			switch i {
			case 1:
				return errors.New("second")
			case 2:
				panic("third")
			}
			return nil
		})
		require.NoError(t, err)
	}
	err := x.Publish(bg, 1)
	assert.Equal(t, 5, calls)
	require.ErrorContains(t, err, "second")
	require.ErrorContains(t, err, "third")
	closed(t, b)
}

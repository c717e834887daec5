package eventbus_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A nosy context calls a function when somebody asks it for a value, once.
type nosy struct {
	context.Context //nolint:containedctx // it is a context
	once            sync.Once
	asked           func()
}

func (c *nosy) Value(key any) any {
	c.once.Do(c.asked)
	return c.Context.Value(key)
}

// A publish that is about to wait looks at its context. If the subscriptions
// change just then, it is judged by those that there are now.
func TestG20_SubscriptionsThatChangeInThatMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		full, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 1)
		var picky *journal[int]
		var s *eventbus.Subscription
		require.NoError(t, x.Publish(&nosy{Context: bg, asked: func() {
			full.Cancel()
			picky, s = subscribe(t, x, eventbus.SubscribeConfig[int]{Filter: func(int) bool { return false }})
		}}, 2))
		synctest.Wait()
		assert.Empty(t, picky.data())
		assert.EqualValues(t, 1, s.Stats().Filtered)

		full, err = x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 3)
		var easy *journal[int]
		require.NoError(t, x.Publish(&nosy{Context: bg, asked: func() {
			full.Cancel()
			s.Cancel()
			easy, s = subscribe(t, x, eventbus.SubscribeConfig[int]{OnFull: eventbus.Unbounded})
		}}, 4))
		synctest.Wait()
		assert.Equal(t, []int{4}, easy.data())
		closed(t, b)
	})
}

// A counting clock tells how many timers it was asked for, and how many of them ran.
type counting struct {
	clock.Clock
	made, ran int
}

func (c *counting) AfterFunc(d time.Duration, f func()) *clock.Timer {
	c.made++
	return c.Clock.AfterFunc(d, func() {
		c.ran++
		f()
	})
}

// Timers that are not needed any more are stopped.
func TestG41_TimersAreStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{Clock: clock.New()}
		b, x := newTopic[int](t, eventbus.Config{Clock: c, Hooks: eventbus.Hooks{Stalled: func(eventbus.Stall) {}}}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 1)
		go publish(t, x, 2)
		synctest.Wait()
		assert.Equal(t, 1, c.made, "of the publisher that waits")
		q.Cancel()
		synctest.Wait()

		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Timeout: time.Second}, func(context.Context, int) error { return nil })
		require.NoError(t, err)
		publish(t, x, 3)
		synctest.Wait()
		assert.Equal(t, 2, c.made, "of an attempt")
		s.Cancel()

		s, err = x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: 2, Wait: time.Second}},
			func(context.Context, int) error { return assert.AnError })
		require.NoError(t, err)
		publish(t, x, 4)
		synctest.Wait()
		assert.Equal(t, 3, c.made, "of a wait between attempts")
		s.Cancel()
		<-s.Done()

		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Zero(t, c.ran)
		assert.Equal(t, 3, c.made)
		closed(t, b)
	})
}

package eventbus_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A drain forgets no loss: neither that before what history had, nor that of the
// events that wait, and both are told.
func TestG22_LagSurvivesADrain(t *testing.T) {
	for name, c := range map[string]struct {
		from int64
		full eventbus.Overflow
		lag  uint64
	}{
		"not retained":             {1, eventbus.Block, 3},
		"overflow":                 {0, eventbus.DropOldest, 4},
		"not retained, overflowed": {1, eventbus.DropOldest, 7},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told uint64
				b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
					Dropped: func(d eventbus.Drop) { told += d.Lagged },
				}}, eventbus.TopicConfig{History: 2})
				publish(t, x, ints(1, 5)...)
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{From: c.from, OnFull: c.full, Capacity: 2})
				require.NoError(t, err)
				covered := 0
				if c.from == 1 {
					covered = 5
				}
				if c.full == eventbus.DropOldest {
					publish(t, x, ints(6, 11)...)
					covered += 6
				}
				want := c.lag
				if c.from == 1 && c.full == eventbus.DropOldest {
					want = 9 // 3, what is left of the replay, and 4
				}
				drained := false
				go func() {
					assert.NoError(t, q.Drain(bg))
					drained = true
				}()
				synctest.Wait()
				e, err := q.Next(bg)
				require.NoError(t, err)
				assert.Equal(t, want, e.Lag)
				for range 2 {
					_, err = q.Next(bg)
				}
				require.ErrorIs(t, err, eventbus.ErrClosed)
				synctest.Wait()
				assert.True(t, drained)
				accounted(t, covered, q.Subscription)
				assert.Equal(t, want, q.Stats().Lagged)
				if c.from == 0 {
					assert.Equal(t, want, told)
				}
				closed(t, b)
			})
		})
	}
}

// The end of a subscription may come between the receiving of an event and the
// channel's noticing it.
func TestG14_ReceivedAndCancelledAtOnce(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			for range 200 {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: q.filter})
				require.NoError(t, err)
				publish(t, x, 1, 2, 3)
				c := q.Chan()
				<-c
				<-c
				q.Cancel()
				<-q.Done()
				for range c { // until it is closed, when all is counted
				}
				accounted(t, 3, q.Subscription)
				assert.EqualValues(t, 2, q.Stats().Handled)
				closed(t, b)
			}
		})
	}
}

// What waited when a drain began comes with its own context, as the rest does.
func TestG15_ContextsSurviveADrain(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			gate := make(chan struct{})
			var seen []any
			s := k.subscribe(t, b, x, nil, func(ctx context.Context, _ int) error {
				<-gate
				seen = append(seen, ctx.Value(ctxKey{}))
				return nil
			})
			var want []any
			for _, v := range []string{"a", "b", "b", "c"} {
				require.NoError(t, x.Publish(context.WithValue(bg, ctxKey{}, v), 1))
				synctest.Wait()
				want = append(want, v)
			}
			go func() { assert.NoError(t, s.Drain(bg)) }()
			synctest.Wait()
			close(gate)
			<-s.Done()
			assert.Equal(t, want, seen)
			closed(t, b)
		})
	}
}

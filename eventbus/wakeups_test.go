package eventbus_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Flush does not wait for what comes after it, even if that comes before the
// worker takes its next events, several at once.
func TestG33_FlushDoesNotWaitForLaterEvents(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			gates := map[int]chan struct{}{1: make(chan struct{}), 3: make(chan struct{})}
			k.subscribe(t, b, x, nil, func(_ context.Context, i int) error {
				if g := gates[i]; g != nil {
					<-g
				}
				return nil
			})
			publish(t, x, 1)
			synctest.Wait()
			publish(t, x, 2)
			flushed := false
			go func() {
				assert.NoError(t, b.Flush(bg))
				flushed = true
			}()
			synctest.Wait()
			publish(t, x, 3, 4)
			synctest.Wait()
			assert.False(t, flushed)
			close(gates[1])
			synctest.Wait()
			assert.True(t, flushed, "while 3 is being handled")
			close(gates[3])
			closed(t, b)
		})
	}
}

// Whichever way an event is published, a worker that waits is woken for it, while
// another is stuck.
func TestG33_EveryPublishWakes(t *testing.T) {
	for name, untimed := range map[string]bool{"timed": false, "untimed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Untimed: untimed})
				gate := make(chan struct{})
				_, err := x.Subscribe(bg, func(context.Context, int) error {
					<-gate
					return nil
				})
				require.NoError(t, err)
				var seen []int
				_, err = x.Subscribe(bg, func(_ context.Context, i int) error {
					seen = append(seen, i)
					return nil
				})
				require.NoError(t, err)
				for i := 0; i < 20; i += 5 {
					publish(t, x, i+1)
					synctest.Wait()
					assert.Equal(t, ints(1, i+1), seen)
					n, err := x.PublishBatch(bg, ints(i+2, i+4))
					require.NoError(t, err)
					require.Equal(t, 3, n)
					synctest.Wait()
					assert.Equal(t, ints(1, i+4), seen)
					require.NoError(t, x.TryPublish(bg, i+5))
					synctest.Wait()
					assert.Equal(t, ints(1, i+5), seen)
				}
				close(gate)
				closed(t, b)
			})
		})
	}
}

// Whoever comes to read beside a loop gets what the loop does not, even if it only
// holds an event out to others.
func TestG25_TheChannelBesideALoop(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: q.filter})
				require.NoError(t, err)
				publish(t, x, ints(1, 6)...)
				var seen []int
				var c <-chan eventbus.Event[int]
				for e, err := range q.Events(bg) {
					require.NoError(t, err)
					if seen = append(seen, e.Data); e.Data == 2 {
						c = q.Chan()
						synctest.Wait() // it has 3
					}
					if len(seen) == 5 {
						break
					}
				}
				seen = append(seen, (<-c).Data)
				assert.Equal(t, []int{1, 2, 4, 5, 6, 3}, seen)
				closed(t, b)
				accounted(t, 6, q.Subscription)
				assert.EqualValues(t, 6, q.Stats().Handled)
			})
		})
	}
}

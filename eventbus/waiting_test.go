package eventbus_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Nobody overtakes a publisher that waits, though there would be room, nor changes
// what is told of it. Once it gives up, the next are let in.
func TestG8_NobodyOvertakesABatch(t *testing.T) {
	for _, q := range queues {
		for _, gives := range []bool{false, true} {
			t.Run(fmt.Sprint(q.name, " gives up=", gives), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var stalls []eventbus.Stall
					b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
						Stalled: func(s eventbus.Stall) { stalls = append(stalls, s) },
					}}, eventbus.TopicConfig{Untimed: true})
					g, s := stuck(t, x, eventbus.SubscribeConfig[int]{Capacity: 4, Filter: q.filter})
					publish(t, x, 1)
					synctest.Wait()
					publish(t, x, 2, 3)
					ctx, cancel := context.WithCancelCause(bg)
					go func() {
						n, err := x.PublishBatch(ctx, ints(4, 7))
						if gives {
							assert.ErrorIs(t, err, assert.AnError)
							assert.Zero(t, n)
							return
						}
						assert.NoError(t, err)
						assert.Equal(t, 4, n)
					}()
					synctest.Wait()
					in := false
					go func() {
						publish(t, x, 8)
						in = true
					}()
					synctest.Wait()
					require.ErrorIs(t, x.TryPublish(bg, 9), eventbus.ErrFull)
					assert.Equal(t, 2, x.Stats().Waiting)
					assert.Equal(t, 2, s.Stats().Depth)
					time.Sleep(6 * time.Second)
					synctest.Wait()
					require.Len(t, stalls, 1)
					assert.Equal(t, 2, stalls[0].Waiting)
					require.Len(t, stalls[0].Subscriptions, 1)
					assert.Equal(t, s.Name(), stalls[0].Subscriptions[0].Name)
					if gives {
						cancel(assert.AnError)
						synctest.Wait()
						assert.True(t, in)
					}
					g.open()
					synctest.Wait()
					closed(t, b)
					cancel(nil)
					if gives {
						assert.Equal(t, []int{1, 2, 3, 8}, g.data())
						return
					}
					assert.Equal(t, ints(1, 8), g.data())
				})
			})
		}
	}
}

// Who comes while a publisher waits, and looks at the time, gets it.
func TestG43_TheTimeOfAnEventThatWaited(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				gate := make(chan struct{})
				_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Capacity: 1, Filter: q.filter}, func(context.Context, int) error {
					<-gate
					return nil
				})
				require.NoError(t, err)
				publish(t, x, 1)
				synctest.Wait()
				publish(t, x, 2)
				go publish(t, x, 3)
				synctest.Wait()
				j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
				close(gate)
				synctest.Wait()
				closed(t, b)
				require.Equal(t, []int{3}, j.data())
				assert.False(t, j.all()[0].Time().IsZero())
			})
		})
	}
}

// After a publish that disconnected somebody those who wait are let in as before.
func TestG8_LetInAfterADisconnection(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				slow, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.Disconnect, Capacity: 1})
				require.NoError(t, err)
				full, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 2, Filter: q.filter})
				require.NoError(t, err)
				publish(t, x, 1, 2)
				require.ErrorIs(t, slow.Err(), eventbus.ErrFull)
				in := false
				go func() {
					publish(t, x, 3)
					in = true
				}()
				synctest.Wait()
				assert.False(t, in)
				_, err = full.Next(bg)
				require.NoError(t, err)
				synctest.Wait()
				assert.True(t, in)
				full.Cancel()
				closed(t, b)
			})
		})
	}
}

// One that drains takes nothing new, so it does not make a publish mandatory.
func TestG11_MandatoryWhileTheLastDrains(t *testing.T) {
	for _, q := range queues {
		t.Run(q.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				g, s := stuck(t, x, eventbus.SubscribeConfig[int]{Filter: q.filter})
				publish(t, x, 1)
				synctest.Wait()
				go func() { assert.NoError(t, s.Drain(bg)) }()
				synctest.Wait()
				assert.False(t, x.HasSubscribers())
				require.ErrorIs(t, x.PublishWith(bg, eventbus.PublishConfig{Mandatory: true}, 2), eventbus.ErrNoSubscriber)
				assert.EqualValues(t, 1, x.Stats().Seq)
				g.open()
				closed(t, b)
			})
		})
	}
}

// What a full subscription will not take needs no room there: events of another
// type, and those at which its functions panic.
func TestG20_WhatIsNotTakenNeedsNoRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[any](t, eventbus.Config{}, eventbus.TopicConfig{})
		gate := make(chan struct{})
		p, err := eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[fmt.Stringer]{Capacity: 1},
			func(context.Context, eventbus.Event[fmt.Stringer]) error {
				<-gate
				return nil
			})
		require.NoError(t, err)
		s, err := x.Queue(bg, eventbus.SubscribeConfig[any]{Capacity: 2, Filter: func(v any) bool { return v.(time.Duration) >= 0 }})
		require.NoError(t, err)
		require.NoError(t, x.Publish(bg, time.Second))
		synctest.Wait()
		require.NoError(t, x.Publish(bg, time.Second))
		require.NoError(t, x.TryPublish(bg, 1))
		require.ErrorIs(t, x.TryPublish(bg, time.Second), eventbus.ErrFull)
		assert.EqualValues(t, 1, s.Stats().Failed)
		assert.Equal(t, 2, s.Stats().Depth)
		assert.Equal(t, 1, p.Stats().Depth)
		close(gate)
		s.Cancel()
		closed(t, b)
		accounted(t, 2, p)
	})
}

// A stubborn clock runs functions although their timers were stopped.
type stubborn struct {
	clock.Clock
	timers int
}

func (c *stubborn) AfterFunc(d time.Duration, f func()) *clock.Timer {
	c.timers++
	time.AfterFunc(d, f)
	return c.Clock.AfterFunc(1000*time.Hour, func() {})
}

// A timer of a publisher that waits no more reports nothing, of nobody, and is the
// last.
func TestG28_TimersThatComeTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &stubborn{Clock: clock.New()}
		var stalls []eventbus.Stall
		b, x := newTopic[int](t, eventbus.Config{Clock: c, Hooks: eventbus.Hooks{
			Stalled: func(s eventbus.Stall) { stalls = append(stalls, s) },
		}}, eventbus.TopicConfig{})
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 1)
		for i := range 3 {
			go publish(t, x, 2+i)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			_, err := q.Next(bg)
			require.NoError(t, err)
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Empty(t, stalls)
		assert.Equal(t, 3, c.timers)
		q.Cancel()
		closed(t, b)
	})
}

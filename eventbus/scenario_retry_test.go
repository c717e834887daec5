package eventbus_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestS5_RetriesAtTheirInstants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		type call struct {
			data int
			at   time.Duration
		}
		began := time.Now()
		var mu sync.Mutex
		var calls []call
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(calls)
		}
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: 3, Wait: 100 * time.Millisecond}},
			func(_ context.Context, i int) error {
				mu.Lock()
				defer mu.Unlock()
				calls = append(calls, call{i, time.Since(began)})
				if len(calls) < 3 {
					return assert.AnError
				}
				return nil
			})
		require.NoError(t, err)
		publish(t, x, 1, 2)
		for _, step := range []struct{ wait, calls int }{{100, 1}, {200, 2}} {
			wait := time.Duration(step.wait) * time.Millisecond
			time.Sleep(wait - 1)
			synctest.Wait()
			require.Equal(t, step.calls, count(), "one nanosecond earlier nothing")
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			require.Greater(t, count(), step.calls)
		}
		closed(t, b)
		assert.Equal(t, []call{{1, 0}, {1, 100 * time.Millisecond}, {1, 300 * time.Millisecond}, {2, 300 * time.Millisecond}}, calls)
		st := s.Stats()
		assert.EqualValues(t, 2, st.Handled)
		assert.EqualValues(t, 2, st.Retried)
		assert.Zero(t, st.Failed)
	})
}

func TestS7_FailuresGoToTheDeadLetterTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
		letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
		rng := rand.New(rand.NewPCG(7, 7))
		var bad, want, good []int
		for i := range 1000 {
			if rng.IntN(3) == 0 {
				bad = append(bad, i)
			} else {
				want = append(want, i)
			}
		}
		fails := make(map[int]bool)
		for _, i := range bad {
			fails[i] = true
		}
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: 2, Wait: -1}},
			func(_ context.Context, i int) error {
				if fails[i] {
					return assert.AnError
				}
				good = append(good, i)
				return nil
			})
		require.NoError(t, err)
		publish(t, x, ints(0, 999)...)
		closed(t, b)
		assert.Equal(t, want, good)
		var buried []int
		for _, f := range letters.data() {
			buried = append(buried, f.Event.Data.(int))
			assert.Equal(t, 2, f.Attempts)
			assert.True(t, f.Final)
			assert.Equal(t, s.Name(), f.Subscription)
			assert.ErrorIs(t, f.Err, assert.AnError)
		}
		assert.Equal(t, bad, buried)
		accounted(t, 1000, s)
	})
}

func TestS22_FailedHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var saw []eventbus.Failure
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{
			Failed: func(_ context.Context, f eventbus.Failure) {
				saw = append(saw, f)
				panic("hook")
			},
		}}, eventbus.TopicConfig{})
		var called []int
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Name: "billing"}, func(_ context.Context, i int) error {
			called = append(called, i)
			return assert.AnError
		})
		require.NoError(t, err)
		publish(t, x, 1, 2)
		closed(t, b)
		assert.Equal(t, []int{1, 2}, called)
		require.Len(t, saw, 2)
		for i, f := range saw {
			assert.Equal(t, i+1, f.Event.Data)
			assert.Equal(t, "billing", f.Subscription)
			assert.Equal(t, 1, f.Attempts)
			assert.ErrorIs(t, f.Err, assert.AnError)
		}
		assert.EqualValues(t, 2, x.Stats().HookPanics)
	})
}

func TestS23_NoDeadLetterAboutDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
		var letters []any
		s, err := dead.Subscribe(bg, func(_ context.Context, f eventbus.Failure) error {
			letters = append(letters, f.Event.Data)
			return assert.AnError
		})
		require.NoError(t, err)
		_, err = x.Subscribe(bg, func(context.Context, int) error { return assert.AnError })
		require.NoError(t, err)
		publish(t, x, 7)
		closed(t, b)
		assert.Equal(t, []any{7}, letters)
		assert.EqualValues(t, 1, s.Stats().Failed)
		assert.EqualValues(t, 1, dead.Stats().Seq)
	})
	b := eventbus.MustNew(eventbus.Config{})
	dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
	_, err := eventbus.NewTopic[eventbus.Failure](b, "dead.dead", eventbus.TopicConfig{DeadLetter: dead})
	assert.ErrorContains(t, err, "DeadLetter")
	_, err = dead.SubscribeWith(bg, eventbus.SubscribeConfig[eventbus.Failure]{DeadLetter: dead},
		func(context.Context, eventbus.Failure) error { return nil })
	assert.ErrorContains(t, err, "DeadLetter")
}

func TestS40_TimeoutAtItsInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		began := time.Now()
		var at []time.Duration
		var data []int
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Timeout: time.Second, Retry: eventbus.Retry{Attempts: 2, Wait: -1}},
			func(ctx context.Context, i int) error {
				data = append(data, i)
				if i == 2 {
					return nil
				}
				<-ctx.Done()
				at = append(at, time.Since(began))
				assert.Equal(t, context.DeadlineExceeded, context.Cause(ctx))
				return context.Cause(ctx)
			})
		require.NoError(t, err)
		publish(t, x, 1, 2)
		closed(t, b)
		assert.Equal(t, []time.Duration{time.Second, 2 * time.Second}, at)
		assert.Equal(t, []int{1, 1, 2}, data, "the next attempt, then the next event")
		assert.EqualValues(t, 1, s.Stats().Failed)
		assert.EqualValues(t, 1, s.Stats().Handled)
	})
}

package eventbus_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// failures is a hook that writes down what it is told.
type failures struct {
	mu  sync.Mutex
	all []eventbus.Failure
}

func (f *failures) hook(_ context.Context, failure eventbus.Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, failure)
}

func (f *failures) list() []eventbus.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all)
}

// The hook is told of every failed attempt, the last one as final; then comes the
// dead letter, with all that is known.
func TestG16_FailedThenRetryThenTheDeadLetter(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		var told failures
		k.bus.Hooks.Failed = told.hook
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead.letters", eventbus.TopicConfig{})
			letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
			attempts := 0
			s := k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) {
				c.Name, c.DeadLetter = "billing", dead
				c.Retry = eventbus.Retry{Attempts: 3, Wait: time.Second}
				if k.name == "pattern of any" { // which would take its own dead letters
					c.Filter = func(int) bool { return true }
				}
			}, func(context.Context, int) error {
				attempts++
				return errors.Join(assert.AnError)
			})
			ctx := context.WithValue(bg, ctxKey{}, "v")
			_ = x.PublishWith(ctx, eventbus.PublishConfig{Key: "k", Header: map[string]string{"h": "1"}}, 7)
			closed(t, b)
			assert.Equal(t, 3, attempts)

			check := func(f eventbus.Failure, attempts int, final bool) {
				assert.Equal(t, 7, f.Event.Data)
				assert.EqualValues(t, 1, f.Event.Seq)
				assert.Equal(t, "x", f.Event.Topic())
				assert.Equal(t, "k", f.Event.Key())
				assert.Equal(t, "1", f.Event.Header("h"))
				assert.NotEmpty(t, f.Event.ID())
				assert.False(t, f.Event.Time().IsZero())
				assert.Equal(t, "v", f.Event.Context().Value(ctxKey{}))
				assert.Equal(t, "billing", f.Subscription)
				assert.Equal(t, attempts, f.Attempts)
				assert.Equal(t, final, f.Final)
				assert.ErrorIs(t, f.Err, assert.AnError)
			}
			all := told.list()
			require.Len(t, all, 3)
			for i, f := range all {
				check(f, i+1, i == 2)
			}
			require.Len(t, letters.data(), 1)
			check(letters.data()[0], 3, true)
			assert.EqualValues(t, 1, s.Stats().Failed)
			assert.EqualValues(t, 2, s.Stats().Retried)
		})
	}
}

// A subscription that ends while it waits to retry gives the event up.
func TestG16_TheEndInARetryWait(t *testing.T) {
	ends := map[string]func(b *eventbus.Bus, s *eventbus.Subscription, cancel func()){
		"Cancel":  func(_ *eventbus.Bus, s *eventbus.Subscription, _ func()) { s.Cancel() },
		"context": func(_ *eventbus.Bus, _ *eventbus.Subscription, cancel func()) { cancel() },
		"Drain": func(_ *eventbus.Bus, s *eventbus.Subscription, _ func()) {
			ctx, cancel := context.WithTimeout(bg, time.Second)
			defer cancel()
			_ = s.Drain(ctx)
		},
	}
	for name, end := range ends {
		for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
			var told failures
			k.bus.Hooks.Failed = told.hook
			k.name = name + ": " + k.name
			k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
				dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead.letters", eventbus.TopicConfig{})
				letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				calls := 0
				s := k.subscribeCtx(ctx, t, b, x, func(c *eventbus.SubscribeConfig[int]) {
					c.DeadLetter = dead
					c.Retry = eventbus.Retry{Attempts: -1, Wait: time.Hour, MaxWait: -1}
				}, func(context.Context, int) error {
					calls++
					return assert.AnError
				})
				go func() { _ = x.Publish(bg, 1) }()
				synctest.Wait()
				if !k.topic.Sync {
					publish(t, x, 2)
				}
				time.Sleep(3 * time.Hour) // called at 0 h, 1 h and 3 h
				synctest.Wait()
				end(b, s, cancel)
				<-s.Done()
				closed(t, b)
				assert.Equal(t, 3, calls)
				all := told.list()
				require.Len(t, all, 4)
				assert.Equal(t, []int{1, 2, 3, 3}, []int{all[0].Attempts, all[1].Attempts, all[2].Attempts, all[3].Attempts})
				assert.Equal(t, []bool{false, false, false, true}, []bool{all[0].Final, all[1].Final, all[2].Final, all[3].Final})
				require.Len(t, letters.data(), 1)
				assert.Equal(t, 3, letters.data()[0].Attempts)
				assert.EqualValues(t, 1, s.Stats().Failed)
				if !k.topic.Sync {
					assert.EqualValues(t, 1, s.Stats().Discarded)
				}
			})
		}
	}
}

// A dead letter that cannot be published is reported.
func TestG16_ADeadLetterThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told failures
		b, err := eventbus.New(eventbus.Config{Hooks: eventbus.Hooks{Failed: told.hook}})
		require.NoError(t, err)
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		full, err := dead.Queue(bg, eventbus.SubscribeConfig[eventbus.Failure]{Capacity: 1, OnFull: eventbus.Fail})
		require.NoError(t, err)
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
		_, err = x.Subscribe(bg, func(context.Context, int) error { return assert.AnError })
		require.NoError(t, err)
		publish(t, x, 1, 2)
		synctest.Wait()
		full.Cancel()
		closed(t, b)
		all := told.list()
		require.Len(t, all, 3)
		last := all[2]
		assert.Equal(t, 2, last.Event.Data)
		assert.True(t, last.Final)
		require.ErrorIs(t, last.Err, eventbus.ErrFull)
		require.ErrorIs(t, last.Err, assert.AnError)
	})
}

// The waits of a Retry, as they are observed.
func TestG16_Waits(t *testing.T) {
	const ms = time.Millisecond
	cases := map[string]struct {
		retry eventbus.Retry
		want  []time.Duration // between the calls
	}{
		"defaults": {eventbus.Retry{Attempts: 12}, []time.Duration{
			100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 30000 * ms, 30000 * ms,
		}},
		"capped":       {eventbus.Retry{Attempts: 4, Wait: time.Second, MaxWait: 3 * time.Second}, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}},
		"a long Wait":  {eventbus.Retry{Attempts: 3, Wait: time.Hour}, []time.Duration{time.Hour, time.Hour}},
		"Wait > Max":   {eventbus.Retry{Attempts: 3, Wait: time.Hour, MaxWait: time.Second}, []time.Duration{time.Second, time.Second}},
		"no cap":       {eventbus.Retry{Attempts: 4, Wait: time.Hour, MaxWait: -1}, []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour}},
		"no wait":      {eventbus.Retry{Attempts: 3, Wait: -1}, []time.Duration{0, 0}},
		"one call":     {eventbus.Retry{Attempts: 1, Wait: time.Hour}, nil},
		"none":         {eventbus.Retry{}, nil},
		"never longer": {eventbus.Retry{Attempts: 3, Wait: math.MaxInt64 / 8, MaxWait: math.MaxInt64 / 6}, []time.Duration{math.MaxInt64 / 8, math.MaxInt64 / 6}},
		"Delay": {eventbus.Retry{Attempts: 9, Wait: time.Hour, Delay: func(attempt int, err error) time.Duration {
			if err != assert.AnError || attempt == 4 { //nolint:errorlint // that very error
				return -1
			}
			return time.Duration(attempt) * time.Minute
		}}, []time.Duration{time.Minute, 2 * time.Minute, 3 * time.Minute}},
		"Delay of nothing": {eventbus.Retry{Attempts: 3, Delay: func(int, error) time.Duration { return 0 }}, []time.Duration{0, 0}},
	}
	for name, c := range cases {
		for _, sync := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: sync})
					var at []time.Time
					s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Retry: c.retry}, func(context.Context, int) error {
						at = append(at, time.Now())
						return assert.AnError
					})
					require.NoError(t, err)
					_ = x.Publish(bg, 1)
					closed(t, b)
					var got []time.Duration
					for i := range at[1:] {
						got = append(got, at[i+1].Sub(at[i]))
					}
					assert.Equal(t, c.want, got)
					assert.EqualValues(t, 1, s.Stats().Failed)
				})
			})
		}
	}
}

// What a handler returns after its time decides, and it is never abandoned.
func TestG17_TheHandlerDecides(t *testing.T) {
	for _, k := range slices.Concat(queuedKinds[:], syncKinds[:]) {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			running, most := 0, 0
			began := time.Now()
			var causes []error
			s := k.subscribe(t, b, x, func(c *eventbus.SubscribeConfig[int]) { c.Timeout = time.Second }, func(ctx context.Context, i int) error {
				running++
				most = max(most, running)
				deadline, ok := ctx.Deadline()
				assert.True(t, ok)
				assert.Equal(t, time.Second, time.Until(deadline))
				<-ctx.Done()
				assert.Equal(t, time.Duration(i)*time.Minute+time.Second, time.Since(began))
				causes = append(causes, context.Cause(ctx))
				time.Sleep(time.Minute - time.Second) // it pays no heed
				running--
				if i == 1 {
					return ctx.Err()
				}
				return nil
			})
			for i := range 3 {
				_ = x.Publish(bg, i)
			}
			closed(t, b)
			assert.Equal(t, 1, most)
			assert.Equal(t, slices.Repeat([]error{context.DeadlineExceeded}, 3), causes)
			assert.EqualValues(t, 2, s.Stats().Handled)
			assert.EqualValues(t, 1, s.Stats().Failed)
		})
	}
}

// Each attempt has its own time, and the context of one ends with it.
func TestG17_EachAttemptHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		var left []context.Context
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{
			Timeout: time.Second, Retry: eventbus.Retry{Attempts: 3, Wait: time.Minute},
		}, func(ctx context.Context, _ int) error {
			for _, c := range left {
				assert.Error(t, c.Err(), "an earlier attempt's")
			}
			left = append(left, ctx)
			time.Sleep(time.Second - 1)
			assert.NoError(t, ctx.Err())
			return assert.AnError
		})
		require.NoError(t, err)
		publish(t, x, 1)
		closed(t, b)
		assert.Len(t, left, 3)
	})
}

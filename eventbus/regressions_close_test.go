package eventbus_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A pattern that gets dead letters was drained together with those whose events
// became dead letters, and lost them.
func TestRegression_G34_PatternsGetTheLastDeadLetters(t *testing.T) {
	bubbles(t, map[string]bool{"the pattern of all succeeds": false, "the pattern of all fails": true}, func(t *testing.T, fails bool) {
		var told failures
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Failed: told.hook}}, eventbus.TopicConfig{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		everything, letters := new(journal[any]), new(journal[eventbus.Failure])
		_, err := eventbus.SubscribePattern(bg, b, "dead", eventbus.SubscribeConfig[eventbus.Failure]{}, letters.handle)
		require.NoError(t, err)
		s, err := eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[any]{DeadLetter: dead},
			func(ctx context.Context, e eventbus.Event[any]) error {
				time.Sleep(3 * time.Hour)
				_ = everything.handle(ctx, e)
				if fails {
					return assert.AnError
				}
				return nil
			})
		require.NoError(t, err)
		_, err = eventbus.SubscribePattern(bg, b, "x", eventbus.SubscribeConfig[int]{
			DeadLetter: dead, Retry: eventbus.Retry{Attempts: 2, Wait: time.Hour},
		}, func(context.Context, eventbus.Event[int]) error { return assert.AnError })
		require.NoError(t, err)
		publish(t, x, 1, 2)
		closed(t, b)
		want, attempts := 2, 4
		if fails {
			want, attempts = 4, 4+2+4 // of its own at events, and at letters, about which there are none
		}
		assert.Len(t, letters.data(), want)
		assert.Len(t, everything.data(), 2+want)
		assert.EqualValues(t, want, dead.Stats().Seq)
		accounted(t, 2+want, s)
		assert.Len(t, told.list(), attempts)
	})
}

// cuts are the ways to end a subscription with a context that has ended.
var cuts = map[string]func(*eventbus.Bus, *eventbus.Subscription) error{
	"Drain": func(_ *eventbus.Bus, s *eventbus.Subscription) error { return s.Drain(endedCtx) },
	"Close": func(b *eventbus.Bus, _ *eventbus.Subscription) error { return b.Close(endedCtx) },
}

// cutShort runs f for Drain and Close, and for both kinds of queue with four events.
func cutShort(t *testing.T, f func(*testing.T, *eventbus.Queue[int], func() error)) {
	t.Helper()
	for name, end := range cuts {
		for _, kind := range queues {
			t.Run(name+" "+kind.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
					q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: "q", Filter: kind.filter})
					require.NoError(t, err)
					publish(t, x, ints(1, 4)...)
					f(t, q, func() error { return end(b, q.Subscription) })
				})
			})
		}
	}
}

// left checks what a Drain or Close has left of the one subscription.
func left(t *testing.T, err error, running, handled, discarded int) {
	t.Helper()
	var drain *eventbus.DrainError
	require.ErrorAs(t, err, &drain)
	require.ErrorIs(t, err, assert.AnError)
	require.Len(t, drain.Left, 1)
	st := drain.Left[0]
	assert.Equal(t, "q", st.Name)
	assert.Equal(t, []int{running, handled, discarded, 0}, []int{st.Running, int(st.Handled), int(st.Discarded), st.Depth}) //nolint:gosec // small
}

// finished checks a Queue that had four events, and lost so many at its end.
func finished(t *testing.T, q *eventbus.Queue[int], discarded int) {
	t.Helper()
	<-q.Done()
	accounted(t, 4, q.Subscription)
	st := q.Stats()
	assert.EqualValues(t, discarded, st.Discarded)
	assert.Zero(t, st.Running)
	assert.Zero(t, st.Depth)
}

// The event that the reader of a Queue was at was not among what was left.
func TestRegression_G25_TheReaderIsAtAnEvent(t *testing.T) {
	for name, n := range map[string]int{"with more": 2, "the last": 4} {
		t.Run("Next, "+name, func(t *testing.T) {
			cutShort(t, func(t *testing.T, q *eventbus.Queue[int], end func() error) {
				for range n {
					_, err := q.Next(bg)
					require.NoError(t, err)
				}
				left(t, end(), 1, n-1, 4-n)
				finished(t, q, 4-n)
				require.NoError(t, q.Drain(endedCtx), "it has ended")
			})
		})
		t.Run("Events, "+name, func(t *testing.T) {
			cutShort(t, func(t *testing.T, q *eventbus.Queue[int], end func() error) {
				var last error
				for e, err := range q.Events(bg) {
					if last = err; err == nil && e.Data == n {
						left(t, end(), 1, n-1, 4-n)
					}
				}
				require.ErrorIs(t, last, eventbus.ErrClosed)
				finished(t, q, 4-n)
			})
		})
	}
	t.Run("Chan", func(t *testing.T) {
		cutShort(t, func(t *testing.T, q *eventbus.Queue[int], end func() error) {
			c := q.Chan()
			<-c
			<-c
			synctest.Wait() // it holds out the third
			left(t, end(), 0, 2, 2)
			finished(t, q, 2)
		})
	})
	t.Run("Cancel", func(t *testing.T) {
		cutShort(t, func(t *testing.T, q *eventbus.Queue[int], end func() error) {
			_, err := q.Next(bg)
			require.NoError(t, err)
			q.Cancel()
			require.NoError(t, end(), "nothing was left for it")
			finished(t, q, 3)
		})
	})
}

// Drain and Close could return before a worker that had nothing to do had ended.
func TestRegression_G34_IdleWorkersHaveEnded(t *testing.T) {
	for _, k := range queuedKinds {
		for name, end := range cuts {
			k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
				s := k.subscribe(t, b, x, nil, func(context.Context, int) error { return nil })
				publish(t, x, 1, 2)
				synctest.Wait()
				require.NoError(t, end(b, s), name)
				select {
				case <-s.Done():
				default:
					assert.Fail(t, "not done", name)
				}
				accounted(t, 2, s)
				closed(t, b)
			})
		}
	}
}

// A reader whose context had ended, or ended while it waited, left the event it
// had been given before running, and whoever waited for that waited for ever.
func TestRegression_G25_AReaderWithAnEndedContext(t *testing.T) {
	before := func() (context.Context, context.CancelFunc) { return endedCtx, func() {} }
	meanwhile := func() (context.Context, context.CancelFunc) {
		return context.WithTimeoutCause(bg, time.Second, assert.AnError)
	}
	type reader struct {
		ctx      func() (context.Context, context.CancelFunc)
		draining bool
	}
	for _, kind := range queues {
		bubbles(t, map[string]reader{
			"ended before": {before, false}, "ended before, draining": {before, true}, "ends meanwhile": {meanwhile, false},
		}, func(t *testing.T, c reader) {
			b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: kind.filter})
			require.NoError(t, err)
			publish(t, x, 1)
			_, err = q.Next(bg)
			require.NoError(t, err)
			if c.draining {
				go func() { assert.NoError(t, q.Drain(bg)) }()
				synctest.Wait()
			}
			assert.Equal(t, 1, q.Stats().Running)
			ctx, cancel := c.ctx()
			defer cancel()
			_, err = q.Next(ctx)
			require.ErrorIs(t, err, assert.AnError)
			assert.EqualValues(t, 1, q.Stats().Handled)
			assert.Zero(t, q.Stats().Running)
			if !c.draining {
				require.NoError(t, q.Drain(bg))
			}
			<-q.Done()
			closed(t, b)
		})
		t.Run(kind.name+", loop", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: kind.filter})
				require.NoError(t, err)
				publish(t, x, 1, 2)
				ctx, cancel := context.WithCancelCause(bg)
				defer cancel(nil)
				var errs []error
				for _, err := range q.Events(ctx) {
					if err != nil {
						errs = append(errs, err)
						assert.EqualValues(t, 1, q.Stats().Handled)
						assert.Zero(t, q.Stats().Running)
						assert.Equal(t, 1, q.Stats().Depth)
					}
					cancel(assert.AnError)
				}
				assert.Equal(t, []error{assert.AnError}, errs)
				go closed(t, b)
				synctest.Wait()
				e, err := q.Next(bg)
				require.NoError(t, err)
				assert.Equal(t, 2, e.Data)
				_, err = q.Next(endedCtx)
				require.ErrorIs(t, err, assert.AnError)
				closed(t, b)
			})
		})
	}
}

// A loop over a Queue that a Drain or Close had cut short ended as if that were an
// orderly end.
func TestRegression_G22_TheLastPairOfALoop(t *testing.T) {
	type end struct {
		do    func(*testing.T, *eventbus.Bus, *eventbus.Subscription)
		seen  int
		error bool
	}
	ends := map[string]end{
		"Cancel":        {func(_ *testing.T, _ *eventbus.Bus, s *eventbus.Subscription) { s.Cancel() }, 1, false},
		"Drain":         {func(t *testing.T, _ *eventbus.Bus, s *eventbus.Subscription) { assert.NoError(t, s.Drain(bg)) }, 3, false},
		"Close":         {func(t *testing.T, b *eventbus.Bus, _ *eventbus.Subscription) { closed(t, b) }, 3, false},
		"Drain, halted": {func(t *testing.T, b *eventbus.Bus, s *eventbus.Subscription) { assert.Error(t, cuts["Drain"](b, s)) }, 1, true},
		"Close, halted": {func(t *testing.T, b *eventbus.Bus, s *eventbus.Subscription) { assert.Error(t, cuts["Close"](b, s)) }, 1, true},
	}
	for _, kind := range queues {
		bubbles(t, ends, func(t *testing.T, c end) {
			b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: kind.filter})
			require.NoError(t, err)
			publish(t, x, ints(1, 3)...)
			var seen []int
			var errs []error
			for e, err := range q.Events(bg) {
				if err != nil {
					errs = append(errs, err)
					continue
				}
				if seen = append(seen, e.Data); e.Data == 1 {
					go c.do(t, b, q.Subscription)
					synctest.Wait()
				}
			}
			assert.Equal(t, ints(1, c.seen), seen)
			if c.error {
				require.Len(t, errs, 1)
				require.ErrorIs(t, errs[0], eventbus.ErrClosed)
			} else {
				assert.Empty(t, errs)
			}
			_, err = q.Next(bg)
			require.ErrorIs(t, err, eventbus.ErrClosed)
			_ = b.Close(bg)
		})
	}
	bubbles(t, map[string]bool{"Topic.Events": false, "Topic.Events, halted": true}, func(t *testing.T, halted bool) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		go func() {
			synctest.Wait()
			publish(t, x, 1, 2)
		}()
		var seen []int // 0 with an error
		var last error
		for e, err := range x.Events(bg) {
			if seen, last = append(seen, e.Data), err; e.Data != 1 {
				continue
			}
			synctest.Wait()
			if halted {
				assert.Error(t, b.Close(endedCtx))
				continue
			}
			go closed(t, b)
			synctest.Wait()
		}
		if halted {
			assert.Equal(t, []int{1, 0}, seen)
			require.ErrorIs(t, last, eventbus.ErrClosed)
		} else {
			assert.Equal(t, ints(1, 2), seen)
			require.NoError(t, last)
		}
	})
}

// A context that a handler had kept never ended, unless that of Subscribe did.
func TestRegression_G15_AContextThatWasKept(t *testing.T) {
	for _, k := range queuedKinds {
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			var kept context.Context
			gate := make(chan struct{})
			s := k.subscribe(t, b, x, nil, func(ctx context.Context, _ int) error {
				kept = ctx //nolint:fatcontext // kept, not nested
				<-gate
				return nil
			})
			publish(t, x, 1)
			synctest.Wait()
			s.Cancel()
			synctest.Wait()
			require.NoError(t, kept.Err(), "the call is running")
			close(gate)
			<-s.Done()
			<-kept.Done()
			if k.sub.Timeout == 0 { // else it ended with the attempt
				assert.Equal(t, eventbus.ErrClosed, context.Cause(kept))
			}
			closed(t, b)
		})
	}
}

// Nothing waits any more for the context of what has ended.
func TestRegression_G41_ContextsAreLetGoOf(t *testing.T) {
	for _, kind := range queues {
		synctest.Test(t, func(t *testing.T) {
			b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{History: 2})
			ctx := &countingCtx{Context: bg, never: make(chan struct{})}
			for _, end := range []func(*eventbus.Subscription){
				(*eventbus.Subscription).Cancel,
				func(s *eventbus.Subscription) { assert.NoError(t, s.Drain(bg)) },
			} {
				s, err := x.SubscribeWith(ctx, eventbus.SubscribeConfig[int]{Filter: kind.filter}, func(context.Context, int) error { return nil })
				require.NoError(t, err)
				assert.EqualValues(t, 1, ctx.waiting.Load())
				end(s)
				<-s.Done()
				synctest.Wait()
				assert.Zero(t, ctx.waiting.Load())
			}
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: kind.filter})
			require.NoError(t, err)
			for range 2 {
				go func() {
					_, err := q.Next(ctx)
					assert.NoError(t, err)
				}()
				synctest.Wait()
				assert.EqualValues(t, 1, ctx.waiting.Load())
				publish(t, x, 1)
				synctest.Wait()
				assert.Zero(t, ctx.waiting.Load())
			}
			publish(t, x, 1)
			for _, err := range q.Events(ctx) {
				require.NoError(t, err)
				assert.EqualValues(t, 1, ctx.waiting.Load())
				break
			}
			assert.Zero(t, ctx.waiting.Load())
			// Over before it could be told of the context.
			q, err = x.Queue(ctx, eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Filter: first(func() { _ = b.Close(endedCtx) })})
			require.NoError(t, err)
			<-q.Done()
			assert.Zero(t, ctx.waiting.Load())
		})
	}
}

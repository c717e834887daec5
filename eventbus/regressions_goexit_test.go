package eventbus_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// lastDrops is a hook that writes down what it is told, and ends the goroutine.
func lastDrops(drops *[]eventbus.Drop) eventbus.Hooks {
	return eventbus.Hooks{Dropped: func(d eventbus.Drop) {
		*drops = append(*drops, d)
		runtime.Goexit()
	}}
}

// A filter that ended the goroutine of a publisher in line, which had been let in
// meanwhile, took with it what follows from the publish for the others.
func TestRegression_G8_AFilterEndsAPublisherThatWasLetIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var drops []eventbus.Drop
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(d eventbus.Drop) { drops = append(drops, d) }}},
			eventbus.TopicConfig{Sync: true})
		var saw []int
		h, err := x.Subscribe(bg, func(_ context.Context, i int) error {
			saw = append(saw, i)
			return nil
		})
		require.NoError(t, err)
		lags, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: "lags", Capacity: 1, OnFull: eventbus.DropOldest})
		require.NoError(t, err)
		read, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Capacity: 1})
		require.NoError(t, err)
		publish(t, x, 1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = x.Publish(bg, 2)
			assert.Fail(t, "it goes on")
		}()
		synctest.Wait()
		gate := make(chan struct{})
		asks, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Filter: func(int) bool {
			<-gate
			runtime.Goexit()
			return true
		}})
		require.NoError(t, err)
		synctest.Wait()
		asks.Cancel()
		for i := 1; i <= 2; i++ {
			e, err := read.Next(bg)
			require.NoError(t, err)
			assert.Equal(t, i, e.Data)
		}
		close(gate)
		<-ended
		assert.Equal(t, []int{1, 2}, saw)
		assert.EqualValues(t, 2, h.Stats().Handled)
		assert.Equal(t, []eventbus.Drop{{Topic: "x", Subscription: "lags", Lagged: 1}}, drops)
		h.Cancel()
		synctest.Wait()
		assert.True(t, isOver(h.Done()), "no publish is in it")
		assert.Zero(t, x.Stats().Waiting)
		read.Cancel()
		lags.Cancel()
		closed(t, b)
	})
}

// A hook that ended the goroutine in which Close discarded events left the other
// subscriptions without an end, and the later calls without a result.
func TestRegression_G34_AHookEndsAClosing(t *testing.T) {
	for _, kind := range queues {
		synctest.Test(t, func(t *testing.T) {
			var drops []eventbus.Drop
			b, x := newTopic[int](t, eventbus.Config{Hooks: lastDrops(&drops)}, eventbus.TopicConfig{})
			var all []*eventbus.Queue[int]
			for i := range 3 {
				q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: fmt.Sprint("q", i), Filter: kind.filter})
				require.NoError(t, err)
				all = append(all, q)
			}
			publish(t, x, 1)
			var first error
			inTime(t, 0, func() { first = b.Close(endedCtx) })
			for range 2 {
				var err error
				inTime(t, 0, func() { err = b.Close(bg) })
				assert.Same(t, first, err)
				var drain *eventbus.DrainError
				require.ErrorAs(t, err, &drain)
				assert.Len(t, drain.Left, len(all))
			}
			require.Len(t, drops, len(all))
			for _, q := range all {
				assert.True(t, isOver(q.Done()), q.Name())
				assert.Contains(t, drops, eventbus.Drop{Topic: "x", Subscription: q.Name(), Discarded: 1})
				accounted(t, 1, q.Subscription)
			}
		})
	}
}

// One that ended it in the orderly part, told of a lag at a dead-letter topic, had
// Close return although queues had not been read.
func TestRegression_G34_AHookEndsAnOrderlyClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var drops []eventbus.Drop
		b, x := newTopic[eventbus.Failure](t, eventbus.Config{Hooks: lastDrops(&drops)}, eventbus.TopicConfig{})
		lags, err := x.Queue(bg, eventbus.SubscribeConfig[eventbus.Failure]{Name: "lags", Capacity: 1, OnFull: eventbus.DropOldest})
		require.NoError(t, err)
		q, err := x.Queue(bg, eventbus.SubscribeConfig[eventbus.Failure]{})
		require.NoError(t, err)
		publish(t, x, eventbus.Failure{}, eventbus.Failure{})
		results := make(chan error, 3)
		for range cap(results) {
			go func() { results <- b.Close(bg) }()
			synctest.Wait()
			assert.Empty(t, results, "there is something to read")
		}
		assert.Equal(t, []eventbus.Drop{{Topic: "x", Subscription: "lags", Lagged: 1}}, drops)
		for _, read := range []*eventbus.Queue[eventbus.Failure]{lags, q} {
			for _, err := range read.Events(bg) {
				require.NoError(t, err)
				assert.Empty(t, results)
			}
			assert.True(t, isOver(read.Done()))
			accounted(t, 2, read.Subscription)
		}
		for range cap(results) {
			require.NoError(t, <-results)
		}
		closed(t, b)
		assert.EqualValues(t, 1, lags.Stats().Handled)
		assert.EqualValues(t, 2, q.Stats().Handled)
	})
}

// An import whose goroutine a Sync handler had ended was over for good, as if the
// attachment had been.
func TestRegression_G39_AHandlerEndsAnImport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		s, err := x.Subscribe(bg, func(_ context.Context, i int) error {
			if i < 5 {
				runtime.Goexit()
			}
			return nil
		})
		require.NoError(t, err)
		var calls []time.Duration
		begin := time.Now()
		br := &bridgeOf{receive: func(ctx context.Context, deliver delivery) error {
			calls = append(calls, time.Since(begin))
			data := fmt.Appendf(nil, "%d", len(calls))
			if err := deliver(ctx, eventbus.Encoded{Topic: "x", ID: "same", Origin: "elsewhere", Data: data}); err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		}}
		attach(t, b, br, eventbus.BridgeConfig{Import: []string{"x"}})
		time.Sleep(time.Hour)
		synctest.Wait()
		const wait = 100 * time.Millisecond
		assert.Equal(t, []time.Duration{0, wait, 3 * wait, 7 * wait, 15 * wait}, calls)
		assert.Zero(t, br.closes)
		closed(t, b)
		assert.Equal(t, 1, br.closes)
		assert.EqualValues(t, 4, s.Stats().Failed)
		assert.EqualValues(t, 1, s.Stats().Handled, "it was not taken for one that had come before")
	})
}

// A hook that ended its goroutine when it was told of a lag was not told of what was
// discarded.
func TestRegression_G22_LagAndDiscardAreTold(t *testing.T) {
	for _, kind := range queues {
		synctest.Test(t, func(t *testing.T) {
			var drops []eventbus.Drop
			b, x := newTopic[int](t, eventbus.Config{Hooks: lastDrops(&drops)}, eventbus.TopicConfig{})
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{Name: "q", Capacity: 2, OnFull: eventbus.DropOldest, Filter: kind.filter})
			require.NoError(t, err)
			go publish(t, x, 1, 2, 3)
			synctest.Wait()
			go q.Cancel()
			synctest.Wait()
			assert.Equal(t, []eventbus.Drop{
				{Topic: "x", Subscription: "q", Lagged: 1}, {Topic: "x", Subscription: "q", Discarded: 2},
			}, drops)
			accounted(t, 3, q.Subscription)
			closed(t, b)
		})
	}
}

// Nor was a dead letter made of what it was told of, or of the next event of a batch.
func TestRegression_G16_AHookEndsItsGoroutineBeforeTheDeadLetter(t *testing.T) {
	spoils := eventbus.SubscribeConfig[int]{From: eventbus.Oldest, Filter: func(i int) bool { panic(i) }}
	bubbles(t, map[string]struct{ subscribed, history bool }{
		"unrouted": {}, "a filter panics": {true, false}, "a filter panics at history": {true, true},
	}, func(t *testing.T, c struct{ subscribed, history bool }) {
		var drops []eventbus.Drop
		var told failures
		hooks := lastDrops(&drops)
		hooks.Failed = func(ctx context.Context, f eventbus.Failure) {
			told.hook(ctx, f)
			runtime.Goexit()
		}
		b := eventbus.MustNew(eventbus.Config{Hooks: hooks})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
		cfg := eventbus.TopicConfig{DeadLetter: dead}
		if c.history {
			cfg.History = 3
		}
		x := eventbus.MustNewTopic[int](b, "x", cfg)
		batch := func() { _, _ = x.PublishBatch(bg, ints(1, 3)) }
		switch {
		case c.history:
			batch()
			exits(t, func() { _, _ = x.Queue(bg, spoils) })
		case c.subscribed:
			_, err := x.Queue(bg, spoils)
			require.NoError(t, err)
			exits(t, batch)
		default:
			exits(t, batch)
		}
		closed(t, b)
		var got []any
		for _, f := range letters.data() {
			got = append(got, f.Event.Data)
			if c.subscribed {
				panicked(t, f.Err, f.Event.Data)
			} else {
				require.ErrorIs(t, f.Err, eventbus.ErrNoSubscriber)
			}
		}
		assert.Equal(t, []any{1, 2, 3}, got)
		if c.subscribed {
			assert.Len(t, told.list(), 3)
			assert.Empty(t, drops)
		} else {
			assert.Empty(t, told.list())
			assert.Len(t, drops, 3)
		}
	})
}

// If the hook always ends the goroutine of a subscriber that is told of a lag, and
// then of what that subscription discards, it leaves nothing behind.
func TestRegression_G18_TheHookEndsTheSubscriberAgain(t *testing.T) {
	for _, kind := range queues {
		synctest.Test(t, func(t *testing.T) {
			var drops []eventbus.Drop
			b, x := newTopic[int](t, eventbus.Config{Hooks: lastDrops(&drops)}, eventbus.TopicConfig{History: 3})
			publish(t, x, ints(1, 10)...)
			cfg := eventbus.SubscribeConfig[int]{From: 2, Capacity: 1, Filter: kind.filter}
			exits(t, func() { _, _ = x.Queue(bg, cfg) })
			assert.Len(t, drops, 2)
			exits(t, func() { _, _ = x.SubscribeWith(bg, cfg, func(context.Context, int) error { return nil }) })
			synctest.Wait()
			assert.False(t, x.HasSubscribers())
			assert.Empty(t, x.Stats().Subscriptions)
			publish(t, x, 11, 12, 13) // nobody is in the way
			closed(t, b)
		})
	}
}

// A hook that ended its goroutine after a call of a Sync handler was taken for the
// handler: a success became a failure, and a failure was told as another.
func TestRegression_G19_AHookEndsTheGoroutineOfASyncHandler(t *testing.T) {
	type ends struct {
		handled, failed bool // the hooks that do
		attempts        int  // of a handler that fails; 0: it does not
	}
	cases := map[string]ends{"Handled, success": {true, false, 0}}
	for n := 1; n <= 3; n++ {
		for name, c := range map[string]ends{"Handled": {true, false, n}, "Failed": {false, true, n}, "both": {true, true, n}} {
			cases[fmt.Sprint(name, " ", n)] = c
		}
	}
	bubbles(t, cases, func(t *testing.T, c ends) {
		var told []eventbus.Handling
		var failed failures
		b := eventbus.MustNew(eventbus.Config{Hooks: eventbus.Hooks{
			Handled: func(_ context.Context, h eventbus.Handling) {
				told = append(told, h)
				if c.handled {
					runtime.Goexit()
				}
			},
			Failed: func(ctx context.Context, f eventbus.Failure) {
				failed.hook(ctx, f)
				if c.failed {
					runtime.Goexit()
				}
			},
		}})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{Capacity: 4})
		letters, err := dead.Queue(bg, eventbus.SubscribeConfig[eventbus.Failure]{})
		require.NoError(t, err)
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{Sync: true})
		calls := 0
		cfg := eventbus.SubscribeConfig[int]{DeadLetter: dead, Retry: eventbus.Retry{Attempts: max(1, c.attempts), Wait: time.Hour}}
		s, err := x.SubscribeWith(bg, cfg, func(context.Context, int) error {
			if calls++; c.attempts > 0 {
				return assert.AnError
			}
			return nil
		})
		require.NoError(t, err)
		other, otherSub := subscribe(t, x, eventbus.SubscribeConfig[int]{Order: 1})
		exits(t, func() { _ = x.Publish(bg, 1) })

		assert.Equal(t, max(1, c.attempts), calls)
		assert.Equal(t, []int{1}, other.data())
		assert.EqualValues(t, 1, otherSub.Stats().Handled)
		require.Len(t, told, calls+1)
		for i, h := range told[:calls] {
			assert.Equal(t, s.Name(), h.Subscription)
			assert.Equal(t, i+1, h.Attempt)
			assert.Equal(t, c.attempts > 0, h.Err == assert.AnError) //nolint:errorlint // that very value
		}
		require.Len(t, failed.list(), c.attempts)
		for i, f := range failed.list() {
			assert.Equal(t, []any{i + 1, i+1 == calls, assert.AnError}, []any{f.Attempts, f.Final, f.Err})
		}
		st := s.Stats()
		if c.attempts == 0 {
			assert.EqualValues(t, 1, st.Handled)
			assert.Zero(t, letters.Stats().Depth)
		} else {
			assert.EqualValues(t, 1, st.Failed)
			require.Equal(t, 1, letters.Stats().Depth)
			e, err := letters.Next(bg)
			require.NoError(t, err)
			assert.Equal(t, assert.AnError, e.Data.Err)
			assert.Equal(t, calls, e.Data.Attempts)
		}
		assert.EqualValues(t, calls-1, st.Retried)
		accounted(t, 1, s)
		_, err = letters.Next(endedCtx)
		require.ErrorIs(t, err, assert.AnError)
		closed(t, b)
	})
}

// The handler itself is not called again on a goroutine that it has ended.
func TestRegression_G19_ASyncHandlerEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told failures
		attempts := 0
		b := eventbus.MustNew(eventbus.Config{Hooks: eventbus.Hooks{
			Failed: told.hook,
			Handled: func(_ context.Context, h eventbus.Handling) {
				if h.Topic == "x" {
					attempts++
				}
			},
		}})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{Sync: true, DeadLetter: dead})
		calls := 0
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: 3}}, func(context.Context, int) error {
			calls++
			runtime.Goexit()
			return nil
		})
		require.NoError(t, err)
		other, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{Order: 1})
		exits(t, func() { _ = x.Publish(bg, 1) })
		closed(t, b)
		assert.Equal(t, 1, calls)
		assert.Equal(t, 2, attempts, "of it, and of the other")
		assert.EqualValues(t, 1, s.Stats().Failed)
		assert.Zero(t, s.Stats().Retried)
		assert.Equal(t, []int{1}, other.data())
		require.Len(t, told.list(), 1)
		require.Len(t, letters.data(), 1)
		for _, f := range []eventbus.Failure{told.list()[0], letters.data()[0]} {
			assert.Equal(t, &eventbus.PanicError{Goexit: true}, f.Err)
			assert.True(t, f.Final)
			assert.Equal(t, 1, f.Attempts)
		}
	})
}

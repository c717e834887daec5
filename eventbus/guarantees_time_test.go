package eventbus_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Each data-only kind of use costs no read of the clock, each that can see the
// time one for each publish, and none on an Untimed topic.
func TestS42_G43_ReadsOfTheClock(t *testing.T) {
	data := func(x *eventbus.Topic[int], _ *eventbus.Bus) (*eventbus.Subscription, error) {
		return x.Subscribe(bg, func(context.Context, int) error { return nil })
	}
	events := func(x *eventbus.Topic[int], _ *eventbus.Bus) (*eventbus.Subscription, error) {
		return x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, func(context.Context, eventbus.Event[int]) error { return nil })
	}
	cases := map[string]struct {
		bus   eventbus.Config
		topic eventbus.TopicConfig
		sub   func(*eventbus.Topic[int], *eventbus.Bus) (*eventbus.Subscription, error)
		want  int // for each publish
	}{
		"nobody": {sub: func(*eventbus.Topic[int], *eventbus.Bus) (*eventbus.Subscription, error) { return nil, nil }},
		"data":   {sub: data},
		"data with filter": {sub: func(x *eventbus.Topic[int], _ *eventbus.Bus) (*eventbus.Subscription, error) {
			return x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Filter: all, Workers: 3}, func(context.Context, int) error { return nil })
		}},
		"data, sync":         {topic: eventbus.TopicConfig{Sync: true}, sub: data},
		"data, Dropped":      {bus: eventbus.Config{Hooks: eventbus.Hooks{Dropped: func(eventbus.Drop) {}, Stalled: func(eventbus.Stall) {}}}, sub: data},
		"events":             {sub: events, want: 1},
		"events, sync":       {topic: eventbus.TopicConfig{Sync: true}, sub: events, want: 1},
		"events, untimed":    {topic: eventbus.TopicConfig{Untimed: true}, sub: events},
		"history":            {topic: eventbus.TopicConfig{History: 1}, sub: data, want: 1},
		"history, untimed":   {topic: eventbus.TopicConfig{History: 1, Untimed: true}, sub: data},
		"Failed":             {bus: eventbus.Config{Hooks: eventbus.Hooks{Failed: func(context.Context, eventbus.Failure) {}}}, sub: data, want: 1},
		"around publishes":   {bus: eventbus.Config{AroundPublish: []eventbus.Interceptor{through}}, sub: data, want: 1},
		"around handlers":    {bus: eventbus.Config{AroundHandle: []eventbus.Interceptor{through}}, sub: data, want: 1},
		"Handled":            {bus: eventbus.Config{Hooks: handled}, sub: data, want: 3}, // and before and after the call
		"Handled on untimed": {bus: eventbus.Config{Hooks: handled}, topic: eventbus.TopicConfig{Untimed: true}, sub: data, want: 2},
		"queue": {want: 1, sub: func(x *eventbus.Topic[int], _ *eventbus.Bus) (*eventbus.Subscription, error) {
			q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
			return q.Subscription, err
		}},
		"pattern": {want: 1, sub: func(_ *eventbus.Topic[int], b *eventbus.Bus) (*eventbus.Subscription, error) {
			return eventbus.SubscribePattern(bg, b, "*", eventbus.SubscribeConfig[int]{}, func(context.Context, eventbus.Event[int]) error { return nil })
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				counting := &countingClock{Clock: newMock()}
				c.bus.Clock = counting
				b, x := newTopic[int](t, c.bus, c.topic)
				s, err := c.sub(x, b)
				require.NoError(t, err)
				before := counting.reads.Load()
				publish(t, x, ints(1, 100)...)
				synctest.Wait()
				assert.EqualValues(t, 100*c.want, counting.reads.Load()-before)
				before = counting.reads.Load()
				n, err := x.PublishBatch(bg, ints(1, 10))
				require.NoError(t, err)
				assert.Equal(t, 10, n)
				synctest.Wait()
				assert.LessOrEqual(t, counting.reads.Load()-before, int64(10*c.want), "a batch needs no more")
				s.Cancel()
				closed(t, b)
			})
		})
	}
}

// With a dead letter topic the time of a failed event is known.
func TestG43_DeadLettersKnowTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := newMock()
		b := eventbus.MustNew(eventbus.Config{Clock: mock})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		j, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: dead})
		_, err := x.Subscribe(bg, func(context.Context, int) error { return assert.AnError })
		require.NoError(t, err)
		mock.Add(time.Hour)
		publish(t, x, 1)
		closed(t, b)
		assert.Equal(t, mock.Now(), j.data()[0].Event.Time())
		given := time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC)
		e := collect(t, eventbus.Config{}, eventbus.TopicConfig{Untimed: true}, eventbus.PublishConfig{Time: given}, 1)
		assert.True(t, given.Equal(e.Time()), "given by the publisher, even on an Untimed topic")
	})
}

// A trace is what a script made happen, and when.
type trace struct {
	mu    sync.Mutex
	lines []string
	now   func() time.Duration
}

func (tr *trace) add(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, fmt.Sprintf("%v ", tr.now())+fmt.Sprintf(format, args...))
}

// script does a bit of everything that depends on time, and returns the trace.
// sleep lets time pass.
func script(t *testing.T, c eventbus.Clock, now func() time.Time, sleep func(time.Duration)) []string {
	t.Helper()
	began := now()
	tr := &trace{now: func() time.Duration { return now().Sub(began) }}
	b, err := eventbus.New(eventbus.Config{Clock: c, Rand: func() uint64 { return 7 }, StallAfter: time.Second, Hooks: eventbus.Hooks{
		Handled: func(_ context.Context, h eventbus.Handling) {
			tr.add("handled %d, attempt %d, age %v, took %v, err %v", h.Seq, h.Attempt, h.Age, h.Took, h.Err)
		},
		Stalled: func(s eventbus.Stall) { tr.add("stalled %s for %v", s.Topic, s.For) },
	}})
	require.NoError(t, err)
	x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{Capacity: 1})
	attempts := 0
	_, err = x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{
		Retry: eventbus.Retry{Attempts: 3, Wait: 300 * time.Millisecond}, Timeout: 2 * time.Second,
	}, func(ctx context.Context, e eventbus.Event[int]) error {
		attempts++
		tr.add("call %d of %s, published at %v", attempts, e.ID(), e.Time().Sub(began))
		switch {
		case e.Data == 1 && attempts < 3:
			return assert.AnError
		case e.Data == 2:
			<-ctx.Done()
			tr.add("%v", context.Cause(ctx))
		}
		return nil
	})
	require.NoError(t, err)
	results := make(chan error, 4)
	for i := 1; i <= 4; i++ {
		go func() { results <- x.Publish(bg, i) }()
		synctest.Wait()
	}
	for range 30 {
		sleep(250 * time.Millisecond)
		synctest.Wait()
	}
	for range 4 {
		require.NoError(t, <-results)
	}
	tr.add("waited %v", x.Stats().Waited)
	closed(t, b)
	return tr.lines
}

// The same happens at the same instants, whatever the clock.
func TestS45_G40_OneTraceForEveryClock(t *testing.T) {
	var want []string
	synctest.Test(t, func(t *testing.T) { want = script(t, nil, time.Now, time.Sleep) })
	assert.Contains(t, want, "300ms call 2 of 7-1-1, published at 0s")
	assert.Contains(t, want, "900ms call 3 of 7-1-1, published at 0s")
	assert.Contains(t, want, "2.9s context deadline exceeded")
	rounds := 1000
	if raceEnabled || testing.Short() {
		rounds = 50
	}
	for i := range rounds {
		synctest.Test(t, func(t *testing.T) {
			switch i % 3 {
			case 0:
				assert.Equal(t, want, script(t, nil, time.Now, time.Sleep))
			case 1:
				assert.Equal(t, want, script(t, clock.New(), time.Now, time.Sleep))
			case 2:
				mock := newMock()
				// In steps of the smallest unit in use, because one Add runs its timers
				// without waiting for what they start.
				sleep := func(d time.Duration) {
					for ; d > 0; d -= 50 * time.Millisecond {
						mock.Add(50 * time.Millisecond)
						synctest.Wait()
					}
				}
				assert.Equal(t, want, script(t, mock, mock.Now, sleep))
			}
		})
	}
}

// With a Clock of one's own an attempt has no Deadline, and ends all the same.
func TestG17_G40_NoDeadlineWithAClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mock := newMock()
		b, x := newTopic[int](t, eventbus.Config{Clock: mock}, eventbus.TopicConfig{})
		causes := make(chan error, 1)
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Timeout: time.Second}, func(ctx context.Context, _ int) error {
			_, has := ctx.Deadline()
			assert.False(t, has)
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return nil
		})
		require.NoError(t, err)
		publish(t, x, 1)
		synctest.Wait()
		mock.Add(time.Second - 1)
		synctest.Wait()
		require.Empty(t, causes)
		mock.Add(1)
		assert.Equal(t, context.DeadlineExceeded, <-causes)
		closed(t, b)
	})
}

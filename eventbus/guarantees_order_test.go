package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// oneWorker are subscriptions of all kinds that handle one event at a time: some
// read the ring of the topic, some have a mailbox, some lose events.
func oneWorker[T any]() map[string]eventbus.SubscribeConfig[T] {
	all := func(T) bool { return true }
	return map[string]eventbus.SubscribeConfig[T]{
		"ring":             {},
		"ring, full":       {Capacity: 2},
		"ring, DropOldest": {OnFull: eventbus.DropOldest, Capacity: 2},
		"mailbox":          {Filter: all},
		"mailbox, full":    {Filter: all, Capacity: 2},
		"DropOldest":       {Filter: all, OnFull: eventbus.DropOldest, Capacity: 2},
		"DropNewest":       {OnFull: eventbus.DropNewest, Capacity: 2},
		"Unbounded":        {OnFull: eventbus.Unbounded},
		"no limit":         {Capacity: -1},
	}
}

// Outside a bubble, so that publishers and workers really run side by side. The
// fields of an item are written just before it is published: were there no order
// in memory, the race detector would say so.
func TestG1_EachPublishersOrder(t *testing.T) {
	const publishers, each = 3, 400
	type item struct{ publisher, i int }
	for name, cfg := range oneWorker[*item]() {
		t.Run(name, func(t *testing.T) {
			b, x := newTopic[*item](t, eventbus.Config{}, eventbus.TopicConfig{})
			next := make([]int, publishers)
			s, err := x.SubscribeWith(bg, cfg, func(_ context.Context, v *item) error {
				if v.i < next[v.publisher] {
					t.Errorf("publisher %d: %d after %d", v.publisher, v.i, next[v.publisher]-1)
				}
				next[v.publisher] = v.i + 1
				return nil
			})
			require.NoError(t, err)
			var wg sync.WaitGroup
			for p := range publishers {
				wg.Go(func() {
					for i := range each {
						assert.NoError(t, x.Publish(bg, &item{p, i}))
					}
				})
			}
			wg.Wait()
			closed(t, b)
			accounted(t, publishers*each, s)
		})
	}
}

func TestG2_OneOrderThatOfSeq(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	var journals []*journal[int]
	for _, cfg := range oneWorker[int]() {
		if cfg.OnFull != eventbus.Block { // those that lose events have theirs in G1
			continue
		}
		j, _ := subscribe(t, x, cfg)
		journals = append(journals, j)
	}
	var spanning journal[int]
	_, err := eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[int]{}, spanning.handle)
	require.NoError(t, err)
	journals = append(journals, &spanning)
	// One that refuses a publish now and then: those take no Seq.
	_, err = x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.Fail, Capacity: 8},
		func(context.Context, int) error { return nil })
	require.NoError(t, err)

	var mu sync.Mutex
	accepted := 0
	var wg sync.WaitGroup
	for p := range 4 {
		wg.Go(func() {
			for i := range 500 {
				if err := x.Publish(bg, p*1000+i); err == nil {
					mu.Lock()
					accepted++
					mu.Unlock()
				} else {
					assert.ErrorIs(t, err, eventbus.ErrFull)
				}
			}
		})
	}
	wg.Wait()
	closed(t, b)
	assert.EqualValues(t, accepted, x.Stats().Seq)
	order := journals[0].data()
	for i, j := range journals {
		require.True(t, slices.Equal(order, j.data()), "subscription %d has another order", i)
		for k, seq := range j.seqs() {
			require.EqualValues(t, k+1, seq, "subscription %d", i)
		}
	}
	assert.Len(t, order, accepted)
}

func TestG2_RefusedPublishesTakeNoSeq(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Capacity: 1})
		g, _ := stuck(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 1)
		synctest.Wait()
		publish(t, x, 2)
		for range 3 {
			require.ErrorIs(t, x.TryPublish(bg, 0), eventbus.ErrFull)
		}
		g.open()
		synctest.Wait()
		publish(t, x, 3)
		closed(t, b)
		require.ErrorIs(t, x.Publish(bg, 0), eventbus.ErrClosed)
		assert.Equal(t, []int64{1, 2, 3}, g.seqs())
		assert.EqualValues(t, 3, x.Stats().Seq)
	})
}

// A Sync topic gives every event its own number, whoever publishes beside.
func TestG2_SyncTopicsNumberToo(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
	j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { publish(t, x, ints(1, 100)...) })
	}
	wg.Wait()
	require.EqualValues(t, 400, x.Stats().Seq)
	closed(t, b)
	require.ErrorIs(t, x.Publish(bg, 0), eventbus.ErrClosed)
	assert.EqualValues(t, 400, x.Stats().Seq, "the refused one took none")
	seqs := j.seqs()
	slices.Sort(seqs)
	for i, seq := range seqs {
		require.EqualValues(t, i+1, seq)
	}
}

func TestG3_PatternSeesProgramOrder(t *testing.T) {
	const publishers, topics, rounds = 3, 4, 200
	type item struct{ publisher, i int }
	b := eventbus.MustNew(eventbus.Config{})
	var all []*eventbus.Topic[item]
	for i := range topics {
		all = append(all, eventbus.MustNewTopic[item](b, fmt.Sprint("t.", i), eventbus.TopicConfig{Sync: i == 0}))
	}
	var j journal[item]
	_, err := eventbus.SubscribePattern(bg, b, "t.*", eventbus.SubscribeConfig[item]{Capacity: 3}, j.handle)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range rounds * topics {
				assert.NoError(t, all[(i*7+p)%topics].Publish(bg, item{p, i}))
			}
		})
	}
	wg.Wait()
	closed(t, b)
	events := j.all()
	require.Len(t, events, publishers*rounds*topics)
	var next [publishers]int
	last := make(map[string]int64)
	for _, e := range events {
		require.Equal(t, next[e.Data.publisher], e.Data.i, "publisher %d", e.Data.publisher)
		next[e.Data.publisher]++
		if e.Topic() != "t.0" { // a Sync topic's numbers interleave
			require.Equal(t, last[e.Topic()]+1, e.Seq, "topic %s", e.Topic())
			last[e.Topic()] = e.Seq
		}
	}
}

func TestG4_RetryHoldsThePlaceOfItsKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[string](t, eventbus.Config{}, eventbus.TopicConfig{})
		var mu sync.Mutex
		var saw []string
		failed := false
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[string]{
			Workers: 2, Retry: eventbus.Retry{Attempts: 2, Wait: time.Second},
			Key: func(s string) string { return s[:1] },
		}, func(_ context.Context, s string) error {
			mu.Lock()
			defer mu.Unlock()
			saw = append(saw, s)
			if s == "a1" && !failed {
				failed = true
				return assert.AnError
			}
			return nil
		})
		require.NoError(t, err)
		publish(t, x, "a1", "a2", "b1", "b2")
		closed(t, b)
		var a, others []string
		for _, s := range saw {
			if s[0] == 'a' {
				a = append(a, s)
			} else {
				others = append(others, s)
			}
		}
		assert.Equal(t, []string{"a1", "a1", "a2"}, a, "a2 waits for the retry of a1")
		assert.Equal(t, []string{"b1", "b2"}, others)
		assert.Equal(t, []string{"a1", "a2"}, saw[len(saw)-2:], "the others do not")
	})
}

// Without Key it is the key of the publish that orders.
func TestG4_KeyOfThePublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		g, s := stuck(t, x, eventbus.SubscribeConfig[int]{Workers: 3})
		send := func(key string, i int) {
			require.NoError(t, x.PublishWith(bg, eventbus.PublishConfig{Key: key}, i))
		}
		send("a", 1)
		send("a", 2) // waits for its key
		send("", 3)
		send("", 4)
		send("", 5) // waits for a worker
		synctest.Wait()
		assert.ElementsMatch(t, []int{1, 3, 4}, g.data())
		assert.Equal(t, 3, s.Stats().Running)
		assert.Equal(t, 2, s.Stats().Depth)
		g.open()
		closed(t, b)
		assert.ElementsMatch(t, ints(1, 5), g.data())
	})
}

func TestG5_HandlersRunInsidePublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		ctx, cancel := context.WithCancel(bg)
		cancel()
		var trace []string // unguarded: all on this goroutine
		_, err := x.Subscribe(bg, func(got context.Context, i int) error {
			assert.Equal(t, ctx, got, "the publisher's context, as it is")
			trace = append(trace, fmt.Sprint("enter ", i))
			if i > 0 {
				assert.NoError(t, x.Publish(ctx, i-1), "a nested publish")
			}
			trace = append(trace, fmt.Sprint("leave ", i))
			return nil
		})
		require.NoError(t, err)
		_, err = x.Subscribe(bg, func(_ context.Context, i int) error {
			trace = append(trace, fmt.Sprint("second ", i))
			return nil
		})
		require.NoError(t, err)
		require.NoError(t, x.Publish(ctx, 1))
		assert.Equal(t, []string{"enter 1", "enter 0", "leave 0", "second 0", "leave 1", "second 1"}, trace)
		closed(t, b)
	})
}

func TestG5_ErrorsAreJoinedAndNamed(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
	first, second := errors.New("first"), errors.New("second")
	for _, c := range []struct {
		name string
		err  error
	}{{"a", first}, {"b", nil}, {"c", second}} {
		_, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Name: c.name}, func(context.Context, int) error { return c.err })
		require.NoError(t, err)
	}
	err := x.Publish(bg, 1)
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	require.Len(t, joined.Unwrap(), 2)
	for i, want := range []eventbus.Error{
		{Topic: "x", Subscription: "a", Seq: 1, Attempts: 1, Err: first},
		{Topic: "x", Subscription: "c", Seq: 1, Attempts: 1, Err: second},
	} {
		var e *eventbus.Error
		require.ErrorAs(t, joined.Unwrap()[i], &e)
		assert.Equal(t, want, *e)
	}
	closed(t, b)
}

func TestG5_RetryAndTimeoutInsidePublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		began := time.Now()
		var at []time.Duration
		s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{
			Timeout: time.Second, Retry: eventbus.Retry{Attempts: 3, Wait: 10 * time.Second},
		}, func(ctx context.Context, _ int) error {
			at = append(at, time.Since(began))
			<-ctx.Done()
			return context.Cause(ctx)
		})
		require.NoError(t, err)
		err = x.Publish(bg, 1)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		var e *eventbus.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, 3, e.Attempts)
		assert.Equal(t, []time.Duration{0, 11 * time.Second, 32 * time.Second}, at)
		assert.Equal(t, 33*time.Second, time.Since(began))
		assert.EqualValues(t, 1, s.Stats().Failed)
		assert.EqualValues(t, 2, s.Stats().Retried)

		// The publisher's context ends the waiting too: it is the publisher who waits.
		ctx, cancel := context.WithTimeout(bg, 5*time.Second)
		defer cancel()
		began = time.Now()
		require.ErrorIs(t, x.Publish(ctx, 2), context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(began))
		closed(t, b)
	})
}

func TestG5_WhatNeedsAQueueIsRefused(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
	for field, cfg := range map[string]eventbus.SubscribeConfig[int]{
		"OnFull":   {OnFull: eventbus.DropOldest},
		"Capacity": {Capacity: 1},
		"Workers":  {Workers: 1},
		"Key":      {Key: func(int) string { return "" }},
		"From":     {From: 1},
	} {
		_, err := x.SubscribeWith(bg, cfg, func(context.Context, int) error { return nil })
		assert.ErrorContains(t, err, field)
	}
	assert.False(t, x.HasSubscribers())
	closed(t, b)
}

// Patterns and queues have a queue on a Sync topic too: their owners are slow, and
// the publisher is not.
func TestG5_QueuesOnASyncTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: true})
		g := newGated[int]()
		_, err := eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[int]{}, g.handle)
		require.NoError(t, err)
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{OnFull: eventbus.DropNewest, Capacity: 2})
		require.NoError(t, err)
		inside, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
		publish(t, x, 1, 2, 3)
		synctest.Wait()
		assert.Equal(t, []int{1, 2, 3}, inside.data())
		assert.Equal(t, []int{1}, g.data(), "it is still at it")
		for want := 1; want <= 2; want++ {
			e, err := q.Next(bg)
			require.NoError(t, err)
			assert.Equal(t, want, e.Data)
			assert.EqualValues(t, want, e.Seq)
		}
		assert.EqualValues(t, 1, q.Stats().Lagged)
		g.open()
		q.Cancel()
		closed(t, b)
		assert.Equal(t, []int{1, 2, 3}, g.data())
	})
}

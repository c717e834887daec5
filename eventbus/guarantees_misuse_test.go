package eventbus_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// names checks that an error is one that names all of parts.
func names(t *testing.T, err error, parts ...string) {
	t.Helper()
	require.Error(t, err)
	assert.True(t, strings.HasPrefix(err.Error(), "eventbus: "), err)
	assert.Equal(t, 1, strings.Count(err.Error(), "eventbus: "), err)
	for _, part := range parts {
		require.ErrorContains(t, err, part)
	}
}

func TestS37_G44_ConfigOfABus(t *testing.T) {
	_, err := eventbus.New(eventbus.Config{
		Name: "a\x00b", Source: "%zz", AroundPublish: []eventbus.Interceptor{nil}, AroundHandle: []eventbus.Interceptor{through, nil},
	})
	names(t, err, `Name is "a\x00b"`, `Source is "%zz"`, "AroundPublish[0] is", "AroundHandle[1] is")
	assert.Panics(t, func() { eventbus.MustNew(eventbus.Config{Name: "\xff"}) })
}

func TestS37_G44_ConfigOfATopic(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{})
	other := eventbus.MustNewTopic[eventbus.Failure](eventbus.MustNew(eventbus.Config{}), "other", eventbus.TopicConfig{})
	_, err := eventbus.NewTopic[int](b, "a b", eventbus.TopicConfig{
		Capacity: 1<<30 + 1, History: 1<<30 + 1, Sync: true, Type: "\n", DeadLetter: other,
	})
	names(t, err, `Name is "a b"`, "Capacity is 1073741825", "History is 1073741825", "Sync topics have no queue",
		"Sync topics have no history", `Type is "\n"`, `DeadLetter is "other"`)
	_, err = eventbus.NewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: new(eventbus.Topic[eventbus.Failure])})
	names(t, err, "DeadLetter is")
	_, err = eventbus.NewTopic[int](nil, "x", eventbus.TopicConfig{})
	names(t, err, "nil *Bus")
	_, err = eventbus.NewTopic[int](new(eventbus.Bus), "x", eventbus.TopicConfig{})
	names(t, err, "zero Bus")
	assert.Panics(t, func() { eventbus.MustNewTopic[int](b, "*", eventbus.TopicConfig{}) })
	for range b.Topics() {
		t.Error("nothing is registered")
	}
}

func TestS37_G44_ConfigOfASubscription(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	s := eventbus.MustNewTopic[int](b, "sync", eventbus.TopicConfig{Sync: true})
	fn := func(context.Context, int) error { return nil }
	bad := eventbus.SubscribeConfig[int]{
		Name: "\x01", OnFull: 77, Capacity: 1<<30 + 1, Once: true, Workers: 1<<16 + 1, Order: 1,
		DeadLetter: new(eventbus.Topic[eventbus.Failure]),
	}
	_, err := x.SubscribeWith(nil, bad, nil) //nolint:staticcheck // misuse
	names(t, err, `topic "x"`, "nil context", "nil function", `Name is "\x01"`, "OnFull is 77", "Capacity is 1073741825",
		"Workers is 65537", "because of Once", "Order is 1", "DeadLetter is")
	_, err = x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{Workers: -1}, fn)
	names(t, err, "Workers is -1")

	_, err = s.SubscribeWith(bg, eventbus.SubscribeConfig[int]{
		OnFull: eventbus.Fail, Capacity: 1, Workers: 2, Key: func(int) string { return "" }, From: 1,
	}, fn)
	names(t, err, "OnFull is Fail", "Capacity is 1", "Workers is 2", "Key is", "From is 1", "Sync topic")

	_, err = x.Queue(bg, eventbus.SubscribeConfig[int]{
		Workers: 1, Key: func(int) string { return "" }, Timeout: 1, Retry: eventbus.Retry{Attempts: 2}, Order: -1,
	})
	names(t, err, "Workers is 1", "Key is", "Timeout is 1ns", "Retry is", "a Queue has no handler", "Order is -1")
	_, err = s.Queue(bg, eventbus.SubscribeConfig[int]{From: eventbus.Oldest})
	names(t, err, "From is")

	_, err = eventbus.SubscribePattern[int](nil, b, "a..b", eventbus.SubscribeConfig[int]{}, nil) //nolint:staticcheck // misuse
	names(t, err, `Pattern is "a..b"`)
	_, err = eventbus.SubscribePattern[int](nil, b, "a", eventbus.SubscribeConfig[int]{From: 1, Order: 1}, nil) //nolint:staticcheck // misuse
	names(t, err, "nil context", "nil function", "From is 1", "Order is 1")
	_, err = eventbus.SubscribePattern(bg, nil, "a", eventbus.SubscribeConfig[int]{}, func(context.Context, eventbus.Event[int]) error { return nil })
	names(t, err, "nil *Bus")

	_, err = eventbus.Respond[int, int](nil, b, nil) //nolint:staticcheck // misuse
	names(t, err, "nil context", "nil function")
	ended, cancel := context.WithCancelCause(bg)
	cancel(assert.AnError)
	_, err = eventbus.Respond(ended, b, func(context.Context, int) (int, error) { return 0, nil })
	assert.Equal(t, assert.AnError, err)
	assert.False(t, x.HasSubscribers())
	assert.False(t, s.HasSubscribers())
	closed(t, b)
}

// The zero and the nil of every type answers with an error, and panics nowhere.
func TestG44_ZeroAndNil(t *testing.T) {
	fn := func(context.Context, int) error { return nil }
	for name, b := range map[string]*eventbus.Bus{"nil": nil, "zero": new(eventbus.Bus)} {
		names(t, b.Flush(bg), name)
		names(t, b.Close(bg), name)
		for range b.Topics() {
			t.Error("no topics")
		}
		names(t, eventbus.Publish(bg, b, 1), name)
		_, err := eventbus.Subscribe(bg, b, fn)
		names(t, err, name)
		_, err = eventbus.Request[int](bg, b, 1)
		names(t, err, name)
		_, err = eventbus.Respond(bg, b, func(context.Context, int) (int, error) { return 0, nil })
		names(t, err, name)
	}
	for name, x := range map[string]*eventbus.Topic[int]{"nil": nil, "zero": new(eventbus.Topic[int])} {
		names(t, x.Publish(bg, 1), name)
		names(t, x.TryPublish(bg, 1), name)
		names(t, x.PublishWith(bg, eventbus.PublishConfig{}, 1), name)
		_, err := x.PublishBatch(bg, ints(1, 2))
		names(t, err, name)
		_, err = x.Subscribe(bg, fn)
		names(t, err, name)
		_, err = x.Queue(bg, eventbus.SubscribeConfig[int]{})
		names(t, err, name)
		for _, err := range x.Events(bg) {
			names(t, err, name)
		}
		assert.Empty(t, x.Name())
		assert.False(t, x.HasSubscribers())
		assert.Zero(t, x.Stats())
	}
	for _, s := range []*eventbus.Subscription{nil, new(eventbus.Subscription)} {
		s.Cancel()
		require.NoError(t, s.Drain(bg))
		require.NoError(t, s.Err())
		<-s.Done()
		assert.Empty(t, s.Name())
		assert.Zero(t, s.Stats())
	}
	for _, q := range []*eventbus.Queue[int]{nil, new(eventbus.Queue[int])} {
		_, err := q.Next(bg)
		names(t, err, "zero Queue")
		for _, err := range q.Events(bg) {
			names(t, err, "zero Queue")
		}
		for range q.Chan() {
			t.Error("nothing to receive")
		}
	}
}

// An error about several problems names the package once.
func TestG44_OnePrefix(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	var none context.Context
	_, err := x.Subscribe(none, nil)
	require.EqualError(t, err, "eventbus: subscribe to topic \"x\": nil context\nnil function")
	_, err = eventbus.SubscribePattern[int](none, b, "a", eventbus.SubscribeConfig[int]{}, nil)
	require.EqualError(t, err, "eventbus: subscribe to pattern \"a\": nil context\nnil function")
	_, err = eventbus.Respond[int, int](none, b, nil)
	require.EqualError(t, err, "eventbus: respond to int: nil context\nnil function")
	_, err = b.Attach(none, nil, eventbus.BridgeConfig{Export: []string{"a"}})
	require.EqualError(t, err, "eventbus: attach a bridge: nil context\nnil Bridge")
	closed(t, b)
}

func TestG44_NilContexts(t *testing.T) {
	for _, sync := range []bool{false, true} {
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{Sync: sync})
		s, err := x.Subscribe(bg, func(context.Context, int) error { return nil })
		require.NoError(t, err)
		q, err := x.Queue(bg, eventbus.SubscribeConfig[int]{})
		require.NoError(t, err)
		var none context.Context
		names(t, x.Publish(none, 1), "nil context")
		names(t, x.TryPublish(none, 1), "nil context")
		names(t, x.PublishWith(none, eventbus.PublishConfig{}, 1), "nil context")
		_, err = x.PublishBatch(none, ints(1, 2))
		names(t, err, "nil context")
		_, err = q.Next(none)
		names(t, err, "nil context")
		for _, err := range q.Events(none) {
			names(t, err, "nil context")
		}
		for _, err := range x.Events(none) {
			names(t, err, "nil context")
		}
		names(t, b.Flush(none), "nil context")
		names(t, b.Close(none), "nil context")
		names(t, s.Drain(none), "nil context")
		_, err = eventbus.Request[int](none, b, 1)
		names(t, err, "nil context")
		assert.Zero(t, x.Stats().Seq)
		closed(t, b)
	}
}

// Hostile numbers: no overflow, no panic, no endless wait.
func TestG44_ExtremeNumbers(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{StallAfter: 1<<63 - 1}, eventbus.TopicConfig{Capacity: math.MinInt, History: math.MinInt})
	s, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{
		Capacity: math.MinInt, From: 1<<63 - 1, Timeout: 1<<63 - 1,
		Retry: eventbus.Retry{Attempts: math.MinInt, Wait: 1<<63 - 1, MaxWait: 1<<63 - 1},
	}, func(context.Context, int) error { return assert.AnError })
	require.NoError(t, err)
	ok, err := x.SubscribeWith(bg, eventbus.SubscribeConfig[int]{
		Timeout: -1, Retry: eventbus.Retry{Attempts: 3, Wait: -1 << 63, MaxWait: -1 << 63},
	}, func(context.Context, int) error { return assert.AnError })
	require.NoError(t, err)
	require.NoError(t, x.PublishWith(bg, eventbus.PublishConfig{Time: time.Unix(1<<40, 0)}, 1))
	require.NoError(t, ok.Drain(bg))
	assert.EqualValues(t, 2, ok.Stats().Retried)
	s.Cancel()
	closed(t, b)
}

func TestG44_WhatErrorsSay(t *testing.T) {
	for want, err := range map[string]error{
		`eventbus: queue full: topic "t", subscription "s", event 7`: &eventbus.Error{Topic: "t", Subscription: "s", Seq: 7, Err: eventbus.ErrFull},
		`eventbus: no luck: topic "t", event 7, 3 attempts`:          &eventbus.Error{Topic: "t", Seq: 7, Attempts: 3, Err: errors.New("no luck")},
		`eventbus: closed`: &eventbus.Error{Err: eventbus.ErrClosed},
		`eventbus`:         &eventbus.Error{},
		`eventbus: would deadlock: topic "a", cycle a -> b`: &eventbus.Error{Topic: "a", Cycle: []string{"a", "b"}, Err: eventbus.ErrWouldDeadlock},
		`eventbus: not drained: 5 events discarded, 1 being handled in "a", "b"`: &eventbus.DrainError{Left: []eventbus.SubscriptionStats{
			{Name: "a", Discarded: 5}, {Name: "b", Running: 1},
		}},
		`eventbus: not drained: 0 events discarded, 0 being handled: context canceled`: &eventbus.DrainError{Err: context.Canceled},
	} {
		assert.Equal(t, want, err.Error())
	}
	require.ErrorIs(t, &eventbus.DrainError{Err: context.Canceled}, context.Canceled)
	for o, want := range map[eventbus.Overflow]string{
		eventbus.Block: "Block", eventbus.DropOldest: "DropOldest", eventbus.DropNewest: "DropNewest", eventbus.Fail: "Fail",
		eventbus.Disconnect: "Disconnect", eventbus.Unbounded: "Unbounded", 200: "Overflow(200)",
	} {
		assert.Equal(t, want, fmt.Sprint(o))
	}
}

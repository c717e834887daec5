package eventbus_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

func TestS36_G30_NamesThatAreRefused(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{})
	for name, want := range map[string]string{
		".":                             "empty token",
		"a..b":                          "empty token",
		".a":                            "empty token",
		"a.":                            "empty token",
		"a b":                           "white space",
		"a\nb":                          "control",
		"a\x00b":                        "control",
		"a\u00a0b":                      "white space",
		"\xff":                          "UTF-8",
		"*":                             "* or >",
		"a.*.b":                         "* or >",
		">":                             "* or >",
		"a.>.b":                         "* or >",
		strings.Repeat("a", 1025):       "1024 bytes",
		strings.Repeat("a", 1<<20):      "1024 bytes",
		strings.Repeat("a.", 1<<19):     "1024 bytes",
		"\u202e" + "a" + "\u2028" + "b": "white space",
	} {
		_, err := eventbus.NewTopic[int](b, name, eventbus.TopicConfig{})
		require.ErrorContains(t, err, want, "%.40q", name)
		require.ErrorContains(t, err, "Name")
		assert.Less(t, len(err.Error()), 400, "a message is no place for a megabyte")
	}
	for _, name := range []string{"a", "a.b", "etc/passwd", "CON", "\u00e9t\u00e9", "a*", "*a", ">a", "a>.b", "<script>", strings.Repeat("a", 1024)} {
		_, err := eventbus.NewTopic[int](b, name, eventbus.TopicConfig{})
		require.NoError(t, err, name)
	}
	for _, p := range []string{"a.>.b", ">.a", "", "a..*", "a b", "\xff", strings.Repeat("*.", 600) + "*"} {
		_, err := eventbus.SubscribePattern(bg, b, p, eventbus.SubscribeConfig[any]{}, func(context.Context, eventbus.Event[any]) error { return nil })
		require.ErrorContains(t, err, "Pattern", "%.40q", p)
	}
	closed(t, b)
}

type shape interface{ Area() int }

type (
	square int
	circle struct{ r int }
	word   string
)

func (s square) Area() int  { return int(s) * int(s) }
func (c *circle) Area() int { return 3 * c.r * c.r }

// A pattern takes topics whose names match and whose type fits, those made later
// too, and asks each event where the topic's own type is an interface.
func TestG30_WhatAPatternCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		early := eventbus.MustNewTopic[square](b, "shapes.square", eventbus.TopicConfig{})
		on := func(pattern string) *[]string {
			var saw []string
			_, err := eventbus.SubscribePattern(bg, b, pattern, eventbus.SubscribeConfig[shape]{}, func(_ context.Context, e eventbus.Event[shape]) error {
				saw = append(saw, fmt.Sprintf("%s %v #%d", e.Topic(), e.Data.Area(), e.Seq))
				return nil
			})
			require.NoError(t, err)
			return &saw
		}
		all, one, none := on(">"), on("shapes.*"), on("*")
		late := eventbus.MustNewTopic[*circle](b, "shapes.round.circle", eventbus.TopicConfig{})
		mixed := eventbus.MustNewTopic[any](b, "shapes.any", eventbus.TopicConfig{})
		words := eventbus.MustNewTopic[word](b, "shapes.word", eventbus.TopicConfig{})
		onSync := eventbus.MustNewTopic[shape](b, "shapes.sync", eventbus.TopicConfig{Sync: true})
		publish(t, early, 2)
		publish(t, late, &circle{1})
		publish[any](t, mixed, square(3), "no shape", nil, &circle{2})
		publish(t, words, "no")
		publish[shape](t, onSync, square(4), nil)
		closed(t, b)
		assert.Equal(t, []string{
			"shapes.square 4 #1", "shapes.round.circle 3 #1", "shapes.any 9 #1", "shapes.any 12 #4", "shapes.sync 16 #1",
		}, *all)
		assert.Equal(t, []string{"shapes.square 4 #1", "shapes.any 9 #1", "shapes.any 12 #4", "shapes.sync 16 #1"}, *one)
		assert.Empty(t, *none)
		assert.EqualValues(t, 0, early.Stats().Unrouted)
		assert.EqualValues(t, 1, words.Stats().Unrouted, "a word is no shape")
	})
}

// The end of a pattern subscription is that on every topic.
func TestG30_TheEndOfAPattern(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := eventbus.MustNew(eventbus.Config{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{})
		s, err := eventbus.SubscribePattern(bg, b, "*", eventbus.SubscribeConfig[int]{Name: "p"}, func(context.Context, eventbus.Event[int]) error { return nil })
		require.NoError(t, err)
		y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{})
		publish(t, x, 1)
		publish(t, y, 1, 2)
		for topic := range b.Topics() {
			require.Len(t, topic.Subscriptions, 1)
			assert.Equal(t, "*", topic.Subscriptions[0].Topic)
		}
		require.NoError(t, s.Drain(bg))
		assert.False(t, x.HasSubscribers())
		assert.False(t, y.HasSubscribers())
		z := eventbus.MustNewTopic[int](b, "z", eventbus.TopicConfig{})
		assert.False(t, z.HasSubscribers())
		accounted(t, 3, s)
		closed(t, b)
	})
}

func TestS37_G31_OneNameOneType(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{})
	x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{Capacity: 5})
	_, err := eventbus.NewTopic[string](b, "x", eventbus.TopicConfig{})
	require.ErrorIs(t, err, eventbus.ErrTopicType)
	require.ErrorContains(t, err, "int")
	require.ErrorContains(t, err, "string")
	require.ErrorContains(t, err, `"x"`)

	same, err := eventbus.NewTopic[int](b, "x", eventbus.TopicConfig{})
	require.NoError(t, err)
	assert.Same(t, x, same)
	same, err = eventbus.NewTopic[int](b, "x", eventbus.TopicConfig{Capacity: 5})
	require.NoError(t, err)
	assert.Same(t, x, same)
	dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
	_, err = eventbus.NewTopic[int](b, "x", eventbus.TopicConfig{Capacity: 6, History: 1, Untimed: true, Type: "t", DeadLetter: dead})
	for _, part := range []string{"Capacity is 6, want 5", "History is 1, want 0", "Untimed is true", `Type is "t"`, `DeadLetter is "dead"`} {
		require.ErrorContains(t, err, part)
	}
	_, err = eventbus.NewTopic[int](b, "x", eventbus.TopicConfig{Sync: true})
	require.ErrorContains(t, err, "Sync is true, want false")

	// The type-keyed topic is the one of that name.
	named := eventbus.MustNewTopic[square](b, "", eventbus.TopicConfig{Capacity: 9})
	j, _ := subscribe(t, named, eventbus.SubscribeConfig[square]{})
	require.NoError(t, eventbus.Publish(bg, b, square(3)))
	closed(t, b)
	assert.Equal(t, []square{3}, j.data())
	_, err = eventbus.NewTopic[int](b, "x", eventbus.TopicConfig{})
	require.ErrorIs(t, err, eventbus.ErrClosed)
	runtime.KeepAlive(x)
}

// gone waits until the garbage collector has taken topics away.
func gone(t *testing.T, b *eventbus.Bus, want int) {
	t.Helper()
	assert.Eventually(t, func() bool {
		runtime.GC()
		n := 0
		for range b.Topics() {
			n++
		}
		return n == want
	}, 10*time.Second, time.Millisecond)
}

// A topic that nobody refers to vanishes with its name, and with that its type
// and its Seq.
func TestG32_ATopicLivesAsLongAsItIsReferredTo(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{})
	func() {
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{})
		publish(t, x, 1, 2)
		assert.EqualValues(t, 2, x.Stats().Seq)
	}()
	gone(t, b, 0)
	x := eventbus.MustNewTopic[string](b, "x", eventbus.TopicConfig{})
	publish(t, x, "1")
	assert.EqualValues(t, 1, x.Stats().Seq, "another topic, of another type")

	// A subscription, history and the type-keyed table keep their topics.
	var s *eventbus.Subscription
	func() {
		_, s = subscribe(t, eventbus.MustNewTopic[int](b, "subscribed", eventbus.TopicConfig{}), eventbus.SubscribeConfig[int]{})
		publish(t, eventbus.MustNewTopic[int](b, "remembers", eventbus.TopicConfig{History: 1}), 7)
		require.NoError(t, eventbus.Publish(bg, b, square(1)))
		_ = eventbus.MustNewTopic[int](b, "forgotten", eventbus.TopicConfig{})
	}()
	gone(t, b, 4)
	assert.Equal(t, 1, eventbus.MustNewTopic[int](b, "remembers", eventbus.TopicConfig{}).Stats().Retained)
	s.Cancel()
	<-s.Done()
	gone(t, b, 3)

	// A pattern for all topics does not keep every topic there ever was.
	all, err := eventbus.SubscribePattern(bg, b, ">", eventbus.SubscribeConfig[any]{}, func(context.Context, eventbus.Event[any]) error { return nil })
	require.NoError(t, err)
	for i := range 100 {
		publish(t, eventbus.MustNewTopic[int](b, fmt.Sprint("short.", i), eventbus.TopicConfig{}), i)
	}
	require.NoError(t, b.Flush(bg))
	gone(t, b, 3)
	all.Cancel()
	closed(t, b)
	runtime.KeepAlive(x)
}

package eventbus_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// failsOften fails at everything, but for what can only be events without end.
func failsOften[T any](calls *int) func(context.Context, eventbus.Event[T]) error {
	return func(context.Context, eventbus.Event[T]) error {
		if *calls++; *calls > 10 {
			return nil
		}
		return assert.AnError
	}
}

func subscribeToLetters[T any](b *eventbus.Bus, pattern string, own *eventbus.Topic[eventbus.Failure], calls *int) (*eventbus.Subscription, error) {
	return eventbus.SubscribePattern(bg, b, pattern, eventbus.SubscribeConfig[T]{DeadLetter: own}, failsOften[T](calls))
}

// A pattern that covered the topic of its own dead letters, and failed at them,
// made one about each, without end.
func TestRegression_G16_APatternOverItsOwnDeadLetters(t *testing.T) {
	type covering struct {
		pattern   string
		subscribe func(*eventbus.Bus, string, *eventbus.Topic[eventbus.Failure], *int) (*eventbus.Subscription, error)
		letters   int64
	}
	bubbles(t, map[string]covering{
		"of failures":                 {"dead.*", subscribeToLetters[eventbus.Failure], 1},
		"of failures, all topics":     {">", subscribeToLetters[eventbus.Failure], 1},
		"of any":                      {"dead.*", subscribeToLetters[any], 1},
		"of any, the event's as well": {">", subscribeToLetters[any], 2}, // one for each subscription
	}, func(t *testing.T, c covering) {
		var told failures
		b, x := newTopic[int](t, eventbus.Config{Hooks: eventbus.Hooks{Failed: told.hook}}, eventbus.TopicConfig{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead.x", eventbus.TopicConfig{})
		calls, patternCalls := 0, 0
		_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{DeadLetter: dead}, failsOften[int](&calls))
		require.NoError(t, err)
		s, err := c.subscribe(b, c.pattern, dead, &patternCalls)
		require.NoError(t, err)
		publish(t, x, 1)
		closedEventually(t, b)
		assert.Equal(t, c.letters, dead.Stats().Seq)
		assert.EqualValues(t, patternCalls, s.Stats().Failed)
		assert.Len(t, told.list(), 1+patternCalls, "the hook is told of all")
	})
}

// topicsLetters has a pattern subscription of T give up events in all ways.
func topicsLetters[T any](t *testing.T) {
	t.Helper()
	bubbles(t, map[string]eventbus.SubscribeConfig[T]{
		"handler": {},
		"filter":  {Filter: func(T) bool { panic("oh") }},
		"key":     {Workers: 2, Key: func(T) string { panic("oh") }},
	}, func(t *testing.T, cfg eventbus.SubscribeConfig[T]) {
		b := eventbus.MustNew(eventbus.Config{})
		topics := eventbus.MustNewTopic[eventbus.Failure](b, "dead.topics", eventbus.TopicConfig{})
		own := eventbus.MustNewTopic[eventbus.Failure](b, "dead.own", eventbus.TopicConfig{})
		topicsJournal, _ := subscribe(t, topics, eventbus.SubscribeConfig[eventbus.Failure]{})
		ownJournal, _ := subscribe(t, own, eventbus.SubscribeConfig[eventbus.Failure]{})
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{DeadLetter: topics})
		y := eventbus.MustNewTopic[int](b, "y", eventbus.TopicConfig{})
		fails := func(context.Context, eventbus.Event[T]) error { return assert.AnError }
		cfg.Name = "without"
		_, err := eventbus.SubscribePattern(bg, b, "*", cfg, fails)
		require.NoError(t, err)
		cfg.Name, cfg.DeadLetter = "with", own
		_, err = eventbus.SubscribePattern(bg, b, "*", cfg, fails)
		require.NoError(t, err)
		publish(t, x, 1)
		publish(t, y, 2)
		closed(t, b)
		require.Len(t, topicsJournal.data(), 1, "y has no topic for them")
		f := topicsJournal.data()[0]
		assert.Equal(t, "without", f.Subscription)
		assert.Equal(t, 1, f.Event.Data)
		assert.Equal(t, "x", f.Event.Topic())
		assert.True(t, f.Final)
		require.Len(t, ownJournal.data(), 2)
		for i, f := range ownJournal.data() {
			assert.Equal(t, "with", f.Subscription)
			assert.Equal(t, i+1, f.Event.Data)
		}
	})
}

// What a pattern subscription without a DeadLetter of its own gave up did not go
// to that of the topic.
func TestRegression_G16_PatternsUseTheDeadLetterOfTheTopic(t *testing.T) {
	t.Run("of the type", topicsLetters[int])
	t.Run("of any", topicsLetters[any])
}

// A soundingCtx tells below how many calls it was asked for a value.
type soundingCtx struct {
	context.Context //nolint:containedctx // it is a context
	depth           *int
}

func (c *soundingCtx) Value(key any) any {
	var calls [256]uintptr
	*c.depth = runtime.Callers(0, calls[:])
	return c.Context.Value(key)
}

// The context of a handler held that of the handler that had published its event,
// which held that of the one before, and so on.
func TestRegression_G15_AChainOfHandlersIsNoChainOfContexts(t *testing.T) {
	const events = 3000
	for _, k := range queuedKinds {
		if k.name == "pattern" || k.name == "pattern of any" {
			continue // they would get the events of both topics
		}
		k.run(t, func(t *testing.T, b *eventbus.Bus, x *eventbus.Topic[int]) {
			y := eventbus.MustNewTopic[int](b, "y", k.topic)
			var depth int
			var depths []int
			for _, way := range [][2]*eventbus.Topic[int]{{x, y}, {y, x}} {
				k.subscribe(t, b, way[0], nil, func(ctx context.Context, i int) error {
					depth = 0
					assert.Nil(t, ctx.Value(ctxKey{}))
					depths = append(depths, depth)
					if i == events {
						return nil
					}
					return way[1].Publish(ctx, i+1)
				})
			}
			require.NoError(t, x.Publish(&soundingCtx{bg, &depth}, 1))
			closedEventually(t, b)
			require.Len(t, depths, events)
			assert.Positive(t, depths[0], "the values are those of the first publisher")
			assert.Len(t, slices.Compact(depths), 1)
		})
	}
}

// Nor is one of handlers that publish with the context of their event.
func TestRegression_G15_AChainOfEventsIsNoChainOfContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const events = 100
		b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
		var depth int
		var depths []int
		_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, func(_ context.Context, e eventbus.Event[int]) error {
			depth = 0
			assert.Nil(t, e.Context().Value(ctxKey{}))
			depths = append(depths, depth)
			if e.Data == events {
				return nil
			}
			return x.Publish(e.Context(), e.Data+1)
		})
		require.NoError(t, err)
		require.NoError(t, x.Publish(&soundingCtx{bg, &depth}, 1))
		closedEventually(t, b)
		require.Len(t, depths, events)
		assert.Positive(t, depths[0])
		assert.Len(t, slices.Compact(depths), 1)
	})
}

// Events that came in were told apart by their ID and the bus they are of, though
// an ID is unique only for its Source, which may use it on two topics.
func TestRegression_G39_TheSameIDFromAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		y := eventbus.MustNewTopic[order](b, "y", eventbus.TopicConfig{})
		onX, _ := subscribe(t, x, eventbus.SubscribeConfig[order]{})
		onY, _ := subscribe(t, y, eventbus.SubscribeConfig[order]{})
		l, _ := links()
		attach(t, b, l, both)
		synctest.Wait()
		for i, e := range []eventbus.Encoded{
			{Origin: "o", Source: "/a", Topic: "x"},
			{Origin: "o", Source: "/b", Topic: "x"},
			{Origin: "o", Source: "/a", Topic: "y"},
			{Origin: "p", Source: "/a", Topic: "x"},
			{Origin: "o", Source: "/a /b", Topic: "x"},
			{Origin: "o /a", Source: "/b", Topic: "x"},
		} {
			e.ID, e.Data = "the same", fmt.Appendf(nil, `{"ID":%d}`, i)
			require.NoError(t, l.arrive(bg, e))
			require.NoError(t, l.arrive(bg, e), "a second time, which is ignored")
		}
		closed(t, b)
		assert.Equal(t, []order{{0}, {1}, {3}, {4}, {5}}, onX.data())
		assert.Equal(t, []order{{2}}, onY.data())
	})
}

// givenTimes are times that publishers may give. Those of a bubble do without the
// reading of the monotonic clock, so it is to be called outside.
func givenTimes() []time.Time {
	zone := time.FixedZone("here", -3*60*60-30*60)
	return []time.Time{
		time.Date(2020, 2, 29, 23, 59, 59, 5, zone),
		time.Date(1, 2, 3, 4, 5, 6, 7, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, zone),
		time.Now(),
	}
}

// A time that crossed a bridge lost its zone, and was another one if it was
// centuries away.
func TestRegression_G39_TimesCrossABridgeAsTheyAre(t *testing.T) {
	times := givenTimes()
	synctest.Test(t, func(t *testing.T) {
		a, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		b, y := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		left, right := links()
		attach(t, a, left, both)
		attach(t, b, right, both)
		synctest.Wait()
		there, _ := subscribe(t, y, eventbus.SubscribeConfig[order]{})
		for _, at := range times {
			require.NoError(t, x.PublishWith(bg, eventbus.PublishConfig{Time: at}, order{}))
		}
		synctest.Wait()
		for _, at := range times {
			require.NoError(t, right.arrive(bg, eventbus.Encoded{Topic: "x", Time: at, Data: []byte("{}")}))
		}
		closed(t, a)
		closed(t, b)
		require.Len(t, there.all(), 2*len(times))
		for i, at := range times {
			at = at.Round(0)
			assert.Equal(t, at, left.sent[i].Time)
			assert.Equal(t, at, there.all()[i].Time())
			assert.Equal(t, at, there.all()[len(times)+i].Time(), "a bridge may read a clock, too")
		}
	})
}

package eventbus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// collect publishes with cfg and returns the event as a handler sees it.
func collect[T any](t *testing.T, cfg eventbus.Config, topic eventbus.TopicConfig, with eventbus.PublishConfig, data T) eventbus.Event[T] {
	t.Helper()
	b, x := newTopic[T](t, cfg, topic)
	j, _ := subscribe(t, x, eventbus.SubscribeConfig[T]{})
	require.NoError(t, x.PublishWith(bg, with, data))
	closed(t, b)
	return j.all()[0]
}

// IDs are unique per bus, and differ from those of another bus, or the next run.
func TestS42_G37_IDsAreDistinct(t *testing.T) {
	ids := make(map[string]bool)
	var mu sync.Mutex
	note := func(_ context.Context, e eventbus.Event[int]) error {
		mu.Lock()
		defer mu.Unlock()
		id := e.ID()
		assert.False(t, ids[id], id)
		ids[id] = true
		assert.Equal(t, id, e.ID(), "the same whenever it is asked")
		return nil
	}
	for range 2 {
		b := eventbus.MustNew(eventbus.Config{})
		var wg sync.WaitGroup
		for i := range 5 {
			x := eventbus.MustNewTopic[int](b, fmt.Sprint("t", i), eventbus.TopicConfig{Sync: i == 0})
			_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, note)
			require.NoError(t, err)
			wg.Go(func() {
				for range 10_000 {
					assert.NoError(t, x.Publish(bg, 1))
				}
			})
		}
		wg.Wait()
		closed(t, b)
	}
	assert.Len(t, ids, 100_000)

	// A name that vanished and was made again is another topic, as far as IDs go.
	b := eventbus.MustNew(eventbus.Config{Rand: func() uint64 { return math.MaxUint64 }})
	func() {
		x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{})
		_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{Once: true}, note)
		require.NoError(t, err)
		publish(t, x, 1)
		require.NoError(t, b.Flush(bg))
	}()
	gone(t, b, 0)
	x := eventbus.MustNewTopic[int](b, "x", eventbus.TopicConfig{})
	_, err := x.SubscribeEvents(bg, eventbus.SubscribeConfig[int]{}, note)
	require.NoError(t, err)
	publish(t, x, 1)
	closed(t, b)
	assert.Len(t, ids, 100_002)
}

// A constant Rand makes them repeatable.
func TestG37_RepeatableIDs(t *testing.T) {
	for range 2 {
		e := collect(t, eventbus.Config{Rand: func() uint64 { return 36 }}, eventbus.TopicConfig{}, eventbus.PublishConfig{}, 1)
		assert.Equal(t, "10-1-1", e.ID())
	}
	assert.Equal(t, "given", collect(t, eventbus.Config{}, eventbus.TopicConfig{}, eventbus.PublishConfig{ID: "given"}, 1).ID())
}

type declared struct {
	Name string `json:"name"`
}

func (declared) EventType() string { return "com.example.declared" }

func TestS42_G37_CloudEvents(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 30, 0, 123456789, time.FixedZone("", 3600))
	cfg := eventbus.Config{Name: "my shop", Rand: func() uint64 { return 1 }}
	e := collect(t, cfg, eventbus.TopicConfig{}, eventbus.PublishConfig{
		Key: "k", Subject: "s\"", Time: at,
		Header: map[string]string{
			"traceparent": "00-abc", "x1": "<b>", "Upper": "no", "with-dash": "no", "": "no", "id": "no", "topic": "no", "data": "no", "specversion": "no",
		},
	}, declared{"<n>"})
	text, err := json.Marshal(e)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(text, &got))
	assert.Equal(t, map[string]any{
		"specversion": "1.0", "id": "1-1-1", "source": "/my%20shop", "type": "com.example.declared", "subject": "s\"",
		"time": "2026-11-25T11:30:00.123456789Z", "datacontenttype": "application/json", "partitionkey": "k", "sequence": "1",
		"topic": "x", "traceparent": "00-abc", "x1": "<b>", "data": map[string]any{"name": "<n>"},
	}, got)
	cloudEvent(t, got)
	assert.Equal(t, 1, strings.Count(string(text), `"id"`), "no member twice")

	// As little as there can be.
	text, err = json.Marshal(collect(t, eventbus.Config{}, eventbus.TopicConfig{Untimed: true}, eventbus.PublishConfig{}, 7))
	require.NoError(t, err)
	got = nil
	require.NoError(t, json.Unmarshal(text, &got))
	cloudEvent(t, got)
	assert.NotContains(t, got, "time")
	assert.NotContains(t, got, "subject")
	assert.InEpsilon(t, 7, got["data"], 0)
	assert.Equal(t, "int", got["type"])
	assert.Equal(t, "/bus", got["source"])

	_, err = json.Marshal(collect(t, eventbus.Config{}, eventbus.TopicConfig{}, eventbus.PublishConfig{}, func() {}))
	require.Error(t, err)
}

// cloudEvent checks what version 1.0 of the specification asks of every event:
// required attributes that are not empty, a URI reference, RFC 3339, names.
func cloudEvent(t *testing.T, e map[string]any) {
	t.Helper()
	for _, name := range []string{"specversion", "id", "source", "type"} {
		assert.NotEmpty(t, e[name], name)
	}
	assert.Equal(t, "1.0", e["specversion"])
	_, err := url.Parse(e["source"].(string))
	require.NoError(t, err)
	if at, ok := e["time"]; ok {
		_, err := time.Parse(time.RFC3339, at.(string))
		require.NoError(t, err)
	}
	for name, v := range e {
		assert.Regexp(t, regexp.MustCompile(`^[a-z0-9]+$`), name)
		if name != "data" {
			assert.IsType(t, "", v, name)
		}
	}
}

// The header is a copy, and so is what an event hands out.
func TestG37_TheHeaderIsACopy(t *testing.T) {
	b, x := newTopic[int](t, eventbus.Config{}, eventbus.TopicConfig{})
	j, _ := subscribe(t, x, eventbus.SubscribeConfig[int]{})
	header := map[string]string{"b": "2", "a": "1"}
	require.NoError(t, x.PublishWith(bg, eventbus.PublishConfig{Header: header}, 1))
	clear(header)
	publish(t, x, 2)
	closed(t, b)
	e := j.all()[0]
	assert.Equal(t, "1", e.Header("a"))
	assert.Empty(t, e.Header("c"))
	assert.Equal(t, map[string]string{"a": "1", "b": "2"}, maps.Collect(e.Headers()))
	var names []string
	for name := range e.Headers() {
		names = append(names, name)
	}
	assert.Equal(t, []string{"a", "b"}, names)
	for range e.Headers() {
		break
	}
	assert.Empty(t, maps.Collect(j.all()[1].Headers()))
}

// The zero Event has no envelope, and answers all the same.
func TestG37_TheZeroEvent(t *testing.T) {
	var e eventbus.Event[int]
	assert.Empty(t, e.ID()+e.Type()+e.Topic()+e.Source()+e.Subject()+e.Key()+e.Header("a"))
	assert.True(t, e.Time().IsZero())
	assert.Empty(t, maps.Collect(e.Headers()))
	_, err := json.Marshal(e)
	for _, name := range []string{"id", "source", "type"} {
		require.ErrorContains(t, err, "attribute "+name+` is ""`)
	}
}

// What CloudEvents 1.0 does not allow is not marshalled.
func TestG37_NoCloudEvent(t *testing.T) {
	for name, cfg := range map[string]eventbus.PublishConfig{
		"time":         {Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"id":           {ID: "a\x00"},
		"subject":      {Subject: "a\nb"},
		"partitionkey": {Key: "\xff"},
		"traceparent":  {Header: map[string]string{"traceparent": "\x7f"}},
	} {
		e := collect(t, eventbus.Config{}, eventbus.TopicConfig{}, cfg, 1)
		_, err := json.Marshal(e)
		require.ErrorContains(t, err, "attribute "+name+" is ")
	}
	_, err := json.Marshal(collect(t, eventbus.Config{}, eventbus.TopicConfig{}, eventbus.PublishConfig{
		Time: time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), Header: map[string]string{"Not an attribute": "\x00"},
	}, 1))
	require.NoError(t, err)
}

type (
	pointed  struct{}
	argument struct{ N int }
	generic  [1]argument
)

func (*pointed) EventType() string { return "pointed" }

// The name of a type is import path, dot, type name; the type of an event is that,
// unless the Go type or the topic says otherwise.
func TestG38_TypeNames(t *testing.T) {
	const path = "github.com/mainstay-go/mainstay/eventbus_test."
	b := eventbus.MustNew(eventbus.Config{})
	check := func(name, typ string, topic interface {
		Name() string
		Stats() eventbus.TopicStats
	},
	) {
		t.Helper()
		assert.Equal(t, name, topic.Name())
		assert.Equal(t, typ, topic.Stats().Type)
	}
	check(path+"argument", path+"argument", eventbus.MustNewTopic[argument](b, "", eventbus.TopicConfig{}))
	check("_"+path+"argument", "_"+path+"argument", eventbus.MustNewTopic[*argument](b, "", eventbus.TopicConfig{}))
	check("int", "int", eventbus.MustNewTopic[int](b, "", eventbus.TopicConfig{}))
	check("map[string][]int", "map[string][]int", eventbus.MustNewTopic[map[string][]int](b, "", eventbus.TopicConfig{}))
	check("time.Time", "time.Time", eventbus.MustNewTopic[time.Time](b, "", eventbus.TopicConfig{}))
	check(path+"generic", "mine", eventbus.MustNewTopic[generic](b, "", eventbus.TopicConfig{Type: "mine"}))
	check(path+"declared", "com.example.declared", eventbus.MustNewTopic[declared](b, "", eventbus.TopicConfig{}))
	check("_"+path+"pointed", "pointed", eventbus.MustNewTopic[*pointed](b, "", eventbus.TopicConfig{}))
	check("named", path+"argument", eventbus.MustNewTopic[argument](b, "named", eventbus.TopicConfig{}))

	_, err := eventbus.NewTopic[any](b, "", eventbus.TopicConfig{})
	require.ErrorContains(t, err, "interface")
	require.ErrorContains(t, eventbus.Publish[fmt.Stringer](bg, b, nil), "interface")
	_, err = eventbus.Subscribe(bg, b, func(context.Context, error) error { return nil })
	require.ErrorContains(t, err, "interface")
	closed(t, b)
}

type awkward struct{}

func (awkward) EventType() string { panic("awkward") }

type garbled struct{}

func (garbled) EventType() string { return "line\nbreak" }

func TestG38_AnEventTypeThatFails(t *testing.T) {
	b := eventbus.MustNew(eventbus.Config{})
	_, err := eventbus.NewTopic[awkward](b, "x", eventbus.TopicConfig{})
	panicked(t, err, "awkward")
	_, err = eventbus.NewTopic[garbled](b, "x", eventbus.TopicConfig{})
	require.ErrorContains(t, err, "EventType()")
	_, err = eventbus.NewTopic[awkward](b, "x", eventbus.TopicConfig{Type: "fine"})
	require.NoError(t, err)
	closed(t, b)
}

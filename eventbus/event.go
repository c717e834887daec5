package eventbus

import (
	"context"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// An Event is what was published, with its envelope. All subscriptions share
// Data: treat it as immutable. The zero Event has no envelope, and its methods
// return zero values.
type Event[T any] struct {
	Data T

	// Seq numbers the events of a topic: 1, 2, 3... An event that is still
	// being published has 0.
	Seq int64

	// Lag is how many events this subscription lost directly before this one,
	// to its overflow policy or because history no longer had them.
	Lag uint64

	envelope
}

// envelope is all of an event that does not depend on its type.
type envelope struct {
	origin
	topic *topicInfo
}

// origin is what one publish gives its event, but for the data.
type origin struct {
	ctx  context.Context //nolint:containedctx // the publisher's, on its way to the handler
	at   stamp
	meta *meta
}

// meta is the part of an envelope that most events do without. Immutable.
type meta struct {
	key, subject string
	header       map[string]string
	id           string
	at           time.Time // given by the publisher; zero: none

	// Of an event that came from another process.
	source, typ string
	from        string  // the bus it was first published on
	came        *attach // how it came
}

// topicInfo is what an event knows of its topic. It does not refer to the topic,
// so an event that somebody keeps does not keep that alive, but at most that of its
// dead letters.
type topicInfo struct {
	name, typ  string
	bus        *Bus
	number     int64 // never used twice on a bus
	dead       *Topic[Failure]
	hookPanics atomic.Uint64
	drops      baton // of events that nobody subscribed to
}

// deadLetters is the topic for an event that a subscription gives up: its own, or
// that of the event's topic. A handler that looks at data alone has no topic at
// hand, and nil is what it has then.
func (i *topicInfo) deadLetters(own *Topic[Failure]) *Topic[Failure] {
	if own == nil && i != nil {
		return i.dead
	}
	return own
}

func newMeta(cfg *PublishConfig) *meta {
	return &meta{key: cfg.Key, subject: cfg.Subject, header: maps.Clone(cfg.Header), id: cfg.ID, at: cfg.Time.Round(0)}
}

// ID identifies the event among all of its Source, also across restarts. It is
// made of a random number of the bus, the number of the topic and Seq, unless it
// was given; so it is empty while the event is still being published.
func (e Event[T]) ID() string {
	if e.meta != nil && e.meta.id != "" {
		return e.meta.id
	}
	if e.topic == nil || e.Seq == 0 {
		return ""
	}
	id := make([]byte, 0, 48)
	id = append(id, e.topic.bus.epoch...)
	id = append(id, '-')
	id = strconv.AppendInt(id, e.topic.number, 10)
	id = append(id, '-')
	id = strconv.AppendInt(id, e.Seq, 10)
	return string(id)
}

// Type is the CloudEvents type. See [TopicConfig].Type.
func (e Event[T]) Type() string {
	switch {
	case e.meta != nil && e.meta.typ != "":
		return e.meta.typ
	case e.topic != nil:
		return e.topic.typ
	}
	return ""
}

// Topic is the name of the topic.
func (e Event[T]) Topic() string {
	if e.topic == nil {
		return ""
	}
	return e.topic.name
}

// Source is the CloudEvents source. See [Config].Source.
func (e Event[T]) Source() string {
	switch {
	case e.meta != nil && e.meta.source != "":
		return e.meta.source
	case e.topic != nil:
		return e.topic.bus.source
	}
	return ""
}

// Subject is that of [PublishConfig].
func (e Event[T]) Subject() string {
	if e.meta == nil {
		return ""
	}
	return e.meta.subject
}

// Key is that of [PublishConfig].
func (e Event[T]) Key() string {
	if e.meta == nil {
		return ""
	}
	return e.meta.key
}

// Time is when it was published. Zero on an Untimed topic, and where nobody
// wanted to know when it was published.
func (e Event[T]) Time() time.Time {
	if e.meta != nil && !e.meta.at.IsZero() {
		return e.meta.at
	}
	if e.topic == nil {
		return time.Time{}
	}
	return e.topic.bus.time.date(e.at)
}

// Header is the header of that name, "" if there is none.
func (e Event[T]) Header(name string) string {
	if e.meta == nil {
		return ""
	}
	return e.meta.header[name]
}

// Headers are all headers in the order of their names.
func (e Event[T]) Headers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if e.meta == nil {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(e.meta.header)) {
			if !yield(name, e.meta.header[name]) {
				return
			}
		}
	}
}

// Context has the values of the publisher's context, and is never cancelled.
func (e Event[T]) Context() context.Context {
	if e.ctx == nil {
		return context.Background()
	}
	ctx := publishers(e.ctx)
	if _, ok := ctx.(detachedCtx); ok {
		return ctx
	}
	return detachedCtx{context.WithoutCancel(ctx)}
}

// A detachedCtx does not tell in which handler its publisher was: whoever uses
// it is not that handler.
type detachedCtx struct{ context.Context } //nolint:containedctx // it is a context

func (c detachedCtx) Value(key any) any {
	if key == (handKey{}) {
		return nil
	}
	return c.Context.Value(key)
}

// erased is the event for those who take any type. It allocates.
func (e *Event[T]) erased() Event[any] {
	return Event[any]{e.Data, e.Seq, e.Lag, e.envelope}
}

// sameContext reports whether a is known to be b.
func sameContext(a, b context.Context) bool { return comparableContext(b) && a == b }

// comparableContext reports whether any context may be compared with this one by
// ==, which panics for two of the same type if they are some kinds of structs or
// functions. Pointers may be, and so may the type of context.Background().
func comparableContext(c context.Context) bool {
	return c == context.Background() || c != nil && reflect.TypeOf(c).Kind() == reflect.Pointer
}

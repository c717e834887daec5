package eventbus

import (
	"errors"
	"math"
	"strconv"
	"time"
)

// Config says how a bus behaves. It is passed by value, copied, and never
// changed later. The zero Config is valid.
type Config struct {
	// Name is for stats and errors. Empty: "bus".
	Name string

	// Source is the CloudEvents source of the events, a URI reference. Empty:
	// "/" and Name.
	Source string

	// Clock tells the time of events, of retries, timeouts and stalls. Nil:
	// system time.
	Clock Clock

	// Rand draws the number that makes the IDs of this bus differ from those of
	// every other, once, in New. A constant makes IDs repeatable, for tests. It
	// must be safe for concurrent use. Nil: math/rand/v2.
	Rand func() uint64

	// StallAfter is how long a publisher has to wait for Hooks.Stalled to be
	// called. Zero: 5s. Negative: never.
	StallAfter time.Duration

	// AroundPublish are called around every publish, on its goroutine, the
	// first one outermost. The Seq of their event is still 0. An interceptor
	// may pass on another context or other Data of the same type; it refuses
	// the event by not calling next, and its error is then that of Publish.
	AroundPublish []Interceptor

	// AroundHandle are called around every attempt of a handler and every call
	// of a responder, the first one outermost. What a Queue hands out is not
	// intercepted.
	AroundHandle []Interceptor

	// Hooks observe the bus.
	Hooks Hooks
}

// TopicConfig says how a topic behaves. The zero TopicConfig is valid, and takes
// an existing topic as it is; any other has to agree with the existing one.
type TopicConfig struct {
	// Capacity is how many events may wait per subscription. Zero: 1024.
	// Negative: no limit, unless the subscription sets one.
	Capacity int

	// History is how many of the newest events are kept for late
	// subscriptions; 1 is the last value. Zero or negative: none.
	History int

	// Sync runs the handlers on the publisher's goroutine, without queues. It
	// excludes Capacity and History.
	Sync bool

	// Untimed leaves the clock alone: Event.Time is zero.
	Untimed bool

	// Type is the CloudEvents type of the events. Empty: what the method
	// EventType() string of T says, if it has one, else the name of type T.
	Type string

	// DeadLetter gets a Failure for every event that a subscription gave up,
	// and for every one that nobody subscribed to. Subscriptions may have their
	// own. Topics of Failure must not have one. Nil: none.
	DeadLetter *Topic[Failure]
}

// PublishConfig is the envelope of one event.
type PublishConfig struct {
	// Key orders events for subscriptions with several Workers; CloudEvents
	// calls it partitionkey. Empty: none.
	Key string

	// Subject is the CloudEvents subject. Empty: none.
	Subject string

	// Header are CloudEvents extensions, for example traceparent. It is copied.
	Header map[string]string

	// ID identifies the event. Empty: derived when somebody asks for it.
	ID string

	// Time is when it happened. Zero: now, unless the topic is Untimed.
	Time time.Time

	// Mandatory makes a publish without subscriptions fail with
	// ErrNoSubscriber.
	Mandatory bool
}

// SubscribeConfig says how a subscription behaves. The zero SubscribeConfig is
// valid. On a Sync topic a handler runs on the publisher's goroutine, so
// OnFull, Capacity, Workers, Key and From are refused there; pattern
// subscriptions and queues have a queue all the same, and may set all but From
// and Order.
type SubscribeConfig[T any] struct {
	// Name is for stats, errors and hooks; it need not be unique. Empty: the
	// name of the topic, a slash and a number.
	Name string

	// OnFull is what happens when an event comes and Capacity events wait.
	// Zero: Block.
	OnFull Overflow

	// Capacity is how many events may wait, exactly. Zero: as many as the topic
	// says, 1024 for a pattern, 1,000,000 with Unbounded. Negative: no limit, so
	// that OnFull never acts.
	Capacity int

	// Filter chooses events. It runs on the publisher's goroutine before the
	// queue, so an event it refuses takes no room; it has to be quick and pure.
	// Of history it is asked on the goroutine that subscribes. Nil: all events.
	Filter func(T) bool

	// Once ends the subscription after one event. Excludes Workers above 1.
	Once bool

	// Workers is how many handler calls may run at once. Zero: 1. Negative is
	// refused.
	Workers int

	// Key, with several Workers, keeps events of one key in order; "" is no
	// key. It runs where Filter does. Nil: the Key of PublishConfig.
	Key func(T) string

	// From is where to begin: 0 with the next event, n > 0 with the event of
	// Seq n, -n with the newest n retained, Oldest with all retained. Refused
	// for patterns.
	From int64

	// Order sorts the handlers of a Sync topic: lower ones run first, equal
	// ones by age. Refused elsewhere.
	Order int

	// Timeout cancels the context of each attempt. Zero or negative: none.
	Timeout time.Duration

	// Retry says whether and when to call the handler again for an event it
	// failed at. Zero: never.
	Retry Retry

	// DeadLetter gets a Failure for every event given up. Nil: the topic's.
	DeadLetter *Topic[Failure]
}

// Retry says whether and when a handler is called again.
type Retry struct {
	// Attempts is how many calls there are in all. Zero or 1: no retry.
	// Negative: until the subscription ends.
	Attempts int

	// Wait is the time before the second call; it doubles from call to call.
	// Zero: 100ms. Negative: no wait.
	Wait time.Duration

	// MaxWait caps the doubled Wait. Zero: 30s, or Wait if that is longer.
	// Negative: no cap.
	MaxWait time.Duration

	// Delay replaces Wait and MaxWait: it tells how long to wait after a
	// failed attempt, 1 being the first. Negative: give up now.
	Delay func(attempt int, err error) time.Duration
}

// Overflow is what happens when an event comes for a subscription whose queue
// is full.
type Overflow uint8

// The overflow policies. Block and Fail are gating: a publish may wait or fail
// because of them. The others never affect a publish.
const (
	Block      Overflow = iota // the publisher waits
	DropOldest                 // the subscription loses its oldest waiting events
	DropNewest                 // the subscription loses this event
	Fail                       // the publish fails with ErrFull: nobody gets the event
	Disconnect                 // the subscription ends with ErrFull
	Unbounded                  // the queue grows up to Capacity, and beyond it is Disconnect
	overflows                  // how many there are
)

var overflowNames = [...]string{"Block", "DropOldest", "DropNewest", "Fail", "Disconnect", "Unbounded"}

// String returns the name of the constant.
func (o Overflow) String() string {
	if o < overflows {
		return overflowNames[o]
	}
	return "Overflow(" + strconv.Itoa(int(o)) + ")"
}

// MarshalText is String, so that policies read well in JSON. It never fails.
func (o Overflow) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText wrote. A text that names no policy is an
// error.
func (o *Overflow) UnmarshalText(text []byte) error {
	for v := Overflow(0); v <= Unbounded; v++ {
		if v.String() == string(text) {
			*o = v
			return nil
		}
	}
	return errors.New("eventbus: " + quoted(string(text)) + " is no Overflow")
}

// gating reports whether a full queue of this policy concerns the publisher.
func (o Overflow) gating() bool { return o == Block || o == Fail }

// Oldest as [SubscribeConfig].From begins with the oldest event retained.
const Oldest int64 = math.MinInt64

// Defaults, where they are not plain.
const (
	defaultName       = "bus"
	defaultCapacity   = 1024
	defaultUnbounded  = 1_000_000
	defaultStallAfter = 5 * time.Second
	defaultWait       = 100 * time.Millisecond
	defaultMaxWait    = 30 * time.Second

	// A queue is described by an int32 in places; nobody needs more.
	maxCapacity = 1 << 30
	maxWorkers  = 1 << 16
	noLimit     = -1
)

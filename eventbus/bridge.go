package eventbus

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

const jsonType = "application/json"

// An Encoded is an event on its way between processes: the attributes of
// CloudEvents 1.0 and the data in the form of ContentType.
type Encoded struct {
	ID, Source, Type, Subject string
	Topic                     string
	Key                       string // partitionkey
	ContentType               string // datacontenttype
	Origin                    string // the bus it was first published on; "" if it began outside of any
	Time                      time.Time
	Seq                       int64 // on the bus that sends it
	Header                    map[string]string
	Data                      []byte
}

// A Bridge carries events to other processes and back. Rules for implementers;
// eventbustest.TestBridge checks them:
//
//   - Methods are safe for concurrent use. Forward is called by one goroutine at a
//     time unless BridgeConfig.Queue has more Workers.
//   - Forward returns nil once the event is where its loss is none of this
//     process's business any more. After an error it is called again for the same
//     event as BridgeConfig.Queue.Retry says, so events may arrive twice, under
//     one ID.
//   - Receive calls deliver for every event of topics that match the pattern, in
//     the order of their Seq per topic and Origin, and returns when ctx ends. An
//     error of deliver means that the event was not accepted.
//   - All fields of an Encoded arrive as they were sent.
//   - Close is called once, when no call of Forward or Receive is under way. Its
//     ctx ends when that of the Close of the bus does.
type Bridge interface {
	Forward(ctx context.Context, e Encoded) error
	Receive(ctx context.Context, pattern string, deliver func(context.Context, Encoded) error) error
	Close(ctx context.Context) error
}

// BridgeConfig says what goes over a bridge, and how.
type BridgeConfig struct {
	// Export are the patterns of the topics whose events are sent, Import of
	// those that are received. Nil: none. An event that came by a bridge is not
	// sent back by it, and one that was first published here is not received.
	// A [Failure] holds an error, which encoding/json does not bring back:
	// topics of dead letters need a Marshal and Unmarshal that do.
	Export, Import []string

	// Queue is the queue of the events to be sent: OnFull, Capacity, Retry,
	// DeadLetter and so on. Filter sees all of them.
	Queue SubscribeConfig[any]

	// ContentType is what Marshal makes. Empty: "application/json".
	ContentType string

	// Marshal and Unmarshal turn data into bytes and back; Unmarshal gets a
	// pointer to the type of the topic. Both or neither. Nil: encoding/json.
	Marshal   func(any) ([]byte, error)
	Unmarshal func([]byte, any) error
}

func (c BridgeConfig) validate(ctx context.Context, br Bridge) error {
	var p problems
	p.refuse(ctx == nil, errNilContext)
	p.refuse(br == nil, errNilBridge)
	parsePatterns(c.Export, "Export", &p)
	parsePatterns(c.Import, "Import", &p)
	p.check(len(c.Export)+len(c.Import) > 0, "Export and Import", words("empty"), "a pattern")
	p.check((c.Marshal == nil) == (c.Unmarshal == nil), "Marshal and Unmarshal", words("one of them nil"), "both or neither")
	return invalid("attach a bridge", p)
}

func (c BridgeConfig) withDefaults() BridgeConfig {
	if c.ContentType == "" {
		c.ContentType = jsonType
	}
	if c.Marshal == nil {
		c.Marshal, c.Unmarshal = json.Marshal, json.Unmarshal
	}
	if c.Queue.Name == "" && len(c.Export) == 0 {
		c.Queue.Name = "import of " + strings.Join(c.Import, ", ")
	}
	return c
}

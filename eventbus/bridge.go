package eventbus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
	"sync/atomic"
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
//   - Close is called once, when no call of Forward or Receive is under way or
//     ctx has ended.
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

// An attach is a bridge in use.
type attach struct {
	bus    *Bus
	bridge Bridge
	cfg    BridgeConfig
	sub    *Subscription // of the export side

	cancel   context.CancelCauseFunc // of the imports
	running  atomic.Int64            // imports, and one for the export
	imported chan struct{}           // closed when none runs
	once     sync.Once
}

// Attach sends and receives events over a bridge until ctx ends, the returned
// subscription, which is the sending side, ends, or the bus is closed, which also
// closes the bridge. It owns the bridge: attach it once.
func (b *Bus) Attach(ctx context.Context, br Bridge, cfg BridgeConfig) (*Subscription, error) {
	if err := b.usable(); err != nil {
		return nil, err
	}
	a := &attach{bus: b, bridge: br, cfg: cfg.withDefaults(), imported: make(chan struct{})}
	if err := cfg.validate(ctx, br); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	receiving, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	a.cancel = cancel
	sub, err := subscribePatterns(ctx, b, cfg.Export, a.cfg.Queue, a.forward)
	if err != nil {
		cancel(err)
		return nil, err
	}
	a.sub = sub
	b.mu.Lock()
	if b.shut != nil { // it came too late for Close to know of it
		b.mu.Unlock()
		cancel(ErrClosed)
		sub.Cancel()
		return nil, &Error{Topic: sub.where, Err: ErrClosed}
	}
	b.attached = append(b.attached, a)
	b.mu.Unlock()
	a.running.Store(int64(len(cfg.Import)) + 1)
	for _, pattern := range cfg.Import {
		go func() {
			defer a.importEnds()
			a.receive(receiving, pattern)
		}()
	}
	sub.onDone(a.exportEnds)
	return sub, nil
}

// importEnds counts the imports down.
func (a *attach) importEnds() {
	if a.running.Add(-1) == 0 {
		close(a.imported)
	}
}

// exportEnds ends the imports with the subscription.
func (a *attach) exportEnds() {
	a.stopImport()
	a.importEnds()
}

func (c BridgeConfig) validate(ctx context.Context, br Bridge) error {
	var p problems
	if ctx == nil {
		p = append(p, errNilContext)
	}
	if br == nil {
		p = append(p, errNilBridge)
	}
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
	return c
}

func (a *attach) stopImport() { a.cancel(ErrClosed) }

// close closes the bridge.
func (a *attach) close(ctx context.Context) {
	a.once.Do(func() { _ = safely(func() { _ = a.bridge.Close(ctx) }) })
}

// forward sends an event, unless it came by this bridge.
func (a *attach) forward(ctx context.Context, e Event[any]) error {
	if e.meta != nil && e.meta.came == a {
		return nil
	}
	data, err := a.cfg.Marshal(e.Data)
	if err != nil {
		return fmt.Errorf("eventbus: marshal for a bridge: %w", err)
	}
	out := Encoded{
		ID: e.ID(), Source: e.Source(), Type: e.Type(), Subject: e.Subject(), Topic: e.Topic(), Key: e.Key(),
		ContentType: a.cfg.ContentType, Origin: a.bus.epoch, Time: e.Time(), Seq: e.Seq, Data: data,
	}
	if e.meta != nil {
		out.Header = maps.Clone(e.meta.header)
		if e.meta.from != "" {
			out.Origin = e.meta.from
		}
	}
	return a.bridge.Forward(ctx, out)
}

// receive takes events in until ctx ends. A Receive that fails earlier is called
// again, with the waits of a Retry.
func (a *attach) receive(ctx context.Context, pattern string) {
	retry := Retry{Attempts: -1}.withDefaults()
	for attempt := 1; ctx.Err() == nil; attempt++ {
		err := errors.New("eventbus: Receive returned before its context ended")
		if perr := safely(func() {
			if rerr := a.bridge.Receive(ctx, pattern, a.deliver); rerr != nil {
				err = rerr
			}
		}); perr != nil {
			err = perr
		}
		if !a.bus.time.sleep(retry.wait(attempt, err), ctx.Done(), nil) {
			return
		}
	}
}

// deliver publishes an event that came in.
func (a *attach) deliver(ctx context.Context, in Encoded) error {
	if ctx == nil {
		return errNilContext
	}
	if in.Origin == a.bus.epoch {
		return nil // it has been everywhere
	}
	if in.ID == "" {
		return a.receiveOnce(ctx, in)
	}
	// In a ring of bridges it comes from both sides, and a bridge may repeat
	// itself. If the first of two fails, its bridge is told and comes again.
	key := arrival{in.Origin, in.Source, in.Topic, in.ID}
	if !a.bus.arrived.begin(key) {
		return nil
	}
	accepted := false
	defer func() { a.bus.arrived.end(key, accepted) }() // also if a Sync handler ends the goroutine
	err := a.receiveOnce(ctx, in)
	accepted = err == nil
	return err
}

func (a *attach) receiveOnce(ctx context.Context, in Encoded) error {
	t := a.bus.find(in.Topic)
	if t == nil {
		return &Error{Topic: in.Topic, Err: ErrNoSubscriber}
	}
	m := &meta{
		key: in.Key, subject: in.Subject, header: maps.Clone(in.Header), id: in.ID,
		source: in.Source, typ: in.Type, from: in.Origin, came: a, at: in.Time.Round(0),
	}
	return t.receive(ctx, m, func(to any) (err error) {
		perr := safely(func() { err = a.cfg.Unmarshal(in.Data, to) })
		return errors.Join(perr, err)
	})
}

// An arrival identifies an event that came in. An ID alone does not: it is unique
// for its Source, and a source may use it on two topics.
type arrival struct{ origin, source, topic, id string }

// arrivals are the newest events that came in from other processes.
type arrivals struct {
	mu    sync.Mutex // a leaf
	keys  map[arrival]struct{}
	order fifo[arrival] // of those that were accepted; those under way are not in it
}

const maxArrivals = 4096

// begin reports whether the event is new: if so, end has to follow.
func (a *arrivals) begin(key arrival) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.keys[key]; ok {
		return false
	}
	if a.keys == nil {
		a.keys = make(map[arrival]struct{})
	}
	a.keys[key] = struct{}{}
	return true
}

// end has an event remembered, or be new again. One that fails time and again
// must not take the place of others, so only those accepted are counted.
func (a *arrivals) end(key arrival, accepted bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !accepted {
		delete(a.keys, key)
		return
	}
	if a.order.push(key); a.order.len() > maxArrivals {
		oldest, _ := a.order.pop()
		delete(a.keys, oldest)
	}
}

// find is the live topic of that name, nil if there is none.
func (b *Bus) find(name string) anyTopic {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.topics[name]
	if !ok {
		return nil
	}
	return e.get()
}

// receive publishes an event from another process.
func (t *Topic[T]) receive(ctx context.Context, m *meta, unmarshal func(any) error) error {
	var data T
	if err := unmarshal(&data); err != nil {
		return &Error{Topic: t.info.name, Err: fmt.Errorf("eventbus: unmarshal %v: %w", reflect.TypeFor[T](), err)}
	}
	_, err := t.publishMeta(ctx, m, data, mode{})
	return err
}

package eventbus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"sync"
)

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
// again, with the waits of a Retry: the first one, if it was well for longer than
// the longest. calls is how many have failed.
func (a *attach) receive(ctx context.Context, pattern string, calls int) {
	over := false
	defer func() {
		if over {
			a.ends()
		} else { // a handler of a Sync topic has ended the goroutine
			go a.receive(ctx, pattern, calls+1)
		}
	}()
	retry := Retry{Attempts: -1}.withDefaults()
	for ; ctx.Err() == nil; calls++ {
		if calls > 0 && !a.bus.time.sleep(retry.wait(calls, nil), ctx.Done(), nil) {
			break
		}
		began := a.bus.time.now()
		_ = safely(func() { _ = a.bridge.Receive(ctx, pattern, a.deliver) }) // that it ended says all
		if a.bus.time.now()-began > int64(retry.MaxWait) {
			calls = 0
		}
	}
	over = true
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

package eventbustest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A Pair is two buses and a bridge between them: what is published on Out
// reaches the subscribers of In.
type Pair struct {
	// Out and In may be the same bus: then there is no bridge, and a
	// conforming one is no worse.
	Out, In *eventbus.Bus

	// AtLeastOnce allows the bridge to deliver an event several times. The
	// order, in which events come for the first time, is kept all the same.
	AtLeastOnce bool
}

// TestBridge is the conformance suite for those who implement eventbus.Bridge.
// Each of its subtests takes a new pair from factory, which closes its buses in
// a Cleanup of tb, as those of NewBus are. The bridge has to be attached and to
// carry the topics whose names begin with "conformance.", that is the pattern
// conformance.>, at least from Out to In; what is published right after factory
// returned must arrive. A bridge that also goes the other way is tested for
// echoes. The data is made for encoding/json.
//
// The subtests are: data, topics, order, once, envelope, retry, echo and close;
// see guarantee K7. None waits for longer than 30 seconds.
func TestBridge(t *testing.T, factory func(testing.TB) Pair) {
	t.Helper()
	for _, c := range conformance() {
		t.Run(c.name, func(t *testing.T) { c.run(t, factory) })
	}
}

// A check is one property of a bridge.
type check struct {
	name string
	run  func(testing.TB, func(testing.TB) Pair)
}

func conformance() []check {
	return []check{
		{"data", checkData},
		{"topics", checkTopics},
		{"order", checkOrder},
		{"once", checkOnce},
		{"envelope", checkEnvelope},
		{"retry", checkRetry},
		{"echo", checkEcho},
		{"close", checkClose},
	}
}

// newPair is a pair to be checked.
func newPair(tb testing.TB, factory func(testing.TB) Pair) Pair {
	tb.Helper()
	if factory == nil {
		tb.Fatalf("eventbustest: the factory is nil")
	}
	p := factory(tb)
	if p.Out == nil || p.In == nil {
		tb.Fatalf("eventbustest: a bus of the pair is nil")
	}
	return p
}

// topicOf is a topic of one of the buses. It is to be made on In first, because
// what comes in for a topic that In does not have is lost.
func topicOf[T any](tb testing.TB, b *eventbus.Bus, name string, cfg eventbus.TopicConfig) *eventbus.Topic[T] {
	tb.Helper()
	t, err := eventbus.NewTopic[T](b, name, cfg)
	if err != nil {
		tb.Fatalf("eventbustest: %v", err)
	}
	return t
}

// publish publishes on the goroutine of the test.
func publish[T any](tb testing.TB, t *eventbus.Topic[T], data ...T) {
	tb.Helper()
	for _, d := range data {
		publishWith(tb, t, eventbus.PublishConfig{}, d)
	}
}

func publishWith[T any](tb testing.TB, t *eventbus.Topic[T], cfg eventbus.PublishConfig, data T) {
	tb.Helper()
	ctx, cancel := bounded()
	defer cancel()
	if err := t.PublishWith(ctx, cfg, data); err != nil {
		tb.Fatalf("eventbustest: publish on topic %q: %v", t.Name(), err)
	}
}

// An inbox keeps what one subscription gets.
type inbox[T any] struct {
	topic string

	mu     sync.Mutex
	events []eventbus.Event[T]
	news   chan struct{} // closed by the next event
}

// receive subscribes to a topic of one of the buses.
func receive[T any](tb testing.TB, b *eventbus.Bus, name string) *inbox[T] {
	tb.Helper()
	box := &inbox[T]{topic: name, news: make(chan struct{})}
	subscribe(tb, topicOf[T](tb, b, name, eventbus.TopicConfig{}), eventbus.SubscribeConfig[T]{}, func(e eventbus.Event[T]) error {
		box.add(e)
		return nil
	})
	return box
}

// subscribe subscribes until the bus is closed: an event that comes in when
// nobody is there any more would be another matter.
func subscribe[T any](tb testing.TB, t *eventbus.Topic[T], cfg eventbus.SubscribeConfig[T], fn func(eventbus.Event[T]) error) {
	tb.Helper()
	_, err := t.SubscribeEvents(context.Background(), cfg, func(_ context.Context, e eventbus.Event[T]) error { return fn(e) })
	if err != nil {
		tb.Fatalf("eventbustest: %v", err)
	}
}

func (b *inbox[T]) add(e eventbus.Event[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	close(b.news)
	b.news = make(chan struct{})
}

// wait waits until enough has come, and reports whether it has. It returns what
// has come.
func (b *inbox[T]) wait(enough func([]eventbus.Event[T]) bool) ([]eventbus.Event[T], bool) {
	ctx, cancel := bounded()
	defer cancel()
	for {
		b.mu.Lock()
		events, news := slices.Clone(b.events), b.news
		b.mu.Unlock()
		if enough(events) {
			return events, true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return events, false
		}
	}
}

// waitFor waits for the n-th event.
func (b *inbox[T]) waitFor(tb testing.TB, n int) []eventbus.Event[T] {
	tb.Helper()
	events, ok := b.wait(func(events []eventbus.Event[T]) bool { return len(events) >= n })
	if !ok {
		tb.Fatalf("eventbustest: of %d events of topic %q only %d have arrived after %v: %v",
			n, b.topic, len(events), patience, dataOf(events))
	}
	return events
}

func dataOf[T any](events []eventbus.Event[T]) []T {
	data := make([]T, len(events))
	for i := range events {
		data[i] = events[i].Data
	}
	return data
}

// waitForData waits for an event with this data, and returns all data by then.
func waitForData(b *inbox[int], last int) ([]int, bool) {
	events, ok := b.wait(func(events []eventbus.Event[int]) bool { return slices.Contains(dataOf(events), last) })
	return dataOf(events), ok
}

// expect expects exactly these, the last of which tells that nothing else comes
// before it; with atLeastOnce some may come again.
func (p Pair) expect(tb testing.TB, b *inbox[int], want []int) {
	tb.Helper()
	got, arrived := waitForData(b, want[len(want)-1])
	if p.AtLeastOnce {
		got = firsts(got)
	}
	at := firstDifference(got, want)
	switch {
	case !arrived:
		tb.Fatalf("eventbustest: of the events of topic %q the last has not arrived after %v:\n%s", b.topic, patience, comparison(got, want, at, at))
	case at >= 0:
		tb.Errorf("eventbustest: the events of topic %q have not arrived as they were published; the first difference is at [%d]:\n%s",
			b.topic, at, comparison(got, want, at, at))
	}
}

// firsts are the values without those that were there before.
func firsts(list []int) []int {
	seen := make(map[int]bool)
	return slices.DeleteFunc(slices.Clone(list), func(v int) bool {
		again := seen[v]
		seen[v] = true
		return again
	})
}

// sequence is 1 to n.
func sequence(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i + 1
	}
	return list
}

package eventbustest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A parcel is data of some variety.
type parcel struct {
	Text   string
	Count  int64
	Ratio  float64
	Bytes  []byte
	Tags   []string
	Nested map[string]parcel
}

// checkData wants data to arrive unchanged, small and large.
func checkData(tb testing.TB, factory func(testing.TB) Pair) {
	tb.Helper()
	p := newPair(tb, factory)
	box := receive[parcel](tb, p.In, "conformance.data")
	out := topicOf[parcel](tb, p.Out, "conformance.data", eventbus.TopicConfig{})
	sent := []parcel{
		{},
		{Text: "tab\tnewline\nnull\x00 \"quoted\" <&> \u00fc \u4e16 \U0001f600", Count: -1 << 62, Ratio: 0.1},
		{Bytes: []byte{0, 1, 0xfe, 0xff}, Tags: []string{"b", "", "a"}, Nested: map[string]parcel{"x": {Count: 1}}},
		{Text: strings.Repeat("0123456789abcdef", 4096)},
	}
	for i, data := range sent {
		publish(tb, out, data)
		var got *parcel
		box.wait(func(events []eventbus.Event[parcel]) bool {
			got = unknown(events, sent[:i])
			return got != nil
		})
		if got == nil {
			tb.Fatalf("eventbustest: data [%d] of topic %q has not arrived after %v", i, box.topic, patience)
		}
		if !reflect.DeepEqual(*got, data) {
			tb.Fatalf("eventbustest: data [%d] of topic %q has arrived as\n\t%+v\nand was published as\n\t%+v", i, box.topic, *got, data)
		}
	}
}

// unknown is the first data that is none of those known, which may have come
// again. Nil: there is none.
func unknown(events []eventbus.Event[parcel], known []parcel) *parcel {
	for _, e := range events {
		if !slices.ContainsFunc(known, func(k parcel) bool { return reflect.DeepEqual(k, e.Data) }) {
			return &e.Data
		}
	}
	return nil
}

// checkTopics wants events to arrive on their own topic and no other.
func checkTopics(tb testing.TB, factory func(testing.TB) Pair) {
	tb.Helper()
	p := newPair(tb, factory)
	const rounds = 10
	names := []string{"a", "b", "ab", "A", "a.b", "a.b.c", "b.a"}
	boxes := make([]*inbox[int], len(names))
	outs := make([]*eventbus.Topic[int], len(names))
	for i := range names {
		names[i] = "conformance.topics." + names[i]
		boxes[i] = receive[int](tb, p.In, names[i])
		outs[i] = topicOf[int](tb, p.Out, names[i], eventbus.TopicConfig{})
	}
	want := make([][]int, len(names))
	for round := range rounds {
		for i := range names {
			data := 100*i + round
			want[i] = append(want[i], data)
			publish(tb, outs[i], data)
		}
	}
	for i, box := range boxes {
		p.expect(tb, box, want[i])
	}
}

// checkOrder wants the events of a topic to arrive in the one order that they
// have on Out, whoever published them.
func checkOrder(tb testing.TB, factory func(testing.TB) Pair) {
	tb.Helper()
	p := newPair(tb, factory)
	const publishers, each, marker = 4, 100, -1
	there := receive[int](tb, p.In, "conformance.order")
	here := receive[int](tb, p.Out, "conformance.order")
	out := topicOf[int](tb, p.Out, "conformance.order", eventbus.TopicConfig{})
	var wg sync.WaitGroup
	for publisher := range publishers {
		wg.Go(func() {
			ctx, cancel := bounded()
			defer cancel()
			for i := range each {
				if err := out.Publish(ctx, 1000*publisher+i); err != nil {
					tb.Errorf("eventbustest: publish on topic %q: %v", out.Name(), err)
					return
				}
			}
		})
	}
	wg.Wait()
	publish(tb, out, marker)
	order, _ := waitForData(here, marker)
	p.expect(tb, there, order)
}

// checkOnce wants every event to arrive once. Each is waited for, so that there
// is time for it to come again.
func checkOnce(tb testing.TB, factory func(testing.TB) Pair) {
	tb.Helper()
	p := newPair(tb, factory)
	box := receive[int](tb, p.In, "conformance.once")
	out := topicOf[int](tb, p.Out, "conformance.once", eventbus.TopicConfig{})
	const n = 20
	for i := range n {
		publish(tb, out, i+1)
		p.expect(tb, box, sequence(i+1))
	}
}

// An attributes is all of an envelope that crosses a bridge.
type attributes struct {
	id, source, typ, subject, key string
	time                          time.Time
	header                        map[string]string
}

func attributesOf[T any](e eventbus.Event[T]) attributes {
	return attributes{e.ID(), e.Source(), e.Type(), e.Subject(), e.Key(), e.Time(), maps.Collect(e.Headers())}
}

// checkEnvelope wants the whole envelope to arrive as it is on Out, given by the
// publisher or not.
func checkEnvelope(tb testing.TB, factory func(testing.TB) Pair) {
	tb.Helper()
	p := newPair(tb, factory)
	const name = "conformance.envelope"
	out := topicOf[int](tb, p.Out, name, eventbus.TopicConfig{Type: "conformance.type"})
	there, here := receive[int](tb, p.In, name), receive[int](tb, p.Out, name)
	given := []eventbus.PublishConfig{
		{},
		{
			ID: "an id of its own/1", Key: "key \u00fc", Subject: "subject", Time: time.Date(2026, 2, 3, 4, 5, 6, 123456789, time.UTC),
			Header: map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "empty": "", "text": "\u00fc, \"quoted\""},
		},
		{Time: time.Date(1969, 7, 20, 20, 17, 40, 0, time.FixedZone("", 3600)), Header: map[string]string{"one": "1"}},
		{ID: "another", Key: "key"},
		{},
	}
	for i, cfg := range given {
		publishWith(tb, out, cfg, i)
	}
	sent := here.waitFor(tb, len(given))
	p.expect(tb, there, dataOf(sent))
	for _, e := range there.waitFor(tb, len(given)) {
		compareEnvelopes(tb, attributesOf(e), attributesOf(sent[e.Data]))
	}
}

// compareEnvelopes reports every attribute that differs.
func compareEnvelopes(tb testing.TB, got, want attributes) {
	tb.Helper()
	differs := differing(tb, "of an event")
	differs(got.id == want.id, "ID", got.id, want.id)
	differs(got.source == want.source, "Source", got.source, want.source)
	differs(got.typ == want.typ, "Type", got.typ, want.typ)
	differs(got.subject == want.subject, "Subject", got.subject, want.subject)
	differs(got.key == want.key, "Key", got.key, want.key)
	differs(got.time.Equal(want.time), "Time", got.time, want.time)
	differs(maps.Equal(got.header, want.header), "Header", got.header, want.header)
}

// differing reports what is not the same.
func differing(tb testing.TB, of string) func(same bool, what string, got, want any) {
	tb.Helper()
	return func(same bool, what string, got, want any) {
		tb.Helper()
		if !same {
			tb.Errorf("eventbustest: %s %s is %q, want %q", of, what, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}

var errConformance = errors.New("eventbustest: the handler fails on purpose")

// checkRetry wants a handler on In that fails to be called again as its own
// subscription says, and neither more often nor for other events.
func checkRetry(tb testing.TB, factory func(testing.TB) Pair) {
	tb.Helper()
	p := newPair(tb, factory)
	const name, attempts, good = "conformance.retry", 3, 4
	dead := topicOf[eventbus.Failure](tb, p.In, "dead-letters", eventbus.TopicConfig{})
	letters := make(chan eventbus.Failure, good)
	subscribe(tb, dead, eventbus.SubscribeConfig[eventbus.Failure]{OnFull: eventbus.DropNewest}, func(e eventbus.Event[eventbus.Failure]) error {
		select {
		case letters <- e.Data:
		default: // there are far too many
		}
		return nil
	})
	calls := &inbox[int]{topic: name, news: make(chan struct{})}
	failures := make(map[int]int)
	cfg := eventbus.SubscribeConfig[int]{Retry: eventbus.Retry{Attempts: attempts, Wait: -1}, DeadLetter: dead}
	subscribe(tb, topicOf[int](tb, p.In, name, eventbus.TopicConfig{}), cfg, func(e eventbus.Event[int]) error {
		calls.add(e)
		failures[e.Data]++
		if e.Data == 1 && failures[1] < attempts || e.Data == 2 {
			return errConformance
		}
		return nil
	})
	here := receive[int](tb, p.Out, name)
	out := topicOf[int](tb, p.Out, name, eventbus.TopicConfig{})
	publish(tb, out, 1, 2, 3)
	if _, ok := waitForData(calls, 3); !ok {
		tb.Fatalf("eventbustest: the event after one that was given up has not arrived after %v", patience)
	}
	publish(tb, out, good)
	p.expectCalls(tb, calls, []int{1, 1, 1, 2, 2, 2, 3, good})
	p.expectLetter(tb, letters, here.waitFor(tb, good)[1].ID())
}

// expectCalls expects these calls of a handler.
func (p Pair) expectCalls(tb testing.TB, calls *inbox[int], want []int) {
	tb.Helper()
	got, _ := waitForData(calls, want[len(want)-1])
	at := firstDifference(got, want)
	from := at
	if p.AtLeastOnce {
		from, at = missing(got, want) // what comes again is called again
	}
	if at >= 0 {
		tb.Errorf("eventbustest: the handler of topic %q, which fails at first for 1 and always for 2, was not called as its Retry says:\n%s",
			calls.topic, comparison(got, want, from, at))
	}
}

// expectLetter expects one dead letter.
func (p Pair) expectLetter(tb testing.TB, letters <-chan eventbus.Failure, id string) {
	tb.Helper()
	Settle(tb, p.In)
	if len(letters) == 0 {
		tb.Errorf("eventbustest: there is no dead letter of an event that was given up")
		return
	}
	f := <-letters
	differs := differing(tb, "of a dead letter")
	differs(f.Event.ID() == id, "Event.ID", f.Event.ID(), id)
	differs(errors.Is(f.Err, errConformance), "Err", f.Err, errConformance)
}

// checkEcho wants no event to come back to the bus it was published on. What a
// subscriber gets directly is none.
func checkEcho(tb testing.TB, factory func(testing.TB) Pair) {
	tb.Helper()
	p := newPair(tb, factory)
	const name, n, local = "conformance.echo", 8, 100
	there, here := receive[int](tb, p.In, name), receive[int](tb, p.Out, name)
	in, out := topicOf[int](tb, p.In, name, eventbus.TopicConfig{}), topicOf[int](tb, p.Out, name, eventbus.TopicConfig{})
	// If In has a bridge that sends, its events come to Out after whatever
	// echoes there are, and tell that those are there by now. If that is
	// something else, they do not come, and there is nothing to wait for.
	sends := slices.ContainsFunc(in.Stats().Subscriptions, func(s eventbus.SubscriptionStats) bool { return s.Topic != name })
	for i := range n {
		publish(tb, out, i+1)
		awaitData(tb, there, i+1)
		publish(tb, in, local+i+1)
		awaitData(tb, there, local+i+1)
		if sends {
			_, sends = waitForData(here, local+i+1)
		}
	}
	Settle(tb, p.Out)
	Settle(tb, p.In)
	for i := range n {
		expectTimes(tb, here, "Out", i+1, true)
		expectTimes(tb, there, "In", local+i+1, true)
		expectTimes(tb, there, "In", i+1, !p.AtLeastOnce)
		expectTimes(tb, here, "Out", local+i+1, !p.AtLeastOnce)
	}
}

func awaitData(tb testing.TB, b *inbox[int], data int) {
	tb.Helper()
	if got, ok := waitForData(b, data); !ok {
		tb.Fatalf("eventbustest: event %d of topic %q has not arrived after %v: %v", data, b.topic, patience, got)
	}
}

// expectTimes expects at most one event with this data.
func expectTimes(tb testing.TB, b *inbox[int], bus string, data int, once bool) {
	tb.Helper()
	events, _ := b.wait(func([]eventbus.Event[int]) bool { return true })
	times := 0
	for _, e := range events {
		if e.Data == data {
			times++
		}
	}
	if once && times > 1 {
		tb.Errorf("eventbustest: event %d of topic %q has come %d times to a subscriber of %s: there is an echo", data, b.topic, times, bus)
	}
}

// checkClose wants all that was published before Close of Out to arrive.
func checkClose(tb testing.TB, factory func(testing.TB) Pair) {
	tb.Helper()
	p := newPair(tb, factory)
	const n = 200
	names := []string{"conformance.close.a", "conformance.close.b"}
	boxes := make([]*inbox[int], len(names))
	outs := make([]*eventbus.Topic[int], len(names))
	for i, name := range names {
		boxes[i] = receive[int](tb, p.In, name)
		outs[i] = topicOf[int](tb, p.Out, name, eventbus.TopicConfig{})
	}
	for _, data := range sequence(n) {
		for _, out := range outs {
			publish(tb, out, data)
		}
	}
	ctx, cancel := bounded()
	defer cancel()
	if err := p.Out.Close(ctx); err != nil {
		tb.Errorf("eventbustest: Close of Out: %v", err)
	}
	for _, box := range boxes {
		p.expect(tb, box, sequence(n))
	}
}

package eventbustest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A Recorder keeps the events of a topic. It is made by [Record]. Every method
// settles the bus first, so it answers for all that was published before; they
// are for the goroutine of the test.
type Recorder[T any] struct {
	tb    testing.TB
	bus   *eventbus.Bus
	topic *eventbus.Topic[T]

	mu     sync.Mutex
	events []eventbus.Event[T]
}

// Record records the events of a topic of b from now on, until the bus is
// closed. It never holds up a publisher, and is unknown to interceptors and to
// the hooks Handled and Failed. It is a subscription like any other, though:
// with it no event of the topic is Unrouted.
func Record[T any](tb testing.TB, b *eventbus.Bus, topic *eventbus.Topic[T]) *Recorder[T] {
	tb.Helper()
	name := topic.Name()
	// Settling another bus than the topic's would pass, now and then.
	same, err := eventbus.NewTopic[T](b, name, eventbus.TopicConfig{})
	if err == nil && same != topic {
		err = fmt.Errorf("topic %q is not one of this bus", name)
	}
	var q *eventbus.Queue[T]
	if err == nil {
		q, err = topic.Queue(context.Background(), eventbus.SubscribeConfig[T]{Name: "recorder of " + name, Capacity: -1})
	}
	if err != nil {
		tb.Fatalf("eventbustest: record: %v", err)
	}
	r := &Recorder[T]{tb: tb, bus: b, topic: topic}
	go r.read(q)
	return r
}

// read takes the events until the end of the bus.
func (r *Recorder[T]) read(q *eventbus.Queue[T]) {
	for {
		e, err := q.Next(context.Background())
		if err != nil {
			return
		}
		r.mu.Lock()
		r.events = append(r.events, e)
		r.mu.Unlock()
	}
}

// Events returns the events since Record or Reset, in their order.
func (r *Recorder[T]) Events() []eventbus.Event[T] {
	r.tb.Helper()
	Settle(r.tb, r.bus)
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Data returns the data of the events since Record or Reset, in their order.
func (r *Recorder[T]) Data() []T {
	r.tb.Helper()
	events := r.Events()
	data := make([]T, len(events))
	for i := range events {
		data[i] = events[i].Data
	}
	return data
}

// Reset forgets the events so far.
func (r *Recorder[T]) Reset() {
	r.tb.Helper()
	Settle(r.tb, r.bus)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = nil
}

// Expect fails the test unless the data of the events since Record or Reset is
// exactly this, in this order, as reflect.DeepEqual tells.
func (r *Recorder[T]) Expect(want ...T) {
	r.tb.Helper()
	got := r.Data()
	if at := firstDifference(got, want); at >= 0 {
		r.tb.Errorf("eventbustest: the events of topic %q are not those expected; the first difference is at [%d]:\n%s",
			r.topic.Name(), at, comparison(got, want, at, at))
	}
}

// ExpectSome fails the test unless this is part of the data of the events since
// Record or Reset, in this order, whatever else is before, between and after.
func (r *Recorder[T]) ExpectSome(want ...T) {
	r.tb.Helper()
	got := r.Data()
	if from, i := missing(got, want); i >= 0 {
		r.tb.Errorf("eventbustest: among the events of topic %q from [%d] on there is none that is expected as [%d]:\n%s",
			r.topic.Name(), from, i, comparison(got, want, from, i))
	}
}

// missing is the first of want that is not in got after those before it, and
// from where on it is not; negative if all are.
func missing[T any](got, want []T) (from, i int) {
	for i, w := range want {
		n := slices.IndexFunc(got[from:], func(g T) bool { return reflect.DeepEqual(g, w) })
		if n < 0 {
			return from, i
		}
		from += n + 1
	}
	return from, -1
}

// firstDifference is where two lists begin to differ; negative if they do not.
func firstDifference[T any](got, want []T) int {
	at := 0
	for at < len(got) && at < len(want) && reflect.DeepEqual(got[at], want[at]) {
		at++
	}
	if at == len(got) && at == len(want) {
		return -1
	}
	return at
}

// comparison shows both lists, and in each the place that matters.
func comparison[T any](got, want []T, gotAt, wantAt int) string {
	show := func(v T) string { return fmt.Sprintf("%+v", v) }
	if gotAt < len(got) && wantAt < len(want) && show(got[gotAt]) == show(want[wantAt]) {
		show = func(v T) string { return fmt.Sprintf("%#v of type %T", v, v) }
	}
	var b strings.Builder
	writeList(&b, "got", got, gotAt, show)
	writeList(&b, "want", want, wantAt, show)
	return b.String()
}

// writeList writes the values around one of them, which is marked.
func writeList[T any](b *strings.Builder, name string, list []T, at int, show func(T) string) {
	const around = 10
	fmt.Fprintf(b, "%s, %d in all:\n", name, len(list))
	first, last := max(0, at-around), min(len(list), at+around+1)
	if first > 0 {
		fmt.Fprintf(b, "\t  ... %d before\n", first)
	}
	for i := first; i < last; i++ {
		mark := ' '
		if i == at {
			mark = '>'
		}
		fmt.Fprintf(b, "\t%c [%d] %s\n", mark, i, show(list[i]))
	}
	if at >= len(list) {
		fmt.Fprintf(b, "\t> [%d] none\n", len(list))
	} else if last < len(list) {
		fmt.Fprintf(b, "\t  ... %d after\n", len(list)-last)
	}
}

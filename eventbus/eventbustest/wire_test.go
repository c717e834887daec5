package eventbustest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

// A wire is one end of a bridge in memory: what one end forwards the other
// receives. It may have a fault.
type wire struct {
	fault
	out   bool // it is the end at Out
	other *wire
	sent  int // calls of Forward

	sending sync.Mutex // before mu

	mu      sync.Mutex
	arrived []eventbus.Encoded // that this end has not received yet
	news    chan struct{}
	pending []eventbus.Encoded // sent late, see later
	last    eventbus.Encoded   // sent
}

// A fault is what is wrong with both ends of a wire. The zero fault is none.
type fault struct {
	// forward replaces sending.
	forward func(ctx context.Context, w *wire, e eventbus.Encoded) error

	// closes is called by Close.
	closes func(w *wire)

	// sender and receiver are the configs of the buses Out and In; w is the end
	// at Out.
	sender   func() eventbus.Config
	receiver func(w *wire) eventbus.Config

	queue       eventbus.SubscribeConfig[any] // of the export
	atLeastOnce bool                          // is admitted
}

func (w *wire) Forward(ctx context.Context, e eventbus.Encoded) error {
	w.sent++
	if w.forward != nil {
		return w.forward(ctx, w, e)
	}
	w.send(e)
	return nil
}

// send has an event arrive at the other end.
func (w *wire) send(e eventbus.Encoded) {
	w.other.back(e)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = e
}

// lastSent is the last event that this end has sent.
func (w *wire) lastSent() eventbus.Encoded {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// back has an event arrive at this end.
func (w *wire) back(e eventbus.Encoded) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived = append(w.arrived, e)
	close(w.news)
	w.news = make(chan struct{})
}

// later sends the oldest of what is pending when some time has passed.
func (w *wire) later(e eventbus.Encoded) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = append(w.pending, e)
	time.AfterFunc(time.Millisecond, func() {
		w.sending.Lock() // several timers may fire at once
		defer w.sending.Unlock()
		w.mu.Lock()
		var oldest []eventbus.Encoded
		if len(w.pending) > 0 {
			oldest, w.pending = w.pending[:1], w.pending[1:]
		}
		w.mu.Unlock()
		for _, e := range oldest {
			w.send(e)
		}
	})
}

func (w *wire) Receive(ctx context.Context, _ string, deliver func(context.Context, eventbus.Encoded) error) error {
	for {
		w.mu.Lock()
		arrived, news := w.arrived, w.news
		w.arrived = nil
		w.mu.Unlock()
		for _, e := range arrived {
			_ = deliver(ctx, e) // nobody wants to know what is not accepted
		}
		if len(arrived) > 0 {
			continue
		}
		select {
		case <-news:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (w *wire) Close(context.Context) error {
	if w.closes != nil {
		w.closes(w)
	}
	return nil
}

// newWires are the two ends.
func newWires(f fault) (x, y *wire) {
	x = &wire{fault: f, out: true, news: make(chan struct{})}
	y = &wire{fault: f, news: make(chan struct{}), other: x}
	x.other = y
	return x, y
}

// joined are two buses joined by a wire, both ways.
func joined(f fault) func(testing.TB) eventbustest.Pair {
	return func(tb testing.TB) eventbustest.Pair {
		tb.Helper()
		x, y := newWires(f)
		var in, out eventbus.Config
		if f.receiver != nil {
			in = f.receiver(x)
		}
		if f.sender != nil {
			out = f.sender()
		}
		in.Name, out.Name = "in", "out"
		p := eventbustest.Pair{
			In:          eventbustest.NewBus(tb, in),
			Out:         eventbustest.NewBus(tb, out),
			AtLeastOnce: f.atLeastOnce,
		}
		all := eventbus.BridgeConfig{Export: []string{"conformance.>"}, Import: []string{"conformance.>"}, Queue: f.queue}
		_, err := p.In.Attach(bg, y, all)
		require.NoError(tb, err)
		_, err = p.Out.Attach(bg, x, all)
		require.NoError(tb, err)
		return p
	}
}

// oneWay are two buses joined by a wire from Out to In alone.
func oneWay(tb testing.TB) eventbustest.Pair {
	tb.Helper()
	x, y := newWires(fault{})
	p := eventbustest.Pair{
		In:  eventbustest.NewBus(tb, eventbus.Config{Name: "in"}),
		Out: eventbustest.NewBus(tb, eventbus.Config{Name: "out"}),
	}
	_, err := p.In.Attach(bg, y, eventbus.BridgeConfig{Import: []string{">"}})
	require.NoError(tb, err)
	_, err = p.Out.Attach(bg, x, eventbus.BridgeConfig{Export: []string{">"}})
	require.NoError(tb, err)
	return p
}

// same is one bus, which needs no bridge.
func same(tb testing.TB) eventbustest.Pair {
	tb.Helper()
	b := eventbustest.NewBus(tb, eventbus.Config{})
	return eventbustest.Pair{Out: b, In: b}
}

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/saga"
)

// A board knows what goes on, from the bus alone: it is one more subscriber. The page
// and the lines in the terminal come from here.
type board struct {
	began time.Time
	plan  []saga.StepPlan
	say   func(at time.Duration, text string)

	mu     sync.Mutex
	names  map[string]string        // of instances, by address
	moves  map[string][]page.Span   // of breakers, by instance
	opened map[string]int           // how often, by instance
	ajar   map[string]time.Duration // when the latest open time of a breaker is over, by instance
	orders map[string]Order         // that were placed, until their runs have ended
	runs   map[string]*progress     // that have not ended
	counts page.Orders              // but Running
	seen   map[string]bool          // orders that are counted as placed
	ends   map[string]saga.Status   // those that are counted as at their end
	why    map[string]string        // why runs have failed: the step, and what it said
	log    []page.Line

	subscription *eventbus.Subscription
}

const (
	keptLines = 40
	keptSpans = 256
)

func newBoard(plan []saga.StepPlan, say func(time.Duration, string)) *board {
	return &board{
		began: time.Now(), plan: plan, names: make(map[string]string), say: say,
		moves: make(map[string][]page.Span), opened: make(map[string]int), ajar: make(map[string]time.Duration),
		orders: make(map[string]Order), runs: make(map[string]*progress),
		seen: make(map[string]bool), ends: make(map[string]saga.Status),
		why: make(map[string]string),
	}
}

// listen subscribes to everything. One queue for all topics keeps causes before their
// effects; without a limit nothing is missing.
func (b *board) listen(ctx context.Context, bus *eventbus.Bus) (err error) {
	b.subscription, err = eventbus.SubscribePattern(ctx, bus, ">", eventbus.SubscribeConfig[any]{Name: "page", Capacity: -1}, b.handle)
	return err
}

func (b *board) handle(_ context.Context, e eventbus.Event[any]) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch d := e.Data.(type) {
	case breaker.Transition:
		b.move(d)
	case registry.Change:
		b.change(d)
	case saga.StatusEvent:
		b.status(d)
	case saga.StepInfo:
		b.run(d.Run).begin(d)
	case saga.StepEvent:
		b.run(d.Info.Run).end(d)
	case Order:
		b.place(d)
	case Ended:
		b.end(d)
	case News:
		b.line(d.Text, d.Bad)
	}
	return nil
}

// elapsed is the time since the start.
func (b *board) elapsed(at time.Time) time.Duration { return max(0, at.Sub(b.began)) }

// line adds one to the log. mu is held.
func (b *board) line(text string, bad bool) {
	at := b.elapsed(time.Now())
	b.log = append(b.log, page.Line{At: at, Text: text, Bad: bad})
	if n := len(b.log) - keptLines; n > 0 {
		b.log = append(b.log[:0], b.log[n:]...)
	}
	b.say(at, text)
}

func (b *board) move(t breaker.Transition) {
	id, ok := b.names[t.Name]
	if !ok {
		id = t.Name
	}
	spans := append(b.moves[id], page.Span{State: t.To.String(), From: b.elapsed(t.At)})
	if n := len(spans) - keptSpans; n > 0 {
		spans = append(spans[:0], spans[n:]...)
	}
	b.moves[id] = spans
	switch t.To {
	case breaker.Open:
		b.opened[id]++
		b.ajar[id] = b.elapsed(t.At.Add(t.OpenFor))
		b.line(fmt.Sprintf("%s: breaker opens for %v%s", id, t.OpenFor.Round(time.Millisecond), because(t.Cause)), true)
	case breaker.Closed:
		b.line(id+": breaker closes", false)
	default: // the page shows it
	}
}

func (b *board) change(c registry.Change) {
	if c.After != nil {
		b.names[c.After.Addr()] = c.ID
	}
	switch {
	case c.After == nil:
		b.line(fmt.Sprintf("%s: %s", c.ID, changed(c)), c.Reason == registry.ReasonExpired)
	case c.Before == nil:
		b.line(c.ID+": registered", false)
	case c.After.Health() == registry.Critical && c.Before.Health() != registry.Critical:
		b.line(fmt.Sprintf("%s: %s", c.ID, changed(c)), true)
	}
}

func (b *board) place(o Order) {
	if b.seen[o.ID] {
		return
	}
	b.seen[o.ID] = true
	b.counts.Placed++
	b.orders[o.ID] = o
	if p := b.runs[o.ID]; p != nil {
		p.order = wanted(o)
	}
}

func (b *board) status(e saga.StatusEvent) {
	switch {
	case e.To.Ended(): // that is counted when the order service tells it
	case e.To == saga.Stuck:
		b.run(e.Run).status = e.To.String()
		b.line(fmt.Sprintf("%s: stuck, %v%s", e.Run, e.Reason, because(e.Cause)), true)
	default:
		b.run(e.Run).status = e.To.String()
	}
	if e.Cause != nil {
		b.why[e.Run] = reason(e.Cause)
	}
}

// end counts an order. It may be told twice, and after a crash here for the first time.
func (b *board) end(e Ended) {
	id := e.Order.ID
	if _, known := b.ends[id]; known {
		return
	}
	b.ends[id] = e.Status
	switch e.Status {
	case saga.Completed:
		b.counts.Completed++
	case saga.Compensated:
		b.counts.Compensated++
	default:
		b.counts.Stuck++
		return // it stays to be seen
	}
	delete(b.runs, id)
	delete(b.orders, id)
}

// run is what is known of a run. Of one that has ended nothing is kept any more.
func (b *board) run(id string) *progress {
	p := b.runs[id]
	if p == nil {
		p = newProgress(id, wanted(b.orders[id]), time.Now(), b.plan)
		if _, over := b.ends[id]; !over {
			b.runs[id] = p
		}
	}
	return p
}

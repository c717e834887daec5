package main

import (
	"context"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
)

// An event is something that happened to a backend.
type event struct {
	at    time.Time
	id    string
	what  what
	calls int    // under way
	picks uint64 // so far
	note  string
}

// What happened, in the words of the timeline.
type what string

const (
	joined      what = "registered"
	turnedSlow  what = "is slow"
	turnedQuick what = "is quick again"
	trusted     what = "is called again"
	died        what = "dies"
	opened      what = "breaker open"
	halfOpened  what = "breaker half-open"
	closed      what = "breaker closed"
	critical    what = "critical"
	recovered   what = "healthy again"
	isDraining  what = "draining"
	unready     what = "/readyz is 503"
	drained     what = "drained"
	expired     what = "lease expired"
	removed     what = "removed"
	stopped     what = "stopped"
)

// A watch keeps what happens to the backends and has it told at once.
type watch struct {
	log   *timeline
	names map[string]string // of backends, by address

	mu     sync.Mutex
	events []event
}

// add notes an event that happens now.
func (w *watch) add(e event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.at = time.Now()
	w.events = append(w.events, e)
	w.log.event(e)
}

// take returns the events since it was last asked.
func (w *watch) take() []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.events
	w.events = nil
	return e
}

// change is a hook of the registry.
func (w *watch) change(c registry.Change) {
	e := event{id: c.ID}
	switch {
	case c.Reason == registry.ReasonExpired:
		e.what = expired
	case c.Reason == registry.ReasonDrained:
		e.what = drained
	case c.After == nil:
		e.what, e.note = removed, string(c.Reason)
	case c.Before == nil:
		e.what = joined
	case c.Before.Health() == c.After.Health():
		return
	case c.After.Health() == registry.Critical:
		e.what, e.note = critical, brief(c.After.HealthReason())
	case c.After.Health() == registry.Draining:
		e.what = isDraining
	case c.Before.Health() == registry.Critical:
		e.what = recovered
	default:
		return
	}
	last := c.After
	if last == nil {
		last = c.Before
	}
	e.calls, e.picks = last.InFlight(), last.Picks()
	w.add(e)
}

// transition is a hook of the breakers.
func (w *watch) transition(_ context.Context, t breaker.Transition) {
	e := event{id: w.names[t.Name]}
	switch t.To {
	case breaker.Open:
		e.what = opened
		e.note = t.Reason.String()
		if t.Cause != nil {
			e.note += ": " + brief(t.Cause.Error())
		}
	case breaker.HalfOpen:
		e.what = halfOpened
	case breaker.Closed:
		e.what = closed
	default:
		return
	}
	w.add(e)
}

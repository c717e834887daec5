package main

import (
	"context"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// An event is a change of the breaker's state.
type event struct {
	breaker.Transition
	seen time.Time // calls that begin later meet the new state
}

// A watch keeps the events of a breaker and has them told as they happen.
type watch struct {
	log *timeline

	mu     sync.Mutex
	events []event
	quiet  bool // a rejection by this opening has been told
}

// hooks are what makes a breaker tell the watch.
func (w *watch) hooks() breaker.Hooks {
	return breaker.Hooks{
		Transition: func(_ context.Context, t breaker.Transition) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, event{t, time.Now()})
			w.quiet = t.To != breaker.Open || t.From != breaker.Closed
			w.log.transition(t)
		},
		Rejected: func(_ context.Context, e *breaker.RejectedError) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if !w.quiet && e.State == breaker.Open {
				w.quiet = true
				w.log.rejection(e)
			}
		},
	}
}

// take returns the events since it was last asked.
func (w *watch) take() []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.events
	w.events = nil
	return e
}
